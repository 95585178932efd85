//! E-mail addresses: their syntax, and when two are the same.

use email_address::{EmailAddress, Options};
use serverledge_core::{AccountError, Digest};

use crate::errors::invalid;

/// Longest address that can be mailed to: 256 bytes of path (RFC 5321, 4.5.3.1.3) without its angle brackets.
const EMAIL_CHARS_MAX: usize = 254;
const DOMAIN: &str = "serverledge 2026 email address 1";

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    text: String,
}

impl Email {
    /// Checks an address. ASCII only: whether two addresses are one must not depend on how somebody folds letters of other
    /// scripts, else a link for one account goes to the owner of another.
    pub(crate) fn parse(text: &str) -> Result<Self, AccountError> {
        let plain = text.is_ascii()
            && text.len() <= EMAIL_CHARS_MAX
            && !text.contains(['"', '<', '>', '(', ')']);
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        if plain && EmailAddress::parse_with_options(text, options).is_ok() {
            return Ok(Self {
                text: text.to_owned(),
            });
        }
        Err(invalid(
            "email_invalid",
            "this is no e-mail address; expected one like name@example.org",
        ))
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`.
    pub(crate) fn local_part(&self) -> &str {
        self.text.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The digest that names its key: the same for all spellings in upper and lower case.
    pub(crate) fn hash(&self) -> Digest {
        hash_of(&self.text)
    }
}

/// The hash of an address that was checked before.
pub(crate) fn hash_of(email: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
    Digest::new(
        *hasher
            .update(email.to_ascii_lowercase().as_bytes())
            .finalize()
            .as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for good in [
            "a@b.org",
            "ada.lovelace+x@example.org",
            "A@localhost",
            "o'neil@xn--bcher-kva.example",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("a@{}.org", "b".repeat(250));
        for bad in [
            "",
            "a",
            "@b.org",
            "a@",
            "a b@c.org",
            "a@b@c.org",
            "Ada <a@b.org>",
            "a@[127.0.0.1]",
            "a@b.org\r\nBcc: c@d.org",
            "a@b.org,c@d.org",
            "\"a b\"@c.org",
            "ä@b.org",
            "a@bü.org",
            "a@b.org ",
            &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn case_makes_no_difference() {
        let hash = |text| Email::parse(text).unwrap().hash();
        assert_eq!(hash("Ada@Example.org"), hash("ada@example.ORG"));
        assert_ne!(hash("ada@example.org"), hash("ada@example.net"));
    }
}
