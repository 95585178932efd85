//! Machine code on disk: one file per code digest in a directory named after what machine code depends on, owner-only,
//! written atomically, and verified with a keyed digest before it is loaded. Files that come with the code lie beside it.
//! All of it can be made again, so it is never synced.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_core::Digest;

use crate::protocol::Compiled;
use crate::split::ChangedGlobal;

/// The reason why machine code cannot be had from the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// There is none: it was never made on this node, or for another wasmtime, or was swept. Or it is not what was written.
    #[error("no machine code for {0} is cached, or it was changed or is incomplete")]
    Missing(Digest),
    #[error("failed to {attempt} {path}")]
    Io {
        attempt: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Verified, but wasmtime does not take it.
    #[error("failed to load the machine code for {code}: {source:#}")]
    Load {
        code: Digest,
        source: wasmtime::Error,
    },
    #[error("the load of {0} was lost")]
    Lost(Digest),
    /// It is a component of WASI 0.3, and these are switched off.
    #[error("{0} is a component of WASI 0.3, which is switched off")]
    Preview3Off(Digest),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct DiskCache {
    dir: PathBuf,
    key: [u8; 32],
}

/// The facts about machine code.
#[derive(Debug, Clone)]
pub(crate) struct CacheEntry {
    pub(crate) compiled: Compiled,
    /// Of data: the engine that it belongs to.
    pub(crate) needs: Option<EngineUse>,
    /// The digest of the pack of files that come with it.
    pub(crate) files: Option<Digest>,
}

/// The engine that data belongs to, and the state of it that is the data's.
#[derive(Debug, Clone)]
pub(crate) struct EngineUse {
    pub(crate) engine: Digest,
    pub(crate) globals: Vec<ChangedGlobal>,
}

/// The label that is stored beside the machine code.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    compiled: Compiled,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<LabelledEngine>,
    /// The digest of the files that come with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    /// Keyed BLAKE3 over the label's other fields and the machine code, in hexadecimal.
    seal: String,
}

/// [`EngineUse`], as a label has it.
#[derive(Debug, Serialize, Deserialize)]
struct LabelledEngine {
    engine: String,
    globals: Vec<ChangedGlobal>,
}

impl Label {
    fn new(entry: &CacheEntry, seal: String) -> Self {
        let needs = entry.needs.as_ref();
        let needs = needs.map(|needs| LabelledEngine {
            engine: needs.engine.to_string(),
            globals: needs.globals.clone(),
        });
        Self {
            compiled: entry.compiled.clone(),
            needs,
            files: entry.files.map(|files| files.to_string()),
            seal,
        }
    }

    /// `None` if it names an engine or files by what is no digest.
    fn entry(self) -> Option<CacheEntry> {
        let needs = match self.needs {
            Some(needs) => Some(EngineUse {
                engine: needs.engine.parse().ok()?,
                globals: needs.globals,
            }),
            None => None,
        };
        let files = match self.files {
            Some(files) => Some(files.parse().ok()?),
            None => None,
        };
        Some(CacheEntry {
            compiled: self.compiled,
            needs,
            files,
        })
    }
}

impl From<Compiled> for CacheEntry {
    fn from(compiled: Compiled) -> Self {
        Self {
            compiled,
            needs: None,
            files: None,
        }
    }
}

impl DiskCache {
    /// Opens the cache below `dir` for one kind of machine code, and makes its key if there is none.
    pub(crate) fn open_dir(dir: &Path, compatibility: &str) -> Result<Self, CacheError> {
        let dir_of_kind = dir.join(compatibility);
        let created = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir_of_kind);
        created.map_err(io("create", &dir_of_kind))?;
        let key = key(&dir.join("key"))?;
        Ok(Self {
            dir: dir_of_kind,
            key,
        })
    }

    fn paths(&self, code: &Digest) -> (PathBuf, PathBuf) {
        (
            self.dir.join(format!("{code}.cwasm")),
            self.dir.join(format!("{code}.json")),
        )
    }

    /// The path of the files that come with code.
    fn pack(&self, code: &Digest) -> PathBuf {
        self.dir.join(format!("{code}.files"))
    }

    /// The facts about a module, if its machine code and files are here; the seal is not checked.
    pub(crate) fn label(&self, code: &Digest) -> Option<CacheEntry> {
        let (machine, label) = self.paths(code);
        let label: Label = serde_json::from_slice(&fs::read(label).ok()?).ok()?;
        let has_files = |entry: &CacheEntry| entry.files.is_none() || self.pack(code).exists();
        label
            .entry()
            .filter(|entry| machine.exists() && has_files(entry))
    }

    /// Whether machine code is here, with the engine that it may need; the seals are not checked.
    pub(crate) fn is_complete(&self, code: &Digest) -> bool {
        self.label(code).is_some_and(|entry| {
            entry
                .needs
                .is_none_or(|needs| self.label(&needs.engine).is_some())
        })
    }

    /// Opens and verifies; the file's contents are those that were sealed.
    pub(crate) fn open(&self, code: &Digest) -> Result<(File, CacheEntry), CacheError> {
        let (machine, label_path) = self.paths(code);
        let failed = |attempt, path| {
            let io = io(attempt, path);
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => CacheError::Missing(*code),
                _ => io(source),
            }
        };
        let label = fs::read(&label_path).map_err(failed("read", &label_path))?;
        let label: Label =
            serde_json::from_slice(&label).map_err(|_| CacheError::Missing(*code))?;
        let file = File::open(&machine).map_err(failed("open", &machine))?;
        let claimed =
            blake3::Hash::from_hex(&label.seal).map_err(|_| CacheError::Missing(*code))?;
        let entry = label.entry().ok_or(CacheError::Missing(*code))?;
        let seal = self
            .seal(code, &entry, &file)
            .map_err(failed("read", &machine))?;
        // `blake3::Hash` compares in constant time.
        if claimed == seal {
            Ok((file, entry))
        } else {
            Err(CacheError::Missing(*code))
        }
    }

    /// The pack of the files that come with code which was opened, verified; `None` if none come with it.
    pub(crate) fn files(
        &self,
        code: &Digest,
        entry: &CacheEntry,
    ) -> Result<Option<Bytes>, CacheError> {
        let Some(expected) = entry.files else {
            return Ok(None);
        };
        let path = self.pack(code);
        let pack = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CacheError::Missing(*code),
            _ => io("read", &path)(source),
        })?;
        if pack_digest(&pack) == expected {
            Ok(Some(pack.into()))
        } else {
            Err(CacheError::Missing(*code))
        }
    }

    /// Keeps files that come with code, for the label that is written after them.
    pub(crate) fn store_files(&self, code: &Digest, pack: &[u8]) -> Result<(), CacheError> {
        let path = self.pack(code);
        write_whole(&path, pack).map_err(io("write", &path))
    }

    /// The file with machine code, verified.
    pub(crate) fn verified_path(&self, code: &Digest) -> Result<PathBuf, CacheError> {
        self.open(code)?;
        Ok(self.paths(code).0)
    }

    /// Keeps machine code; the label is written last, so that a half-written file is never found.
    pub(crate) fn store(
        &self,
        code: &Digest,
        entry: &CacheEntry,
        machine_code: &[u8],
    ) -> Result<(), CacheError> {
        let (machine, label_path) = self.paths(code);
        write_whole(&machine, machine_code).map_err(io("write", &machine))?;
        let seal = self
            .seal(code, entry, machine_code)
            .map_err(io("seal", &machine))?;
        let label = Label::new(entry, seal.to_hex().to_string());
        let label = serde_json::to_vec(&label).map_err(|e| io("write", &label_path)(e.into()))?;
        write_whole(&label_path, &label).map_err(io("write", &label_path))
    }

    /// Removes what no function names, except engines that data in use needs; returns how many were removed.
    pub(crate) fn sweep(&self, mut used: HashSet<Digest>, grace: Duration) -> usize {
        let engines: Vec<Digest> = used
            .iter()
            .filter_map(|code| self.label(code)?.needs)
            .map(|needs| needs.engine)
            .collect();
        used.extend(engines);
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let unused = entries.filter(|entry| {
            let path = entry.path();
            let temporary = path.extension().is_some_and(|ending| ending == "tmp");
            if is_younger(entry, if temporary { TEMPORARY_LIFE } else { grace }) {
                return false;
            }
            let digest = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse::<Digest>().ok());
            digest.is_none_or(|digest| !used.contains(&digest))
        });
        unused
            .filter(|entry| fs::remove_file(entry.path()).is_ok())
            .count()
    }

    fn seal(
        &self,
        code: &Digest,
        entry: &CacheEntry,
        machine_code: impl Read,
    ) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(match (&entry.files, &entry.needs) {
            (Some(_), _) => FILES_SEAL,
            (None, Some(_)) => DATA_SEAL,
            (None, None) => SEAL,
        });
        hasher.update(code.as_bytes());
        let mut parts = vec![serde_json::to_vec(&entry.compiled)?];
        if let Some(files) = &entry.files {
            let is_data = u8::from(entry.needs.is_some());
            parts.extend([files.as_bytes().to_vec(), vec![is_data]]);
        }
        if let Some(needs) = &entry.needs {
            parts.extend([
                needs.engine.as_bytes().to_vec(),
                serde_json::to_vec(&needs.globals)?,
            ]);
        }
        for part in parts {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(&part);
        }
        Ok(hasher.update_reader(machine_code)?.finalize())
    }
}

/// The beginnings of what is sealed: machine code that is whole; data, whose seal covers the engine's digest; and either
/// with files, whose digest it covers.
const SEAL: &[u8] = b"serverledge machine code 1\0";
const DATA_SEAL: &[u8] = b"serverledge machine code of data 1\0";
const FILES_SEAL: &[u8] = b"serverledge machine code with files 1\0";
/// Temporary files younger than this may still be written to.
const TEMPORARY_LIFE: Duration = Duration::from_secs(3600);

/// The digest of a pack of files.
pub(crate) fn pack_digest(pack: &[u8]) -> Digest {
    Digest::new(*blake3::hash(pack).as_bytes())
}

fn is_younger(entry: &fs::DirEntry, age_min: Duration) -> bool {
    let age = entry
        .metadata()
        .and_then(|data| data.modified())
        .ok()
        .and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age < age_min)
}

/// Writes beside the target and renames.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .suffix(".tmp")
        .tempfile_in(path.parent().unwrap_or(path))?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

fn io(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> CacheError + use<> {
    let path = path.to_owned();
    move |source| CacheError::Io {
        attempt,
        path: path.clone(),
        source,
    }
}

fn key(path: &Path) -> Result<[u8; 32], CacheError> {
    match fs::read(path) {
        Ok(key) => key
            .try_into()
            .map_err(|_| io("use the key in", path)(io::Error::from(io::ErrorKind::InvalidData))),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key)
                .map_err(|e| io("make the key in", path)(io::Error::other(e)))?;
            write_whole(path, &key).map_err(io("write", path))?;
            Ok(key)
        }
        Err(other) => Err(io("read", path)(other)),
    }
}
