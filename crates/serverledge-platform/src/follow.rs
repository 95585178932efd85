//! Keeps the snapshot current, writes last uses, and sweeps what is over.

use std::time::Duration;

use serverledge_core::kv::{KvError, Revision};
use serverledge_registry::{AccountChange, AccountTxn, AccountWatch};
use serverledge_wire::records::{SessionRecord, TokenRecord};
use tokio::time::Instant;

use crate::clock::millis;
use crate::platform::Platform;
use crate::snapshot::Touch;

/// Pause before a watch that broke is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often everything is read anew: what a watch lost is repaired then.
const RESYNC_EVERY: Duration = Duration::from_secs(300);
/// How often the registry is asked whether it is there, while it reports nothing by itself.
const CONTACT_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often last uses are looked through, and limits that count for nothing forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How old a written last use gets before it is written anew: it tells people when, and programs nothing.
const TOUCH_EVERY: Duration = Duration::from_secs(300);
/// How often what has ended is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

impl Platform {
    /// Reads all accounts; returns the revision to follow from.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn load(&self) -> Result<Revision, KvError> {
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

    /// Begins background work: follows the registry from a revision on, writes last uses, sweeps. It ends with
    /// [`Self::stop`].
    pub fn start(&self, from: Revision) {
        let platform = self.clone();
        self.keep_doing(async move { platform.follow(from).await });
        let platform = self.clone();
        self.keep_doing(async move { platform.tidy_forever().await });
        let platform = self.clone();
        self.keep_doing(async move { platform.sweep_forever().await });
    }

    fn keep_doing(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        drop(self.loops.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        }));
    }

    async fn follow(&self, mut from: Revision) {
        loop {
            match self.store.watch(from).await {
                Ok(watch) => self.apply_changes(watch).await,
                Err(error) => tracing::warn!(%error, "failed to watch the accounts"),
            }
            tokio::time::sleep(WATCH_PAUSE).await;
            match self.load().await {
                Ok(next) => from = next,
                Err(error) => {
                    tracing::warn!(%error, "failed to read the accounts; known ones are believed for a while")
                }
            }
        }
    }

    /// Until the watch breaks, a resync is due, or the registry turns out to be another one.
    async fn apply_changes(&self, mut watch: AccountWatch) {
        let due = Instant::now() + RESYNC_EVERY;
        let mut ask = Instant::now() + CONTACT_EVERY;
        loop {
            tokio::select! {
                changes = watch.next() => match changes {
                    Ok(changes) => {
                        // The end of an account may have begun on another node.
                        let users = changes.iter().any(|change| matches!(change, AccountChange::User(..)));
                        self.snapshot.apply(changes);
                        if users {
                            self.deletions.notify_waiters();
                        }
                    }
                    Err(error) => return tracing::warn!(%error, "the accounts' watch ended"),
                },
                () = tokio::time::sleep_until(due) => return,
                () = tokio::time::sleep_until(ask) => {
                    if !self.ask_for_contact().await {
                        return;
                    }
                    ask = Instant::now() + CONTACT_EVERY;
                }
            }
        }
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
        for touch in self.snapshot.sessions_to_touch(millis(TOUCH_EVERY)) {
            if let Err(error) = self.touch_session(touch).await {
                return tracing::debug!(%error, "failed to write a last use");
            }
        }
        for touch in self.snapshot.tokens_to_touch(millis(TOUCH_EVERY)) {
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
        let idle_unix_ms = used_unix_ms + millis(self.options.session_idle);
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
