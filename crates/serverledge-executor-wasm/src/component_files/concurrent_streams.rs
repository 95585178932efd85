//! Streams of files as WASI 0.3 has them: what they read and write is there at once. A stream that could go on for long
//! lets others have a turn, since two files can be joined without any code of the guest's between them.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, Source, StreamConsumer, StreamProducer, StreamResult, VecBuffer,
};
use wasmtime_wasi::p3::bindings::filesystem::types::DirectoryEntry;

use crate::files::{DirectoryItem, FileFault, FileNode};

/// Most bytes that are read or written at once, and that a stream reads in one turn.
const BYTES_MAX: usize = 1 << 20;
/// Bytes that every piece counts at least, however short it is.
const PIECE_BYTES: usize = 4096;
/// Bytes that are read at once for a reader that does not say how many it takes.
const BLOCK_BYTES: usize = 64 << 10;
/// Most names that are listed at once.
const NAMES_MAX: usize = 256;

/// The end of a stream, which somebody may wait for. It is a good one unless a fault was told.
pub(super) struct StreamEnd(Option<oneshot::Sender<Result<(), FileFault>>>);

impl StreamEnd {
    /// An end, and the place where it is told.
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<(), FileFault>>) {
        let (sender, told) = oneshot::channel();
        (Self(Some(sender)), told)
    }

    /// Ends the stream.
    fn tell(&mut self, result: Result<(), FileFault>) -> StreamResult {
        if let Some(sender) = self.0.take() {
            // The guest may not want to know.
            let _ = sender.send(result);
        }
        StreamResult::Dropped
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.tell(Ok(()));
    }
}

/// Reads a file from an offset on.
pub(super) struct FileSource {
    node: FileNode,
    offset: u64,
    /// Bytes that were read in this turn, as they count.
    turn_bytes: usize,
    end: StreamEnd,
}

impl FileSource {
    pub(super) fn new(node: FileNode, offset: u64, end: StreamEnd) -> Self {
        Self {
            node,
            offset,
            turn_bytes: 0,
            end,
        }
    }

    /// Reads into a buffer, which has room.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FileFault> {
        let length = buffer.len().min(BYTES_MAX);
        let count = self.node.read(self.offset, &mut buffer[..length])?;
        self.offset += count as u64;
        self.turn_bytes += count.max(PIECE_BYTES);
        Ok(count)
    }
}

impl<D> StreamProducer<D> for FileSource {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.turn_bytes >= BYTES_MAX && !finish {
            self.turn_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut target = destination.as_direct(store, BLOCK_BYTES);
        let buffer = target.remaining();
        // Whoever has no room only wants to know whether there is something.
        if buffer.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let result = match self.read(buffer) {
            Ok(0) => self.end.tell(Ok(())),
            Ok(count) => {
                target.mark_written(count);
                StreamResult::Completed
            }
            Err(fault) => self.end.tell(Err(fault)),
        };
        Poll::Ready(Ok(result))
    }
}

/// Writes a file from an offset on, or at its end.
pub(super) struct FileSink {
    node: FileNode,
    /// `None`: at the end, wherever that is.
    offset: Option<u64>,
    end: StreamEnd,
}

impl FileSink {
    pub(super) fn new(node: FileNode, offset: Option<u64>, end: StreamEnd) -> Self {
        Self { node, offset, end }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileFault> {
        match self.offset {
            Some(offset) => {
                self.node.write(offset, bytes)?;
                self.offset = Some(offset + bytes.len() as u64);
            }
            None => {
                self.node.append(bytes)?;
            }
        }
        Ok(())
    }
}

impl<D> StreamConsumer<D> for FileSink {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, Self::Item>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let length = bytes.len().min(BYTES_MAX);
        let result = match self.write(&bytes[..length]) {
            Ok(()) => {
                source.mark_read(length);
                StreamResult::Completed
            }
            Err(fault) => self.end.tell(Err(fault)),
        };
        Poll::Ready(Ok(result))
    }
}

/// Lists the names of a directory from a position on.
pub(super) struct NameSource {
    directory: FileNode,
    position: u64,
    entry: fn(&DirectoryItem) -> DirectoryEntry,
    end: StreamEnd,
}

impl NameSource {
    pub(super) fn new(
        directory: FileNode,
        position: u64,
        entry: fn(&DirectoryItem) -> DirectoryEntry,
        end: StreamEnd,
    ) -> Self {
        Self {
            directory,
            position,
            entry,
            end,
        }
    }

    fn list(&mut self, count_max: usize) -> Result<Vec<DirectoryEntry>, FileFault> {
        let items = self.directory.list(self.position, count_max)?;
        if let Some(last) = items.last() {
            self.position = last.next;
        }
        Ok(items.iter().map(self.entry).collect())
    }
}

impl<D> StreamProducer<D> for NameSource {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = destination.remaining(&mut store).unwrap_or(NAMES_MAX);
        if room == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let result = match self.list(room.min(NAMES_MAX)) {
            Ok(names) if names.is_empty() => self.end.tell(Ok(())),
            Ok(names) => {
                destination.set_buffer(names.into());
                StreamResult::Completed
            }
            Err(fault) => self.end.tell(Err(fault)),
        };
        Poll::Ready(Ok(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{MemoryRoom, OpenHow};

    fn root(bytes_max: u64) -> FileNode {
        FileNode::scratch(&MemoryRoom::new(bytes_max))
    }

    fn file(root: &FileNode) -> FileNode {
        let how = OpenHow {
            create: true,
            write: true,
            ..OpenHow::default()
        };
        root.open("f", how).expect("a file")
    }

    #[test]
    fn streams_go_on_where_they_were() {
        let node = file(&root(1 << 20));
        let mut sink = FileSink::new(node.clone(), Some(2), StreamEnd::new().0);
        sink.write(b"ab").unwrap();
        sink.write(b"cd").unwrap();
        let mut appending = FileSink::new(node.clone(), None, StreamEnd::new().0);
        appending.write(b"ef").unwrap();
        node.append(b"gh").unwrap();
        appending.write(b"ij").unwrap();
        let mut source = FileSource::new(node, 1, StreamEnd::new().0);
        let mut buffer = [0; 100];
        assert_eq!(source.read(&mut buffer[..4]), Ok(4));
        assert_eq!(source.read(&mut buffer[4..]), Ok(7));
        assert_eq!(&buffer[..11], b"\0abcdefghij");
        assert_eq!(source.read(&mut buffer), Ok(0));
        assert_eq!(source.turn_bytes, 3 * PIECE_BYTES);
    }

    #[test]
    fn the_end_is_told_once() {
        let node = file(&root(1000));
        let (end, mut told) = StreamEnd::new();
        let mut sink = FileSink::new(node, Some(0), end);
        let fault = sink.write(b"x").unwrap_err();
        assert_eq!(fault, FileFault::NoSpace);
        sink.end.tell(Err(fault));
        drop(sink);
        assert_eq!(told.try_recv(), Ok(Err(FileFault::NoSpace)));
        let (end, mut told) = StreamEnd::new();
        drop(end);
        assert_eq!(told.try_recv(), Ok(Ok(())));
    }
}
