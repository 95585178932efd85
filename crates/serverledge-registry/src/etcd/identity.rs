//! The key that tells stores apart: written once in a cluster's lifetime, by the first node that comes.

use uuid::Uuid;

use super::fault;
use super::grpc::{CallError, Connection};
use super::memory::Sight;
use super::messages::{RangeRequest, RangeResponse, Response, TxnRequest};
use super::translate::{missing, put, read, sight};

/// Reads the identity, linearizably; writes one if there is none. A full etcd has none until there is room again.
/// Doing it twice does no harm.
pub(super) async fn identify(etcd: Connection, key: Vec<u8>) -> Result<Sight, CallError> {
    let seen = etcd
        .range(RangeRequest {
            key: key.clone(),
            ..RangeRequest::default()
        })
        .await?;
    if let Some(found) = found(&seen) {
        return Ok(Sight {
            identity: Some(found),
            ..sight(seen.header.as_ref())
        });
    }
    let fresh = Uuid::now_v7().to_string();
    let txn = TxnRequest {
        compare: vec![missing(key.clone())],
        success: vec![put(key.clone(), fresh.clone().into(), None)],
        failure: vec![read(key)],
    };
    let written = match etcd.txn(txn).await {
        Ok(written) => written,
        Err(error) if fault::is_full(&error) => return Ok(sight(seen.header.as_ref())),
        Err(error) => return Err(error),
    };
    // Another node may have been faster.
    let theirs = written
        .responses
        .iter()
        .find_map(|one| match &one.response {
            Some(Response::Range(seen)) => found(seen),
            _ => None,
        });
    let identity = theirs.unwrap_or_else(|| number_of(fresh.as_bytes()));
    Ok(Sight {
        identity: Some(identity),
        ..sight(written.header.as_ref())
    })
}

fn found(read: &RangeResponse) -> Option<u64> {
    read.kvs.first().map(|entry| number_of(&entry.value))
}

/// Any value will do as an identity, so that none is wrong.
fn number_of(identity: &[u8]) -> u64 {
    let hash = blake3::hash(identity);
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
