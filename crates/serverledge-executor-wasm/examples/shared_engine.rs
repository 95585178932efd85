//! Compares scripts as whole modules with scripts that share one engine, inside one process and interleaved:
//!
//! ```text
//! cargo build --release -p serverledge-executor-wasm --bins
//! cargo run --release -p serverledge-executor-wasm --example shared_engine -- runtimes/javascript/javascript.wasm hello.js '{"name":"Ada"}'
//! cargo run --release -p serverledge-executor-wasm --example shared_engine -- runtimes/javascript/javascript.wasm hello.js '{}' shared 200
//! ```
//!
//! Prints the processor time of deploys, children included, and the time of a fresh sandbox with one call. With two more
//! arguments, it prints the resident memory of so many deployed and called scripts, `shared` or `whole`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serverledge_core::{Executor, FunctionLimits, Payload, Version};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker, with_section};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;
use tokio::time::Instant;

const DEPLOYS: usize = 8;
const ROUNDS: usize = 40;
const CALLS: usize = 500;
/// Clock ticks of `/proc/self/stat` in a second: the same on all of Linux's architectures but Alpha.
const TICKS_PER_SECOND: f64 = 100.0;

/// A script and its executor.
struct Arm {
    name: &'static str,
    executor: WasmExecutor,
    version: Option<Arc<Version>>,
}

/// The script that is deployed.
struct MeasuredScript {
    base: Bytes,
    input: Bytes,
    params: Bytes,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.as_slice() {
            [base, script, params] => {
                compare(dir.path(), &MeasuredScript::read(base, script, params)?).await
            }
            [base, script, params, name, count] => {
                let script = MeasuredScript::read(base, script, params)?;
                memory(&open(dir.path(), name, &script)?, &script, count.parse()?).await
            }
            _ => bail!("arguments: BASE SCRIPT PARAMS [whole|shared COUNT]"),
        }
    })
}

impl MeasuredScript {
    fn read(base: &str, script: &str, params: &str) -> Result<Self> {
        let file = PathBuf::from(script)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let input = serde_json::json!({ "file": file, "source": std::fs::read_to_string(script)?, "handler": "" });
        let input = input.to_string().into();
        let params = Bytes::copy_from_slice(params.as_bytes());
        Ok(Self {
            base: std::fs::read(base)?.into(),
            input,
            params,
        })
    }
}

fn open(dir: &Path, name: &str, script: &MeasuredScript) -> Result<Arm> {
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
    let mut config = WasmConfig::new(dir.join(name), worker, 1 << 30, 2);
    (config.loaded_bytes_max, config.loaded_max) = (u64::MAX, usize::MAX);
    let name = match name {
        "whole" => "whole",
        "shared" => "shared",
        _ => bail!("neither whole nor shared"),
    };
    if name == "shared" {
        config.bases = vec![script.base.clone()];
    }
    Ok(Arm {
        name,
        executor: WasmExecutor::open(config)?,
        version: None,
    })
}

async fn compare(dir: &Path, script: &MeasuredScript) -> Result<()> {
    let mut arms = [open(dir, "whole", script)?, open(dir, "shared", script)?];
    for arm in &arms {
        arm.executor.prepare_base(script.base.clone()).await?;
    }
    let mut spent = [[0.0; 2]; 2];
    for nth in 0..DEPLOYS {
        for (arm, [snapshot, prepare]) in arms.iter_mut().zip(&mut spent) {
            let began = processor_seconds()?;
            let module = module(arm, script, nth).await?;
            let taken = processor_seconds()?;
            arm.version = Some(prepared(arm, module).await?);
            *snapshot += taken - began;
            *prepare += processor_seconds()? - taken;
        }
    }
    for (arm, spent) in arms.iter().zip(spent) {
        let [snapshot, prepare] = spent.map(|seconds| seconds * 1000.0 / DEPLOYS as f64);
        print(&format!(
            "{}: processor time of a snapshot {snapshot:.0} ms, of preparing it {prepare:.0} ms",
            arm.name
        ));
    }
    let [whole, shared] = spent.map(|[snapshot, prepare]| snapshot + prepare);
    print(&format!("a deploy, ratio {:.3}", shared / whole));
    calls(&arms, script).await
}

async fn module(arm: &Arm, script: &MeasuredScript, nth: usize) -> Result<Bytes> {
    let snapshot = arm
        .executor
        .snapshot(script.base.clone(), script.input.clone(), 128 << 20)
        .await?;
    Ok(with_section(snapshot.module, "nth", &nth.to_le_bytes()).into())
}

async fn prepared(arm: &Arm, module: Bytes) -> Result<Arc<Version>> {
    let version = Arc::new(executor::version(&module, FunctionLimits::default()));
    arm.executor.prepare(&version, module, &()).await?;
    Ok(version)
}

async fn call(
    arm: &Arm,
    version: &Arc<Version>,
    script: &MeasuredScript,
    host: &Arc<FakeHost>,
) -> Result<()> {
    let call = executor::call_of("measured", Payload::Json(script.params.clone()));
    let sandbox = arm.executor.start(version).await?.sandbox;
    sandbox.invoke(call, Arc::<FakeHost>::clone(host)).await?;
    Ok(())
}

async fn calls(arms: &[Arm; 2], script: &MeasuredScript) -> Result<()> {
    let (host, _handle) = FakeHost::new();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (arm, times) in arms.iter().zip(&mut times) {
            let version = arm.version.as_ref().context("a version")?;
            for _ in 0..CALLS {
                let began = Instant::now();
                call(arm, version, script, &host).await?;
                if round > 0 {
                    times.push(began.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
    }
    for part in [10, 50, 99] {
        let [whole, shared] = times.each_mut().map(|times| {
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() * part / 100]
        });
        print(&format!(
            "call, p{part}: whole {whole:.1} µs, shared {shared:.1} µs, ratio {:.3}",
            shared / whole
        ));
    }
    Ok(())
}

async fn memory(arm: &Arm, script: &MeasuredScript, count: usize) -> Result<()> {
    let (host, _handle) = FakeHost::new();
    let mut versions = Vec::new();
    for nth in 0..count {
        let module = module(arm, script, nth).await?;
        versions.push(prepared(arm, module).await?);
    }
    let before = resident_mib()?;
    for version in &versions {
        call(arm, version, script, &host).await?;
    }
    print(&format!(
        "{}: {count} called, {before:.0} MiB before and {:.0} MiB after",
        arm.name,
        resident_mib()?
    ));
    Ok(())
}

/// Processor time of this process and of the children that have ended.
fn processor_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .context("a name")?
        .1
        .split(' ')
        .collect();
    // Fields 14 to 17 of proc_pid_stat(5); the first here is the third.
    let ticks = fields
        .get(11..15)
        .context("times")?
        .iter()
        .map(|field| field.parse::<f64>());
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn print(line: &str) {
    println!("{line}");
}
