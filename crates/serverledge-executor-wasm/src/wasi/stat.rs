//! The records in which preview 1 tells facts about descriptors and files.

use super::errno::INVAL;
use crate::files::{DirectoryItem, FileKind, FileStat, NewTime};

/// The file type of a pipe, for which preview 1 has no name. A character device without a position is a terminal to every
/// libc: programs would prompt, and colour what they print.
pub(super) const UNKNOWN_TYPE: u8 = 0;

/// Bytes of a listed name before the name itself.
const DIRENT_BYTES: usize = 24;

pub(super) const fn file_type(kind: FileKind) -> u8 {
    match kind {
        FileKind::Directory => 3,
        FileKind::File => 4,
        FileKind::Symlink => 7,
    }
}

/// An `fdstat`.
pub(super) fn fdstat(kind: u8, flags: u16, base: u64, inheriting: u64) -> [u8; 24] {
    let mut stat = [0; 24];
    stat[0] = kind;
    stat[2..4].copy_from_slice(&flags.to_le_bytes());
    stat[8..16].copy_from_slice(&base.to_le_bytes());
    stat[16..].copy_from_slice(&inheriting.to_le_bytes());
    stat
}

/// A `filestat`.
pub(super) fn filestat(stat: &FileStat) -> [u8; 64] {
    let mut record = [0; 64];
    record[16] = file_type(stat.kind);
    for (at, field) in [
        (0, stat.device),
        (8, stat.inode),
        (24, stat.links),
        (32, stat.size),
        (40, stat.accessed),
        (48, stat.modified),
        (56, stat.changed),
    ] {
        record[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    record
}

/// The `filestat` of a stream, which has nothing but a type.
pub(super) fn stream_filestat() -> [u8; 64] {
    let mut record = [0; 64];
    record[16] = UNKNOWN_TYPE;
    record
}

/// A `dirent` and the name behind it.
pub(super) fn dirent(item: &DirectoryItem) -> Vec<u8> {
    let mut record = Vec::with_capacity(DIRENT_BYTES + item.name.len());
    record.extend_from_slice(&item.next.to_le_bytes());
    record.extend_from_slice(&item.inode.to_le_bytes());
    let length = u32::try_from(item.name.len()).unwrap_or(u32::MAX);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&[file_type(item.kind), 0, 0, 0]);
    record.extend_from_slice(item.name.as_bytes());
    record
}

/// The times that `fstflags` say: of the last access, and of the last change of the contents.
pub(super) fn new_times(
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(NewTime, NewTime), i32> {
    if flags > 15 {
        return Err(INVAL);
    }
    let time = |given: bool, now: bool, time: u64| match (given, now) {
        (true, true) => Err(INVAL),
        (true, false) => Ok(NewTime::At(time)),
        (false, true) => Ok(NewTime::Now),
        (false, false) => Ok(NewTime::Keep),
    };
    Ok((
        time(flags & 1 != 0, flags & 2 != 0, accessed)?,
        time(flags & 4 != 0, flags & 8 != 0, modified)?,
    ))
}
