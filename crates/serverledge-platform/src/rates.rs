//! Limits of the rate of attempts, by address and by account, in memory, for each node on its own.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serverledge_core::{AccountError, Digest};

/// Most addresses and most accounts that are told apart at once: some megabytes. Beyond, newcomers share one limit.
const KEYS_MAX: usize = 50_000;
const MINUTE: Duration = Duration::from_secs(60);

/// The subject that a limit counts. Version 6 addresses count by network, for everybody has a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    V6([u8; 8]),
    Account([u8; 32]),
    /// Everybody, when there are too many.
    Everybody,
}

/// One limit.
struct Limit {
    limiter: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    keys_max: usize,
}

/// All limits. An account's count, whether or not there is one with that address, so that they tell nothing.
pub(crate) struct Rates {
    login_address: Limit,
    login_account: Limit,
    sign_up_address: Limit,
    link_address: Limit,
    mail_address: Limit,
    mail_account: Limit,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            // A household or an office behind one address.
            login_address: Limit::new(20, MINUTE / 20),
            // 1,440 guesses a day at most, from wherever: nothing against a password that is on no list.
            login_account: Limit::new(20, MINUTE),
            sign_up_address: Limit::new(10, MINUTE * 6),
            link_address: Limit::new(30, MINUTE / 10),
            mail_address: Limit::new(10, MINUTE * 2),
            // Nobody's mailbox is flooded.
            mail_account: Limit::new(4, MINUTE * 5),
        }
    }
}

impl Rates {
    /// Before a password is looked at.
    pub(crate) fn login(&self, from: IpAddr, account: &Digest) -> Result<(), AccountError> {
        self.login_address.check(address(from))?;
        self.login_account.check(Key::Account(*account.as_bytes()))
    }

    /// Before an account is made.
    pub(crate) fn sign_up(&self, from: IpAddr) -> Result<(), AccountError> {
        self.sign_up_address.check(address(from))
    }

    /// Before the secret of a link is looked up.
    pub(crate) fn link(&self, from: IpAddr) -> Result<(), AccountError> {
        self.link_address.check(address(from))
    }

    /// Before a mail is sent to an address.
    pub(crate) fn mail(&self, from: IpAddr, to: &Digest) -> Result<(), AccountError> {
        self.mail_address.check(address(from))?;
        self.mail_account.check(Key::Account(*to.as_bytes()))
    }

    /// Forgets whoever has not tried for so long that it counts for nothing.
    pub(crate) fn sweep(&self) {
        let Self {
            login_address,
            login_account,
            sign_up_address,
            link_address,
            mail_address,
            mail_account,
        } = self;
        for limit in [
            login_address,
            login_account,
            sign_up_address,
            link_address,
            mail_address,
            mail_account,
        ] {
            limit.limiter.retain_recent();
            limit.limiter.shrink_to_fit();
        }
    }
}

impl Limit {
    /// So many tries at once, and one more each time this has passed.
    fn new(burst: u32, one_per: Duration) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(one_per)
            .unwrap_or(Quota::per_minute(burst))
            .allow_burst(burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            keys_max: KEYS_MAX,
        }
    }

    fn check(&self, key: Key) -> Result<(), AccountError> {
        let key = if self.limiter.len() >= self.keys_max {
            Key::Everybody
        } else {
            key
        };
        self.limiter.check_key(&key).map_err(|refused| {
            // Rounded up: a client that waits as told is let in.
            let wait = refused.wait_time_from(self.clock.now());
            AccountError::TooMany {
                retry_after: Duration::from_secs(wait.as_secs() + 1),
            }
        })
    }
}

fn address(from: IpAddr) -> Key {
    match from.to_canonical() {
        IpAddr::V4(address) => Key::V4(address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            Key::V6([a, b, c, d, e, f, g, h])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_tries() {
        let rates = Rates::default();
        let account = |n: u8| Digest::new([n; 32]);
        let tries = (0..100)
            .take_while(|n| rates.login(ip("10.0.0.1"), &account(*n)).is_ok())
            .count();
        assert_eq!(tries, 20);
        let refused = rates.login(ip("10.0.0.1"), &account(200)).unwrap_err();
        assert!(
            matches!(refused, AccountError::TooMany { retry_after } if (1..=4).contains(&retry_after.as_secs()))
        );
        assert!(rates.login(ip("10.0.0.2"), &account(200)).is_ok());
    }

    #[test]
    fn an_account_has_so_many_tries_from_everywhere() {
        let rates = Rates::default();
        let tries = (0..100).take_while(|n| {
            rates
                .login(ip(&format!("10.0.0.{n}")), &Digest::new([1; 32]))
                .is_ok()
        });
        assert_eq!(tries.count(), 20);
    }

    #[test]
    fn a_network_counts_as_one() {
        assert_eq!(address(ip("2001:db8::1")), address(ip("2001:db8::ffff:2")));
        assert_ne!(address(ip("2001:db8::1")), address(ip("2001:db8:0:1::1")));
        assert_eq!(address(ip("::ffff:10.0.0.1")), address(ip("10.0.0.1")));
    }

    #[test]
    fn too_many_keys_share_a_limit() {
        let limit = Limit {
            keys_max: 10,
            ..Limit::new(2, MINUTE)
        };
        let tries = (0..100)
            .filter(|n| limit.check(Key::V4([*n, 0, 0, 0])).is_ok())
            .count();
        assert_eq!(
            tries,
            10 + 2,
            "each of ten once, and all others together twice"
        );
        assert!(limit.limiter.len() <= 11);
    }
}
