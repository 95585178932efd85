//! The node's side of the agent protocol: binding, and the connections of one container.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use serverledge_core::{FailureKind, FunctionFailure, Version};
use tokio::time::Instant;

use crate::calls::CallServer;
use crate::container::Container;
use crate::exchange::{Exchange, ExchangeError};
use crate::launch::{Endpoint, connect};
use crate::prepared::PreparedCode;
use crate::protocol::{Bound, bind_body, bind_of};

/// Largest answer to a bind: an error with its stack and log.
const BIND_ANSWER_MAX: usize = 4 << 20;

/// How long a connection to a custom image may have been idle to be used again: servers close theirs after seconds.
const FOREIGN_IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// The connections of one container that are not in use; the last one used is the next.
#[derive(Default)]
pub(crate) struct Connections {
    idle: Mutex<Vec<(Exchange, Instant)>>,
    endpoint: Option<Endpoint>,
    /// The way back, for the calls of its function.
    calls: Option<CallServer>,
}

impl Connections {
    pub(crate) fn new(endpoint: Option<Endpoint>, calls: Option<CallServer>) -> Self {
        Self {
            idle: Mutex::default(),
            endpoint,
            calls,
        }
    }

    pub(crate) const fn calls(&self) -> Option<&CallServer> {
        self.calls.as_ref()
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

/// Why a container did not take its function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The function's own fault: its code, in the agent's words.
    #[error("{}", failure.message)]
    Function {
        /// `load_failed` or `handler_missing`.
        code: &'static str,
        /// What it said.
        failure: FunctionFailure,
    },
    /// The container ended, or broke the protocol.
    #[error("the container did not take the function")]
    Lost(#[source] Option<ExchangeError>),
    /// Loading the code took longer than a start may.
    #[error("loading the code took too long")]
    Late,
}

/// Gives a container its function.
pub(crate) async fn bind(
    exchange: &mut Exchange,
    container: &Container,
    version: &Version,
    code: &PreparedCode,
) -> Result<Bytes, BindError> {
    let config = &container.hub.config;
    let bind = bind_of(
        version,
        &code.files,
        config.log_bytes_max,
        config.output_bytes_max,
    );
    let body = bind_body(&bind, &code.contents).map_err(|_| BindError::Lost(None))?;
    let request = post("/bind", Full::new(body)).ok_or(BindError::Lost(None))?;
    let mut answer = Vec::new();
    let collect = |piece: Bytes| {
        if answer.len() + piece.len() > BIND_ANSWER_MAX {
            return Err(ExchangeError::TooLarge(BIND_ANSWER_MAX));
        }
        answer.extend_from_slice(&piece);
        Ok(())
    };
    let limit = Instant::now() + config.start_timeout;
    let parts = match tokio::time::timeout_at(limit, exchange.send(request, collect)).await {
        Ok(Ok(parts)) => parts,
        Ok(Err(error)) => return Err(BindError::Lost(Some(error))),
        Err(_) => return Err(BindError::Late),
    };
    let bound: Bound = serde_json::from_slice(&answer).unwrap_or_default();
    match parts.status.as_u16() {
        200 => Ok(bound.log.into()),
        422 => Err(refused(bound)),
        _ => Err(BindError::Lost(None)),
    }
}

fn refused(bound: Bound) -> BindError {
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
        failure: FunctionFailure {
            kind: FailureKind::Error,
            message,
            stack,
            log: bound.log.into(),
            stale: false,
        },
    }
}

/// A request to a container. The path is a constant, so that it is always one.
pub(crate) fn post(path: &'static str, body: Full<Bytes>) -> Option<Request<Full<Bytes>>> {
    Request::post(path)
        .header(http::header::HOST, "function")
        .body(body)
        .ok()
}
