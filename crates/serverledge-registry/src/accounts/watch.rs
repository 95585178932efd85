//! Changes of users, sessions and tokens as they happen.

use serverledge_core::kv::{Event, KvError, Revision, Watch, WatchError};
use serverledge_core::{Digest, UserId};
use serverledge_wire::records::{Record, SessionRecord, TokenRecord, UserRecord};

use super::{AccountStore, decode};
use crate::keys;

/// A change. A record that this program cannot read counts as gone: nobody may act on what it cannot check.
#[derive(Debug)]
pub enum AccountChange {
    /// Of a user; `None`: gone.
    User(UserId, Option<UserRecord>, Revision),
    /// Of the session whose secret has this hash; `None`: gone.
    Session(Digest, Option<SessionRecord>, Revision),
    /// Of the token whose secret has this hash; `None`: gone.
    Token(Digest, Option<TokenRecord>, Revision),
}

/// Running watches over users, sessions and tokens. Dropping it ends them. Changes of one kind come in their order; those
/// of different kinds may not.
#[derive(Debug)]
pub struct AccountWatch {
    users: Box<dyn Watch>,
    sessions: Box<dyn Watch>,
    tokens: Box<dyn Watch>,
}

impl AccountStore {
    /// Watches from a revision on: after [`Self::load_all`], the one after its own.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn watch(&self, from: Revision) -> Result<AccountWatch, KvError> {
        Ok(AccountWatch {
            users: self.kv.watch(keys::USERS.as_bytes(), Some(from)).await?,
            sessions: self.kv.watch(keys::SESSIONS.as_bytes(), Some(from)).await?,
            tokens: self.kv.watch(keys::TOKENS.as_bytes(), Some(from)).await?,
        })
    }
}

impl AccountWatch {
    /// Waits for changes. Dropping the future loses nothing.
    ///
    /// # Errors
    /// After an error the watch is over: load everything anew.
    pub async fn next(&mut self) -> Result<Vec<AccountChange>, WatchError> {
        let events = tokio::select! {
            events = self.users.next() => events?,
            events = self.sessions.next() => events?,
            events = self.tokens.next() => events?,
        };
        Ok(events.iter().filter_map(change).collect())
    }
}

fn change(event: &Event) -> Option<AccountChange> {
    let (key, revision) = (event.key(), event.revision());
    let user = keys::parse_user(key).map(|user| AccountChange::User(user, record(event), revision));
    let session = || {
        keys::parse_session(key).map(|hash| AccountChange::Session(hash, record(event), revision))
    };
    let token =
        || keys::parse_token(key).map(|hash| AccountChange::Token(hash, record(event), revision));
    user.or_else(session).or_else(token)
}

fn record<R: Record>(event: &Event) -> Option<R> {
    let Event::Put(entry) = event else {
        return None;
    };
    match decode(entry) {
        Ok(stored) => Some(stored.record),
        Err(unreadable) => {
            tracing::error!(
                key = unreadable.key,
                "a record of an account cannot be read; it is not valid here"
            );
            None
        }
    }
}
