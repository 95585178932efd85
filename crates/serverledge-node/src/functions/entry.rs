//! A function as the node keeps it: its record, the needs of its calls, and the version that calls run for now.
//!
//! A version that another node deployed is prepared here first. Until then the function goes on with its previous
//! version: the entry of the new one holds the entry of the earlier one.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serverledge_core::kv::Revision;
use serverledge_core::{Digest, Function, InstanceKey, Isolation};
use serverledge_registry::Deployed;
use serverledge_scheduler::{Arrival, Demand, FunctionKey, PoolKey, Pooled};

use crate::executors::is_pooled;
use crate::functions::logs::KeptLog;
use crate::metrics::{FunctionMetrics, Metrics};
use crate::runs::record::RunFunction;

/// Separates this use of BLAKE3 from all others.
const POOL_DOMAIN: &str = "serverledge 2026 sandbox pool 1";
/// Separates this use of BLAKE3 from all others.
const INSTANCE_DOMAIN: &str = "serverledge 2026 kept instance 1";
/// Bit: the version is prepared on this node.
const READY: u8 = 1;
/// Bit: the function was called since the last look.
const CALLED: u8 = 2;

/// A function and the node's state beside it.
#[derive(Debug)]
pub(crate) struct FunctionEntry {
    pub(crate) function: Arc<Function>,
    /// The registry's revision of the record; older ones never replace it.
    pub(super) revision: Revision,
    /// The revision since which the function exists without a break; the least one where that is not known.
    created: Revision,
    metrics: OnceLock<FunctionMetrics>,
    log: OnceLock<Arc<KeptLog>>,
    run_function: OnceLock<Arc<RunFunction>>,
    /// The pooled sandboxes that it can run in; `None` if each call has its own.
    pub(crate) pooled: Option<Pooled>,
    /// The key of the durations that policies learn: one for each version.
    pub(crate) key: FunctionKey,
    /// The key of the instances that its calls may share.
    instance: InstanceKey,
    /// Length of the code; 0 where the record does not say it.
    pub(crate) code_bytes: u64,
    /// [`READY`] and [`CALLED`], in one word: calls read both at once.
    state: AtomicU8,
    /// The version that calls run until this one is prepared.
    earlier: Mutex<Option<Arc<FunctionEntry>>>,
}

impl FunctionEntry {
    pub(super) fn new(
        Deployed {
            function,
            revision,
            code_bytes,
            created,
            ..
        }: Deployed,
        ready: bool,
    ) -> Self {
        let pooled = pooled(&function);
        let instance = InstanceKey::new(owned_digest(INSTANCE_DOMAIN, &function));
        let digest = function.version.digest;
        let key = digest
            .as_bytes()
            .first_chunk()
            .map_or(FunctionKey::NONE, |bytes| {
                FunctionKey(u64::from_le_bytes(*bytes))
            });
        let metrics = OnceLock::new();
        let log = OnceLock::new();
        let run_function = OnceLock::new();
        let earlier = Mutex::default();
        let state = AtomicU8::new(u8::from(ready) * READY);
        Self {
            function,
            revision,
            created,
            metrics,
            log,
            run_function,
            pooled,
            key,
            instance,
            code_bytes,
            state,
            earlier,
        }
    }

    /// The request of one call to the scheduler.
    pub(crate) fn arrival(&self) -> Arrival {
        let limits = &self.function.version.limits;
        let demand = if self.pooled.is_some() {
            Demand::pooled_of(limits)
        } else {
            Demand::of(limits)
        };
        Arrival {
            demand,
            pool: self.pooled,
            function: self.key,
            ..Arrival::default()
        }
    }

    /// The key of the instances that its calls may share on a node of this isolation; `None`: each call has its own.
    pub(crate) fn instance_on(&self, node: Isolation) -> Option<InstanceKey> {
        let own = self.function.flags.isolation;
        (node == Isolation::Kept && own == Isolation::Kept).then_some(self.instance)
    }

    /// The function's metrics, created at its first invocation.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> &FunctionMetrics {
        self.metrics
            .get_or_init(|| metrics.of_function(&label(&self.function)))
    }

    /// The function's log, found at its first invocation.
    pub(crate) fn log(&self, find: impl FnOnce(&Function) -> Arc<KeptLog>) -> &Arc<KeptLog> {
        self.log.get_or_init(|| find(&self.function))
    }

    /// The part that the records of its runs share, made at its first invocation.
    pub(crate) fn run_function(
        &self,
        make: impl FnOnce(&Function) -> Arc<RunFunction>,
    ) -> &Arc<RunFunction> {
        self.run_function.get_or_init(|| make(&self.function))
    }

    /// The digest of the version.
    pub(crate) fn digest(&self) -> &Digest {
        &self.function.version.digest
    }

    /// Whether a record of this revision is newer.
    pub(crate) fn is_before(&self, revision: Revision) -> bool {
        self.revision < revision
    }

    /// Whether the version is prepared on this node.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.load(Ordering::Acquire) & READY != 0
    }

    /// The version that calls of the function run now: this one if it is prepared or there is no other, else the
    /// earlier one. Notes that there was a call.
    pub(crate) fn served(self: Arc<Self>) -> Arc<Self> {
        // One load for almost every call.
        if self.state.load(Ordering::Acquire) == READY | CALLED {
            return self;
        }
        self.state.fetch_or(CALLED, Ordering::AcqRel);
        self.runs_as()
    }

    /// The same as [`Self::served`], without noting a call.
    pub(crate) fn runs_as(self: Arc<Self>) -> Arc<Self> {
        if self.is_ready() {
            return self;
        }
        self.earlier().unwrap_or(self)
    }

    /// The version that calls run until this one is prepared, if there is one.
    pub(crate) fn earlier(&self) -> Option<Arc<Self>> {
        self.earlier
            .lock()
            .clone()
            .filter(|earlier| earlier.is_ready())
    }

    /// This version or the earlier one, whichever is one of these and prepared; this one first.
    pub(crate) fn prepared_as(
        self: &Arc<Self>,
        wanted: impl Fn(&Digest) -> bool,
    ) -> Option<Arc<Self>> {
        if self.is_ready() {
            return wanted(self.digest()).then(|| Arc::clone(self));
        }
        self.earlier().filter(|earlier| wanted(earlier.digest()))
    }

    /// Notes that the preparation is lost: it is repeated before the version runs.
    pub(crate) fn lost(&self) {
        self.state.fetch_and(!READY, Ordering::AcqRel);
    }

    /// Marks it as prepared. Returns the earlier version, which nobody needs any more.
    pub(crate) fn set_ready(&self) -> Option<Arc<Self>> {
        let mut earlier = self.earlier.lock();
        self.state.fetch_or(READY, Ordering::AcqRel);
        earlier.take()
    }

    /// Whether it was called since the last time that this was asked.
    pub(crate) fn take_called(&self) -> bool {
        self.state.fetch_and(!CALLED, Ordering::AcqRel) & CALLED != 0
    }

    /// Takes over the state of the entry that this one replaces: until this one is prepared, calls run the version that
    /// ran before. Returns the versions that they run no more.
    pub(super) fn follow(&self, old: &Arc<Self>) -> Vec<Arc<Self>> {
        self.state
            .fetch_or(old.state.load(Ordering::Acquire) & CALLED, Ordering::AcqRel);
        let ran = Arc::clone(old).runs_as();
        // One that was deleted in between is another function of the same name.
        let goes_on = !self.is_ready() && ran.is_ready() && ran.revision >= self.created;
        if goes_on {
            *self.earlier.lock() = Some(ran);
            return Vec::new();
        }
        if Arc::ptr_eq(&ran, old) {
            vec![ran]
        } else {
            vec![ran, Arc::clone(old)]
        }
    }

    /// Runs a prepared older version until this one is prepared, if it is newer than the one that would run. Returns
    /// the version that runs no more, or the offered one if it is of no use.
    pub(super) fn offer(&self, older: Arc<Self>) -> Option<Arc<Self>> {
        let mut earlier = self.earlier.lock();
        let newer = earlier
            .as_ref()
            .is_none_or(|known| known.revision < older.revision);
        let own = older.revision >= self.created && older.revision < self.revision;
        if self.is_ready() || !newer || !own {
            return Some(older);
        }
        earlier.replace(older)
    }
}

/// The label of a function in metrics that cover all spaces: its name alone in the default space. People are shown
/// [`shown_label`](crate::functions::warm::shown_label).
pub(crate) fn label(function: &Function) -> String {
    if function.space.is_default() {
        function.name.to_string()
    } else {
        format!("{}/{}", function.space, function.name)
    }
}

/// The pooled sandboxes of a function: those of [`owned_digest`].
pub(crate) fn pooled(function: &Function) -> Option<Pooled> {
    if !is_pooled(function.version.runtime) {
        return None;
    }
    let key = PoolKey(Digest::new(owned_digest(POOL_DOMAIN, function)));
    Some(Pooled {
        key,
        concurrency: function.version.limits.max_concurrency,
    })
}

/// A digest of space, name and version: of this version, and of this owner's function alone, even if another owner has
/// equal code.
fn owned_digest(domain: &str, function: &Function) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in [function.space.as_str(), function.name.as_str()] {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    hasher.update(function.version.digest.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use serverledge_core::{Flags, SpaceId};

    use super::*;
    use crate::functions::tests::{deployed, versioned};

    fn entry(function: Function) -> FunctionEntry {
        FunctionEntry::new(deployed(function, Revision::default()), true)
    }

    #[test]
    fn calls_share_instances_within_one_version_of_one_function() {
        let kept = |function: Function| entry(function).instance_on(Isolation::Kept).unwrap();
        let known = [
            versioned("f", 1),
            versioned("g", 1),
            versioned("f", 2),
            Function {
                space: SpaceId::new(),
                ..versioned("f", 1)
            },
        ];
        let keys: Vec<InstanceKey> = known.iter().cloned().map(kept).collect();
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{:?}", known[at]);
        }
        assert_eq!(kept(versioned("f", 1)), keys[0], "it is the same each time");
        let flags = Flags {
            idempotent: true,
            edge: true,
            ..Flags::default()
        };
        let flagged = Function {
            flags,
            ..versioned("f", 1)
        };
        assert_eq!(kept(flagged), keys[0], "other flags are no part of it");
    }

    #[test]
    fn a_fresh_function_or_node_shares_none() {
        let function = |isolation: Isolation| Function {
            flags: Flags {
                isolation,
                ..Flags::default()
            },
            ..versioned("f", 1)
        };
        for (of_function, of_node, shares) in [
            (Isolation::Kept, Isolation::Kept, true),
            (Isolation::Kept, Isolation::Fresh, false),
            (Isolation::Fresh, Isolation::Kept, false),
            (Isolation::Fresh, Isolation::Fresh, false),
        ] {
            let key = entry(function(of_function)).instance_on(of_node);
            assert_eq!(key.is_some(), shares, "{of_function:?} on {of_node:?}");
        }
    }
}
