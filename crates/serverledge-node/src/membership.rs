//! This node among the others: its record in the registry, bound to the one lease that it keeps alive, and who else runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::kv::{Kv, KvError, LeaseId, Revision};
use serverledge_registry::{KnownNode, NodeChange, NodeStore, NodeWatch, Owner};
use serverledge_wire::records::NodeRecord;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Keep-alives within one lifetime of the lease: two may be lost.
const KEEP_ALIVES: u32 = 3;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
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
    /// A node that is not registered yet.
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

    /// This life of this node: what owns the work that it begins.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The nodes in the registry.
    pub(crate) fn store(&self) -> &NodeStore {
        &self.store
    }

    /// The other nodes that are registered, as last heard.
    pub(crate) fn others(&self) -> Arc<Vec<KnownNode>> {
        self.others.load_full()
    }

    /// Some node has gone: its work wants to be taken over.
    pub(crate) fn departed(&self) -> &Notify {
        &self.departed
    }

    /// The other nodes have changed.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Whether others see this node, as far as it knows.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Acquire)
    }

    /// Where peers reach this node.
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

    /// Tells the others that this node takes nothing new. What fails here the lease's end makes good.
    pub(crate) async fn announce_draining(&self) {
        self.record.lock().draining = true;
        let lease = *self.lease.lock();
        if let Some(lease) = lease
            && let Err(error) = self.write(lease).await
        {
            tracing::warn!(%error, "failed to tell the other nodes that this one stops");
        }
    }

    /// Takes the record away.
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

    /// Knows who else runs. Runs for ever.
    pub(crate) async fn follow(&self) {
        loop {
            match self.follow_once().await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to follow the other nodes; those known are used on");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn follow_once(&self) -> Result<(), KvError> {
        let from = self.load().await?;
        let mut watch = self.store.watch(Some(from)).await?;
        let due = Instant::now() + self.resync_every;
        while let Some(changes) = next_until(&mut watch, due).await {
            for change in changes {
                self.apply(change);
            }
        }
        Ok(())
    }

    /// Reads all nodes; returns the revision from which to watch.
    pub(crate) async fn load(&self) -> Result<Revision, KvError> {
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

    fn apply(&self, change: NodeChange) {
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

    /// Two nodes with one id would take each other's work over for ever.
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

/// The next changes, or `None` when the time has come, or the watch has ended.
async fn next_until(watch: &mut NodeWatch, due: Instant) -> Option<Vec<NodeChange>> {
    match tokio::time::timeout_at(due, watch.next()).await {
        Ok(Ok(changes)) => Some(changes),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the watch over the nodes ended");
            tokio::time::sleep(RETRY_PAUSE).await;
            None
        }
        Err(_) => None,
    }
}
