//! Changes of users, sessions and tokens as they happen.

use serverledge_core::kv::{Event, KvError, Revision};
use serverledge_core::{Digest, UserId};
use serverledge_wire::records::{Record, SessionRecord, TokenRecord, UserRecord};

use super::{AccountStore, decode};
use crate::follow::ChangeWatch;
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

impl AccountStore {
    /// Watches from a revision on: after [`Self::load_all`], the one after its own.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch(&self, from: Revision) -> Result<ChangeWatch<AccountChange>, KvError> {
        let mut watches = Vec::with_capacity(3);
        for prefix in [keys::USERS, keys::SESSIONS, keys::TOKENS] {
            watches.push(self.kv.watch(prefix.as_bytes(), Some(from)).await?);
        }
        Ok(ChangeWatch::new(watches, change))
    }
}

fn change(event: &Event) -> Option<AccountChange> {
    let key = event.key();
    let revision = event.revision();
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
