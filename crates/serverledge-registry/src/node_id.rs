//! The node's own id: made once, kept in the data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why there is no node id.
#[derive(Debug, thiserror::Error)]
pub enum NodeIdError {
    /// The file cannot be read or made.
    #[error("failed to keep the node's id in {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds {text:?}, which is no id", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

/// The id of the node whose data lies in `dir`: a UUID, made at the first call and the same ever after, also if several
/// processes call for the first time together. Blocks for file access.
///
/// # Errors
/// [`NodeIdError`] names the file.
pub fn node_id(dir: &Path) -> Result<String, NodeIdError> {
    let path = dir.join("node-id");
    let io = |source| NodeIdError::Io {
        path: path.clone(),
        source,
    };
    if !path.try_exists().map_err(io)? {
        create(dir, &path).map_err(io)?;
    }
    let text = fs::read_to_string(&path).map_err(io)?;
    match uuid::Uuid::try_parse(text.trim_end()) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(NodeIdError::Malformed { path, text }),
    }
}

/// Writes a whole file under another name and then gives it its name, unless somebody else was faster.
fn create(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let id = uuid::Uuid::now_v7();
    let draft = dir.join(format!("node-id.{id}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let made = writeln!(file, "{id}")
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| node_id(&dir).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| *id == node_id(&dir).unwrap()));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_damaged_file_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("node-id"), "").unwrap();
        assert!(matches!(
            node_id(dir.path()),
            Err(NodeIdError::Malformed { .. })
        ));
    }
}
