//! A function's code on this machine: recognised by its kind, checked, packed into a tar as Serverledge sends it.

mod bundle;
mod esbuild;
mod pip;
mod python;
mod requirements;
mod script;

use std::io;
use std::path::{Path, PathBuf};

use serverledge_client::{CODE_BYTES_MAX, Runtime};

pub(crate) use self::python::IN_CONTAINER as PYTHON_IN_CONTAINER;
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
/// The file that is the module of a program, whatever lies beside it.
const MAIN_MODULES: [&str; 2] = ["main.wasm", "main.wat"];

/// Code ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// The archive.
    pub(crate) tar: Vec<u8>,
    /// The runtime, where the kind of source settles it; else the node finds out.
    pub(crate) runtime: Option<&'static str>,
    /// Remarks on the code, for people.
    pub(crate) remarks: Vec<String>,
}

fn unreadable(path: &Path, fault: &io::Error) -> Failure {
    Failure::new(
        Exit::Source,
        format!("failed to read the source {path:?}: {fault}"),
    )
}

/// The failure to pack a source.
fn unpacked(path: &Path) -> impl Fn(PackError) -> Failure {
    move |fault| {
        Failure::new(
            fault.exit,
            format!("failed to pack the source {path:?}: {}", fault.words),
        )
    }
}

fn empty(path: &Path) -> Failure {
    Failure::usage(format!("the source {path:?} is empty"))
}

/// Reads a source and packs it, with these lists of packages at its root. `runtime` is what the caller said it is, and
/// `handler` where it begins, if that was said.
pub(crate) fn read(
    path: &Path,
    runtime: Option<Runtime>,
    deps: &[PathBuf],
    handler: &str,
) -> Result<Code, Failure> {
    if let Some(url) = path.to_str().filter(|text| text.contains("://")) {
        return Err(Failure::usage(format!(
            "{url:?} is a URL, and nodes fetch no code from elsewhere"
        ))
        .hint("download the file, check it, and pass its path"));
    }
    let runtime = runtime.or_else(|| of_main_module(path));
    let lists = deps
        .iter()
        .map(|path| List::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(bundle::Bundled {
        files,
        runtime,
        remarks,
    }) = bundle::read(path, runtime, !lists.is_empty())?
    {
        let runtime = check_lists(Some(runtime.name()), &lists)?;
        return packed(path, files, runtime, lists, remarks);
    }
    let mut files = if std::fs::metadata(path)
        .map_err(|fault| unreadable(path, &fault))?
        .is_dir()
    {
        Files::of_folder(path).map_err(unpacked(path))?
    } else {
        let bytes = whole_file(path)?;
        if has_extension(path, &["tar"]) {
            return of_archive(path, bytes, runtime, &lists, handler);
        }
        let is_wasm = bytes.starts_with(b"\0asm");
        let files = Files::of_file(path, bytes).map_err(unpacked(path))?;
        if is_wasm && !has_extension(path, &["wasm"]) {
            let runtime = check_lists(Some(runtime.unwrap_or(Runtime::Wasm).name()), &lists)?;
            return Ok(Code {
                tar: files.pack().map_err(unpacked(path))?,
                runtime,
                remarks: Vec::new(),
            });
        }
        files
    };
    let found = check_lists(found_out(path, files.paths(), runtime)?, &lists)?;
    if python::is_open(found, runtime) {
        let settled = python::settle(path, files, runtime, handler, &lists)?;
        // Lists are for the node, which installs packages in containers only.
        let lists = match settled.runtime {
            Runtime::Python => lists,
            _ => Vec::new(),
        };
        let name = Some(settled.runtime.name());
        return packed(path, settled.files, name, lists, settled.remarks);
    }
    let mut remarks = std::mem::take(&mut files.remarks);
    let runtime = settled(found, runtime, &files.all(), &lists, &mut remarks);
    packed(path, files, runtime, lists, remarks)
}

/// Files with the lists of packages at their root.
fn packed(
    path: &Path,
    mut files: Files,
    runtime: Option<&'static str>,
    lists: Vec<List>,
    mut remarks: Vec<String>,
) -> Result<Code, Failure> {
    for list in lists {
        if files.paths().any(|path| path == Path::new(list.name)) {
            remarks.push(format!(
                "{} of {:?} is replaced by {:?}",
                list.name, path, list.path
            ));
        }
        files
            .put(PathBuf::from(list.name), list.bytes, false)
            .map_err(unpacked(path))?;
    }
    Ok(Code {
        tar: files.pack().map_err(unpacked(path))?,
        runtime,
        remarks,
    })
}

/// Whether a source is in a language of another runtime than this one's. What cannot be told is of the runtime that is there.
pub(crate) fn is_of_another(path: &Path, runtime: Runtime) -> bool {
    let script = |runtime| match runtime {
        Runtime::JavaScript => Runtime::NodeJs,
        Runtime::PythonWasm => Runtime::Python,
        other => other,
    };
    languages(path).is_some_and(|found| !found.is_empty() && !found.contains(&script(runtime)))
}

/// Whether a source is Python, and nothing else.
pub(crate) fn is_python(path: &Path) -> bool {
    languages(path).is_some_and(|found| found == [Runtime::Python])
}

/// The runtimes whose code a source holds; `None` if it cannot be read, which is told when it is sent.
fn languages(path: &Path) -> Option<Vec<Runtime>> {
    if let Some(runtime) = of_main_module(path) {
        return Some(vec![runtime]);
    }
    if path.is_dir() {
        let files = Files::of_folder(path).ok()?;
        return Some(kinds(files.paths().filter_map(runtime_of)));
    }
    if has_extension(path, &["tar"]) {
        let paths = archive::paths_in(&whole_file(path).ok()?).ok()?;
        if paths.iter().any(|path| is_main_module(path)) {
            return Some(vec![Runtime::Wasm]);
        }
        return Some(kinds(paths.iter().filter_map(|path| runtime_of(path))));
    }
    let is_module = || whole_file(path).is_ok_and(|bytes| bytes.starts_with(b"\0asm"));
    let found = runtime_of(path).or_else(|| is_module().then_some(Runtime::Wasm));
    Some(found.into_iter().collect())
}

/// Whether a path is named like a source.
pub(crate) fn is_source(path: &Path) -> bool {
    runtime_of(path).is_some() || has_extension(path, &["tar"])
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

fn whole_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(path, CODE_BYTES_MAX).map_err(|fault| match fault.kind() {
        io::ErrorKind::FileTooLarge => Failure::usage(format!(
            "the source {path:?} is larger than {}",
            text::bytes(CODE_BYTES_MAX)
        )),
        _ => unreadable(path, &fault),
    })?;
    if bytes.is_empty() {
        Err(empty(path))
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
    handler: &str,
) -> Result<Code, Failure> {
    let paths = archive::paths_in(&tar).map_err(|fault| unreadable(path, &fault))?;
    let found = found_out(path, paths.iter().map(PathBuf::as_path), runtime)?;
    let found = check_lists(found, lists)?;
    let inside = archive::files_in(&tar).map_err(|fault| unreadable(path, &fault))?;
    let mut remarks = Vec::new();
    let runtime = if python::is_open(found, runtime) {
        let mut files = Files::default();
        for (inside, bytes) in inside {
            files.put(inside, bytes, false).map_err(unpacked(path))?;
        }
        let settled = python::settle(path, files, runtime, handler, lists)?;
        if settled.has_packages {
            let name = Some(settled.runtime.name());
            return packed(path, settled.files, name, Vec::new(), settled.remarks);
        }
        remarks = settled.remarks;
        Some(settled.runtime.name())
    } else {
        let inside: Vec<_> = inside
            .iter()
            .map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
            .collect();
        settled(found, runtime, &inside, lists, &mut remarks)
    };
    if lists.is_empty() {
        return Ok(Code {
            tar,
            runtime,
            remarks,
        });
    }
    let mut more = Files::default();
    for list in lists {
        if paths
            .iter()
            .any(|inside| inside.strip_prefix(".").unwrap_or(inside) == Path::new(list.name))
        {
            return Err(Failure::usage(format!(
                "the archive {path:?} holds a {} already",
                list.name
            ))
            .hint("leave --deps away, or pass the folder instead of the archive"));
        }
        more.put(PathBuf::from(list.name), list.bytes.clone(), false)
            .map_err(unpacked(path))?;
    }
    Ok(Code {
        tar: archive::extended(tar, &more).map_err(unpacked(path))?,
        runtime,
        remarks,
    })
}

/// Chooses between the two runtimes for JavaScript, where nobody named one.
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
) -> Result<Option<&'static str>, Failure> {
    let inside: Vec<&Path> = inside.collect();
    if inside.is_empty() {
        return Err(empty(path));
    }
    if let Some(runtime) = said {
        return Ok(Some(runtime.name()));
    }
    if inside.iter().any(|path| is_main_module(path)) {
        return Ok(Some(Runtime::Wasm.name()));
    }
    let of_code = kinds(inside.iter().filter_map(|path| runtime_of(path)));
    let of_lists = kinds(
        inside
            .iter()
            .filter_map(|path| List::kind(path.file_name()?.to_str()?)),
    );
    match (of_code.as_slice(), of_lists.as_slice()) {
        ([], _) => {
            let known = "no .wasm, .wat, .py, .js, .mjs, .cjs or .ts file";
            Err(
                Failure::usage(format!("{path:?} holds no code that is known: {known}"))
                    .hint("name its runtime with --runtime, or compile it to WebAssembly first"),
            )
        }
        ([one], _) => Ok(Some(one.name())),
        (several, [one]) if several.contains(one) => Ok(Some(one.name())),
        ([first, second, ..], _) => Err(Failure::usage(format!(
            "{path:?} holds code of the runtimes {first} and {second}"
        ))
        .hint("name the one that is meant with --runtime")),
    }
}

/// The runtime of a folder that has the main module of a program: whatever else is in it are the program's files.
fn of_main_module(path: &Path) -> Option<Runtime> {
    let has_main = path.is_dir() && MAIN_MODULES.iter().any(|name| path.join(name).is_file());
    has_main.then_some(Runtime::Wasm)
}

/// Whether a path in an archive is that of a program's main module.
fn is_main_module(path: &Path) -> bool {
    let path = path.strip_prefix(".").unwrap_or(path);
    MAIN_MODULES.iter().any(|name| path == Path::new(name))
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
    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = whole_file(path)?;
        let no_list = || {
            let lists = "a requirements .txt, package.json or package-lock.json is";
            Failure::usage(format!("{path:?} is no list of packages: {lists}"))
        };
        let name = if has_extension(path, &["txt", "in"]) {
            REQUIREMENTS
        } else if has_extension(path, &["json"]) {
            let members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&bytes).map_err(|_| no_list())?;
            if members.contains_key("lockfileVersion") {
                PACKAGE_LOCK
            } else {
                PACKAGE
            }
        } else {
            return Err(no_list());
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
) -> Result<Option<&'static str>, Failure> {
    for list in lists {
        let of = List::kind(list.name).map_or("", Runtime::name);
        let is_of = |runtime: &str| {
            let of_python = [Runtime::Python, Runtime::PythonWasm].map(Runtime::name);
            runtime == of || (of_python.contains(&of) && of_python.contains(&runtime))
        };
        if let Some(runtime) = runtime.filter(|runtime| !is_of(runtime)) {
            let path = &list.path;
            let its = format!("the function's is {runtime}");
            return Err(Failure::usage(format!(
                "{path:?} lists packages of the runtime {of}, and {its}"
            )));
        }
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests;
