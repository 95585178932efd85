//! Machine code that nodes of the client's own have made, kept for the next of them, which begins with an empty folder.
//!
//! A node believes only what carries the seal of the key beside it. Both are kept in a folder that is its owner's alone.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::getuid;
use tempfile::TempDir;

/// The folder below a node's data, and below the user's cache.
const FOLDER: &str = "machine-code";
/// The key of the seals, in that folder.
const KEY: &str = "key";
/// Length of a whole key. A node refuses to start with another one.
const KEY_BYTES: u64 = 32;
/// Mode of folders: their owner's alone.
const FOLDER_MODE: u32 = 0o700;
/// Most bytes that are kept; the engine of the runtime `javascript` takes about eight million.
const BYTES_MAX: u64 = 64 << 20;

/// The user's folder of machine code.
#[derive(Debug)]
pub(crate) struct MachineCode {
    kept: PathBuf,
}

/// A file of it.
#[derive(Debug, PartialEq, Eq)]
struct KeptFile {
    /// Below the folder.
    path: PathBuf,
    length: u64,
    modified: SystemTime,
}

impl MachineCode {
    /// The folder below `$XDG_CACHE_HOME`, else below `~/.cache`; `None` if there is no place for one.
    pub(crate) fn of_user(cache: Option<OsString>, home: Option<OsString>) -> Option<Self> {
        // A relative one is no place (XDG Base Directory).
        let place = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let cache = cache.and_then(place);
        let cache = cache.or_else(|| Some(home.and_then(place)?.join(".cache")))?;
        Some(Self {
            kept: cache.join("serverledge").join(FOLDER),
        })
    }

    /// Copies what is kept to the data of a node that has not started yet.
    ///
    /// # Errors
    /// The system's, or the key is damaged. Nothing is copied then, and the node compiles what it lacks.
    pub(crate) fn restore(&self, data: &Path) -> io::Result<()> {
        let target = data.join(FOLDER);
        let restored = self.restore_to(&target);
        if restored.is_err() && target.exists() {
            fs::remove_dir_all(&target)?;
        }
        restored
    }

    fn restore_to(&self, target: &Path) -> io::Result<()> {
        let about = fs::symlink_metadata(&self.kept)?;
        let is_own = about.uid() == getuid().as_raw() && about.mode() & 0o077 == 0;
        if !about.is_dir() || !is_own {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        copy(&self.kept, target, BYTES_MAX)
    }

    /// Keeps what a node has made that has ended. Where nothing of it is new, nothing is written.
    ///
    /// # Errors
    /// The system's; what was kept before is then kept, or nothing.
    pub(crate) fn save(&self, data: &Path) -> io::Result<()> {
        self.save_within(data, BYTES_MAX)
    }

    fn save_within(&self, data: &Path, bytes_max: u64) -> io::Result<()> {
        let made = data.join(FOLDER);
        let known = files(&self.kept).unwrap_or_default();
        // A file that the node has made again, because it was damaged, has another time.
        if files(&made)?.iter().all(|file| known.contains(file)) {
            return Ok(());
        }
        let beside = self.kept.parent().unwrap_or(Path::new("/"));
        make_folder(beside)?;
        // Whole or not at all: others may save or restore just now.
        let fresh = private_folder(beside)?;
        copy(&made, fresh.path(), bytes_max)?;
        let former = private_folder(beside)?;
        match fs::rename(&self.kept, former.path().join(FOLDER)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        fs::rename(fresh.path(), &self.kept)
    }
}

/// A folder for a moment, for its owner alone.
fn private_folder(beside: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("machine-code-")
        .permissions(Permissions::from_mode(FOLDER_MODE))
        .tempdir_in(beside)
}

/// Copies the key and the files, with their times. If they are too many bytes, so many of the newest that half of the room
/// is free again: what is needed and was left out is made again, and is then among the newest.
///
/// # Errors
/// The system's, or [`io::ErrorKind::InvalidData`] if the key is not whole.
fn copy(from: &Path, to: &Path, bytes_max: u64) -> io::Result<()> {
    let (keys, mut files): (Vec<_>, Vec<_>) = files(from)?
        .into_iter()
        .partition(|file| file.path == Path::new(KEY));
    let [key] = keys.as_slice() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    if key.length != KEY_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let total: u64 = files.iter().map(|file| file.length).sum();
    if total > bytes_max {
        keep_newest(&mut files, bytes_max / 2);
    }
    for file in std::iter::once(key).chain(&files) {
        let target = to.join(&file.path);
        make_folder(target.parent().unwrap_or(to))?;
        fs::copy(from.join(&file.path), &target)?;
        let copied = File::options().write(true).open(&target)?;
        copied.set_modified(file.modified)?;
    }
    Ok(())
}

/// Leaves the last of these files that have room.
fn keep_newest(files: &mut Vec<KeptFile>, mut room: u64) {
    let fits = |file: &&KeptFile| {
        let left = room.checked_sub(file.length);
        room = left.unwrap_or(room);
        left.is_some()
    };
    let kept = files.iter().rev().take_while(fits).count();
    files.drain(..files.len() - kept);
}

/// The files of a folder and of those directly in it, the oldest first. Links are none.
fn files(root: &Path) -> io::Result<Vec<KeptFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if fs::symlink_metadata(&path)?.is_dir() {
            for entry in fs::read_dir(&path)? {
                found.extend(file(root, &entry?.path())?);
            }
        } else {
            found.extend(file(root, &path)?);
        }
    }
    found.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    Ok(found)
}

fn file(root: &Path, path: &Path) -> io::Result<Option<KeptFile>> {
    let about = fs::symlink_metadata(path)?;
    let Some(below) = path.strip_prefix(root).ok().filter(|_| about.is_file()) else {
        return Ok(None);
    };
    Ok(Some(KeptFile {
        path: below.to_owned(),
        length: about.len(),
        modified: about.modified()?,
    }))
}

/// Makes a folder, and those above it that are missing, for their owner alone.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A node's data with a key and files of one byte each, made one after the other.
    fn data(lab: &Path, name: &str, files: &[&str]) -> PathBuf {
        let data = lab.join(name);
        let folder = data.join(FOLDER);
        make_folder(&folder.join("kind")).unwrap();
        for (at, name) in std::iter::once(&KEY).chain(files).enumerate() {
            let bytes = if *name == KEY { vec![7; 32] } else { vec![1] };
            fs::write(folder.join(name), bytes).unwrap();
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(at as u64);
            let file = File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(made).unwrap();
        }
        data
    }

    fn code(lab: &Path) -> MachineCode {
        MachineCode::of_user(Some(lab.join("cache").into()), None).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = files(folder)
            .unwrap()
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_later_node_gets_what_an_earlier_one_made() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        let later = lab.path().join("later");
        assert!(
            code.restore(&later).is_err() && !later.exists(),
            "there is nothing yet"
        );
        code.save(&data(lab.path(), "a", &["kind/1.cwasm", "kind/1.json"]))
            .unwrap();
        code.restore(&later).unwrap();
        let all = ["key", "kind/1.cwasm", "kind/1.json"];
        assert_eq!(names(&later.join(FOLDER)), all);
        // What a second one made replaces it; nothing is left of the exchange.
        code.save(&data(lab.path(), "b", &["kind/2.cwasm"]))
            .unwrap();
        assert_eq!(names(&code.kept), ["key", "kind/2.cwasm"]);
        let beside = fs::read_dir(code.kept.parent().unwrap()).unwrap();
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn what_is_known_is_not_written_again() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        let data = data(lab.path(), "a", &["kind/1.cwasm"]);
        code.save(&data).unwrap();
        let inode = fs::metadata(&code.kept).unwrap().ino();
        code.save(&data).unwrap();
        assert_eq!(fs::metadata(&code.kept).unwrap().ino(), inode);
    }

    #[test]
    fn the_newest_are_kept_of_too_many() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        let made = ["kind/e", "kind/d", "kind/c", "kind/b", "kind/a"];
        code.save_within(&data(lab.path(), "a", &made), 4).unwrap();
        assert_eq!(names(&code.kept), ["key", "kind/a", "kind/b"]);
        code.save_within(&data(lab.path(), "b", &made), 5).unwrap();
        assert_eq!(names(&code.kept).len(), 6);
    }

    #[test]
    fn a_damaged_key_is_not_restored() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        let whole = data(lab.path(), "a", &["kind/1.cwasm"]);
        code.save(&whole).unwrap();
        let later = lab.path().join("later");
        for damaged in [&b""[..], &[7; 31], &[7; 33]] {
            fs::write(code.kept.join(KEY), damaged).unwrap();
            assert!(code.restore(&later).is_err());
            assert!(!later.join(FOLDER).exists(), "nothing is left of it");
        }
        fs::remove_file(code.kept.join(KEY)).unwrap();
        assert!(code.restore(&later).is_err());
        code.save(&whole).unwrap();
        code.restore(&later).unwrap();
        assert_eq!(names(&later.join(FOLDER)), ["key", "kind/1.cwasm"]);
    }

    #[test]
    fn what_was_damaged_and_is_made_again_is_kept() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        code.save(&data(lab.path(), "a", &["kind/1.cwasm"]))
            .unwrap();
        let kept = code.kept.join("kind/1.cwasm");
        fs::write(&kept, "").unwrap();
        let later = lab.path().join("later");
        code.restore(&later).unwrap();
        // Of the same length as the damaged one or of another: the node writes it anew.
        fs::write(later.join(FOLDER).join("kind/1.cwasm"), [1]).unwrap();
        code.save(&later).unwrap();
        assert_eq!(fs::read(&kept).unwrap(), [1]);
    }

    #[test]
    fn a_folder_that_others_may_read_is_not_believed() {
        let lab = tempfile::tempdir().unwrap();
        let code = code(lab.path());
        code.save(&data(lab.path(), "a", &["kind/1.cwasm"]))
            .unwrap();
        fs::set_permissions(&code.kept, Permissions::from_mode(0o755)).unwrap();
        assert!(code.restore(&lab.path().join("later")).is_err());
    }

    #[test]
    fn the_place_is_the_users_cache() {
        let place = |cache: Option<&str>, home: Option<&str>| {
            MachineCode::of_user(cache.map(Into::into), home.map(Into::into)).map(|code| code.kept)
        };
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(
            place(Some("/c"), Some("/h")),
            at("/c/serverledge/machine-code")
        );
        assert_eq!(
            place(Some("c"), Some("/h")),
            at("/h/.cache/serverledge/machine-code")
        );
        assert_eq!(place(None, None), None);
    }
}
