//! The parent's side of the compiling child: starts the child, feeds it, waits within limits, and tells what stopped it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use bytes::Bytes;
use serverledge_core::PrepareError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{CompileLimits, Worker};
use crate::protocol::{Compiled, Job, RefusalCode, Verdict};

/// Machine code is a few times larger than its module; beyond this it is not worth keeping.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// What is kept of the child's stderr, for the log.
const COMPLAINT_BYTES_MAX: u64 = 4096;
/// `SIGXCPU`: the processor time limit was met (Linux, all architectures but MIPS and PA-RISC).
const SIGXCPU: i32 = 24;
/// `SIGKILL`: the hard limit of processor time, or the machine ran out of memory.
const SIGKILL: i32 = 9;

/// Starts compiling children, a bounded number at once.
#[derive(Debug)]
pub(crate) struct Compiler {
    worker: Worker,
    limits: CompileLimits,
    permits: Semaphore,
}

impl Compiler {
    pub(crate) fn new(worker: Worker, limits: CompileLimits) -> Self {
        Self {
            worker,
            limits,
            permits: Semaphore::new(limits.parallel.max(1)),
        }
    }

    /// Compiles; machine code comes with what was learnt. Dropping the future kills the child.
    pub(crate) async fn compile(
        &self,
        job: Job,
        code: Bytes,
    ) -> Result<(Compiled, Vec<u8>), PrepareError> {
        understand(&self.run(job, vec![code]).await?)
    }

    /// Has the child do its job with these bytes on its stdin, and returns its stdout. Dropping the future kills it.
    pub(crate) async fn run(&self, job: Job, input: Vec<Bytes>) -> Result<Vec<u8>, PrepareError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|e| internal("wait for a compilation to end", e))?;
        let mut child = self
            .spawn(job)
            .map_err(|e| internal("start the compiler", e))?;
        let Ok(done) = timeout(self.limits.wall_time, converse(&mut child, input)).await else {
            let _ = child.kill().await;
            return Err(too_complex(format!(
                "{} took longer than {:?}",
                job.doing(),
                self.limits.wall_time
            )));
        };
        let (status, answer, complaint) = done.map_err(|e| internal("talk to the compiler", e))?;
        if status.success() {
            Ok(answer)
        } else {
            Err(self.died(job, status, &complaint))
        }
    }

    fn spawn(&self, job: Job) -> std::io::Result<Child> {
        Command::new(&self.worker.program)
            .args(&self.worker.args)
            .arg(self.limits.memory_bytes.to_string())
            .arg(self.limits.cpu_time.as_secs().max(1).to_string())
            .arg(job.name())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn died(&self, job: Job, status: ExitStatus, complaint: &[u8]) -> PrepareError {
        let complaint = String::from_utf8_lossy(complaint).trim().to_owned();
        let doing = job.doing();
        match status.signal() {
            Some(SIGXCPU | SIGKILL) => too_complex(format!(
                "{doing} took more than {:?} of processor time",
                self.limits.cpu_time
            )),
            // An allocation that fails aborts the process.
            Some(_) => too_complex(format!(
                "{doing} took more than {} MiB of memory, or crashed the compiler",
                self.limits.memory_bytes >> 20
            )),
            None if status.code() == Some(2) => internal("run the compiler", complaint),
            None => too_complex(format!(
                "the compiler gave up: {}",
                complaint.lines().next().unwrap_or("without a word")
            )),
        }
    }
}

/// Feeds the child and reads both outputs at the same time, so that no pipe fills up; then waits for the end.
async fn converse(
    child: &mut Child,
    input: Vec<Bytes>,
) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let missing = || std::io::Error::other("the child has no pipes");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let feed = async move {
        for part in input {
            // A child that dies early closes the pipe; its status says why.
            if stdin.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    let (mut stdout, mut stderr) = (
        stdout.take(ANSWER_BYTES_MAX),
        stderr.take(COMPLAINT_BYTES_MAX),
    );
    let ((), read, heard) = tokio::join!(
        feed,
        stdout.read_to_end(&mut answer),
        stderr.read_to_end(&mut complaint)
    );
    read?;
    heard?;
    Ok((child.wait().await?, answer, complaint))
}

fn understand(answer: &[u8]) -> Result<(Compiled, Vec<u8>), PrepareError> {
    let (verdict, machine_code) = line(answer)?;
    match verdict {
        Verdict::Refused(refusal) if refusal.code == RefusalCode::TooComplex => {
            Err(too_complex(refusal.message))
        }
        Verdict::Refused(refusal) => Err(PrepareError::Invalid {
            code: refusal.code.name(),
            message: refusal.message,
        }),
        Verdict::Compiled(compiled) if machine_code.len() as u64 == compiled.code_bytes => {
            Ok((compiled, machine_code.to_vec()))
        }
        Verdict::Compiled(_) => Err(internal(
            "understand the compiler",
            "the machine code is incomplete",
        )),
    }
}

/// The line that every answer begins with, and what follows.
pub(crate) fn line<T: serde::de::DeserializeOwned>(
    answer: &[u8],
) -> Result<(T, &[u8]), PrepareError> {
    let end = answer
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| internal("understand the compiler", "no verdict"))?;
    let verdict = serde_json::from_slice(&answer[..end])
        .map_err(|e| internal("understand the compiler", e))?;
    Ok((verdict, &answer[end + 1..]))
}

fn too_complex(message: String) -> PrepareError {
    PrepareError::TooComplex { message }
}

pub(crate) fn internal(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PrepareError {
    PrepareError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    }
}
