//! The second socket of a container, on which its function calls other functions and reaches the stores of its space: the
//! node listens, the agent connects, one connection for each call or operation. It carries the capability of the invocation
//! that makes it; the capability dies with the invocation, and with it all its calls and operations. The frames are in
//! `docs/container-protocol.md`.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use serverledge_core::limits::{CALLS_AT_ONCE_MAX, NAME_BYTES_MAX, PARAMS_BYTES_MAX};
use serverledge_core::{CallError, HostCalls};
use serverledge_wire::state;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::container::Hub;

/// Bytes of a capability as it travels: 32 random ones in hexadecimal.
const CAPABILITY_BYTES: usize = 64;
/// Connections of one container that are answered at once; others wait to be accepted. Sixteen calls of each of several
/// invocations fit; what a hostile function opens costs it its own.
const CONNECTIONS_MAX: usize = 64;
/// The time that a call may take to arrive, and an answer to be read by the caller: both are within one machine.
const TRANSFER_LIMIT: Duration = Duration::from_secs(10);
/// The number of bytes of a refused call that are read all the same, so that the refusal arrives.
const DISCARD_BYTES_MAX: u64 = 64 << 20;
/// Connections of one container on which operations on stores are answered or wait for their turn, beyond
/// [`CONNECTIONS_MAX`]. Sixteen operations of each of sixteen invocations fit, and calls do not wait for them.
const OPERATIONS_MAX: usize = 256;
/// Operations on stores of one invocation that are carried out at once; others wait.
const OPERATIONS_AT_ONCE_MAX: usize = 16;
/// Pause after a connection that could not be accepted: the machine is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens for one container's calls until it is dropped.
pub(crate) struct CallServer {
    active: Arc<Active>,
    stop: CancellationToken,
    _stops: DropGuard,
}

/// The invocations that run in a container.
#[derive(Default)]
pub(crate) struct Active {
    /// By their capability. Locked before `busy`.
    invocations: Mutex<HashMap<String, ActiveInvocation>>,
    /// Cancelled when none of them runs any more, and then replaced.
    busy: Mutex<CancellationToken>,
    /// The number of requests that came without a capability.
    turns: AtomicUsize,
}

/// An invocation, as its calls see it.
#[derive(Clone)]
struct ActiveInvocation {
    host: Arc<dyn HostCalls>,
    ended: CancellationToken,
    /// Bounds the parameters that are held for it.
    arriving: Arc<Semaphore>,
    /// Bounds the values that are held for it.
    operating: Arc<Semaphore>,
}

/// The right of a running invocation to call; dropped, its calls are.
pub(crate) struct Capability {
    pub(crate) text: String,
    active: Arc<Active>,
    _ended: DropGuard,
}

/// A connection's place among those of its container that are answered at once.
struct Place {
    accepted: OwnedSemaphorePermit,
    operations: Arc<Semaphore>,
}

/// The answer to a call.
struct CallReply {
    kind: u8,
    bytes: Bytes,
}

// === impl CallServer ===

impl CallServer {
    /// Takes calls on this socket, in tasks of the hub.
    pub(crate) fn start(hub: &Arc<Hub>, listener: UnixListener) -> Self {
        let active = Arc::<Active>::default();
        let stop = CancellationToken::new();
        let accepting = accept(
            listener,
            Arc::clone(&active),
            Arc::clone(&hub.refused_calls),
            stop.clone(),
        );
        let closing = hub.stop.clone();
        drop(hub.tasks.spawn(async move {
            tokio::select! {
                () = accepting => {}
                () = closing.cancelled() => {}
            }
        }));
        Self {
            active,
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }

    /// The invocations that run.
    pub(crate) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active)
    }

    /// Cancelled when this is dropped, as it is with its container.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// A capability for an invocation that begins.
    pub(crate) fn admit(&self, host: Arc<dyn HostCalls>) -> Result<Capability, getrandom::Error> {
        let mut random = [0; CAPABILITY_BYTES / 2];
        getrandom::fill(&mut random)?;
        let text = hex::encode(random);
        let invocation = ActiveInvocation::new(host);
        let ended = invocation.ended.clone().drop_guard();
        self.active.begin(text.clone(), invocation);
        Ok(Capability {
            text,
            active: Arc::clone(&self.active),
            _ended: ended,
        })
    }
}

// === impl Active ===

impl Active {
    fn begin(&self, capability: String, invocation: ActiveInvocation) {
        self.invocations.lock().insert(capability, invocation);
    }

    /// One in which an invocation of this host runs, under this capability.
    #[cfg(test)]
    pub(crate) fn with(capability: &str, host: Arc<dyn HostCalls>) -> Self {
        let active = Self::default();
        active.begin(capability.to_owned(), ActiveInvocation::new(host));
        active
    }

    pub(crate) fn end(&self, capability: &str) {
        let mut invocations = self.invocations.lock();
        invocations.remove(capability);
        if invocations.is_empty() {
            std::mem::take(&mut *self.busy.lock()).cancel();
        }
    }

    fn get(&self, capability: &str) -> Option<ActiveInvocation> {
        self.invocations.lock().get(capability).cloned()
    }

    /// Cancelled when no invocation runs any more; while none runs, at the end of the next ones.
    pub(crate) fn busy(&self) -> CancellationToken {
        self.busy.lock().clone()
    }

    /// The host of an invocation that runs, of several each in its turn; `None` if there is none.
    pub(crate) fn host(&self) -> Option<Arc<dyn HostCalls>> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let invocations = self.invocations.lock();
        let at = turn.checked_rem(invocations.len())?;
        let invocation = invocations.values().nth(at);
        invocation.map(|invocation| Arc::clone(&invocation.host))
    }
}

// === impl ActiveInvocation ===

impl ActiveInvocation {
    fn new(host: Arc<dyn HostCalls>) -> Self {
        Self {
            host,
            ended: CancellationToken::new(),
            arriving: Arc::new(Semaphore::new(CALLS_AT_ONCE_MAX)),
            operating: Arc::new(Semaphore::new(OPERATIONS_AT_ONCE_MAX)),
        }
    }
}

// === impl Capability ===

impl Drop for Capability {
    fn drop(&mut self) {
        self.active.end(&self.text);
    }
}

// === impl Place ===

impl Place {
    /// A place among the operations. The one among the accepted connections is given back, so that calls get it.
    async fn among_operations(self) -> Option<OwnedSemaphorePermit> {
        let Self {
            accepted,
            operations,
        } = self;
        let place = operations.acquire_owned().await.ok();
        drop(accepted);
        place
    }
}

// === impl CallReply ===

impl CallReply {
    fn error(kind: u8, code: &str, message: &str) -> Self {
        let object = serde_json::json!({ "error": code, "message": message });
        Self {
            kind,
            bytes: object.to_string().into(),
        }
    }

    fn of(outcome: Result<Bytes, CallError>) -> Self {
        match outcome {
            Ok(bytes) => Self { kind: b'r', bytes },
            Err(error) => Self::error(b'e', error.code(), &error.message()),
        }
    }
}

async fn accept(
    listener: UnixListener,
    active: Arc<Active>,
    refused: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let operations = Arc::new(Semaphore::new(OPERATIONS_MAX));
    let tasks = tokio_util::task::TaskTracker::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let next = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return,
        };
        let (Ok(accepted), Ok((mut stream, _))) = next else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let place = Place {
            accepted,
            operations: Arc::clone(&operations),
        };
        let active = Arc::clone(&active);
        let refused = Arc::clone(&refused);
        let stop = stop.clone();
        drop(tasks.spawn(async move {
            // Who breaks the protocol, or goes away, gets no answer.
            tokio::select! {
                _ = serve(&mut stream, &active, &refused, place) => {}
                () = stop.cancelled() => {}
            }
        }));
    }
}

/// One call or operation, from its first byte to its answer.
async fn serve(
    stream: &mut UnixStream,
    active: &Active,
    refused: &AtomicU64,
    place: Place,
) -> io::Result<()> {
    let (name_length, params_length, invocation) = in_time(head(stream, active)).await?;
    let Some(invocation) = invocation else {
        refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("a call without a running invocation's capability was refused");
        let refusal =
            CallReply::error(b'x', "call_refused", "the invocation that called has ended");
        return refuse(stream, name_length + params_length, &refusal).await;
    };
    let ended = invocation.ended.clone();
    let answered = async {
        // No function has an empty name.
        if name_length == 0 {
            let _place = place.among_operations().await;
            operate(stream, &invocation, params_length).await
        } else {
            let _place = place;
            call(stream, &invocation, name_length, params_length).await
        }
    };
    tokio::select! {
        answered = answered => answered,
        // Dropped with everything that it has begun.
        () = ended.cancelled() => Ok(()),
    }
}

/// A call of another function.
async fn call(
    stream: &mut UnixStream,
    invocation: &ActiveInvocation,
    name_length: u64,
    params_length: u64,
) -> io::Result<()> {
    let Ok(_place) = invocation.arriving.try_acquire() else {
        let refusal = CallReply::of(Err(CallError::TooManyAtOnce(CALLS_AT_ONCE_MAX)));
        return refuse(stream, name_length + params_length, &refusal).await;
    };
    if name_length > NAME_BYTES_MAX as u64 || params_length > PARAMS_BYTES_MAX as u64 {
        let refusal = CallReply::of(Err(CallError::TooLarge(PARAMS_BYTES_MAX)));
        return refuse(stream, name_length + params_length, &refusal).await;
    }
    let (name, params) = in_time(body(stream, name_length, params_length)).await?;
    let answer = if serde_json::from_slice::<IgnoredAny>(&params).is_err() {
        CallReply::of(Err(CallError::NotJson))
    } else {
        let calling = invocation.host.call(&name, params);
        CallReply::of(while_open(stream, calling).await?)
    };
    in_time(write(stream, &answer)).await
}

/// An operation on a store, in the form of the guest ABI. Those that are too many wait for their turn.
async fn operate(
    stream: &mut UnixStream,
    invocation: &ActiveInvocation,
    length: u64,
) -> io::Result<()> {
    let Ok(_place) = invocation.operating.acquire().await else {
        return Ok(());
    };
    if length > PARAMS_BYTES_MAX as u64 {
        let message = format!("a request may have {PARAMS_BYTES_MAX} bytes, its value included");
        let refusal = CallReply::error(b'e', "kv_value_too_large", &message);
        return refuse(stream, length, &refusal).await;
    }
    let (_, request) = in_time(body(stream, 0, length)).await?;
    let answer = match state::read_request(&request) {
        Ok((store, op)) => match while_open(stream, invocation.host.state(&store, op)).await? {
            Ok(reply) => CallReply {
                kind: b'r',
                bytes: state::write_reply(&reply),
            },
            Err(fault) => CallReply::error(b'e', fault.code(), &fault.to_string()),
        },
        Err(fault) => CallReply::error(b'e', fault.code(), &fault.to_string()),
    };
    in_time(write(stream, &answer)).await
}

/// The outcome, unless the caller gives it up by closing the connection.
async fn while_open<T>(stream: &mut UnixStream, outcome: impl Future<Output = T>) -> io::Result<T> {
    let mut more = [0];
    tokio::select! {
        outcome = outcome => Ok(outcome),
        // Nothing may follow a call.
        read = stream.read(&mut more) => Err(read.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())),
    }
}

/// Reads the head of a call or operation: the lengths of its name and parameters, and the invocation that its capability belongs to.
async fn head(
    stream: &mut UnixStream,
    active: &Active,
) -> io::Result<(u64, u64, Option<ActiveInvocation>)> {
    let mut capability = [0; CAPABILITY_BYTES];
    stream.read_exact(&mut capability).await?;
    let name_length = stream.read_u16().await?;
    let params_length = stream.read_u32().await?;
    let invocation = std::str::from_utf8(&capability)
        .ok()
        .and_then(|text| active.get(text));
    Ok((name_length.into(), params_length.into(), invocation))
}

async fn body(
    stream: &mut UnixStream,
    name_length: u64,
    params_length: u64,
) -> io::Result<(String, Bytes)> {
    let size = |length: u64| usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData);
    let mut name = vec![0; size(name_length)?];
    let mut params = Vec::new();
    stream.read_exact(&mut name).await?;
    // Grows as it comes: a length alone takes no memory.
    stream.take(params_length).read_to_end(&mut params).await?;
    if params.len() != size(params_length)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // What is no text is no function's name.
    Ok((String::from_utf8_lossy(&name).into_owned(), params.into()))
}

async fn refuse(stream: &mut UnixStream, left: u64, refusal: &CallReply) -> io::Result<()> {
    in_time(async {
        let mut rest = (&mut *stream).take(left.min(DISCARD_BYTES_MAX));
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        write(stream, refusal).await
    })
    .await
}

async fn write(stream: &mut UnixStream, answer: &CallReply) -> io::Result<()> {
    let length = u32::try_from(answer.bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut head = [answer.kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&head).await?;
    stream.write_all(&answer.bytes).await
}

async fn in_time<T>(transfer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(TRANSFER_LIMIT, transfer)
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

#[cfg(test)]
mod tests;
