//! Streams of files: what they read and write is there at once, so that nobody waits.

use bytes::Bytes;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::files::{FileFault, FileNode};

/// Most bytes that one call reads or writes.
const BYTES_MAX: usize = 1 << 20;

/// Reads a file from an offset on.
pub(super) struct FileReader {
    node: FileNode,
    offset: u64,
}

/// Writes a file from an offset on, or at its end.
pub(super) struct FileWriter {
    node: FileNode,
    /// `None`: at the end, wherever that is.
    offset: Option<u64>,
}

impl FileReader {
    pub(super) fn new(node: FileNode, offset: u64) -> Self {
        Self { node, offset }
    }
}

impl FileWriter {
    pub(super) fn at(node: FileNode, offset: u64) -> Self {
        Self {
            node,
            offset: Some(offset),
        }
    }

    pub(super) fn at_end(node: FileNode) -> Self {
        Self { node, offset: None }
    }
}

/// The fault stays in the error, from which a component can learn it.
fn failed(fault: FileFault) -> StreamError {
    StreamError::LastOperationFailed(fault.into())
}

#[async_trait::async_trait]
impl Pollable for FileReader {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl InputStream for FileReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self
            .node
            .read_bytes(self.offset, size.min(BYTES_MAX))
            .map_err(failed)?;
        if bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

#[async_trait::async_trait]
impl Pollable for FileWriter {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for FileWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.offset {
            Some(offset) => {
                self.node.write(offset, &bytes).map_err(failed)?;
                self.offset = Some(offset + bytes.len() as u64);
            }
            None => {
                self.node.append(&bytes).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{MemoryRoom, OpenHow};

    fn file(bytes_max: u64) -> FileNode {
        let how = OpenHow {
            create: true,
            write: true,
            ..OpenHow::default()
        };
        let root = FileNode::scratch(&MemoryRoom::new(bytes_max));
        root.open("f", how).expect("a file")
    }

    #[test]
    fn streams_go_on_where_they_were() {
        let node = file(1 << 20);
        let mut writer = FileWriter::at(node.clone(), 2);
        writer.write(Bytes::from_static(b"ab")).unwrap();
        writer.write(Bytes::from_static(b"cd")).unwrap();
        let mut appender = FileWriter::at_end(node.clone());
        appender.write(Bytes::from_static(b"ef")).unwrap();
        node.append(b"gh").unwrap();
        appender.write(Bytes::from_static(b"ij")).unwrap();
        let mut reader = FileReader::new(node, 1);
        assert_eq!(reader.read(0).unwrap(), "");
        assert_eq!(reader.read(4).unwrap(), "\0abc");
        assert_eq!(reader.read(100).unwrap(), "defghij");
        assert!(matches!(reader.read(1), Err(StreamError::Closed)));
        assert!(matches!(reader.read(1), Err(StreamError::Closed)));
    }

    #[test]
    fn the_fault_of_a_stream_can_be_learnt() {
        let mut writer = FileWriter::at(file(1000), 0);
        match writer.write(Bytes::from_static(b"x")) {
            Err(StreamError::LastOperationFailed(error)) => {
                assert_eq!(error.downcast_ref(), Some(&FileFault::NoSpace));
            }
            other => panic!("{other:?}"),
        }
    }
}
