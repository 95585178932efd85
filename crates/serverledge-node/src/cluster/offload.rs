//! Runs an invocation on another node.
//!
//! What certainly did not start there may be tried elsewhere. Once the request was sent, the same node is asked again, on
//! another connection, and joins the request to the run that it has: after a lost connection at once, after a silence
//! that is longer than usual as well, which repairs lost packets faster than TCP does. Only an idempotent function is
//! handed to another node after that; of any other the outcome is unknown.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serverledge_client::{PeerAnswer, PeerClient, PeerError};
use serverledge_core::{
    CacheEntry, CallContext, FailureKind, FunctionFailure, Ignored, InvocationError, InvocationId,
    Memo, Payload, Phases, Remote, Reply, Report, Source,
};
use serverledge_scheduler::{PeerId, Ran, Sample};
use serverledge_wire::canonical::{Canonical, canonical};
use serverledge_wire::carried::{carried_bytes, carried_text};
use serverledge_wire::peer::{Elsewhere, PeerCall, PeerMemo, PeerReport, chain_text};
use serverledge_wire::problem::Problem;
use tokio::time::Instant;

use super::Cluster;
use super::peers::{Contact, Peers};
use crate::functions::Entry;
use crate::invoke::Request;
use crate::memo::CALL_CYCLE;
use crate::node::Node;

/// How often a call may be offloaded on its way: one hop for the whole call tree.
pub(crate) const HOPS_MAX: u32 = 1;
/// Longest wait of an invocation on the other node, and on the way, beside its run.
const BESIDE_RUN_MAX: Duration = Duration::from_secs(30);
/// Silence after which the same node is asked again; it doubles each time. Beyond TCP's usual retransmission (RFC 6298:
/// at least 200 ms in Linux), and beyond most runs.
const SILENCE: Duration = Duration::from_secs(1);
/// Requests that are on their way for one invocation at once.
const ASKS_MAX: usize = 3;
/// Pause before a node is asked again whose connection was lost.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);
/// How long a node that has a request is tried while every try fails at once.
const FAILING_MAX: Duration = Duration::from_secs(3);
/// Most bytes of what a client carries that go with an offloaded call: they fit beside the largest parameters in what a
/// node takes as a body. A call that carries more runs here.
const CARRIED_BYTES_MAX: usize = 48 * 1024;
/// What a node answers that serves as many requests as it may.
const BUSY: &str = "too_many_requests_at_once";
/// Rounds of asking within which a node that lives must have been heard of.
const ROUNDS_HEARD: u32 = 3;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Offloaded {
    /// A result, and how long it took beside start and execution.
    Done { report: Report, overhead: Duration },
    /// An outcome that is the caller's.
    Failed(InvocationError),
    /// It did not start there, or may start twice: another node may be asked, or this one.
    Elsewhere(NotTaken),
}

/// Why a node did not take a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It was not there, or has gone.
    Unreachable,
    /// It said no: with this status and code, and when to come back.
    Refused {
        status: u16,
        code: String,
        retry_after: Option<Duration>,
    },
}

/// One invocation on its way to one node.
struct Offer<'a> {
    peers: &'a Peers,
    probe_every: Duration,
    client: &'a PeerClient,
    contact: Contact,
    entry: Arc<Entry>,
    params: Bytes,
    call: PeerCall,
    /// When the request arrived at this node.
    arrived: std::time::Instant,
    /// When its caller's patience ends.
    deadline: Option<Instant>,
    began: Instant,
    /// When no answer is waited for any more.
    until: Instant,
}

/// What is known of the asking so far.
#[derive(Default)]
struct Asking {
    /// A request was sent whose answer was lost.
    lost: bool,
    /// Since when every try has failed.
    failing_since: Option<Instant>,
    /// When it is asked again.
    again_at: Option<Instant>,
    silences: u32,
}

impl Node {
    /// Runs an invocation on a peer. Dropping the future leaves it to the peer, which stops it after a while.
    pub(crate) fn offload(
        &self,
        to: PeerId,
        request: &Request,
    ) -> impl Future<Output = Offloaded> + Send {
        let function = request.entry.key;
        let generation = self.functions.generation(&request.entry.function.space);
        let sent =
            self.cluster
                .hand_over(to, request, request.context.hops() + 1, Some(generation));
        async move {
            let (contact, offloaded) = sent.await;
            if let Some(contact) = contact {
                self.metrics.offloaded(&contact.area, &offloaded);
            }
            if let Offloaded::Done { report, overhead } = &offloaded {
                self.admissions.learn(Sample {
                    function,
                    place: Ran::On(to),
                    cold: !report.warm,
                    start: report.phases.start,
                    execution: report.phases.execution,
                    overhead: *overhead,
                });
            }
            offloaded
        }
    }
}

impl Cluster {
    /// Hands an invocation to a peer, which is told this number of hops; gives the peer as well, if there is such a one.
    /// `generation`: that of the function's space here, where caches are to know it. Dropping the future leaves it to the
    /// peer, which stops it after a while.
    pub(crate) fn hand_over(
        &self,
        to: PeerId,
        request: &Request,
        hops: u32,
        generation: Option<u64>,
    ) -> impl Future<Output = (Option<Contact>, Offloaded)> + Send {
        let offer = self.offer(to, request, hops, generation);
        async move {
            let Some(offer) = offer else {
                return (None, Offloaded::Elsewhere(NotTaken::Unreachable));
            };
            let offloaded = offer.run().await;
            (Some(offer.contact), offloaded)
        }
    }

    /// `None` if there is no such peer any more.
    fn offer(
        &self,
        to: PeerId,
        request: &Request,
        hops: u32,
        generation: Option<u64>,
    ) -> Option<Offer<'_>> {
        let (Some(client), Payload::Json(params)) = (&self.client, &request.payload) else {
            return None;
        };
        let contact = self.peers.contact(to)?;
        let began = Instant::now();
        Some(Offer {
            peers: &self.peers,
            probe_every: self.probe_every,
            client,
            call: PeerCall {
                generation,
                ..self.peer_call(request, &contact, hops)
            },
            contact,
            entry: Arc::clone(&request.entry),
            params: body(params, request),
            arrived: request.arrived,
            deadline: request.deadline.map(Instant::from_std),
            began,
            until: began + request.entry.function.version.limits.timeout + BESIDE_RUN_MAX,
        })
    }

    fn peer_call(&self, request: &Request, contact: &Contact, hops: u32) -> PeerCall {
        let context = &request.context;
        let travel = context.travel.as_deref();
        let mut path = travel.map(|travel| travel.path.clone()).unwrap_or_default();
        path.push(self.me.clone());
        let left = |deadline: std::time::Instant| {
            let left = deadline.saturating_duration_since(crate::invoke::now());
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        };
        PeerCall {
            space: request.entry.function.space.to_string(),
            offer: InvocationId::new().to_string(),
            id: request.id.to_string(),
            root: context.root.to_string(),
            depth: context.depth,
            hops,
            stays: !context.may_offload,
            path,
            deadline_ms: request.deadline.map(left),
            class: request.class.id(),
            version: request.entry.function.version.digest.to_string(),
            epoch: contact.epoch.clone(),
            again_ms: None,
            request_id: travel
                .map(|travel| travel.request_id.clone())
                .unwrap_or_default(),
            trace: travel
                .map(|travel| travel.trace.clone())
                .unwrap_or_default(),
            params_bytes: match (&context.carried, &request.payload) {
                (Some(_), Payload::Json(params)) => Some(params.len()),
                _ => None,
            },
            hands_out: context.hands_out,
            generation: None,
            chain: context.chain().map(chain_text).collect(),
        }
    }
}

impl Offer<'_> {
    async fn run(&self) -> Offloaded {
        let mut asks = FuturesUnordered::new();
        let mut asking = Asking {
            again_at: Some(self.began + self.silence(0)),
            ..Asking::default()
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

    /// When the caller's own patience has to be looked at.
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

    /// Asks once; says when it did, too.
    async fn ask(&self, again: bool) -> (Instant, Result<PeerAnswer, PeerError>) {
        let mut call = self.call.clone();
        let elapsed = self.began.elapsed();
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
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

    /// What an answer means; `None`: go on asking. `alone`: no other request is on its way.
    fn answered(
        &self,
        answer: Result<PeerAnswer, PeerError>,
        alone: bool,
        asking: &mut Asking,
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
                    return Some(Offloaded::Elsewhere(NotTaken::Unreachable));
                }
                self.again(alone, asking)
            }
            PeerError::Lost { .. } => {
                asking.lost = true;
                if self.entry.function.flags.idempotent && alone {
                    return Some(Offloaded::Elsewhere(NotTaken::Unreachable));
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
                let refused = NotTaken::Refused {
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

    /// After a pause, unless every try has failed for too long.
    fn again(&self, alone: bool, asking: &mut Asking) -> Option<Offloaded> {
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
        let message = format!(
            "node {} answered {status} {}: {}",
            self.contact.node, problem.code, problem.detail
        );
        Offloaded::Failed(match status {
            _ if problem.code == CALL_CYCLE => InvocationError::Request {
                code: CALL_CYCLE,
                message: problem.detail,
            },
            400..=499 => InvocationError::Request {
                code: "peer_refused",
                message,
            },
            _ => InvocationError::Internal { message },
        })
    }

    fn unknown(&self) -> Offloaded {
        if self.entry.function.flags.idempotent {
            return Offloaded::Elsewhere(NotTaken::Unreachable);
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
        let total = crate::invoke::now().saturating_duration_since(self.arrived);
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
            memo: memo.map_or_else(Memo::default, |memo| of_peer(&memo, entries)),
        };
        Offloaded::Done {
            report,
            overhead: took.saturating_sub(start + execution),
        }
    }
}

/// Whether a call may be offloaded for what its client carries.
pub(crate) fn carries_little(context: &CallContext) -> bool {
    context
        .carried
        .as_ref()
        .is_none_or(|carried| carried_bytes(carried) <= CARRIED_BYTES_MAX)
}

/// The parameters, and behind them what the client carries, without what was looked at here and not believed.
fn body(params: &Bytes, request: &Request) -> Bytes {
    let Some(carried) = &request.context.carried else {
        return params.clone();
    };
    // As answers are known by; what has no canonical form was not looked at.
    let known_by = match canonical(params) {
        Canonical::Yes(canonical) => canonical,
        _ => params.clone(),
    };
    let mut carried = serverledge_core::Carried::clone(carried);
    for answers in [&mut carried.edge, &mut carried.cache] {
        if let Some(table) = answers.get_mut(&request.entry.function.name) {
            table.remove(&known_by);
        }
    }
    let mut body = BytesMut::from(&params[..]);
    body.extend_from_slice(&carried_text(&carried));
    body.freeze()
}

fn of_peer(memo: &PeerMemo, entries: Vec<CacheEntry>) -> Memo {
    let [not_edge, untrue, expired, outdated] = memo.ignored;
    let sources = [Source::Edge, Source::Carried, Source::Cache, Source::Joined];
    Memo {
        source: sources
            .into_iter()
            .find(|source| source.name() == memo.source)
            .unwrap_or_default(),
        entries,
        shaped: memo.shaped,
        called: memo.called,
        stale: memo.stale,
        ignored: Ignored {
            not_edge,
            untrue,
            expired,
            outdated,
        },
    }
}
