//! Prepared code on disk: the checked files of a version's code, and which layer of dependencies they need.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_core::{Digest, Version};

use crate::bundle::FileEntry;

/// Code that is ready to be bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PreparedCode {
    pub(crate) files: Vec<FileEntry>,
    /// The contents of all files, one after the other; behind the head that is the rest.
    #[serde(skip)]
    pub(crate) contents: Bytes,
    /// The layer's folder within the layers' folder.
    pub(crate) layer: Option<String>,
}

/// The folders `code` and `layers`.
#[derive(Debug)]
pub(crate) struct PreparedStore {
    code: PathBuf,
    layers: PathBuf,
}

impl PreparedStore {
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        let store = Self {
            code: dir.join("code"),
            layers: dir.join("layers"),
        };
        for folder in [&store.code, &store.layers] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        Ok(store)
    }

    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.layers.join(name)
    }

    pub(crate) fn layers(&self) -> &Path {
        &self.layers
    }

    /// The handler counts: it names the file of an upload that is one bare source file.
    fn path(&self, version: &Version) -> PathBuf {
        let handler = blake3::hash(version.handler.as_bytes()).to_hex();
        self.code.join(format!(
            "{}.{}.{}",
            version.code,
            version.runtime,
            &handler[..16]
        ))
    }

    pub(crate) fn has(&self, version: &Version) -> bool {
        self.path(version).exists()
    }

    /// `None` if it is not there, or its layer is not, or it cannot be read: then it is prepared anew.
    pub(crate) fn load(&self, version: &Version) -> Option<PreparedCode> {
        let bytes = std::fs::read(self.path(version)).ok()?;
        let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
        let head: PreparedCode = serde_json::from_slice(bytes.get(4..4 + length)?).ok()?;
        if head
            .layer
            .as_ref()
            .is_some_and(|layer| !self.layer(layer).is_dir())
        {
            return None;
        }
        Some(PreparedCode {
            contents: Bytes::from(bytes).slice(4 + length..),
            ..head
        })
    }

    /// Writes it whole or not at all.
    pub(crate) fn store(&self, version: &Version, prepared: &PreparedCode) -> std::io::Result<()> {
        let head = serde_json::to_vec(prepared)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.code)?;
        file.write_all(
            &u32::try_from(head.len())
                .map_err(std::io::Error::other)?
                .to_be_bytes(),
        )?;
        file.write_all(&head)?;
        file.write_all(&prepared.contents)?;
        file.as_file().sync_all()?;
        file.persist(self.path(version))
            .map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes code that is in no use, and layers that no code needs, if they are older than `grace`.
    pub(crate) fn sweep(&self, in_use: &HashSet<Digest>, grace: Duration) -> usize {
        let mut removed = 0;
        let mut layers = HashSet::new();
        for path in entries(&self.code) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let digest = name
                .split('.')
                .next()
                .and_then(|digest| digest.parse::<Digest>().ok());
            let used = digest.is_some_and(|digest| in_use.contains(&digest));
            if !used && is_older(&path, grace) {
                removed += usize::from(std::fs::remove_file(&path).is_ok());
            } else if let Some(layer) = layer_of(&path) {
                layers.insert(layer);
            }
        }
        for path in entries(&self.layers) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if !layers.contains(name) && is_older(&path, grace) {
                removed += usize::from(std::fs::remove_dir_all(&path).is_ok());
            }
        }
        removed
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect()
}

fn is_older(path: &Path, grace: Duration) -> bool {
    let changed = std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .unwrap_or(SystemTime::now());
    SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default()
        >= grace
}

/// Reads the head only.
fn layer_of(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = [0; 4];
    file.read_exact(&mut length).ok()?;
    let mut head = vec![0; u32::from_be_bytes(length) as usize];
    file.read_exact(&mut head).ok()?;
    serde_json::from_slice::<PreparedCode>(&head).ok()?.layer
}
