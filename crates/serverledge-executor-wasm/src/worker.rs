//! The parent's side of the compiling child: starts the child, feeds it, waits within limits, and tells what stopped it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{PrepareError, Progress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{CompileLimits, Worker};
use crate::protocol::{Compiled, Job, RefusalCode, Verdict, line};
use crate::queue::{Ahead, Queue};

/// Machine code is a few times larger than its module; beyond this it is not worth keeping.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// The number of bytes of the child's stderr that are kept for the log.
const COMPLAINT_BYTES_MAX: u64 = 4096;
/// `SIGXCPU`: the processor time limit was met (Linux, all architectures but MIPS and PA-RISC).
const SIGXCPU: i32 = 24;
/// `SIGKILL`: the hard limit of processor time, or the machine ran out of memory.
const SIGKILL: i32 = 9;

/// Milliseconds of a tick in `/proc`: the kernel shows hundredths of a second on all but Alpha and Itanium (`USER_HZ`).
const TICK_MS: u64 = 10;
/// Pause between two words about a compilation that goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Modules that are looked at at once while they wait to be compiled: it takes a fraction of a second each.
const INSPECTIONS_MAX: usize = 2;
/// Threads of one compilation: more gain little, and each reserves address space of the child's limit.
const THREADS_MAX: usize = 4;

/// Starts compiling children, a bounded number at once.
#[derive(Debug)]
pub(crate) struct Compiler {
    worker: Worker,
    limits: CompileLimits,
    queue: Arc<Queue>,
    inspections: Semaphore,
}

impl Compiler {
    pub(crate) fn new(worker: Worker, limits: CompileLimits) -> Self {
        let queue = Queue::new(limits.parallel);
        let inspections = Semaphore::new(INSPECTIONS_MAX);
        Self {
            worker,
            limits,
            queue,
            inspections,
        }
    }

    /// Compiles; machine code comes with what was learnt. A module that can never run is refused before its turn comes.
    /// Dropping the future kills the child.
    pub(crate) async fn compile(
        &self,
        job: Job,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<(Compiled, Vec<u8>), PrepareError> {
        let turn = self.queue.join(code.len());
        if turn.ahead().is_some() && job == Job::Compile {
            self.inspect(code.clone()).await?;
        }
        turn.wait(|ahead| progress.step(&waiting(ahead))).await;
        let doing = format!("compiling the module ({})", size(code.len()));
        progress.step(&doing);
        let tell = |spent: Duration| {
            progress.step(&format!(
                "{doing}: {} s of processor time, at most {}",
                spent.as_secs(),
                self.limits.cpu_time.as_secs()
            ));
        };
        understand(&self.converse(job, vec![code], tell).await?)
    }

    async fn inspect(&self, code: Bytes) -> Result<(), PrepareError> {
        let _permit = self
            .inspections
            .acquire()
            .await
            .map_err(|e| internal("wait for a look at the module", e))?;
        understand(&self.converse(Job::Inspect, vec![code], |_| {}).await?).map(|_| ())
    }

    /// Has the child do its job with these bytes on its stdin, and returns its stdout. Dropping the future kills it.
    pub(crate) async fn run(&self, job: Job, input: Vec<Bytes>) -> Result<Vec<u8>, PrepareError> {
        let turn = self
            .queue
            .join(input.iter().map(Bytes::len).max().unwrap_or(0));
        turn.wait(|_| {}).await;
        self.converse(job, input, |_| {}).await
    }

    /// `tell` hears now and then how much processor time the child has spent.
    async fn converse(
        &self,
        job: Job,
        input: Vec<Bytes>,
        tell: impl Fn(Duration),
    ) -> Result<Vec<u8>, PrepareError> {
        let mut child = self
            .spawn(job)
            .map_err(|e| internal("start the compiler", e))?;
        let pid = child.id();
        let done = timeout(self.limits.wall_time, converse(&mut child, input));
        let told = async {
            loop {
                tokio::time::sleep(TELL_EVERY).await;
                if let Some(spent) = pid.and_then(processor_time) {
                    tell(spent);
                }
            }
        };
        let done = tokio::select! {
            done = done => done,
            never = told => never,
        };
        let Ok(done) = done else {
            let _ = child.kill().await;
            return Err(self.stalled(job));
        };
        let (status, answer, complaint) = done.map_err(|e| internal("talk to the compiler", e))?;
        if status.success() {
            Ok(answer)
        } else {
            Err(self.died(job, status, &complaint))
        }
    }

    /// Not the module's fault: its processor time was not used up.
    fn stalled(&self, job: Job) -> PrepareError {
        let doing = job.doing();
        let limits = &self.limits;
        PrepareError::Unavailable {
            code: "compiler_stalled",
            what: format!(
                "the machine is too busy: {doing} came to no end in {:?}, and had not used its {:?} of processor time; try \
                 again when less is going on",
                limits.wall_time, limits.cpu_time
            ),
            source: "the compiler was stopped".into(),
        }
    }

    fn spawn(&self, job: Job) -> std::io::Result<Child> {
        Command::new(&self.worker.program)
            .args(&self.worker.args)
            .arg(self.limits.memory_bytes.to_string())
            .arg(self.limits.cpu_time.as_secs().max(1).to_string())
            .arg(job.name())
            .env_clear()
            .env("RAYON_NUM_THREADS", threads().to_string())
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

/// The processor time that a process has spent, all its threads together (proc_pid_stat(5)).
fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything. Behind it the fields begin with the third.
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let all = ticks()? + ticks()?;
    Some(Duration::from_millis(all.saturating_mul(TICK_MS)))
}

fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(THREADS_MAX)
}

/// The message to a compilation that waits.
fn waiting(ahead: &Ahead) -> String {
    let running: Vec<String> = ahead.running.iter().map(|bytes| size(*bytes)).collect();
    let running = match running.as_slice() {
        [one] => format!("the compilation of another module ({one})"),
        several => format!(
            "the compilations of {} other modules ({})",
            several.len(),
            several.join(", ")
        ),
    };
    match ahead.before {
        0 => format!("waiting for {running}"),
        before => format!("waiting for {running}, and for {before} more before this one"),
    }
}

fn size(bytes: usize) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "modules have a few million bytes"
    )]
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
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
    let mut answer = Vec::new();
    let mut complaint = Vec::new();
    let feed = async move {
        for part in input {
            // A child that dies early closes the pipe; its status says why.
            if stdin.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    let mut stdout = stdout.take(ANSWER_BYTES_MAX);
    let mut stderr = stderr.take(COMPLAINT_BYTES_MAX);
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
    let (verdict, machine_code) =
        line(answer).map_err(|e| internal("understand the compiler", e))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_has_spent() {
        let own = std::process::id();
        let before = processor_time(own).expect("/proc is there");
        let mut sum = 0_u64;
        while processor_time(own).is_some_and(|now| now == before) {
            sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(processor_time(own) > Some(before));
        assert_eq!(processor_time(u32::MAX), None);
    }
}
