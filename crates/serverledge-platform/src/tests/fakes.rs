//! Fakes that the platform stands on in tests: a clock that is set, a mail server that keeps mails, a store that can be
//! away.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serverledge_core::kv::{
    KeyValue, Kv, KvError, Lease, LeaseId, RangeReply, RangeRequest, Revision, Status, Txn,
    TxnReply, Watch,
};
use serverledge_core::{
    Account, AccountError, Accounts, AuthError, Caller, Credential, NewSession, Role, SignedUp,
};
use serverledge_registry::{Embedded, Follower};
use tokio::sync::Notify;

use crate::{Clock, Mail, MailError, Mailer, Options, Platform, Signup};

/// Longest wait for something that must come: tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
pub(super) const NOW: u64 = 1_700_000_000_000;
pub(super) const ADA: &str = "Ada@example.org";
pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const OTHER: &str = "another horse battery";

/// The time of day, which stands still.
#[derive(Debug)]
pub(super) struct FakeClock(AtomicU64);

impl FakeClock {
    pub(super) fn advance(&self, time: Duration) {
        self.0
            .fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A mail server.
#[derive(Debug, Default)]
pub(super) struct FakeMailer {
    delivers: bool,
    faults: Mutex<VecDeque<MailError>>,
    mails: Mutex<VecDeque<Mail>>,
    sent: Notify,
}

impl FakeMailer {
    /// The next attempt fails so; several queue up.
    pub(super) fn fail(&self, fault: MailError) {
        self.faults.lock().push_back(fault);
    }

    /// The next mail; waits for it.
    pub(super) async fn next(&self) -> Mail {
        let next = async {
            loop {
                let sent = self.sent.notified();
                if let Some(mail) = self.mails.lock().pop_front() {
                    return mail;
                }
                sent.await;
            }
        };
        tokio::time::timeout(WAIT_MAX, next)
            .await
            .expect("no mail came")
    }

    /// The secret in the link of the next mail.
    pub(super) async fn next_secret(&self) -> String {
        secret(&self.next().await.text)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mails.lock().is_empty()
    }
}

/// The text behind the `#` of a link.
pub(super) fn secret(text: &str) -> String {
    let (_, rest) = text.split_once('#').expect("a link with a secret");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[async_trait]
impl Mailer for FakeMailer {
    fn delivers(&self) -> bool {
        self.delivers
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        if let Some(fault) = self.faults.lock().pop_front() {
            return Err(fault);
        }
        self.mails.lock().push_back(mail.clone());
        self.sent.notify_one();
        Ok(())
    }
}

/// A store that is away when it is told to. Its watches then say nothing.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn Kv>,
    away: AtomicBool,
}

impl Faulty {
    pub(super) fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), KvError> {
        let away = || KvError::Unavailable {
            attempt: "answer",
            source: "it is away".into(),
        };
        if self.away.load(Ordering::SeqCst) {
            Err(away())
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Kv for Faulty {
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError> {
        self.check()?;
        self.inner.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        self.check()?;
        self.inner.txn(txn).await
    }

    async fn watch(
        &self,
        prefix: &[u8],
        from: Option<Revision>,
    ) -> Result<Box<dyn Watch>, KvError> {
        self.check()?;
        self.inner.watch(prefix, from).await
    }

    async fn compact(&self, at: Revision) -> Result<(), KvError> {
        self.inner.compact(at).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.inner.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.inner.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.inner.lease_revoke(lease).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        self.check()?;
        self.inner.status().await
    }
}

/// A registry, and what else the platforms on it share.
pub(super) struct World {
    pub(super) kv: Arc<Faulty>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) mailer: Arc<FakeMailer>,
    next_address: AtomicU8,
}

impl World {
    pub(super) fn new(delivers: bool) -> Self {
        let inner: Arc<dyn Kv> =
            Arc::new(Embedded::in_memory(&serverledge_registry::Options::default()).unwrap());
        Self {
            kv: Arc::new(Faulty {
                inner,
                away: AtomicBool::new(false),
            }),
            clock: Arc::new(FakeClock(AtomicU64::new(NOW))),
            mailer: Arc::new(FakeMailer {
                delivers,
                ..FakeMailer::default()
            }),
            next_address: AtomicU8::new(0),
        }
    }

    /// A platform that knows everybody, and follows the registry.
    pub(super) async fn platform(&self, signup: Signup) -> Platform {
        let options = Options {
            signup,
            base_url: Some("https://faas.example.org/".to_owned()),
            session_idle: HOUR,
            session_lifetime: HOUR * 24,
            offline_grace: Duration::from_secs(300),
        };
        let kv = Arc::<Faulty>::clone(&self.kv);
        let mailer = Arc::<FakeMailer>::clone(&self.mailer);
        let platform = Platform::new(kv, mailer, Arc::<FakeClock>::clone(&self.clock), options);
        let from = platform.load().await.unwrap();
        platform.start(from);
        platform
    }

    /// An address that has not tried anything yet.
    pub(super) fn address(&self) -> IpAddr {
        let last = self.next_address.fetch_add(1, Ordering::SeqCst);
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    /// Ada's account, made by whoever runs the machine and given a password, and a session of hers.
    pub(super) async fn ada(&self, platform: &Platform) -> NewSession {
        let granted = platform.grant(ADA, Role::User, true).await.unwrap();
        platform
            .reset(&secret(&granted.link.unwrap()), PASSWORD, self.address())
            .await
            .unwrap();
        if self.mailer.delivers {
            self.mailer.next().await;
        }
        platform
            .log_in(ADA, PASSWORD, self.address())
            .await
            .unwrap()
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The caller that a session belongs to.
pub(super) fn session(platform: &Platform, session: &NewSession) -> Result<Caller, AuthError> {
    platform.authenticate(Credential::Session(&session.secret))
}

pub(super) fn token(platform: &Platform, secret: &str) -> Result<Caller, AuthError> {
    platform.authenticate(Credential::Token(secret))
}

pub(super) fn account(caller: &Caller) -> &Account {
    caller.account.as_deref().unwrap()
}

pub(super) fn logged_in(signed_up: SignedUp) -> NewSession {
    match signed_up {
        SignedUp::LoggedIn(session) => session,
        SignedUp::ConfirmationSent => panic!("a confirmation was sent"),
    }
}

/// The stable code of what is wrong with the input.
pub(super) fn code<T: std::fmt::Debug>(result: Result<T, AccountError>) -> &'static str {
    match result {
        Err(AccountError::Invalid { code, .. }) => code,
        other => panic!("expected invalid input, got {other:?}"),
    }
}

/// Asks again and again, and panics naming `what` did not come.
pub(super) async fn wait_for(what: &str, mut ask: impl FnMut() -> bool) {
    let asking = async {
        while !ask() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"));
}
