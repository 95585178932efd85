//! The folders of the containers' sockets. A container's folder is writable for its user only until its agent listens, so
//! that no function can fill the disk through it or put something else in the socket's place.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const SOCKET: &str = "agent.sock";
/// The name of the socket on which the node listens for the function's calls.
pub(crate) const CALL_SOCKET: &str = "call.sock";
/// The name of the socket on which the node listens for the function's requests to hosts outside.
pub(crate) const OUTBOUND_SOCKET: &str = "outbound.sock";

/// The parent folder, and a descriptor of it: socket addresses have at most 108 bytes, so that they are reached through
/// `/proc/self/fd` whatever the folder's path.
#[derive(Debug)]
pub(crate) struct SocketDirs {
    path: PathBuf,
    dir: File,
}

impl SocketDirs {
    /// Makes the parent folder, with owner-only rights, and empties it: what is in it belongs to containers of an earlier run.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        let dir = File::open(&path)?;
        Ok(Self { path, dir })
    }

    /// A new container's folder, writable for all users: above it nobody else can pass.
    pub(crate) fn create(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        Ok(path)
    }

    /// A socket of this name in a container's folder, on which the node listens.
    pub(crate) fn listen(&self, name: &str, socket: &str) -> io::Result<UnixListener> {
        let path = format!("/proc/self/fd/{}/{name}/{socket}", self.dir.as_raw_fd());
        let listener = UnixListener::bind(Path::new(&path))?;
        std::fs::set_permissions(
            self.path.join(name).join(socket),
            Permissions::from_mode(0o666),
        )?;
        Ok(listener)
    }

    /// From now on the container can change nothing in its folder.
    pub(crate) fn seal(&self, name: &str) -> io::Result<()> {
        std::fs::set_permissions(self.path.join(name), Permissions::from_mode(0o755))
    }

    /// Removes a container's folder.
    pub(crate) fn remove(&self, name: &str) {
        let path = self.path.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "failed to remove a container's folder");
            }
            _ => {}
        }
    }

    /// Removes all containers' folders: no container is left.
    pub(crate) fn clear(&self) {
        for entry in std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
        {
            self.remove(&entry.file_name().to_string_lossy());
        }
    }

    pub(crate) async fn connect(&self, name: &str) -> io::Result<UnixStream> {
        let fd = self.dir.as_raw_fd();
        UnixStream::connect(Path::new(&format!("/proc/self/fd/{fd}/{name}/{SOCKET}"))).await
    }
}
