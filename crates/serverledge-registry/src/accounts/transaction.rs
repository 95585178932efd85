//! Changes of accounts, all or nothing: what is required, and what is then written.

use bytes::Bytes;
use serverledge_core::kv::{Compare, Condition, Op, Revision, Txn};
use serverledge_core::{Digest, UserId};
use serverledge_wire::records::{
    EmailRecord, LinkRecord, Record, SessionRecord, TokenRecord, UserRecord,
};

use crate::keys;

/// A change of accounts, put together part by part and handed to [`super::AccountStore::commit`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing happens before it is committed"]
pub struct AccountTxn(Txn);

impl AccountTxn {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn into_txn(self) -> Txn {
        self.0
    }

    fn when(self, compare: Compare) -> Self {
        Self(self.0.when(compare))
    }

    fn then(self, op: Op) -> Self {
        Self(self.0.then(op))
    }

    /// Requires the user to be as it was read.
    pub fn when_user(self, user: &UserId, revision: Revision) -> Self {
        self.when(Compare::mod_revision(keys::user(user), revision))
    }

    /// Requires that there is no such user.
    pub fn when_user_missing(self, user: &UserId) -> Self {
        self.when(Compare::missing(keys::user(user)))
    }

    /// Writes a user.
    pub fn put_user(self, user: &UserId, record: &UserRecord) -> Self {
        self.then(Op::put(keys::user(user), record.to_value()))
    }

    /// Deletes a user's record.
    pub fn delete_user(self, user: &UserId) -> Self {
        self.then(Op::delete(keys::user(user)))
    }

    /// Requires the address with this hash to be free, and gives it to the user.
    pub fn take_email(self, email: &Digest, user: &UserId) -> Self {
        let key = keys::email(email);
        self.when(Compare::missing(key.clone()))
            .then(Op::put(key, whose(user)))
    }

    /// Requires the address to be the user's, and frees it.
    pub fn free_email(self, email: &Digest, user: &UserId) -> Self {
        let key = keys::email(email);
        self.when(Compare::new(key.clone(), Condition::Value(whose(user))))
            .then(Op::delete(key))
    }

    /// Writes a session of the user's: a new one, or one that goes on.
    pub fn put_session(self, user: &UserId, hash: &Digest, record: &SessionRecord) -> Self {
        self.then(Op::put(keys::session(hash), record.to_value()))
            .then(Op::put(keys::user_session(user, hash), ""))
    }

    /// Requires the session to be as it was read.
    pub fn when_session(self, hash: &Digest, revision: Revision) -> Self {
        self.when(Compare::mod_revision(keys::session(hash), revision))
    }

    /// Deletes a session.
    pub fn delete_session(self, user: &UserId, hash: &Digest) -> Self {
        self.then(Op::delete(keys::session(hash)))
            .then(Op::delete(keys::user_session(user, hash)))
    }

    /// Writes a token of the user's.
    pub fn put_token(self, user: &UserId, hash: &Digest, record: &TokenRecord) -> Self {
        self.then(Op::put(keys::token(hash), record.to_value()))
            .then(Op::put(keys::user_token(user, hash), ""))
    }

    /// Requires the token to be as it was read.
    pub fn when_token(self, hash: &Digest, revision: Revision) -> Self {
        self.when(Compare::mod_revision(keys::token(hash), revision))
    }

    /// Deletes a token.
    pub fn delete_token(self, user: &UserId, hash: &Digest) -> Self {
        self.then(Op::delete(keys::token(hash)))
            .then(Op::delete(keys::user_token(user, hash)))
    }

    /// Writes what a link is good for.
    pub fn put_link(self, hash: &Digest, record: &LinkRecord) -> Self {
        self.then(Op::put(keys::link(hash), record.to_value()))
    }

    /// Requires the link to be as it was read, and uses it up.
    pub fn use_link(self, hash: &Digest, revision: Revision) -> Self {
        let key = keys::link(hash);
        self.when(Compare::mod_revision(key.clone(), revision))
            .then(Op::delete(key))
    }
}

fn whose(user: &UserId) -> Bytes {
    EmailRecord {
        schema: EmailRecord::SCHEMA,
        user: user.to_string(),
    }
    .to_value()
}
