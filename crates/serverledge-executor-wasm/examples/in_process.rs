//! Measures a call inside one process, with two threads at once, in three ways that take turns: in a fresh instance of
//! the whole module, in a fresh instance (of a script: with the engine that scripts share), and in a kept one.
//!
//! ```text
//! cargo build --release -p serverledge-executor-wasm --bins
//! cargo run --release -p serverledge-executor-wasm --example in_process -- runtimes/javascript/javascript.wasm hello.js '{"name":"Ada"}'
//! cargo run --release -p serverledge-executor-wasm --example in_process -- wasm-examples/add/add.wasm '{"a":1,"b":2}'
//! ```
//!
//! With three arguments the first is the base of a snapshot, and the second a script that it loads. One that answers requests
//! gets the parameters as the body of one. Prints microseconds of
//! each way, and the last way as a part of the first. With `--way NAME` in front it measures one way alone: ways that take
//! turns find the processor's caches as the others left them, and share its memory with the other thread's way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serverledge_core::{Call, Executor, FunctionLimits, InstanceKey, Payload, Version};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker, answering_requests};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;
use tokio::time::Instant;

const THREADS: usize = 2;
/// Calls of one way before the next has its turn.
const TURN: usize = 200;
const TURNS: usize = 60;

/// A way of running calls.
struct Way {
    name: &'static str,
    executor: WasmExecutor,
    version: Arc<Version>,
    instance: Option<InstanceKey>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (only, arguments) = match arguments.as_slice() {
        [option, name, rest @ ..] if option == "--way" => (Some(name), rest),
        all => (None, all),
    };
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bases = match arguments {
        [base, _, _] => vec![Bytes::from(std::fs::read(base)?)],
        _ => Vec::new(),
    };
    let whole = executor(&dir.path().join("whole"), Vec::new())?;
    let shared = executor(&dir.path().join("shared"), bases)?;
    let (module, params) = runtime.block_on(module(&whole, arguments))?;
    let version = Arc::new(executor::version(&module, FunctionLimits::default()));
    for executor in [&whole, &shared] {
        runtime.block_on(executor.prepare(&version, module.clone(), &()))?;
    }
    let way = |name, executor: &WasmExecutor, instance| Way {
        name,
        executor: executor.clone(),
        version: Arc::clone(&version),
        instance,
    };
    let mut ways = vec![
        way("fresh, whole", &whole, None),
        way("fresh", &shared, None),
        way("kept", &shared, Some(InstanceKey::new([1; 32]))),
    ];
    ways.retain(|way| only.is_none_or(|name| name == way.name));
    if ways.is_empty() {
        bail!("--way is one of: fresh, whole; fresh; kept");
    }
    let mut times = vec![Vec::new(); ways.len()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| measure(&ways, params.as_bytes())))
            .collect();
        for thread in threads {
            let measured = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            for (all, more) in times.iter_mut().zip(measured) {
                all.extend(more);
            }
        }
        anyhow::Ok(())
    })?;
    report(&ways, &mut times);
    Ok(())
}

fn executor(dir: &Path, bases: Vec<Bytes>) -> Result<WasmExecutor> {
    // Beside the folder of examples.
    let program = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .context("a folder")?
        .to_owned();
    let worker = Worker {
        program: program.join("serverledge-wasm-compile"),
        args: Vec::new(),
    };
    let mut config = WasmConfig::new(dir.to_owned(), worker, 1 << 30, THREADS);
    config.bases = bases;
    Ok(WasmExecutor::open(config)?)
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn report(ways: &[Way], times: &mut [Vec<Duration>]) {
    let mut tenths = Vec::new();
    let mut medians = Vec::new();
    for (way, times) in ways.iter().zip(times) {
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100].as_nanos() as f64 / 1000.0;
        let (tenth, median) = (at(10), at(50));
        println!(
            "{:12} p10 {tenth:.1} µs, median {median:.1} µs, p99 {:.1} µs",
            way.name,
            at(99)
        );
        tenths.push(tenth);
        medians.push(median);
    }
    if let ([tenth, .., last_tenth], [median, .., last_median]) =
        (tenths.as_slice(), medians.as_slice())
    {
        println!(
            "ratio kept/whole p10 {:.3} median {:.3}",
            last_tenth / tenth,
            last_median / median
        );
    }
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
                    bytes::Bytes::from(std::fs::read(base)?),
                    input.to_string().into(),
                    128 << 20,
                )
                .await?;
            let answers = snapshot.output.contains(r#""interface":"http""#);
            let module = if answers {
                answering_requests(snapshot.module)
            } else {
                snapshot.module
            };
            Ok((module.into(), params.clone()))
        }
        _ => bail!("arguments: MODULE PARAMS, or BASE SCRIPT PARAMS"),
    }
}

/// The times of each way.
fn measure(ways: &[Way], params: &[u8]) -> Result<Vec<Vec<Duration>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (host, _handle) = FakeHost::new();
        let mut times = vec![Vec::with_capacity(TURN * TURNS); ways.len()];
        for turn in 0..TURNS {
            for (way, times) in ways.iter().zip(&mut times) {
                for _ in 0..TURN {
                    let payload = Payload::Json(Bytes::copy_from_slice(params));
                    let call = Call {
                        instance: way.instance,
                        ..executor::call_of("measured", payload)
                    };
                    let began = Instant::now();
                    let started = way.executor.start(&way.version).await?;
                    started.sandbox.invoke(call, host.clone()).await?;
                    // The first turn warms up.
                    if turn > 0 {
                        times.push(began.elapsed());
                    }
                }
            }
        }
        Ok(times)
    })
}
