//! Bounds of files.

/// Longest path, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 4096;
/// Longest name within a directory, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Symbolic links that one path leads through.
pub(super) const SYMLINKS_MAX: usize = 40;
/// Names on the whole way of a path, with those of its links: more would keep the host busy between two ticks.
pub(super) const STEPS_MAX: usize = 4096;
/// Names in all directories of a call together: each costs the host some hundred bytes.
pub(super) const NAMES_MAX: u32 = 10_000;
/// Descriptors that a call has open at once.
pub(crate) const OPEN_MAX: usize = 1024;
/// Bytes that a name in a directory of a call counts, beside its own: those of the node and of two map entries.
pub(super) const NAME_COST: u64 = 512;
