//! `wasi:filesystem` of WASI 0.3.

use tokio::sync::oneshot;
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorFlags as KeptFlags;
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    ErrorCode, Filesize, HostDescriptor, HostDescriptorWithStore, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

use super::concurrent_streams::{FileSink, FileSource, NameSource, StreamEnd};
use super::{DescriptorFault, FIRST_NAME, FilesView, HasFiles, in_seconds, time_at};
use crate::files::{DirectoryItem, FileFault, FileKind, FileNode, FileStat, NewTime, OpenHow};

/// The flags of both versions.
const FLAGS: [(DescriptorFlags, KeptFlags); 6] = [
    (DescriptorFlags::READ, KeptFlags::READ),
    (DescriptorFlags::WRITE, KeptFlags::WRITE),
    (
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        KeptFlags::FILE_INTEGRITY_SYNC,
    ),
    (
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        KeptFlags::DATA_INTEGRITY_SYNC,
    ),
    (
        DescriptorFlags::REQUESTED_WRITE_SYNC,
        KeptFlags::REQUESTED_WRITE_SYNC,
    ),
    (
        DescriptorFlags::MUTATE_DIRECTORY,
        KeptFlags::MUTATE_DIRECTORY,
    ),
];

words_of_version!(FilesystemError);

/// The future that says how a stream ended.
type StreamOutcome = FutureReader<Result<(), ErrorCode>>;

fn kept_flags(flags: DescriptorFlags) -> KeptFlags {
    let mut kept = KeptFlags::empty();
    for (flag, same) in FLAGS {
        if flags.contains(flag) {
            kept |= same;
        }
    }
    kept
}

fn descriptor_flags(kept: KeptFlags) -> DescriptorFlags {
    let mut flags = DescriptorFlags::empty();
    for (flag, same) in FLAGS {
        if kept.contains(same) {
            flags |= flag;
        }
    }
    flags
}

fn descriptor_stat(stat: &FileStat) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: Some(instant(stat.accessed)),
        data_modification_timestamp: Some(instant(stat.modified)),
        status_change_timestamp: Some(instant(stat.changed)),
    }
}

fn instant(nanoseconds: u64) -> Instant {
    let (seconds, nanoseconds) = in_seconds(nanoseconds);
    Instant {
        // Nanoseconds in 64 bits end before these seconds do.
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanoseconds,
    }
}

fn new_time(time: NewTimestamp) -> Result<NewTime, DescriptorFault> {
    match time {
        NewTimestamp::NoChange => Ok(NewTime::Keep),
        NewTimestamp::Now => Ok(NewTime::Now),
        NewTimestamp::Timestamp(time) => {
            let seconds = u64::try_from(time.seconds).map_err(|_| DescriptorFault::Overflow)?;
            time_at(seconds, time.nanoseconds)
        }
    }
}

fn hash((lower, upper): (u64, u64)) -> MetadataHashValue {
    MetadataHashValue { lower, upper }
}

fn entry(item: &DirectoryItem) -> DirectoryEntry {
    DirectoryEntry {
        type_: descriptor_type(item.kind),
        name: String::from(&*item.name),
    }
}

/// Does something with the files of the call, at once.
fn with<U: 'static, T>(
    store: &Accessor<U, HasFiles>,
    act: impl FnOnce(FilesView<'_>) -> Result<T, DescriptorFault>,
) -> FilesystemResult<T> {
    Ok(store.with(|mut store| act(store.get()))?)
}

/// The outcome of a stream that is told by its end.
fn told(
    store: impl AsContextMut,
    told: oneshot::Receiver<Result<(), FileFault>>,
) -> wasmtime::Result<StreamOutcome> {
    FutureReader::new(store, async move {
        wasmtime::error::Ok(told.await?.map_err(code))
    })
}

/// The outcome of a stream that cannot be. A fault of the guest's alone is one; others are traps.
fn refused(store: impl AsContextMut, fault: DescriptorFault) -> wasmtime::Result<StreamOutcome> {
    let code = FilesystemError::from(fault).downcast()?;
    FutureReader::new(store, std::future::ready(wasmtime::error::Ok(Err(code))))
}

/// Writes a stream to a file.
fn write<U: 'static>(
    mut store: Access<'_, U, HasFiles>,
    fd: &Resource<Descriptor>,
    mut data: StreamReader<u8>,
    offset: Option<Filesize>,
) -> wasmtime::Result<StreamOutcome> {
    let file = store.get().file(fd, KeptFlags::WRITE).cloned();
    match file {
        Ok(node) => {
            let (end, receiver) = StreamEnd::new();
            data.pipe(&mut store, FileSink::new(node, offset, end))?;
            told(&mut store, receiver)
        }
        Err(fault) => {
            data.close(&mut store)?;
            refused(&mut store, fault)
        }
    }
}

impl FilesView<'_> {
    /// A file that can be read from this offset on.
    fn source(&self, fd: &Resource<Descriptor>, offset: u64) -> Result<FileNode, DescriptorFault> {
        let node = self.file(fd, KeptFlags::READ)?;
        if i64::try_from(offset).is_err() {
            return Err(FileFault::Invalid.into());
        }
        Ok(node.clone())
    }

    fn directory(&self, fd: &Resource<Descriptor>) -> Result<FileNode, DescriptorFault> {
        let node = self.node(fd)?;
        if !node.is_directory() {
            return Err(FileFault::NotDirectory.into());
        }
        Ok(node.clone())
    }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.directories()
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl HostDescriptor for FilesView<'_> {
    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.close(&fd)
    }
}

impl<U> HostDescriptorWithStore<U> for HasFiles {
    fn read_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> wasmtime::Result<(StreamReader<u8>, StreamOutcome)> {
        let source = store.get().source(&fd, offset);
        Ok(match source {
            Ok(node) => {
                let (end, receiver) = StreamEnd::new();
                let source = FileSource::new(node, offset, end);
                (
                    StreamReader::new(&mut store, source)?,
                    told(&mut store, receiver)?,
                )
            }
            Err(fault) => (
                StreamReader::new(&mut store, std::iter::empty())?,
                refused(&mut store, fault)?,
            ),
        })
    }

    fn write_via_stream(
        store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> wasmtime::Result<StreamOutcome> {
        write(store, &fd, data, Some(offset))
    }

    fn append_via_stream(
        store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<StreamOutcome> {
        write(store, &fd, data, None)
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Resource<Descriptor>,
    ) -> wasmtime::Result<(StreamReader<DirectoryEntry>, StreamOutcome)> {
        let directory = store.get().directory(&fd);
        Ok(match directory {
            Ok(node) => {
                let (end, receiver) = StreamEnd::new();
                let names = NameSource::new(node, FIRST_NAME, entry, end);
                (
                    StreamReader::new(&mut store, names)?,
                    told(&mut store, receiver)?,
                )
            }
            Err(fault) => (
                StreamReader::new(&mut store, std::iter::empty())?,
                refused(&mut store, fault)?,
            ),
        })
    }

    async fn advise(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        _offset: Filesize,
        _length: Filesize,
        _advice: Advice,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            if files.node(&fd)?.is_directory() {
                return Err(DescriptorFault::BadDescriptor);
            }
            Ok(())
        })
    }

    async fn sync_data(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<()> {
        with(store, |files| Ok(files.get(&fd).map(drop)?))
    }

    async fn sync(store: &Accessor<U, Self>, fd: Resource<Descriptor>) -> FilesystemResult<()> {
        with(store, |files| Ok(files.get(&fd).map(drop)?))
    }

    async fn get_flags(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorFlags> {
        with(store, |files| Ok(descriptor_flags(files.get(&fd)?.flags)))
    }

    async fn get_type(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorType> {
        with(store, |files| Ok(descriptor_type(files.node(&fd)?.kind())))
    }

    async fn set_size(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        size: Filesize,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            Ok(files.file(&fd, KeptFlags::WRITE)?.set_size(size)?)
        })
    }

    async fn set_times(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
            Ok(files.node(&fd)?.set_times(accessed, modified)?)
        })
    }

    async fn create_directory_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            Ok(files.node(&fd)?.create_directory(&path)?)
        })
    }

    async fn stat(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorStat> {
        with(store, |files| Ok(descriptor_stat(&files.node(&fd)?.stat())))
    }

    async fn stat_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        with(store, |files| {
            let node = files.node(&fd)?.lookup(&path, follows(flags))?;
            Ok(descriptor_stat(&node.stat()))
        })
    }

    async fn set_times_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
            let node = files.node(&fd)?.lookup(&path, follows(flags))?;
            Ok(node.set_times(accessed, modified)?)
        })
    }

    async fn link_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            if follows(flags) {
                return Err(FileFault::Invalid.into());
            }
            let new_directory = files.node(&new_directory)?;
            Ok(files.node(&fd)?.link(&path, new_directory, &new_path)?)
        })
    }

    async fn open_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FilesystemResult<Resource<Descriptor>> {
        let how = OpenHow {
            follow: follows(path_flags),
            create: open_flags.contains(OpenFlags::CREATE),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            write: flags.contains(DescriptorFlags::WRITE),
        };
        with(store, |mut files| {
            files.open(&fd, &path, how, kept_flags(flags))
        })
    }

    async fn readlink_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<String> {
        with(store, |files| {
            let target = files.node(&fd)?.read_link(&path)?;
            Ok(String::from(&*target))
        })
    }

    async fn remove_directory_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            Ok(files.node(&fd)?.remove_directory(&path)?)
        })
    }

    async fn rename_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            let new_directory = files.node(&new_directory)?;
            Ok(files.node(&fd)?.rename(&path, new_directory, &new_path)?)
        })
    }

    async fn symlink_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| {
            Ok(files.node(&fd)?.symlink(&target, &path)?)
        })
    }

    async fn unlink_file_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        with(store, |files| Ok(files.node(&fd)?.unlink(&path)?))
    }

    async fn is_same_object(
        store: &Accessor<U, Self>,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(store.with(|mut store| store.get().is_same(&one, &other))?)
    }

    async fn metadata_hash(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<MetadataHashValue> {
        with(store, |files| Ok(hash(files.node(&fd)?.metadata_hash())))
    }

    async fn metadata_hash_at(
        store: &Accessor<U, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        with(store, |files| {
            let node = files.node(&fd)?.lookup(&path, follows(flags))?;
            Ok(hash(node.metadata_hash()))
        })
    }
}
