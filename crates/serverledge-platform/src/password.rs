//! Passwords: which are taken, and how they are hashed.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serverledge_core::AccountError;
use tokio::sync::Semaphore;

use crate::email::Email;
use crate::errors::{busy, invalid};

mod common;

/// Fewest characters: what NIST SP 800-63B asks for with nothing beside it is 15, with a second factor 8.
const CHARS_MIN: usize = 12;
/// Most characters: a hash takes the same time for all of them.
const CHARS_MAX: usize = 128;
/// Hashes at once: each takes 19 MiB and a core for some tens of milliseconds, which functions go short of.
const HASHES_MAX: usize = 2;
/// Most that wait for their turn: about a second of work.
const WAITING_MAX: usize = 32;
/// argon2id with 19 MiB, two passes and one lane: OWASP's Password Storage Cheat Sheet, second configuration.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Checked where there is no account, so that this takes as long. No password has it: its hash is all zeros.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2VydmVybGVkZ2UgZHVtbXk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses passwords that are too short, too long, or among the first that somebody would try.
pub(crate) fn check(password: &str, email: &Email) -> Result<(), AccountError> {
    let chars = password.chars().count();
    if chars < CHARS_MIN {
        return Err(invalid(
            "password_too_short",
            format!("a password has at least {CHARS_MIN} characters"),
        ));
    }
    if chars > CHARS_MAX {
        return Err(invalid(
            "password_too_long",
            format!("a password has at most {CHARS_MAX} characters"),
        ));
    }
    if common::is_common(password, &[email.as_str(), email.local_part()]) {
        return Err(invalid(
            "password_common",
            "this password is one of the first that others would guess: it has little beside common words, rows and \
             repetitions",
        ));
    }
    Ok(())
}

/// Hashes passwords, few at once. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(HASHES_MAX)),
            admitted: Arc::new(Semaphore::new(HASHES_MAX + WAITING_MAX)),
        }
    }
}

impl Hasher {
    /// A password's hash as a PHC string, with a salt of its own.
    ///
    /// # Errors
    /// `TooMany` if too many wait.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, AccountError> {
        let password = password.to_owned();
        let hashed = self
            .run(move || {
                argon2()?
                    .hash_password(password.as_bytes())
                    .map(|hash| hash.to_string())
            })
            .await?;
        hashed.map_err(|error| AccountError::Internal {
            message: format!("failed to hash a password: {error}"),
        })
    }

    /// Whether a password has this hash. `None`, and a hash that cannot be read, take as long and are never true.
    ///
    /// # Errors
    /// `TooMany` if too many wait.
    pub(crate) async fn verify(
        &self,
        password: &str,
        hash: Option<&str>,
    ) -> Result<bool, AccountError> {
        if password.chars().count() > CHARS_MAX {
            return Ok(false);
        }
        let password = password.to_owned();
        let hash = hash.filter(|hash| !hash.is_empty()).map(str::to_owned);
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| DUMMY.to_owned());
            let fits = argon2()
                .and_then(|argon2| argon2.verify_password(password.as_bytes(), hash.as_str()));
            known && fits.is_ok()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountError> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        let working = tokio::task::spawn_blocking(move || {
            // Held until the hash is made, also if nobody waits for it any more.
            let _turn = (running, admitted);
            work()
        });
        working.await.map_err(|error| AccountError::Internal {
            message: format!("failed to hash a password: {error}"),
        })
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> &'static str {
        match check(password, &Email::parse("Grace.Hopper@example.org").unwrap()) {
            Ok(()) => "",
            Err(AccountError::Invalid { code, .. }) => code,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn passwords_are_checked() {
        assert_eq!(code("correct horse battery"), "");
        assert_eq!(code("äöüäöüßßéèê!"), "", "characters count, not bytes");
        assert_eq!(code("elevenchars"), "password_too_short");
        assert_eq!(code(&"xy7 ".repeat(33)), "password_too_long");
        for common in [
            "Password1234",
            "passwordpassword",
            "aaaaaaaaaaaa",
            "123456789012",
            "abcdefghijkl",
            "qwertyuiop[]",
            "121212121212",
            "grace.hopper@example.org",
            "Grace.Hopper",
            "grace.hopper1!",
            "210987654321",
        ] {
            assert_eq!(code(common), "password_common", "{common}");
        }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let hasher = Hasher::default();
        let one = hasher.hash("correct horse").await.unwrap();
        let two = hasher.hash("correct horse").await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two, "each has a salt of its own");
        assert!(hasher.verify("correct horse", Some(&one)).await.unwrap());
        assert!(!hasher.verify("correct horsf", Some(&one)).await.unwrap());
        for hash in [None, Some(""), Some("$argon2id$nonsense"), Some(DUMMY)] {
            assert!(
                !hasher.verify("correct horse", hash).await.unwrap(),
                "{hash:?}"
            );
        }
    }

    /// A check for an account that is not there must cost as much as any other.
    #[test]
    fn the_dummy_is_hashed_like_all_others() {
        let verified = argon2().unwrap().verify_password(b"correct horse", DUMMY);
        assert!(
            matches!(verified, Err(argon2::password_hash::Error::PasswordInvalid)),
            "{verified:?}"
        );
        assert!(DUMMY.contains(&format!("m={MEMORY_KIB},t={PASSES},p={LANES}")));
    }

    #[tokio::test]
    async fn those_who_wait_are_bounded() {
        let hasher = Hasher::default();
        let _all = Arc::clone(&hasher.admitted)
            .try_acquire_many_owned(34)
            .unwrap();
        assert!(matches!(
            hasher.hash("correct horse").await,
            Err(AccountError::TooMany { .. })
        ));
    }
}
