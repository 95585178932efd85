//! Quotas: what one user may have and run. They count for whoever owns a function's space, and else for the account that
//! calls; the default space has no owner and no quota. What was deployed is counted from the snapshot of functions, so a
//! cluster may exceed a quota by what its nodes store within the registry's delay. What runs is counted by each node for
//! itself, and only where it comes in: nested calls and the calls of peers are free.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use serverledge_api::QuotaExceeded;
use serverledge_core::{
    Caller, Digest, FunctionName, InvocationError, Reply, Report, SpaceId, UserId,
};
use serverledge_platform::Platform;
use tokio::sync::OwnedMutexGuard;

use crate::applications::Applications;
use crate::config::QuotaConfig;
use crate::functions::{Entry, Functions};
use crate::invoke::now;
use crate::leased::LeasedBody;

#[cfg(test)]
pub(crate) mod tests;

/// When to try again while as many run as may: calls end all the time.
const CONCURRENT_RETRY: Duration = Duration::from_secs(1);
/// After this time without a call nothing is left to remember of a user: the bucket of calls is full again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Users that are remembered before those who left are looked for.
const USERS_MIN: usize = 1024;

/// Who owns which space. Asked on the path of a call: answers come from memory.
pub(crate) trait Owners: Send + Sync {
    /// The owner of a space; `None` for one that is everybody's, or unknown.
    fn owner(&self, space: &SpaceId) -> Option<UserId>;
    /// All spaces of a user: their own, and their applications'.
    fn spaces(&self, user: &UserId) -> Vec<SpaceId>;
}

/// Users own their own space and those of their applications.
pub(crate) struct AccountsAndApplications {
    pub(crate) accounts: Arc<Platform>,
    pub(crate) applications: Arc<Applications>,
}

impl Owners for AccountsAndApplications {
    fn owner(&self, space: &SpaceId) -> Option<UserId> {
        match self.applications.by_space(space) {
            Some(application) => application.owner.clone(),
            None => self.accounts.owner_of(space),
        }
    }

    fn spaces(&self, user: &UserId) -> Vec<SpaceId> {
        let applications = self
            .applications
            .of(Some(user))
            .into_iter()
            .map(|one| one.space.clone());
        self.accounts
            .space_of(user)
            .into_iter()
            .chain(applications)
            .collect()
    }
}

/// See the module.
pub(crate) struct Quotas {
    config: QuotaConfig,
    owners: Arc<dyn Owners>,
    users: Arc<Mutex<Users>>,
}

#[derive(Default)]
struct Users {
    table: HashMap<UserId, Usage>,
    /// How many there may be before those who left are looked for.
    crowd: usize,
}

/// What is remembered of a user.
struct Usage {
    running: usize,
    calls: Option<Bucket>,
    /// When they last called.
    seen: Instant,
    /// One deploy at a time is counted and stored.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, PausableClock, NoOpMiddleware<Instant>>;

/// tokio's clock, so that tests can pause it.
#[derive(Debug, Clone, Copy)]
struct PausableClock;

impl Clock for PausableClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        now()
    }
}

/// A place among a user's invocations at once; dropping it gives the place back.
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

/// The report, with the permit kept until the end of a streamed body.
pub(crate) fn until_its_end(report: Report, permit: Option<Permit>) -> Report {
    match (report.reply, permit) {
        (Reply::Http(response), Some(permit)) => {
            let response = response.map(|body| -> serverledge_core::HttpBody {
                Box::pin(LeasedBody::new(body, permit))
            });
            Report {
                reply: Reply::Http(Box::new(response)),
                ..report
            }
        }
        (reply, _) => Report { reply, ..report },
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

    /// Who pays for what runs in a space.
    fn payer(&self, caller: &Caller) -> Option<UserId> {
        if caller.space.is_default() {
            return None;
        }
        self.owners
            .owner(&caller.space)
            .or_else(|| caller.user().cloned())
    }

    /// Counts an invocation that comes in and waits for its outcome. `None` if nobody pays for it.
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

    /// Counts an invocation that comes in to be run later.
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
        users.forget_who_left();
        match users.table.entry(user.clone()) {
            Slot::Occupied(known) => {
                let usage = known.into_mut();
                usage.seen = now();
                with(usage)
            }
            Slot::Vacant(unknown) => with(unknown.insert(Usage {
                running: 0,
                calls: NonZero::new(self.config.per_minute).map(|most| {
                    RateLimiter::direct_with_clock(Quota::per_minute(most), PausableClock)
                }),
                seen: now(),
                turn: Arc::default(),
            })),
        }
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

    /// Whether a function of this code, so long, may be bound to the name.
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
        let all: Vec<Arc<Entry>> = spaces
            .iter()
            .flat_map(|space| functions.of(space))
            .collect();
        let is_it =
            |entry: &&Arc<Entry>| entry.function.space == *space && entry.function.name == *name;
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
        let (before, after) = (present.values().sum::<u64>(), then.values().sum::<u64>());
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

    /// Whether a user who has so many applications may have another one.
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

/// The code of functions, each once, and how long it is.
fn distinct<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> HashMap<Digest, u64> {
    entries
        .map(|entry| (entry.function.version.code, entry.code_bytes))
        .collect()
}

impl Users {
    /// Bounded by those who called within a minute, twice over.
    fn forget_who_left(&mut self) {
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
