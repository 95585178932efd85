//! The interface with C: arguments, answers, memory and what becomes of a panic.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

use crate::compression::{Compressor, Decompressor};
use crate::hashes::Hasher;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(memory: *mut c_void, size: usize) -> *mut c_void;
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn host_random(bytes: *mut u8, length: usize);
}

/// The alignment of everything that `malloc` gives.
const MALLOC_ALIGNMENT: usize = 8;

/// The guest's C heap, so that its limit holds here as well.
struct Heap;

// SAFETY: these are C's functions with C's meaning, and the alignment is looked at.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            if layout.align() <= MALLOC_ALIGNMENT {
                malloc(layout.size()).cast()
            } else {
                aligned_alloc(layout.align(), layout.size()).cast()
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe {
            if layout.align() <= MALLOC_ALIGNMENT {
                return calloc(1, layout.size()).cast();
            }
            let memory = self.alloc(layout);
            if !memory.is_null() {
                memory.write_bytes(0, layout.size());
            }
            memory
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        unsafe { free(memory.cast()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if layout.align() <= MALLOC_ALIGNMENT {
                return realloc(memory.cast(), size).cast();
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(memory, layout.size().min(size));
                self.dealloc(memory, layout);
            }
            moved
        }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// The last resort: the invocation ends with a trap.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Random bytes of the system; while a function is deployed, of a fixed sequence.
pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: the bytes are this function's for the time of the call.
    unsafe { host_random(bytes.as_mut_ptr(), bytes.len()) }
}

/// `random` for those who want a generator.
pub(crate) struct Random;

impl rand_core::RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        random(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        random(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        random(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for Random {}

/// State that JavaScript holds on to.
pub(crate) enum Handle {
    Hasher(Hasher),
    Compressor(Compressor),
    Decompressor(Decompressor),
    #[cfg(feature = "intl")]
    Intl(Box<dyn intl::Service>),
}

/// The answer of an operation.
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Bytes(Vec<u8>),
    #[cfg(feature = "intl")]
    Text(alloc::string::String),
    Handle(Handle),
    /// A `TypeError` with this message.
    Fault(&'static str),
    OutOfMemory,
}

/// `struct library_argument`: one argument of a JavaScript call.
#[repr(C)]
pub struct Argument {
    kind: u32,
    bytes: *mut u8,
    length: usize,
    number: f64,
}

/// `struct library_answer`.
#[repr(C)]
pub struct Answer {
    bytes: *mut u8,
    length: usize,
    number: f64,
}

/// Values of [`Argument::kind`]; texts are bytes of UTF-8, `true` is 1.
mod kind {
    pub(super) const BYTES: u32 = 1;
    pub(super) const NUMBER: u32 = 2;
    pub(super) const HANDLE: u32 = 3;
}

/// Values of an operation's result: `enum library_result`.
mod result {
    pub(super) const UNDEFINED: u32 = 0;
    pub(super) const NULL: u32 = 1;
    pub(super) const FALSE: u32 = 2;
    pub(super) const TRUE: u32 = 3;
    pub(super) const NUMBER: u32 = 4;
    pub(super) const BYTES: u32 = 5;
    pub(super) const HANDLE: u32 = 6;
    pub(super) const FAULT: u32 = 7;
    pub(super) const OUT_OF_MEMORY: u32 = 8;
    #[cfg(feature = "intl")]
    pub(super) const TEXT: u32 = 9;
}

/// The arguments of a call.
pub(crate) struct Arguments<'a>(&'a [Argument]);

impl<'a> Arguments<'a> {
    pub(crate) fn bytes(&self, at: usize) -> Option<&'a [u8]> {
        let argument = self.0.get(at).filter(|one| one.kind == kind::BYTES)?;
        if argument.length == 0 {
            return Some(&[]);
        }
        // SAFETY: C gives the place of bytes that nobody changes meanwhile.
        Some(unsafe { core::slice::from_raw_parts(argument.bytes, argument.length) })
    }

    pub(crate) fn text(&self, at: usize) -> Option<&'a str> {
        core::str::from_utf8(self.bytes(at)?).ok()
    }

    pub(crate) fn number(&self, at: usize) -> Option<f64> {
        let argument = self.0.get(at).filter(|one| one.kind == kind::NUMBER)?;
        Some(argument.number)
    }

    /// A whole number that is not negative.
    pub(crate) fn size(&self, at: usize) -> Option<usize> {
        let number = self.number(at)?;
        let size = number as usize;
        (size as f64 == number).then_some(size)
    }

    pub(crate) fn is_true(&self, at: usize) -> Option<bool> {
        Some(self.number(at)? != 0.0)
    }

    pub(crate) fn handle(&self, at: usize) -> Option<&'a mut Handle> {
        let argument = self.0.get(at).filter(|one| one.kind == kind::HANDLE)?;
        // SAFETY: C gives back what `finish` gave, and calls one operation at a time.
        unsafe { argument.bytes.cast::<Handle>().as_mut() }
    }
}

fn give(answer: &mut Answer, bytes: Vec<u8>) -> u32 {
    let bytes = bytes.into_boxed_slice();
    answer.length = bytes.len();
    // Nothing was allocated for no bytes, so nothing must be freed.
    answer.bytes = if bytes.is_empty() {
        core::ptr::null_mut()
    } else {
        Box::into_raw(bytes).cast()
    };
    result::BYTES
}

/// Runs an operation with what C gave.
///
/// # Safety
///
/// The pointers are to `count` arguments and to an answer, as `library.h` says.
pub(crate) unsafe fn finish(
    operation: fn(&Arguments<'_>) -> Option<Value>,
    arguments: *const Argument,
    count: usize,
    answer: *mut Answer,
) -> u32 {
    // SAFETY: as this function's.
    let (arguments, answer) =
        unsafe { (core::slice::from_raw_parts(arguments, count), &mut *answer) };
    match operation(&Arguments(arguments)) {
        None => result::UNDEFINED,
        Some(Value::Null) => result::NULL,
        Some(Value::Bool(false)) => result::FALSE,
        Some(Value::Bool(true)) => result::TRUE,
        Some(Value::Number(number)) => {
            answer.number = number;
            result::NUMBER
        }
        Some(Value::Bytes(bytes)) => give(answer, bytes),
        #[cfg(feature = "intl")]
        Some(Value::Text(text)) => {
            give(answer, text.into_bytes());
            result::TEXT
        }
        Some(Value::Handle(handle)) => {
            answer.bytes = Box::into_raw(Box::new(handle)).cast();
            result::HANDLE
        }
        Some(Value::Fault(message)) => {
            answer.bytes = message.as_ptr().cast_mut();
            answer.length = message.len();
            result::FAULT
        }
        Some(Value::OutOfMemory) => result::OUT_OF_MEMORY,
    }
}

/// Lets go of a handle.
///
/// # Safety
///
/// It was given by an operation, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn library_free(handle: *mut c_void) {
    // SAFETY: as this function's.
    drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
}

/// Exports operations to C.
macro_rules! operations {
    ($($name:ident = $function:path;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(
                arguments: *const abi::Argument,
                count: usize,
                answer: *mut abi::Answer,
            ) -> u32 {
                // SAFETY: C keeps to `library.h`.
                unsafe { abi::finish($function, arguments, count, answer) }
            }
        )*
    };
}
pub(crate) use operations;

/// Room for so many bytes; `None` if there is no memory.
pub(crate) fn room(bytes: usize) -> Option<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).ok()?;
    Some(room)
}

/// So many zeros; `None` if there is no memory.
pub(crate) fn zeros(bytes: usize) -> Option<Vec<u8>> {
    let mut room = room(bytes)?;
    room.resize(bytes, 0);
    Some(room)
}

/// A copy; `None` if there is no memory.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut room = room(bytes.len())?;
    room.extend_from_slice(bytes);
    Some(room)
}
