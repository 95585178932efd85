//! The contents that a module's memory begins with, as they lie in its machine code: nothing is copied, and the pages are
//! those of the file that the memory itself is mapped from.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use object::{Object as _, ObjectSection as _};
use rustix::mm::{Advice, madvise};
use wasmtime::Module;

use crate::written_pages::PAGE_BYTES;

/// The section of the machine code in which wasmtime 48 puts the contents of memories (`wasmtime_environ::obj`).
const DATA_SECTION: &str = ".rodata.wasm";

/// Bytes that are copied or cleared at once. For more than 2 KiB glibc may use `rep movsb` and `rep stosb`, which cost a sixth
/// of a script's call where it was measured (`docs/benchmarks.md`).
const PIECE_BYTES: usize = 1024;

static ZERO_PAGE: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// See the module.
pub(crate) struct MemoryImage {
    module: Module,
    /// The place of the contents in the module's machine code.
    contents: Range<usize>,
    /// The place of the contents in the memory; all the rest is zero.
    at: usize,
    /// Length of the memory.
    bytes: usize,
    /// Whether a memory whose pages were given back was seen to be this again.
    comes_back: AtomicBool,
}

impl MemoryImage {
    /// The image of a memory to which nothing has happened yet; `None` if its contents are not found in the machine code,
    /// as where they are put there by instructions.
    pub(crate) fn of(module: &Module, memory: &[u8]) -> Option<Self> {
        let contents = contents(machine_code(module))?;
        let first = |bytes: &[u8]| bytes.chunks(PAGE_BYTES).position(|page| !is_zero(page));
        let found = machine_code(module).get(contents.clone())?;
        let (contents, at) = match (first(memory), first(found)) {
            (Some(in_memory), Some(in_contents)) => {
                (contents, in_memory.checked_sub(in_contents)? * PAGE_BYTES)
            }
            _ => (0..0, 0),
        };
        let image = Self {
            module: module.clone(),
            contents,
            at,
            bytes: memory.len(),
            comes_back: AtomicBool::new(false),
        };
        let is_that = image.is_that_of(memory);
        image.let_go();
        is_that.then_some(image)
    }

    /// Unmaps the pages of the contents, all of which a comparison has read: few of them are written by calls, and needed
    /// again.
    fn let_go(&self) {
        let contents = self.contents().as_ptr_range();
        let first = contents.start.addr().next_multiple_of(PAGE_BYTES);
        let end = contents.end.addr() / PAGE_BYTES * PAGE_BYTES;
        let Some(length) = end.checked_sub(first).filter(|length| *length > 0) else {
            return;
        };
        let first = contents.start.with_addr(first).cast_mut().cast();
        #[expect(unsafe_code, reason = "the pages are named by their address")]
        // SAFETY: whole pages of a private mapping of a file, as which all core modules are loaded (`Loader::module`), and of
        // which nothing is written (`machine_code`): what is read there the next time comes from the file again.
        let given = unsafe { madvise(first, length, Advice::LinuxDontNeed) };
        if let Err(error) = given {
            tracing::debug!(%error, "failed to unmap the image of a memory");
        }
    }

    /// Length of the memory in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the memory is as it began.
    pub(crate) fn is_that_of(&self, memory: &[u8]) -> bool {
        let contents = self.contents();
        let Some((before, rest)) = memory.split_at_checked(self.at) else {
            return false;
        };
        let Some((same, behind)) = rest.split_at_checked(contents.len()) else {
            return false;
        };
        memory.len() == self.bytes && same == contents && is_zero(before) && is_zero(behind)
    }

    /// The part of the memory that is not zero throughout.
    pub(crate) fn range(&self) -> Range<usize> {
        self.at..self.at + self.contents.len()
    }

    /// Whether a memory was seen to be this again after its pages were given back: it depends on how wasmtime fills
    /// memories of this module. Where the contents are not mapped, there are zeros instead.
    pub(crate) fn is_known_to_come_back(&self) -> bool {
        self.comes_back.load(Ordering::Relaxed)
    }

    /// Looks at a memory whose pages were given back.
    pub(crate) fn comes_back_to(&self, memory: &[u8]) -> bool {
        let is_same = self.is_that_of(memory);
        self.let_go();
        self.comes_back.store(is_same, Ordering::Relaxed);
        is_same
    }

    /// Puts a range of the memory back.
    pub(crate) fn restore(&self, memory: &mut [u8], range: Range<usize>) {
        let contents = self.contents();
        let end = self.at + contents.len();
        let before = range.start..range.end.min(self.at).max(range.start);
        let same = range.start.clamp(self.at, end)..range.end.clamp(self.at, end);
        let behind = range.start.max(end).min(range.end)..range.end;
        clear(&mut memory[before]);
        let image = &contents[same.start - self.at..same.end - self.at];
        copy(image, &mut memory[same]);
        clear(&mut memory[behind]);
    }

    fn contents(&self) -> &[u8] {
        // In bounds: `of` has read it there.
        machine_code(&self.module)
            .get(self.contents.clone())
            .unwrap_or_default()
    }
}

#[expect(
    unsafe_code,
    reason = "wasmtime gives its mapping of the machine code as two addresses"
)]
fn machine_code(module: &Module) -> &[u8] {
    let range = module.image_range();
    let length = range.end.addr() - range.start.addr();
    // SAFETY: the range is a readable mapping of which nothing is written, and it is there as long as the module.
    unsafe { std::slice::from_raw_parts(range.start, length) }
}

/// The place of the data section; an empty one if there is none.
fn contents(machine_code: &[u8]) -> Option<Range<usize>> {
    let file = object::read::elf::ElfFile64::<object::NativeEndian>::parse(machine_code).ok()?;
    let Some(section) = file.section_by_name(DATA_SECTION) else {
        return Some(0..0);
    };
    let (at, length) = section.file_range()?;
    let at = usize::try_from(at).ok()?;
    Some(at..at.checked_add(usize::try_from(length).ok()?)?)
}

fn clear(bytes: &mut [u8]) {
    for piece in bytes.chunks_mut(PIECE_BYTES) {
        piece.fill(0);
    }
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (piece, image) in to.chunks_mut(PIECE_BYTES).zip(from.chunks(PIECE_BYTES)) {
        piece.copy_from_slice(image);
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(PAGE_BYTES)
        .all(|page| *page == ZERO_PAGE[..page.len()])
}
