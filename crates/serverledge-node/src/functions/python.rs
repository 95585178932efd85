//! The runtime `python-wasm`: at deploy, CPython in WebAssembly imports the files of a function, and its snapshot
//! becomes the function's code (`docs/decisions/0043-python-by-snapshot.md`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_api::DeployError;
use serverledge_core::{FunctionLimits, FunctionSpec, PrepareError, Progress, Runtime};
use serverledge_executor_wasm::{
    ModuleSnapshot, PackedBase, SnapshotBase, SnapshotError, WasmExecutor,
};
use serverledge_wire::upload::{self, UploadedFile};

use crate::functions::snapshots::{self, Made, explained, wrote};
use crate::functions::source;

/// The engine, built from `runtimes/python-wasm` and packed with brotli.
const PACKED: &[u8] = include_bytes!("../../../../runtimes/python-wasm/python.wasm.br");
/// The name of the engine among the executor's bases.
const NAME: &str = "python";
/// Length of the engine: the room that it is unpacked into.
const UNPACKED_BYTES: usize = 10 << 20;
/// A file whose snapshot is the base of all others.
const EMPTY_FILE: &str = "def handler(params):\n    return None\n";
/// The files in which an unnamed handler is looked for, as in the runtime python.
const USUAL: [&str; 5] = ["main", "handler", "function", "app", "index"];
/// Lists of packages, which the runtime python installs and this one does not.
const LISTS: [&str; 2] = ["requirements.txt", "pyproject.toml"];

/// The input of the engine.
#[derive(Debug, Serialize)]
struct PythonInput<'a> {
    /// The path of the handler's file.
    file: &'a str,
    source: &'a str,
    /// All other files by their paths.
    files: BTreeMap<&'a str, FileContent<'a>>,
    handler: &'a str,
    /// The function's plain variables: files may read them while they are loaded, and they are part of the version.
    env: &'a BTreeMap<String, String>,
    /// The names of its secrets, which are in no snapshot.
    secrets: Vec<&'a str>,
}

/// The contents of a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum FileContent<'a> {
    Text(&'a str),
    Bytes { base64: String },
}

/// The engine's word about files that load.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PythonLoaded {
    warnings: Vec<String>,
}

/// The engine as a base of snapshots. Each of these has its code and the packed library, so none is shorter than the
/// packed engine.
pub(crate) fn packed_base() -> PackedBase {
    PackedBase {
        name: NAME,
        snapshot_bytes_min: PACKED.len(),
        unpack: unpacked,
    }
}

fn unpacked() -> Option<Bytes> {
    let mut packed = PACKED;
    let mut module = Vec::with_capacity(UNPACKED_BYTES);
    match brotli::BrotliDecompress(&mut packed, &mut module) {
        Ok(()) => Some(module.into()),
        Err(error) => {
            tracing::error!(%error, "failed to unpack the Python engine");
            None
        }
    }
}

/// The engine. It is unpacked at its first use, where nobody waits.
async fn base(executor: &WasmExecutor) -> Result<SnapshotBase, PrepareError> {
    let failed = || PrepareError::Internal {
        attempt: "unpack the Python engine".to_owned(),
        source: "the node's log has the reason".into(),
    };
    let executor = executor.clone();
    let unpacked = tokio::task::spawn_blocking(move || executor.unpacked_base(NAME)).await;
    unpacked.ok().flatten().ok_or_else(failed)
}

/// The snapshot of a file that does nothing: the same on every node with this engine.
pub(crate) async fn empty_snapshot(executor: &WasmExecutor) -> Result<Bytes, SnapshotError> {
    let input = PythonInput {
        file: "empty.py",
        source: EMPTY_FILE,
        files: BTreeMap::new(),
        handler: "",
        env: &BTreeMap::new(),
        secrets: Vec::new(),
    };
    let base = base(executor).await?;
    let memory = FunctionLimits::default().memory.bytes();
    let taken = executor
        .snapshot(base, snapshots::json(&input)?, memory)
        .await?;
    // As of all snapshots: it has a source.
    Ok(snapshots::with_source(taken.module, EMPTY_FILE.as_bytes()))
}

/// Loads the files of a source and takes the snapshot.
pub(crate) async fn make(
    executor: &WasmExecutor,
    spec: &FunctionSpec,
    source: &Bytes,
    progress: &dyn Progress,
) -> Result<Made, DeployError> {
    let files = files(source, &spec.handler)?;
    let input = input(&files, spec)?;
    let remark = remark_of_lists(&files, input.file);
    let input = snapshots::json(&input)?;
    let base = base(executor).await?;
    prepare_engine(executor, &base, progress).await;
    progress.step("taking the snapshot");
    let memory = spec.limits.memory.bytes();
    let taken = executor.snapshot(base, input, memory).await;
    let ModuleSnapshot {
        module,
        output,
        log,
    } = taken.map_err(|error| explained(error, source.len()))?;
    let loaded: PythonLoaded = serde_json::from_str(snapshots::answer(&output)).unwrap_or_default();
    let wrote =
        wrote(&log).map(|wrote| format!("while it was loaded, the function wrote: {wrote}"));
    let remarks = loaded.warnings.into_iter().chain(remark).chain(wrote);
    Ok(Made {
        code: snapshots::with_source(module, source),
        remarks: remarks.collect(),
    })
}

/// Compiles the engine when it is first needed. A failure is met again, and reported, where it is used.
async fn prepare_engine(executor: &WasmExecutor, base: &SnapshotBase, progress: &dyn Progress) {
    if executor.is_base_prepared(base) {
        return;
    }
    progress.step("compiling the Python engine: once per node, about ten seconds");
    let begun = tokio::time::Instant::now();
    match executor.prepare_base(base.clone()).await {
        Ok(()) => tracing::debug!(elapsed = ?begun.elapsed(), "the Python engine is compiled"),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to compile the Python engine"
        ),
    }
}

/// The files of a source, without what Python made of them elsewhere.
fn files(source: &Bytes, handler: &str) -> Result<Vec<UploadedFile>, DeployError> {
    let read = upload::read(source, Runtime::PythonWasm, handler, source.len());
    let mut files = read.map_err(|error| source::refused(&error))?;
    files.retain(|file| !file.path.split('/').any(|part| part == "__pycache__"));
    Ok(files)
}

fn input<'a>(
    files: &'a [UploadedFile],
    spec: &'a FunctionSpec,
) -> Result<PythonInput<'a>, DeployError> {
    let main = main_file(files, &spec.handler)?;
    let text = std::str::from_utf8(&main.contents)
        .map_err(|fault| snapshots::refused(format!("{} is not UTF-8: {fault}", main.path)))?;
    let others = files.iter().filter(|file| file.path != main.path);
    Ok(PythonInput {
        file: &main.path,
        source: text.strip_prefix('\u{feff}').unwrap_or(text),
        files: others
            .map(|file| (file.path.as_str(), content_of(file)))
            .collect(),
        handler: &spec.handler,
        env: &spec.env,
        secrets: spec.secrets.values.keys().map(String::as_str).collect(),
    })
}

fn content_of(file: &UploadedFile) -> FileContent<'_> {
    match std::str::from_utf8(&file.contents) {
        Ok(text) => FileContent::Text(text),
        Err(_) => FileContent::Bytes {
            base64: STANDARD.encode(&file.contents),
        },
    }
}

/// The file of the handler, as the runtime python finds it. Where the handler names a file that is not there, it is any
/// one: the engine, which looks for the handler itself, says what is missing.
fn main_file<'a>(
    files: &'a [UploadedFile],
    handler: &str,
) -> Result<&'a UploadedFile, DeployError> {
    let refused = |code, message: &str| DeployError::Code {
        code,
        message: message.to_owned(),
    };
    let first = files.iter().find(|file| file.path.ends_with(".py"));
    let first =
        first.ok_or_else(|| refused("no_code", "the source holds no file in Python (.py)"))?;
    let roots = roots(files);
    if handler.is_empty() {
        let found = roots.iter().find_map(|root| default_file(files, root));
        return found.ok_or_else(|| {
            let fault = "the source holds several files in Python, and Handler names none of them";
            refused("ambiguous_code", fault)
        });
    }
    let module = handler
        .rsplit_once('.')
        .map_or(handler, |(module, _)| module)
        .replace('.', "/");
    let found = roots.iter().find_map(|root| {
        let paths = ["/__init__.py", ".py"].map(|end| format!("{root}{module}{end}"));
        paths.iter().find_map(|path| at(files, path))
    });
    Ok(found.unwrap_or(first))
}

/// The folders in which a handler is looked for, each with a slash at its end: that of the code, then its only folder.
fn roots(files: &[UploadedFile]) -> Vec<String> {
    let tops = files.iter().filter_map(|file| file.path.split_once('/'));
    let mut tops: Vec<&str> = tops
        .map(|(top, _)| top)
        .filter(|top| !top.starts_with('.') && !top.starts_with("__"))
        .collect();
    // The files are sorted by path.
    tops.dedup();
    let only = match tops.as_slice() {
        [only] => Some(format!("{only}/")),
        _ => None,
    };
    std::iter::once(String::new()).chain(only).collect()
}

/// The file of a handler that has no name: one with a usual name, or the only one.
fn default_file<'a>(files: &'a [UploadedFile], root: &str) -> Option<&'a UploadedFile> {
    let usual = USUAL
        .iter()
        .find_map(|name| at(files, &format!("{root}{name}.py")));
    let mut beside = files.iter().filter(|file| {
        let name = file.path.strip_prefix(root);
        name.is_some_and(|name| name.ends_with(".py") && !name.contains('/'))
    });
    let only = beside.next().filter(|_| beside.next().is_none());
    usual.or(only)
}

fn at<'a>(files: &'a [UploadedFile], path: &str) -> Option<&'a UploadedFile> {
    files.iter().find(|file| file.path == path)
}

/// The word about a list of packages beside the handler's file, or above its folder: nothing of it is installed.
fn remark_of_lists(files: &[UploadedFile], main: &str) -> Option<String> {
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
    let list = files.iter().find(|file| {
        let (place, name) = file
            .path
            .rsplit_once('/')
            .unwrap_or(("", file.path.as_str()));
        LISTS.contains(&name) && (place.is_empty() || place == folder)
    })?;
    Some(format!(
        "{}: the runtime python-wasm installs no packages; those that are written in Python can be sent with the function, \
         and the runtime python installs all",
        list.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploaded(paths: &[&str]) -> Vec<UploadedFile> {
        let mut files: Vec<UploadedFile> = paths
            .iter()
            .map(|path| UploadedFile {
                path: (*path).to_owned(),
                contents: path.as_bytes().to_vec(),
                executable: false,
                owner: String::new(),
            })
            .collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    fn found(paths: &[&str], handler: &str) -> String {
        match main_file(&uploaded(paths), handler) {
            Ok(file) => file.path.clone(),
            Err(DeployError::Code { code, .. }) => code.to_owned(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_packed_engine_is_a_module() {
        let module = unpacked().unwrap();
        assert!(module.starts_with(b"\0asm\x01\0\0\0"));
        assert!(module.len() > PACKED.len() && module.len() <= UNPACKED_BYTES);
    }

    #[test]
    fn the_handlers_file_is_found_as_in_a_container() {
        let cases: [(&[&str], &str, &str); 15] = [
            (&["hello.py"], "", "hello.py"),
            (&["f/hello.py"], "", "f/hello.py"),
            (&["f/hello.py", "f/lib/a.py"], "", "f/hello.py"),
            (&["a.py", "main.py"], "", "main.py"),
            (&["app.py", "handler.py"], "", "handler.py"),
            (&["a.py", "b.py"], "", "ambiguous_code"),
            (&["a.txt"], "", "no_code"),
            (&["a.py", "b.py"], "b.run", "b.py"),
            (&["a.py", "b.py"], "b", "b.py"),
            (&["a.py", "lib/b.py"], "lib.b.run", "lib/b.py"),
            (&["a.py", "lib/b.py"], "lib/b.run", "lib/b.py"),
            (&["f/a.py", "f/lib/b.py"], "lib.b.run", "f/lib/b.py"),
            (&["a.py", "lib/__init__.py"], "lib.run", "lib/__init__.py"),
            (&["a.py", "b.py"], "c.run", "a.py"),
            (&["b.py", ".git/a.py", "f/main.py"], "", "b.py"),
        ];
        for (paths, handler, expected) in cases {
            assert_eq!(found(paths, handler), expected, "{paths:?} {handler}");
        }
    }

    #[test]
    fn texts_are_texts_and_the_rest_is_base64() {
        let mut files = uploaded(&["main.py", "data.bin", "lib.py"]);
        files[0].contents = vec![0xff, 0];
        files[2].contents = "\u{feff}x = 1".into();
        let spec =
            serverledge_wire::function::FunctionBody::parse(br#"{"Name":"f","Env":{"A":"1"}}"#)
                .unwrap()
                .to_spec(Runtime::PythonWasm)
                .unwrap();
        let written = snapshots::json(&input(&files, &spec).unwrap()).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        let expected = serde_json::json!({
            "file": "main.py",
            "source": "x = 1",
            "files": { "data.bin": { "base64": "/wA=" }, "lib.py": "lib.py" },
            "handler": "",
            "env": { "A": "1" },
            "secrets": [],
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn a_list_of_packages_is_no_request() {
        let remark = |paths: &[&str], main: &str| remark_of_lists(&uploaded(paths), main);
        let told = remark(&["f/main.py", "f/requirements.txt"], "f/main.py").unwrap();
        assert!(told.starts_with("f/requirements.txt: "), "{told}");
        assert!(remark(&["main.py", "pyproject.toml"], "main.py").is_some());
        assert_eq!(remark(&["main.py", "lib/pyproject.toml"], "main.py"), None);
    }
}
