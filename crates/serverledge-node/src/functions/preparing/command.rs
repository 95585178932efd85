//! `serverledge prepare`: compiles the deployed functions for this program, while an earlier one still runs the node.
//! The new program then starts with everything prepared.
//!
//! A running node provides the code on a Unix socket in its data folder, which only its owner may enter. Where no node
//! runs, the command reads the registry itself.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serverledge_core::{
    Digest, Executor as _, Function, FunctionLimits, MemoryMib, Runtime, Version,
};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor};
use serverledge_registry::FunctionStore;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::config::Config;
use crate::functions::follow::Catalogue;
use crate::functions::label;
use crate::functions::preparing::recency::Recency;
use crate::registry::Registry;
use crate::setup::wasm_config;
use crate::socket::{SocketFile, listen};

const SOCKET: &str = "prepare.sock";
/// Longest request: a digest and the JSON around it.
const QUESTION_BYTES_MAX: u64 = 256;
/// Time for the request to arrive: a command sends it as soon as it has connected.
const QUESTION_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most initial memory of a module here: the limit of the function was checked when it was deployed.
const MEMORY_MAX: MemoryMib = MemoryMib::new(4096);

/// A request, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    /// The list of modules; the response is a line of JSON.
    List,
    /// The code of this digest; the response is its bytes, or empty if there is none.
    Code(String),
}

/// A module to compile.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Module {
    /// The function's name.
    function: String,
    /// The code's digest.
    code: String,
}

// === The node ===

/// Answers requests until the future is dropped. A failure here does not keep the node from running.
pub(crate) async fn serve(catalogue: Arc<Catalogue>, dir: std::path::PathBuf) {
    let path = dir.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let problem = "`serverledge prepare` works only while this node is stopped";
            return tracing::warn!(error = format!("{error:#}"), "{problem}");
        }
    };
    let _bound = SocketFile(&path);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One after the other: what asks compiles for much longer than it reads.
                if let Err(error) = answer(&catalogue, stream).await {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "a request on the socket for preparing failed"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept on the socket for preparing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(catalogue: &Catalogue, mut stream: UnixStream) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(QUESTION_BYTES_MAX));
    tokio::time::timeout(QUESTION_WITHIN, reader.read_line(&mut line))
        .await
        .context("nothing was asked in time")??;
    let bytes = match serde_json::from_str(&line)? {
        Question::List => {
            let functions = catalogue.reachable_functions();
            Bytes::from(serde_json::to_vec(&modules(functions, &catalogue.recency))?)
        }
        Question::Code(digest) => {
            let digest: Digest = digest.parse().context("the digest is none")?;
            catalogue
                .store
                .blobs()
                .get(&digest)
                .await?
                .unwrap_or_default()
        }
    };
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    Ok(())
}

/// The modules of functions, each once, the most recently called first.
fn modules(mut functions: Vec<Arc<Function>>, recency: &Recency) -> Vec<Module> {
    functions.retain(|function| {
        matches!(
            function.version.runtime,
            Runtime::Wasm | Runtime::JavaScript | Runtime::PythonWasm
        )
    });
    functions.sort_by_key(|function| std::cmp::Reverse(recency.of(function)));
    let mut seen = std::collections::HashSet::new();
    let firsts = functions
        .iter()
        .filter(|function| seen.insert(function.version.code));
    firsts
        .map(|function| Module {
            function: label(function),
            code: function.version.code.to_string(),
        })
        .collect()
}

// === The command ===

/// The source of the code.
enum Origin {
    Node(std::path::PathBuf),
    Registry(FunctionStore, Registry),
}

/// Runs `serverledge prepare`.
///
/// # Errors
/// The node's files are another user's, the modules cannot be listed, or some function could not be prepared.
#[expect(clippy::print_stdout, reason = "that is what was asked for")]
pub fn prepare_command(config: &Config) -> Result<()> {
    check_owner(&config.data.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start threads")?;
    let (prepared, failed) = runtime.block_on(prepare_all(config))?;
    println!(
        "{prepared} prepared, {failed} failed; functions in containers need no preparing for another program"
    );
    ensure!(
        failed == 0,
        "{failed} functions could not be prepared: the new program refuses them, or has less to compile with"
    );
    Ok(())
}

/// Refuses to write files that the node cannot read.
fn check_owner(dir: &Path) -> Result<()> {
    let found =
        std::fs::metadata(dir).with_context(|| format!("failed to use {}", dir.display()))?;
    let me = rustix::process::geteuid().as_raw();
    ensure!(
        found.uid() == me,
        "{} belongs to the user with the number {}, and this is user {me}: run it as the node's user",
        dir.display(),
        found.uid()
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "that is what was asked for")]
async fn prepare_all(config: &Config) -> Result<(usize, usize)> {
    let (origin, modules) = find(config).await?;
    let executor = WasmExecutor::open(WasmConfig {
        // Nothing is called here.
        loaded_max: 0,
        ..wasm_config(config)?
    })
    .context("failed to start the wasm executor")?;
    let executor = &executor;
    let from = &origin;
    let of = modules.len();
    let each = modules.into_iter().map(|module| async move {
        let outcome = prepare(executor, from, &module).await;
        (module.function, outcome)
    });
    let mut done = stream::iter(each).buffer_unordered(config.wasm.compile_parallel.max(1));
    let mut prepared = 0;
    let mut failed = 0;
    while let Some((function, outcome)) = done.next().await {
        let said = match &outcome {
            Ok(()) => "prepared".to_owned(),
            Err(error) => format!("failed: {error:#}"),
        };
        prepared += usize::from(outcome.is_ok());
        failed += usize::from(outcome.is_err());
        println!("{:>4} of {of}  {function}  {said}", prepared + failed);
    }
    drop(done);
    if let Origin::Registry(_, registry) = origin {
        registry.close().await;
    }
    Ok((prepared, failed))
}

/// The modules, and the source of their code.
async fn find(config: &Config) -> Result<(Origin, Vec<Module>)> {
    let path = config.data.dir.join(SOCKET);
    match ask(&path, &Question::List).await {
        Ok(bytes) => Ok((
            Origin::Node(path),
            serde_json::from_slice(&bytes).context("the node did not answer")?,
        )),
        Err(error) if is_nobody(&error) => {
            let registry = Registry::open_beside(config)?;
            let store = FunctionStore::new(Arc::clone(registry.kv()));
            let loaded = store
                .load_all()
                .await
                .context("failed to read the deployed functions")?;
            let functions = loaded
                .functions
                .into_iter()
                .map(|deployed| deployed.function)
                .collect();
            let modules = modules(functions, &Recency::open(&config.data.dir));
            Ok((Origin::Registry(store, registry), modules))
        }
        Err(error) => {
            Err(error).with_context(|| format!("failed to ask the node at {}", path.display()))
        }
    }
}

fn is_nobody(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused)
    )
}

async fn ask(path: &Path, question: &Question) -> Result<Bytes> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

async fn prepare(executor: &WasmExecutor, origin: &Origin, module: &Module) -> Result<()> {
    let digest: Digest = module.code.parse().context("the code's digest is none")?;
    let version = bare_version(digest);
    if executor.is_prepared(&version) {
        return Ok(());
    }
    let code = match origin {
        Origin::Node(path) => ask(path, &Question::Code(module.code.clone())).await?,
        Origin::Registry(store, _) => store.blobs().get(&digest).await?.unwrap_or_default(),
    };
    if serverledge_registry::code_digest(&code) != digest {
        bail!("its code is not in the registry");
    }
    executor.prepare(&version, code, &()).await?;
    Ok(())
}

/// A version with its code alone.
fn bare_version(code: Digest) -> Version {
    Version {
        digest: code,
        runtime: Runtime::Wasm,
        code,
        handler: String::new(),
        env: std::collections::BTreeMap::new(),
        secrets: serverledge_core::Secrets::default(),
        network: serverledge_core::Network::None,
        outbound: std::collections::BTreeSet::new(),
        image: String::new(),
        io: serverledge_core::ProgramIo::default(),
        limits: FunctionLimits {
            memory: MEMORY_MAX,
            ..FunctionLimits::default()
        },
    }
}
