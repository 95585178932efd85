//! The files of a folder that matter for its function, looked at again and again: which of them have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::ignored::IgnoreList;

/// Most files that are looked at; a folder with more of them holds something else than a function's source.
const FILES_MAX: usize = 10_000;
/// Deepest folder below the watched one.
const DEPTH_MAX: usize = 32;
/// Lists of packages with all versions, which builds write where they are missing or old.
const LOCK_FILES: [&str; 7] = [
    "Cargo.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bun.lock",
    "go.sum",
    "uv.lock",
];

/// The state of a file by which a change is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileStamp {
    /// Times of its content and of its state, which tools cannot set, in seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    /// Another one after it was replaced by a file of the same times and length.
    inode: u64,
    length: u64,
}

impl FileStamp {
    fn of(about: &fs::Metadata) -> Self {
        Self {
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
            length: about.len(),
        }
    }
}

/// A folder and the files in it as they were last seen; or a single file.
#[derive(Debug)]
pub(crate) struct FolderWatch {
    root: PathBuf,
    /// The file or folder that the build makes of the others.
    made: Option<PathBuf>,
    /// The file or folder that is deployed as it is, which matters even if it is ignored.
    sent: Option<PathBuf>,
    seen: BTreeMap<PathBuf, FileStamp>,
}

impl FolderWatch {
    /// Looks at a folder, or at a single file, for the first time; what a build makes in it is left out.
    pub(crate) fn built(root: &Path, made: &Path) -> Self {
        Self::new(root, Some(made.to_owned()), None)
    }

    /// The same where `sent` is deployed as it is.
    pub(crate) fn unbuilt(root: &Path, sent: &Path) -> Self {
        Self::new(root, None, Some(sent.to_owned()))
    }

    fn new(root: &Path, made: Option<PathBuf>, sent: Option<PathBuf>) -> Self {
        let mut watch = Self {
            root: root.to_owned(),
            made,
            sent,
            seen: BTreeMap::new(),
        };
        watch.changes();
        watch
    }

    /// Looks again: the paths of files that came, went or changed since the last look.
    pub(crate) fn changes(&mut self) -> Vec<PathBuf> {
        let mut now = BTreeMap::new();
        if let Some(sent) = &self.sent {
            let all = IgnoreList::of_tools();
            collect(sent, &all, None, &mut now);
        }
        let ignored = IgnoreList::of_folder(&self.root);
        collect(&self.root, &ignored, self.made.as_deref(), &mut now);
        let before = std::mem::replace(&mut self.seen, now);
        let gone = before.keys().filter(|path| !self.seen.contains_key(*path));
        let other = self
            .seen
            .iter()
            .filter(|(path, stamp)| before.get(*path) != Some(*stamp))
            .map(|(path, _)| path);
        gone.chain(other).cloned().collect()
    }

    /// Whether the folder holds more files than are looked at.
    pub(crate) fn is_too_large(&self) -> bool {
        self.seen.len() >= FILES_MAX
    }
}

/// The stamps of a file, or of the files below a folder. What cannot be read is not there.
fn collect(
    root: &Path,
    ignored: &IgnoreList,
    made: Option<&Path>,
    into: &mut BTreeMap<PathBuf, FileStamp>,
) {
    match fs::metadata(root) {
        Ok(about) if about.is_file() => {
            into.insert(root.to_owned(), FileStamp::of(&about));
        }
        Ok(_) => FolderWalk {
            root,
            ignored,
            made,
            into,
        }
        .folder(root, 0),
        Err(_) => {}
    }
}

/// A look at the files below a folder.
struct FolderWalk<'a> {
    root: &'a Path,
    ignored: &'a IgnoreList,
    made: Option<&'a Path>,
    into: &'a mut BTreeMap<PathBuf, FileStamp>,
}

impl FolderWalk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            if self.into.len() >= FILES_MAX {
                return;
            }
            let path = entry.path();
            let Ok(about) = entry.metadata() else {
                continue;
            };
            let below = path.strip_prefix(self.root).unwrap_or(&path);
            if self.ignored.has(below, about.is_dir()) || self.made == Some(path.as_path()) {
                continue;
            }
            if about.is_dir() {
                if depth < DEPTH_MAX && !is_private(&entry.file_name()) {
                    self.folder(&path, depth + 1);
                }
            } else if about.is_file() {
                self.into.insert(path, FileStamp::of(&about));
            }
        }
    }
}

/// Whether a folder is hidden: of version control, an environment or a cache. The settings of cargo are part of a build.
fn is_private(name: &OsStr) -> bool {
    name != ".cargo" && name.to_string_lossy().starts_with('.')
}

/// The changes that come while builds run: those that a build makes itself are no reason for another one, those that
/// somebody else makes are.
#[derive(Debug, Default)]
pub(crate) struct BuildChanges {
    /// Files that builds write.
    own: BTreeSet<PathBuf>,
    /// Files that changed during the last build and are not known as its own.
    pending: BTreeSet<PathBuf>,
    /// The reason of the build that runs, if it is nothing but what changed during the one before.
    suspects: BTreeSet<PathBuf>,
}

impl BuildChanges {
    /// The changes that are left from the last build.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &PathBuf> {
        self.pending.iter()
    }

    /// A build begins, because these files have changed.
    pub(crate) fn begin(&mut self, reason: &BTreeSet<PathBuf>) {
        let pending = std::mem::take(&mut self.pending);
        self.suspects = match reason.is_subset(&pending) {
            true => pending,
            false => BTreeSet::new(),
        };
    }

    /// The build has ended, and these files have changed while it ran. Gives those that turn out to be its own: they have
    /// changed during two builds in a row, the second of which had no other reason.
    pub(crate) fn end(&mut self, during: Vec<PathBuf>) -> Vec<PathBuf> {
        let other = |path: &PathBuf| !self.own.contains(path) && !is_lock_file(path);
        let (found, pending): (Vec<_>, Vec<_>) = during
            .into_iter()
            .filter(other)
            .partition(|path| self.suspects.contains(path));
        self.own.extend(found.iter().cloned());
        self.pending = pending.into_iter().collect();
        found
    }
}

fn is_lock_file(path: &Path) -> bool {
    let name = path.file_name();
    name.is_some_and(|name| LOCK_FILES.iter().any(|lock| name == *lock))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn changed(watch: &mut FolderWatch, root: &Path) -> Vec<String> {
        let relative = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        watch.changes().into_iter().map(relative).collect()
    }

    #[test]
    fn files_come_go_and_change() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        write(root, "main.js", "1");
        write(root, "lib/a.js", "1");
        let mut watch = FolderWatch::new(root, None, None);
        assert!(changed(&mut watch, root).is_empty());
        write(root, "main.js", "22");
        write(root, "lib/b.js", "1");
        assert_eq!(changed(&mut watch, root), ["lib/b.js", "main.js"]);
        assert!(
            changed(&mut watch, root).is_empty(),
            "each change is told once"
        );
        fs::remove_dir_all(root.join("lib")).unwrap();
        assert_eq!(changed(&mut watch, root), ["lib/a.js", "lib/b.js"]);
    }

    #[test]
    fn a_change_of_the_same_length_is_seen_by_its_time() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        write(root, "main.js", "1");
        let mut watch = FolderWatch::new(root, None, None);
        let file = fs::File::options()
            .write(true)
            .open(root.join("main.js"))
            .unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        file.set_modified(later).unwrap();
        assert_eq!(changed(&mut watch, root), ["main.js"]);
    }

    #[test]
    fn what_tools_and_builds_make_is_ignored() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        write(
            root,
            ".gitignore",
            "/dist/\n*.log\n# notes\nfunction.wasm\n",
        );
        let mut watch = FolderWatch::built(root, &root.join("out.wasm"));
        for name in [
            "target/release/x",
            "node_modules/a/index.js",
            ".git/HEAD",
            "dist/main.js",
            "a.log",
            "function.wasm",
            "out.wasm",
        ] {
            write(root, name, "1");
        }
        assert!(changed(&mut watch, root).is_empty());
        for name in [".cargo/config.toml", "sub/dist/main.js", "sub/out.wasm"] {
            write(root, name, "1");
            assert_eq!(changed(&mut watch, root), [name]);
        }
    }

    #[test]
    fn a_file_that_takes_the_place_of_another_is_seen() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for name in ["main.js", ".git/main.js"] {
            write(root, name, "1");
            let file = fs::File::options().write(true).open(root.join(name));
            file.unwrap().set_modified(time).unwrap();
        }
        let mut watch = FolderWatch::new(root, None, None);
        // Of the same length and time, as by `cp -p`.
        fs::rename(root.join(".git/main.js"), root.join("main.js")).unwrap();
        assert_eq!(changed(&mut watch, root), ["main.js"]);
    }

    #[test]
    fn what_is_deployed_as_it_is_matters_even_if_it_is_ignored() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        write(root, ".gitignore", "dist\n*.wasm\n");
        write(root, "target/f.wasm", "1");
        let mut watch = FolderWatch::unbuilt(root, &root.join("target/f.wasm"));
        write(root, "target/f.wasm", "22");
        write(root, "target/other", "1");
        assert_eq!(changed(&mut watch, root), ["target/f.wasm"]);
        // A link to a file elsewhere, as some build tools make it.
        let link = root.join("f.wasm");
        std::os::unix::fs::symlink(root.join("target/f.wasm"), &link).unwrap();
        let mut watch = FolderWatch::unbuilt(root, &link);
        write(root, "target/f.wasm", "333");
        assert_eq!(changed(&mut watch, root), ["f.wasm"]);
        let mut watch = FolderWatch::unbuilt(root, &root.join("dist"));
        write(root, "dist/a.wasm", "1");
        write(root, "dist/node_modules/b.wasm", "1");
        assert_eq!(changed(&mut watch, root), ["dist/a.wasm"]);
        let mut watch = FolderWatch::unbuilt(root, &root.join("."));
        write(root, "dist/a.wasm", "22");
        assert_eq!(changed(&mut watch, root), ["dist/a.wasm"]);
    }

    /// Paths for [`BuildChanges`].
    fn paths<T: FromIterator<PathBuf>>(names: &[&str]) -> T {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn builds_are_no_reason_for_builds() {
        let mut changes = BuildChanges::default();
        changes.begin(&paths(&[]));
        assert!(
            changes
                .end(paths(&["main.wasm", "a.o", "Cargo.lock"]))
                .is_empty()
        );
        let pending: BTreeSet<PathBuf> = changes.pending().cloned().collect();
        assert_eq!(
            pending,
            paths(&["a.o", "main.wasm"]),
            "it could be a person's"
        );
        changes.begin(&pending);
        let found = changes.end(paths(&["a.o", "main.wasm", "main.c"]));
        assert_eq!(found, paths::<Vec<_>>(&["a.o", "main.wasm"]));
        // A change by a person during a build is the reason for another one.
        let pending: BTreeSet<PathBuf> = changes.pending().cloned().collect();
        assert_eq!(pending, paths(&["main.c"]));
        changes.begin(&pending);
        assert!(changes.end(paths(&["a.o", "main.wasm"])).is_empty());
        assert_eq!(changes.pending().count(), 0);
    }

    #[test]
    fn what_has_another_reason_is_not_the_builds() {
        let mut changes = BuildChanges::default();
        changes.begin(&paths(&[]));
        changes.end(paths(&["main.c"]));
        changes.begin(&paths(&["main.c", "util.c"]));
        assert!(changes.end(paths(&["main.c"])).is_empty());
        changes.begin(&paths(&["main.c"]));
        assert_eq!(changes.pending().count(), 0, "each is one reason");
    }

    #[test]
    fn links_are_not_followed() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path();
        let mut watch = FolderWatch::new(root, None, None);
        std::os::unix::fs::symlink(root, root.join("loop")).unwrap();
        assert!(changed(&mut watch, root).is_empty());
        assert!(!watch.is_too_large());
    }

    #[test]
    fn of_a_single_file_nothing_else_matters() {
        let lab = tempfile::tempdir().unwrap();
        let file = lab.path().join("hey.js");
        fs::write(&file, "1").unwrap();
        let mut watch = FolderWatch::new(&file, None, None);
        write(lab.path(), "other.js", "1");
        assert!(watch.changes().is_empty());
        fs::write(&file, "22").unwrap();
        assert_eq!(watch.changes(), [file.as_path()]);
        fs::remove_file(&file).unwrap();
        assert_eq!(watch.changes(), [file.as_path()]);
    }

    #[test]
    fn a_folder_that_is_gone_has_no_files() {
        let lab = tempfile::tempdir().unwrap();
        let root = lab.path().join("in");
        write(&root, "a", "1");
        let mut watch = FolderWatch::new(&root, None, None);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(changed(&mut watch, &root), ["a"]);
        assert!(changed(&mut watch, &root).is_empty());
    }
}
