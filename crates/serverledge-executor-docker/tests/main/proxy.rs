//! A Unix socket that passes everything on to the Docker Engine, and remembers what was asked for.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::support::engine_socket;

/// See the module. Ends when dropped.
pub(crate) struct CountingProxy {
    pub(crate) path: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl CountingProxy {
    pub(crate) fn start(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::default());
        let mut tasks = JoinSet::new();
        let heard = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((ours, _)) = listener.accept().await {
                connections.spawn(pass(ours, Arc::clone(&heard)));
            }
        });
        Self {
            path,
            asked,
            _tasks: tasks,
        }
    }

    /// The requests since the last time: paths without version and ids.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

async fn pass(ours: UnixStream, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(theirs) = UnixStream::connect(engine_socket()).await else {
        return;
    };
    let (mut from_client, mut to_client) = ours.into_split();
    let (mut from_engine, mut to_engine) = theirs.into_split();
    let back = async {
        let _ = tokio::io::copy(&mut from_engine, &mut to_client).await;
    };
    let forth = async {
        // The end of what was read before, in which a request's first line may have begun.
        let mut line = Vec::new();
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            for byte in &bytes[..count] {
                line.push(*byte);
                if line.ends_with(b" HTTP/1.1\r\n") {
                    asked.lock().push(plain(&line));
                }
                if *byte == b'\n' {
                    line.clear();
                }
            }
            if to_engine.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(back, forth);
}

/// `POST /v1.41/containers/0123abcd/start?x=y HTTP/1.1` as `containers/*/start`.
fn plain(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let path = line.split(' ').rev().nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && !part.starts_with("v1."));
    let parts = parts.map(|part| if part.len() == 64 { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
