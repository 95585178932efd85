//! `wasi:filesystem` of WASI 0.2.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::streams::{FileReader, FileWriter};
use super::{DescriptorFault, FIRST_NAME, FilesView, in_seconds, time_at};
use crate::files::{FileFault, FileKind, FileNode, FileStat, NewTime, OpenHow};

/// Most bytes that one call reads.
const READ_BYTES_MAX: usize = 1 << 20;

/// A listing under way.
struct Listing {
    directory: FileNode,
    position: u64,
}

words_of_version!(FsError);

impl From<FileFault> for FsError {
    fn from(fault: FileFault) -> Self {
        code(fault).into()
    }
}

fn descriptor_stat(stat: &FileStat) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: Some(datetime(stat.accessed)),
        data_modification_timestamp: Some(datetime(stat.modified)),
        status_change_timestamp: Some(datetime(stat.changed)),
    }
}

fn datetime(nanoseconds: u64) -> Datetime {
    let (seconds, nanoseconds) = in_seconds(nanoseconds);
    Datetime {
        seconds,
        nanoseconds,
    }
}

fn new_time(time: NewTimestamp) -> Result<NewTime, DescriptorFault> {
    match time {
        NewTimestamp::NoChange => Ok(NewTime::Keep),
        NewTimestamp::Now => Ok(NewTime::Now),
        NewTimestamp::Timestamp(time) => time_at(time.seconds, time.nanoseconds),
    }
}

fn hash((lower, upper): (u64, u64)) -> MetadataHashValue {
    MetadataHashValue { lower, upper }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.directories()
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let fault: Option<&FileFault> = self.table.get(&error)?.downcast_ref();
        Ok(fault.map(|fault| code(*fault)))
    }
}

impl HostDescriptor for FilesView<'_> {
    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        _offset: Filesize,
        _length: Filesize,
        _advice: Advice,
    ) -> FsResult<()> {
        if self.node(&fd)?.is_directory() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        Ok(())
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.get(&fd)?;
        Ok(())
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.get(&fd)?;
        Ok(())
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        Ok(self.get(&fd)?.flags)
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        Ok(descriptor_type(self.node(&fd)?.kind()))
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        self.file(&fd, DescriptorFlags::WRITE)?.set_size(size)?;
        Ok(())
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        self.node(&fd)?.set_times(accessed, modified)?;
        Ok(())
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let node = self.file(&fd, DescriptorFlags::READ)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = node.read_bytes(offset, length.min(READ_BYTES_MAX))?;
        let is_end = offset.saturating_add(bytes.len() as u64) >= node.stat().size;
        Ok((bytes.to_vec(), is_end))
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let node = self.file(&fd, DescriptorFlags::WRITE)?;
        node.write(offset, &bytes)?;
        Ok(bytes.len() as u64)
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let directory = self.node(&fd)?.clone();
        if !directory.is_directory() {
            return Err(ErrorCode::NotDirectory.into());
        }
        let key = self.table.push(Listing {
            directory,
            position: FIRST_NAME,
        })?;
        Ok(Resource::new_own(key.rep()))
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.node(&fd)?.create_directory(&path)?;
        Ok(())
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        Ok(descriptor_stat(&self.node(&fd)?.stat()))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let node = self.node(&fd)?.lookup(&path, follows(flags))?;
        Ok(descriptor_stat(&node.stat()))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        let node = self.node(&fd)?.lookup(&path, follows(flags))?;
        node.set_times(accessed, modified)?;
        Ok(())
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        if follows(flags) {
            return Err(ErrorCode::Invalid.into());
        }
        let new_directory = self.node(&new_directory)?;
        self.node(&fd)?.link(&path, new_directory, &new_path)?;
        Ok(())
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let how = OpenHow {
            follow: follows(path_flags),
            create: open_flags.contains(OpenFlags::CREATE),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            write: flags.contains(DescriptorFlags::WRITE),
        };
        Ok(self.open(&fd, &path, how, flags)?)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let target = self.node(&fd)?.read_link(&path)?;
        Ok(String::from(&*target))
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.node(&fd)?.remove_directory(&path)?;
        Ok(())
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let new_directory = self.node(&new_directory)?;
        self.node(&fd)?.rename(&path, new_directory, &new_path)?;
        Ok(())
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        self.node(&fd)?.symlink(&target, &path)?;
        Ok(())
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.node(&fd)?.unlink(&path)?;
        Ok(())
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let node = self.file(&fd, DescriptorFlags::READ)?.clone();
        let reader: DynInputStream = Box::new(FileReader::new(node, offset));
        Ok(self.table.push(reader)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = self.file(&fd, DescriptorFlags::WRITE)?.clone();
        let writer: DynOutputStream = Box::new(FileWriter::at(node, offset));
        Ok(self.table.push(writer)?)
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = self.file(&fd, DescriptorFlags::WRITE)?.clone();
        let writer: DynOutputStream = Box::new(FileWriter::at_end(node));
        Ok(self.table.push(writer)?)
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(self.is_same(&one, &other)?)
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        Ok(hash(self.node(&fd)?.metadata_hash()))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let node = self.node(&fd)?.lookup(&path, follows(flags))?;
        Ok(hash(node.metadata_hash()))
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.close(&fd)
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let key: Resource<Listing> = Resource::new_borrow(stream.rep());
        let listing = self.table.get_mut(&key)?;
        let mut items = listing.directory.list(listing.position, 1)?;
        Ok(items.pop().map(|item| {
            listing.position = item.next;
            DirectoryEntry {
                type_: descriptor_type(item.kind),
                name: String::from(&*item.name),
            }
        }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let key: Resource<Listing> = Resource::new_own(stream.rep());
        self.table.delete(key)?;
        Ok(())
    }
}
