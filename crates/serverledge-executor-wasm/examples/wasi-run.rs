//! Runs a module or component once, without a node, and prints its end as one line of JSON. The conformance tests call
//! it for modules that want a directory of their own.
//!
//! ```text
//! cargo build --release -p serverledge-executor-wasm --bins --example wasi-run
//! wasi-run MODULE [--dir /=PATH] [--env NAME=VALUE]... [--stdin TEXT] [--arg TEXT]... [--request JSON]...
//!          [--compiler PATH]
//! ```
//!
//! - `--dir /=PATH`: the files below `PATH` are copies at `/`, which the module may change; those of the machine stay
//!   as they are. Empty directories and what is no regular file are left out.
//! - The module's name for itself is that of its file, if a function can have it; else `module`.
//! - `--request JSON`: `{"method", "path", "headers", "body"}`, for components that answer requests; each is a call.
//! - `--compiler PATH`: the compiling child; by default `serverledge-wasm-compile` beside the folder of this program.
//!
//! It prints `{"exit_code", "stdout", "stderr", "failure", "responses"}`. `exit_code` is a sentence if the module did
//! not exit, and `failure` has the kind and the message. A module that fails has no `stdout`, as on a node. One that
//! cannot be run at all is a message on stderr, and the exit code 1. The environment has the variables of every
//! function beside those that are given.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use serde_json::{Value, json};
use serverledge_core::{
    Ending, Executor as _, FailureKind, FunctionFailure, FunctionLimits, FunctionName, HttpBody,
    Interface, InvokeError, MemoryMib, Outcome, Payload, ProgramIo, Reply, Stdin, Stdout, Version,
};
use serverledge_executor_wasm::{FileLayout, WasmConfig, WasmExecutor, Worker};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;

const USAGE: &str = "usage: wasi-run MODULE [--dir /=PATH] [--env NAME=VALUE]... [--stdin TEXT] [--arg TEXT]... \
                     [--request JSON]... [--compiler PATH]";
const MEMORY_MIB: u64 = 256;
const THREADS: usize = 1;

/// The command line.
#[derive(Default)]
struct RunOptions {
    module: Option<PathBuf>,
    root: Option<PathBuf>,
    env: BTreeMap<String, String>,
    stdin: Option<String>,
    args: Vec<String>,
    requests: Vec<RequestSpec>,
    compiler: Option<PathBuf>,
}

/// A request of the command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestSpec {
    #[serde(default = "get")]
    method: String,
    #[serde(default = "slash")]
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
}

/// A module that is prepared.
struct Runner {
    executor: WasmExecutor,
    version: Arc<Version>,
    name: String,
}

/// The end of a call: its reply, if there is one, and its log.
struct CallEnd {
    reply: Option<http::Response<Bytes>>,
    log: Bytes,
    failure: Option<FunctionFailure>,
}

fn main() -> Result<()> {
    let options = RunOptions::parse(std::env::args_os().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    print(&runtime.block_on(run(options))?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn print(result: &Value) {
    println!("{result}");
}

async fn run(options: RunOptions) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let (runner, interface) = Runner::prepare(&options, dir.path()).await?;
    if interface == Interface::Http && !options.requests.is_empty() {
        let mut responses = Vec::new();
        for spec in options.requests {
            responses.push(response(runner.call(spec.request()?).await?));
        }
        return Ok(json!({ "responses": responses }));
    }
    if !options.requests.is_empty() {
        bail!("the module answers no requests; leave out --request");
    }
    let input = options.stdin.unwrap_or_default();
    let request = Request::post("/").body(body(input.into()))?;
    Ok(program(runner.call(request).await?))
}

/// The line for a program that has ended.
fn program(end: CallEnd) -> Value {
    let stderr = String::from_utf8_lossy(&end.log);
    let stdout = end.reply.unwrap_or_default().into_body();
    let failure = end.failure;
    let exit_code = match &failure {
        None => Value::from(0),
        Some(failure) => match code(failure) {
            Some(code) => Value::from(code),
            None => Value::from(failure.message.as_str()),
        },
    };
    json!({
        "exit_code": exit_code,
        "stdout": String::from_utf8_lossy(&stdout),
        "stderr": stderr,
        "failure": failure.as_ref().map(told),
        "responses": [],
    })
}

/// The answer to a request; that of a function that failed is the one that a node gives for it.
fn response(end: CallEnd) -> Value {
    let log = String::from_utf8_lossy(&end.log);
    let Some(reply) = end.reply else {
        return json!({
            "status": 502,
            "headers": {},
            "body": "",
            "failure": end.failure.as_ref().map(told),
            "stderr": log,
        });
    };
    let headers: BTreeMap<&str, _> = reply
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    json!({
        "status": reply.status().as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(reply.body()),
        "failure": end.failure.as_ref().map(told),
        "stderr": log,
    })
}

fn told(failure: &FunctionFailure) -> Value {
    json!({ "kind": failure.kind.code(), "message": failure.message })
}

/// The exit code of a program that ended by one other than zero.
fn code(failure: &FunctionFailure) -> Option<u32> {
    if failure.kind != FailureKind::Error {
        return None;
    }
    let (_, rest) = failure.message.split_once("exited with code ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

impl RunOptions {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let Some(option) = word.to_str().filter(|word| word.starts_with("--")) else {
                if options.module.replace(word.into()).is_some() {
                    bail!("more than one module; {USAGE}");
                }
                continue;
            };
            let Some(value) = words.next() else {
                bail!("{option} needs a value; {USAGE}");
            };
            options.set(option, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, option: &str, value: &OsString) -> Result<()> {
        let text = || {
            let text = value.to_str();
            text.with_context(|| format!("the value of {option} is not UTF-8"))
        };
        match option {
            "--compiler" => self.compiler = Some(value.into()),
            "--dir" => match text()?.split_once('=') {
                Some(("/", path)) if self.root.is_none() => self.root = Some(path.into()),
                _ => bail!("--dir is /=PATH, and given once"),
            },
            "--env" => {
                let Some((name, value)) = text()?.split_once('=') else {
                    bail!("--env is NAME=VALUE");
                };
                self.env.insert(name.to_owned(), value.to_owned());
            }
            "--stdin" => self.stdin = Some(text()?.to_owned()),
            "--arg" => self.args.push(text()?.to_owned()),
            "--request" => {
                let spec = serde_json::from_str(text()?).context("--request is no request")?;
                self.requests.push(spec);
            }
            "--grant" => bail!(
                "{} cannot be granted: nothing outside can be reached",
                text()?
            ),
            _ => bail!("unknown option {option}; {USAGE}"),
        }
        Ok(())
    }

    /// The input of a program as it is, and its output.
    fn io(&self) -> ProgramIo {
        ProgramIo {
            // They are templates.
            args: self
                .args
                .iter()
                .map(|arg| arg.replace('{', "{{").replace('}', "}}"))
                .collect(),
            stdin: match self.stdin {
                Some(_) => Stdin::Body,
                None => Stdin::None,
            },
            stdout: Stdout::Raw("application/octet-stream".to_owned()),
        }
    }
}

impl RequestSpec {
    fn request(self) -> Result<Request<HttpBody>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.path)
            .header("host", "localhost");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let text = self.body.unwrap_or_default();
        request
            .body(body(text.into()))
            .context("--request is no request")
    }
}

fn get() -> String {
    "GET".to_owned()
}

fn slash() -> String {
    "/".to_owned()
}

fn body(bytes: Bytes) -> HttpBody {
    Box::pin(Full::new(bytes).map_err(|never| match never {}))
}

impl Runner {
    /// Compiles the module.
    async fn prepare(options: &RunOptions, dir: &Path) -> Result<(Self, Interface)> {
        let Some(module) = &options.module else {
            bail!("no module; {USAGE}");
        };
        let code = fs::read(module).with_context(|| format!("failed to read {module:?}"))?;
        let code = match &options.root {
            Some(root) => with_files(&code, root)?,
            None => code,
        };
        let compiler = match &options.compiler {
            Some(compiler) => compiler.clone(),
            None => beside()?,
        };
        let worker = Worker {
            program: compiler,
            args: Vec::new(),
        };
        let mut config = WasmConfig::new(dir.join("cache"), worker, 1 << 30, THREADS);
        config.file_layout = FileLayout::Copied;
        let executor = WasmExecutor::open(config)?;
        let limits = FunctionLimits {
            memory: MemoryMib::new(MEMORY_MIB),
            ..FunctionLimits::default()
        };
        let mut version = Version {
            env: options.env.clone(),
            ..executor::version(&code, limits)
        };
        let prepared = executor.prepare(&version, code.into(), &()).await?;
        if prepared.interface == Interface::Json {
            version.io = options.io();
        }
        let runner = Self {
            executor,
            version: Arc::new(version),
            name: name(module),
        };
        Ok((runner, prepared.interface))
    }

    async fn call(&self, request: Request<HttpBody>) -> Result<CallEnd> {
        let call = executor::call_of(&self.name, Payload::Http(Box::new(request)));
        let started = self.executor.start(&self.version).await?;
        match started.sandbox.invoke(call, FakeHost::new().0).await {
            Ok(outcome) => ended(outcome).await,
            Err(InvokeError::Function(failure)) => Ok(CallEnd::failed(None, failure)),
            Err(error) => Err(error).context("failed to run the module"),
        }
    }
}

/// The end of a call whose reply has begun.
async fn ended(outcome: Outcome) -> Result<CallEnd> {
    let Reply::Http(response) = outcome.reply else {
        bail!("a request was answered with JSON");
    };
    let (head, body) = response.into_parts();
    let rest = async move {
        match outcome.rest {
            Some(rest) => rest.0.await,
            None => Ending::Completed { log: outcome.log },
        }
    };
    let (body, ending) = futures_util::future::join(body.collect(), rest).await;
    let whole = body.map(|body| http::Response::from_parts(head, body.to_bytes()));
    match ending {
        Ending::Completed { log } | Ending::Abandoned { log } => Ok(CallEnd {
            reply: Some(whole.map_err(|error| anyhow::anyhow!("the body broke off: {error}"))?),
            log,
            failure: None,
        }),
        Ending::Failed(InvokeError::Function(failure)) => Ok(CallEnd::failed(whole.ok(), failure)),
        Ending::Failed(error) => Err(error).context("failed to run the module"),
    }
}

impl CallEnd {
    fn failed(reply: Option<http::Response<Bytes>>, failure: FunctionFailure) -> Self {
        Self {
            reply,
            log: failure.log.clone(),
            failure: Some(failure),
        }
    }
}

/// The name of a module's file, if a function can have it.
fn name(module: &Path) -> String {
    let name = module.file_name().and_then(OsStr::to_str);
    let name = name.filter(|name| FunctionName::parse(name).is_ok());
    name.unwrap_or("module").to_owned()
}

/// The compiling child that is built with this program.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let compiler = folder.context("a folder")?.join("serverledge-wasm-compile");
    if !compiler.is_file() {
        bail!(
            "{compiler:?} is missing; build it (cargo build -p serverledge-executor-wasm --bins), or name it with \
             --compiler"
        );
    }
    Ok(compiler)
}

/// A tar of the module and the files below a folder.
fn with_files(code: &[u8], root: &Path) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let name = if code.starts_with(b"\0asm") {
        "main.wasm"
    } else {
        "main.wat"
    };
    append(&mut builder, Path::new(name), code)?;
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("failed to read {folder:?}"))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(&path).with_context(|| format!("failed to read {path:?}"))?;
                append(&mut builder, path.strip_prefix(root)?, &bytes)?;
            }
        }
    }
    Ok(builder.into_inner()?)
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, path, bytes)?;
    Ok(())
}
