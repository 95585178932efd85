//! The way to etcd: one endpoint at a time, the next one after a failure; every request with a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serverledge_core::kv::{KEY_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::fault::EtcdRefusal;
use super::grpc::{CallError, Connection, ConnectionOptions};
use super::identity::identify;
use super::memory::Memory;
use super::options::{EtcdOptions, EtcdOptionsError};

/// Largest answer: a transaction that reads as many of the largest values as one may.
const REPLY_BYTES_MAX: usize = TXN_OPS_MAX * (VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX);
/// Largest piece of a watch's answer: etcd cuts them at its request limit (1.5 MiB by default), and that may be raised.
const EVENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Time after which a silent connection in use is asked for a sign of life. etcd ends connections that ask more often
/// than every 5 s.
const PING_INTERVAL: Duration = Duration::from_secs(6);
/// Time that the sign of life may take before the connection counts as dead.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// First and longest wait between two attempts in a row, before jitter.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// May a request be made again when its outcome is open?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetrySafety {
    /// Doing it twice does no harm.
    Repeatable,
    /// Only again if it certainly was not sent.
    Once,
}

/// The use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Requests wait for an election that is under way.
    Requests,
    /// A watch on a member that lost its leader ends, so that another member can be asked.
    Watch,
}

/// A connection, and which endpoint it leads to. Cloning is cheap.
#[derive(Clone)]
pub(super) struct EtcdSession {
    pub(super) etcd: Connection,
    place: ConnectAttempt,
}

/// An attempt to connect: its endpoint, and its number, counted over all endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ConnectAttempt {
    endpoint: usize,
    generation: u64,
}

/// The endpoints, and the session in use.
pub(super) struct EtcdLink {
    endpoints: Vec<String>,
    options: EtcdOptions,
    memory: Arc<Memory>,
    /// The key that tells stores apart.
    identity: Vec<u8>,
    current: Mutex<(ConnectAttempt, Option<EtcdSession>)>,
    /// Held while connecting: a burst of requests logs in once.
    connecting: tokio::sync::Mutex<()>,
}

/// Growing waits between attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

// === impl EtcdLink ===

impl EtcdLink {
    pub(super) fn new(
        options: EtcdOptions,
        memory: Arc<Memory>,
        identity: Vec<u8>,
    ) -> Result<Self, EtcdOptionsError> {
        let endpoints = options.check()?;
        let current = Mutex::default();
        let connecting = tokio::sync::Mutex::new(());
        Ok(Self {
            endpoints,
            options,
            memory,
            identity,
            current,
            connecting,
        })
    }

    pub(super) const fn options(&self) -> &EtcdOptions {
        &self.options
    }

    /// Makes a request: on the session in use, else on a new one; within the request timeout in all. After a failure
    /// the other endpoints are tried as far as `kind` allows. A dropped future leaves the outcome of a write open.
    pub(super) async fn call<T, F>(
        &self,
        kind: RetrySafety,
        request: impl Fn(EtcdSession) -> F,
    ) -> Result<T, EtcdRefusal>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let deadline = Instant::now() + self.options.request_timeout;
        // One more for reads: the session in use may have broken unnoticed, with one endpoint as well.
        let attempts = self.endpoints.len() + usize::from(kind == RetrySafety::Repeatable);
        let mut attempt = 1;
        loop {
            // A silent endpoint must not use up the time in which another would answer.
            let until = match kind {
                RetrySafety::Repeatable if attempt < attempts && self.endpoints.len() > 1 => {
                    Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2
                }
                _ => deadline,
            };
            let refusal = match self.attempt(until, &request).await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            if attempt >= attempts || Instant::now() >= deadline || !may_try_again(kind, &refusal) {
                return Err(refusal);
            }
            attempt += 1;
        }
    }

    async fn attempt<T, F>(
        &self,
        until: Instant,
        request: impl Fn(EtcdSession) -> F,
    ) -> Result<T, EtcdRefusal>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let begun = Instant::now();
        let session = match timeout_at(until, self.session()).await {
            Ok(session) => session?,
            Err(elapsed) => {
                return Err(EtcdRefusal::not_sent(
                    self.endpoint(self.place()),
                    Box::new(elapsed),
                ));
            }
        };
        let place = session.place;
        let refusal = match timeout_at(until, request(session)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => EtcdRefusal::new(self.endpoint(place), error),
            Err(_) => EtcdRefusal::deadline(self.endpoint(place), begun.elapsed()),
        };
        if refusal.is_of_transport() {
            self.leave(place);
        }
        Err(refusal)
    }

    async fn session(&self) -> Result<EtcdSession, EtcdRefusal> {
        if let Some(session) = self.current().1.clone() {
            return Ok(session);
        }
        let _alone = self.connecting.lock().await;
        let (place, session) = self.current().clone();
        if let Some(session) = session {
            return Ok(session);
        }
        let session = self.dial(place, Use::Requests).await?;
        let mut current = self.current();
        if current.0 == place {
            current.1 = Some(session.clone());
        }
        Ok(session)
    }

    /// A connection for one watch: a watcher that reads slowly must not stop requests, or other watches, which would
    /// share its flow control.
    pub(super) async fn session_for_watch(&self) -> Result<EtcdSession, EtcdRefusal> {
        self.dial(self.place(), Use::Watch).await
    }

    /// Connects, logs in, and for requests looks which store this is; nothing else was sent when this fails.
    async fn dial(&self, place: ConnectAttempt, what_for: Use) -> Result<EtcdSession, EtcdRefusal> {
        let endpoint = self.endpoint(place);
        let failure = match timeout(self.options.connect_timeout, self.greet(place, what_for)).await
        {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => EtcdRefusal::new(endpoint, error),
            Err(elapsed) => EtcdRefusal::not_sent(endpoint, Box::new(elapsed)),
        };
        self.leave(place);
        Err(match failure {
            EtcdRefusal::Fault(fault) if fault.may_have_happened() => {
                EtcdRefusal::not_sent(endpoint, Box::new(fault))
            }
            other => other,
        })
    }

    async fn greet(&self, place: ConnectAttempt, what_for: Use) -> Result<EtcdSession, CallError> {
        let etcd = Connection::open(self.connection_options(place, what_for)).await?;
        // A watch looks after it has begun.
        if what_for == Use::Requests {
            let stamp = self.memory.stamp();
            self.memory
                .saw(stamp, identify(etcd.clone(), self.identity.clone()).await?);
        }
        Ok(EtcdSession { etcd, place })
    }

    fn connection_options(&self, place: ConnectAttempt, what_for: Use) -> ConnectionOptions<'_> {
        ConnectionOptions {
            endpoint: self.endpoint(place),
            connect_timeout: self.options.connect_timeout,
            ping: (PING_INTERVAL, PING_TIMEOUT),
            user: self.options.user.as_ref(),
            tls: self.options.tls.as_ref(),
            require_leader: what_for == Use::Watch,
            reply_bytes_max: match what_for {
                Use::Requests => REPLY_BYTES_MAX,
                Use::Watch => EVENTS_BYTES_MAX,
            },
        }
    }

    /// The session failed: the next request uses the next endpoint, with one endpoint a new connection.
    fn leave(&self, failed: ConnectAttempt) {
        let mut current = self.current();
        if current.0 == failed {
            let next = (failed.endpoint + 1) % self.endpoints.len();
            *current = (
                ConnectAttempt {
                    endpoint: next,
                    generation: failed.generation + 1,
                },
                None,
            );
        }
    }

    /// A watch's connection failed: if the requests' is at the same endpoint, that one is left, too.
    pub(super) fn leave_after(&self, session: &EtcdSession) {
        let place = self.place();
        if place.endpoint == session.place.endpoint {
            self.leave(place);
        }
    }

    fn place(&self) -> ConnectAttempt {
        self.current().0
    }

    fn current(&self) -> MutexGuard<'_, (ConnectAttempt, Option<EtcdSession>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, place: ConnectAttempt) -> &str {
        self.endpoints
            .get(place.endpoint)
            .map_or("", String::as_str)
    }

    /// There was no answer for so long, wherever it was to come from.
    pub(super) fn deadline(&self, after: Duration) -> EtcdRefusal {
        EtcdRefusal::deadline(self.endpoint(self.place()), after)
    }

    pub(super) fn endpoint_of(&self, session: &EtcdSession) -> &str {
        self.endpoint(session.place)
    }
}

fn may_try_again(kind: RetrySafety, refusal: &EtcdRefusal) -> bool {
    let EtcdRefusal::Fault(fault) = refusal else {
        return false;
    };
    match kind {
        RetrySafety::Repeatable => refusal.is_of_transport(),
        RetrySafety::Once => refusal.is_of_transport() && !fault.may_have_happened(),
    }
}

// === impl Backoff ===

impl Backoff {
    /// The next wait: doubled up to 5 s, then between half of it and all of it by chance, so that the nodes of a
    /// cluster do not come back at once.
    pub(super) fn next(&mut self) -> Duration {
        let full = BACKOFF_MIN
            .saturating_mul(1 << self.failures.min(10))
            .min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        // The random bits of a new id.
        let chance = u32::try_from(Uuid::now_v7().as_u128() & 0x3ff).unwrap_or_default();
        full / 2 + full * chance / 2048
    }

    /// Is it the first failure in a row?
    pub(super) const fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        for _ in 0..50 {
            let full = BACKOFF_MIN
                .saturating_mul(1 << backoff.failures.min(10))
                .min(BACKOFF_MAX);
            let wait = backoff.next();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        assert!(!backoff.is_fresh() && backoff.next() >= BACKOFF_MAX / 2);
        backoff.reset();
        assert!(backoff.is_fresh() && backoff.next() <= BACKOFF_MIN);
    }
}
