//! `requirements.txt`: the other lists, wheels and folders that it names. What is in it beyond that is pip's to judge.

use std::collections::{BTreeMap, BTreeSet};

use serverledge_core::{PrepareError, Runtime};

use super::{
    InstallList, InstallRequest, ListPlace, OTHER_PYTHON_LISTS, REQUIREMENTS, Tree, WantedFile,
    folder_of, has_credentials, resolve,
};

/// Options whose value is another list.
const LISTS: [&str; 4] = ["-r", "--requirement", "-c", "--constraint"];
/// Options whose value is a place with wheels.
const LINKS: [&str; 2] = ["-f", "--find-links"];
/// Options whose value is a package's own folder.
const EDITABLE: [&str; 2] = ["-e", "--editable"];
/// Endings of what pip takes for a package in a file.
const ARCHIVES: [&str; 7] = [
    ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz",
];

/// The request of a Python function.
pub(super) fn request(tree: &Tree<'_>) -> Result<InstallRequest, PrepareError> {
    if tree.get(REQUIREMENTS).is_none() {
        let other = OTHER_PYTHON_LISTS
            .iter()
            .find(|name| tree.get(name).is_some());
        let remark = other
            .map(|name| format!("{name} is not read: packages are installed from {REQUIREMENTS}"));
        return Ok(InstallRequest {
            wanted: None,
            remarks: remark.into_iter().collect(),
        });
    }
    let mut found = ListSearch {
        tree,
        files: BTreeSet::new(),
        lists: BTreeMap::new(),
        asks: false,
        has_local: false,
    };
    found.read(REQUIREMENTS, true)?;
    let ListSearch {
        files,
        lists,
        asks,
        has_local,
        ..
    } = found;
    let mut files = tree.collect(&[REQUIREMENTS], &files);
    files
        .iter_mut()
        .filter(|file| lists.contains_key(&file.path))
        .for_each(without_editable);
    let wanted = asks.then_some(InstallList {
        runtime: Runtime::Python,
        files,
        has_local,
    });
    Ok(InstallRequest {
        wanted,
        remarks: Vec::new(),
    })
}

struct ListSearch<'a> {
    tree: &'a Tree<'a>,
    /// All that pip will read.
    files: BTreeSet<String>,
    /// Those of them that are lists, and whether they install something.
    lists: BTreeMap<String, bool>,
    /// There is something to install.
    asks: bool,
    has_local: bool,
}

impl ListSearch<'_> {
    /// A list; `asks` is false for one of constraints, which installs nothing.
    fn read(&mut self, list: &str, asks: bool) -> Result<(), PrepareError> {
        // Lists may include each other.
        if self.lists.get(list).is_some_and(|asked| *asked || !asks) {
            return Ok(());
        }
        self.lists.insert(list.to_owned(), asks);
        self.files.insert(list.to_owned());
        let text = String::from_utf8_lossy(self.tree.get(list).unwrap_or_default());
        for (line, text) in logical_lines(&text) {
            self.read_line(
                list,
                &text,
                asks,
                &ListPlace {
                    list: list.to_owned(),
                    line: Some(line),
                },
            )?;
        }
        Ok(())
    }

    fn read_line(
        &mut self,
        list: &str,
        line: &str,
        asks: bool,
        place: &ListPlace,
    ) -> Result<(), PrepareError> {
        if line.split([' ', '\t', '=']).any(has_credentials) {
            return place.refuse(
                "the address holds credentials, which an upload is no place for: whoever sees the code has them",
            );
        }
        let (option, value) = split_option(line);
        match option {
            Some(option) if LISTS.contains(&option) => {
                let installs = option == "-r" || option == "--requirement";
                self.include(list, value, asks && installs, place)
            }
            Some(option) if LINKS.contains(&option) => self.add_links(list, value, place),
            Some(option) if EDITABLE.contains(&option) => {
                self.asks |= asks;
                self.add_package(value, place)
            }
            Some(_) => Ok(()),
            None => {
                self.asks |= asks;
                self.add_package(line, place)
            }
        }
    }

    fn include(
        &mut self,
        list: &str,
        value: &str,
        asks: bool,
        place: &ListPlace,
    ) -> Result<(), PrepareError> {
        if value.contains("://") {
            self.asks |= asks;
            return Ok(());
        }
        let path = resolve(folder_of(list), value, place)?;
        if self.tree.get(&path).is_none() {
            return place.refuse(&format!("{value:?} is not in the upload"));
        }
        self.read(&path, asks)
    }

    /// pip looks beside the list first, then where it runs.
    fn add_links(
        &mut self,
        list: &str,
        value: &str,
        place: &ListPlace,
    ) -> Result<(), PrepareError> {
        let value = value.strip_prefix("file:").unwrap_or(value);
        if value.contains("://") {
            return Ok(());
        }
        let beside = self.tree.under(&resolve(folder_of(list), value, place)?);
        let found = if beside.is_empty() {
            self.tree.under(&resolve("", value, place)?)
        } else {
            beside
        };
        self.add(&found, value, place)
    }

    /// A requirement, which may be a path: pip takes it as one from where it runs.
    fn add_package(&mut self, requirement: &str, place: &ListPlace) -> Result<(), PrepareError> {
        let Some(path) = local_path(requirement) else {
            return Ok(());
        };
        let resolved = resolve("", path, place)?;
        self.has_local = true;
        let found = self.tree.under(&resolved);
        self.add(&found, path, place)
    }

    fn add(&mut self, found: &[&str], path: &str, place: &ListPlace) -> Result<(), PrepareError> {
        if found.is_empty() {
            return place.refuse(&format!("{path:?} is not in the upload"));
        }
        self.files
            .extend(found.iter().map(|file| (*file).to_owned()));
        Ok(())
    }
}

/// Lines with their numbers, as pip reads them: joined where they end in a backslash, without comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let (line, more) = line
            .strip_suffix('\\')
            .map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(line),
            None => lines.push((index + 1, line.to_owned())),
        }
        goes_on = more;
    }
    let plain = |(number, line): (usize, String)| {
        let line = if line.trim_start().starts_with('#') {
            ""
        } else {
            line.split(" #").next().unwrap_or_default()
        };
        (number, line.trim().to_owned())
    };
    lines
        .into_iter()
        .map(plain)
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// An option and its value, which stands behind a blank, a `=` or, of a short option, nothing.
fn split_option(line: &str) -> (Option<&str>, &str) {
    if !line.starts_with('-') {
        return (None, line);
    }
    let at = line.find([' ', '\t', '=']).unwrap_or(line.len());
    let (option, value) = line.split_at(at);
    if !option.starts_with("--") && option.len() > 2 && option.is_char_boundary(2) {
        let (option, _) = line.split_at(2);
        return (Some(option), unquoted(&line[2..]));
    }
    (
        Some(option),
        unquoted(value.trim_start_matches(['=', ' ', '\t'])),
    )
}

fn unquoted(value: &str) -> &str {
    value.trim().trim_matches(['"', '\''])
}

/// The path that a requirement is, if it is none of an index or a URL.
fn local_path(requirement: &str) -> Option<&str> {
    let whole = requirement
        .split_once(" @ ")
        .map_or(requirement, |(_, at)| at)
        .trim();
    let whole = whole.split([';', ' ', '\t']).next().unwrap_or_default();
    let path = whole.strip_prefix("file:").unwrap_or(whole);
    let path = path
        .split('[')
        .next()
        .unwrap_or_default()
        .split('#')
        .next()
        .unwrap_or_default();
    if path.contains("://") {
        return None;
    }
    let is_archive = ARCHIVES
        .iter()
        .any(|ending| path.to_ascii_lowercase().ends_with(ending));
    (path.contains('/') || path.starts_with('.') || is_archive).then_some(unquoted(path))
}

/// Editable means with a link to the folder, which is not there when the function runs: a copy is installed.
fn without_editable(list: &mut WantedFile) {
    let Ok(text) = std::str::from_utf8(&list.contents) else {
        return;
    };
    let plain = |line: &str| {
        let (option, value) = split_option(line.trim());
        let is_local =
            option.is_some_and(|option| EDITABLE.contains(&option)) && local_path(value).is_some();
        if is_local {
            value.to_owned()
        } else {
            line.to_owned()
        }
    };
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    list.contents = lines.join("\n").into_bytes();
}
