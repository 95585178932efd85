//! `package.json`: the folders and archives of the upload that it names. What is in it beyond that is npm's to judge.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use serverledge_core::{PrepareError, Runtime};

use super::{
    InstallList, InstallRequest, LOCKS, ListPlace, NPMRC, OTHER_LOCKS, PACKAGE, Tree, WantedFile,
    npmrc, resolve,
};

/// Members that say what is installed.
const INSTALLED: [&str; 2] = ["dependencies", "optionalDependencies"];
/// Members whose values npm reads before it knows what to install.
const NAMING: [&str; 5] = [
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "peerDependencies",
    "overrides",
];
/// Scripts of the package itself that run when its packages are installed: they may read whatever was uploaded.
const SCRIPTS: [&str; 8] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "dependencies",
];
/// Deepest nesting of overrides that is looked into.
const DEPTH_MAX: usize = 16;

/// The request of a Node.js function.
pub(super) fn request(tree: &Tree<'_>) -> Result<InstallRequest, PrepareError> {
    let Some(text) = tree.get(PACKAGE) else {
        return Ok(InstallRequest::default());
    };
    let lists = [PACKAGE, LOCKS[0], LOCKS[1], NPMRC];
    // A malformed file is npm's to complain about.
    let Ok(package) = serde_json::from_slice::<Value>(text) else {
        let wanted = InstallList {
            runtime: Runtime::NodeJs,
            files: tree.collect(&lists, &BTreeSet::new()),
            has_local: false,
        };
        return Ok(InstallRequest {
            wanted: Some(wanted),
            remarks: Vec::new(),
        });
    };
    let has_workspaces = package.get("workspaces").is_some();
    let asks = has_workspaces
        || INSTALLED
            .iter()
            .any(|member| members(&package, member).is_some_and(|all| !all.is_empty()));
    if !asks {
        return Ok(InstallRequest::default());
    }
    let mut found = PackageSearch {
        tree,
        files: BTreeSet::new(),
        read: BTreeSet::new(),
    };
    found.read(PACKAGE, "", &package)?;
    found.read_lock()?;
    if has_workspaces || has_own_script(&package) {
        found
            .files
            .extend(tree.under("").into_iter().map(str::to_owned));
    }
    // What a tool installed elsewhere would be taken for installed here.
    found
        .files
        .retain(|path| !path.split('/').any(|part| part == "node_modules"));
    let has_local = has_workspaces || !found.read.is_empty();
    let mut files = tree.collect(&lists, &found.files);
    let mut remarks = Vec::new();
    files
        .iter_mut()
        .for_each(|file| settle_npmrc(file, &mut remarks));
    remarks.extend(other_lock(tree));
    Ok(InstallRequest {
        wanted: Some(InstallList {
            runtime: Runtime::NodeJs,
            files,
            has_local,
        }),
        remarks,
    })
}

fn members<'a>(package: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    package.get(name).and_then(Value::as_object)
}

fn has_own_script(package: &Value) -> bool {
    members(package, "scripts")
        .is_some_and(|scripts| SCRIPTS.iter().any(|name| scripts.contains_key(*name)))
}

fn settle_npmrc(file: &mut WantedFile, remarks: &mut Vec<String>) {
    if file.path.rsplit('/').next() == Some(NPMRC) {
        let (settled, left_out) =
            npmrc::settle(&String::from_utf8_lossy(&file.contents), &file.path);
        file.contents = settled.into_bytes();
        remarks.extend(left_out);
    }
}

fn other_lock(tree: &Tree<'_>) -> Option<String> {
    let has_lock = LOCKS.iter().any(|name| tree.get(name).is_some());
    let other = OTHER_LOCKS
        .iter()
        .find(|name| !has_lock && tree.get(name).is_some())?;
    Some(format!(
        "{other} is not read: packages are installed by npm, which settles versions with {}",
        LOCKS[0]
    ))
}

struct PackageSearch<'a> {
    tree: &'a Tree<'a>,
    /// All that npm will read.
    files: BTreeSet<String>,
    /// Folders and archives that were gone through.
    read: BTreeSet<String>,
}

impl PackageSearch<'_> {
    /// A package in this folder of the upload.
    fn read(&mut self, list: &str, folder: &str, package: &Value) -> Result<(), PrepareError> {
        let place = ListPlace {
            list: list.to_owned(),
            line: None,
        };
        let mut specs = Vec::new();
        NAMING
            .iter()
            .filter_map(|member| package.get(*member))
            .for_each(|value| collect_texts(value, 0, &mut specs));
        for path in specs.into_iter().filter_map(local_path) {
            self.add(&resolve(folder, path, &place)?, path, &place)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &str, named: &str, place: &ListPlace) -> Result<(), PrepareError> {
        if !self.read.insert(path.to_owned()) {
            return Ok(());
        }
        let found = self.tree.under(path);
        if found.is_empty() {
            return place.refuse(&format!("{named:?} is not in the upload"));
        }
        self.files.extend(found.into_iter().map(str::to_owned));
        let inner = if path.is_empty() {
            PACKAGE.to_owned()
        } else {
            format!("{path}/{PACKAGE}")
        };
        let package = self
            .tree
            .get(&inner)
            .and_then(|text| serde_json::from_slice::<Value>(text).ok());
        package.map_or(Ok(()), |package| self.read(&inner, path, &package))
    }

    /// A lock names the same again; in older forms it is the only one that does so for what packages name.
    fn read_lock(&mut self) -> Result<(), PrepareError> {
        for name in LOCKS {
            let lock = self
                .tree
                .get(name)
                .and_then(|text| serde_json::from_slice::<Value>(text).ok());
            let Some(packages) = lock.as_ref().and_then(|lock| members(lock, "packages")) else {
                continue;
            };
            let place = ListPlace {
                list: name.to_owned(),
                line: None,
            };
            for (path, entry) in packages {
                let resolved = entry.get("resolved").and_then(Value::as_str);
                let is_link = entry.get("link").and_then(Value::as_bool).unwrap_or(false);
                let local = resolved.and_then(|text| {
                    if is_link {
                        Some(text)
                    } else {
                        local_path(text)
                    }
                });
                if let Some(local) = local {
                    self.add(&resolve("", local, &place)?, local, &place)?;
                } else if !path.is_empty() && !path.split('/').any(|part| part == "node_modules") {
                    self.add(&resolve("", path, &place)?, path, &place)?;
                }
            }
        }
        Ok(())
    }
}

fn collect_texts<'a>(value: &'a Value, depth: usize, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Object(all) if depth < DEPTH_MAX => all
            .values()
            .for_each(|value| collect_texts(value, depth + 1, texts)),
        _ => {}
    }
}

/// The path that a version is, where it names a folder or an archive.
fn local_path(spec: &str) -> Option<&str> {
    let named = spec
        .strip_prefix("file:")
        .or_else(|| spec.strip_prefix("link:"));
    let bare = || {
        (spec == "."
            || ["./", "../", "/", "~/"]
                .iter()
                .any(|start| spec.starts_with(start)))
        .then_some(spec)
    };
    named.or_else(bare)
}
