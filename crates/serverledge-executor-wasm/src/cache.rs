//! Machine code on disk: one file per code digest in a directory named after what machine code depends on, owner-only,
//! written atomically, and verified with a keyed digest before it is loaded. It can be made again, so it is never synced.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serverledge_core::Digest;

use crate::protocol::Compiled;

/// Why machine code cannot be had from the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// There is none: it was never made on this node, or for another wasmtime, or was swept.
    #[error("no machine code for {0} is cached")]
    Missing(Digest),
    /// It is not what was written.
    #[error("the machine code for {code} in {path} was changed or is incomplete")]
    Changed {
        /// The code's digest.
        code: Digest,
        /// The file.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("failed to {attempt} {path}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Verified, but wasmtime does not take it.
    #[error("failed to load the machine code for {code}: {source:#}")]
    Load {
        /// The code's digest.
        code: Digest,
        /// The cause.
        source: wasmtime::Error,
    },
    /// The loading thread went away.
    #[error("the load of {0} was lost")]
    Lost(Digest),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct DiskCache {
    dir: PathBuf,
    key: [u8; 32],
}

/// What stands beside the machine code.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    compiled: Compiled,
    /// Keyed BLAKE3 over the label's other fields and the machine code, in hexadecimal.
    seal: String,
}

impl DiskCache {
    /// Opens the cache below `dir` for one kind of machine code, and makes its key if there is none.
    pub(crate) fn open_dir(dir: &Path, compatibility: &str) -> Result<Self, CacheError> {
        let dir_of_kind = dir.join(compatibility);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir_of_kind)
            .map_err(|source| CacheError::Io {
                attempt: "create",
                path: dir_of_kind.clone(),
                source,
            })?;
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

    /// What is known about a module, if its machine code is here; the seal is not checked.
    pub(crate) fn label(&self, code: &Digest) -> Option<Compiled> {
        let (machine, label) = self.paths(code);
        let label: Label = serde_json::from_slice(&fs::read(label).ok()?).ok()?;
        machine.exists().then_some(label.compiled)
    }

    /// Opens and verifies; the file's contents are those that were sealed.
    pub(crate) fn open(&self, code: &Digest) -> Result<(File, Compiled), CacheError> {
        let (machine, label_path) = self.paths(code);
        let io = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => CacheError::Missing(*code),
                _ => CacheError::Io {
                    attempt,
                    path,
                    source,
                },
            }
        };
        let changed = || CacheError::Changed {
            code: *code,
            path: machine.clone(),
        };
        let label = fs::read(&label_path).map_err(io("read", &label_path))?;
        let label: Label = serde_json::from_slice(&label).map_err(|_| changed())?;
        let file = File::open(&machine).map_err(io("open", &machine))?;
        let seal = self
            .seal(code, &label.compiled, &file)
            .map_err(io("read", &machine))?;
        let claimed = blake3::Hash::from_hex(&label.seal).map_err(|_| changed())?;
        // `blake3::Hash` compares in constant time.
        if seal == claimed {
            Ok((file, label.compiled))
        } else {
            Err(changed())
        }
    }

    /// All of the machine code, verified.
    pub(crate) fn read(&self, code: &Digest) -> Result<Vec<u8>, CacheError> {
        let (mut file, _) = self.open(code)?;
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map_err(|source| CacheError::Io {
            attempt: "read",
            path: self.paths(code).0,
            source,
        })?;
        Ok(bytes)
    }

    /// Keeps machine code; the label is written last, so that a half-written file is never found.
    pub(crate) fn store(
        &self,
        code: &Digest,
        compiled: &Compiled,
        machine_code: &[u8],
    ) -> Result<(), CacheError> {
        let (machine, label_path) = self.paths(code);
        let io = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io {
                attempt,
                path,
                source,
            }
        };
        write_whole(&machine, machine_code).map_err(io("write", &machine))?;
        let file = File::open(&machine).map_err(io("open", &machine))?;
        let seal = self
            .seal(code, compiled, &file)
            .map_err(io("read", &machine))?;
        let label = Label {
            compiled: compiled.clone(),
            seal: seal.to_hex().to_string(),
        };
        let label = serde_json::to_vec(&label).map_err(|e| io("write", &label_path)(e.into()))?;
        write_whole(&label_path, &label).map_err(io("write", &label_path))
    }

    /// Removes what no function names any more; returns how many were removed.
    pub(crate) fn sweep(&self, used: &HashSet<Digest>, grace: Duration) -> usize {
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
        compiled: &Compiled,
        mut file: &File,
    ) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"serverledge machine code 1\0");
        hasher.update(code.as_bytes());
        let label = serde_json::to_vec(compiled)?;
        hasher
            .update(&(label.len() as u64).to_le_bytes())
            .update(&label);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize()),
                read => hasher.update(&buffer[..read]),
            };
        }
    }
}

/// Temporary files younger than this may still be written to.
const TEMPORARY_LIFE: Duration = Duration::from_secs(3600);

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
    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(io::Error::other)?;
    let temporary = path.with_extension(format!("{:016x}.tmp", u64::from_le_bytes(unique)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn key(path: &Path) -> Result<[u8; 32], CacheError> {
    let io = |attempt| {
        move |source| CacheError::Io {
            attempt,
            path: path.to_owned(),
            source,
        }
    };
    match fs::read(path) {
        Ok(key) => key
            .try_into()
            .map_err(|_| io("use the key in")(io::Error::from(io::ErrorKind::InvalidData))),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|e| io("make the key in")(io::Error::other(e)))?;
            write_whole(path, &key).map_err(io("write"))?;
            Ok(key)
        }
        Err(other) => Err(io("read")(other)),
    }
}
