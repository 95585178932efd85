//! Descriptors by their numbers: in the table of a call with files, else the three streams.

use super::errno::{BADF, ISDIR, NOTCAPABLE, NOTDIR, NOTSOCK};
use super::memory::Guest;
use crate::core_guest::CoreGuest;
use crate::descriptor_table::{DescriptorTarget, OpenDescriptor, StandardStream};
use crate::files::FileNode;
use crate::rights::{FD_READ, FD_WRITE};

/// A descriptor that there is.
pub(super) enum FoundDescriptor<'a> {
    Stream(StandardStream),
    /// A file or a directory.
    Open(&'a mut OpenDescriptor),
}

/// The parts of a descriptor that is a file's.
pub(super) struct FileParts<'a> {
    pub(super) node: &'a FileNode,
    pub(super) position: &'a mut u64,
    pub(super) flags: u16,
}

pub(super) fn find(state: &mut CoreGuest, fd: u32) -> Result<FoundDescriptor<'_>, i32> {
    let Some(table) = &mut state.files else {
        let stream = StandardStream::of(fd).ok_or(BADF)?;
        return Ok(FoundDescriptor::Stream(stream));
    };
    match table.get_mut(fd) {
        Some(OpenDescriptor {
            target: DescriptorTarget::Stream(stream),
            ..
        }) => Ok(FoundDescriptor::Stream(*stream)),
        Some(open) => Ok(FoundDescriptor::Open(open)),
        None => Err(BADF),
    }
}

pub(super) fn is_open(state: &CoreGuest, fd: u32) -> bool {
    match &state.files {
        Some(table) => table.get(fd).is_some(),
        None => StandardStream::of(fd).is_some(),
    }
}

/// The answer to a function for sockets.
pub(super) fn no_socket(guest: &Guest<'_>, fd: u32) -> i32 {
    if is_open(guest.data(), fd) {
        NOTSOCK
    } else {
        BADF
    }
}

/// The errno of a right that a descriptor does not have. One that is not open for reading or writing is told as POSIX
/// tells it.
pub(super) fn require(open: &OpenDescriptor, right: u64) -> Result<(), i32> {
    if open.base & right == right {
        Ok(())
    } else if right & (FD_READ | FD_WRITE) != 0 {
        Err(BADF)
    } else {
        Err(NOTCAPABLE)
    }
}

/// The file behind a descriptor with this right.
pub(super) fn file(open: &mut OpenDescriptor, right: u64) -> Result<FileParts<'_>, i32> {
    if matches!(open.target, DescriptorTarget::File { .. }) {
        require(open, right)?;
    }
    let flags = open.flags;
    match &mut open.target {
        DescriptorTarget::File { node, position } => Ok(FileParts {
            node,
            position,
            flags,
        }),
        _ => Err(ISDIR),
    }
}

/// The node behind a descriptor of a file or directory.
pub(super) fn node(open: &OpenDescriptor) -> Result<&FileNode, i32> {
    match &open.target {
        DescriptorTarget::File { node, .. } | DescriptorTarget::Directory { node, .. } => Ok(node),
        DescriptorTarget::Stream(_) => Err(BADF),
    }
}

/// The directory behind a descriptor with this right, from which a path leads. A call without files has none.
pub(super) fn directory(state: &CoreGuest, fd: u32, right: u64) -> Result<&FileNode, i32> {
    let table = state.files.as_ref().ok_or(NOTCAPABLE)?;
    let open = table.get(fd).ok_or(BADF)?;
    match &open.target {
        DescriptorTarget::Directory { node, .. } => {
            require(open, right)?;
            Ok(node)
        }
        _ => Err(NOTDIR),
    }
}
