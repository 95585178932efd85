//! The runtime `javascript`: at deploy, an engine in WebAssembly loads the script, and its snapshot becomes the
//! function's code, an ordinary module that contains its source (`docs/decisions/0017-javascript-by-snapshot.md`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_api::DeployError;
use serverledge_core::{FunctionLimits, FunctionSpec, Progress};
use serverledge_executor_wasm::{ModuleSnapshot, SnapshotError, WasmExecutor, answering_requests};
use serverledge_wire::javascript::{Role, names_languages, notes};

use crate::functions::scripts::{ScriptFile, script, scripts};
use crate::functions::snapshots::{Made, answer, explained, json, refused, with_source, wrote};

/// The engines, built from `runtimes/javascript`.
const PLAIN: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");
const INTL: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript-intl.wasm");
/// A script that does nothing.
const EMPTY_SCRIPT: &str = "module.exports = () => null;";

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
        if self == Self::Intl && !executor.is_base_prepared(&self.base().into()) {
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
        .snapshot(ScriptEngine::Plain.base(), json(&input)?, memory)
        .await?;
    // As of all snapshots: it has a source.
    Ok(with_source(taken.module, EMPTY_SCRIPT.as_bytes()))
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
    let input = json(&input)?;
    engine.prepare_first(executor, progress).await;
    progress.step("taking the snapshot");
    let memory = spec.limits.memory.bytes();
    let taken = executor.snapshot(engine.base(), input, memory).await;
    let ModuleSnapshot {
        module,
        output,
        log,
    } = taken.map_err(|error| explained(error, text.len()))?;
    let loaded: Loaded = serde_json::from_str(answer(&output)).unwrap_or_default();
    let module = match loaded.role() {
        Role::Http => answering_requests(module),
        Role::Json => module,
    };
    Ok(Made {
        code: with_source(module, source),
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
