//! A store that is away, or loses responses, on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serverledge_core::kv::{
    KeyValue, Kv, KvError, Lease, LeaseId, Op, RangeReply, RangeRequest, Revision, Status, Txn,
    TxnReply, Watch,
};
use tokio::sync::watch;

use super::lab::WAIT_MAX;

/// The faulty store; see the module. Leases and watches go on: the tests are about the writes of invocations.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn Kv>,
    away: AtomicBool,
    refusals: watch::Sender<usize>,
    /// Number of writes of invocations until the one whose response gets lost; `MAX`: none does.
    till_lost: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Kv>) -> Self {
        let till_lost = AtomicUsize::new(usize::MAX);
        Self {
            inner,
            away: AtomicBool::new(false),
            refusals: watch::Sender::default(),
            till_lost,
        }
    }

    pub(super) fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    /// Loses the response of the `number`th write of an invocation from now on.
    pub(super) fn lose_the_answer_of(&self, number: usize) {
        self.till_lost.store(number, Ordering::SeqCst);
    }

    pub(super) async fn wait_for_refusals(&self, count: usize) {
        let mut refusals = self.refusals.subscribe();
        let waited =
            tokio::time::timeout(WAIT_MAX, refusals.wait_for(|refusals| *refusals >= count)).await;
        assert!(waited.is_ok(), "{count} refusals did not come");
    }

    fn check(&self) -> Result<(), KvError> {
        if !self.away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refusals.send_modify(|refusals| *refusals += 1);
        Err(away())
    }

    fn loses(&self, txn: &Txn) -> bool {
        let writes =
            |op: &Op| matches!(op, Op::Put { key, .. } if key.starts_with(b"invocations/"));
        let count =
            |left: usize| (left != usize::MAX).then(|| left.checked_sub(1).unwrap_or(usize::MAX));
        txn.then.iter().any(writes)
            && self
                .till_lost
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count)
                == Ok(0)
    }
}

fn away() -> KvError {
    KvError::Unavailable {
        attempt: "answer",
        source: "it is away".into(),
    }
}

#[async_trait]
impl Kv for Faulty {
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError> {
        self.check()?;
        self.inner.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        self.check()?;
        let loses = self.loses(&txn);
        let reply = self.inner.txn(txn).await?;
        if loses { Err(away()) } else { Ok(reply) }
    }

    async fn watch(
        &self,
        prefix: &[u8],
        from: Option<Revision>,
    ) -> Result<Box<dyn Watch>, KvError> {
        self.inner.watch(prefix, from).await
    }

    async fn compact(&self, at: Revision) -> Result<(), KvError> {
        self.inner.compact(at).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.inner.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.inner.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.inner.lease_revoke(lease).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        self.inner.status().await
    }
}
