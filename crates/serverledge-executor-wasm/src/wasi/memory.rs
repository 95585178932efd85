//! The guest's memory: what host functions read from it and write to it, checked.

use wasmtime::{Caller, Extern};

use super::errno::{FAULT, ILSEQ, NAMETOOLONG};
use crate::core_guest::CoreGuest;
use crate::files::PATH_BYTES_MAX;

/// The module that guests import preview 1 from.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// Most bytes that one call reads or writes, and that one draws at a time: the host must not be kept busy between two
/// ticks. Programs see a short read or write, as from any pipe.
pub(super) const CALL_BYTES_MAX: usize = 1 << 20;
/// Most buffers of one vectored call that are looked at.
pub(super) const IOVS_MAX: u32 = 1024;

pub(super) type Guest<'a> = Caller<'a, CoreGuest>;

/// An address in guest memory, and a length or count there.
pub(super) type Span = (u32, u32);

/// Lengths of 32-bit guests; what does not fit cannot be theirs, and the maximum fails their bounds checks.
pub(super) fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The guest's memory and the rest of its state, borrowed apart. `EFAULT` if the module has no memory.
pub(crate) fn memory<'a>(
    guest: &'a mut Guest<'_>,
) -> Result<(&'a mut [u8], &'a mut CoreGuest), i32> {
    let memory = match guest.data().memory {
        Some(memory) => memory,
        None => guest
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or(FAULT)?,
    };
    Ok(memory.data_and_store_mut(guest))
}

/// A range of guest memory, checked.
pub(crate) fn range(memory: &mut [u8], at: u32, length: usize) -> Result<&mut [u8], i32> {
    let start = at as usize;
    memory
        .get_mut(start..start.checked_add(length).ok_or(FAULT)?)
        .ok_or(FAULT)
}

/// A path in guest memory.
pub(super) fn path_at(memory: &[u8], (at, length): Span) -> Result<&str, i32> {
    let (start, length) = (at as usize, length as usize);
    if length > PATH_BYTES_MAX {
        return Err(NAMETOOLONG);
    }
    let bytes = memory.get(start..start + length).ok_or(FAULT)?;
    std::str::from_utf8(bytes).map_err(|_| ILSEQ)
}

pub(super) fn put(guest: &mut Guest<'_>, at: u32, bytes: &[u8]) -> Result<(), i32> {
    let (memory, _) = memory(guest)?;
    range(memory, at, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

pub(super) fn put_u32(guest: &mut Guest<'_>, at: u32, value: u32) -> Result<(), i32> {
    put(guest, at, &value.to_le_bytes())
}

fn get_u32(memory: &mut [u8], at: u32) -> Result<u32, i32> {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(range(memory, at, 4)?);
    Ok(u32::from_le_bytes(bytes))
}

/// NUL-terminated strings into `buffer`, their addresses into `list`.
pub(super) fn put_strings(
    guest: &mut Guest<'_>,
    list: u32,
    buffer: u32,
    strings: &[String],
) -> Result<(), i32> {
    let (memory, _) = memory(guest)?;
    let mut entry = list;
    let mut at = buffer;
    for string in strings {
        range(memory, entry, 4)?.copy_from_slice(&at.to_le_bytes());
        let slot = range(memory, at, string.len() + 1)?;
        slot[..string.len()].copy_from_slice(string.as_bytes());
        slot[string.len()] = 0;
        entry = entry.checked_add(4).ok_or(FAULT)?;
        at = at.checked_add(to_u32(string.len() + 1)).ok_or(FAULT)?;
    }
    Ok(())
}

/// One buffer of a vectored call: address and length.
pub(super) fn iovec(memory: &mut [u8], iovs: u32, index: u32) -> Result<(u32, usize), i32> {
    let at = iovs
        .checked_add(index.checked_mul(8).ok_or(FAULT)?)
        .ok_or(FAULT)?;
    Ok((
        get_u32(memory, at)?,
        get_u32(memory, at.checked_add(4).ok_or(FAULT)?)? as usize,
    ))
}
