//! The functions of paths. A call without files has no directory from which one leads.

use wasmtime::{Linker, Result};

use super::descriptors::FLAGS_MAX;
use super::errno::{BADF, INVAL, NOTCAPABLE, NOTDIR, of_fault, outcome};
use super::lookup::{directory, require};
use super::memory::{Guest, MODULE, Span, memory, path_at, put, put_u32, range, to_u32};
use super::stat::{filestat, new_times};
use crate::core_guest::CoreGuest;
use crate::descriptor_table::{DescriptorTarget, OpenDescriptor};
use crate::files::{FileFault, FileNode, OpenHow};
use crate::rights;

/// The only flag of a lookup: a symbolic link at the end is followed.
const FOLLOW: u32 = 1;
/// Flags of opening.
const CREATE: u32 = 1;
const MUST_BE_DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;
const OPEN_FLAGS_MAX: u32 = 15;

pub(super) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    add_facts(linker)?;
    add_names(linker)?;
    add_links(linker)?;
    linker.func_wrap(
        MODULE,
        "path_open",
        |mut guest: Guest<'_>,
         fd: u32,
         lookup: u32,
         at: u32,
         length: u32,
         flags: u32,
         base: u64,
         _inheriting: u64,
         descriptor_flags: u32,
         opened: u32| {
            let opening = Opening {
                fd,
                lookup,
                path: (at, length),
                flags,
                base,
                descriptor_flags,
            };
            outcome(
                // Nothing is opened whose number cannot be told.
                memory(&mut guest)
                    .and_then(|(memory, _)| range(memory, opened, 4).map(|_| ()))
                    .and_then(|()| open(&mut guest, &opening))
                    .and_then(|number| put_u32(&mut guest, opened, number)),
            )
        },
    )?;
    Ok(())
}

/// Does something with a directory that has this right, and a path in it.
fn on_path(
    guest: &mut Guest<'_>,
    (fd, right): (u32, u64),
    path: Span,
    act: impl FnOnce(&FileNode, &str) -> Result<(), FileFault>,
) -> i32 {
    let done = memory(guest).and_then(|(memory, state)| {
        let directory = directory(state, fd, right)?;
        act(directory, path_at(memory, path)?).map_err(of_fault)
    });
    outcome(done)
}

/// Does something with two directories that have these rights, and a path in each.
fn on_two_paths(
    guest: &mut Guest<'_>,
    (from, from_path): ((u32, u64), Span),
    (to, to_path): ((u32, u64), Span),
    act: impl FnOnce(&FileNode, &str, &FileNode, &str) -> Result<(), FileFault>,
) -> i32 {
    let done = memory(guest).and_then(|(memory, state)| {
        let from = directory(state, from.0, from.1)?;
        let to = directory(state, to.0, to.1)?;
        let (from_path, to_path) = (path_at(memory, from_path)?, path_at(memory, to_path)?);
        act(from, from_path, to, to_path).map_err(of_fault)
    });
    outcome(done)
}

fn add_facts(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |mut guest: Guest<'_>, fd: u32, lookup: u32, at: u32, length: u32, stat: u32| {
            let found = memory(&mut guest).and_then(|(memory, state)| {
                let directory = directory(state, fd, rights::PATH_FILESTAT_GET)?;
                let node = directory
                    .lookup(path_at(memory, (at, length))?, lookup & FOLLOW != 0)
                    .map_err(of_fault)?;
                Ok(filestat(&node.stat()))
            });
            outcome(found.and_then(|record| put(&mut guest, stat, &record)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |mut guest: Guest<'_>,
         fd: u32,
         lookup: u32,
         at: u32,
         length: u32,
         accessed: u64,
         modified: u64,
         flags: u32| {
            let set = memory(&mut guest).and_then(|(memory, state)| {
                let directory = directory(state, fd, rights::PATH_FILESTAT_SET_TIMES)?;
                let (accessed, modified) = new_times(accessed, modified, flags)?;
                directory
                    .lookup(path_at(memory, (at, length))?, lookup & FOLLOW != 0)
                    .and_then(|node| node.set_times(accessed, modified))
                    .map_err(of_fault)
            });
            outcome(set)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_readlink",
        |mut guest: Guest<'_>,
         fd: u32,
         at: u32,
         length: u32,
         buffer: u32,
         buffer_length: u32,
         used: u32| {
            let copied = memory(&mut guest).and_then(|(memory, state)| {
                let directory = directory(state, fd, rights::PATH_READLINK)?;
                let target = directory
                    .read_link(path_at(memory, (at, length))?)
                    .map_err(of_fault)?;
                let length = target.len().min(buffer_length as usize);
                range(memory, buffer, length)?.copy_from_slice(&target.as_bytes()[..length]);
                Ok(to_u32(length))
            });
            outcome(copied.and_then(|bytes| put_u32(&mut guest, used, bytes)))
        },
    )?;
    Ok(())
}

fn add_names(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "path_create_directory",
        |mut guest: Guest<'_>, fd: u32, at: u32, length: u32| {
            let from = (fd, rights::PATH_CREATE_DIRECTORY);
            on_path(&mut guest, from, (at, length), FileNode::create_directory)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_remove_directory",
        |mut guest: Guest<'_>, fd: u32, at: u32, length: u32| {
            let from = (fd, rights::PATH_REMOVE_DIRECTORY);
            on_path(&mut guest, from, (at, length), FileNode::remove_directory)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_unlink_file",
        |mut guest: Guest<'_>, fd: u32, at: u32, length: u32| {
            let from = (fd, rights::PATH_UNLINK_FILE);
            on_path(&mut guest, from, (at, length), FileNode::unlink)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_rename",
        |mut guest: Guest<'_>,
         fd: u32,
         at: u32,
         length: u32,
         new_fd: u32,
         new_at: u32,
         new_length: u32| {
            on_two_paths(
                &mut guest,
                ((fd, rights::PATH_RENAME_SOURCE), (at, length)),
                ((new_fd, rights::PATH_RENAME_TARGET), (new_at, new_length)),
                FileNode::rename,
            )
        },
    )?;
    Ok(())
}

fn add_links(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "path_link",
        |mut guest: Guest<'_>,
         fd: u32,
         lookup: u32,
         at: u32,
         length: u32,
         new_fd: u32,
         new_at: u32,
         new_length: u32| {
            on_two_paths(
                &mut guest,
                ((fd, rights::PATH_LINK_SOURCE), (at, length)),
                ((new_fd, rights::PATH_LINK_TARGET), (new_at, new_length)),
                |from, path, to, new_path| {
                    if lookup & FOLLOW != 0 {
                        return Err(FileFault::Invalid);
                    }
                    from.link(path, to, new_path)
                },
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_symlink",
        |mut guest: Guest<'_>, target: u32, target_length: u32, fd: u32, at: u32, length: u32| {
            let made = memory(&mut guest).and_then(|(memory, state)| {
                let directory = directory(state, fd, rights::PATH_SYMLINK)?;
                let target = path_at(memory, (target, target_length))?;
                directory
                    .symlink(target, path_at(memory, (at, length))?)
                    .map_err(of_fault)
            });
            outcome(made)
        },
    )?;
    Ok(())
}

/// The arguments of `path_open`.
struct Opening {
    fd: u32,
    lookup: u32,
    path: Span,
    flags: u32,
    base: u64,
    descriptor_flags: u32,
}

/// Opens a path; the number of the descriptor. It has the rights of its kind that the directory lets it inherit.
fn open(guest: &mut Guest<'_>, opening: &Opening) -> Result<u32, i32> {
    let (memory, state) = memory(guest)?;
    let table = state.files.as_mut().ok_or(NOTCAPABLE)?;
    let parent = table.get(opening.fd).ok_or(BADF)?;
    let DescriptorTarget::Directory { node, .. } = &parent.target else {
        return Err(NOTDIR);
    };
    let has = |flag: u32| opening.flags & flag != 0;
    let mut needed = rights::PATH_OPEN;
    if has(CREATE) {
        needed |= rights::PATH_CREATE_FILE;
    }
    if has(TRUNCATE) {
        needed |= rights::PATH_FILESTAT_SET_SIZE;
    }
    require(parent, needed)?;
    if opening.flags > OPEN_FLAGS_MAX || opening.descriptor_flags > FLAGS_MAX {
        return Err(INVAL);
    }
    let flags = u16::try_from(opening.descriptor_flags).map_err(|_| INVAL)?;
    let inheriting = parent.inheriting;
    let how = OpenHow {
        follow: opening.lookup & FOLLOW != 0,
        create: has(CREATE),
        exclusive: has(EXCLUSIVE),
        directory: has(MUST_BE_DIRECTORY),
        truncate: has(TRUNCATE),
        write: opening.base & inheriting & rights::FD_WRITE != 0,
    };
    table.next().map_err(of_fault)?;
    let path = path_at(memory, opening.path)?;
    let node = node.open(path, how).map_err(of_fault)?;
    let descriptor = if node.is_directory() {
        OpenDescriptor {
            target: DescriptorTarget::Directory {
                node,
                preopen: None,
            },
            base: rights::DIRECTORY & inheriting,
            inheriting,
            flags,
        }
    } else {
        OpenDescriptor {
            target: DescriptorTarget::File { node, position: 0 },
            base: rights::of_file(opening.base, inheriting),
            inheriting: 0,
            flags,
        }
    };
    table.open(descriptor).map_err(of_fault)
}
