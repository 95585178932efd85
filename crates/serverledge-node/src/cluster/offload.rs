//! Runs an invocation on another node.
//!
//! A call that certainly did not start on the peer may be tried elsewhere. Once the request was sent, the same node is
//! asked again, on another connection, and joins the request to the run that it has. It is asked again at once after a
//! lost connection, and also after an unusually long silence, which repairs lost packets faster than TCP does. After
//! that only an idempotent function is forwarded to another node; of any other the outcome is unknown.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serverledge_client::{PeerAnswer, PeerClient, PeerError};
use serverledge_core::{
    ARGS_FAULTS, CacheEntry, CacheMetadata, CallContext, FailureKind, FunctionFailure, Ignored,
    InvocationError, InvocationId, Payload, Phases, Remote, Reply, Report, Source, TraceParent,
    whole_millis,
};
use serverledge_scheduler::PeerId;
use serverledge_wire::canonical::{Canonical, canonical};
use serverledge_wire::client_cache::{carried_bytes, carried_text};
use serverledge_wire::peer::{Elsewhere, PeerCall, PeerMemo, PeerReport, chain_text};
use serverledge_wire::problem::Problem;
use tokio::time::Instant;

use super::Cluster;
use super::peers::{Contact, Peers};
use crate::functions::FunctionEntry;
use crate::invoke::request::{CALL_CYCLE, NOT_PREPARED, ResolvedCall};

/// Most times that a call may be offloaded on its way: one hop for the whole call tree.
pub(crate) const HOPS_MAX: u32 = 1;
/// Longest wait of an invocation on the other node, and on the network, beside its run.
const BESIDE_RUN_MAX: Duration = Duration::from_secs(30);
/// Silence after which the same node is asked again; it doubles each time. Beyond TCP's usual retransmission (RFC 6298:
/// at least 200 ms in Linux), and beyond most runs.
const SILENCE: Duration = Duration::from_secs(1);
/// Most requests in flight for one invocation at once.
const ASKS_MAX: usize = 3;
/// Pause before a node whose connection was lost is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);
/// Time for which a node that has a request is retried while every attempt fails at once.
const FAILING_MAX: Duration = Duration::from_secs(3);
/// Most bytes of a client's cache that go with an offloaded call: they fit beside the largest parameters in what a node
/// takes as a body. A call with a larger cache runs here.
const CARRIED_BYTES_MAX: usize = 48 * 1024;
/// The error code of a node that already serves its maximum of requests.
const BUSY: &str = "too_many_requests_at_once";
/// Rounds of probes within which a live node must have been heard of.
const ROUNDS_HEARD: u32 = 3;

/// The result of an offloaded call.
#[derive(Debug)]
pub(crate) enum Offloaded {
    /// A result, and the time that it took beside start and execution.
    Done { report: Report, overhead: Duration },
    /// A failure that is the caller's outcome.
    Failed(InvocationError),
    /// It did not start there, or may start twice: it may go to another node, or run on this one.
    Elsewhere(OffloadRefusal),
}

/// The reason why a node did not take a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OffloadRefusal {
    /// The node cannot be reached.
    Unreachable,
    /// The node refused the call, with this status, code and `Retry-After`.
    Refused {
        status: u16,
        code: String,
        retry_after: Option<Duration>,
    },
}

/// Whether a node did not take a call because it lacks its version: not yet, or not any more.
pub(crate) fn lacks_version(why: &OffloadRefusal) -> bool {
    let codes = [NOT_PREPARED, "function_version_differs", "function_unknown"];
    matches!(why, OffloadRefusal::Refused { code, .. } if codes.contains(&code.as_str()))
}

/// The versions of its function that a peer may run a call in.
#[derive(Debug, Clone, Default)]
pub(crate) enum Versions {
    /// The version of the request.
    #[default]
    Own,
    /// The version of the request, or this one, which is the newest.
    Or(String),
    /// The version that calls run there.
    Any,
}

/// One invocation on its way to one node.
struct OffloadAttempt<'a> {
    peers: &'a Peers,
    probe_every: Duration,
    client: &'a PeerClient,
    contact: Contact,
    entry: Arc<FunctionEntry>,
    params: Bytes,
    call: PeerCall,
    /// The time at which the request arrived at this node.
    arrived: std::time::Instant,
    /// The deadline of its caller.
    deadline: Option<Instant>,
    began: Instant,
    /// The time after which no response is waited for.
    until: Instant,
}

/// The state of the requests so far.
#[derive(Default)]
struct AskState {
    /// Whether a request was sent whose response was lost.
    lost: bool,
    /// The time since which every attempt has failed.
    failing_since: Option<Instant>,
    /// The time of the next request.
    again_at: Option<Instant>,
    silences: u32,
}

impl Offloaded {
    /// The outcome, as metrics name it.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Failed(InvocationError::OutcomeUnknown { .. }) => "unknown",
            Self::Failed(_) => "failed",
            Self::Elsewhere(_) => "not_taken",
        }
    }
}

impl Cluster {
    /// Forwards an invocation to a peer, with a number of hops, and the versions that it may run in. Returns the peer
    /// as well, if there is such a one. `generation`: that of the function's space here, where caches are to know it.
    /// If the future is dropped, the peer goes on, and stops the run after a while.
    pub(crate) fn hand_over(
        &self,
        to: PeerId,
        request: &ResolvedCall,
        how: (u32, Versions),
        generation: Option<u64>,
    ) -> impl Future<Output = (Option<Contact>, Offloaded)> + Send {
        let attempt = self.attempt(to, request, how, generation);
        async move {
            let Some(attempt) = attempt else {
                return (None, Offloaded::Elsewhere(OffloadRefusal::Unreachable));
            };
            let offloaded = attempt.run().await;
            (Some(attempt.contact), offloaded)
        }
    }

    /// The invocation, addressed to a peer; `None` if there is no such peer any more.
    fn attempt(
        &self,
        to: PeerId,
        request: &ResolvedCall,
        (hops, versions): (u32, Versions),
        generation: Option<u64>,
    ) -> Option<OffloadAttempt<'_>> {
        let (Some(client), Payload::Json(params)) = (&self.client, &request.call.payload) else {
            return None;
        };
        let contact = self.peers.contact(to)?;
        let began = Instant::now();
        Some(OffloadAttempt {
            peers: &self.peers,
            probe_every: self.probe_every,
            client,
            call: PeerCall {
                generation,
                any_version: matches!(versions, Versions::Any),
                or_version: if let Versions::Or(newest) = versions {
                    newest
                } else {
                    String::new()
                },
                ..self.peer_call(request, &contact, hops)
            },
            contact,
            entry: Arc::clone(&request.entry),
            params: body(params, request),
            arrived: request.call.arrived,
            deadline: request.call.deadline.map(Instant::from_std),
            began,
            until: began + request.entry.function.version.limits.timeout + BESIDE_RUN_MAX,
        })
    }

    fn peer_call(&self, request: &ResolvedCall, contact: &Contact, hops: u32) -> PeerCall {
        let context = &request.call.context;
        let propagated = context.propagated.as_deref();
        let mut path = propagated
            .map(|propagated| propagated.path.clone())
            .unwrap_or_default();
        path.push(self.me.clone());
        let left = |deadline: std::time::Instant| {
            whole_millis(deadline.saturating_duration_since(crate::clock::now()))
        };
        PeerCall {
            space: request.entry.function.space.to_string(),
            offer: InvocationId::new().to_string(),
            id: request.call.id.to_string(),
            root: context.root.to_string(),
            depth: context.depth,
            hops,
            stays: !context.may_offload,
            path,
            deadline_ms: request.call.deadline.map(left),
            class: request.call.qos_class,
            version: request.entry.function.version.digest.to_string(),
            or_version: String::new(),
            any_version: false,
            epoch: contact.epoch.clone(),
            again_ms: None,
            request_id: propagated
                .map(|propagated| propagated.request_id.clone())
                .unwrap_or_default(),
            trace: self.trace_of(request, hops),
            trace_state: propagated
                .map(|propagated| propagated.trace_state.clone())
                .unwrap_or_default(),
            params_bytes: match (&context.client_cache, &request.call.payload) {
                (Some(_), Payload::Json(params)) => Some(params.len()),
                _ => None,
            },
            returns_cache: context.returns_cache,
            generation: None,
            chain: context.chain().map(chain_text).collect(),
        }
    }
}

impl Cluster {
    /// The trace context of an offloaded call: the span of the way is part of the run's span here. A balancer, whose
    /// hand-over is no hop, has no run: what its caller gave goes on as it is.
    fn trace_of(&self, request: &ResolvedCall, hops: u32) -> String {
        let propagated = request.call.context.propagated.as_deref();
        if hops == 0 {
            return propagated.map_or_else(String::new, |known| known.trace.clone());
        }
        let ids = request.call.trace_ids();
        let flags = self.sampler.flags(ids.trace).unwrap_or_default();
        let way = TraceParent {
            span: ids.hop(),
            ..ids.traceparent(flags)
        };
        way.to_string()
    }
}

impl OffloadAttempt<'_> {
    async fn run(&self) -> Offloaded {
        let mut asks = FuturesUnordered::new();
        let mut asking = AskState {
            again_at: Some(self.began + self.silence(0)),
            ..AskState::default()
        };
        asks.push(self.ask(false));
        loop {
            let wake = asking.again_at.unwrap_or(self.until).min(self.patience());
            tokio::select! {
                Some((asked, answer)) = asks.next() => {
                    let alone = asks.is_empty();
                    if asked.elapsed() > SILENCE {
                        asking.failing_since = None;
                    }
                    if let Some(offloaded) = self.answered(answer, alone, &mut asking) {
                        return offloaded;
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    if self.is_over() {
                        return self.unknown();
                    }
                    if asking.again_at.is_some_and(|at| at <= Instant::now()) {
                        let room = asks.len() < ASKS_MAX;
                        if room {
                            asks.push(self.ask(true));
                        }
                        asking.silences += 1;
                        asking.again_at = room.then(|| Instant::now() + self.silence(asking.silences));
                    }
                }
            }
        }
    }

    /// The time at which the caller's deadline has to be checked.
    fn patience(&self) -> Instant {
        match self.deadline {
            Some(deadline) if deadline > Instant::now() => deadline.min(self.until),
            // Past it, a node that lives is waited for: it may have started in time.
            Some(_) => (Instant::now() + SILENCE).min(self.until),
            None => self.until,
        }
    }

    fn is_over(&self) -> bool {
        let now = Instant::now();
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let heard = self.probe_every.saturating_mul(ROUNDS_HEARD);
        now >= self.until || (late && !self.peers.heard_within(self.contact.id, heard))
    }

    fn silence(&self, silences: u32) -> Duration {
        let usual = self
            .contact
            .round_trip
            .unwrap_or_default()
            .saturating_mul(4);
        usual.max(SILENCE).saturating_mul(1 << silences.min(8))
    }

    /// Sends the request once; returns the time as well.
    async fn ask(&self, again: bool) -> (Instant, Result<PeerAnswer, PeerError>) {
        let mut call = self.call.clone();
        let ms = whole_millis(self.began.elapsed());
        call.again_ms = again.then_some(ms);
        call.deadline_ms = call.deadline_ms.map(|left| left.saturating_sub(ms));
        let function = &self.entry.function.name;
        let left = self.until.saturating_duration_since(Instant::now());
        let asked = Instant::now();
        (
            asked,
            self.client
                .invoke(
                    &self.contact.target,
                    function,
                    &call,
                    self.params.clone(),
                    left,
                )
                .await,
        )
    }

    /// Interprets a response; `None`: go on asking. `alone`: no other request is in flight.
    fn answered(
        &self,
        answer: Result<PeerAnswer, PeerError>,
        alone: bool,
        asking: &mut AskState,
    ) -> Option<Offloaded> {
        let peers = self.peers;
        let error = match answer {
            Ok(answer) => return Some(self.done(answer)),
            Err(error) => error,
        };
        match error {
            PeerError::NotSent { source } => {
                tracing::debug!(
                    peer = self.contact.target.name(),
                    error = source,
                    "a node cannot be reached"
                );
                peers.unreachable(self.contact.id);
                if !asking.lost && alone {
                    return Some(Offloaded::Elsewhere(OffloadRefusal::Unreachable));
                }
                self.again(alone, asking)
            }
            PeerError::Lost { .. } => {
                asking.lost = true;
                if self.entry.function.flags.idempotent && alone {
                    return Some(Offloaded::Elsewhere(OffloadRefusal::Unreachable));
                }
                self.again(alone, asking)
            }
            PeerError::Refused {
                started: false,
                load,
                problem,
                status,
                retry_after,
                ..
            } => {
                tracing::debug!(
                    peer = self.contact.target.name(),
                    code = problem.code,
                    "a node did not take a call"
                );
                if let Some(load) = load {
                    peers.heard(self.contact.id, load);
                }
                // Another request of this one may run yet; its answer is the outcome.
                let refused = OffloadRefusal::Refused {
                    status,
                    code: problem.code,
                    retry_after,
                };
                alone.then_some(Offloaded::Elsewhere(refused))
            }
            // Asked again, and turned away before its run was looked for.
            PeerError::Refused {
                problem,
                status: 503,
                ..
            } if problem.code == BUSY => {
                asking.lost = true;
                self.again(alone, asking)
            }
            PeerError::Refused {
                problem,
                load,
                status,
                stale,
                ..
            } => {
                if let Some(load) = load {
                    peers.heard(self.contact.id, load);
                }
                Some(self.refused(status, *problem, stale))
            }
            PeerError::Answer { fault } => Some(Offloaded::Failed(InvocationError::Internal {
                message: format!(
                    "node {} answered what is no answer: {fault}",
                    self.contact.target.name()
                ),
            })),
        }
    }

    /// Schedules the next request after a pause, unless every attempt has failed for too long.
    fn again(&self, alone: bool, asking: &mut AskState) -> Option<Offloaded> {
        let since = *asking.failing_since.get_or_insert_with(Instant::now);
        if alone && since.elapsed() >= FAILING_MAX {
            return Some(self.unknown());
        }
        asking.again_at = Some(Instant::now() + AGAIN_PAUSE);
        None
    }

    fn refused(&self, status: u16, problem: Problem, stale: bool) -> Offloaded {
        if let Some(kind) = FailureKind::from_code(&problem.code) {
            return Offloaded::Failed(InvocationError::Function(FunctionFailure {
                kind,
                message: problem.detail,
                stack: (!problem.stack.is_empty()).then_some(problem.stack),
                log: problem.output.into(),
                stale,
            }));
        }
        if problem.code == "invocation_forgotten" {
            return self.unknown();
        }
        let known = std::iter::once(CALL_CYCLE)
            .chain(ARGS_FAULTS)
            .find(|known| *known == problem.code);
        if let Some(code) = known {
            return Offloaded::Failed(InvocationError::Request {
                code,
                message: problem.detail,
            });
        }
        let message = format!(
            "node {} answered {status} {}: {}",
            self.contact.node, problem.code, problem.detail
        );
        Offloaded::Failed(match status {
            400..=499 => InvocationError::Request {
                code: "peer_refused",
                message,
            },
            _ => InvocationError::Internal { message },
        })
    }

    fn unknown(&self) -> Offloaded {
        if self.entry.function.flags.idempotent {
            return Offloaded::Elsewhere(OffloadRefusal::Unreachable);
        }
        Offloaded::Failed(InvocationError::OutcomeUnknown {
            node: self.contact.target.name().to_owned(),
        })
    }

    fn done(&self, answer: PeerAnswer) -> Offloaded {
        let PeerAnswer {
            report,
            result,
            entries,
            log,
            load,
            took,
        } = answer;
        if let Some(load) = load {
            self.peers.heard(self.contact.id, load);
        }
        let PeerReport {
            warm,
            queue_us,
            start_us,
            execution_us,
            total_us,
            elsewhere,
            memo,
            ..
        } = report;
        let [queue, start, execution, there] =
            [queue_us, start_us, execution_us, total_us].map(Duration::from_micros);
        let total = crate::clock::now().saturating_duration_since(self.arrived);
        let latency = took.saturating_sub(there);
        let remote = match elsewhere {
            Some(Elsewhere {
                area,
                node,
                latency_us,
            }) => Remote {
                node,
                area,
                latency: latency + Duration::from_micros(latency_us),
            },
            None => Remote {
                node: self.contact.node.clone(),
                area: self.contact.area.clone(),
                latency,
            },
        };
        let report = Report {
            reply: Reply::Json(result),
            log,
            warm,
            phases: Phases {
                queue,
                start,
                execution,
                total,
            },
            remote: Some(Box::new(remote)),
            memo: memo.map_or_else(CacheMetadata::default, |memo| of_peer(&memo, entries)),
        };
        Offloaded::Done {
            report,
            overhead: took.saturating_sub(start + execution),
        }
    }
}

/// Whether the client's cache is small enough for a call to be offloaded.
pub(crate) fn carries_little(context: &CallContext) -> bool {
    context
        .client_cache
        .as_ref()
        .is_none_or(|client_cache| carried_bytes(client_cache) <= CARRIED_BYTES_MAX)
}

/// The parameters, followed by the client's cache, without the entries that were checked here and not believed.
fn body(params: &Bytes, request: &ResolvedCall) -> Bytes {
    let Some(client_cache) = &request.call.context.client_cache else {
        return params.clone();
    };
    // As answers are known by; what has no canonical form was not looked at.
    let known_by = match canonical(params) {
        Canonical::Yes(canonical) => canonical,
        _ => params.clone(),
    };
    let mut client_cache = serverledge_core::ClientCache::clone(client_cache);
    for answers in [&mut client_cache.edge, &mut client_cache.cache] {
        if let Some(table) = answers.get_mut(&request.entry.function.name) {
            table.remove(&known_by);
        }
    }
    let mut body = BytesMut::from(&params[..]);
    body.extend_from_slice(&carried_text(&client_cache));
    body.freeze()
}

fn of_peer(memo: &PeerMemo, entries: Vec<CacheEntry>) -> CacheMetadata {
    let [not_edge, forged, expired, outdated] = memo.ignored;
    let sources = [
        Source::Edge,
        Source::ClientCache,
        Source::Cache,
        Source::Joined,
    ];
    CacheMetadata {
        source: sources
            .into_iter()
            .find(|source| source.name() == memo.source)
            .unwrap_or_default(),
        entries,
        client_influenced: memo.shaped,
        called: memo.called,
        uncacheable: memo.stale,
        ignored: Ignored {
            not_edge,
            forged,
            expired,
            outdated,
        },
    }
}
