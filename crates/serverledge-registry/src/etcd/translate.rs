//! Between core's words and etcd's: keys get and lose the prefix, numbers change their signs' types.

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, Condition, Event, KeySpan, KeyValue, LeaseId, Op, OpReply, Revision, Txn, TxnReply,
};

use super::memory::Sight;
use super::messages::{
    Compare as EtcdCompare, CompareOperand, CompareResult, CompareTarget, DeleteRangeRequest,
    Event as EtcdEvent, EventType, KeyValue as EtcdKeyValue, PutRequest, RangeRequest, Request,
    RequestOp, Response, ResponseHeader, TxnRequest, TxnResponse,
};

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

    fn strip(&self, mut key: Bytes) -> Bytes {
        if key.starts_with(&self.bytes) {
            key.split_off(self.bytes.len())
        } else {
            key
        }
    }

    pub(super) fn entry(&self, entry: EtcdKeyValue) -> KeyValue {
        KeyValue {
            key: self.strip(entry.key),
            value: entry.value,
            create_revision: revision(entry.create_revision),
            mod_revision: revision(entry.mod_revision),
            version: unsigned(entry.version),
            lease: lease_id(entry.lease),
        }
    }

    /// `None` for an event without a key, which etcd does not send.
    pub(super) fn event(&self, event: EtcdEvent) -> Option<Event> {
        let entry = event.kv?;
        if event.kind == EventType::Delete as i32 {
            return Some(Event::Delete {
                revision: revision(entry.mod_revision),
                key: self.strip(entry.key),
            });
        }
        Some(Event::Put(self.entry(entry)))
    }

    /// A transaction without operations gets one read, since etcd would answer it from a member that lags behind.
    pub(super) fn txn(&self, txn: &Txn) -> TxnRequest {
        let compare = txn
            .compares
            .iter()
            .map(|compare| self.compare(compare))
            .collect();
        let ops = |ops: &[Op]| ops.iter().map(|op| self.op(op)).collect::<Vec<_>>();
        let mut success = ops(&txn.then);
        let failure = ops(&txn.otherwise);
        if success.is_empty() && failure.is_empty() {
            success.push(read(self.identity()));
        }
        TxnRequest {
            compare,
            success,
            failure,
        }
    }

    fn compare(&self, compare: &Compare) -> EtcdCompare {
        let key = self.key(&compare.key);
        match &compare.condition {
            Condition::Exists => created(key, CompareResult::Greater, 0),
            Condition::Missing => missing(key),
            Condition::CreateRevision(at) => created(key, CompareResult::Equal, signed(at.get())),
            Condition::ModRevision(at) => equal(
                key,
                CompareTarget::Mod,
                CompareOperand::ModRevision(signed(at.get())),
            ),
            Condition::Value(value) => equal(
                key,
                CompareTarget::Value,
                CompareOperand::Value(value.clone()),
            ),
        }
    }

    fn op(&self, op: &Op) -> RequestOp {
        match op {
            Op::Put { key, value, lease } => put(self.key(key), value.clone(), *lease),
            Op::Delete { key } => delete(self.key(key), Vec::new()),
            Op::DeletePrefix { prefix } => {
                let key = self.key(prefix);
                // Longer than the store's own prefix, whose end there is.
                let end = KeySpan::prefix(key.clone())
                    .end()
                    .map(<[u8]>::to_vec)
                    .unwrap_or_default();
                delete(key, end)
            }
            Op::Get { key } => read(self.key(key)),
        }
    }

    /// The answer to a transaction; a read that [`Self::txn`] added is left out.
    pub(super) fn txn_reply(&self, txn: &Txn, reply: TxnResponse) -> TxnReply {
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
                Some(Response::DeleteRange(deleted)) => OpReply::Deleted(unsigned(deleted.deleted)),
                Some(Response::Range(range)) => {
                    OpReply::Got(range.kvs.into_iter().next().map(|entry| self.entry(entry)))
                }
                None => OpReply::Put,
            });
        let replies = replies.collect();
        TxnReply {
            succeeded: reply.succeeded,
            replies,
            revision: header_revision(reply.header.as_ref()),
        }
    }
}

/// A read of one key.
pub(super) fn read(key: Vec<u8>) -> RequestOp {
    RequestOp {
        request: Some(Request::Range(RangeRequest {
            key,
            ..RangeRequest::default()
        })),
    }
}

/// A write of one key.
pub(super) fn put(key: Vec<u8>, value: Bytes, lease: Option<LeaseId>) -> RequestOp {
    let lease = lease.map_or(0, |lease| signed(lease.get()));
    RequestOp {
        request: Some(Request::Put(PutRequest { key, value, lease })),
    }
}

/// The deletion of one key, or up to an end that is not empty.
fn delete(key: Vec<u8>, range_end: Vec<u8>) -> RequestOp {
    RequestOp {
        request: Some(Request::DeleteRange(DeleteRangeRequest { key, range_end })),
    }
}

/// The condition that there is no such key.
pub(super) fn missing(key: Vec<u8>) -> EtcdCompare {
    created(key, CompareResult::Equal, 0)
}

fn created(key: Vec<u8>, result: CompareResult, at: i64) -> EtcdCompare {
    let operand = CompareOperand::CreateRevision(at);
    EtcdCompare {
        result: result as i32,
        ..equal(key, CompareTarget::Create, operand)
    }
}

fn equal(key: Vec<u8>, target: CompareTarget, operand: CompareOperand) -> EtcdCompare {
    EtcdCompare {
        result: CompareResult::Equal as i32,
        target: target as i32,
        key,
        operand: Some(operand),
    }
}

/// The store that an answer came from.
pub(super) fn sight(header: Option<&ResponseHeader>) -> Sight {
    Sight {
        cluster: header.map_or(0, |header| header.cluster_id),
        revision: header_revision(header).get(),
        identity: None,
    }
}

pub(super) fn header_revision(header: Option<&ResponseHeader>) -> Revision {
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
        assert_eq!(prefix.strip(Bytes::from_static(b"a/k")), "k");
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
