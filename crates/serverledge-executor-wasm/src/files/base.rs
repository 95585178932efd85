//! The files that come with the code: read-only, and the same for every call.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::fault::FileFault;
use super::limits::NAME_BYTES_MAX;

/// Bytes of the host that an entry counts, beside its name and its contents.
const ENTRY_BYTES: u64 = 128;

/// See the module. The contents of its files are parts of one buffer.
#[derive(Debug)]
pub(crate) struct BaseTree {
    /// The first one is the root.
    entries: Vec<BaseEntry>,
    bytes: u64,
}

#[derive(Debug)]
pub(super) enum BaseEntry {
    File(Bytes),
    Directory(BaseDirectory),
}

#[derive(Debug)]
pub(super) struct BaseDirectory {
    pub(super) parent: u32,
    /// In the order of the names.
    pub(super) names: Vec<(Arc<str>, u32)>,
}

/// A tree that is being made: the names of each directory, by their number, and the contents of the others.
struct Draft {
    entries: Vec<DraftEntry>,
}

enum DraftEntry {
    File(Bytes),
    Directory {
        parent: u32,
        names: BTreeMap<Arc<str>, u32>,
    },
}

impl BaseTree {
    /// A tree of these files, whose paths are relative and plain.
    ///
    /// # Errors
    /// [`FileFault`] if two have the same path, one lies in another, or a name is too long.
    pub(crate) fn new(
        files: impl IntoIterator<Item = (impl AsRef<str>, Bytes)>,
    ) -> Result<Self, FileFault> {
        let mut draft = Draft::new();
        let mut bytes = 0;
        for (path, contents) in files {
            bytes += path.as_ref().len() as u64 + contents.len() as u64;
            draft.put(path.as_ref(), contents)?;
        }
        bytes += draft.entries.len() as u64 * ENTRY_BYTES;
        Ok(Self {
            entries: draft.entries.into_iter().map(DraftEntry::frozen).collect(),
            bytes,
        })
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn entry(&self, index: u32) -> Option<&BaseEntry> {
        self.entries.get(index as usize)
    }

    pub(super) fn directory(&self, index: u32) -> Option<&BaseDirectory> {
        match self.entry(index)? {
            BaseEntry::Directory(directory) => Some(directory),
            BaseEntry::File(_) => None,
        }
    }

    /// The contents of a file.
    pub(super) fn contents(&self, index: u32) -> Option<&Bytes> {
        match self.entry(index)? {
            BaseEntry::File(contents) => Some(contents),
            BaseEntry::Directory(_) => None,
        }
    }
}

impl BaseDirectory {
    pub(super) fn child(&self, name: &str) -> Option<u32> {
        let found = self
            .names
            .binary_search_by(|(present, _)| present.as_ref().cmp(name));
        found.ok().map(|at| self.names[at].1)
    }
}

impl Draft {
    fn new() -> Self {
        Self {
            entries: vec![DraftEntry::Directory {
                parent: 0,
                names: BTreeMap::new(),
            }],
        }
    }

    fn put(&mut self, path: &str, contents: Bytes) -> Result<(), FileFault> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = 0;
        for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
            at = match self.child(at, folder)? {
                Some(child) => child,
                None => self.add(
                    at,
                    folder,
                    DraftEntry::Directory {
                        parent: at,
                        names: BTreeMap::new(),
                    },
                )?,
            };
        }
        if self.child(at, name)?.is_some() {
            return Err(FileFault::Exists);
        }
        self.add(at, name, DraftEntry::File(contents)).map(drop)
    }

    /// A child of a directory; the fault is that it is none.
    fn child(&self, at: u32, name: &str) -> Result<Option<u32>, FileFault> {
        match self.entries.get(at as usize) {
            Some(DraftEntry::Directory { names, .. }) => Ok(names.get(name).copied()),
            _ => Err(FileFault::NotDirectory),
        }
    }

    fn add(&mut self, at: u32, name: &str, entry: DraftEntry) -> Result<u32, FileFault> {
        if name.is_empty() || matches!(name, "." | "..") || name.contains('\0') {
            return Err(FileFault::Invalid);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(FileFault::NameTooLong);
        }
        let index = u32::try_from(self.entries.len()).map_err(|_| FileFault::NoSpace)?;
        match self.entries.get_mut(at as usize) {
            Some(DraftEntry::Directory { names, .. }) => names.insert(Arc::from(name), index),
            _ => return Err(FileFault::NotDirectory),
        };
        self.entries.push(entry);
        Ok(index)
    }
}

impl DraftEntry {
    fn frozen(self) -> BaseEntry {
        match self {
            Self::File(contents) => BaseEntry::File(contents),
            Self::Directory { parent, names } => BaseEntry::Directory(BaseDirectory {
                parent,
                names: names.into_iter().collect(),
            }),
        }
    }
}
