//! The dependencies that an upload asks for: its list of packages, the files of the upload that the list names, and the
//! name of the layer that all of that makes.

mod npmrc;
mod packages;
mod requirements;

use std::collections::{BTreeMap, BTreeSet};

use serverledge_core::{PrepareError, Runtime};

use crate::bundle::Bundle;

/// Separates this use of BLAKE3 from all others; also the version of the layers' form.
const LAYER_DOMAIN: &str = "serverledge 2026 dependency layer 1";
/// The list of Python packages.
const REQUIREMENTS: &str = "requirements.txt";
/// The list of JavaScript packages.
const PACKAGE: &str = "package.json";
/// The same with every version settled, under its two names.
const LOCKS: [&str; 2] = ["package-lock.json", "npm-shrinkwrap.json"];
/// The settings of npm.
const NPMRC: &str = ".npmrc";
/// Lists that other tools read.
const OTHER_PYTHON_LISTS: [&str; 5] = [
    "pyproject.toml",
    "Pipfile",
    "poetry.lock",
    "uv.lock",
    "environment.yml",
];
/// Locks that other tools read.
const OTHER_LOCKS: [&str; 3] = ["yarn.lock", "pnpm-lock.yaml", "bun.lock"];

/// Something to be installed, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstallList {
    pub(crate) runtime: Runtime,
    /// In the order that counts: the lists first, then what they name.
    pub(crate) files: Vec<WantedFile>,
    /// Whether packages lie in the upload's own folders, to which npm makes links.
    pub(crate) has_local: bool,
}

/// A file that the installation may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedFile {
    /// Within the folder of the list.
    pub(crate) path: String,
    pub(crate) contents: Vec<u8>,
    pub(crate) executable: bool,
}

/// An upload's request, and what is to be said about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InstallRequest {
    pub(crate) wanted: Option<InstallList>,
    pub(crate) remarks: Vec<String>,
}

impl InstallRequest {
    /// The request of an upload.
    pub(crate) fn of(bundle: &Bundle, runtime: Runtime) -> Result<Self, PrepareError> {
        match runtime {
            Runtime::Python => requirements::request(&Tree::of(bundle, REQUIREMENTS)),
            Runtime::NodeJs => packages::request(&Tree::of(bundle, PACKAGE)),
            _ => Ok(Self::default()),
        }
    }
}

impl InstallList {
    /// The name of the layer: equal requests for the same image are installed once.
    pub(crate) fn layer(&self, image_id: &str) -> String {
        let mut hasher = blake3::Hasher::new_derive_key(LAYER_DOMAIN);
        for part in [self.runtime.name().as_bytes(), image_id.as_bytes()] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        for WantedFile {
            path,
            contents,
            executable,
        } in &self.files
        {
            // No path has a zero byte.
            let name = if *executable {
                format!("{path}\0x")
            } else {
                path.clone()
            };
            hasher
                .update(&(name.len() as u64).to_le_bytes())
                .update(name.as_bytes());
            hasher
                .update(&(contents.len() as u64).to_le_bytes())
                .update(contents);
        }
        hasher.finalize().to_hex().to_string()
    }

    pub(crate) fn has_lock(&self) -> bool {
        self.files
            .iter()
            .any(|file| LOCKS.contains(&file.path.as_str()))
    }
}

/// The files of an upload, by their paths within the folder of its list.
struct Tree<'a> {
    files: BTreeMap<&'a str, (&'a [u8], bool)>,
}

impl<'a> Tree<'a> {
    fn of(bundle: &'a Bundle, list: &str) -> Self {
        let root = bundle.root_of(list).unwrap_or_default();
        let inside = |(path, contents, executable): (&'a str, &'a [u8], bool)| {
            Some((path.strip_prefix(root.as_str())?, (contents, executable)))
        };
        Self {
            files: bundle.entries().filter_map(inside).collect(),
        }
    }

    fn get(&self, path: &str) -> Option<&'a [u8]> {
        self.files.get(path).map(|(contents, _)| *contents)
    }

    /// The file of this path, or all files below it; empty: all there are.
    fn under(&self, path: &str) -> Vec<&'a str> {
        if path.is_empty() {
            return self.files.keys().copied().collect();
        }
        let below = format!("{path}/");
        self.files
            .keys()
            .copied()
            .filter(|file| *file == path || file.starts_with(&below))
            .collect()
    }

    /// These lists as far as they are there, then the other paths in their order.
    fn collect(&self, lists: &[&str], others: &BTreeSet<String>) -> Vec<WantedFile> {
        let first = lists
            .iter()
            .copied()
            .filter(|list| self.files.contains_key(list));
        let others = others
            .iter()
            .map(String::as_str)
            .filter(|path| !lists.contains(path));
        first
            .chain(others)
            .filter_map(|path| self.file(path))
            .collect()
    }

    fn file(&self, path: &str) -> Option<WantedFile> {
        let (contents, executable) = self.files.get(path)?;
        Some(WantedFile {
            path: path.to_owned(),
            contents: contents.to_vec(),
            executable: *executable,
        })
    }
}

/// A place that a list names: where it stands, for messages.
#[derive(Debug, Clone)]
struct ListPlace {
    list: String,
    line: Option<usize>,
}

impl ListPlace {
    fn refuse<T>(&self, what: &str) -> Result<T, PrepareError> {
        let line = self
            .line
            .map_or_else(String::new, |line| format!(", line {line}"));
        Err(PrepareError::Invalid {
            code: "invalid_dependencies",
            message: format!("{}{line}: {what}", self.list),
        })
    }
}

/// A path as it stands in a file of this folder, in its plain form within the upload; the empty one is the upload itself.
fn resolve(folder: &str, path: &str, place: &ListPlace) -> Result<String, PrepareError> {
    let outside = || place.refuse(&format!("{path:?} lies outside of the upload"));
    if path.starts_with(['/', '~']) || path.contains('\\') {
        return outside();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part != ".." {
            parts.push(part);
        } else if parts.pop().is_none() {
            return outside();
        }
    }
    Ok(parts.join("/"))
}

/// The folder of a file, without a slash at its end.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a URL carries a name or password of its own.
fn has_credentials(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    // With ssh a name says which account of the server is meant, and proves nothing.
    user.contains(':') || !scheme.ends_with("ssh")
}

#[cfg(test)]
mod tests;
