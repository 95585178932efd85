//! The nodes that are running: each keeps one record, bound to its one lease, and nothing else hangs on a lease. A node
//! whose record is missing, or of another life, is gone.

use std::sync::Arc;

use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, LeaseId, Op, RangeRequest, Revision, Txn,
};
use serverledge_wire::records::{NodeRecord, Record};

use crate::follow::ChangeWatch;
use crate::{keys, paging};

/// Records read at once.
const PAGE: usize = 500;

/// One life of a node: what owns the work that the node has begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its area.
    pub area: String,
    /// Its id.
    pub node: String,
    /// Its epoch: tells the lives of a node apart.
    pub epoch: String,
}

/// A running node as the registry shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Its area.
    pub area: String,
    /// Its id.
    pub node: String,
    /// Its record.
    pub record: NodeRecord,
    /// The record's revision.
    pub revision: Revision,
}

/// All nodes at one moment.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// Those whose records could be read; others are logged and left alone.
    pub nodes: Vec<KnownNode>,
    /// The moment; watch from the revision after it.
    pub revision: Revision,
}

/// A change among the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// Started, or changed its record.
    Up(KnownNode),
    /// Stopped, or its lease has ended.
    Down {
        /// Its area.
        area: String,
        /// Its id.
        node: String,
    },
}

/// The proof that an owner is gone, to be checked once more in the transaction that takes its work over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Holds as long as the owner has not come back.
    pub compare: Compare,
}

/// The nodes in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct NodeStore {
    kv: Arc<dyn Kv>,
}

// === impl NodeStore ===

impl NodeStore {
    /// The nodes of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Writes a node's record, bound to its lease. An earlier life's record is replaced: its work may be taken over.
    ///
    /// # Errors
    /// `LeaseUnknown` if the lease has ended: take a new one.
    pub async fn register(
        &self,
        area: &str,
        node: &str,
        record: &NodeRecord,
        lease: LeaseId,
    ) -> Result<Revision, KvError> {
        let put = Op::Put {
            key: keys::node(area, node),
            value: record.to_value(),
            lease: Some(lease),
        };
        Ok(self.kv.txn(Txn::new().then(put)).await?.revision)
    }

    /// One node, `None` if it is not running (or its record cannot be read).
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn get(&self, area: &str, node: &str) -> Result<Option<KnownNode>, KvError> {
        Ok(self
            .kv
            .get(&keys::node(area, node))
            .await?
            .as_ref()
            .and_then(decode))
    }

    /// All running nodes.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn load_all(&self) -> Result<Nodes, KvError> {
        let request = RangeRequest::prefix(keys::NODES).limit(PAGE);
        let (entries, revision) = paging::read_all(&*self.kv, request).await?;
        Ok(Nodes {
            nodes: entries.iter().filter_map(decode).collect(),
            revision,
        })
    }

    /// Watches all nodes; `from` as in [`Kv::watch`]: after [`Self::load_all`], the revision after its own.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch(&self, from: Option<Revision>) -> Result<ChangeWatch<NodeChange>, KvError> {
        let watch = self.kv.watch(keys::NODES.as_bytes(), from).await?;
        Ok(ChangeWatch::new(vec![watch], change))
    }

    /// Whether an owner is gone: its node is not registered, or has begun another life. `None` if it lives, or if its
    /// record cannot be read (then nothing is known).
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn gone(&self, owner: &Owner) -> Result<Option<Gone>, KvError> {
        let key = keys::node(&owner.area, &owner.node);
        let Some(entry) = self.kv.get(&key).await? else {
            return Ok(Some(Gone {
                compare: Compare::missing(key),
            }));
        };
        let other_life = decode(&entry).is_some_and(|known| known.record.epoch != owner.epoch);
        Ok(other_life.then(|| Gone {
            compare: Compare::mod_revision(key, entry.mod_revision),
        }))
    }
}

fn decode(entry: &KeyValue) -> Option<KnownNode> {
    let known = keys::parse_node(&entry.key).zip(NodeRecord::from_value(&entry.value).ok());
    if known.is_none() {
        let key = String::from_utf8_lossy(&entry.key);
        tracing::warn!(%key, "a node's record cannot be read; it is left alone");
    }
    let ((area, node), record) = known?;
    Some(KnownNode {
        area: area.to_owned(),
        node: node.to_owned(),
        record,
        revision: entry.mod_revision,
    })
}

fn change(event: &Event) -> Option<NodeChange> {
    match event {
        Event::Put(entry) => decode(entry).map(NodeChange::Up),
        Event::Delete { key, .. } => {
            let (area, node) = keys::parse_node(key)?;
            Some(NodeChange::Down {
                area: area.to_owned(),
                node: node.to_owned(),
            })
        }
    }
}
