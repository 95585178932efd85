//! The runtime `javascript`: at deploy, an engine in WebAssembly loads the script, and its snapshot becomes the
//! function's code, an ordinary module that contains its source (`docs/decisions/0017-javascript-by-snapshot.md`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_api::DeployError;
use serverledge_core::{FunctionLimits, FunctionSpec, PrepareError, Progress, Runtime};
use serverledge_executor_wasm::{
    ModuleSnapshot, SnapshotError, WasmExecutor, answering_requests, section, with_section,
};
use serverledge_wire::javascript::{Role, names_languages, notes};

use crate::functions::scripts::{ScriptFile, script, scripts};

/// The engines, built from `runtimes/javascript`.
const PLAIN: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");
const INTL: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript-intl.wasm");
/// The custom section with the source as it was sent.
const SECTION: &str = "serverledge.source";
/// A script that does nothing.
const EMPTY_SCRIPT: &str = "module.exports = () => null;";
/// Longest part shown of the log of a script that does not load, or that writes while it loads.
const LOG_BYTES_MAX: usize = 2000;

/// The input of the engine.
#[derive(Debug, Serialize)]
struct Input<'a> {
    file: &'a str,
    source: &'a str,
    handler: &'a str,
    /// The function's plain variables: the file may read them while it is loaded, and they are part of the version.
    env: &'a BTreeMap<String, String>,
    /// The names of its secrets, which are in no snapshot.
    secrets: Vec<&'a str>,
}

impl Input<'_> {
    /// The engine with the files that the names in the input load: the engine itself looks at all of it, too.
    fn engine(&self) -> ScriptEngine {
        let variables = self.env.iter().flat_map(|(name, value)| [name, value]);
        let mut texts = [self.file, self.source, self.handler]
            .into_iter()
            .chain(variables.map(String::as_str))
            .chain(self.secrets.iter().copied());
        if texts.any(names_languages) {
            ScriptEngine::Intl
        } else {
            ScriptEngine::Plain
        }
    }

    fn json(&self) -> Result<Bytes, PrepareError> {
        let written = serde_json::to_vec(self).map_err(|fault| PrepareError::Internal {
            attempt: "write the engine's input".to_owned(),
            source: Box::new(fault),
        });
        written.map(Bytes::from)
    }
}

/// An engine of scripts: the base of their snapshots (`docs/decisions/0040-intl.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScriptEngine {
    /// Without languages: the smaller one.
    Plain,
    /// With `Intl`, and what depends on languages.
    Intl,
}

impl ScriptEngine {
    const fn base(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Plain => PLAIN,
            Self::Intl => INTL,
        })
    }

    /// Compiles it, unless that was done before. A failure is met again, and reported, where it is used.
    async fn prepare(self, executor: &WasmExecutor) {
        let begun = tokio::time::Instant::now();
        match executor.prepare_base(self.base()).await {
            Ok(()) => {
                tracing::debug!(engine = ?self, elapsed = ?begun.elapsed(), "an engine of scripts is compiled");
            }
            Err(error) => tracing::warn!(
                engine = ?self,
                error = &error as &dyn std::error::Error,
                "failed to compile an engine of scripts"
            ),
        }
    }

    /// Compiles the second engine when it is first needed. The first one is compiled when the node starts.
    async fn prepare_first(self, executor: &WasmExecutor, progress: &dyn Progress) {
        if self == Self::Intl && !executor.is_base_prepared(INTL) {
            progress.step("compiling the engine with Intl (once)");
            self.prepare(executor).await;
        }
    }
}

/// The engine's word about a script that loads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Loaded {
    warnings: Vec<String>,
    /// `http`: its handler is `fetch`, which answers requests. Else empty.
    interface: String,
}

impl Loaded {
    fn role(&self) -> Role {
        if self.interface == "http" {
            Role::Http
        } else {
            Role::Json
        }
    }
}

/// The engine's error about a script that does not load.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadError {
    error: String,
    message: String,
    stack: String,
    file: String,
    line: Option<u64>,
    column: Option<u64>,
}

/// The code of a version.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) code: Bytes,
    /// Warnings, notes and the script's own output while it was loaded, for the person who deploys.
    pub(crate) remarks: Vec<String>,
}

/// The engines as the bases of all snapshots of scripts.
pub(crate) fn bases() -> Vec<Bytes> {
    vec![ScriptEngine::Plain.base(), ScriptEngine::Intl.base()]
}

/// Compiles the engine of most scripts in the background, so that the first deploy of one finds it. The engine with
/// `Intl` is compiled when it is first needed: that takes longer, and many nodes never need it.
pub(crate) async fn prepare_engine(executor: &WasmExecutor) {
    ScriptEngine::Plain.prepare(executor).await;
}

/// The snapshot of a script that does nothing, of the engine of most scripts: the same on every node with this engine.
pub(crate) async fn empty_snapshot(executor: &WasmExecutor) -> Result<Bytes, SnapshotError> {
    let input = Input {
        file: "empty.js",
        source: EMPTY_SCRIPT,
        handler: "",
        env: &BTreeMap::new(),
        secrets: Vec::new(),
    };
    let memory = FunctionLimits::default().memory.bytes();
    let taken = executor
        .snapshot(ScriptEngine::Plain.base(), input.json()?, memory)
        .await?;
    Ok(taken.module.into())
}

/// Loads the script of a source and takes the snapshot.
pub(crate) async fn make(
    executor: &WasmExecutor,
    spec: &FunctionSpec,
    source: &Bytes,
    progress: &dyn Progress,
) -> Result<Made, DeployError> {
    let script = script_of(source, &spec.handler)?;
    let text = std::str::from_utf8(&script.text)
        .map_err(|fault| refused(format!("{} is not UTF-8: {fault}", script.path)))?;
    let file = script.path.rsplit('/').next().unwrap_or(&script.path);
    let handler = engine_handler(&script, file, &spec.handler);
    let secrets = spec.secrets.values.keys().map(String::as_str).collect();
    let input = Input {
        file,
        source: text,
        handler: &handler,
        env: &spec.env,
        secrets,
    };
    let engine = input.engine();
    let input = input.json()?;
    engine.prepare_first(executor, progress).await;
    progress.step("taking the snapshot");
    let memory = spec.limits.memory.bytes();
    let taken = executor.snapshot(engine.base(), input, memory).await;
    let ModuleSnapshot {
        module,
        output,
        log,
    } = taken.map_err(|error| explained(error, text))?;
    let loaded: Loaded = serde_json::from_str(output.trim()).unwrap_or_default();
    let module = match loaded.role() {
        Role::Http => answering_requests(module),
        Role::Json => module,
    };
    let code = with_section(module, SECTION, source).into();
    Ok(Made {
        code,
        remarks: remarks(file, text, loaded, &log),
    })
}

/// Warnings of the engine, notes on names in the script, and its own output.
fn remarks(file: &str, text: &str, loaded: Loaded, log: &str) -> Vec<String> {
    let notes = notes(file, text, loaded.role());
    let wrote = wrote(log).map(|wrote| format!("while it was loaded, the script wrote: {wrote}"));
    loaded
        .warnings
        .into_iter()
        .chain(notes)
        .chain(wrote)
        .collect()
}

/// The deployed source: for a snapshot the source that it was made from, else the code itself.
pub(crate) fn source_of(runtime: Runtime, code: Bytes) -> Bytes {
    if runtime != Runtime::JavaScript {
        return code;
    }
    match section(&code, SECTION) {
        // A copy: whoever keeps the source must not keep the module.
        Some(range) => Bytes::copy_from_slice(&code[range]),
        None => code,
    }
}

/// The handler in the engine's form: `FILE` for the whole export of the file or an export under the file's own name,
/// `FILE.NAME` for another export, which may have the file's name; empty if none was named.
fn engine_handler(script: &ScriptFile, file: &str, named: &str) -> String {
    match script.handler.as_str() {
        "" if named.is_empty() => String::new(),
        "" => file.to_owned(),
        export => format!("{file}.{export}"),
    }
}

/// The file with the handler; where there is only one, the handler may be the name of an export alone.
pub(crate) fn script_of(source: &Bytes, handler: &str) -> Result<ScriptFile, DeployError> {
    if let Some(found) = script(source, handler) {
        return Ok(found);
    }
    let files = scripts(source).unwrap_or_default();
    match files.as_slice() {
        [(path, text)] => {
            let name = handler.rsplit('.').next().unwrap_or(handler);
            Ok(ScriptFile {
                path: path.clone(),
                text: text.clone(),
                handler: name.to_owned(),
            })
        }
        [] => Err(DeployError::Code {
            code: "no_code",
            message: "the source holds no .js, .mjs or .cjs file in UTF-8".to_owned(),
        }),
        _ => Err(DeployError::Code {
            code: "ambiguous_code",
            message: "the source holds several scripts, and Handler names none of them".to_owned(),
        }),
    }
}

fn explained(error: SnapshotError, source: &str) -> DeployError {
    match error {
        SnapshotError::InitFailed { code, stdout, log } => {
            match serde_json::from_str::<LoadError>(stdout.trim()) {
                Ok(fault) => refused(told(&fault, &log)),
                Err(_) => refused(with_log(
                    format!("loading ended with exit code {code}"),
                    &log,
                )),
            }
        }
        SnapshotError::Trapped { message, log } => {
            refused(with_log(format!("loading trapped: {message}"), &log))
        }
        SnapshotError::CpuTime(limit) => refused(format!(
            "loading took more than {limit:?} of processor time: does its top level end?"
        )),
        SnapshotError::Memory(limit) => refused(format!(
            "loading needs more than the {} MiB that the function declares",
            limit >> 20
        )),
        SnapshotError::Output(limit) => refused(format!(
            "loading failed, with more than {limit} bytes of error"
        )),
        SnapshotError::TooLarge(limit) => refused(format!(
            "what it makes while it loads is more than the {} MiB that code may have",
            limit >> 20
        )),
        SnapshotError::Child(PrepareError::TooComplex { message }) => refused(message),
        SnapshotError::Child(other) => other.into(),
        SnapshotError::Base(_) => PrepareError::Internal {
            attempt: format!("load a script of {} bytes", source.len()),
            source: Box::new(error),
        }
        .into(),
    }
}

/// The message of an error: `SyntaxError: … (hello.js:3:7)`, and the stack if it says more.
fn told(fault: &LoadError, log: &str) -> String {
    let mut told = match fault.error.as_str() {
        "" => fault.message.clone(),
        kind => format!("{kind}: {}", fault.message),
    };
    if let Some(line) = fault.line {
        let column = fault
            .column
            .map_or_else(String::new, |column| format!(":{column}"));
        told.push_str(&format!(" ({}:{line}{column})", fault.file));
    }
    let stack = fault.stack.trim();
    if stack.lines().count() > 1 {
        told.push('\n');
        told.push_str(end_of(stack));
    }
    with_log(told, log)
}

fn with_log(told: String, log: &str) -> String {
    match wrote(log) {
        Some(wrote) => format!("{told}\nit wrote: {wrote}"),
        None => told,
    }
}

fn wrote(log: &str) -> Option<&str> {
    Some(end_of(log.trim())).filter(|log| !log.is_empty())
}

fn end_of(text: &str) -> &str {
    let mut from = text.len().saturating_sub(LOG_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

fn refused(message: impl std::fmt::Display) -> DeployError {
    DeployError::Code {
        code: "function_does_not_load",
        message: format!("the function does not load: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_the_engine() {
        let variable = |name: &str, value: &str| BTreeMap::from([(name.into(), value.into())]);
        let none = BTreeMap::new();
        for (source, env, expected) in [
            ("module.exports = () => 1", &none, ScriptEngine::Plain),
            ("n[`to${'LocaleString'}`]()", &none, ScriptEngine::Plain),
            ("n.toLocaleString('de')", &none, ScriptEngine::Intl),
            ("// with Intl", &none, ScriptEngine::Intl),
            ("1", &variable("BY", "localeCompare"), ScriptEngine::Intl),
            ("1", &variable("Intl", "1"), ScriptEngine::Intl),
        ] {
            let input = Input {
                file: "f.js",
                source,
                handler: "",
                env,
                secrets: Vec::new(),
            };
            assert_eq!(input.engine(), expected, "{source} {env:?}");
        }
    }

    #[test]
    fn handlers_are_found() {
        let packed = |files: &[&str]| -> Bytes {
            let mut tar = tar::Builder::new(Vec::new());
            for file in files {
                let mut header = tar::Header::new_ustar();
                header.set_size(1);
                tar.append_data(&mut header, file, &b"1"[..]).unwrap();
            }
            tar.into_inner().unwrap().into()
        };
        let found = |source: Bytes, handler: &str| match script_of(&source, handler) {
            Ok(script) => format!("{} {}", script.path, script.handler),
            Err(DeployError::Code { code, .. }) => code.to_owned(),
            Err(other) => panic!("{other}"),
        };
        for (handler, expected) in [
            ("", "f.cjs "),
            ("f", "f.cjs "),
            ("f.cjs", "f.cjs "),
            ("f.f", "f.cjs f"),
            ("double", "f.cjs double"),
            ("index.double", "f.cjs double"),
        ] {
            assert_eq!(found(packed(&["f.cjs"]), handler), expected, "{handler}");
        }
        assert_eq!(found(Bytes::from_static(b"1"), "f.f"), "f.js f");
        assert_eq!(found(packed(&["a.js", "b.js"]), "double"), "ambiguous_code");
        assert_eq!(found(packed(&["a.txt"]), ""), "no_code");
    }
}
