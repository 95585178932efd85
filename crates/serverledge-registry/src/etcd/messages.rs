//! The messages of etcd's v3 protocol that this client sends and reads, with the fields that it uses.
//!
//! Numbers and types are those of etcd's published `rpc.proto` and `kv.proto`. Fields that are left out are skipped by the
//! decoder, and their defaults are sent. The tests on a real etcd hold them.

use bytes::Bytes;

/// The head of every answer.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct ResponseHeader {
    #[prost(uint64, tag = "1")]
    pub(super) cluster_id: u64,
    #[prost(int64, tag = "3")]
    pub(super) revision: i64,
}

/// A key with its value and revisions.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(int64, tag = "2")]
    pub(super) create_revision: i64,
    #[prost(int64, tag = "3")]
    pub(super) mod_revision: i64,
    #[prost(int64, tag = "4")]
    pub(super) version: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) value: Bytes,
    #[prost(int64, tag = "6")]
    pub(super) lease: i64,
}

// === reading and writing ===

/// A read of one key, or of the keys from `key` up to `range_end` without it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    /// At most so many entries; 0: all.
    #[prost(int64, tag = "3")]
    pub(super) limit: i64,
    /// As of this revision; 0: the newest.
    #[prost(int64, tag = "4")]
    pub(super) revision: i64,
    #[prost(bool, tag = "8")]
    pub(super) keys_only: bool,
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = "2")]
    pub(super) kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
}

/// A write of one key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    /// The lease that the key hangs on; 0: none.
    #[prost(int64, tag = "3")]
    pub(super) lease: i64,
}

/// A deletion of one key, or of the keys from `key` up to `range_end` without it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DeleteRangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
}

/// The answer to a [`DeleteRangeRequest`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct DeleteRangeResponse {
    #[prost(int64, tag = "2")]
    pub(super) deleted: i64,
}

/// An operation of a transaction.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RequestOp {
    #[prost(oneof = "Request", tags = "1, 2, 3")]
    pub(super) request: Option<Request>,
}

/// The kinds of operations.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum Request {
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeRequest),
}

/// The answer to a [`RequestOp`]. That to a put has nothing that is read.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ResponseOp {
    #[prost(oneof = "Response", tags = "1, 3")]
    pub(super) response: Option<Response>,
}

/// The kinds of answers to operations.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum Response {
    #[prost(message, tag = "1")]
    Range(RangeResponse),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeResponse),
}

/// A condition of a transaction.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Compare {
    #[prost(enumeration = "CompareResult", tag = "1")]
    pub(super) result: i32,
    #[prost(enumeration = "CompareTarget", tag = "2")]
    pub(super) target: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) key: Vec<u8>,
    #[prost(oneof = "CompareOperand", tags = "5, 6, 7")]
    pub(super) operand: Option<CompareOperand>,
}

/// The relation that must hold between a key's property and the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CompareResult {
    Equal = 0,
    Greater = 1,
}

/// The property of a key that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CompareTarget {
    /// Not compared here; a default is not written, and must be this.
    Version = 0,
    Create = 1,
    Mod = 2,
    Value = 3,
}

/// The value that a property is compared with.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum CompareOperand {
    #[prost(int64, tag = "5")]
    CreateRevision(i64),
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
}

/// Operations that happen all or not at all, chosen by conditions.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub(super) success: Vec<RequestOp>,
    #[prost(message, repeated, tag = "3")]
    pub(super) failure: Vec<RequestOp>,
}

/// The answer to a [`TxnRequest`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(bool, tag = "2")]
    pub(super) succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub(super) responses: Vec<ResponseOp>,
}

/// Asks etcd to forget what is older than a revision.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct CompactionRequest {
    #[prost(int64, tag = "1")]
    pub(super) revision: i64,
}

// === watching ===

/// A request on a watch's stream: here always the one that begins it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) create: Option<WatchCreateRequest>,
}

/// The keys to watch, and from where on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) start_revision: i64,
    #[prost(bool, tag = "4")]
    pub(super) progress_notify: bool,
    /// Long answers come in pieces.
    #[prost(bool, tag = "8")]
    pub(super) fragment: bool,
}

/// Events, or a word about the watch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(bool, tag = "3")]
    pub(super) created: bool,
    #[prost(bool, tag = "4")]
    pub(super) canceled: bool,
    #[prost(int64, tag = "5")]
    pub(super) compact_revision: i64,
    #[prost(string, tag = "6")]
    pub(super) cancel_reason: String,
    /// More pieces of this answer follow.
    #[prost(bool, tag = "7")]
    pub(super) fragment: bool,
    #[prost(message, repeated, tag = "11")]
    pub(super) events: Vec<Event>,
}

/// One change of a key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Event {
    #[prost(enumeration = "EventType", tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) kv: Option<KeyValue>,
}

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum EventType {
    Put = 0,
    Delete = 1,
}

// === leases ===

/// Asks for a lease of so many seconds.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct LeaseGrantRequest {
    #[prost(int64, tag = "1")]
    pub(super) ttl: i64,
}

/// A request that names a lease: to revoke it, to keep it alive, or to ask for its time. The three have the same shape.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct LeaseRequest {
    #[prost(int64, tag = "1")]
    pub(super) id: i64,
}

/// The answer about a lease: when it is granted, kept alive, or asked for. The three have the same shape.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct LeaseResponse {
    #[prost(int64, tag = "2")]
    pub(super) id: i64,
    /// Seconds; of a lease that does not exist 0 when it is kept alive, and -1 when it is asked for.
    #[prost(int64, tag = "3")]
    pub(super) ttl: i64,
}

// === the rest ===

/// A message without fields that are used.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Empty {}

/// A member's state.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StatusResponse {
    #[prost(int64, tag = "3")]
    pub(super) db_size: i64,
    #[prost(string, repeated, tag = "8")]
    pub(super) errors: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(super) db_size_in_use: i64,
    /// From etcd 3.6 on.
    #[prost(int64, tag = "12")]
    pub(super) db_size_quota: i64,
}

/// A name and a password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct AuthenticateRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) password: String,
}

impl std::fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticateRequest")
            .finish_non_exhaustive()
    }
}

/// The token that stands for the name from now on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct AuthenticateResponse {
    #[prost(string, tag = "2")]
    pub(super) token: String,
}

impl std::fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticateResponse")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_request_has_the_published_numbers() {
        let range = RangeRequest {
            key: b"a".to_vec(),
            range_end: b"b".to_vec(),
            limit: 1,
            revision: 2,
            keys_only: true,
        };
        assert_eq!(
            range.encode_to_vec(),
            [0x0a, 1, b'a', 0x12, 1, b'b', 0x18, 1, 0x20, 2, 0x40, 1]
        );
        let put = Request::Put(PutRequest {
            key: b"a".to_vec(),
            value: Bytes::from_static(b"v"),
            lease: 3,
        });
        let compare = Compare {
            result: CompareResult::Greater as i32,
            target: CompareTarget::Create as i32,
            key: b"a".to_vec(),
            operand: Some(CompareOperand::CreateRevision(0)),
        };
        let txn = TxnRequest {
            compare: vec![compare],
            success: vec![RequestOp { request: Some(put) }],
            failure: vec![],
        };
        let compared = [0x0a, 9, 0x08, 1, 0x10, 1, 0x1a, 1, b'a', 0x28, 0];
        let written = [0x12, 10, 0x12, 8, 0x0a, 1, b'a', 0x12, 1, b'v', 0x18, 3];
        assert_eq!(txn.encode_to_vec(), [&compared[..], &written].concat());
    }

    #[test]
    fn fields_that_are_not_read_are_skipped() {
        // cluster_id 5, member_id 6, revision 7, raft_term 8.
        let header = ResponseHeader::decode(&[0x08, 5, 0x10, 6, 0x18, 7, 0x20, 8][..]).unwrap();
        assert_eq!(
            header,
            ResponseHeader {
                cluster_id: 5,
                revision: 7
            }
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let asked = AuthenticateRequest {
            name: "node".to_owned(),
            password: "hidden".to_owned(),
        };
        let told = AuthenticateResponse {
            token: "hidden".to_owned(),
        };
        assert!(!format!("{asked:?} {told:?}").contains("hidden"));
    }
}
