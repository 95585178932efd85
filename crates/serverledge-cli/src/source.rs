//! A function's code on this machine: recognised by its kind, checked, packed into a tar as Serverledge sends it.

mod bundle;
mod script;

use std::io;
use std::path::{Path, PathBuf};

use serverledge_client::{CODE_BYTES_MAX, Runtime};

use crate::archive::{self, Files, PackError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, text};

/// The list of a Python function's packages.
const REQUIREMENTS: &str = "requirements.txt";
/// The list of a Node.js function's packages.
const PACKAGE: &str = "package.json";
/// The same with every version settled.
const PACKAGE_LOCK: &str = "package-lock.json";

/// Code ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// The archive.
    pub(crate) tar: Vec<u8>,
    /// The runtime, where the kind of source settles it; else the node finds out.
    pub(crate) runtime: Option<&'static str>,
    /// What is to be said about it.
    pub(crate) remarks: Vec<String>,
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
    /// Not packed.
    #[error("failed to pack the source {path:?}: {fault}")]
    Pack {
        /// Where.
        path: PathBuf,
        /// Why.
        fault: PackError,
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
    /// Not a kind of source that is known.
    #[error("{0:?} holds no code that is known: no .wasm, .wat, .py, .js, .mjs or .cjs file")]
    Unknown(PathBuf),
    /// Code in several languages.
    #[error("{path:?} holds code of the runtimes {first} and {second}")]
    Ambiguous {
        /// Where.
        path: PathBuf,
        /// One that was recognised.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// No list of packages.
    #[error(
        "{0:?} is no list of packages: a requirements .txt, package.json or package-lock.json is"
    )]
    NoList(PathBuf),
    /// A list of packages for another runtime.
    #[error("{path:?} lists packages of the runtime {of}, and the function's is {runtime}")]
    OtherRuntime {
        /// The list.
        path: PathBuf,
        /// What it is for.
        of: &'static str,
        /// What the function is.
        runtime: &'static str,
    },
    /// Nothing was found that bundles.
    #[error("{path:?} imports {import:?}, and there is no esbuild to bundle it with")]
    NoBundler {
        /// The script.
        path: PathBuf,
        /// What it imports.
        import: String,
    },
    /// It was not bundled.
    #[error("esbuild failed to bundle {path:?}")]
    Bundle {
        /// The script.
        path: PathBuf,
        /// What esbuild printed.
        told: String,
        /// A module of Node.js that it did not find.
        node_module: Option<String>,
        /// A package that it did not find.
        package: Option<String>,
    },
    /// The archive has such a list already.
    #[error("the archive {path:?} holds a {name} already")]
    Twice {
        /// The archive.
        path: PathBuf,
        /// The list.
        name: &'static str,
    },
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let exit = match error {
            SourceError::Read { .. }
            | SourceError::Pack {
                fault: PackError::Read { .. },
                ..
            }
            | SourceError::NoBundler { .. }
            | SourceError::Bundle { .. } => Exit::Source,
            _ => Exit::Usage,
        };
        let failure = Self::new(exit, error.to_string());
        match error {
            SourceError::Url(_) => failure.hint("download the file, check it, and pass its path"),
            SourceError::Unknown(_) => {
                failure.hint("name its runtime with --runtime, or compile it to WebAssembly first")
            }
            SourceError::NoBundler { .. } => failure
                .hint("`npm install --save-dev esbuild` beside the script, or --runtime nodejs"),
            SourceError::Bundle {
                path,
                told,
                node_module,
                package,
            } => {
                let failure = failure.section("esbuild", &told);
                let folder = path.parent().unwrap_or(Path::new(".")).display();
                match (node_module, package) {
                    (Some(name), _) => failure.hint(format!(
                        "{name:?} is an API of Node.js, which the runtime javascript does not have: --runtime nodejs"
                    )),
                    (None, Some(package)) => failure.hint(format!("`npm install {package}` in {folder} installs it")),
                    (None, None) => failure,
                }
            }
            SourceError::Ambiguous { .. } => {
                failure.hint("name the one that is meant with --runtime")
            }
            SourceError::Twice { .. } => {
                failure.hint("leave --deps away, or pass the folder instead of the archive")
            }
            _ => failure,
        }
    }
}

/// Reads a source and packs it, with these lists of packages at its root. `runtime` is what the caller said it is.
pub(crate) fn read(
    path: &Path,
    runtime: Option<Runtime>,
    deps: &[PathBuf],
) -> Result<Code, SourceError> {
    if let Some(url) = path.to_str().filter(|text| text.contains("://")) {
        return Err(SourceError::Url(url.to_owned()));
    }
    let unreadable = |fault| SourceError::Read {
        path: path.to_owned(),
        fault,
    };
    let unpacked = |fault| SourceError::Pack {
        path: path.to_owned(),
        fault,
    };
    let lists = deps
        .iter()
        .map(|path| List::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    if runtime == Some(Runtime::JavaScript)
        && let Some(code) = bundle::read(path)?
    {
        check_lists(code.runtime, &lists)?;
        return Ok(code);
    }
    let mut files = if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        Files::of_folder(path).map_err(unpacked)?
    } else {
        let bytes = whole_file(path)?;
        if has_extension(path, &["tar"]) {
            return of_archive(path, bytes, runtime, &lists);
        }
        let is_wasm = bytes.starts_with(b"\0asm");
        let files = Files::of_file(path, bytes).map_err(unpacked)?;
        if is_wasm && !has_extension(path, &["wasm"]) {
            let runtime = check_lists(Some(runtime.unwrap_or(Runtime::Wasm).name()), &lists)?;
            return Ok(Code {
                tar: files.pack().map_err(unpacked)?,
                runtime,
                remarks: Vec::new(),
            });
        }
        files
    };
    let found = check_lists(found_out(path, files.paths(), runtime)?, &lists)?;
    let mut remarks = std::mem::take(&mut files.remarks);
    let runtime = settled(found, runtime, &files.all(), &lists, &mut remarks);
    for list in lists {
        if files.paths().any(|path| path == Path::new(list.name)) {
            remarks.push(format!(
                "{} of {:?} is replaced by {:?}",
                list.name, path, list.path
            ));
        }
        files
            .put(PathBuf::from(list.name), list.bytes, false)
            .map_err(unpacked)?;
    }
    Ok(Code {
        tar: files.pack().map_err(unpacked)?,
        runtime,
        remarks,
    })
}

/// The name that a source suggests: its file's without the extension, or its folder's.
pub(crate) fn suggested_name(path: &Path) -> Option<String> {
    let whole = std::fs::canonicalize(path)
        .ok()
        .filter(|whole| whole.is_dir());
    let name = match &whole {
        Some(folder) => folder.file_name(),
        None => path.file_stem(),
    };
    name?.to_str().map(str::to_owned)
}

fn whole_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    let bytes = files::read(path, CODE_BYTES_MAX).map_err(|fault| match fault.kind() {
        io::ErrorKind::FileTooLarge => SourceError::TooLarge {
            path: path.to_owned(),
        },
        _ => SourceError::Read {
            path: path.to_owned(),
            fault,
        },
    })?;
    if bytes.is_empty() {
        Err(SourceError::Empty(path.to_owned()))
    } else {
        Ok(bytes)
    }
}

/// An archive goes as it is, with the lists behind its own files.
fn of_archive(
    path: &Path,
    tar: Vec<u8>,
    runtime: Option<Runtime>,
    lists: &[List],
) -> Result<Code, SourceError> {
    let paths = archive::paths_in(&tar).map_err(|fault| SourceError::Read {
        path: path.to_owned(),
        fault,
    })?;
    let found = found_out(path, paths.iter().map(PathBuf::as_path), runtime)?;
    let found = check_lists(found, lists)?;
    let inside = archive::files_in(&tar).map_err(|fault| SourceError::Read {
        path: path.to_owned(),
        fault,
    })?;
    let inside: Vec<_> = inside
        .iter()
        .map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
        .collect();
    let mut remarks = Vec::new();
    let runtime = settled(found, runtime, &inside, lists, &mut remarks);
    if lists.is_empty() {
        return Ok(Code {
            tar,
            runtime,
            remarks,
        });
    }
    let unpacked = |fault| SourceError::Pack {
        path: path.to_owned(),
        fault,
    };
    let mut more = Files::default();
    for list in lists {
        if paths
            .iter()
            .any(|inside| inside.strip_prefix(".").unwrap_or(inside) == Path::new(list.name))
        {
            return Err(SourceError::Twice {
                path: path.to_owned(),
                name: list.name,
            });
        }
        more.put(PathBuf::from(list.name), list.bytes.clone(), false)
            .map_err(unpacked)?;
    }
    Ok(Code {
        tar: archive::extended(tar, &more).map_err(unpacked)?,
        runtime,
        remarks,
    })
}

/// Which of the two runtimes for JavaScript it is, where nobody said so.
fn settled(
    found: Option<&'static str>,
    said: Option<Runtime>,
    files: &[(&Path, &[u8])],
    lists: &[List],
    remarks: &mut Vec<String>,
) -> Option<&'static str> {
    if said.is_some() || found != Some(Runtime::NodeJs.name()) {
        return found;
    }
    let choice = script::choose(files, !lists.is_empty());
    remarks.push(choice.why);
    Some(choice.runtime.name())
}

/// The runtime that was said, else the one that the files are of. Lists of packages decide where there are several.
fn found_out<'a>(
    path: &Path,
    inside: impl Iterator<Item = &'a Path>,
    said: Option<Runtime>,
) -> Result<Option<&'static str>, SourceError> {
    let inside: Vec<&Path> = inside.collect();
    if inside.is_empty() {
        return Err(SourceError::Empty(path.to_owned()));
    }
    if let Some(runtime) = said {
        return Ok(Some(runtime.name()));
    }
    let of_code = kinds(inside.iter().filter_map(|path| runtime_of(path)));
    let of_lists = kinds(
        inside
            .iter()
            .filter_map(|path| List::kind(path.file_name()?.to_str()?)),
    );
    match (of_code.as_slice(), of_lists.as_slice()) {
        ([], _) => Err(SourceError::Unknown(path.to_owned())),
        ([one], _) => Ok(Some(one.name())),
        (several, [one]) if several.contains(one) => Ok(Some(one.name())),
        ([first, second, ..], _) => Err(SourceError::Ambiguous {
            path: path.to_owned(),
            first: first.name(),
            second: second.name(),
        }),
    }
}

/// Each once, in their order.
fn kinds(all: impl Iterator<Item = Runtime>) -> Vec<Runtime> {
    all.collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn runtime_of(path: &Path) -> Option<Runtime> {
    if has_extension(path, &["wasm", "wat"]) {
        Some(Runtime::Wasm)
    } else if has_extension(path, &["py"]) {
        Some(Runtime::Python)
    } else if has_extension(path, &["js", "mjs", "cjs"]) {
        Some(Runtime::NodeJs)
    } else {
        None
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        extensions
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

/// A list of packages under the name that installers know.
#[derive(Debug)]
struct List {
    path: PathBuf,
    name: &'static str,
    bytes: Vec<u8>,
}

impl List {
    fn read(path: &Path) -> Result<Self, SourceError> {
        let bytes = whole_file(path)?;
        let name = if has_extension(path, &["txt", "in"]) {
            REQUIREMENTS
        } else if has_extension(path, &["json"]) {
            let members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&bytes).map_err(|_| SourceError::NoList(path.to_owned()))?;
            if members.contains_key("lockfileVersion") {
                PACKAGE_LOCK
            } else {
                PACKAGE
            }
        } else {
            return Err(SourceError::NoList(path.to_owned()));
        };
        Ok(Self {
            path: path.to_owned(),
            name,
            bytes,
        })
    }

    /// The runtime whose list has this name.
    fn kind(name: &str) -> Option<Runtime> {
        match name {
            REQUIREMENTS => Some(Runtime::Python),
            PACKAGE | PACKAGE_LOCK => Some(Runtime::NodeJs),
            _ => None,
        }
    }
}

/// Lists must be of the function's runtime.
fn check_lists(
    runtime: Option<&'static str>,
    lists: &[List],
) -> Result<Option<&'static str>, SourceError> {
    for list in lists {
        let of = List::kind(list.name).map_or("", Runtime::name);
        if let Some(runtime) = runtime.filter(|runtime| *runtime != of) {
            return Err(SourceError::OtherRuntime {
                path: list.path.clone(),
                of,
                runtime,
            });
        }
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests;
