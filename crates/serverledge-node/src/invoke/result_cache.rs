//! The result cache, around every invocation and every nested call: the client's edge results and cache, the node's own
//! results, and runs that identical calls share. `docs/result-cache.md` describes the whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus::IntCounter;
use serverledge_core::{
    CacheEntry, CacheMetadata, CallKey, ClientCache, ClientResult, Function, Ignored,
    InvocationError, OverloadReason, Payload, Phases, Reply, Report, Source,
};
use serverledge_wire::canonical::{Canonical, canonical};

use self::in_flight::{InFlightRuns, Leader, RunKey, SharedOutcome, SharedResult};
use self::macs::{MacInput, MacVerdict};
use self::store::{ResultStore, StoredResult};
use crate::clock::{now, unix_ms};
use crate::functions::FunctionEntry;
use crate::invoke::Invoker;
use crate::invoke::request::{CALL_CYCLE, ResolvedCall};
use crate::metrics::{CacheFigures, Metrics};

mod in_flight;
mod macs;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use self::macs::EntryMacs;

/// Separates this use of BLAKE3 from all others.
const KEY_DOMAIN: &str = "serverledge 2026 result key 1";
/// Stands in the keys of functions whose results may depend on hosts outside, before parameters, which never begin so.
const OUTBOUND_MARK: &[u8] = &[0];
/// `Retry-After` of a result that did not come in time: the run goes on for others, or its result is kept.
const LATE_RETRY: Duration = Duration::from_secs(1);

/// The result cache of a node.
pub(crate) struct ResultCache {
    cache: ResultStore,
    macs: EntryMacs,
    runs: Arc<InFlightRuns>,
    /// The hash of the domain alone, the start of every key.
    hasher: blake3::Hasher,
    hits: IntCounter,
}

/// The result of a look-up.
enum Lookup {
    /// A hit.
    Hit(Report),
    /// A bypass: the call cannot be looked up or kept, and runs as it is; with the entries that were not believed.
    Bypass(ResolvedCall, Ignored),
    /// A miss: a call whose result may be kept.
    Miss(ResolvedCall, CacheableCall),
}

/// An idempotent call with canonical parameters.
struct CacheableCall {
    entry: Arc<FunctionEntry>,
    key: CallKey,
    params: Bytes,
    /// The generation before the run began.
    generation: u64,
    returns_cache: bool,
    arrived: Instant,
    ignored: Ignored,
}

impl ResultCache {
    /// A cache for this many bytes of results, each with this lifetime.
    pub(crate) fn new(bytes: usize, ttl: Duration, macs: EntryMacs, metrics: &Metrics) -> Self {
        Self {
            cache: ResultStore::new(bytes, ttl),
            macs,
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

    /// The key of a call. It never comes from the version alone: two owners may have equal code whose calls go
    /// elsewhere. Once results that depend on hosts outside may not be kept any more, no look-up finds them.
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
        hasher.update(function.version.digest.as_bytes());
        if function.flags.may_keep_outbound() {
            hasher.update(OUTBOUND_MARK);
        }
        *hasher.update(params).finalize().as_bytes()
    }
}

/// An invocation that somebody waits for; dropped before its end, it counts as abandoned.
struct Awaited<'a> {
    invoker: &'a Invoker,
    /// The function; `None` once the invocation has ended.
    entry: Option<Arc<FunctionEntry>>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            entry.metrics(&self.invoker.metrics).abandoned();
        }
    }
}

impl Invoker {
    /// Answers an invocation from the cache, or runs it and counts its outcome. Dropping the future stops the run,
    /// unless others wait for it.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        request: ResolvedCall,
    ) -> Result<Report, InvocationError> {
        let run = self.runs.begin(&request);
        let mut awaited = Awaited {
            invoker: self,
            entry: Some(Arc::clone(&request.entry)),
        };
        let mut outcome = self.look_up_or_execute(request).await;
        awaited.entry = None;
        run.ended(&mut outcome);
        outcome
    }

    async fn look_up_or_execute(
        self: &Arc<Self>,
        request: ResolvedCall,
    ) -> Result<Report, InvocationError> {
        match self.lookup(request)? {
            Lookup::Hit(report) => Ok(report),
            // Boxed: the future of a run has some kilobytes, which an answer would move about for nothing.
            looked => Box::pin(self.after_lookup(looked)).await,
        }
    }

    async fn after_lookup(self: &Arc<Self>, looked: Lookup) -> Result<Report, InvocationError> {
        match looked {
            Lookup::Hit(report) => Ok(report),
            Lookup::Bypass(request, ignored) => {
                let mut report = self.execute(request).await?;
                report.memo.ignore(ignored);
                Ok(report)
            }
            // What carries something shares nothing; who waits in a call holds what a run that it joined might need.
            Lookup::Miss(request, call)
                if request.call.context.client_cache.is_none()
                    && request.call.context.depth == 0 =>
            {
                self.join_or_lead(request, &call).await
            }
            Lookup::Miss(request, call) => {
                let mut report = self.execute(request).await?;
                self.keep_result(&call, &mut report);
                Ok(report)
            }
        }
    }

    /// Makes the look-ups in their order. Holds no lock for long, and makes no request.
    fn lookup(&self, mut request: ResolvedCall) -> Result<Lookup, InvocationError> {
        let flags = request.entry.function.flags;
        let client_cache = request.call.context.client_cache.clone();
        if !flags.idempotent && client_cache.is_none() {
            return Ok(Lookup::Bypass(request, Ignored::default()));
        }
        let Payload::Json(given) = &request.call.payload else {
            return Ok(Lookup::Bypass(request, Ignored::default()));
        };
        let Canonical::Yes(params) = canonical(given) else {
            return Ok(Lookup::Bypass(request, Ignored::default()));
        };
        let mut ignored = Ignored::default();
        if let Some(client_cache) = &client_cache {
            let known = self.answer_from_client(client_cache, &request, &params, &mut ignored);
            self.count_ignored(ignored);
            if let Some((result, memo)) = known {
                self.metrics
                    .cache
                    .answers
                    .with_label_values(&[memo.source.name()])
                    .inc();
                return Ok(Lookup::Hit(answer(result, memo, request.call.arrived)));
            }
        }
        if !flags.idempotent {
            return Ok(Lookup::Bypass(request, ignored));
        }
        let function = &request.entry.function;
        let key = self.result_cache.key(function, &params);
        let kept = self
            .result_cache
            .cache
            .get(&key, now(), || self.functions.generation(&function.space));
        let returns_cache = request.call.context.returns_cache;
        if let Some(StoredResult { result, called }) = kept {
            self.result_cache.hits.inc();
            let entries = self.handed_out(returns_cache, &request.entry, &params, &result);
            let memo = CacheMetadata {
                source: Source::Cache,
                entries,
                called,
                ignored,
                ..CacheMetadata::default()
            };
            return Ok(Lookup::Hit(answer(result, memo, request.call.arrived)));
        }
        if request.call.context.chain().any(|above| *above == key) {
            return Err(call_cycle(function));
        }
        let generation = self.functions.generation(&function.space);
        let entry = Arc::clone(&request.entry);
        let arrived = request.call.arrived;
        request.key = Some(key);
        request.call.payload = Payload::Json(params.clone());
        Ok(Lookup::Miss(
            request,
            CacheableCall {
                entry,
                key,
                params,
                generation,
                returns_cache,
                arrived,
                ignored,
            },
        ))
    }

    /// The answer in the client's cache, if it is believed. Entries that are not believed are counted.
    fn answer_from_client(
        &self,
        client_cache: &ClientCache,
        request: &ResolvedCall,
        params: &Bytes,
        ignored: &mut Ignored,
    ) -> Option<(Bytes, CacheMetadata)> {
        let function = &request.entry.function;
        let of = |answers: &'_ serverledge_core::ClientResults| -> Option<ClientResult> {
            answers.get(&function.name)?.get(params).cloned()
        };
        if let Some(edge) = of(&client_cache.edge) {
            if function.flags.edge {
                return Some((edge.result, shaped(Source::Edge, *ignored)));
            }
            ignored.not_edge += 1;
        }
        let entry = of(&client_cache.cache)?;
        let verdict = if function.flags.idempotent {
            self.judge(function, params, &entry)
        } else {
            MacVerdict::Forged
        };
        match verdict {
            MacVerdict::Genuine => {
                let tag = entry.tag.filter(|_| request.call.context.returns_cache);
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
                    CacheMetadata {
                        entries,
                        ..shaped(Source::ClientCache, *ignored)
                    },
                ));
            }
            // What is no entry is a result that the client computed itself.
            _ if function.flags.edge => {
                return Some((entry.result, shaped(Source::Edge, *ignored)));
            }
            MacVerdict::Forged => ignored.forged += 1,
            MacVerdict::Expired => ignored.expired += 1,
            MacVerdict::Outdated => ignored.outdated += 1,
        }
        None
    }

    fn judge(&self, function: &Function, params: &Bytes, entry: &ClientResult) -> MacVerdict {
        let (Some(tag), Canonical::Yes(result)) = (&entry.tag, canonical(&entry.result)) else {
            return MacVerdict::Forged;
        };
        self.result_cache
            .macs
            .judge(tag, &self.tagged(function, params, &result), unix_ms())
    }

    fn tagged<'a>(
        &self,
        function: &'a Function,
        params: &'a Bytes,
        result: &'a Bytes,
    ) -> MacInput<'a> {
        MacInput {
            space: &function.space,
            function: &function.name,
            version: &function.version.digest,
            generation: self.functions.generation(&function.space),
            params,
            result,
        }
    }

    /// The cache entry for the client; none if the client did not ask, or if the result has no canonical form to
    /// authenticate.
    fn handed_out(
        &self,
        wanted: bool,
        entry: &FunctionEntry,
        params: &Bytes,
        result: &Bytes,
    ) -> Vec<CacheEntry> {
        let Canonical::Yes(canonical) = (if wanted {
            canonical(result)
        } else {
            return Vec::new();
        }) else {
            return Vec::new();
        };
        let function = &entry.function;
        let tag = self
            .result_cache
            .macs
            .make(&self.tagged(function, params, &canonical), unix_ms());
        let function = function.name.clone();
        let params = params.clone();
        let result = result.clone();
        vec![CacheEntry {
            function,
            params,
            result,
            tag,
            nested: false,
        }]
    }

    /// Keeps the result of a run, if it may be kept, and adds a cache entry to the report, if the client asked for one.
    fn keep_result(&self, call: &CacheableCall, report: &mut Report) {
        let memo = &mut report.memo;
        memo.ignore(call.ignored);
        let Reply::Json(result) = &report.reply else {
            return;
        };
        if !memo.client_influenced && !memo.uncacheable {
            let generation = memo.called.then_some(call.generation);
            self.result_cache
                .cache
                .put(call.key, result, now(), generation);
        }
        // A result of an earlier generation is not vouched for in this one.
        if call.generation == self.functions.generation(&call.entry.function.space)
            && !memo.uncacheable
        {
            memo.entries.extend(self.handed_out(
                call.returns_cache,
                &call.entry,
                &call.params,
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

// === runs that calls share ===

impl Invoker {
    /// Waits for the existing run, or for a new one, up to the caller's own deadline.
    async fn join_or_lead(
        self: &Arc<Self>,
        request: ResolvedCall,
        call: &CacheableCall,
    ) -> Result<Report, InvocationError> {
        let key = RunKey {
            key: call.key,
            generation: call.generation,
            returns_cache: call.returns_cache,
            may_offload: request.call.context.may_offload,
        };
        let (waiter, leader) = self.result_cache.runs.join(key);
        let first = leader.is_some();
        if let Some(leader) = leader {
            self.start_leading(leader, &request, call);
        }
        let shared = match request.call.deadline {
            None => waiter.outcome().await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), waiter.outcome())
                .await
                .map_err(|_| late())?,
        };
        match shared {
            SharedOutcome::Done(done) if first => Ok(done.report(done.memo.source, done.phases)),
            SharedOutcome::Done(done) => {
                self.metrics
                    .cache
                    .answers
                    .with_label_values(&[Source::Joined.name()])
                    .inc();
                let total = now().saturating_duration_since(call.arrived);
                Ok(done.report(
                    Source::Joined,
                    Phases {
                        execution: done.phases.execution,
                        total,
                        ..Phases::default()
                    },
                ))
            }
            SharedOutcome::Failed(failure) => Err(InvocationError::Function(failure)),
            // Nobody waits for another one again: the others run beside each other, as far as there is room.
            SharedOutcome::Apart => match first.then(|| waiter.own()).flatten() {
                Some(own) => own.map(|done| done.report(done.memo.source, done.phases)),
                None => {
                    let mut report = self.execute(request).await?;
                    self.keep_result(call, &mut report);
                    Ok(report)
                }
            },
        }
    }

    /// Runs the call in a task of its own, under the function's own time limit, until nobody waits for it.
    fn start_leading(
        self: &Arc<Self>,
        leader: Leader,
        request: &ResolvedCall,
        call: &CacheableCall,
    ) {
        let invoker = Arc::clone(self);
        let mut request = request.again(call.params.clone());
        request.call.deadline = None;
        let CacheableCall {
            key,
            generation,
            returns_cache,
            arrived,
            ignored,
            ..
        } = *call;
        let entry = Arc::clone(&call.entry);
        let params = call.params.clone();
        let call = CacheableCall {
            entry,
            key,
            params,
            generation,
            returns_cache,
            arrived,
            ignored,
        };
        self.background.spawn(async move {
            let outcome = tokio::select! {
                outcome = invoker.lead(request, &call) => outcome,
                () = leader.abandoned() => return,
            };
            leader.tell(outcome.and_then(SharedResult::of));
        });
    }

    /// Looks up once more, then runs: an earlier run may have ended between the first look-up and this one's beginning.
    async fn lead(
        self: &Arc<Self>,
        request: ResolvedCall,
        call: &CacheableCall,
    ) -> Result<Report, InvocationError> {
        let generation = || self.functions.generation(&call.entry.function.space);
        if let Some(StoredResult { result, called }) =
            self.result_cache.cache.get(&call.key, now(), generation)
        {
            self.result_cache.hits.inc();
            let entries = self.handed_out(call.returns_cache, &call.entry, &call.params, &result);
            return Ok(answer(
                result,
                CacheMetadata {
                    source: Source::Cache,
                    entries,
                    called,
                    ..CacheMetadata::default()
                },
                call.arrived,
            ));
        }
        let mut report = self.execute(request).await?;
        self.keep_result(call, &mut report);
        Ok(report)
    }
}

impl SharedResult {
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
            memo: CacheMetadata {
                source,
                ..self.memo.clone()
            },
        }
    }
}

/// The report of a result that came without a run.
fn answer(result: Bytes, memo: CacheMetadata, arrived: Instant) -> Report {
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

/// The cache metadata of a result that came from the client's cache.
fn shaped(source: Source, ignored: Ignored) -> CacheMetadata {
    CacheMetadata {
        source,
        client_influenced: true,
        ignored,
        ..CacheMetadata::default()
    }
}

fn late() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::Deadline,
        retry_after: LATE_RETRY,
    }
}

fn call_cycle(function: &Function) -> InvocationError {
    InvocationError::Request {
        code: CALL_CYCLE,
        message: format!(
            "function {} calls itself with the same parameters, and would never end",
            function.name
        ),
    }
}
