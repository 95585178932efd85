//! The functions of descriptors, except reading and writing. Streams are pipes: they have no position.

use std::sync::Arc;

use wasmtime::{Linker, Result};

use super::errno::{
    BADF, INVAL, NAMETOOLONG, NOTCAPABLE, NOTDIR, SPIPE, SUCCESS, of_fault, outcome,
};
use super::lookup::{FoundDescriptor, file, find, node, require};
use super::memory::{Guest, MODULE, Span, memory, put, put_u32, range, to_u32};
use super::stat::{UNKNOWN_TYPE, dirent, fdstat, file_type, filestat, new_times, stream_filestat};
use crate::core_guest::CoreGuest;
use crate::descriptor_table::{DescriptorTarget, OpenDescriptor, StandardStream};
use crate::rights;

/// Names that are listed at a time.
const LISTED_AT_ONCE: usize = 64;
/// All flags that a descriptor can have.
pub(super) const FLAGS_MAX: u32 = 31;
/// The last kind of advice.
const ADVICE_MAX: u32 = 5;

pub(super) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    add_facts(linker)?;
    add_positions(linker)?;
    add_changes(linker)?;
    add_table(linker)
}

/// Does something with what is no stream; a stream has an answer of its own.
fn on_open(
    guest: &mut Guest<'_>,
    fd: u32,
    stream: i32,
    act: impl FnOnce(&mut OpenDescriptor) -> Result<(), i32>,
) -> i32 {
    match find(guest.data_mut(), fd) {
        Ok(FoundDescriptor::Stream(_)) => stream,
        Ok(FoundDescriptor::Open(open)) => outcome(act(open)),
        Err(errno) => errno,
    }
}

fn add_facts(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            outcome(descriptor_facts(&mut guest, fd).and_then(|stat| put(&mut guest, at, &stat)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            outcome(file_facts(&mut guest, fd).and_then(|stat| put(&mut guest, at, &stat)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_get",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            outcome(preopen_name(&mut guest, fd).and_then(|name| {
                let length = to_u32(name.len()).to_le_bytes();
                let mut stat = [0; 8];
                stat[4..].copy_from_slice(&length);
                put(&mut guest, at, &stat)
            }))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_dir_name",
        |mut guest: Guest<'_>, fd: u32, at: u32, length: u32| {
            outcome(preopen_name(&mut guest, fd).and_then(|name| {
                if name.len() > length as usize {
                    return Err(NAMETOOLONG);
                }
                put(&mut guest, at, name.as_bytes())
            }))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_readdir",
        |mut guest: Guest<'_>, fd: u32, at: u32, length: u32, cookie: u64, used: u32| {
            outcome(
                list(&mut guest, fd, (at, length), cookie)
                    .and_then(|bytes| put_u32(&mut guest, used, bytes)),
            )
        },
    )?;
    Ok(())
}

fn descriptor_facts(guest: &mut Guest<'_>, fd: u32) -> Result<[u8; 24], i32> {
    Ok(match find(guest.data_mut(), fd)? {
        FoundDescriptor::Stream(StandardStream::Input) => {
            fdstat(UNKNOWN_TYPE, 0, rights::FD_READ, 0)
        }
        FoundDescriptor::Stream(_) => fdstat(UNKNOWN_TYPE, 0, rights::FD_WRITE, 0),
        FoundDescriptor::Open(open) => {
            let kind = file_type(node(open)?.kind());
            fdstat(kind, open.flags, open.base, open.inheriting)
        }
    })
}

fn file_facts(guest: &mut Guest<'_>, fd: u32) -> Result<[u8; 64], i32> {
    match find(guest.data_mut(), fd)? {
        FoundDescriptor::Stream(_) => Ok(stream_filestat()),
        FoundDescriptor::Open(open) => {
            require(open, rights::FD_FILESTAT_GET)?;
            Ok(filestat(&node(open)?.stat()))
        }
    }
}

/// The name of a directory that the call found open.
fn preopen_name(guest: &mut Guest<'_>, fd: u32) -> Result<Arc<str>, i32> {
    match find(guest.data_mut(), fd)? {
        FoundDescriptor::Open(OpenDescriptor {
            target:
                DescriptorTarget::Directory {
                    preopen: Some(name),
                    ..
                },
            ..
        }) => Ok(Arc::clone(name)),
        _ => Err(BADF),
    }
}

/// Lists names until the buffer is full; the last one may be cut off.
fn list(guest: &mut Guest<'_>, fd: u32, (at, length): Span, cookie: u64) -> Result<u32, i32> {
    let (memory, state) = memory(guest)?;
    let directory = match find(state, fd)? {
        FoundDescriptor::Stream(_) => return Err(INVAL),
        FoundDescriptor::Open(open) => {
            if !matches!(open.target, DescriptorTarget::Directory { .. }) {
                return Err(NOTDIR);
            }
            require(open, rights::FD_READDIR)?;
            node(open)?.clone()
        }
    };
    let buffer = range(memory, at, length as usize)?;
    let mut used = 0;
    let mut position = cookie;
    loop {
        let items = directory.list(position, LISTED_AT_ONCE).map_err(of_fault)?;
        let Some(last) = items.last() else {
            return Ok(to_u32(used));
        };
        position = last.next;
        for item in &items {
            let record = dirent(item);
            let fits = record.len().min(buffer.len() - used);
            buffer[used..used + fits].copy_from_slice(&record[..fits]);
            used += fits;
            if used == buffer.len() {
                return Ok(to_u32(used));
            }
        }
    }
}

fn add_positions(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |mut guest: Guest<'_>, fd: u32, offset: i64, whence: u32, at: u32| {
            outcome(
                seek(&mut guest, fd, offset, whence)
                    .and_then(|position| put(&mut guest, at, &position.to_le_bytes())),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_tell",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            outcome(
                tell(&mut guest, fd)
                    .and_then(|position| put(&mut guest, at, &position.to_le_bytes())),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_advise",
        |mut guest: Guest<'_>, fd: u32, _: u64, _: u64, advice: u32| {
            on_open(&mut guest, fd, SPIPE, |open| {
                file(open, rights::FD_ADVISE)?;
                if advice > ADVICE_MAX {
                    return Err(INVAL);
                }
                Ok(())
            })
        },
    )?;
    for name in ["fd_sync", "fd_datasync"] {
        linker.func_wrap(MODULE, name, |mut guest: Guest<'_>, fd: u32| {
            on_open(&mut guest, fd, SUCCESS, |_| Ok(()))
        })?;
    }
    Ok(())
}

fn seek(guest: &mut Guest<'_>, fd: u32, offset: i64, whence: u32) -> Result<u64, i32> {
    let FoundDescriptor::Open(open) = find(guest.data_mut(), fd)? else {
        return Err(SPIPE);
    };
    let file = file(open, rights::FD_SEEK)?;
    let from = match whence {
        0 => 0,
        1 => *file.position,
        2 => file.node.stat().size,
        _ => return Err(INVAL),
    };
    let position = from
        .checked_add_signed(offset)
        .filter(|position| i64::try_from(*position).is_ok())
        .ok_or(INVAL)?;
    *file.position = position;
    Ok(position)
}

fn tell(guest: &mut Guest<'_>, fd: u32) -> Result<u64, i32> {
    let FoundDescriptor::Open(open) = find(guest.data_mut(), fd)? else {
        return Err(SPIPE);
    };
    Ok(*file(open, rights::FD_TELL)?.position)
}

fn add_changes(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |mut guest: Guest<'_>, fd: u32, flags: u32| {
            on_open(&mut guest, fd, SUCCESS, |open| {
                require(open, rights::FD_FDSTAT_SET_FLAGS)?;
                open.flags = u16::try_from(flags)
                    .ok()
                    .filter(|flags| u32::from(*flags) <= FLAGS_MAX)
                    .ok_or(INVAL)?;
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_rights",
        |mut guest: Guest<'_>, fd: u32, base: u64, inheriting: u64| {
            on_open(&mut guest, fd, SUCCESS, |open| {
                if base & !open.base != 0 || inheriting & !open.inheriting != 0 {
                    return Err(NOTCAPABLE);
                }
                open.base = base;
                open.inheriting = inheriting;
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_allocate",
        |mut guest: Guest<'_>, fd: u32, offset: u64, length: u64| {
            on_open(&mut guest, fd, INVAL, |open| {
                let file = file(open, rights::FD_ALLOCATE | rights::FD_WRITE)?;
                let end = offset
                    .checked_add(length)
                    .filter(|_| length > 0)
                    .ok_or(INVAL)?;
                if end <= file.node.stat().size {
                    return Ok(());
                }
                file.node.set_size(end).map_err(of_fault)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_size",
        |mut guest: Guest<'_>, fd: u32, size: u64| {
            on_open(&mut guest, fd, INVAL, |open| {
                let file = file(open, rights::FD_FILESTAT_SET_SIZE | rights::FD_WRITE)?;
                file.node.set_size(size).map_err(of_fault)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_times",
        |mut guest: Guest<'_>, fd: u32, accessed: u64, modified: u64, flags: u32| {
            on_open(&mut guest, fd, INVAL, |open| {
                require(open, rights::FD_FILESTAT_SET_TIMES)?;
                let (accessed, modified) = new_times(accessed, modified, flags)?;
                node(open)?.set_times(accessed, modified).map_err(of_fault)
            })
        },
    )?;
    Ok(())
}

/// The functions that change what a number stands for. Without files the streams stay where they are.
fn add_table(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(MODULE, "fd_close", |mut guest: Guest<'_>, fd: u32| {
        let closed = match &mut guest.data_mut().files {
            Some(table) => table.close(fd),
            None => StandardStream::of(fd).is_some(),
        };
        if closed { SUCCESS } else { BADF }
    })?;
    linker.func_wrap(
        MODULE,
        "fd_renumber",
        |mut guest: Guest<'_>, from: u32, to: u32| {
            let table = guest.data_mut().files.as_mut();
            if table.is_some_and(|table| table.renumber(from, to)) {
                SUCCESS
            } else {
                BADF
            }
        },
    )?;
    Ok(())
}
