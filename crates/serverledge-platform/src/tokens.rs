//! API tokens.

use std::time::Duration;

use serverledge_core::{AccountError, Digest, NewToken, Scopes, TokenInfo};
use serverledge_registry::{LISTED_MAX, credential_id};
use serverledge_wire::records::TokenRecord;

use crate::errors::invalid;

/// Most tokens of one account, give or take those made at the same moment; all of them can be listed.
pub(crate) const TOKENS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;
/// A shorter one would end before it is copied.
const LIFETIME_MIN: Duration = Duration::from_secs(60);
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const _: () = assert!(
    TOKENS_MAX < LISTED_MAX,
    "tokens made at the same moment are listed as well"
);

pub(crate) fn check(token: &NewToken, own: Scopes) -> Result<(), AccountError> {
    let chars = token.name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&chars) || token.name.chars().any(char::is_control) {
        let message = format!(
            "a token's name has 1 to {NAME_CHARS_MAX} characters and no control characters"
        );
        return Err(invalid("token_name_invalid", message));
    }
    if token.scopes == Scopes::default() {
        return Err(invalid(
            "token_scopes_missing",
            "a token has at least one scope: invoke, deploy, admin, metrics",
        ));
    }
    if token
        .lifetime
        .is_some_and(|lifetime| !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime))
    {
        return Err(invalid(
            "token_lifetime_invalid",
            "a token lives from a minute to ten years, or until it is revoked",
        ));
    }
    if token.scopes.within(own) {
        return Ok(());
    }
    Err(AccountError::Forbidden(
        "a token cannot make one that may do more than itself",
    ))
}

/// The scopes of a token. One that this program does not know grants nothing.
pub(crate) fn scopes(record: &TokenRecord) -> Scopes {
    let known = |name: &&str| Scopes::parse([*name]).is_some();
    Scopes::parse(record.scopes.iter().map(String::as_str).filter(known)).unwrap_or_default()
}

pub(crate) fn info(hash: &Digest, record: &TokenRecord) -> TokenInfo {
    TokenInfo {
        id: credential_id(hash),
        name: record.name.clone(),
        scopes: scopes(record),
        created_unix_ms: record.created_unix_ms,
        expires_unix_ms: record.expires_unix_ms,
        used_unix_ms: record.used_unix_ms,
    }
}
