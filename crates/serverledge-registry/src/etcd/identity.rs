//! The key that tells stores apart: written once in a cluster's lifetime, by the first node that comes.

use etcd_client::proto::PbRangeResponse;
use etcd_client::{Compare, CompareOp, Error, GetOptions, KvClient, Txn, TxnOp, TxnOpResponse};
use uuid::Uuid;

use super::fault;
use super::memory::Sight;
use super::translate::sight;

/// Reads the identity, linearizably; writes one if there is none. A full etcd has none until there is room again.
/// Doing it twice does no harm.
pub(super) async fn identify(mut kv: KvClient, key: Vec<u8>) -> Result<Sight, Error> {
    let read = kv.get(key.clone(), None).await?.0;
    if let Some(found) = found(&read) {
        return Ok(Sight {
            identity: Some(found),
            ..sight(read.header.as_ref())
        });
    }
    let fresh = Uuid::now_v7().to_string();
    let txn = Txn::new()
        .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
        .and_then([TxnOp::put(key.clone(), fresh.clone(), None)])
        .or_else([TxnOp::get(key, None::<GetOptions>)]);
    let written = match kv.txn(txn).await {
        Ok(written) => written,
        Err(error) if fault::is_full(&error) => return Ok(sight(read.header.as_ref())),
        Err(error) => return Err(error),
    };
    // Another node may have been faster.
    let theirs = written
        .op_responses()
        .into_iter()
        .find_map(|response| match response {
            TxnOpResponse::Get(read) => found(&read.0),
            _ => None,
        });
    let identity = theirs.unwrap_or_else(|| number_of(fresh.as_bytes()));
    Ok(Sight {
        identity: Some(identity),
        ..sight(written.0.header.as_ref())
    })
}

fn found(read: &PbRangeResponse) -> Option<u64> {
    read.kvs.first().map(|entry| number_of(&entry.value))
}

/// Any value will do as an identity, so that none is wrong.
fn number_of(identity: &[u8]) -> u64 {
    let hash = blake3::hash(identity);
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
