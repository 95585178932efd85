//! Packing code into a tar: the same bytes for the same files, with no owner and no time, and nothing but regular files.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serverledge_client::CODE_BYTES_MAX;

use crate::exit::Exit;
use crate::{files, text};

/// Folders that hold no code of the function: what a tool has installed, compiled or recorded.
const LEFT_OUT: [&str; 6] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    "node_modules",
];
/// Most files of a function; a folder with more is not what was meant.
const FILES_MAX: usize = 10_000;
/// Deepest folder: no code is that deep, and a walk must end.
const DEPTH_MAX: usize = 64;
/// Length of a tar's blocks.
const BLOCK_BYTES: u64 = 512;

/// The reason why something was not packed.
#[derive(Debug)]
pub(crate) struct PackError {
    /// The exit code that it leads to.
    pub(crate) exit: Exit,
    /// The fault, in words for people.
    pub(crate) words: String,
}

impl PackError {
    fn limit(words: String) -> Self {
        Self {
            exit: Exit::Usage,
            words,
        }
    }

    fn too_large() -> Self {
        Self::limit(format!(
            "the files are larger than {} together",
            text::bytes(CODE_BYTES_MAX)
        ))
    }

    fn unread(path: &Path, fault: &io::Error) -> Self {
        Self {
            exit: Exit::Source,
            words: format!("failed to read {path:?}: {fault}"),
        }
    }

    /// The archive cannot be written, for instance because a name is too long for it.
    fn unwritten(path: &Path, fault: &io::Error) -> Self {
        Self {
            exit: Exit::Usage,
            words: format!("failed to pack {path:?}: {fault}"),
        }
    }
}

/// Files by the path that they get in the archive.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<PathBuf, File>,
    bytes: usize,
    /// Remarks on what was left out, for the person who deploys.
    pub(crate) remarks: Vec<String>,
}

#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    executable: bool,
}

impl Files {
    /// One file under its own name.
    pub(crate) fn of_file(path: &Path, bytes: Vec<u8>) -> Result<Self, PackError> {
        let fault = || PackError::unread(path, &io::ErrorKind::InvalidFilename.into());
        let mut files = Self::default();
        files.put(
            PathBuf::from(path.file_name().ok_or_else(fault)?),
            bytes,
            false,
        )?;
        Ok(files)
    }

    /// The regular files of a folder, by their paths inside it.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, PackError> {
        let mut files = Self::default();
        files.add_folder(folder, Path::new(""), 0)?;
        Ok(files)
    }

    /// Adds a file; one of that name is replaced.
    pub(crate) fn put(
        &mut self,
        name: PathBuf,
        bytes: Vec<u8>,
        executable: bool,
    ) -> Result<(), PackError> {
        self.bytes += bytes.len();
        if self.bytes > CODE_BYTES_MAX {
            return Err(PackError::too_large());
        }
        self.files.insert(name, File { bytes, executable });
        match self.files.len() {
            0..=FILES_MAX => Ok(()),
            _ => Err(PackError::limit(format!(
                "there are more than {FILES_MAX} files"
            ))),
        }
    }

    /// Leaves out the files of other paths than these.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| keeps(path));
        self.bytes = self.files.values().map(|file| file.bytes.len()).sum();
    }

    /// Whether there is a file of this path.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// The paths, in their order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// All of them, in the order of their paths.
    pub(crate) fn all(&self) -> Vec<(&Path, &[u8])> {
        self.files
            .iter()
            .map(|(path, file)| (path.as_path(), file.bytes.as_slice()))
            .collect()
    }

    /// The archive.
    pub(crate) fn pack(&self) -> Result<Vec<u8>, PackError> {
        let mut archive = tar::Builder::new(Vec::with_capacity(
            self.bytes + 1024 * self.files.len() + 1024,
        ));
        for (path, file) in &self.files {
            append(&mut archive, path, file).map_err(|fault| PackError::unwritten(path, &fault))?;
        }
        archive
            .into_inner()
            .map_err(|fault| PackError::unwritten(Path::new(""), &fault))
    }

    fn add_folder(&mut self, folder: &Path, inside: &Path, depth: usize) -> Result<(), PackError> {
        let fault = |fault: io::Error| PackError::unread(folder, &fault);
        if depth > DEPTH_MAX {
            return Err(PackError::limit(format!(
                "{folder:?} lies more than {DEPTH_MAX} folders deep"
            )));
        }
        let entries = std::fs::read_dir(folder).map_err(fault)?;
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>();
        names.as_mut().map(|names| names.sort()).ok();
        for name in names.map_err(fault)? {
            let path = folder.join(&name);
            let inside = inside.join(&name);
            let meta = std::fs::symlink_metadata(&path).map_err(fault)?;
            if meta.is_dir() && LEFT_OUT.iter().any(|left_out| name == *left_out) {
                self.remarks
                    .push(format!("{} is left out", inside.display()));
            } else if meta.is_dir() {
                self.add_folder(&path, &inside, depth + 1)?;
            } else if meta.is_file() {
                self.add_file(&path, inside, &meta)?;
            } else {
                let kind = if meta.is_symlink() {
                    "a link"
                } else {
                    "no regular file"
                };
                self.remarks
                    .push(format!("{} is {kind} and left out", inside.display()));
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, inside: PathBuf, meta: &Metadata) -> Result<(), PackError> {
        let left = CODE_BYTES_MAX - self.bytes.min(CODE_BYTES_MAX);
        let bytes = files::read(path, left).map_err(|fault| match fault.kind() {
            io::ErrorKind::FileTooLarge => PackError::too_large(),
            _ => PackError::unread(path, &fault),
        })?;
        self.put(inside, bytes, meta.permissions().mode() & 0o100 != 0)
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &Path, file: &File) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(file.bytes.len() as u64);
    header.set_mode(if file.executable { 0o755 } else { 0o644 });
    header.set_mtime(0);
    archive.append_data(&mut header, path, file.bytes.as_slice())
}

/// The paths in an archive that somebody else made.
pub(crate) fn paths_in(archive: &[u8]) -> io::Result<Vec<PathBuf>> {
    let mut reader = tar::Archive::new(archive);
    reader
        .entries()?
        .map(|entry| Ok(entry?.path()?.into_owned()))
        .collect()
}

/// The regular files in an archive that somebody else made.
pub(crate) fn files_in(archive: &[u8]) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.push((entry.path()?.into_owned(), bytes));
        }
    }
    Ok(files)
}

/// An archive that somebody else made, with further files at its end.
pub(crate) fn extended(mut archive: Vec<u8>, more: &Files) -> Result<Vec<u8>, PackError> {
    let fault = |fault: io::Error| PackError::unwritten(Path::new(""), &fault);
    let end = end_of_entries(&archive).map_err(fault)?;
    archive.truncate(usize::try_from(end).unwrap_or(usize::MAX));
    archive.extend(more.pack()?);
    if archive.len() > CODE_BYTES_MAX {
        Err(PackError::too_large())
    } else {
        Ok(archive)
    }
}

/// Finds the end of the last entry: behind it are blocks of zeros, at which readers stop.
fn end_of_entries(archive: &[u8]) -> io::Result<u64> {
    let mut reader = tar::Archive::new(archive);
    let mut end = 0;
    for entry in reader.entries()? {
        let entry = entry?;
        end =
            entry.raw_file_position() + entry.header().entry_size()?.next_multiple_of(BLOCK_BYTES);
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(archive: &[u8]) -> Vec<(String, u32, u64)> {
        let mut reader = tar::Archive::new(archive);
        let entries = reader.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            (
                path,
                entry.header().mode().unwrap(),
                entry.header().mtime().unwrap(),
            )
        });
        entries.collect()
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        [
            "b.py",
            "a/c.py",
            "node_modules/m/i.js",
            ".git/config",
            "a/__pycache__/c.pyc",
            "requirements.txt",
        ]
        .iter()
        .for_each(|path| write(path));
        folder
    }

    #[test]
    fn folders_are_packed_by_path_without_what_tools_made() {
        let folder = tree();
        let files = Files::of_folder(folder.path()).unwrap();
        let archive = files.pack().unwrap();
        let expected = [
            ("a/c.py", 0o644, 0),
            ("b.py", 0o644, 0),
            ("requirements.txt", 0o644, 0),
        ];
        assert_eq!(
            list(&archive),
            expected.map(|(path, mode, time)| (path.to_owned(), mode, time))
        );
        assert_eq!(
            files.remarks,
            [
                ".git is left out",
                "a/__pycache__ is left out",
                "node_modules is left out"
            ]
            .map(str::to_owned)
        );
        assert_eq!(
            archive,
            Files::of_folder(tree().path()).unwrap().pack().unwrap(),
            "the same files, the same bytes"
        );
    }

    #[test]
    fn links_are_left_out_and_programs_stay_programs() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("run.sh");
        std::fs::write(&program, "x").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o744)).unwrap();
        symlink("/etc/passwd", folder.path().join("passwd")).unwrap();
        symlink("/", folder.path().join("root")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap());
        let files = Files::of_folder(folder.path()).unwrap();
        assert_eq!(
            list(&files.pack().unwrap()),
            [("run.sh".to_owned(), 0o755, 0)]
        );
        assert_eq!(
            files.remarks,
            [
                "passwd is a link and left out",
                "root is a link and left out",
                "socket is no regular file and left out"
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn long_names_and_deep_folders() {
        let folder = tempfile::tempdir().unwrap();
        let deep: PathBuf = (0..20)
            .map(|n| format!("a-folder-with-a-name-{n}"))
            .collect();
        std::fs::create_dir_all(folder.path().join(&deep)).unwrap();
        std::fs::write(folder.path().join(&deep).join("f.py"), "x").unwrap();
        let archive = Files::of_folder(folder.path()).unwrap().pack().unwrap();
        assert_eq!(paths_in(&archive).unwrap(), [deep.join("f.py")]);
        let deeper: PathBuf = (0..=DEPTH_MAX).map(|_| "d").collect();
        std::fs::create_dir_all(folder.path().join(deeper)).unwrap();
        assert!(
            Files::of_folder(folder.path())
                .unwrap_err()
                .words
                .ends_with("lies more than 64 folders deep")
        );
    }

    #[test]
    fn bytes_and_files_have_limits() {
        let mut files = Files::default();
        files
            .put("a".into(), vec![0; CODE_BYTES_MAX], false)
            .unwrap();
        let more = files.put("b".into(), vec![0], false).unwrap_err();
        assert!(
            more.words.starts_with("the files are larger than"),
            "{more:?}"
        );
        let mut files = Files::default();
        (0..FILES_MAX).for_each(|n| files.put(n.to_string().into(), Vec::new(), false).unwrap());
        let more = files.put("one more".into(), Vec::new(), false).unwrap_err();
        assert_eq!(more.words, "there are more than 10000 files");
    }

    #[test]
    fn archives_of_others_are_extended() {
        let own = Files::of_folder(tree().path()).unwrap().pack().unwrap();
        let mut more = Files::default();
        more.put("package.json".into(), b"{}".to_vec(), false)
            .unwrap();
        // Padded as tar pads: to records of twenty blocks.
        let mut padded = own.clone();
        padded.resize(own.len().next_multiple_of(10_240), 0);
        for archive in [own, padded] {
            let paths: Vec<String> = list(&extended(archive, &more).unwrap())
                .into_iter()
                .map(|(path, ..)| path)
                .collect();
            assert_eq!(
                paths,
                ["a/c.py", "b.py", "requirements.txt", "package.json"]
            );
        }
        assert_eq!(list(&extended(Vec::new(), &more).unwrap()).len(), 1);
    }
}
