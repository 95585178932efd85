//! Files of components: `wasi:filesystem` of WASI 0.2 and 0.3 over the files in memory. It takes the place of an
//! implementation that opens files of the machine, so that a component has no way to one.

/// The words of one version of WASI for the same things. Its types have the same names in both, and nothing else in common;
/// the error is that which its functions give.
macro_rules! words_of_version {
    ($error:ty) => {
        impl From<DescriptorFault> for $error {
            fn from(fault: DescriptorFault) -> Self {
                match fault {
                    DescriptorFault::File(fault) => code(fault).into(),
                    DescriptorFault::BadDescriptor => ErrorCode::BadDescriptor.into(),
                    DescriptorFault::Overflow => ErrorCode::Overflow.into(),
                    DescriptorFault::Table(error) => error.into(),
                }
            }
        }

        /// The code for a fault of files.
        const fn code(fault: FileFault) -> ErrorCode {
            match fault {
                FileFault::NoEntry => ErrorCode::NoEntry,
                FileFault::Exists => ErrorCode::Exist,
                FileFault::NotDirectory => ErrorCode::NotDirectory,
                FileFault::IsDirectory => ErrorCode::IsDirectory,
                FileFault::NotEmpty => ErrorCode::NotEmpty,
                FileFault::Invalid => ErrorCode::Invalid,
                FileFault::Loop => ErrorCode::Loop,
                FileFault::NameTooLong => ErrorCode::NameTooLong,
                FileFault::NoSpace => ErrorCode::InsufficientSpace,
                FileFault::TooLarge => ErrorCode::FileTooLarge,
                FileFault::ReadOnly => ErrorCode::ReadOnly,
                FileFault::NotPermitted => ErrorCode::NotPermitted,
                FileFault::CrossDevice => ErrorCode::CrossDevice,
                FileFault::Busy => ErrorCode::Busy,
                // It has no name for too many descriptors.
                FileFault::TooManyOpen => ErrorCode::InsufficientMemory,
            }
        }

        fn follows(flags: PathFlags) -> bool {
            flags.contains(PathFlags::SYMLINK_FOLLOW)
        }

        const fn descriptor_type(kind: FileKind) -> DescriptorType {
            match kind {
                FileKind::File => DescriptorType::RegularFile,
                FileKind::Directory => DescriptorType::Directory,
                FileKind::Symlink => DescriptorType::SymbolicLink,
            }
        }
    };
}

mod concurrent_streams;
mod preview2;
mod preview3;
mod streams;

use wasmtime::component::{HasData, Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorFlags;

use crate::files::{FileFault, FileNode, NewTime, OPEN_MAX, OpenHow, Preopen};

/// The position of the first name in a directory that is neither it nor its parent.
const FIRST_NAME: u64 = 2;
const NANOSECONDS: u64 = 1_000_000_000;

/// The files of one call of a component.
#[derive(Debug, Default)]
pub(crate) struct ComponentFiles {
    preopens: Vec<Preopen>,
    /// Descriptors that it has opened and not closed.
    open: usize,
}

impl ComponentFiles {
    pub(crate) fn new(preopens: Vec<Preopen>) -> Self {
        Self { preopens, open: 0 }
    }
}

/// The files of a call, with the table of its resources.
pub(crate) struct FilesView<'a> {
    pub(crate) files: &'a mut ComponentFiles,
    pub(crate) table: &'a mut ResourceTable,
}

/// The kind of data that the interfaces of files work on.
pub(crate) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

/// A descriptor. To wasmtime it is one of the type of its own implementation, which is no more than a number here.
struct OpenNode {
    node: FileNode,
    /// In the words of WASI 0.2, which are those of 0.3.
    flags: DescriptorFlags,
}

/// The reason why an operation on a descriptor fails. Each version has its own name for it.
enum DescriptorFault {
    File(FileFault),
    /// It was not opened for that.
    BadDescriptor,
    /// A time is none that a file can have.
    Overflow,
    /// The table of resources has no such descriptor, or no room for another.
    Table(ResourceTableError),
}

impl From<FileFault> for DescriptorFault {
    fn from(fault: FileFault) -> Self {
        Self::File(fault)
    }
}

impl From<ResourceTableError> for DescriptorFault {
    fn from(error: ResourceTableError) -> Self {
        Self::Table(error)
    }
}

impl FilesView<'_> {
    fn get(&self, fd: &Resource<Descriptor>) -> Result<&OpenNode, ResourceTableError> {
        let key: Resource<OpenNode> = Resource::new_borrow(fd.rep());
        self.table.get(&key)
    }

    fn node(&self, fd: &Resource<Descriptor>) -> Result<&FileNode, ResourceTableError> {
        Ok(&self.get(fd)?.node)
    }

    /// A file that was opened with this flag.
    fn file(
        &self,
        fd: &Resource<Descriptor>,
        flag: DescriptorFlags,
    ) -> Result<&FileNode, DescriptorFault> {
        let open = self.get(fd)?;
        if open.node.is_directory() {
            return Err(FileFault::IsDirectory.into());
        }
        if !open.flags.contains(flag) {
            return Err(DescriptorFault::BadDescriptor);
        }
        Ok(&open.node)
    }

    /// The descriptors of the directories that the call finds open.
    fn directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let preopens = self.files.preopens.clone();
        let mut directories = Vec::with_capacity(preopens.len());
        for Preopen { name, node } in preopens {
            let mut flags = DescriptorFlags::READ;
            if !node.is_read_only() {
                flags |= DescriptorFlags::MUTATE_DIRECTORY;
            }
            directories.push((self.push(node, flags)?, String::from(&*name)));
        }
        Ok(directories)
    }

    fn open(
        &mut self,
        fd: &Resource<Descriptor>,
        path: &str,
        how: OpenHow,
        flags: DescriptorFlags,
    ) -> Result<Resource<Descriptor>, DescriptorFault> {
        if self.files.open >= OPEN_MAX {
            return Err(FileFault::TooManyOpen.into());
        }
        let node = self.node(fd)?.open(path, how)?;
        let flags = granted(&node, how, flags);
        Ok(self.push(node, flags)?)
    }

    fn push(
        &mut self,
        node: FileNode,
        flags: DescriptorFlags,
    ) -> Result<Resource<Descriptor>, ResourceTableError> {
        let key = self.table.push(OpenNode { node, flags })?;
        self.files.open += 1;
        Ok(Resource::new_own(key.rep()))
    }

    fn is_same(
        &self,
        one: &Resource<Descriptor>,
        other: &Resource<Descriptor>,
    ) -> Result<bool, ResourceTableError> {
        Ok(self.node(one)?.is_same(self.node(other)?))
    }

    fn close(&mut self, fd: &Resource<Descriptor>) -> wasmtime::Result<()> {
        let key: Resource<OpenNode> = Resource::new_own(fd.rep());
        self.table.delete(key)?;
        self.files.open = self.files.open.saturating_sub(1);
        Ok(())
    }
}

/// The flags of a descriptor that was asked for with these: a file that was made or emptied can be written to, and what
/// cannot be written to can be read.
fn granted(node: &FileNode, how: OpenHow, mut flags: DescriptorFlags) -> DescriptorFlags {
    if !flags.contains(DescriptorFlags::WRITE) {
        flags |= DescriptorFlags::READ;
    }
    if (how.create || how.truncate) && !node.is_directory() && !node.is_read_only() {
        flags |= DescriptorFlags::WRITE;
    }
    flags
}

/// The time of a file at so many seconds of the Unix epoch.
fn time_at(seconds: u64, nanoseconds: u32) -> Result<NewTime, DescriptorFault> {
    let nanoseconds = seconds
        .checked_mul(NANOSECONDS)
        .and_then(|whole| whole.checked_add(u64::from(nanoseconds)));
    nanoseconds
        .map(NewTime::At)
        .ok_or(DescriptorFault::Overflow)
}

/// Nanoseconds of the Unix epoch in seconds and the rest.
fn in_seconds(nanoseconds: u64) -> (u64, u32) {
    let rest = u32::try_from(nanoseconds % NANOSECONDS).unwrap_or(0);
    (nanoseconds / NANOSECONDS, rest)
}
