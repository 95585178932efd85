//! The node's own id: made once, kept in the data directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::private_file::create_private;

/// The reason why there is no node id.
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
        /// The contents of the file.
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
    create_private(&path, format!("{}\n", uuid::Uuid::now_v7()).as_bytes()).map_err(io)?;
    let text = fs::read_to_string(&path).map_err(io)?;
    match uuid::Uuid::try_parse(text.trim_end()) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(NodeIdError::Malformed { path, text }),
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
