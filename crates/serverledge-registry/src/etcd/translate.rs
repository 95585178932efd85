//! Between core's words and etcd's: keys get and lose the prefix, numbers change their signs' types.

use bytes::Bytes;
use etcd_client::proto::{PbEvent, PbKeyValue, PbResponseHeader, PbTxnOpResponse, PbTxnResponse};
use etcd_client::{
    Compare as EtcdCompare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn as EtcdTxn, TxnOp,
};
use serverledge_core::kv::{
    Compare, Condition, Event, KeySpan, KeyValue, LeaseId, Op, OpReply, Revision, Txn, TxnReply,
};

use super::memory::Sight;

/// The prefix of all keys, and what follows from it.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    bytes: Bytes,
}

// === impl Prefix ===

impl Prefix {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(prefix.as_bytes()),
        }
    }

    /// The key that tells stores apart: the prefix without its last `/`, so that no key of ours is it.
    pub(super) fn identity(&self) -> Vec<u8> {
        self.bytes
            .strip_suffix(b"/")
            .unwrap_or(&self.bytes)
            .to_vec()
    }

    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.bytes, key].concat()
    }

    /// The first and the end of a span; `None`: the span is empty.
    pub(super) fn span(&self, span: &KeySpan) -> Option<(Vec<u8>, Vec<u8>)> {
        if span.end().is_some_and(|end| end <= span.start()) {
            return None;
        }
        let end = match span.end() {
            Some(end) => self.key(end),
            None => KeySpan::prefix(self.bytes.clone())
                .end()
                .map(<[u8]>::to_vec)?,
        };
        Some((self.key(span.start()), end))
    }

    fn strip(&self, key: Vec<u8>) -> Bytes {
        let mut key = Bytes::from(key);
        if key.starts_with(&self.bytes) {
            key.split_off(self.bytes.len())
        } else {
            key
        }
    }

    pub(super) fn entry(&self, entry: PbKeyValue) -> KeyValue {
        KeyValue {
            key: self.strip(entry.key),
            value: entry.value.into(),
            create_revision: revision(entry.create_revision),
            mod_revision: revision(entry.mod_revision),
            version: unsigned(entry.version),
            lease: lease_id(entry.lease),
        }
    }

    /// `None` for an event without a key, which etcd does not send.
    pub(super) fn event(&self, event: PbEvent) -> Option<Event> {
        /// The number of deletions in etcd's protocol.
        const DELETE: i32 = 1;
        let entry = event.kv?;
        if event.r#type == DELETE {
            return Some(Event::Delete {
                revision: revision(entry.mod_revision),
                key: self.strip(entry.key),
            });
        }
        Some(Event::Put(self.entry(entry)))
    }

    /// A transaction without operations gets one read, since etcd would answer it from a member that lags behind.
    pub(super) fn txn(&self, txn: &Txn) -> EtcdTxn {
        let compares: Vec<_> = txn
            .compares
            .iter()
            .map(|compare| self.compare(compare))
            .collect();
        let ops = |ops: &[Op]| ops.iter().map(|op| self.op(op)).collect::<Vec<_>>();
        let (mut then, otherwise) = (ops(&txn.then), ops(&txn.otherwise));
        if then.is_empty() && otherwise.is_empty() {
            then.push(TxnOp::get(
                self.identity(),
                Some(GetOptions::new().with_keys_only()),
            ));
        }
        // etcd-client does not allow empty lists to be set twice, but each of them once.
        EtcdTxn::new()
            .when(compares)
            .and_then(then)
            .or_else(otherwise)
    }

    fn compare(&self, compare: &Compare) -> EtcdCompare {
        let key = self.key(&compare.key);
        match &compare.condition {
            Condition::Exists => EtcdCompare::create_revision(key, CompareOp::Greater, 0),
            Condition::Missing => EtcdCompare::create_revision(key, CompareOp::Equal, 0),
            Condition::CreateRevision(at) => {
                EtcdCompare::create_revision(key, CompareOp::Equal, signed(at.get()))
            }
            Condition::ModRevision(at) => {
                EtcdCompare::mod_revision(key, CompareOp::Equal, signed(at.get()))
            }
            Condition::Version(version) => {
                EtcdCompare::version(key, CompareOp::Equal, signed(*version))
            }
            Condition::Value(value) => EtcdCompare::value(key, CompareOp::Equal, value.clone()),
        }
    }

    fn op(&self, op: &Op) -> TxnOp {
        match op {
            Op::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(signed(lease.get())));
                TxnOp::put(self.key(key), value.clone(), options)
            }
            Op::Delete { key } => TxnOp::delete(self.key(key), None),
            Op::DeletePrefix { prefix } => {
                TxnOp::delete(self.key(prefix), Some(DeleteOptions::new().with_prefix()))
            }
            Op::Get { key } => TxnOp::get(self.key(key), None),
        }
    }

    /// The answer to a transaction; a read that [`Self::txn`] added is left out.
    pub(super) fn txn_reply(&self, txn: &Txn, reply: PbTxnResponse) -> TxnReply {
        let asked = if reply.succeeded {
            txn.then.len()
        } else {
            txn.otherwise.len()
        };
        let replies = reply
            .responses
            .into_iter()
            .take(asked)
            .map(|one| match one.response {
                Some(PbTxnOpResponse::ResponseDeleteRange(deleted)) => {
                    OpReply::Deleted(unsigned(deleted.deleted))
                }
                Some(PbTxnOpResponse::ResponseRange(range)) => {
                    OpReply::Got(range.kvs.into_iter().next().map(|entry| self.entry(entry)))
                }
                Some(PbTxnOpResponse::ResponsePut(_) | PbTxnOpResponse::ResponseTxn(_)) | None => {
                    OpReply::Put
                }
            });
        let replies = replies.collect();
        TxnReply {
            succeeded: reply.succeeded,
            replies,
            revision: header_revision(reply.header.as_ref()),
        }
    }
}

/// What an answer says of the store.
pub(super) fn sight(header: Option<&PbResponseHeader>) -> Sight {
    Sight {
        cluster: header.map_or(0, |header| header.cluster_id),
        revision: header_revision(header).get(),
        identity: None,
    }
}

pub(super) fn header_revision(header: Option<&PbResponseHeader>) -> Revision {
    revision(header.map_or(0, |header| header.revision))
}

pub(super) fn revision(number: i64) -> Revision {
    Revision::new(unsigned(number))
}

pub(super) fn lease_id(number: i64) -> Option<LeaseId> {
    LeaseId::new(unsigned(number))
}

/// etcd's numbers are signed, and never negative where this is used.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A number that etcd cannot have becomes its largest one, which nothing ever equals.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_under_the_prefix() {
        let prefix = Prefix::new("a/");
        assert_eq!(prefix.identity(), b"a");
        assert_eq!(prefix.key(b"k"), b"a/k");
        assert_eq!(prefix.strip(b"a/k".to_vec()), "k");
        assert_eq!(
            prefix.span(&KeySpan::prefix("")),
            Some((b"a/".to_vec(), b"a0".to_vec()))
        );
        assert_eq!(
            prefix.span(&KeySpan::prefix("x/")),
            Some((b"a/x/".to_vec(), b"a/x0".to_vec()))
        );
        assert_eq!(prefix.span(&KeySpan::new("c", Some("a".into()))), None);
    }

    #[test]
    fn odd_numbers_are_harmless() {
        assert_eq!(
            (unsigned(-1), unsigned(5), signed(5), signed(u64::MAX)),
            (0, 5, 5, i64::MAX)
        );
        assert_eq!(lease_id(0), None);
    }
}
