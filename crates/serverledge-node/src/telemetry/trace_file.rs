//! The file of the traces: one request of OTLP as JSON a line. When it is full it becomes the old one, of which there
//! is one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Size beyond which a file is full: large enough for some hundred thousand spans, and half of what both may take.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The open file.
#[derive(Debug)]
pub(super) struct TraceFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl TraceFile {
    /// Opens a file to append to, for its owner only; parameters do not get into it, names of functions do.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    /// Appends a line. Blocks.
    pub(super) fn append(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > BYTES_MAX {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            *self = Self::open(self.path.clone())?;
        }
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("traces.jsonl");
        let mut file = TraceFile::open(path.clone()).unwrap();
        file.append(b"one".to_vec()).unwrap();
        file.bytes = BYTES_MAX - 4;
        file.append(b"two".to_vec()).unwrap();
        file.append(b"three".to_vec()).unwrap();
        let old = dir.path().join("traces.jsonl.1");
        assert_eq!(std::fs::read_to_string(old).unwrap(), "one\ntwo\n");
        drop(file);
        let mut again = TraceFile::open(path.clone()).unwrap();
        assert_eq!(again.bytes, 6);
        again.append(b"four".to_vec()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\nfour\n");
    }
}
