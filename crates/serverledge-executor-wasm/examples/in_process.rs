//! Measures a fresh sandbox and one call in it, inside one process, with two threads at once:
//!
//! ```text
//! cargo build --release -p serverledge-executor-wasm --bins
//! cargo run --release -p serverledge-executor-wasm --example in_process -- runtimes/javascript/javascript.wasm hello.js '{"name":"Ada"}'
//! cargo run --release -p serverledge-executor-wasm --example in_process -- wasm-examples/add/add.wasm '{"a":1,"b":2}'
//! ```
//!
//! With three arguments the first is the base of a snapshot, and the second a script that it loads. Prints the median and the
//! 99th percentile of each thread's calls, in microseconds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serverledge_core::{Executor, FunctionLimits, Payload, Version};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;
use tokio::time::Instant;

const THREADS: usize = 2;
const WARM_UP: usize = 2_000;
const CALLS: usize = 20_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = tempfile::tempdir()?;
    // Beside the folder of examples.
    let program = std::env::current_exe()?
        .parent()
        .and_then(|folder| folder.parent())
        .context("a folder")?
        .to_owned();
    let worker = Worker {
        program: program.join("serverledge-wasm-compile"),
        args: Vec::new(),
    };
    let executor =
        WasmExecutor::open(WasmConfig::new(dir.path().into(), worker, 1 << 30, THREADS))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (module, params) = runtime.block_on(module(&executor, &arguments))?;
    let version = Arc::new(executor::version(&module, FunctionLimits::default()));
    runtime.block_on(executor.prepare(&version, module, &()))?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| measure(&executor, &version, params.as_bytes())))
            .collect();
        for thread in threads {
            let mut times = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            times.sort_unstable();
            let at = |part: usize| times[times.len() * part / 100].as_nanos() as f64 / 1000.0;
            report(at(50), at(99));
        }
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn report(median: f64, p99: f64) {
    println!("median {median:.1} µs, p99 {p99:.1} µs");
}

async fn module(executor: &WasmExecutor, arguments: &[String]) -> Result<(Bytes, String)> {
    match arguments {
        [module, params] => Ok((std::fs::read(module)?.into(), params.clone())),
        [base, script, params] => {
            let file = PathBuf::from(script)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let input = serde_json::json!({ "file": file, "source": std::fs::read_to_string(script)?, "handler": "" });
            let snapshot = executor
                .snapshot(
                    std::fs::read(base)?.into(),
                    input.to_string().into(),
                    128 << 20,
                )
                .await?;
            Ok((snapshot.module.into(), params.clone()))
        }
        _ => bail!("arguments: MODULE PARAMS, or BASE SCRIPT PARAMS"),
    }
}

fn measure(
    executor: &WasmExecutor,
    version: &Arc<Version>,
    params: &[u8],
) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (host, _handle) = FakeHost::new();
        let mut times = Vec::with_capacity(CALLS);
        for call in 0..WARM_UP + CALLS {
            let payload = Payload::Json(Bytes::copy_from_slice(params));
            let call_of = executor::call_of("measured", payload);
            let began = Instant::now();
            executor
                .start(version)
                .await?
                .sandbox
                .invoke(call_of, host.clone())
                .await?;
            if call >= WARM_UP {
                times.push(began.elapsed());
            }
        }
        Ok(times)
    })
}
