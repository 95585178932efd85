//! Uploaded code: the files of a tar, or one source file, checked before anything of it is kept. There is no other reader
//! of tars that come from outside: what is wrong with one is refused with the same code wherever it is sent.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::ops::Range;

use serverledge_core::Runtime;

pub use self::program::{ProgramUpload, program};

#[cfg(test)]
mod tests;

/// Most entries of an upload: more than any source tree needs; dependencies are installed, not uploaded.
pub const ENTRIES_MAX: usize = 10_000;
/// Longest path within an upload.
pub const PATH_BYTES_MAX: usize = 512;
/// Deepest folder.
pub const DEPTH_MAX: usize = 32;
/// Length of the blocks that a tar consists of.
const BLOCK_BYTES: u64 = 512;
/// Offset and bytes of the magic of POSIX tars.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// The first bytes of every wasm binary.
const WASM_MAGIC: &[u8] = b"\0asm";

/// A file of an upload. Its path is relative, in its plain form, and leads out of nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// The parts of its path, with slashes between them.
    pub path: String,
    /// Its bytes.
    pub contents: Vec<u8>,
    /// Whether anybody may execute it.
    pub executable: bool,
    /// The name of its owner in the tar; empty if there is none.
    pub owner: String,
}

/// A file of a tar, where it lies in it. Its path is as that of an [`UploadedFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarFile {
    /// The parts of its path, with slashes between them.
    pub path: String,
    /// Its bytes, as a part of the tar.
    pub range: Range<usize>,
}

/// The reason why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The tar breaks off, or a header is none.
    #[error("the tar cannot be read: {0}")]
    Tar(std::io::Error),
    /// There are more than [`ENTRIES_MAX`].
    #[error("the tar has more than {ENTRIES_MAX} entries")]
    Entries,
    /// The files have more bytes than are allowed.
    #[error("the files have more than {max} bytes together")]
    Bytes {
        /// The limit.
        max: usize,
    },
    /// A path is not UTF-8.
    #[error("a path in the tar is not UTF-8")]
    PathText,
    /// A path is no plain one below the upload.
    #[error("{path:?} {why}")]
    Path {
        /// The path as it was sent.
        path: String,
        /// The fault, as the end of a sentence.
        why: &'static str,
    },
    /// A file lies in another one.
    #[error("{folder:?} is a file and {path:?} lies in it")]
    FileAsFolder {
        /// The file that cannot be a folder.
        folder: String,
        /// The file in it.
        path: String,
    },
    /// An entry is neither a file nor a folder.
    #[error("{path:?} is a {kind}; files and folders are allowed")]
    Kind {
        /// Its path.
        path: String,
        /// The kind of entry.
        kind: &'static str,
    },
    /// A single file is no text.
    #[error("the code is neither a tar nor a source file in UTF-8")]
    Text,
    /// There is no file.
    #[error("the upload holds no file")]
    Empty,
    /// Two entries have one path.
    #[error("{path:?} is in the tar twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// No file is a module.
    #[error("the tar holds no module, which is a file that ends in .wasm or .wat")]
    NoModule,
    /// It does not say which file is the module.
    #[error(
        "the tar holds several modules; name the one that is meant main.wasm at the top, or name its file in Handler"
    )]
    SeveralModules,
}

impl UploadError {
    /// The stable code of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tar(_) => "malformed_tar",
            Self::Entries => "too_many_files",
            Self::Bytes { .. } => "code_too_large",
            Self::PathText | Self::Path { .. } | Self::FileAsFolder { .. } => "unsafe_path",
            Self::Kind { .. } => "unsafe_entry",
            Self::Text => "malformed_code",
            Self::Empty | Self::NoModule => "no_code",
            Self::Duplicate { .. } => "duplicate_path",
            Self::SeveralModules => "ambiguous_code",
        }
    }
}

/// Whether the upload is a tar. A wasm binary can hold the mark of one where a tar has it.
#[must_use]
pub fn is_tar(code: &[u8]) -> bool {
    let (at, magic) = TAR_MAGIC;
    !code.starts_with(WASM_MAGIC) && code.get(at..at + magic.len()) == Some(magic)
}

/// Reads an upload of sources; the files are sorted by path, and there is at least one. `handler` names the file where
/// the upload is one source file.
///
/// # Errors
/// [`UploadError`] for everything that is not plain files in plain folders, within `bytes_max` bytes.
pub fn read(
    code: &[u8],
    runtime: Runtime,
    handler: &str,
    bytes_max: usize,
) -> Result<Vec<UploadedFile>, UploadError> {
    let files = if is_tar(code) {
        read_tar(code, bytes_max)?
    } else {
        vec![bare(code, runtime, handler, bytes_max)?]
    };
    if files.is_empty() {
        Err(UploadError::Empty)
    } else {
        Ok(files)
    }
}

/// Reads the files of a tar, sorted by path.
///
/// # Errors
/// As [`read`]; a tar without files is none.
pub fn read_tar(code: &[u8], bytes_max: usize) -> Result<Vec<UploadedFile>, UploadError> {
    let mut archive = tar::Archive::new(code);
    // A later entry of a name replaces an earlier one, as when unpacking.
    let mut files = BTreeMap::new();
    let mut total = 0;
    for (count, entry) in archive.entries().map_err(UploadError::Tar)?.enumerate() {
        let mut entry = entry.map_err(UploadError::Tar)?;
        if count >= ENTRIES_MAX {
            return Err(UploadError::Entries);
        }
        let Some(path) = file_path(&entry)? else {
            continue;
        };
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let owner = owner(entry.header());
        let mut contents = Vec::new();
        // What is read is counted, whatever the header says.
        let room = (bytes_max - total) as u64 + 1;
        entry
            .by_ref()
            .take(room)
            .read_to_end(&mut contents)
            .map_err(UploadError::Tar)?;
        total += contents.len();
        if total > bytes_max {
            return Err(UploadError::Bytes { max: bytes_max });
        }
        files.insert(
            path.clone(),
            UploadedFile {
                path,
                contents,
                executable,
                owner,
            },
        );
    }
    check_folders(&files.keys().cloned().collect())?;
    Ok(files.into_values().collect())
}

/// Finds the files of a tar, sorted by path. Nothing is copied, and no path may be there twice.
///
/// # Errors
/// As [`read_tar`]; and [`UploadError::Duplicate`].
pub fn tar_files(code: &[u8]) -> Result<Vec<TarFile>, UploadError> {
    let mut archive = tar::Archive::new(code);
    let mut files = Vec::new();
    let mut paths = BTreeSet::new();
    for (count, entry) in archive.entries().map_err(UploadError::Tar)?.enumerate() {
        let entry = entry.map_err(UploadError::Tar)?;
        if count >= ENTRIES_MAX {
            return Err(UploadError::Entries);
        }
        let Some(path) = file_path(&entry)? else {
            continue;
        };
        if !paths.insert(path.clone()) {
            return Err(UploadError::Duplicate { path });
        }
        let range = place(&entry, code.len())?;
        files.push(TarFile { path, range });
    }
    check_folders(&paths)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The bytes of an entry, as a part of the tar.
fn place(entry: &tar::Entry<'_, &[u8]>, length: usize) -> Result<Range<usize>, UploadError> {
    let start = entry.raw_file_position();
    let place = || {
        let end = usize::try_from(start.checked_add(entry.size())?).ok()?;
        (end <= length).then_some(usize::try_from(start).ok()?..end)
    };
    place().ok_or_else(|| UploadError::Tar(std::io::ErrorKind::UnexpectedEof.into()))
}

/// The path of an entry that is a file; `None` for a folder.
fn file_path(entry: &tar::Entry<'_, &[u8]>) -> Result<Option<String>, UploadError> {
    let path =
        String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| UploadError::PathText)?;
    let kind = entry.header().entry_type();
    if kind.is_dir() || kind.is_pax_global_extensions() {
        return Ok(None);
    }
    if !kind.is_file() {
        return Err(UploadError::Kind {
            path,
            kind: kind_name(kind),
        });
    }
    checked_path(&path).map(Some)
}

/// The entries of a tar except those of this owner, byte for byte; others can be appended.
///
/// # Errors
/// [`UploadError::Tar`]
pub fn entries_without(code: &[u8], unwanted: &str) -> Result<Vec<u8>, UploadError> {
    let mut kept = Vec::with_capacity(code.len());
    let mut from = 0;
    for entry in tar::Archive::new(code)
        .entries()
        .map_err(UploadError::Tar)?
    {
        let entry = entry.map_err(UploadError::Tar)?;
        let end = (entry.raw_file_position() + entry.size()).next_multiple_of(BLOCK_BYTES);
        let to = usize::try_from(end).map_or(code.len(), |end| end.min(code.len()));
        // The headers before its own, for a long path, are part of it.
        if owner(entry.header()) != unwanted {
            kept.extend_from_slice(&code[from..to]);
        }
        from = to;
    }
    Ok(kept)
}

fn owner(header: &tar::Header) -> String {
    header
        .username_bytes()
        .map(String::from_utf8_lossy)
        .unwrap_or_default()
        .into_owned()
}

/// The only folder, if all files lie in one: its inside is the root of the sources then.
pub fn only_folder<'a>(mut paths: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folder = |path: &'a str| path.split_once('/').map(|(folder, _)| folder);
    let first = folder(paths.next()?)?;
    paths
        .all(|path| folder(path) == Some(first))
        .then_some(first)
}

/// The name of a single source file: the one that the handler expects.
fn bare_name(runtime: Runtime, handler: &str) -> String {
    let ending = if matches!(runtime, Runtime::Python | Runtime::PythonWasm) {
        "py"
    } else {
        "js"
    };
    let stem = handler
        .split('.')
        .next()
        .filter(|stem| !stem.is_empty())
        .unwrap_or("main");
    format!("{stem}.{ending}")
}

fn bare(
    code: &[u8],
    runtime: Runtime,
    handler: &str,
    bytes_max: usize,
) -> Result<UploadedFile, UploadError> {
    if code.len() > bytes_max {
        return Err(UploadError::Bytes { max: bytes_max });
    }
    if std::str::from_utf8(code).is_err() {
        return Err(UploadError::Text);
    }
    let path = checked_path(&bare_name(runtime, handler))?;
    Ok(UploadedFile {
        path,
        contents: code.to_vec(),
        executable: false,
        owner: String::new(),
    })
}

/// A path without tricks, in its plain form.
fn checked_path(path: &str) -> Result<String, UploadError> {
    let bad = |why| {
        Err(UploadError::Path {
            path: path.to_owned(),
            why,
        })
    };
    if path.starts_with('/') {
        return bad("is an absolute path");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return bad("has characters that paths here cannot have");
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return bad("leaves the upload");
    }
    if parts.is_empty() || parts.len() > DEPTH_MAX || path.len() > PATH_BYTES_MAX {
        return bad("is empty, too deep or too long");
    }
    Ok(parts.join("/"))
}

/// A file cannot be another one's folder.
fn check_folders(files: &BTreeSet<String>) -> Result<(), UploadError> {
    for path in files {
        let mut below = path.as_str();
        while let Some((folder, _)) = below.rsplit_once('/') {
            if files.contains(folder) {
                return Err(UploadError::FileAsFolder {
                    folder: folder.to_owned(),
                    path: path.clone(),
                });
            }
            below = folder;
        }
    }
    Ok(())
}

fn kind_name(kind: tar::EntryType) -> &'static str {
    use tar::EntryType as Kind;
    match kind {
        Kind::Link => "hard link",
        Kind::Symlink => "symbolic link",
        Kind::Char | Kind::Block => "device",
        Kind::Fifo => "named pipe",
        _ => "special entry",
    }
}
