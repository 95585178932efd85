//! The node's side of the agent protocol: binding, and the connections of one container.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use serverledge_core::{FailureKind, FunctionFailure, Version};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::calls::CallServer;
use crate::container::Container;
use crate::exchange::{Exchange, ExchangeError};
use crate::prepared::PreparedCode;
use crate::protocol::{BindReply, bind_body, failure};

/// Largest answer to a bind: an error with its stack and log.
const BIND_ANSWER_MAX: usize = 4 << 20;

/// The time for which a connection to a custom image may have been idle to be used again: servers close theirs after
/// seconds.
const FOREIGN_IDLE_MAX: Duration = Duration::from_secs(1);

/// Longest wait for one connection over TCP, within one machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A container's address, and by what it is known to be still that container's: the engine gives the address of one that
/// has ended to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentEndpoint {
    pub(crate) address: SocketAddr,
    /// The first process inside, as this machine counts, and when it began, in ticks since the machine's start.
    pub(crate) process: (i64, u64),
}

impl AgentEndpoint {
    /// Asks the kernel, not the engine.
    fn is_still_there(&self) -> bool {
        began(self.process.0) == Some(self.process.1)
    }
}

/// The start time of a process: field 22 of its `stat`, counted behind the name, which may hold anything (proc(5)).
pub(crate) fn began(pid: i64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// The connections of one container that are not in use; the last one used is the next.
pub(crate) struct Connections {
    idle: Mutex<Vec<(Exchange, Instant)>>,
    endpoint: Option<AgentEndpoint>,
    /// The way back, for the calls of its function.
    pub(crate) calls: Option<CallServer>,
}

impl Connections {
    pub(crate) fn new(endpoint: Option<AgentEndpoint>, calls: Option<CallServer>) -> Self {
        Self {
            idle: Mutex::default(),
            endpoint,
            calls,
        }
    }

    /// One that is open; `None` if the container does not listen any more.
    pub(crate) async fn take(&self, container: &Container) -> Option<Exchange> {
        loop {
            let idle = self.idle.lock().pop();
            let Some((mut exchange, since)) = idle else {
                break;
            };
            // A server of somebody else's may be about to close it, as agents never do.
            let stale = self.endpoint.is_some() && since.elapsed() > FOREIGN_IDLE_MAX;
            if !stale && exchange.ready().await {
                return Some(exchange);
            }
        }
        let mut fresh = connect(container, self.endpoint).await?;
        if fresh.ready().await {
            Some(fresh)
        } else {
            None
        }
    }

    pub(crate) fn put_back(&self, exchange: Exchange) {
        self.idle.lock().push((exchange, Instant::now()));
    }
}

/// A new connection to a container that listens.
async fn connect(container: &Container, endpoint: Option<AgentEndpoint>) -> Option<Exchange> {
    match endpoint {
        None => Exchange::new(container.hub.sockets.connect(&container.name).await.ok()?)
            .await
            .ok(),
        Some(endpoint) => {
            // An address at which nobody is any more may not answer at all.
            let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(endpoint.address))
                .await
                .ok()?
                .ok()?;
            // Only now: whoever answered was this container only if it still runs.
            if !endpoint.is_still_there() {
                return None;
            }
            // Requests are one write; nothing gains from waiting for more.
            let _ = stream.set_nodelay(true);
            Exchange::new(stream).await.ok()
        }
    }
}

/// The reason why a container did not take its function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The function's own fault: its code, in the agent's words.
    #[error("{}", failure.message)]
    Function {
        /// `load_failed` or `handler_missing`.
        code: &'static str,
        failure: FunctionFailure,
    },
    /// The container ended, or broke the protocol.
    #[error("the container did not take the function")]
    Lost(#[source] Option<ExchangeError>),
    /// Loading the code took longer than a start may.
    #[error("loading the code took too long")]
    Late(Duration),
}

/// Gives a container its function.
pub(crate) async fn bind(
    exchange: &mut Exchange,
    container: &Container,
    version: &Version,
    code: &PreparedCode,
) -> Result<Bytes, BindError> {
    let config = &container.hub.config;
    let body = bind_body(version, code, config).map_err(|_| BindError::Lost(None))?;
    let request = post("/bind", Full::new(body)).ok_or(BindError::Lost(None))?;
    let answered = tokio::time::timeout(
        config.start_timeout,
        exchange.collect(request, BIND_ANSWER_MAX),
    )
    .await;
    let answered = answered.map_err(|_| BindError::Late(config.start_timeout))?;
    let (parts, answer) = answered.map_err(|error| BindError::Lost(Some(error)))?;
    let bound: BindReply = serde_json::from_slice(&answer).unwrap_or_default();
    match parts.status.as_u16() {
        200 => Ok(bound.log.into()),
        422 => Err(refused(bound)),
        _ => Err(BindError::Lost(None)),
    }
}

fn refused(bound: BindReply) -> BindError {
    let code = if bound.code == "handler_missing" {
        "handler_missing"
    } else {
        "load_failed"
    };
    let message = if bound.error.is_empty() {
        bound.message
    } else {
        format!("{}: {}", bound.error, bound.message)
    };
    let stack = (!bound.stack.is_empty()).then_some(bound.stack);
    BindError::Function {
        code,
        failure: failure(FailureKind::Error, message, stack, bound.log.into()),
    }
}

/// A request to a container. The path is a constant, so that it is always one.
pub(crate) fn post(path: &'static str, body: Full<Bytes>) -> Option<Request<Full<Bytes>>> {
    Request::post(path)
        .header(http::header::HOST, "function")
        .body(body)
        .ok()
}
