//! Keeps the snapshot current, writes last uses, and sweeps what is over.

use std::time::Duration;

use serverledge_core::whole_millis;

use serverledge_core::kv::{KvError, Revision};
use serverledge_registry::{AccountChange, AccountTxn, ChangeWatch, Follower, follow};
use serverledge_wire::records::{SessionRecord, TokenRecord};
use tokio::time::Instant;

use crate::platform::Platform;
use crate::snapshot::Touch;

/// Interval at which the registry is asked whether it is there, while it reports nothing by itself.
const CONTACT_EVERY: Duration = Duration::from_secs(5);
/// Longest wait for its answer.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval at which last uses are looked through, and limits that count for nothing forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Age of a written last use at which it is written anew: it tells people when, and programs nothing.
const TOUCH_EVERY: Duration = Duration::from_secs(300);
/// Interval at which what has ended is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

impl Platform {
    /// Begins background work: follows the registry from a revision on, writes last uses, sweeps. It ends with
    /// [`Self::stop`].
    pub fn start(&self, from: Revision) {
        let platform = self.clone();
        self.keep_doing(async move { follow(&platform, from).await });
        let platform = self.clone();
        self.keep_doing(async move { platform.tidy_forever().await });
        let platform = self.clone();
        self.keep_doing(async move { platform.sweep_forever().await });
    }

    fn keep_doing(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(
            self.loops
                .spawn(self.stop.clone().run_until_cancelled_owned(task)),
        );
    }

    /// False if the registry has gone back in time. That it does not answer is left to the grace time.
    async fn ask_for_contact(&self) -> bool {
        let asked = Instant::now();
        match tokio::time::timeout(CONTACT_TIMEOUT, self.store.revision()).await {
            Ok(Ok(revision)) => self.snapshot.contacted(asked, revision),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the registry does not answer");
                true
            }
            Err(_) => true,
        }
    }

    async fn tidy_forever(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            self.rates.sweep();
            self.write_last_uses().await;
        }
    }

    /// Writes when sessions and tokens were last used, of those for which that is some minutes old.
    pub(crate) async fn write_last_uses(&self) {
        for touch in self.snapshot.sessions_to_touch(whole_millis(TOUCH_EVERY)) {
            if let Err(error) = self.touch_session(touch).await {
                return tracing::debug!(%error, "failed to write a last use");
            }
        }
        for touch in self.snapshot.tokens_to_touch(whole_millis(TOUCH_EVERY)) {
            if let Err(error) = self.touch_token(touch).await {
                return tracing::debug!(%error, "failed to write a last use");
            }
        }
    }

    /// Only of the record as it was seen: one that has been deleted does not come back.
    async fn touch_session(&self, touch: Touch<SessionRecord>) -> Result<(), KvError> {
        let Touch {
            user,
            hash,
            record,
            revision,
            used_unix_ms,
        } = touch;
        let idle_unix_ms = used_unix_ms + whole_millis(self.options.session_idle);
        let record = SessionRecord {
            used_unix_ms,
            idle_unix_ms,
            ..record
        };
        let txn = AccountTxn::new()
            .when_session(&hash, revision)
            .put_session(&user, &hash, &record);
        if let Some(at) = self.store.commit(txn).await? {
            self.wrote_session(hash, Some(record), at);
        }
        Ok(())
    }

    async fn touch_token(&self, touch: Touch<TokenRecord>) -> Result<(), KvError> {
        let Touch {
            user,
            hash,
            record,
            revision,
            used_unix_ms,
        } = touch;
        let record = TokenRecord {
            used_unix_ms: Some(used_unix_ms),
            ..record
        };
        let txn = AccountTxn::new()
            .when_token(&hash, revision)
            .put_token(&user, &hash, &record);
        if let Some(at) = self.store.commit(txn).await? {
            self.wrote_token(hash, Some(record), at);
        }
        Ok(())
    }

    async fn sweep_forever(&self) {
        loop {
            match self.store.sweep(self.now()).await {
                Ok(swept) => tracing::debug!(?swept, "swept accounts"),
                Err(error) => tracing::warn!(%error, "failed to sweep accounts"),
            }
            // Nodes that share a registry do not all sweep it at once.
            let jitter = Duration::from_millis(self.now() % 60_000);
            tokio::time::sleep(SWEEP_EVERY + jitter).await;
        }
    }
}

impl Follower for Platform {
    type Change = AccountChange;

    const PART: &'static str = "the accounts";
    const MEANWHILE: &'static str = "known ones are believed for a while";

    async fn load(&self) -> Result<Revision, KvError> {
        let asked = Instant::now();
        let loaded = self.store.load_all().await?;
        for unreadable in &loaded.unreadable {
            tracing::error!(
                key = unreadable.key,
                "a record of an account cannot be read; it is not valid here"
            );
        }
        let next = loaded.revision.next();
        self.snapshot.resync(loaded, asked);
        Ok(next)
    }

    async fn watch(&self, from: Revision) -> Result<ChangeWatch<AccountChange>, KvError> {
        self.store.watch(from).await
    }

    async fn apply(&self, changes: Vec<AccountChange>) {
        // The end of an account may have begun on another node.
        let users = changes
            .iter()
            .any(|change| matches!(change, AccountChange::User(..)));
        self.snapshot.apply(changes);
        if users {
            self.deletions.notify_waiters();
        }
    }

    /// Returns when the registry turns out to be another one.
    async fn interrupted(&self) {
        loop {
            tokio::time::sleep(CONTACT_EVERY).await;
            if !self.ask_for_contact().await {
                return;
            }
        }
    }
}
