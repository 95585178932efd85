//! The state that each request is checked against: users, sessions and tokens in memory, as the registry had them last.
//!
//! Each entry has the revision of its record, and older ones never replace newer ones, whoever brings them: a watch, a full
//! listing, or this node, which puts here at once what it has written.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serverledge_core::kv::Revision;
use serverledge_core::{Account, AuthError, Digest, Role, Scopes, SpaceId, UserId, Via};
use serverledge_registry::{AccountChange, LoadedAccounts, credential_id};
use serverledge_wire::records::{SessionRecord, TokenRecord, UserRecord};
use tokio::time::Instant;

use crate::tokens::scopes;

/// An account whose deletion has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The user whose account it was.
    pub user: UserId,
    /// Their own space. Applications of theirs have spaces of their own.
    pub space: SpaceId,
}

/// The known records by key, and the revision at which each missing one was deleted.
#[derive(Debug)]
struct RecordTable<K, V> {
    known: HashMap<K, (V, Revision)>,
    gone: HashMap<K, Revision>,
}

impl<K, V> Default for RecordTable<K, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            gone: HashMap::new(),
        }
    }
}

#[derive(Debug)]
struct User {
    role: Role,
    space: SpaceId,
    epoch: u64,
    token_epoch: u64,
    deleted: bool,
}

/// A session or token.
#[derive(Debug)]
struct CredentialEntry<R> {
    user: UserId,
    record: R,
    /// The time of its last use here, in Unix milliseconds; 0: not used yet.
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Tables {
    users: RecordTable<UserId, User>,
    sessions: RecordTable<Digest, CredentialEntry<SessionRecord>>,
    tokens: RecordTable<Digest, CredentialEntry<TokenRecord>>,
    /// The owners of the spaces that are somebody's own. Spaces are never used again, so that only a resync takes
    /// anything away.
    spaces: HashMap<SpaceId, UserId>,
    /// The time at which the registry was last known to have said everything.
    contact: Option<Instant>,
    /// The newest revision at that time.
    seen: Revision,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct AccountsSnapshot {
    /// Held shortly and never over an await.
    tables: RwLock<Tables>,
    offline_grace: Duration,
    session_idle_ms: u64,
}

/// A session or token whose last use is to be written.
#[derive(Debug)]
pub(crate) struct Touch<R> {
    pub(crate) user: UserId,
    pub(crate) hash: Digest,
    pub(crate) record: R,
    pub(crate) revision: Revision,
    pub(crate) used_unix_ms: u64,
}

/// The account that a valid credential belongs to, and its space.
type Recognised = (Account, SpaceId);

impl AccountsSnapshot {
    pub(crate) fn new(offline_grace: Duration, session_idle_ms: u64) -> Self {
        Self {
            tables: RwLock::default(),
            offline_grace,
            session_idle_ms,
        }
    }

    /// Finds the account that a session belongs to. Counts as a use of the session.
    pub(crate) fn session(&self, hash: &Digest, now_unix_ms: u64) -> Result<Recognised, AuthError> {
        let tables = self.tables.read();
        self.check_contact(&tables)?;
        let held = tables.sessions.get(hash).ok_or(AuthError::Invalid)?;
        let user = tables.user(&held.user)?;
        let record = &held.record;
        let used = held.used.load(Ordering::Relaxed);
        let idle = if used == 0 {
            record.idle_unix_ms
        } else {
            record.idle_unix_ms.max(used + self.session_idle_ms)
        };
        if record.epoch < user.epoch || record.expires_unix_ms.min(idle) <= now_unix_ms {
            return Err(AuthError::Invalid);
        }
        held.used.fetch_max(now_unix_ms, Ordering::Relaxed);
        let via = Via::Session(credential_id(hash));
        Ok((
            Account {
                user: held.user.clone(),
                role: user.role,
                scopes: Scopes::ALL,
                via,
            },
            user.space.clone(),
        ))
    }

    /// Finds the account that a token belongs to. Counts as a use of the token.
    pub(crate) fn token(&self, hash: &Digest, now_unix_ms: u64) -> Result<Recognised, AuthError> {
        let tables = self.tables.read();
        self.check_contact(&tables)?;
        let held = tables.tokens.get(hash).ok_or(AuthError::Invalid)?;
        let user = tables.user(&held.user)?;
        let record = &held.record;
        let over = record.expires_unix_ms.is_some_and(|end| end <= now_unix_ms);
        if record.epoch < user.token_epoch || over {
            return Err(AuthError::Invalid);
        }
        held.used.fetch_max(now_unix_ms, Ordering::Relaxed);
        let via = Via::Token(credential_id(hash));
        Ok((
            Account {
                user: held.user.clone(),
                role: user.role,
                scopes: scopes(record),
                via,
            },
            user.space.clone(),
        ))
    }

    pub(crate) fn has_operator(&self) -> bool {
        let tables = self.tables.read();
        tables
            .users
            .known
            .values()
            .any(|(user, _)| user.role == Role::Operator && !user.deleted)
    }

    fn check_contact(&self, tables: &Tables) -> Result<(), AuthError> {
        let recent = tables
            .contact
            .is_some_and(|contact| contact.elapsed() <= self.offline_grace);
        if recent {
            Ok(())
        } else {
            Err(AuthError::Stale)
        }
    }

    /// The registry answered at this time and had nothing newer than what is here, or is about to come through the watch.
    /// False if its revision has gone back: then nothing that was learnt before counts.
    pub(crate) fn contacted(&self, at: Instant, revision: Revision) -> bool {
        let mut tables = self.tables.write();
        if revision < tables.seen {
            return false;
        }
        tables.contact = Some(at);
        tables.seen = revision;
        true
    }

    /// Makes everything equal to what was listed at this time, except what has changed since.
    pub(crate) fn resync(&self, loaded: LoadedAccounts, at: Instant) {
        let mut tables = self.tables.write();
        if loaded.revision < tables.seen {
            tracing::warn!(
                "the registry is another one, or has lost its latest changes; all accounts are read anew"
            );
            *tables = Tables::default();
        }
        tables.contact = Some(at);
        tables.seen = loaded.revision;
        let users = loaded
            .users
            .into_iter()
            .map(|(id, user)| (id, parse_user(&user.record), user.revision));
        tables
            .users
            .resync(users.collect(), loaded.revision, |_, _| {});
        tables.spaces = tables
            .users
            .known
            .iter()
            .map(|(id, (user, _))| (user.space.clone(), id.clone()))
            .collect();
        let sessions = loaded.sessions.into_iter();
        let sessions = sessions
            .map(|(hash, one)| (hash, hold(one.record, |record| &record.user), one.revision));
        tables
            .sessions
            .resync(sessions.collect(), loaded.revision, keep_used);
        let tokens = loaded.tokens.into_iter();
        let tokens =
            tokens.map(|(hash, one)| (hash, hold(one.record, |record| &record.user), one.revision));
        tables
            .tokens
            .resync(tokens.collect(), loaded.revision, keep_used);
    }

    /// Takes changes over, where they are newer than what is known.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = AccountChange>) {
        let mut tables = self.tables.write();
        for change in changes {
            match change {
                AccountChange::User(id, record, at) => {
                    let user = record.and_then(|record| parse_user(&record));
                    if let Some(user) = &user {
                        tables.spaces.insert(user.space.clone(), id.clone());
                    }
                    tables.users.set(id, user, at, |_, _| {});
                }
                AccountChange::Session(hash, record, at) => {
                    let held = record.and_then(|record| hold(record, |record| &record.user));
                    tables.sessions.set(hash, held, at, keep_used);
                }
                AccountChange::Token(hash, record, at) => {
                    let held = record.and_then(|record| hold(record, |record| &record.user));
                    tables.tokens.set(hash, held, at, keep_used);
                }
            }
        }
    }

    /// Sessions whose last use was written longer ago than `every_ms` before their last use here.
    pub(crate) fn sessions_to_touch(&self, every_ms: u64) -> Vec<Touch<SessionRecord>> {
        self.tables
            .read()
            .sessions
            .touched(|record| record.used_unix_ms + every_ms)
    }

    /// The same of tokens.
    pub(crate) fn tokens_to_touch(&self, every_ms: u64) -> Vec<Touch<TokenRecord>> {
        self.tables
            .read()
            .tokens
            .touched(|record| record.used_unix_ms.map_or(0, |used| used + every_ms))
    }

    /// The user whose own space this is.
    pub(crate) fn owner(&self, space: &SpaceId) -> Option<UserId> {
        self.tables.read().spaces.get(space).cloned()
    }

    /// A user's own space.
    pub(crate) fn space(&self, user: &UserId) -> Option<SpaceId> {
        self.tables
            .read()
            .users
            .get(user)
            .map(|user| user.space.clone())
    }

    /// Users whose deletion has begun, and their spaces.
    pub(crate) fn deleted_users(&self) -> Vec<Deleted> {
        let tables = self.tables.read();
        let deleted = tables
            .users
            .known
            .iter()
            .filter(|(_, (user, _))| user.deleted);
        deleted
            .map(|(id, (user, _))| Deleted {
                user: id.clone(),
                space: user.space.clone(),
            })
            .collect()
    }
}

/// `None`: a record with a member that this program cannot read, which nobody may act on.
fn parse_user(record: &UserRecord) -> Option<User> {
    let UserRecord {
        epoch,
        token_epoch,
        deleted,
        ..
    } = *record;
    let role = Role::parse(&record.role)?;
    let space = SpaceId::parse(&record.space)?;
    Some(User {
        role,
        space,
        epoch,
        token_epoch,
        deleted,
    })
}

fn hold<R>(record: R, user: impl Fn(&R) -> &str) -> Option<CredentialEntry<R>> {
    Some(CredentialEntry {
        user: UserId::parse(user(&record))?,
        record,
        used: AtomicU64::new(0),
    })
}

fn keep_used<R>(old: &CredentialEntry<R>, new: &CredentialEntry<R>) {
    new.used
        .fetch_max(old.used.load(Ordering::Relaxed), Ordering::Relaxed);
}

// === impl Tables ===

impl Tables {
    fn user(&self, id: &UserId) -> Result<&User, AuthError> {
        self.users
            .get(id)
            .filter(|user| !user.deleted)
            .ok_or(AuthError::Invalid)
    }
}

// === impl RecordTable ===

impl<K: Hash + Eq + Clone, V> RecordTable<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(value, _)| value)
    }

    fn revision(&self, key: &K) -> Option<Revision> {
        self.known
            .get(key)
            .map(|(_, at)| *at)
            .max(self.gone.get(key).copied())
    }

    /// Puts (or, with `None`, deletes) what was written at a revision, unless something newer is known.
    fn set(&mut self, key: K, value: Option<V>, at: Revision, replace: impl Fn(&V, &V)) {
        if self.revision(&key).is_some_and(|known| known >= at) {
            return;
        }
        let old = self.known.remove(&key);
        self.gone.remove(&key);
        match (old, value) {
            (Some((old, _)), Some(value)) => {
                replace(&old, &value);
                self.known.insert(key, (value, at));
            }
            (None, Some(value)) => drop(self.known.insert(key, (value, at))),
            (_, None) => drop(self.gone.insert(key, at)),
        }
    }

    fn resync(
        &mut self,
        listed: Vec<(K, Option<V>, Revision)>,
        at: Revision,
        replace: impl Fn(&V, &V),
    ) {
        let held: std::collections::HashSet<K> =
            listed.iter().map(|(key, ..)| key.clone()).collect();
        self.known
            .retain(|key, (_, revision)| held.contains(key) || *revision > at);
        for (key, value, revision) in listed {
            self.set(key, value, revision, &replace);
        }
        // What was deleted before a full listing can no longer be brought back by an older record.
        self.gone.retain(|_, revision| *revision > at);
    }
}

impl<R: Clone> RecordTable<Digest, CredentialEntry<R>> {
    fn touched(&self, due_unix_ms: impl Fn(&R) -> u64) -> Vec<Touch<R>> {
        let touch = |(hash, (held, revision)): (&Digest, &(CredentialEntry<R>, Revision))| {
            let used_unix_ms = held.used.load(Ordering::Relaxed);
            (used_unix_ms > due_unix_ms(&held.record)).then(|| Touch {
                user: held.user.clone(),
                hash: *hash,
                record: held.record.clone(),
                revision: *revision,
                used_unix_ms,
            })
        };
        self.known.iter().filter_map(touch).collect()
    }
}

#[cfg(test)]
mod tests;
