//! Removes what is over: sessions, tokens, links, and what a deleted user leaves.

use std::collections::HashMap;

use bytes::Bytes;
use serverledge_core::kv::{Compare, KeyValue, KvError, Op, RangeRequest, Txn};
use serverledge_core::{Digest, UserId};
use serverledge_wire::records::{LinkRecord, Record, SessionRecord, TokenRecord, UserRecord};

use super::{AccountStore, AccountTxn, LISTED_MAX};
use crate::functions::LoadError;
use crate::keys;

/// The numbers of records that a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountsSwept {
    /// Sessions.
    pub sessions: usize,
    /// Tokens.
    pub tokens: usize,
    /// Links.
    pub links: usize,
}

/// Epochs of users: of sessions, and of tokens; `None`: there is no such user.
type Epochs = HashMap<String, Option<(u64, u64)>>;

/// Deletions in one transaction that take two operations each.
const PAIRS_MAX: usize = 60;

impl AccountStore {
    /// Removes sessions, tokens and links that have ended by this time, by themselves or with their user. What another
    /// node changes meanwhile is left alone. Records that cannot be read stay.
    ///
    /// # Errors
    /// The registry's errors; some may have been removed.
    pub async fn sweep(&self, now_unix_ms: u64) -> Result<AccountsSwept, LoadError> {
        let mut epochs = Epochs::new();
        let mut swept = AccountsSwept::default();
        let mut request = RangeRequest::prefix(keys::SESSIONS);
        while let Some(page) = self.page(&mut request).await? {
            for entry in page {
                let Some((hash, record)) = parse::<SessionRecord>(&entry, keys::parse_session)
                else {
                    continue;
                };
                let over = record.expires_unix_ms.min(record.idle_unix_ms) <= now_unix_ms;
                if over
                    || self
                        .epochs(&mut epochs, &record.user)
                        .await?
                        .is_none_or(|(epoch, _)| record.epoch < epoch)
                {
                    let index =
                        UserId::parse(&record.user).map(|user| keys::user_session(&user, &hash));
                    swept.sessions += self.remove(entry, index).await?;
                }
            }
        }
        let mut request = RangeRequest::prefix(keys::TOKENS);
        while let Some(page) = self.page(&mut request).await? {
            for entry in page {
                let Some((hash, record)) = parse::<TokenRecord>(&entry, keys::parse_token) else {
                    continue;
                };
                let over = record.expires_unix_ms.is_some_and(|end| end <= now_unix_ms);
                if over
                    || self
                        .epochs(&mut epochs, &record.user)
                        .await?
                        .is_none_or(|(_, epoch)| record.epoch < epoch)
                {
                    let index =
                        UserId::parse(&record.user).map(|user| keys::user_token(&user, &hash));
                    swept.tokens += self.remove(entry, index).await?;
                }
            }
        }
        let mut request = RangeRequest::prefix(keys::LINKS);
        while let Some(page) = self.page(&mut request).await? {
            for entry in page {
                let record = LinkRecord::from_value(&entry.value);
                if record.is_ok_and(|record| record.expires_unix_ms <= now_unix_ms) {
                    swept.links += self.remove(entry, None).await?;
                }
            }
        }
        Ok(swept)
    }

    /// Deletes a user's sessions and tokens, and then the user. To be called when nothing else of theirs is left; may be
    /// called again after it failed.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn delete_user(&self, user: &UserId) -> Result<(), KvError> {
        self.delete_owned(keys::user_sessions(user), AccountTxn::delete_session, user)
            .await?;
        self.delete_owned(keys::user_tokens(user), AccountTxn::delete_token, user)
            .await?;
        self.commit(AccountTxn::new().delete_user(user))
            .await
            .map(drop)
    }

    async fn delete_owned(
        &self,
        index: Bytes,
        delete: impl Fn(AccountTxn, &UserId, &Digest) -> AccountTxn,
        user: &UserId,
    ) -> Result<(), KvError> {
        loop {
            let request = RangeRequest::prefix(index.clone())
                .limit(PAIRS_MAX.min(LISTED_MAX))
                .keys_only();
            let listed = self.kv.range(request).await?.entries;
            let hashes: Vec<Digest> = listed
                .iter()
                .filter_map(|entry| keys::last_digest(&entry.key))
                .collect();
            if hashes.is_empty() {
                return Ok(());
            }
            let txn = hashes
                .iter()
                .fold(AccountTxn::new(), |txn, hash| delete(txn, user, hash));
            self.commit(txn).await?;
        }
    }

    /// The next page of a span; `None` after the last.
    async fn page(&self, request: &mut RangeRequest) -> Result<Option<Vec<KeyValue>>, KvError> {
        let page = self.kv.range(request.clone()).await?.entries;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        request.span = request.span.after(&last.key);
        Ok(Some(page))
    }

    /// Read after the session or token that asks, which is never written before its user.
    async fn epochs(
        &self,
        known: &mut Epochs,
        user: &str,
    ) -> Result<Option<(u64, u64)>, LoadError> {
        if let Some(epochs) = known.get(user) {
            return Ok(*epochs);
        }
        let found = match UserId::parse(user) {
            Some(id) => self.user(&id).await?,
            None => None,
        };
        let of = |user: UserRecord| (user.epoch, user.token_epoch);
        let epochs = found.map(|stored| of(stored.record));
        known.insert(user.to_owned(), epochs);
        Ok(epochs)
    }

    async fn remove(&self, entry: KeyValue, index: Option<Bytes>) -> Result<usize, KvError> {
        let as_seen = Compare::mod_revision(entry.key.clone(), entry.mod_revision);
        let txn = Txn::new().when(as_seen).then(Op::delete(entry.key));
        let txn = index
            .into_iter()
            .fold(txn, |txn, key| txn.then(Op::delete(key)));
        Ok(usize::from(self.kv.txn(txn).await?.succeeded))
    }
}

fn parse<R: Record>(
    entry: &KeyValue,
    key: impl Fn(&[u8]) -> Option<Digest>,
) -> Option<(Digest, R)> {
    Some((key(&entry.key)?, R::from_value(&entry.value).ok()?))
}
