//! Quotas: limits of each user. They count for the owner of a function's space, and else for the account that calls;
//! the default space has no owner and no quota. Deployed functions are counted from the snapshot, so a cluster may
//! exceed a quota by what its nodes store within the registry's delay. Running invocations are counted by each node for
//! itself, and only where they come in: nested calls and the calls of peers are free.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use serverledge_api::QuotaExceeded;
use serverledge_core::{Caller, Digest, FunctionName, InvocationError, SpaceId, UserId};
use serverledge_wire::quotas::{QuotaUsage, UserQuotas};
use tokio::sync::OwnedMutexGuard;

use crate::clock::{PausableClock, now};
use crate::config::QuotaConfig;
use crate::functions::{FunctionEntry, Functions};

#[cfg(test)]
pub(crate) mod tests;

/// `Retry-After` at the limit of invocations at once: calls end all the time.
const CONCURRENT_RETRY: Duration = Duration::from_secs(1);
/// Time without a call after which a user can be forgotten: the bucket of calls is full again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Number of users that are kept before idle ones are looked for.
const USERS_MIN: usize = 1024;

/// The owners of spaces. Asked during calls: answers come from memory.
pub(crate) trait Owners: Send + Sync {
    /// The owner of a space; `None` for one that is everybody's, or unknown.
    fn owner(&self, space: &SpaceId) -> Option<UserId>;
    /// All spaces of a user: their own, and their applications'.
    fn spaces(&self, user: &UserId) -> Vec<SpaceId>;
    /// The number of a user's applications.
    fn applications(&self, user: &UserId) -> usize;
}

/// The quotas; see the module.
pub(crate) struct Quotas {
    config: QuotaConfig,
    owners: Arc<dyn Owners>,
    users: Arc<Mutex<Users>>,
}

#[derive(Default)]
struct Users {
    table: HashMap<UserId, Usage>,
    /// Number of users at which idle ones are looked for.
    crowd: usize,
}

/// The usage of a user.
struct Usage {
    running: usize,
    calls: Option<Bucket>,
    /// The time of their last call.
    seen: Instant,
    /// The lock of deploys: one at a time is counted and stored.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, PausableClock, NoOpMiddleware<Instant>>;

/// A permit for one of a user's invocations at once; dropping it returns the permit.
pub(crate) struct Permit {
    users: Arc<Mutex<Users>>,
    user: UserId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(usage) = self.users.lock().table.get_mut(&self.user) {
            usage.running = usage.running.saturating_sub(1);
        }
    }
}

impl Quotas {
    pub(crate) fn new(config: QuotaConfig, owners: Arc<dyn Owners>) -> Self {
        Self {
            config,
            owners,
            users: Arc::default(),
        }
    }

    /// The user whose quota counts for a call in a space.
    fn payer(&self, caller: &Caller) -> Option<UserId> {
        if caller.space.is_default() {
            return None;
        }
        self.owners
            .owner(&caller.space)
            .or_else(|| caller.user().cloned())
    }

    /// Counts an incoming invocation that waits for its outcome. `None` if no quota applies.
    pub(crate) fn admit(&self, caller: &Caller) -> Result<Option<Permit>, InvocationError> {
        let Some(user) = self.payer(caller) else {
            return Ok(None);
        };
        let most = self.config.concurrent;
        self.used_by(&user, |usage| {
            if most > 0 && usage.running >= most {
                let message = format!(
                    "{} invocations of this owner run on this node, {most} are allowed",
                    usage.running
                );
                return Err(refused("quota_concurrent", message, CONCURRENT_RETRY));
            }
            self.spend_of(usage)?;
            usage.running += 1;
            Ok(())
        })?;
        Ok(Some(Permit {
            users: Arc::clone(&self.users),
            user,
        }))
    }

    /// Counts an incoming invocation that is run later.
    pub(crate) fn spend(&self, caller: &Caller) -> Result<(), InvocationError> {
        let Some(user) = self.payer(caller) else {
            return Ok(());
        };
        self.used_by(&user, |usage| self.spend_of(usage))
    }

    fn spend_of(&self, usage: &Usage) -> Result<(), InvocationError> {
        let Some(calls) = &usage.calls else {
            return Ok(());
        };
        calls.check().map_err(|until| {
            let most = self.config.per_minute;
            let message =
                format!("{most} invocations of this owner are allowed a minute on this node");
            refused("quota_per_minute", message, until.wait_time_from(now()))
        })
    }

    fn used_by<T>(&self, user: &UserId, with: impl FnOnce(&mut Usage) -> T) -> T {
        let mut users = self.users.lock();
        users.evict_idle();
        let usage = users.table.entry(user.clone()).or_insert_with(|| Usage {
            running: 0,
            calls: NonZero::new(self.config.per_minute)
                .map(|most| RateLimiter::direct_with_clock(Quota::per_minute(most), PausableClock)),
            seen: now(),
            turn: Arc::default(),
        });
        usage.seen = now();
        with(usage)
    }

    /// Waits until no other deploy of the space's owner is being counted and stored here.
    pub(crate) async fn turn(&self, space: &SpaceId) -> Option<OwnedMutexGuard<()>> {
        let user = self.owner_of(space)?;
        let turn = self.used_by(&user, |usage| Arc::clone(&usage.turn));
        Some(turn.lock_owned().await)
    }

    fn owner_of(&self, space: &SpaceId) -> Option<UserId> {
        if space.is_default() {
            None
        } else {
            self.owners.owner(space)
        }
    }

    /// Checks whether a function with this code, of this length, may be bound to the name.
    pub(crate) fn check_deploy(
        &self,
        functions: &Functions,
        space: &SpaceId,
        name: &FunctionName,
        (code, bytes): (&Digest, u64),
    ) -> Result<(), QuotaExceeded> {
        let Some(user) = self.owner_of(space) else {
            return Ok(());
        };
        let mut spaces = self.owners.spaces(&user);
        if !spaces.contains(space) {
            spaces.push(space.clone());
        }
        let all: Vec<Arc<FunctionEntry>> = spaces
            .iter()
            .flat_map(|space| functions.of(space))
            .collect();
        let is_it = |entry: &&Arc<FunctionEntry>| {
            entry.function.space == *space && entry.function.name == *name
        };
        let most = self.config.functions;
        if most > 0 && all.len() >= most && !all.iter().any(|entry| is_it(&entry)) {
            let message = format!(
                "the owner has {} functions, {most} are allowed; delete one first",
                all.len()
            );
            return Err(QuotaExceeded {
                code: "quota_functions",
                message,
            });
        }
        let present = distinct(all.iter());
        let mut then: HashMap<Digest, u64> = distinct(all.iter().filter(|entry| !is_it(entry)));
        then.insert(*code, bytes);
        let before = present.values().sum::<u64>();
        let after = then.values().sum::<u64>();
        let most = self.config.code_bytes as u64;
        // What makes it less is allowed, however much there is.
        if most > 0 && after > most && after > before {
            let message = format!(
                "the code of the owner's functions would have {after} bytes, {most} are allowed together"
            );
            return Err(QuotaExceeded {
                code: "quota_code_bytes",
                message,
            });
        }
        Ok(())
    }

    /// The quotas that count for a caller. `None` if no quota applies.
    pub(crate) fn usage(&self, functions: &Functions, caller: &Caller) -> Option<UserQuotas> {
        let user = self.payer(caller)?;
        let spaces = self.owners.spaces(&user);
        let entries: Vec<_> = spaces
            .iter()
            .flat_map(|space| functions.of(space))
            .collect();
        let code_bytes: u64 = distinct(entries.iter()).values().sum();
        let users = self.users.lock();
        let running = users.table.get(&user).map_or(0, |usage| usage.running);
        drop(users);
        let of = |used: usize, most: usize| QuotaUsage {
            used: used as u64,
            limit: NonZero::new(most).map(|most| most.get() as u64),
        };
        Some(UserQuotas {
            applications: of(self.owners.applications(&user), self.config.applications),
            functions: of(entries.len(), self.config.functions),
            code_bytes: QuotaUsage {
                used: code_bytes,
                ..of(0, self.config.code_bytes)
            },
            concurrent: of(running, self.config.concurrent),
            per_minute: NonZero::new(self.config.per_minute).map(|most| u64::from(most.get())),
        })
    }

    /// Checks whether a user with this number of applications may have another one.
    pub(crate) fn check_applications(&self, present: usize) -> Result<(), QuotaExceeded> {
        let most = self.config.applications;
        if most > 0 && present >= most {
            let message =
                format!("you have {present} applications, {most} are allowed; delete one first");
            return Err(QuotaExceeded {
                code: "quota_applications",
                message,
            });
        }
        Ok(())
    }
}

/// The code of functions, each once, and its length.
fn distinct<'a>(entries: impl Iterator<Item = &'a Arc<FunctionEntry>>) -> HashMap<Digest, u64> {
    entries
        .map(|entry| (entry.function.version.code, entry.code_bytes))
        .collect()
}

impl Users {
    /// Removes idle users. Their number stays below twice those who called within a minute.
    fn evict_idle(&mut self) {
        if self.table.len() < self.crowd.max(USERS_MIN) {
            return;
        }
        let now = now();
        self.table.retain(|_, usage| {
            let here = now.saturating_duration_since(usage.seen) < REMEMBERED;
            here || usage.running > 0 || Arc::strong_count(&usage.turn) > 1
        });
        self.crowd = self.table.len() * 2;
    }
}

fn refused(code: &'static str, message: String, retry_after: Duration) -> InvocationError {
    InvocationError::Quota {
        code,
        message,
        retry_after,
    }
}
