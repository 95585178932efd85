//! A Docker socket that counts: what the node says to its engine goes through it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// See the module. Its threads end with the test process.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: TempDir,
    bytes: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn before(engine: &Path) -> Result<Self> {
        let proxy = Self {
            folder: tempfile::tempdir()?,
            bytes: Arc::default(),
        };
        let listener = UnixListener::bind(proxy.socket()).context("failed to listen")?;
        let engine = engine.to_owned();
        let bytes = Arc::clone(&proxy.bytes);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let _ = forward(connection, &engine, &bytes);
            }
        });
        Ok(proxy)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("counting.sock")
    }

    /// Bytes that the node has sent to the engine so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }
}

fn forward(node: UnixStream, engine: &Path, bytes: &Arc<AtomicUsize>) -> Result<()> {
    let engine = UnixStream::connect(engine)?;
    let to_node = node.try_clone()?;
    let from_engine = engine.try_clone()?;
    let bytes = Arc::clone(bytes);
    std::thread::spawn(move || copy(node, engine, &bytes));
    std::thread::spawn(move || copy(from_engine, to_node, &AtomicUsize::new(0)));
    Ok(())
}

/// Counted before it is passed on: whoever has an answer finds its request counted.
fn copy(mut from: UnixStream, mut to: UnixStream, bytes: &AtomicUsize) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        bytes.fetch_add(count, Ordering::SeqCst);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
