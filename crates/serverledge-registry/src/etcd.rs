//! The store of a cluster: [`Kv`] on etcd.
//!
//! Nothing here runs in the background. A connection is made when it is needed and made again after a failure; every
//! request (of a long range: each of its pages) ends within [`EtcdOptions::request_timeout`]; watches go on by
//! themselves. While idle nothing is written: keep-alives and pings are no writes in etcd. One key is written in a
//! cluster's lifetime, which tells stores apart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serverledge_core::kv::{
    KeyValue, Kv, KvError, LEASE_TTL_MAX, LEASE_TTL_MIN, Lease, LeaseId, Op, RangeReply,
    RangeRequest, Revision, Status, Txn, TxnReply, Watch,
};
use tokio::sync::watch as signal;
use tokio::time::timeout;

mod fault;
mod grpc;
mod identity;
mod leases;
mod link;
mod memory;
mod messages;
mod options;
mod pages;
mod translate;
mod watch;

pub use fault::EtcdFault;
pub use options::{EtcdOptions, EtcdOptionsError, EtcdTls, EtcdUser, PREFIX_DEFAULT};

use fault::EtcdRefusal;
use grpc::CallError;
use identity::identify;
use leases::KeepAlives;
use link::{EtcdLink, EtcdSession, RetrySafety};
use memory::{Memory, Sight, Stamp};
use messages::{RangeRequest as EtcdRange, ResponseHeader};
use translate::{Prefix, lease_id, sight, signed, unsigned};
use watch::EtcdWatch;

/// etcd's alarm for an exceeded quota, in its status.
const ALARM_FULL: &str = "NOSPACE";
/// Longest time that etcd may take to end a watch from a forgotten revision, which it does within 100 ms on a quiet machine.
const OLDEST_WAIT_MAX: Duration = Duration::from_secs(10);

/// A connection to etcd, or to a cluster of it. Made without one: etcd may be started later.
///
/// The error of a write tells its outcome: `RegistryFull` and all typed errors say that nothing changed. So does
/// `Unavailable` if [`EtcdFault::may_have_happened`] denies it. Otherwise the write may have been applied, or still be
/// applied shortly after. It is never sent a second time by itself: look at what it would have changed, or write with a
/// compare that fails the second time. Reads are asked again as long as their time allows.
pub struct Etcd {
    core: Arc<Core>,
    keep_alives: KeepAlives,
}

/// The space that an etcd uses, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdUsage {
    /// Bytes of its file: what the quota counts. Only defragmentation makes it smaller.
    pub bytes_used: u64,
    /// Bytes that are in use in it; the rest is free after a defragmentation, or reused.
    pub bytes_in_use: u64,
    /// The quota: etcd's own word (from 3.6 on), else [`EtcdOptions::quota_bytes`].
    pub bytes_max: Option<u64>,
    /// etcd has raised its alarm and refuses puts and leases, until somebody compacts, defragments and disarms.
    pub full: bool,
}

/// The state that requests and watches share.
struct Core {
    link: EtcdLink,
    memory: Arc<Memory>,
    prefix: Prefix,
}

/// The result of reading the store's identity.
#[derive(Debug, Clone, Copy)]
struct Look {
    epoch: u64,
    sight: Sight,
}

// === impl Etcd ===

impl Etcd {
    /// A store on these endpoints. Does not connect: what is wrong with etcd is told by the requests.
    ///
    /// # Errors
    /// [`EtcdOptionsError`] if the options are wrong.
    pub fn new(options: EtcdOptions) -> Result<Self, EtcdOptionsError> {
        let prefix = Prefix::new(&options.prefix);
        let memory = Arc::new(Memory::new());
        let link = EtcdLink::new(options, memory.clone(), prefix.identity())?;
        let core = Arc::new(Core {
            link,
            memory,
            prefix,
        });
        Ok(Self {
            core,
            keep_alives: KeepAlives::default(),
        })
    }

    /// Returns the space that etcd uses, as the member that is asked reports it. A dropped future has no effect.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn usage(&self) -> Result<EtcdUsage, KvError> {
        self.core
            .usage()
            .await
            .map_err(|refusal| refusal.into_kv("read the registry's size"))
    }

    /// A number that grows whenever another store was noticed in the place of the one before (wiped, restored, or
    /// another cluster at the same addresses). Everything that was read before is void then. Running watches end with
    /// `Compacted`, which asks for the same; this is for those who hold positions or copies without a watch.
    #[must_use]
    pub fn replacements(&self) -> signal::Receiver<u64> {
        self.core.memory.epochs()
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("options", self.core.link.options())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Kv for Etcd {
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        let (core, key) = (&self.core, self.core.prefix.key(key));
        let stamp = core.memory.stamp();
        let asked = core.link.call(RetrySafety::Repeatable, |session| {
            let request = EtcdRange {
                key: key.clone(),
                ..EtcdRange::default()
            };
            async move { session.etcd.range(request).await }
        });
        let reply = asked
            .await
            .map_err(|refusal| refusal.into_kv("read a key"))?;
        core.saw(stamp, reply.header.as_ref());
        Ok(reply
            .kvs
            .into_iter()
            .next()
            .map(|entry| core.prefix.entry(entry)))
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError> {
        pages::range(&self.core, &request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        txn.check()?;
        let core = &self.core;
        let stamp = core.memory.stamp();
        let kind = if reads_only(&txn) {
            RetrySafety::Repeatable
        } else {
            RetrySafety::Once
        };
        let asked = core.link.call(kind, |session| {
            let request = core.prefix.txn(&txn);
            async move { session.etcd.txn(request).await }
        });
        match asked.await {
            Ok(reply) => {
                core.saw(stamp, reply.header.as_ref());
                Ok(core.prefix.txn_reply(&txn, reply))
            }
            Err(EtcdRefusal::LeaseUnknown) => Err(core.unknown_lease(&txn).await),
            Err(EtcdRefusal::RequestTooLarge) => Err(KvError::TxnTooLarge(bytes_of(&txn))),
            Err(EtcdRefusal::TooManyOps) => {
                let ops = txn
                    .compares
                    .len()
                    .max(txn.then.len())
                    .max(txn.otherwise.len());
                Err(KvError::TooManyOps(ops))
            }
            Err(other) => Err(other.into_kv("run a transaction")),
        }
    }

    async fn watch(
        &self,
        prefix: &[u8],
        from: Option<Revision>,
    ) -> Result<Box<dyn Watch>, KvError> {
        // Made first: a replacement that is noticed from here on ends it.
        let watch = |next| Box::new(EtcdWatch::new(self.core.clone(), prefix, next));
        if let Some(from) = from {
            return Ok(watch(from.get()));
        }
        let mut now = watch(0);
        let look = self
            .core
            .look()
            .await
            .map_err(|refusal| refusal.into_kv("begin a watch"))?;
        now.begin_after(look.sight.revision, look.epoch);
        Ok(now)
    }

    /// Concerns all of etcd, not only the keys under the prefix. Nodes need not call it: etcd compacts by itself if it is
    /// told to (`--auto-compaction-retention`).
    async fn compact(&self, at: Revision) -> Result<(), KvError> {
        let asked = self
            .core
            .link
            .call(RetrySafety::Once, |session| async move {
                session.etcd.compact(signed(at.get())).await
            });
        match asked.await {
            Ok(_) => Ok(()),
            // Whatever is older than `at` is forgotten, perhaps more.
            Err(EtcdRefusal::Compacted) => Err(KvError::Compacted(
                self.core
                    .oldest(at.get().saturating_sub(1))
                    .await
                    .unwrap_or(at),
            )),
            Err(refusal) => Err(self
                .core
                .of_revision(refusal, at, "compact the registry")
                .await),
        }
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        let ttl = ttl.clamp(LEASE_TTL_MIN, LEASE_TTL_MAX);
        let seconds = signed(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0));
        let asked = self
            .core
            .link
            .call(RetrySafety::Once, |session| async move {
                session.etcd.lease_grant(seconds).await
            });
        let granted = asked
            .await
            .map_err(|refusal| refusal.into_kv("grant a lease"))?;
        let nameless =
            || EtcdRefusal::new("", CallError::Stream("a lease without an id".to_owned()));
        let id = lease_id(granted.id).ok_or_else(|| nameless().into_kv("grant a lease"))?;
        Ok(Lease {
            id,
            ttl: Duration::from_secs(unsigned(granted.ttl)),
        })
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        match self.keep_alives.renew(&self.core.link, lease).await {
            Ok(Duration::ZERO) | Err(EtcdRefusal::LeaseUnknown) => {
                Err(KvError::LeaseUnknown(lease))
            }
            Ok(ttl) => Ok(ttl),
            Err(other) => Err(other.into_kv("keep a lease alive")),
        }
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        let asked = self
            .core
            .link
            .call(RetrySafety::Once, |session| async move {
                session.etcd.lease_revoke(signed(lease.get())).await
            });
        match asked.await {
            Ok(_) => Ok(()),
            Err(EtcdRefusal::LeaseUnknown) => Err(KvError::LeaseUnknown(lease)),
            Err(other) => Err(other.into_kv("revoke a lease")),
        }
    }

    async fn status(&self) -> Result<Status, KvError> {
        let (look, usage) = tokio::join!(self.core.look(), self.core.usage());
        let unavailable = |refusal: EtcdRefusal| refusal.into_kv("read the registry's status");
        let sight = look.map_err(unavailable)?.sight;
        let usage = usage.map_err(unavailable)?;
        Ok(Status {
            cluster: sight.cluster ^ sight.identity.unwrap_or_default().rotate_left(1),
            revision: Revision::new(sight.revision),
            bytes_used: usage.bytes_used,
            bytes_in_use: usage.bytes_in_use,
            bytes_max: usage.bytes_max,
        })
    }
}

fn reads_only(txn: &Txn) -> bool {
    txn.then
        .iter()
        .chain(&txn.otherwise)
        .all(|op| matches!(op, Op::Get { .. }))
}

fn bytes_of(txn: &Txn) -> usize {
    let ops = txn.then.iter().chain(&txn.otherwise).map(|op| match op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Delete { key } | Op::Get { key } | Op::DeletePrefix { prefix: key } => key.len(),
    });
    ops.sum::<usize>()
        + txn
            .compares
            .iter()
            .map(|compare| compare.key.len())
            .sum::<usize>()
}

// === impl Core ===

impl Core {
    fn saw(&self, stamp: Stamp, header: Option<&ResponseHeader>) -> u64 {
        self.memory.saw(stamp, sight(header))
    }

    /// Looks which store this is, and how new; a store that has no identity gets one.
    async fn look(&self) -> Result<Look, EtcdRefusal> {
        let stamp = self.memory.stamp();
        let sight = self
            .link
            .call(RetrySafety::Repeatable, |session| {
                identify(session.etcd, self.prefix.identity())
            })
            .await?;
        Ok(Look {
            epoch: self.memory.saw(stamp, sight),
            sight,
        })
    }

    /// The same over one connection: to know where that one leads.
    async fn look_through(&self, session: &EtcdSession) -> Result<Look, EtcdRefusal> {
        let stamp = self.memory.stamp();
        let sight = identify(session.etcd.clone(), self.prefix.identity())
            .await
            .map_err(|error| EtcdRefusal::new(self.link.endpoint_of(session), error))?;
        Ok(Look {
            epoch: self.memory.saw(stamp, sight),
            sight,
        })
    }

    async fn usage(&self) -> Result<EtcdUsage, EtcdRefusal> {
        let asked = self
            .link
            .call(RetrySafety::Repeatable, |session| async move {
                session.etcd.status().await
            });
        let status = asked.await?;
        let quota = Some(unsigned(status.db_size_quota)).filter(|quota| *quota > 0);
        Ok(EtcdUsage {
            bytes_used: unsigned(status.db_size),
            bytes_in_use: unsigned(status.db_size_in_use),
            bytes_max: quota.or(self.link.options().quota_bytes),
            full: status.errors.iter().any(|error| error.contains(ALARM_FULL)),
        })
    }

    /// Returns the error for a refused revision, with the numbers that etcd leaves out.
    async fn of_revision(
        &self,
        refusal: EtcdRefusal,
        asked: Revision,
        attempt: &'static str,
    ) -> KvError {
        match refusal {
            // If it cannot be learnt: the first that could be, and reading there tells more.
            EtcdRefusal::Compacted => {
                KvError::Compacted(self.oldest(asked.get()).await.unwrap_or(asked.next()))
            }
            EtcdRefusal::Future => match self.look().await {
                Ok(look) => KvError::FutureRevision {
                    asked,
                    now: Revision::new(look.sight.revision),
                },
                Err(other) => other.into_kv(attempt),
            },
            other => other.into_kv(attempt),
        }
    }

    /// The oldest revision that etcd still has, if `forgotten` is older and etcd tells it soon.
    async fn oldest(&self, forgotten: u64) -> Option<Revision> {
        let key = self.prefix.identity();
        let asked = self.link.call(RetrySafety::Repeatable, |session| {
            watch::oldest(session, key.clone(), forgotten)
        });
        timeout(OLDEST_WAIT_MAX, asked).await.ok()?.ok()
    }

    /// Finds the lease of a transaction that is unknown; etcd does not name it.
    async fn unknown_lease(&self, txn: &Txn) -> KvError {
        let mut leases: Vec<_> = txn
            .then
            .iter()
            .chain(&txn.otherwise)
            .filter_map(lease_of)
            .collect();
        leases.dedup();
        for lease in leases.iter().take(leases.len().saturating_sub(1)) {
            let id = signed(lease.get());
            let asked = self
                .link
                .call(RetrySafety::Repeatable, |session| async move {
                    session.etcd.lease_time_to_live(id).await
                });
            if asked.await.is_ok_and(|answer| answer.ttl < 0) {
                return KvError::LeaseUnknown(*lease);
            }
        }
        match leases.last() {
            Some(lease) => KvError::LeaseUnknown(*lease),
            None => EtcdRefusal::LeaseUnknown.into_kv("run a transaction"),
        }
    }
}

fn lease_of(op: &Op) -> Option<LeaseId> {
    match op {
        Op::Put { lease, .. } => *lease,
        Op::Delete { .. } | Op::DeletePrefix { .. } | Op::Get { .. } => None,
    }
}
