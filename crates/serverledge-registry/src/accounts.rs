//! Accounts in the registry: users, whose addresses are whose, sessions, tokens, and what links stand for.
//!
//! Secrets are found by their hash, and only the hash is kept. `usersessions/<user>/<hash>` and `usertokens/<user>/<hash>`
//! (empty values) say what is whose: they are written and deleted with the record in one transaction, so that a user's
//! own few are listed without reading everybody's.

use std::sync::Arc;

use serverledge_core::kv::{KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn};
use serverledge_core::{Digest, UserId};
use serverledge_wire::records::{
    EmailRecord, LinkRecord, Record, SessionRecord, TokenRecord, UserRecord,
};

use crate::functions::{LoadError, Unreadable, sort_out};
use crate::{keys, paging};

mod sweep;
mod transaction;
mod watch;

pub use sweep::AccountsSwept;
pub use transaction::AccountTxn;
pub use watch::AccountChange;

/// Digits of a session's or token's public id: 128 bits of its hash, which tell nothing of the secret.
const ID_DIGITS: usize = 32;
/// Most sessions, and most tokens, of one user that are listed: one transaction reads them.
pub const LISTED_MAX: usize = 120;

/// A record, and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<R> {
    /// The record.
    pub record: R,
    /// Its last change.
    pub revision: Revision,
}

/// All accounts at one moment.
#[derive(Debug)]
pub struct LoadedAccounts {
    /// Users.
    pub users: Vec<(UserId, Stored<UserRecord>)>,
    /// Sessions, by the hash of their secret.
    pub sessions: Vec<(Digest, Stored<SessionRecord>)>,
    /// Tokens, by the hash of their secret.
    pub tokens: Vec<(Digest, Stored<TokenRecord>)>,
    /// Keys whose values this program cannot read: what they say is not valid here.
    pub unreadable: Vec<Unreadable>,
    /// The moment; watch from the revision after it.
    pub revision: Revision,
}

/// Accounts in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AccountStore {
    kv: Arc<dyn Kv>,
}

/// The public id of a session or token: the beginning of the hash of its secret.
#[must_use]
pub fn credential_id(hash: &Digest) -> String {
    let mut id = hash.to_string();
    id.truncate(ID_DIGITS);
    id
}

impl AccountStore {
    /// The accounts of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Whether the registry answers, and its newest revision.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn revision(&self) -> Result<Revision, KvError> {
        self.kv.status().await.map(|status| status.revision)
    }

    /// A user.
    ///
    /// # Errors
    /// The registry's errors; `Unreadable` if the value is no record that this program knows. So with all reads here.
    pub async fn user(&self, user: &UserId) -> Result<Option<Stored<UserRecord>>, LoadError> {
        self.read(&keys::user(user)).await
    }

    /// The user whose address has this hash. Asks the registry twice, whether or not there is one.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn user_by_email(
        &self,
        email: &Digest,
    ) -> Result<Option<(UserId, Stored<UserRecord>)>, LoadError> {
        let whose: Option<Stored<EmailRecord>> = self.read(&keys::email(email)).await?;
        let user = whose.and_then(|whose| UserId::parse(&whose.record.user));
        let found = self.user(user.as_ref().unwrap_or(&UserId::new())).await?;
        Ok(user.zip(found))
    }

    /// A session.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn session(&self, hash: &Digest) -> Result<Option<Stored<SessionRecord>>, LoadError> {
        self.read(&keys::session(hash)).await
    }

    /// The record of the link whose secret has this hash.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn link(&self, hash: &Digest) -> Result<Option<Stored<LinkRecord>>, LoadError> {
        self.read(&keys::link(hash)).await
    }

    /// A user's sessions, at most [`LISTED_MAX`].
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn sessions_of(
        &self,
        user: &UserId,
    ) -> Result<Vec<(Digest, Stored<SessionRecord>)>, LoadError> {
        self.owned(keys::user_sessions(user), keys::session).await
    }

    /// A user's tokens, at most [`LISTED_MAX`].
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn tokens_of(
        &self,
        user: &UserId,
    ) -> Result<Vec<(Digest, Stored<TokenRecord>)>, LoadError> {
        self.owned(keys::user_tokens(user), keys::token).await
    }

    /// The hash of a user's session with this public id. Another user's are not found.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn find_session(&self, user: &UserId, id: &str) -> Result<Option<Digest>, KvError> {
        self.find(keys::user_sessions(user), id).await
    }

    /// The hash of a user's token with this public id. Another user's are not found.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn find_token(&self, user: &UserId, id: &str) -> Result<Option<Digest>, KvError> {
        self.find(keys::user_tokens(user), id).await
    }

    /// All users, sessions and tokens, as of one revision.
    ///
    /// # Errors
    /// The registry's errors; `Compacted` if its history is cut faster than it is read: ask again.
    pub async fn load_all(&self) -> Result<LoadedAccounts, KvError> {
        let (users, revision) =
            paging::read_all(&*self.kv, RangeRequest::prefix(keys::USERS)).await?;
        let request = |prefix: &'static str| RangeRequest::prefix(prefix).at(revision);
        let (sessions, _) = paging::read_all(&*self.kv, request(keys::SESSIONS)).await?;
        let (tokens, _) = paging::read_all(&*self.kv, request(keys::TOKENS)).await?;
        let mut unreadable = Vec::new();
        Ok(LoadedAccounts {
            users: decode_all(&users, keys::parse_user, &mut unreadable),
            sessions: decode_all(&sessions, keys::parse_session, &mut unreadable),
            tokens: decode_all(&tokens, keys::parse_token, &mut unreadable),
            unreadable,
            revision,
        })
    }

    /// Does all of a change or nothing; `None` if what it requires does not hold.
    ///
    /// # Errors
    /// The registry's errors; after `Unavailable` it may be done or not.
    pub async fn commit(&self, txn: AccountTxn) -> Result<Option<Revision>, KvError> {
        let reply = self.kv.txn(txn.into_txn()).await?;
        Ok(reply.succeeded.then_some(reply.revision))
    }

    async fn read<R: Record>(&self, key: &[u8]) -> Result<Option<Stored<R>>, LoadError> {
        let entry = self.kv.get(key).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    async fn find(&self, index: bytes::Bytes, id: &str) -> Result<Option<Digest>, KvError> {
        if id.len() != ID_DIGITS
            || !id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Ok(None);
        }
        let prefix = [&index[..], id.as_bytes()].concat();
        let found = self
            .kv
            .range(RangeRequest::prefix(prefix).limit(1).keys_only())
            .await?;
        Ok(found
            .entries
            .first()
            .and_then(|entry| keys::last_digest(&entry.key)))
    }

    async fn owned<R: Record>(
        &self,
        index: bytes::Bytes,
        key: impl Fn(&Digest) -> bytes::Bytes,
    ) -> Result<Vec<(Digest, Stored<R>)>, LoadError> {
        let listed = self
            .kv
            .range(RangeRequest::prefix(index).limit(LISTED_MAX).keys_only())
            .await?;
        let hashes: Vec<Digest> = listed
            .entries
            .iter()
            .filter_map(|entry| keys::last_digest(&entry.key))
            .collect();
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let txn = hashes
            .iter()
            .fold(Txn::new(), |txn, hash| txn.then(Op::get(key(hash))));
        let replies = self
            .kv
            .txn(txn)
            .await?
            .replies
            .into_iter()
            .map(OpReply::into_entry);
        let found = hashes
            .into_iter()
            .zip(replies)
            .filter_map(|(hash, entry)| Some((hash, entry?)));
        found
            .map(|(hash, entry)| Ok((hash, decode(&entry)?)))
            .collect()
    }
}

fn decode<R: Record>(entry: &KeyValue) -> Result<Stored<R>, Unreadable> {
    let record =
        R::from_value(&entry.value).map_err(|source| unreadable(&entry.key, Some(source)))?;
    Ok(Stored {
        record,
        revision: entry.mod_revision,
    })
}

fn unreadable(key: &[u8], source: Option<serverledge_wire::records::RecordError>) -> Unreadable {
    // The rest of the key is the hash of a secret.
    let kind = key.split(|byte| *byte == b'/').next().unwrap_or_default();
    Unreadable {
        key: format!("{}/…", String::from_utf8_lossy(kind)),
        source,
    }
}

fn decode_all<K, R: Record>(
    entries: &[KeyValue],
    parse: impl Fn(&[u8]) -> Option<K>,
    faults: &mut Vec<Unreadable>,
) -> Vec<(K, Stored<R>)> {
    let (decoded, unreadable) = sort_out(entries.iter().map(|entry| {
        let key = parse(&entry.key).ok_or_else(|| unreadable(&entry.key, None))?;
        Ok((key, decode(entry)?))
    }));
    faults.extend(unreadable);
    decoded
}
