//! The reasons why an operation on files fails, as the interfaces of WASI have them.

/// See the module. Each interface has its own number or name for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum FileFault {
    #[error("there is no such file or directory")]
    NoEntry,
    #[error("there is one of that name already")]
    Exists,
    #[error("it is no directory")]
    NotDirectory,
    #[error("it is a directory")]
    IsDirectory,
    #[error("the directory is not empty")]
    NotEmpty,
    #[error("an argument is not valid")]
    Invalid,
    #[error("the path leads through too many symbolic links")]
    Loop,
    #[error("the path or a name in it is too long")]
    NameTooLong,
    /// Neither bytes nor names are left.
    #[error("the call's memory has no room for it")]
    NoSpace,
    #[error("a file cannot be so large")]
    TooLarge,
    #[error("the files of the code are read-only")]
    ReadOnly,
    /// The path leads out of its directory, or the thing is forbidden for this kind of node.
    #[error("it is not permitted")]
    NotPermitted,
    #[error("the two are in different file systems")]
    CrossDevice,
    #[error("the root of a file system is in use")]
    Busy,
    #[error("too many descriptors are open")]
    TooManyOpen,
}
