//! This node among the others: its record in the registry, bound to the one lease that it keeps alive, and the other
//! nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::InvocationId;
use serverledge_core::kv::{Kv, KvError, LeaseId, Revision};
use serverledge_registry::{ChangeWatch, Follower, KnownNode, NodeChange, NodeStore, Owner};
use serverledge_wire::header::ARCH;
use serverledge_wire::records::{NodeRecord, Record};
use tokio::sync::Notify;

use crate::clock::unix_ms;

/// Keep-alives within one lifetime of the lease: two may be lost.
const KEEP_ALIVES: u32 = 3;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The membership of this node; see the module.
#[derive(Debug)]
pub(crate) struct Membership {
    owner: Owner,
    kv: Arc<dyn Kv>,
    store: NodeStore,
    ttl: Duration,
    resync_every: Duration,
    record: Mutex<NodeRecord>,
    lease: Mutex<Option<LeaseId>>,
    registered: AtomicBool,
    others: ArcSwap<Vec<KnownNode>>,
    departed: Notify,
    changed: Notify,
}

impl Membership {
    /// The membership of a node that is not registered yet.
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        area: &str,
        node: &str,
        record: NodeRecord,
        ttl: Duration,
        resync_every: Duration,
    ) -> Self {
        let owner = Owner {
            area: area.to_owned(),
            node: node.to_owned(),
            epoch: record.epoch.clone(),
        };
        Self {
            owner,
            store: NodeStore::new(Arc::clone(&kv)),
            kv,
            ttl,
            resync_every,
            record: Mutex::new(record),
            lease: Mutex::new(None),
            registered: AtomicBool::new(false),
            others: ArcSwap::default(),
            departed: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// This process of this node: the owner of the work that it begins.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The nodes in the registry.
    pub(crate) fn store(&self) -> &NodeStore {
        &self.store
    }

    /// The other registered nodes, as last heard.
    pub(crate) fn others(&self) -> Arc<Vec<KnownNode>> {
        self.others.load_full()
    }

    /// Notified when a node has gone: its work is to be taken over.
    pub(crate) fn departed(&self) -> &Notify {
        &self.departed
    }

    /// Notified when the other nodes have changed.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Whether others see this node, as far as it knows.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Acquire)
    }

    /// Sets the URL at which peers reach this node.
    pub(crate) fn set_url(&self, url: String) {
        self.record.lock().url = url;
    }

    /// Takes a lease and writes the record under it.
    pub(crate) async fn register(&self) -> Result<(), KvError> {
        self.registered.store(false, Ordering::Release);
        let lease = self.kv.lease_grant(self.ttl).await?.id;
        *self.lease.lock() = Some(lease);
        self.write(lease).await
    }

    async fn write(&self, lease: LeaseId) -> Result<(), KvError> {
        let record = self.record.lock().clone();
        self.store
            .register(&self.owner.area, &self.owner.node, &record, lease)
            .await?;
        self.registered.store(true, Ordering::Release);
        Ok(())
    }

    /// Announces that this node accepts nothing new. If this fails, the end of the lease has the same effect.
    pub(crate) async fn announce_draining(&self) {
        self.record.lock().draining = true;
        let lease = *self.lease.lock();
        if let Some(lease) = lease
            && let Err(error) = self.write(lease).await
        {
            tracing::warn!(%error, "failed to tell the other nodes that this one stops");
        }
    }

    /// Removes the record.
    pub(crate) async fn leave(&self) {
        self.registered.store(false, Ordering::Release);
        let lease = self.lease.lock().take();
        if let Some(lease) = lease
            && let Err(error) = self.kv.lease_revoke(lease).await
        {
            tracing::warn!(%error, "failed to take this node's record out of the registry; it ends with its lease");
        }
    }

    /// Keeps the lease alive, and registers again when it was lost. Runs for ever.
    pub(crate) async fn keep_registered(&self) {
        loop {
            let pause = if self.is_registered() {
                self.ttl / KEEP_ALIVES
            } else {
                RETRY_PAUSE
            };
            tokio::time::sleep(pause).await;
            if let Err(error) = self.keep_once().await {
                tracing::warn!(%error, "failed to keep this node registered; trying again");
            }
        }
    }

    async fn keep_once(&self) -> Result<(), KvError> {
        let lease = *self.lease.lock();
        let (Some(lease), true) = (lease, self.is_registered()) else {
            return self.register().await;
        };
        match self.kv.lease_keep_alive(lease).await {
            Ok(_) => Ok(()),
            Err(KvError::LeaseUnknown { .. }) => {
                tracing::warn!("this node's lease was lost; registering again");
                self.register().await
            }
            Err(error) => Err(error),
        }
    }

    fn apply_change(&self, change: NodeChange) {
        match change {
            NodeChange::Up(known) if self.is_me(&known.area, &known.node) => {
                return self.check_life(&known);
            }
            NodeChange::Up(known) => {
                let mut others = Vec::clone(&self.others.load());
                let earlier = others
                    .iter()
                    .position(|one| one.area == known.area && one.node == known.node);
                if let Some(at) = earlier {
                    let old = others.swap_remove(at);
                    if old.record.epoch != known.record.epoch {
                        self.departed.notify_one();
                    }
                }
                others.push(known);
                self.others.store(Arc::new(others));
            }
            NodeChange::Down { area, node } if self.is_me(&area, &node) => {
                // Unless this node has taken it away itself.
                if self.lease.lock().is_some() {
                    self.registered.store(false, Ordering::Release);
                }
            }
            NodeChange::Down { area, node } => {
                let mut others = Vec::clone(&self.others.load());
                others.retain(|one| (&one.area, &one.node) != (&area, &node));
                self.others.store(Arc::new(others));
                self.departed.notify_one();
            }
        }
        self.changed.notify_one();
    }

    fn is_me(&self, area: &str, node: &str) -> bool {
        (area, node) == (self.owner.area.as_str(), self.owner.node.as_str())
    }

    /// Warns of a second node with this id: two nodes with one id would take each other's work over for ever.
    fn check_life(&self, known: &KnownNode) {
        if known.record.epoch != self.owner.epoch
            && known.record.started_unix_ms > self.record.lock().started_unix_ms
        {
            tracing::error!(
                node = self.owner.node,
                area = self.owner.area,
                url = known.record.url,
                "another node has this node's id (registry.node.id); give each its own"
            );
        }
    }
}

/// The record of this process in this life, without a URL, and without resources to offer.
pub(crate) fn node_record(kind: &str) -> NodeRecord {
    NodeRecord {
        schema: NodeRecord::SCHEMA,
        epoch: InvocationId::new().to_string(),
        kind: kind.to_owned(),
        url: String::new(),
        arch: ARCH.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        memory_mib: 0,
        cpu_milli: 0,
        runtimes: Vec::new(),
        draining: false,
        started_unix_ms: unix_ms(),
    }
}

impl Follower for Membership {
    type Change = NodeChange;

    const PART: &'static str = "the other nodes";
    const MEANWHILE: &'static str = "those known are used on";

    fn resync_every(&self) -> Duration {
        self.resync_every
    }

    async fn load(&self) -> Result<Revision, KvError> {
        let loaded = self.store.load_all().await?;
        let mut mine = false;
        let mut others = Vec::with_capacity(loaded.nodes.len());
        for known in loaded.nodes {
            if self.is_me(&known.area, &known.node) {
                mine = known.record.epoch == self.owner.epoch;
                self.check_life(&known);
            } else {
                others.push(known);
            }
        }
        if !mine && self.registered.swap(false, Ordering::AcqRel) {
            tracing::warn!("this node's record is not in the registry; registering again");
        }
        let before = self.others.swap(Arc::new(others));
        let now = self.others.load();
        let stays = |one: &KnownNode| {
            now.iter().any(|other| {
                (&other.area, &other.node, &other.record.epoch)
                    == (&one.area, &one.node, &one.record.epoch)
            })
        };
        if !before.iter().all(stays) {
            self.departed.notify_one();
        }
        self.changed.notify_one();
        Ok(loaded.revision.next())
    }

    async fn watch(&self, from: Revision) -> Result<ChangeWatch<NodeChange>, KvError> {
        self.store.watch(Some(from)).await
    }

    async fn apply(&self, changes: Vec<NodeChange>) {
        changes
            .into_iter()
            .for_each(|change| self.apply_change(change));
    }
}
