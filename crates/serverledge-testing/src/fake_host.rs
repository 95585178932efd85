//! A host for sandboxes under test: it records what functions call and send, answers as it is told, and knows when nobody
//! holds it any more, which is how a test sees that an invocation was really stopped.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serverledge_core::{
    BoxTunnel, CallError, FunctionLog, FunctionName, HostCalls, HttpBody, InvocationError,
    InvocationId, OutboundError, StateError, StateKey, StateOp, StateReply, StoreName,
};
use tokio::sync::watch;

use self::state::FakeStores;
pub use self::tunnel::OpenedTunnel;

mod state;
mod tunnel;

/// The longest time that a test waits for an event: far longer than anything takes, so that a slow machine passes.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The host. Its [`FakeHostHandle`] scripts and observes it.
pub struct FakeHost {
    shared: Arc<HostShared>,
    caller: FunctionName,
}

/// Scripts and observes a [`FakeHost`]. Clones share everything.
#[derive(Clone)]
pub struct FakeHostHandle {
    shared: Arc<HostShared>,
}

/// Counts of the calls, and of the operations on stores, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostCounts {
    /// Those that began.
    pub begun: usize,
    /// Those that were answered.
    pub answered: usize,
    /// Those that were dropped before they were answered.
    pub dropped: usize,
    /// Whether the host itself was dropped: no invocation holds it.
    pub gone: bool,
}

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCall {
    /// The function that was called.
    pub function: String,
    /// With what.
    pub params: Bytes,
}

/// One operation of a function on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStateOp {
    /// The store.
    pub store: StoreName,
    /// The operation.
    pub op: StateOp,
}

/// Lines that a function wrote to its log at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLines {
    /// The invocation, if it is known.
    pub call: Option<InvocationId>,
    /// The time at which they were written, in Unix milliseconds.
    pub unix_ms: u64,
    /// The lines.
    pub text: String,
}

/// One outgoing request of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// Its method.
    pub method: Method,
    /// The URL, with scheme and host.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it has come.
    pub body: Vec<u8>,
    /// The progress of its body.
    pub body_end: BodyEnd,
    /// The progress of the request.
    pub state: RequestState,
}

/// The progress of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// There is more to come, or nobody reads it.
    Open,
    /// It was read to its end.
    Whole,
    /// It broke off, in these words.
    Broken(String),
}

/// The progress of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Its response is outstanding.
    Pending,
    /// A response or an error was given.
    Answered,
    /// It was dropped before that.
    Dropped,
}

type FakeAnswer = Arc<dyn Fn(Bytes) -> Result<Bytes, CallError> + Send + Sync>;

type FakeResponse = Arc<dyn Fn(&SentRequest) -> Response<HttpBody> + Send + Sync>;

/// The answer to outgoing requests.
#[derive(Clone)]
enum FakeServer {
    /// A response, once the body is read.
    Responds(FakeResponse),
    /// No response; the body is read.
    Holds,
    /// An error, before anything of the body is read.
    Fails(Arc<dyn Fn() -> OutboundError + Send + Sync>),
}

/// The answer to operations on stores.
#[derive(Clone, Default)]
enum StateAnswer {
    /// The operation is carried out.
    #[default]
    Applies,
    /// None.
    Holds,
    /// An error.
    Fails(Arc<dyn Fn() -> StateError + Send + Sync>),
}

#[derive(Default)]
struct HostShared {
    state: Mutex<HostState>,
    counts: watch::Sender<HostCounts>,
    written: watch::Sender<Vec<WrittenLines>>,
    sent: watch::Sender<Vec<SentRequest>>,
    tunnels: watch::Sender<Vec<OpenedTunnel>>,
}

#[derive(Default)]
struct HostState {
    calls: Vec<HostCall>,
    /// `None` for a function that never answers.
    answers: HashMap<String, Option<FakeAnswer>>,
    /// `None`: the function may send no requests.
    server: Option<FakeServer>,
    /// The answer in tunnels; `None`: none opens.
    tunnel_answer: Option<Bytes>,
    /// Whether a function has said that its requests may be another's.
    shares_requests: bool,
    state_ops: Vec<HostStateOp>,
    state_answer: StateAnswer,
    stores: FakeStores,
}

// === impl FakeHost ===

impl FakeHost {
    /// A host on which every function is unknown, and its handle. The caller is named `caller`.
    ///
    /// # Panics
    /// Never: `caller` is a name.
    #[must_use]
    pub fn new() -> (Arc<Self>, FakeHostHandle) {
        let shared = Arc::<HostShared>::default();
        let caller = FunctionName::parse("caller").expect("a valid name");
        (
            Arc::new(Self {
                shared: Arc::clone(&shared),
                caller,
            }),
            FakeHostHandle { shared },
        )
    }

    fn begin(&self, function: &str, params: &Bytes) -> Option<FakeAnswer> {
        let mut state = self.shared.state.lock();
        state.calls.push(HostCall {
            function: function.to_owned(),
            params: params.clone(),
        });
        match state.answers.get(function) {
            Some(answer) => answer.clone(),
            None => {
                let name = function.to_owned();
                Some(Arc::new(move |_| {
                    Err(Box::new(InvocationError::Unknown(name.clone())).into())
                }))
            }
        }
    }
}

impl FakeHost {
    fn begin_op(&self, store: &StoreName, op: &StateOp) -> StateAnswer {
        let mut state = self.shared.state.lock();
        state.state_ops.push(HostStateOp {
            store: store.clone(),
            op: op.clone(),
        });
        state.state_answer.clone()
    }
}

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeHost").finish_non_exhaustive()
    }
}

#[async_trait]
impl HostCalls for FakeHost {
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError> {
        let answer = self.begin(function, &params);
        let mut call = CallInProgress::begin(&self.shared.counts);
        let Some(answer) = answer else {
            return pending().await;
        };
        // As on a real node, an answer takes at least one turn of the runtime.
        tokio::task::yield_now().await;
        call.answered = true;
        answer(params)
    }

    async fn send(&self, request: Request<HttpBody>) -> Result<Response<HttpBody>, OutboundError> {
        let server = self.shared.state.lock().server.clone();
        let mut sending = RequestInProgress::begin(&self.shared.sent, &request);
        // As on a real node, an answer takes at least one turn of the runtime.
        tokio::task::yield_now().await;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let respond = match server {
            None => {
                sending.state = RequestState::Answered;
                return Err(OutboundError::NotGranted(host));
            }
            Some(FakeServer::Fails(fault)) => {
                sending.state = RequestState::Answered;
                return Err(fault());
            }
            Some(FakeServer::Holds) => None,
            Some(FakeServer::Responds(respond)) => Some(respond),
        };
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => sending.add(frame.data_ref()),
                Err(fault) => {
                    let cause = fault.to_string();
                    sending.update(|sent| sent.body_end = BodyEnd::Broken(cause.clone()));
                    sending.state = RequestState::Answered;
                    return Err(OutboundError::Broken { host, cause });
                }
            }
        }
        sending.update(|sent| sent.body_end = BodyEnd::Whole);
        let Some(respond) = respond else {
            return pending().await;
        };
        sending.state = RequestState::Answered;
        Ok(respond(&sending.sent()))
    }

    async fn tunnel(&self, target: &Authority) -> Result<BoxTunnel, OutboundError> {
        // As on a real node, an answer takes at least one turn of the runtime.
        tokio::task::yield_now().await;
        let state = self.shared.state.lock();
        if let Some(FakeServer::Fails(fault)) = &state.server {
            return Err(fault());
        }
        match &state.tunnel_answer {
            Some(answer) => Ok(tunnel::open(&self.shared, target, answer.clone())),
            None => Err(OutboundError::NotGranted(target.host().to_owned())),
        }
    }

    fn shares_requests(&self) {
        self.shared.state.lock().shares_requests = true;
    }

    async fn state(&self, store: &StoreName, op: StateOp) -> Result<StateReply, StateError> {
        let answer = self.begin_op(store, &op);
        let mut operation = CallInProgress::begin(&self.shared.counts);
        // As on a real node, an answer takes at least one turn of the runtime.
        tokio::task::yield_now().await;
        let outcome = match answer {
            StateAnswer::Applies => self.shared.state.lock().stores.apply(store, op),
            StateAnswer::Holds => pending().await,
            StateAnswer::Fails(fault) => Err(fault()),
        };
        operation.answered = true;
        outcome
    }

    fn caller(&self) -> &FunctionName {
        &self.caller
    }

    fn log(&self) -> Option<Arc<dyn FunctionLog>> {
        Some(Arc::<HostShared>::clone(&self.shared))
    }
}

impl FunctionLog for HostShared {
    fn write(&self, call: Option<InvocationId>, unix_ms: u64, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        self.written.send_modify(|written| {
            written.push(WrittenLines {
                call,
                unix_ms,
                text,
            })
        });
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.shared.counts.send_modify(|counts| counts.gone = true);
    }
}

/// Counts the end of a call, whichever it is.
struct CallInProgress<'a> {
    counts: &'a watch::Sender<HostCounts>,
    answered: bool,
}

impl<'a> CallInProgress<'a> {
    fn begin(counts: &'a watch::Sender<HostCounts>) -> Self {
        counts.send_modify(|counts| counts.begun += 1);
        Self {
            counts,
            answered: false,
        }
    }
}

impl Drop for CallInProgress<'_> {
    fn drop(&mut self) {
        let answered = self.answered;
        self.counts.send_modify(|counts| {
            if answered {
                counts.answered += 1
            } else {
                counts.dropped += 1
            }
        });
    }
}

/// Records the progress of a request, and its end, whichever it is.
struct RequestInProgress<'a> {
    all: &'a watch::Sender<Vec<SentRequest>>,
    index: usize,
    /// Recorded when this is dropped.
    state: RequestState,
}

impl<'a> RequestInProgress<'a> {
    fn begin(all: &'a watch::Sender<Vec<SentRequest>>, request: &Request<HttpBody>) -> Self {
        let sent = SentRequest {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: Vec::new(),
            body_end: BodyEnd::Open,
            state: RequestState::Pending,
        };
        let mut index = 0;
        all.send_modify(|all| {
            index = all.len();
            all.push(sent);
        });
        Self {
            all,
            index,
            state: RequestState::Dropped,
        }
    }

    fn update(&self, change: impl FnOnce(&mut SentRequest)) {
        self.all.send_modify(|all| change(&mut all[self.index]));
    }

    fn add(&self, data: Option<&Bytes>) {
        if let Some(data) = data {
            self.update(|sent| sent.body.extend_from_slice(data));
        }
    }

    fn sent(&self) -> SentRequest {
        self.all.borrow()[self.index].clone()
    }
}

impl Drop for RequestInProgress<'_> {
    fn drop(&mut self) {
        let state = self.state;
        self.update(|sent| sent.state = state);
    }
}

// === impl FakeHostHandle ===

impl FakeHostHandle {
    /// From now on this function answers so.
    pub fn answer(
        &self,
        function: &str,
        answer: impl Fn(Bytes) -> Result<Bytes, CallError> + Send + Sync + 'static,
    ) {
        self.shared
            .state
            .lock()
            .answers
            .insert(function.to_owned(), Some(Arc::new(answer)));
    }

    /// From now on this function never answers.
    pub fn hold(&self, function: &str) {
        self.shared
            .state
            .lock()
            .answers
            .insert(function.to_owned(), None);
    }

    /// From now on outgoing requests, once their body is read, have such a response.
    pub fn respond(
        &self,
        respond: impl Fn(&SentRequest) -> Response<HttpBody> + Send + Sync + 'static,
    ) {
        self.shared.state.lock().server = Some(FakeServer::Responds(Arc::new(respond)));
    }

    /// From now on outgoing requests have no response. Their bodies are read.
    pub fn hold_requests(&self) {
        self.shared.state.lock().server = Some(FakeServer::Holds);
    }

    /// From now on outgoing requests fail so, before their body is read.
    pub fn fail_requests(&self, fault: impl Fn() -> OutboundError + Send + Sync + 'static) {
        self.shared.state.lock().server = Some(FakeServer::Fails(Arc::new(fault)));
    }

    /// From now on tunnels open. Each gives these bytes once a blank line was written to it, and then ends.
    pub fn open_tunnels(&self, answer: impl Into<Bytes>) {
        self.shared.state.lock().tunnel_answer = Some(answer.into());
    }

    /// All tunnels so far, in their order.
    #[must_use]
    pub fn tunnels(&self) -> Vec<OpenedTunnel> {
        self.shared.tunnels.borrow().clone()
    }

    /// Waits until the last tunnel is so.
    ///
    /// # Panics
    /// If that does not come; the message then says `what` did not.
    pub async fn wait_for_tunnel(
        &self,
        what: &str,
        mut condition: impl FnMut(&OpenedTunnel) -> bool,
    ) {
        wait_for(&self.shared.tunnels, what, |tunnels| {
            tunnels.last().is_some_and(&mut condition)
        })
        .await;
    }

    /// Whether it was said that requests of its function may be those of another call.
    #[must_use]
    pub fn shares_requests(&self) -> bool {
        self.shared.state.lock().shares_requests
    }

    /// All outgoing requests so far, in their order.
    #[must_use]
    pub fn sent(&self) -> Vec<SentRequest> {
        self.shared.sent.borrow().clone()
    }

    /// Waits until the last outgoing request is so.
    ///
    /// # Panics
    /// If that does not come; the message then says `what` did not.
    pub async fn wait_for_request(
        &self,
        what: &str,
        mut condition: impl FnMut(&SentRequest) -> bool,
    ) {
        wait_for(&self.shared.sent, what, |sent| {
            sent.last().is_some_and(&mut condition)
        })
        .await;
    }

    /// From now on operations on stores have no answer.
    pub fn hold_state(&self) {
        self.shared.state.lock().state_answer = StateAnswer::Holds;
    }

    /// From now on operations on stores fail so, and change nothing.
    pub fn fail_state(&self, fault: impl Fn() -> StateError + Send + Sync + 'static) {
        self.shared.state.lock().state_answer = StateAnswer::Fails(Arc::new(fault));
    }

    /// From now on operations on stores are carried out again.
    pub fn apply_state(&self) {
        self.shared.state.lock().state_answer = StateAnswer::Applies;
    }

    /// All operations on stores so far, in their order, with those that failed.
    #[must_use]
    pub fn state_ops(&self) -> Vec<HostStateOp> {
        self.shared.state.lock().state_ops.clone()
    }

    /// The value of an entry; `None` if there is none.
    #[must_use]
    pub fn entry(&self, store: &StoreName, key: &StateKey) -> Option<Bytes> {
        let state = self.shared.state.lock();
        state.stores.get(store, key).map(|entry| entry.value)
    }

    /// Writes an entry, as another function would.
    pub fn put_entry(&self, store: &StoreName, key: StateKey, value: Bytes) {
        self.shared.state.lock().stores.put(store, key, value);
    }

    /// All calls so far, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<HostCall> {
        self.shared.state.lock().calls.clone()
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> HostCounts {
        *self.shared.counts.borrow()
    }

    /// The lines of its invocations so far, in the order in which they came.
    #[must_use]
    pub fn written(&self) -> Vec<WrittenLines> {
        self.shared.written.borrow().clone()
    }

    /// Waits until a line with this text was written.
    ///
    /// # Panics
    /// If none comes.
    pub async fn wait_for_line(&self, text: &str) -> WrittenLines {
        let is_it = |lines: &WrittenLines| lines.text.contains(text);
        wait_for(&self.shared.written, text, |written| {
            written.iter().any(is_it)
        })
        .await;
        self.written()
            .into_iter()
            .find(is_it)
            .expect("it was there a moment ago")
    }

    /// Waits until the counts are so.
    ///
    /// # Panics
    /// If that does not come; the message then says `what` did not.
    pub async fn wait_for(&self, what: &str, condition: impl FnMut(&HostCounts) -> bool) {
        wait_for(&self.shared.counts, what, condition).await;
    }
}

impl std::fmt::Debug for FakeHostHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeHostHandle")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Waits until the watched value is so; panics naming `what` did not come, and the value instead.
pub(crate) async fn wait_for<T: std::fmt::Debug>(
    value: &watch::Sender<T>,
    what: &str,
    condition: impl FnMut(&T) -> bool,
) {
    let mut watching = value.subscribe();
    let waited = tokio::time::timeout(WAIT_MAX, watching.wait_for(condition)).await;
    assert!(
        waited.is_ok(),
        "{what} did not come; instead: {:?}",
        value.borrow()
    );
}
