//! A function's code on this machine: recognised by its kind, checked, packed into a tar as Serverledge sends it.

use std::io;
use std::path::{Path, PathBuf};

use serverledge_client::CODE_BYTES_MAX;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, text};

/// Code ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// The archive.
    pub(crate) tar: Vec<u8>,
    /// The runtime, where the kind of source settles it; else the node finds out.
    pub(crate) runtime: Option<&'static str>,
}

/// Why a source cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// A URL.
    #[error("{0:?} is a URL, and nodes fetch no code from elsewhere")]
    Url(String),
    /// Missing, or not readable.
    #[error("failed to read the source {path:?}: {fault}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        fault: io::Error,
    },
    /// Beyond the limit.
    #[error("the source {path:?} is larger than {}", text::bytes(CODE_BYTES_MAX))]
    TooLarge {
        /// Where.
        path: PathBuf,
    },
    /// Nothing in it.
    #[error("the source {0:?} is empty")]
    Empty(PathBuf),
    /// Code that only a container can run.
    #[error("{path:?} is {language} and needs the container executor, which this version does not have yet")]
    NeedsContainer {
        /// Where.
        path: PathBuf,
        /// What was recognised.
        language: &'static str,
    },
    /// Not a kind of source that is known.
    #[error("{0:?} is neither a .wasm or .wat file nor a .tar that holds one")]
    Unknown(PathBuf),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let exit = match error {
            SourceError::Read { .. } => Exit::Source,
            _ => Exit::Usage,
        };
        let failure = Self::new(exit, error.to_string());
        match error {
            SourceError::Url(_) => failure.hint("download the file, check it, and pass its path"),
            SourceError::NeedsContainer { .. } => {
                failure.hint("compile the function to WebAssembly and pass the .wasm file")
            }
            SourceError::Unknown(_) => failure.hint("compile the function to a WebAssembly module or component first"),
            _ => failure,
        }
    }
}

/// Reads a source and packs it.
pub(crate) fn read(path: &Path) -> Result<Code, SourceError> {
    if let Some(url) = path.to_str().filter(|text| text.contains("://")) {
        return Err(SourceError::Url(url.to_owned()));
    }
    let unreadable = |fault| SourceError::Read { path: path.to_owned(), fault };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.is_dir() {
        return Err(needs_container(path, "a folder"));
    }
    if let Some(language) = container_language(path) {
        return Err(needs_container(path, language));
    }
    let bytes = files::read(path, CODE_BYTES_MAX).map_err(|fault| match fault.kind() {
        io::ErrorKind::FileTooLarge => SourceError::TooLarge { path: path.to_owned() },
        _ => unreadable(fault),
    })?;
    if bytes.is_empty() {
        return Err(SourceError::Empty(path.to_owned()));
    }
    if has_extension(path, &["tar"]) {
        check_archive(path, &bytes)?;
        return Ok(Code { tar: bytes, runtime: None });
    }
    if has_extension(path, &["wasm", "wat"]) || bytes.starts_with(b"\0asm") {
        return Ok(Code { tar: pack(path, &bytes).map_err(unreadable)?, runtime: Some("wasm") });
    }
    Err(SourceError::Unknown(path.to_owned()))
}

/// The name that a source suggests: its file's, without the extension.
pub(crate) fn suggested_name(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

fn needs_container(path: &Path, language: &'static str) -> SourceError {
    SourceError::NeedsContainer { path: path.to_owned(), language }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

fn container_language(path: &Path) -> Option<&'static str> {
    if has_extension(path, &["py"]) {
        Some("Python")
    } else if has_extension(path, &["js", "mjs", "cjs"]) {
        Some("JavaScript")
    } else {
        None
    }
}

/// An archive must hold wasm; one with scripts alone is a container's.
fn check_archive(path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
    let unreadable = |fault| SourceError::Read { path: path.to_owned(), fault };
    let mut language = None;
    for entry in tar::Archive::new(bytes).entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?;
        if has_extension(&name, &["wasm", "wat"]) {
            return Ok(());
        }
        language = language.or_else(|| container_language(&name));
    }
    Err(language.map_or_else(|| SourceError::Unknown(path.to_owned()), |language| needs_container(path, language)))
}

/// One file in an archive, the same bytes for the same file: no owner, no time.
fn pack(path: &Path, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::with_capacity(bytes.len() + 4096));
    archive.append_data(&mut header, name, bytes)?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn check(name: &str, bytes: &[u8], exit: Exit, words: &str) {
        let (_folder, path) = write(name, bytes);
        let failure = Failure::from(read(&path).unwrap_err());
        assert_eq!(failure.exit(), exit, "{name}");
        let shown = failure.render(false);
        assert!(shown.contains(words), "{name}: {shown}");
    }

    #[test]
    fn wasm_is_packed_into_a_reproducible_tar() {
        let (_folder, path) = write("hello.wat", b"(module)");
        let code = read(&path).unwrap();
        assert_eq!(code.runtime, Some("wasm"));
        assert_eq!(code, read(&path).unwrap());
        let mut archive = tar::Archive::new(code.tar.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap(), Path::new("hello.wat"));
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "(module)");
        assert_eq!(suggested_name(&path), Some("hello"));
        let (_folder, bare) = write("module", b"\0asm\x01\0\0\0");
        assert_eq!(read(&bare).unwrap().runtime, Some("wasm"));
    }

    #[test]
    fn archives_pass_if_they_hold_wasm() {
        let tar = |name: &str| pack(Path::new(name), b"x").unwrap();
        let (_folder, path) = write("code.tar", &tar("f.wasm"));
        assert_eq!(read(&path).unwrap(), Code { tar: tar("f.wasm"), runtime: None });
        check("code.tar", &tar("f.py"), Exit::Usage, "is Python and needs the container executor");
        check("code.tar", &tar("f.txt"), Exit::Usage, "is neither");
        check("code.tar", &[1; 600], Exit::Source, "failed to read the source");
    }

    #[test]
    fn other_sources_say_why_not() {
        check(
            "hello.py",
            b"def f(): 0",
            Exit::Usage,
            "is Python and needs the container executor, which this version does not have yet",
        );
        check("hello.js", b"x", Exit::Usage, "is JavaScript and needs the container executor");
        check("hello.rs", b"fn main() {}", Exit::Usage, "is neither a .wasm or .wat file");
        check("hello.wasm", b"", Exit::Usage, "is empty");
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(SourceError::NeedsContainer { language: "a folder", .. })));
        assert!(matches!(read(Path::new("https://example.org/f.wasm")), Err(SourceError::Url(_))));
        let missing = Failure::from(read(&folder.path().join("f.wasm")).unwrap_err());
        assert_eq!(missing.exit(), Exit::Source);
    }

    #[test]
    fn too_large_sources_are_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.wasm");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(CODE_BYTES_MAX as u64 + 1).unwrap();
        assert!(matches!(read(&path), Err(SourceError::TooLarge { .. })));
    }
}
