//! Runs the program: a node, or a load balancer, until it is told to stop.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use self::node::{Started, start};
use crate::arguments::Arguments;
use crate::balancer::LoadBalancing;
use crate::config::{self, Config, ConfigFaults, LoadedConfig, Machine, ProcessEnvironment};

pub(crate) mod foundation;
pub(crate) mod logging;
pub(crate) mod node;

/// Loads the configuration from the usual places, or from the named file.
///
/// # Errors
/// All faults at once.
pub fn load_config(arguments: &Arguments) -> Result<LoadedConfig, ConfigFaults> {
    raise_file_limit();
    let directories = config::search_directories(&ProcessEnvironment);
    config::load(
        arguments.config_file(),
        &ProcessEnvironment,
        &Machine::detect(),
        &directories,
    )
}

/// Prints the configuration in force.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what was asked for"
)]
#[must_use]
pub fn check_config(loaded: &LoadedConfig) -> ExitCode {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", loaded.render());
    ExitCode::SUCCESS
}

/// The running program.
enum RunningProgram {
    Node(Box<Started>),
    Balancer(LoadBalancing),
}

/// Runs a node, or a load balancer, until it is told to stop (SIGTERM, SIGINT), or `with_parent` until stdin ends.
///
/// # Errors
/// The program failed to start, the signals cannot be handled, or stdin is no pipe.
pub fn run(loaded: LoadedConfig, balances: bool, with_parent: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start threads")?;
    runtime.block_on(async move {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        match &loaded.source {
            Some(path) => tracing::info!("configuration from {}", path.display()),
            None => tracing::info!("no configuration file; defaults and environment"),
        }
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let parent = with_parent.then(parent_pipe).transpose()?;
        let running = RunningProgram::start(&loaded.config, balances).await?;
        running.announce();
        tokio::select! {
            _ = terminated.recv() => tracing::info!("told to stop (SIGTERM)"),
            _ = interrupted.recv() => tracing::info!("told to stop (SIGINT)"),
            () = end_of_parent(parent) => tracing::info!("the program that started this one has ended"),
        }
        running.stop().await;
        Ok(())
    })
}

/// The stdin of this program. Its other end is held by the program that has started this one, and by nobody else.
fn parent_pipe() -> Result<pipe::Receiver> {
    std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(pipe::Receiver::from_owned_fd)
        .context("--with-parent needs a pipe as stdin")
}

/// Waits until the other end of the pipe is closed; for ever if there is no pipe.
async fn end_of_parent(pipe: Option<pipe::Receiver>) {
    let Some(mut pipe) = pipe else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while matches!(pipe.read(&mut ignored).await, Ok(1..)) {}
}

impl RunningProgram {
    async fn start(config: &Config, balances: bool) -> Result<Self> {
        Ok(if balances {
            Self::Balancer(LoadBalancing::start(config).await?)
        } else {
            Self::Node(Box::new(start(config).await?))
        })
    }

    /// The one line on stdout: scripts and tests read the address from it.
    #[expect(
        clippy::print_stdout,
        reason = "the address, which is known only now when the port was left to the system"
    )]
    fn announce(&self) {
        let (scheme, address, kind, identity) = match self {
            Self::Node(started) => (started.scheme, started.address, "node", started.identity()),
            Self::Balancer(started) => (
                started.scheme,
                started.address,
                "load balancer",
                started.identity(),
            ),
        };
        println!(
            "serverledge {} listening on {scheme}://{address} (area {}, {kind} {})",
            env!("CARGO_PKG_VERSION"),
            identity.area,
            identity.node
        );
    }

    async fn stop(self) {
        match self {
            Self::Node(started) => started.stop().await,
            Self::Balancer(started) => started.stop().await,
        }
    }
}

/// Raises the soft limit of descriptors. Loaded modules, connections and pipes each need one; the limit of 1024 is for
/// programs that use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_end_of_the_pipe_is_the_end_of_the_parent() {
        let (mut parent, child) = pipe::pipe().unwrap();
        let mut ended = std::pin::pin!(end_of_parent(Some(child)));
        parent.write_all(b"is no end").await.unwrap();
        tokio::select! {
            biased;
            () = &mut ended => panic!("the parent is still there"),
            () = std::future::ready(()) => {}
        }
        drop(parent);
        ended.await;
    }
}
