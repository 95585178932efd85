//! Error numbers of preview 1.

use crate::files::FileFault;

pub(super) const SUCCESS: i32 = 0;
pub(super) const BADF: i32 = 8;
pub(super) const FAULT: i32 = 21;
pub(super) const ILSEQ: i32 = 25;
pub(super) const INVAL: i32 = 28;
pub(super) const IO: i32 = 29;
pub(super) const ISDIR: i32 = 31;
pub(super) const NAMETOOLONG: i32 = 37;
pub(super) const NOSYS: i32 = 52;
pub(super) const NOTDIR: i32 = 54;
pub(super) const NOTSOCK: i32 = 57;
pub(super) const SPIPE: i32 = 70;
pub(super) const NOTCAPABLE: i32 = 76;

pub(super) fn outcome(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(SUCCESS)
}

/// The number of a fault of files.
pub(super) const fn of_fault(fault: FileFault) -> i32 {
    match fault {
        FileFault::Busy => 10,
        FileFault::Exists => 20,
        FileFault::TooLarge => 22,
        FileFault::Invalid => INVAL,
        FileFault::IsDirectory => ISDIR,
        FileFault::Loop => 32,
        FileFault::TooManyOpen => 33,
        FileFault::NameTooLong => NAMETOOLONG,
        FileFault::NoEntry => 44,
        FileFault::NoSpace => 51,
        FileFault::NotDirectory => NOTDIR,
        FileFault::NotEmpty => 55,
        FileFault::NotPermitted => 63,
        FileFault::ReadOnly => 69,
        FileFault::CrossDevice => 75,
    }
}
