//! Secrets that the node makes: of sessions, tokens and links. Each has 256 random bits, is shown once, and is kept as a
//! hash only. It is found by that hash, so nothing compares secrets byte by byte and no time depends on how much of a guess
//! is right: a fast hash is enough for what nobody can guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serverledge_core::{AccountError, Digest};

/// Prefix of API tokens, so that scanners for leaked secrets recognise them.
const TOKEN_PREFIX: &str = "slt_";

/// The purpose of a secret. One is never good for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretKind {
    Session,
    Token,
    Link,
}

impl SecretKind {
    /// Separates the uses of BLAKE3.
    const fn domain(self) -> &'static str {
        match self {
            Self::Session => "serverledge 2026 session secret 1",
            Self::Token => "serverledge 2026 token secret 1",
            Self::Link => "serverledge 2026 link secret 1",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Token => TOKEN_PREFIX,
            Self::Session | Self::Link => "",
        }
    }

    /// A new secret and its hash.
    pub(crate) fn make(self) -> Result<(String, Digest), AccountError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| AccountError::Internal {
            message: format!("failed to get random bytes: {error}"),
        })?;
        let text = format!("{}{}", self.prefix(), URL_SAFE_NO_PAD.encode(bytes));
        Ok((text, self.digest(&bytes)))
    }

    /// The hash of a secret that somebody shows; `None` if it has not the form of one.
    pub(crate) fn hash(self, text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        let written = URL_SAFE_NO_PAD
            .decode_slice(text.strip_prefix(self.prefix())?, &mut bytes)
            .ok()?;
        (written == bytes.len()).then(|| self.digest(&bytes))
    }

    fn digest(self, bytes: &[u8; 32]) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key(self.domain());
        Digest::new(*hasher.update(bytes).finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_their_hash() {
        for kind in [SecretKind::Session, SecretKind::Token, SecretKind::Link] {
            let (secret, hash) = kind.make().unwrap();
            assert_eq!(kind.hash(&secret), Some(hash));
            assert_ne!(kind.make().unwrap().1, hash);
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_secret_is_none() {
        let (secret, _) = SecretKind::Token.make().unwrap();
        let short = &secret[..secret.len() - 1];
        for text in [
            "",
            "slt_",
            short,
            &format!("{secret}A"),
            &format!("{secret}="),
            &secret[4..],
            &secret.to_uppercase(),
        ] {
            assert_eq!(SecretKind::Token.hash(text), None, "{text}");
        }
        assert_eq!(SecretKind::Session.hash(&secret), None);
        assert_eq!(SecretKind::Session.hash(&"\u{e9}".repeat(43)), None);
    }

    #[test]
    fn one_kind_is_not_good_for_another() {
        let (secret, hash) = SecretKind::Session.make().unwrap();
        assert_ne!(SecretKind::Link.hash(&secret), Some(hash));
    }
}
