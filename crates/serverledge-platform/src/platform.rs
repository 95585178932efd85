//! The platform's parts, and its life: made, loaded, followed, stopped.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serverledge_core::kv::{Kv, Revision};
use serverledge_core::{Account, AccountError, Caller, Scopes, SpaceId, UserId, whole_millis};
use serverledge_registry::{AccountChange, AccountStore, AccountTxn, Stored};
use serverledge_wire::records::{SessionRecord, TokenRecord, UserRecord};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::background::Jobs;
use crate::clock::Clock;
use crate::mail::Mailer;
use crate::messages::Links;
use crate::password::Hasher;
use crate::rates::Rates;
use crate::snapshot::AccountsSnapshot;

/// The rule for signing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signup {
    /// Everybody.
    Open,
    /// Whoever has an invitation.
    Invite,
    /// Nobody: accounts are made by a command on the machine.
    Closed,
}

/// Settings of the platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The rule for signing up.
    pub signup: Signup,
    /// The beginning of links in mails; `None`: the URL that [`Platform::set_default_url`] sets.
    pub base_url: Option<String>,
    /// Time that a session lives without being used; at least ten minutes, for uses are written every five.
    pub session_idle: Duration,
    /// Longest life of a session.
    pub session_lifetime: Duration,
    /// Time for which known sessions and tokens are believed while the registry is away.
    pub offline_grace: Duration,
}

/// Accounts. Cloning is cheap, and gives the same platform.
#[derive(Debug, Clone)]
pub struct Platform {
    pub(crate) store: AccountStore,
    pub(crate) options: Arc<Options>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) hasher: Hasher,
    pub(crate) rates: Arc<Rates>,
    pub(crate) snapshot: Arc<AccountsSnapshot>,
    pub(crate) jobs: Jobs,
    pub(crate) loops: tokio_util::task::TaskTracker,
    pub(crate) stop: CancellationToken,
    /// The URL that the node listens on.
    pub(crate) own_url: Arc<OnceLock<String>>,
    /// Told when the deletion of an account begins.
    pub(crate) deletions: Arc<Notify>,
}

impl Platform {
    /// A platform over this registry. It knows nobody before [`serverledge_registry::Follower::load`].
    #[must_use]
    pub fn new(
        kv: Arc<dyn Kv>,
        mailer: Arc<dyn Mailer>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Self {
        let snapshot =
            AccountsSnapshot::new(options.offline_grace, whole_millis(options.session_idle));
        Self {
            store: AccountStore::new(kv),
            options: Arc::new(options),
            clock,
            mailer,
            hasher: Hasher::default(),
            rates: Arc::default(),
            snapshot: Arc::new(snapshot),
            jobs: Jobs::default(),
            loops: tokio_util::task::TaskTracker::new(),
            stop: CancellationToken::new(),
            own_url: Arc::default(),
            deletions: Arc::default(),
        }
    }

    /// Sets the beginning of links if nothing was configured: the URL that the node listens on. Once; never from a
    /// request.
    pub fn set_default_url(&self, url: String) {
        let _ = self.own_url.set(url);
    }

    /// Whether an operator has an account. From memory.
    #[must_use]
    pub fn has_operator(&self) -> bool {
        self.snapshot.has_operator()
    }

    /// The user whose own space this is; `None` if it is nobody's own. From memory.
    #[must_use]
    pub fn owner_of(&self, space: &SpaceId) -> Option<UserId> {
        self.snapshot.owner(space)
    }

    /// A user's own space. From memory.
    #[must_use]
    pub fn space_of(&self, user: &UserId) -> Option<SpaceId> {
        self.snapshot.space(user)
    }

    /// Ends background work: mails that are being sent have some seconds, everything else ends at once. What is asked
    /// afterwards still works as long as the registry does.
    pub async fn stop(&self) {
        self.jobs.finish().await;
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.unix_ms()
    }

    pub(crate) fn links(&self) -> Links<'_> {
        let configured = self
            .options
            .base_url
            .as_ref()
            .or_else(|| self.own_url.get());
        Links {
            base: configured.map_or("", String::as_str),
        }
    }

    /// Writes a user's record in place of the one that was seen, together with other changes; false if anybody else has
    /// changed it, or them, since.
    pub(crate) async fn change_user(
        &self,
        user: &UserId,
        seen: Revision,
        record: UserRecord,
        others: AccountTxn,
    ) -> Result<bool, AccountError> {
        let txn = others.when_user(user, seen).put_user(user, &record);
        let Some(at) = self
            .store
            .commit(txn)
            .await
            .map_err(crate::errors::registry)?
        else {
            return Ok(false);
        };
        self.wrote_user(user, record, at);
        Ok(true)
    }

    /// Applies a record that this node has just written; requests are checked against it from now on.
    pub(crate) fn wrote_user(&self, user: &UserId, record: UserRecord, at: Revision) {
        self.snapshot
            .apply([AccountChange::User(user.clone(), Some(record), at)]);
    }

    pub(crate) fn wrote_session(
        &self,
        hash: serverledge_core::Digest,
        record: Option<SessionRecord>,
        at: Revision,
    ) {
        self.snapshot
            .apply([AccountChange::Session(hash, record, at)]);
    }

    pub(crate) fn wrote_token(
        &self,
        hash: serverledge_core::Digest,
        record: Option<TokenRecord>,
        at: Revision,
    ) {
        self.snapshot
            .apply([AccountChange::Token(hash, record, at)]);
    }

    /// The caller's own record.
    pub(crate) async fn own(&self, account: &Account) -> Result<Stored<UserRecord>, AccountError> {
        let found = self
            .store
            .user(&account.user)
            .await
            .map_err(crate::errors::registry)?;
        found
            .filter(|stored| !stored.record.deleted)
            .ok_or(AccountError::Unknown("this account"))
    }
}

/// The account that asks.
pub(crate) fn account(caller: &Caller) -> Result<&Account, AccountError> {
    caller.account.as_deref().ok_or(AccountError::Forbidden(
        "this needs an account: log in first",
    ))
}

/// The account that asks, if its credential may look after it.
pub(crate) fn manager(caller: &Caller) -> Result<&Account, AccountError> {
    let account = account(caller)?;
    let Scopes { admin, .. } = account.scopes;
    if admin {
        Ok(account)
    } else {
        Err(AccountError::Forbidden(
            "this token has not the scope `admin`",
        ))
    }
}
