//! Reading files without trusting their size, and finding programs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if it is longer; else the system's error.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limit)
}

/// The same of stdin, where the path is `-`.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_or_stdin(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        read_from(io::stdin().lock(), limit)
    } else {
        read(path, limit)
    }
}

/// A text without the line end that editors put at its end.
pub(crate) fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// The same of anything that can be read.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_from(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// The last part of a file, at most so many bytes of it, from the beginning of a line on.
///
/// # Errors
/// The system's.
pub(crate) fn end_of(file: &mut File, limit: u64) -> io::Result<String> {
    let from = file.metadata()?.len().saturating_sub(limit);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest.to_owned(),
        _ => text,
    })
}

/// The first program of this name in the folders of a `PATH`, as an absolute path.
pub(crate) fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).find_map(|folder| program_at(&folder.join(name)))
}

/// The absolute path of a file that may be executed; `None` if there is no such file.
pub(crate) fn program_at(path: &Path) -> Option<PathBuf> {
    let is_program = std::fs::metadata(path)
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
    is_program.then(|| std::path::absolute(path).ok()).flatten()
}

/// The program at a path below a folder, if nobody but this user and root can have put it there.
pub(crate) fn own_program_at(folder: &Path, below: &Path) -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let is_own = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|about| {
            [0, user].contains(&about.uid()) && about.permissions().mode() & 0o002 == 0
        })
    };
    let program = folder.join(below);
    let above = below.components().count();
    let all_own = program.ancestors().take(above + 1).all(is_own);
    all_own.then(|| program_at(&program)).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn the_end_of_a_file_begins_with_a_line() {
        let lab = tempfile::tempdir().unwrap();
        let path = lab.path().join("log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        for (limit, expected) in [(100, "one\ntwo\nthree\n"), (9, "three\n"), (3, ""), (0, "")] {
            let mut file = File::open(&path).unwrap();
            assert_eq!(end_of(&mut file, limit).unwrap(), expected, "{limit}");
        }
    }

    #[test]
    fn what_others_may_write_is_not_run() {
        let lab = tempfile::tempdir().unwrap();
        let folder = lab.path().join("bin");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("tool"), "").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        set(&folder.join("tool"), 0o755);
        let found = || own_program_at(lab.path(), Path::new("bin/tool")).is_some();
        assert!(found());
        for path in [lab.path(), &folder, &folder.join("tool")] {
            set(path, 0o757);
            assert!(!found(), "{path:?}");
            set(path, 0o755);
        }
        assert!(found());
    }

    #[test]
    fn programs_are_absolute_and_may_be_executed() {
        let lab = tempfile::tempdir().unwrap();
        let tool = lab.path().join("tool");
        std::fs::write(&tool, "").unwrap();
        let path = std::env::join_paths([Path::new("/nowhere"), lab.path()]).unwrap();
        std::fs::set_permissions(&tool, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(on_path("tool", &path), None, "it is no program");
        std::fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(on_path("tool", &path), Some(tool));
        assert_eq!(on_path("other", &path), None);
        // Tests run in the folder of their package.
        assert_eq!(program_at(Path::new("src")), None, "a folder is none");
    }

    #[test]
    fn the_limit_is_inclusive() {
        assert_eq!(read_from(&b"abc"[..], 3).unwrap(), b"abc");
        assert_eq!(
            read_from(&b"abcd"[..], 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
