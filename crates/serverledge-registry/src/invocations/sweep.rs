//! Sweeping: what was kept long enough goes, and with it all that names it.

use std::time::Duration;

use serverledge_core::whole_millis;

use serverledge_core::kv::{Compare, KeySpan, Op, RangeRequest, Txn};
use serverledge_wire::records::StoredJson;

use super::{Invocation, InvocationStore, InvocationStoreError, PAGE, decode};
use crate::keys;

/// Invocations deleted in one transaction: each has at most one compare, or two, and six operations.
const BATCH: usize = 20;
/// A node that does not hear within this time that it shall stop something has long lost it to another.
const CANCEL_AGE_MAX_MS: u64 = 3600 * 1000;

/// Times for which outcomes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// After the end.
    pub result: Duration,
    /// The same for dead letters; at least as long.
    pub dead_letter: Duration,
}

impl Retention {
    /// The time from which an invocation may be deleted, in Unix milliseconds; `None` while it has work left.
    #[must_use]
    pub fn ends_unix_ms(&self, invocation: &Invocation) -> Option<u64> {
        let record = &invocation.record;
        let finished = record
            .finished_unix_ms
            .filter(|_| !record.has_pending_work())?;
        let kept = if record.dead_letter {
            self.dead_letter.max(self.result)
        } else {
            self.result
        };
        Some(
            finished
                .saturating_add(whole_millis(kept))
                .max(record.kept_until_unix_ms.unwrap_or(0)),
        )
    }
}

impl InvocationStore {
    /// Deletes invocations that were kept long enough; says how many. Their blobs are swept later. Writes nothing if
    /// there is nothing to delete.
    ///
    /// Reads the records of invocations that were accepted at least the shortest retention ago and are still there: what
    /// is deleted now, dead letters, and those whose idempotency keys keep them. Younger ones are not read: ids begin
    /// with the time of acceptance, and nothing ends before it was accepted.
    ///
    /// # Errors
    /// The registry's errors; what was deleted before stays deleted.
    pub async fn sweep_expired(
        &self,
        now_unix_ms: u64,
        retention: Retention,
    ) -> Result<usize, InvocationStoreError> {
        let old = keys::invocations_from(
            now_unix_ms
                .saturating_sub(whole_millis(retention.result))
                .saturating_add(1),
        );
        let mut request = RangeRequest::new(KeySpan::new(keys::INVOCATIONS, Some(old))).limit(PAGE);
        let mut swept = 0;
        loop {
            let page = self.kv.range(request.clone()).await?;
            let mut due = Vec::new();
            for entry in &page.entries {
                match decode(entry) {
                    Ok(one)
                        if retention
                            .ends_unix_ms(&one)
                            .is_some_and(|end| end <= now_unix_ms) =>
                    {
                        due.push(one)
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an invocation is skipped"
                    ),
                }
            }
            for batch in due.chunks(BATCH) {
                swept += self.delete_batch(batch).await?;
            }
            match page.entries.last() {
                Some(last) if page.more => request.span = request.span.after(&last.key),
                _ => break,
            }
        }
        self.sweep_cancels(now_unix_ms, CANCEL_AGE_MAX_MS).await?;
        Ok(swept)
    }

    /// All in one transaction; if somebody else has changed or swept one, one after the other.
    async fn delete_batch(&self, batch: &[Invocation]) -> Result<usize, InvocationStoreError> {
        let txn = batch
            .iter()
            .fold(Txn::new(), |txn, one| delete_key(delete_in(txn, one), one));
        if self.kv.txn(txn).await?.succeeded {
            return Ok(batch.len());
        }
        let mut deleted = 0;
        for one in batch {
            deleted += usize::from(self.purge(one).await?);
        }
        Ok(deleted)
    }

    /// Deletes an invocation as it was read, with its idempotency key if that still stands for it; `false` if it has changed
    /// since, or was deleted.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn purge(&self, one: &Invocation) -> Result<bool, InvocationStoreError> {
        // A callback may still be owed: it goes with its record.
        let all = delete_in(Txn::new(), one).then(Op::delete(keys::claim(&one.id)));
        if one.record.idempotency.is_some()
            && self.kv.txn(delete_key(all.clone(), one)).await?.succeeded
        {
            return Ok(true);
        }
        Ok(self.kv.txn(all).await?.succeeded)
    }
}

fn delete_in(txn: Txn, one: &Invocation) -> Txn {
    let record = &one.record;
    let mut txn = txn
        .when(one.unchanged())
        .then(Op::delete(keys::invocation(&one.id)));
    if record.dead_letter {
        txn = txn
            .then(Op::delete(keys::dead_letter(&record.space, one.id)))
            .then(Op::delete(keys::usage(&record.pinned.code, one.id)));
    }
    for carried in [Some(&record.params), record.result.as_ref()]
        .into_iter()
        .flatten()
    {
        if let StoredJson::Blob(digest) = carried {
            txn = txn.then(Op::delete(keys::usage(digest, one.id)));
        }
    }
    txn
}

/// A key is written with its record and not again while it lasts: with another revision it stands for another.
fn delete_key(txn: Txn, one: &Invocation) -> Txn {
    let Some(key) = &one.record.idempotency else {
        return txn;
    };
    let place = keys::idempotency(&one.record.space, &one.record.function, key);
    txn.when(Compare::mod_revision(place.clone(), one.created))
        .then(Op::delete(place))
}
