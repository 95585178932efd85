//! Unix sockets in the data folder, which only the node's owner may enter.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::net::UnixListener;

/// The socket's file, removed when its listener is dropped.
pub(crate) struct SocketFile<'a>(pub(crate) &'a Path);

impl Drop for SocketFile<'_> {
    fn drop(&mut self) {
        // If it stays, the next start removes it.
        let _ = std::fs::remove_file(self.0);
    }
}

/// Listens on a socket in the data folder, which only its owner may enter.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    // The data folder is this node's alone, so that one which is there is a dead node's.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("failed to listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
