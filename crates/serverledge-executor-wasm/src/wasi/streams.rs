//! Reading and writing, of the three streams and of files.

use wasmtime::{Linker, Result};

use super::errno::{BADF, SPIPE, of_fault, outcome};
use super::lookup::{FoundDescriptor, file, find};
use super::memory::{
    CALL_BYTES_MAX, Guest, IOVS_MAX, MODULE, Span, iovec, memory, put_u32, range, to_u32,
};
use crate::core_guest::CoreGuest;
use crate::descriptor_table::{OpenDescriptor, StandardStream};
use crate::meter::Stop;
use crate::rights::{FD_READ, FD_WRITE};

/// The flag of a descriptor that writes at the end.
const APPEND: u16 = 1;

pub(super) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, bytes: u32| {
            outcome(
                read(&mut guest, fd, (iovs, count), None)
                    .and_then(|read| put_u32(&mut guest, bytes, read)),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pread",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, offset: u64, bytes: u32| {
            outcome(
                read(&mut guest, fd, (iovs, count), Some(offset))
                    .and_then(|read| put_u32(&mut guest, bytes, read)),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, bytes: u32| -> Result<i32> {
            let written = write(&mut guest, fd, (iovs, count), None)?;
            Ok(outcome(
                written.and_then(|written| put_u32(&mut guest, bytes, written)),
            ))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pwrite",
        |mut guest: Guest<'_>,
         fd: u32,
         iovs: u32,
         count: u32,
         offset: u64,
         bytes: u32|
         -> Result<i32> {
            let written = write(&mut guest, fd, (iovs, count), Some(offset))?;
            Ok(outcome(
                written.and_then(|written| put_u32(&mut guest, bytes, written)),
            ))
        },
    )?;
    Ok(())
}

/// Reads at an offset, or where the descriptor is.
fn read(guest: &mut Guest<'_>, fd: u32, iovs: Span, at: Option<u64>) -> Result<u32, i32> {
    let (memory, state) = memory(guest)?;
    match find(state, fd)? {
        FoundDescriptor::Stream(_) if at.is_some() => Err(SPIPE),
        FoundDescriptor::Stream(StandardStream::Input) => read_stdin(memory, state, iovs),
        FoundDescriptor::Stream(_) => Err(BADF),
        FoundDescriptor::Open(open) => read_file(memory, open, iovs, at),
    }
}

fn read_stdin(memory: &mut [u8], state: &mut CoreGuest, (iovs, count): Span) -> Result<u32, i32> {
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let (at, length) = iovec(memory, iovs, index)?;
        let length = length.min(state.stdin.len()).min(CALL_BYTES_MAX - total);
        range(memory, at, length)?.copy_from_slice(&state.stdin.split_to(length));
        total += length;
        if state.stdin.is_empty() || total == CALL_BYTES_MAX {
            break;
        }
    }
    Ok(to_u32(total))
}

fn read_file(
    memory: &mut [u8],
    open: &mut OpenDescriptor,
    (iovs, count): Span,
    at: Option<u64>,
) -> Result<u32, i32> {
    let file = file(open, FD_READ)?;
    let mut offset = at.unwrap_or(*file.position);
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let (address, length) = iovec(memory, iovs, index)?;
        let target = range(memory, address, length.min(CALL_BYTES_MAX - total))?;
        let wanted = target.len();
        let read = file.node.read(offset, target).map_err(of_fault)?;
        offset += read as u64;
        total += read;
        if read < wanted || total == CALL_BYTES_MAX {
            break;
        }
    }
    if at.is_none() {
        *file.position = offset;
    }
    Ok(to_u32(total))
}

/// Writes at an offset, or where the descriptor is. The outer error ends the guest, the inner one is the guest's errno.
fn write(guest: &mut Guest<'_>, fd: u32, iovs: Span, at: Option<u64>) -> Result<Result<u32, i32>> {
    let (memory, state) = match memory(guest) {
        Ok(both) => both,
        Err(errno) => return Ok(Err(errno)),
    };
    match find(state, fd) {
        Err(errno) => Ok(Err(errno)),
        Ok(FoundDescriptor::Stream(_)) if at.is_some() => Ok(Err(SPIPE)),
        Ok(FoundDescriptor::Stream(StandardStream::Input)) => Ok(Err(BADF)),
        Ok(FoundDescriptor::Stream(stream)) => write_stream(memory, state, stream, iovs),
        Ok(FoundDescriptor::Open(open)) => Ok(write_file(memory, open, iovs, at)),
    }
}

fn write_stream(
    memory: &mut [u8],
    state: &mut CoreGuest,
    stream: StandardStream,
    (iovs, count): Span,
) -> Result<Result<u32, i32>> {
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let piece = iovec(memory, iovs, index)
            .and_then(|(at, length)| range(memory, at, length.min(CALL_BYTES_MAX - total)));
        let bytes = match piece {
            Ok(bytes) => bytes,
            Err(errno) => return Ok(Err(errno)),
        };
        total += bytes.len();
        if stream == StandardStream::Error {
            state.log.push(bytes);
        } else if state.stdout.len() + bytes.len() > state.stdout_max {
            return Err(Stop::Output(state.stdout_max).into());
        } else {
            state.stdout.extend_from_slice(bytes);
        }
        if total == CALL_BYTES_MAX {
            break;
        }
    }
    Ok(Ok(to_u32(total)))
}

/// A file that is full takes what fits of the buffers, and is an error to the write after that.
fn write_file(
    memory: &mut [u8],
    open: &mut OpenDescriptor,
    (iovs, count): Span,
    at: Option<u64>,
) -> Result<u32, i32> {
    let file = file(open, FD_WRITE)?;
    let appends = at.is_none() && file.flags & APPEND != 0;
    let mut offset = at.unwrap_or(*file.position);
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let (address, length) = iovec(memory, iovs, index)?;
        let bytes = &*range(memory, address, length.min(CALL_BYTES_MAX - total))?;
        let written = if appends {
            file.node.append(bytes)
        } else {
            let end = offset.saturating_add(bytes.len() as u64);
            file.node.write(offset, bytes).map(|()| end)
        };
        offset = match written {
            Ok(end) => end,
            Err(_) if total > 0 => break,
            Err(fault) => return Err(of_fault(fault)),
        };
        total += bytes.len();
        if total == CALL_BYTES_MAX {
            break;
        }
    }
    if at.is_none() {
        *file.position = offset;
    }
    Ok(to_u32(total))
}
