//! The result cache, around every invocation and every nested call: edge results and cache that the client carries, the
//! node's own results, and runs that identical calls share. `docs/result-cache.md` describes the whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus::IntCounter;
use serverledge_core::{
    CacheEntry, CallKey, Carried, CarriedAnswer, Function, Ignored, InvocationError, Memo,
    OverloadReason, Payload, Phases, Reply, Report, Source,
};
use serverledge_wire::canonical::{Canonical, canonical};

use self::cache::{Hit, ResultCache};
use self::runs::{Done, Duty, RunKey, Runs, Shared};
use self::tags::{Judged, Tagged};
use crate::deploy::unix_ms;
use crate::functions::Entry;
use crate::invoke::{Request, now};
use crate::metrics::Metrics;
use crate::node::Node;

mod cache;
mod runs;
mod tags;
#[cfg(test)]
mod tests;

pub(crate) use self::cache::CacheFigures;
pub(crate) use self::tags::Tags;

/// Separates this use of BLAKE3 from all others.
const KEY_DOMAIN: &str = "serverledge 2026 result key 1";
/// When to try again after the answer did not come in time: the run goes on for others, or its result is kept.
const LATE_RETRY: Duration = Duration::from_secs(1);

/// What a node has of the result cache.
pub(crate) struct Memos {
    cache: ResultCache,
    tags: Tags,
    runs: Arc<Runs>,
    /// The hash of nothing but the domain, to begin keys with.
    hasher: blake3::Hasher,
    hits: IntCounter,
}

/// What came of looking.
enum Looked {
    /// An answer.
    Known(Report),
    /// Nothing to look up, or nothing to keep: it runs as it is, and this was not believed.
    Plain(Request, Ignored),
    /// A call whose result may be kept.
    Missed(Request, Asked),
}

/// An idempotent call with canonical parameters.
struct Asked {
    entry: Arc<Entry>,
    key: CallKey,
    params: Bytes,
    /// Before the run began.
    generation: u64,
    hands_out: bool,
    arrived: Instant,
    ignored: Ignored,
}

impl Memos {
    /// Room for so many bytes of results, each kept for so long.
    pub(crate) fn new(bytes: usize, ttl: Duration, tags: Tags, metrics: &Metrics) -> Self {
        Self {
            cache: ResultCache::new(bytes, ttl),
            tags,
            runs: Arc::default(),
            hasher: blake3::Hasher::new_derive_key(KEY_DOMAIN),
            hits: metrics
                .cache
                .answers
                .with_label_values(&[Source::Cache.name()]),
        }
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        self.cache.figures()
    }

    /// Never the version alone: two owners may hold equal code whose calls go elsewhere.
    fn key(&self, function: &Function, params: &[u8]) -> CallKey {
        let mut hasher = self.hasher.clone();
        for part in [
            function.space.as_str().as_bytes(),
            function.name.as_str().as_bytes(),
        ] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        *hasher
            .update(function.version.digest.as_bytes())
            .update(params)
            .finalize()
            .as_bytes()
    }
}

impl Node {
    /// Answers an invocation from what is known, or runs it and counts its outcome. Dropping the future stops the run, unless
    /// others wait for it.
    pub(crate) async fn run(self: &Arc<Self>, request: Request) -> Result<Report, InvocationError> {
        match self.look_up(request)? {
            Looked::Known(report) => Ok(report),
            // Boxed: the future of a run has some kilobytes, which an answer would move about for nothing.
            looked => Box::pin(self.run_looked(looked)).await,
        }
    }

    async fn run_looked(self: &Arc<Self>, looked: Looked) -> Result<Report, InvocationError> {
        match looked {
            Looked::Known(report) => Ok(report),
            Looked::Plain(request, ignored) => {
                let mut report = self.run_counted(request).await?;
                report.memo.ignore(ignored);
                Ok(report)
            }
            // What carries something shares nothing; who waits in a call holds what a run that it joined might need.
            Looked::Missed(request, asked)
                if request.context.carried.is_none() && request.context.depth == 0 =>
            {
                self.run_shared(request, &asked).await
            }
            Looked::Missed(request, asked) => {
                let mut report = self.run_counted(request).await?;
                self.remember(&asked, &mut report);
                Ok(report)
            }
        }
    }

    /// The order of look-ups. Takes no lock that is held for long, and asks nobody.
    fn look_up(&self, mut request: Request) -> Result<Looked, InvocationError> {
        let flags = request.entry.function.flags;
        let carried = request.context.carried.clone();
        if !flags.idempotent && carried.is_none() {
            return Ok(Looked::Plain(request, Ignored::default()));
        }
        let Payload::Json(given) = &request.payload else {
            return Ok(Looked::Plain(request, Ignored::default()));
        };
        let Canonical::Yes(params) = canonical(given) else {
            return Ok(Looked::Plain(request, Ignored::default()));
        };
        let mut ignored = Ignored::default();
        if let Some(carried) = &carried {
            let known = self.carried_answer(carried, &request, &params, &mut ignored);
            self.count_ignored(ignored);
            if let Some((result, memo)) = known {
                self.metrics
                    .cache
                    .answers
                    .with_label_values(&[memo.source.name()])
                    .inc();
                return Ok(Looked::Known(answer(result, memo, request.arrived)));
            }
        }
        if !flags.idempotent {
            return Ok(Looked::Plain(request, ignored));
        }
        let function = &request.entry.function;
        let key = self.memos.key(function, &params);
        let kept = self
            .memos
            .cache
            .get(&key, now(), || self.functions.generation(&function.space));
        let hands_out = request.context.hands_out;
        if let Some(Hit { result, called }) = kept {
            self.memos.hits.inc();
            let entries = self.handed_out(hands_out, &request.entry, &params, &result);
            let memo = Memo {
                source: Source::Cache,
                entries,
                called,
                ignored,
                ..Memo::default()
            };
            return Ok(Looked::Known(answer(result, memo, request.arrived)));
        }
        if request.context.chain().any(|above| *above == key) {
            return Err(call_cycle(function));
        }
        let generation = self.functions.generation(&function.space);
        let (entry, arrived) = (Arc::clone(&request.entry), request.arrived);
        request.key = Some(key);
        request.payload = Payload::Json(params.clone());
        Ok(Looked::Missed(
            request,
            Asked {
                entry,
                key,
                params,
                generation,
                hands_out,
                arrived,
                ignored,
            },
        ))
    }

    /// A believed answer that the client carries. What is there and not believed is counted.
    fn carried_answer(
        &self,
        carried: &Carried,
        request: &Request,
        params: &Bytes,
        ignored: &mut Ignored,
    ) -> Option<(Bytes, Memo)> {
        let function = &request.entry.function;
        let of = |answers: &'_ serverledge_core::CarriedAnswers| -> Option<CarriedAnswer> {
            answers.get(&function.name)?.get(params).cloned()
        };
        if let Some(edge) = of(&carried.edge) {
            if function.flags.edge {
                return Some((edge.result, shaped(Source::Edge, *ignored)));
            }
            ignored.not_edge += 1;
        }
        let entry = of(&carried.cache)?;
        let judged = if function.flags.idempotent {
            self.judge(function, params, &entry)
        } else {
            Judged::Untrue
        };
        match judged {
            Judged::True => {
                let tag = entry.tag.filter(|_| request.context.hands_out);
                let back = tag.map(|tag| CacheEntry {
                    function: function.name.clone(),
                    params: params.clone(),
                    result: entry.result.clone(),
                    tag,
                    nested: false,
                });
                let entries = back.into_iter().collect();
                return Some((
                    entry.result,
                    Memo {
                        entries,
                        ..shaped(Source::Carried, *ignored)
                    },
                ));
            }
            // What is no entry is a result that the client computed itself.
            _ if function.flags.edge => {
                return Some((entry.result, shaped(Source::Edge, *ignored)));
            }
            Judged::Untrue => ignored.untrue += 1,
            Judged::Expired => ignored.expired += 1,
            Judged::Outdated => ignored.outdated += 1,
        }
        None
    }

    fn judge(&self, function: &Function, params: &Bytes, entry: &CarriedAnswer) -> Judged {
        let (Some(tag), Canonical::Yes(result)) = (&entry.tag, canonical(&entry.result)) else {
            return Judged::Untrue;
        };
        self.memos
            .tags
            .judge(tag, &self.tagged(function, params, &result), unix_ms())
    }

    fn tagged<'a>(
        &self,
        function: &'a Function,
        params: &'a Bytes,
        result: &'a Bytes,
    ) -> Tagged<'a> {
        Tagged {
            space: &function.space,
            function: &function.name,
            version: &function.version.digest,
            generation: self.functions.generation(&function.space),
            params,
            result,
        }
    }

    /// The entry that a client may carry back; none if nobody asks, or if the result has no canonical form to vouch for.
    fn handed_out(
        &self,
        asked: bool,
        entry: &Entry,
        params: &Bytes,
        result: &Bytes,
    ) -> Vec<CacheEntry> {
        let Canonical::Yes(canonical) = (if asked {
            canonical(result)
        } else {
            return Vec::new();
        }) else {
            return Vec::new();
        };
        let function = &entry.function;
        let tag = self
            .memos
            .tags
            .make(&self.tagged(function, params, &canonical), unix_ms());
        let (function, params, result) = (function.name.clone(), params.clone(), result.clone());
        vec![CacheEntry {
            function,
            params,
            result,
            tag,
            nested: false,
        }]
    }

    /// Keeps what a run gave, if it may be kept, and hands it out, if that is asked for.
    fn remember(&self, asked: &Asked, report: &mut Report) {
        let memo = &mut report.memo;
        memo.ignore(asked.ignored);
        let Reply::Json(result) = &report.reply else {
            return;
        };
        if !memo.shaped && !memo.stale {
            let generation = memo.called.then_some(asked.generation);
            self.memos.cache.put(asked.key, result, now(), generation);
        }
        // A result of an earlier generation is not vouched for in this one.
        if asked.generation == self.functions.generation(&asked.entry.function.space) && !memo.stale
        {
            memo.entries.extend(self.handed_out(
                asked.hands_out,
                &asked.entry,
                &asked.params,
                result,
            ));
        }
    }

    fn count_ignored(&self, ignored: Ignored) {
        for (reason, count) in ignored.counts() {
            self.metrics
                .cache
                .ignored
                .with_label_values(&[reason])
                .inc_by(u64::from(count));
        }
    }
}

// === Runs that calls share ===

impl Node {
    /// Waits for the run that there is, or for a new one, by the caller's own deadline.
    async fn run_shared(
        self: &Arc<Self>,
        request: Request,
        asked: &Asked,
    ) -> Result<Report, InvocationError> {
        let key = RunKey {
            key: asked.key,
            generation: asked.generation,
            hands_out: asked.hands_out,
            may_offload: request.context.may_offload,
        };
        let (seat, duty) = self.memos.runs.join(key);
        let first = duty.is_some();
        if let Some(duty) = duty {
            self.begin_shared(duty, &request, asked);
        }
        let shared = match request.deadline {
            None => seat.outcome().await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), seat.outcome())
                .await
                .map_err(|_| late())?,
        };
        match shared {
            Shared::Done(done) if first => Ok(done.report(done.memo.source, done.phases)),
            Shared::Done(done) => {
                self.metrics
                    .cache
                    .answers
                    .with_label_values(&[Source::Joined.name()])
                    .inc();
                let total = now().saturating_duration_since(asked.arrived);
                Ok(done.report(
                    Source::Joined,
                    Phases {
                        execution: done.phases.execution,
                        total,
                        ..Phases::default()
                    },
                ))
            }
            Shared::Failed(failure) => Err(InvocationError::Function(failure)),
            Shared::Apart => match seat.error().filter(|_| first) {
                Some(error) => Err(error),
                None => {
                    let mut report = self.run_counted(request).await?;
                    self.remember(asked, &mut report);
                    Ok(report)
                }
            },
        }
    }

    /// Runs it in a task of its own, under the function's own time limit, until nobody waits for it.
    fn begin_shared(self: &Arc<Self>, duty: Duty, request: &Request, asked: &Asked) {
        let (node, request) = (
            Arc::clone(self),
            Request {
                deadline: None,
                ..request.again(asked.params.clone())
            },
        );
        let Asked {
            key,
            generation,
            hands_out,
            arrived,
            ignored,
            ..
        } = *asked;
        let (entry, params) = (Arc::clone(&asked.entry), asked.params.clone());
        let asked = Asked {
            entry,
            key,
            params,
            generation,
            hands_out,
            arrived,
            ignored,
        };
        self.background.spawn(async move {
            let outcome = tokio::select! {
                outcome = node.run_once(request, &asked) => outcome,
                () = duty.abandoned() => return,
            };
            duty.tell(outcome.and_then(Done::of));
        });
    }

    /// One more look: an earlier run may have ended between this one's first look and its beginning.
    async fn run_once(
        self: &Arc<Self>,
        request: Request,
        asked: &Asked,
    ) -> Result<Report, InvocationError> {
        let generation = || self.functions.generation(&asked.entry.function.space);
        if let Some(Hit { result, called }) = self.memos.cache.get(&asked.key, now(), generation) {
            self.memos.hits.inc();
            let entries = self.handed_out(asked.hands_out, &asked.entry, &asked.params, &result);
            return Ok(answer(
                result,
                Memo {
                    source: Source::Cache,
                    entries,
                    called,
                    ..Memo::default()
                },
                asked.arrived,
            ));
        }
        let mut report = self.run_counted(request).await?;
        self.remember(asked, &mut report);
        Ok(report)
    }
}

impl Done {
    fn of(report: Report) -> Result<Self, InvocationError> {
        let Report {
            reply,
            log,
            warm,
            phases,
            remote,
            memo,
        } = report;
        match reply {
            Reply::Json(result) => Ok(Self {
                result,
                log,
                warm,
                phases,
                remote,
                memo,
            }),
            Reply::Http(_) => Err(InvocationError::Internal {
                message: "a function answered HTTP to JSON parameters".to_owned(),
            }),
        }
    }

    fn report(&self, source: Source, phases: Phases) -> Report {
        Report {
            reply: Reply::Json(self.result.clone()),
            log: self.log.clone(),
            warm: self.warm,
            phases,
            remote: self.remote.clone(),
            memo: Memo {
                source,
                ..self.memo.clone()
            },
        }
    }
}

/// The report of an answer that nothing ran for.
fn answer(result: Bytes, memo: Memo, arrived: Instant) -> Report {
    let phases = Phases {
        total: now().saturating_duration_since(arrived),
        ..Phases::default()
    };
    Report {
        reply: Reply::Json(result),
        log: Bytes::new(),
        warm: true,
        phases,
        remote: None,
        memo,
    }
}

/// What an answer brings that came from what the client carries.
fn shaped(source: Source, ignored: Ignored) -> Memo {
    Memo {
        source,
        shaped: true,
        ignored,
        ..Memo::default()
    }
}

fn late() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::Deadline,
        retry_after: LATE_RETRY,
    }
}

/// The code of a call that waits for itself.
pub(crate) const CALL_CYCLE: &str = "call_cycle";

fn call_cycle(function: &Function) -> InvocationError {
    InvocationError::Request {
        code: CALL_CYCLE,
        message: format!(
            "function {} calls itself with the same parameters, and would never end",
            function.name
        ),
    }
}
