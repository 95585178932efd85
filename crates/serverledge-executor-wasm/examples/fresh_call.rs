//! Makes fresh calls of one guest, one after the other, for a tool that counts instructions: `scripts/instructions.sh` runs
//! it under callgrind, which counts inside `counted_calls` only.
//!
//! ```text
//! cargo build -p serverledge-executor-wasm --bins
//! cargo run -p serverledge-executor-wasm --example fresh_call -- 100 '{"a":1,"b":2}' wasm-examples/add/add.wasm
//! cargo run -p serverledge-executor-wasm --example fresh_call -- 100 '{"name":"Ada"}' runtimes/javascript/javascript.wasm hello.js
//! ```
//!
//! With four arguments the module is the base of a snapshot, and the last one a script that it loads. The variable `COMPILER`
//! names another program to be the compiling child. Prints the result of the last call.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serverledge_core::{Call, Executor, FunctionLimits, Outcome, Payload, Reply, Version};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;
use tokio::runtime::{Builder, Runtime};

/// Calls before those that count: they fill what later ones find filled.
const WARM_UP: usize = 20;
/// The child's limits, far above what it needs where a tool makes it fifty times slower.
const CHILD_BYTES: u64 = 64 << 30;
const CHILD_TIME: Duration = Duration::from_secs(1200);

/// A guest that can be called.
struct CountedGuest {
    executor: WasmExecutor,
    version: Arc<Version>,
    host: Arc<FakeHost>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (calls, params, module, script) = match arguments.as_slice() {
        [calls, params, module] => (calls, params, module, None),
        [calls, params, base, script] => (calls, params, base, Some(script)),
        _ => bail!("arguments: CALLS PARAMS MODULE, or CALLS PARAMS BASE SCRIPT"),
    };
    let dir = tempfile::tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let module = std::fs::read(module)?.into();
    let guest = runtime.block_on(prepared(dir.path(), module, script.map(Path::new)))?;
    let calls_of = |count| -> Vec<Call> {
        let payload = || Payload::Json(Bytes::copy_from_slice(params.as_bytes()));
        let call = |_| Call {
            instance: None,
            ..executor::call_of("counted", payload())
        };
        (0..count).map(call).collect()
    };
    runtime.block_on(call_each(&guest, calls_of(WARM_UP)))?;
    match counted_calls(&runtime, &guest, calls_of(calls.parse()?))?.reply {
        Reply::Json(result) => print(&String::from_utf8_lossy(&result)),
        Reply::Http(_) => bail!("the guest answers HTTP"),
    }
    Ok(())
}

#[inline(never)]
fn counted_calls(runtime: &Runtime, guest: &CountedGuest, calls: Vec<Call>) -> Result<Outcome> {
    runtime.block_on(call_each(guest, calls))
}

/// The outcome of the last call.
async fn call_each(guest: &CountedGuest, calls: Vec<Call>) -> Result<Outcome> {
    let mut last = None;
    for call in calls {
        let sandbox = guest.executor.start(&guest.version).await?.sandbox;
        let host = Arc::<FakeHost>::clone(&guest.host);
        last = Some(sandbox.invoke(call, host).await?);
    }
    last.context("no call")
}

async fn prepared(dir: &Path, module: Bytes, script: Option<&Path>) -> Result<CountedGuest> {
    let mut config = WasmConfig::new(dir.join("machine-code"), worker()?, 0, 1);
    config.compile.memory_bytes = CHILD_BYTES;
    (config.compile.cpu_time, config.compile.wall_time) = (CHILD_TIME, CHILD_TIME);
    config.init.cpu_time = CHILD_TIME;
    if script.is_some() {
        config.bases = vec![module.clone()];
    }
    let executor = WasmExecutor::open(config)?;
    let module = match script {
        Some(script) => snapshot(&executor, module, script).await?,
        None => module,
    };
    let version = Arc::new(executor::version(&module, FunctionLimits::default()));
    executor.prepare(&version, module, &()).await?;
    let (host, _handle) = FakeHost::new();
    Ok(CountedGuest {
        executor,
        version,
        host,
    })
}

async fn snapshot(executor: &WasmExecutor, base: Bytes, script: &Path) -> Result<Bytes> {
    let file = script.file_name().context("a file")?.to_string_lossy();
    let source = std::fs::read_to_string(script)?;
    let input = serde_json::json!({ "file": file, "source": source, "handler": "" });
    let snapshot = executor
        .snapshot(base, input.to_string().into(), 128 << 20)
        .await?;
    Ok(snapshot.module.into())
}

/// The compiling child beside the folder of examples, or another one.
fn worker() -> Result<Worker> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("a folder")?;
    let program = std::env::var_os("COMPILER")
        .map_or_else(|| folder.join("serverledge-wasm-compile"), PathBuf::from);
    Ok(Worker {
        program,
        args: Vec::new(),
    })
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn print(line: &str) {
    println!("{line}");
}
