//! The files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Folders that are built, never written; for where git cannot be asked.
const BUILT: [&str; 4] = ["target", ".git", ".tools", "data"];

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every file that is tracked, or would be if it were added; relative to the root, sorted.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut files = match from_git() {
        Some(files) => files,
        None => walked(root())?,
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    if files.len() < 50 {
        bail!("only {} files were found", files.len());
    }
    Ok(files)
}

fn from_git() -> Option<Vec<String>> {
    let listing = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git")
        .args(listing)
        .current_dir(root())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| {
        text.split('\0')
            .filter(|file| !file.is_empty())
            .map(str::to_owned)
            .collect()
    })
}

fn walked(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !BUILT.contains(&entry.file_name().to_string_lossy().as_ref()) {
                files.append(&mut walked(&path)?);
            }
        } else {
            let inside = path.strip_prefix(root())?;
            files.push(inside.to_string_lossy().into_owned());
        }
    }
    Ok(files)
}

/// Tracked files with this ending.
pub(crate) fn files_ending(ending: &str) -> Result<Vec<String>> {
    Ok(files()?
        .into_iter()
        .filter(|file| file.ends_with(ending))
        .collect())
}

pub(crate) fn read(file: impl AsRef<Path>) -> Result<String> {
    let path: PathBuf = root().join(file);
    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// Fails with all faults at once.
#[track_caller]
pub(crate) fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}\n", faults.join("\n  "));
}
