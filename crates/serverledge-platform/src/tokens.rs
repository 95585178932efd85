//! API tokens.

use std::time::Duration;

use serverledge_core::{AccountError, Caller, Digest, NewToken, Scopes, TokenInfo};
use serverledge_registry::{AccountTxn, LISTED_MAX, credential_id};
use serverledge_wire::records::{Record, TokenRecord};

use crate::clock::millis;
use crate::deletion::ATTEMPTS_MAX;
use crate::errors::{contended, invalid, registry};
use crate::platform::{Platform, manager};
use crate::secret::Kind;

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

impl Platform {
    pub(crate) async fn list_tokens(
        &self,
        caller: &Caller,
    ) -> Result<Vec<TokenInfo>, AccountError> {
        let account = manager(caller)?;
        let epoch = self.own(account).await?.record.token_epoch;
        let now = self.now();
        let tokens = self
            .store
            .tokens_of(&account.user)
            .await
            .map_err(registry)?;
        let live = tokens
            .into_iter()
            .map(|(hash, token)| (hash, token.record))
            .filter(|(_, token)| {
                token.epoch >= epoch && token.expires_unix_ms.is_none_or(|end| end > now)
            });
        let mut infos: Vec<TokenInfo> = live.map(|(hash, token)| info(&hash, &token)).collect();
        infos.sort_by_key(|info| info.created_unix_ms);
        Ok(infos)
    }

    /// A token may at most what the credential may that asks for it.
    pub(crate) async fn make_token(
        &self,
        caller: &Caller,
        token: NewToken,
    ) -> Result<(TokenInfo, String), AccountError> {
        let account = manager(caller)?;
        check(&token, account.scopes)?;
        for _ in 0..ATTEMPTS_MAX {
            let own = self.own(account).await?;
            let others = self
                .store
                .tokens_of(&account.user)
                .await
                .map_err(registry)?;
            // Revoked ones may not have been swept yet.
            let others = others
                .iter()
                .filter(|(_, other)| other.record.epoch >= own.record.token_epoch);
            if others.count() >= TOKENS_MAX {
                return Err(invalid(
                    "too_many_tokens",
                    format!("an account has at most {TOKENS_MAX} tokens; revoke some"),
                ));
            }
            let (secret, hash) = Kind::Token.make()?;
            let now = self.now();
            let record = TokenRecord {
                schema: TokenRecord::SCHEMA,
                user: account.user.to_string(),
                epoch: own.record.token_epoch,
                name: token.name.clone(),
                scopes: token
                    .scopes
                    .names()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                created_unix_ms: now,
                expires_unix_ms: token.lifetime.map(|lifetime| now + millis(lifetime)),
                used_unix_ms: None,
            };
            let txn = AccountTxn::new()
                .when_user(&account.user, own.revision)
                .put_token(&account.user, &hash, &record);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                let made = info(&hash, &record);
                self.wrote_token(hash, Some(record), at);
                return Ok((made, secret));
            }
        }
        Err(contended("the account"))
    }

    pub(crate) async fn delete_token(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        let account = manager(caller)?;
        let found = self
            .store
            .find_token(&account.user, id)
            .await
            .map_err(registry)?;
        let hash = found.ok_or(AccountError::Unknown("the token"))?;
        let txn = AccountTxn::new().delete_token(&account.user, &hash);
        if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
            self.wrote_token(hash, None, at);
        }
        Ok(())
    }
}

fn check(token: &NewToken, own: Scopes) -> Result<(), AccountError> {
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
            "a token has at least one scope: invoke, deploy, admin",
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
    let Scopes {
        invoke,
        deploy,
        admin,
    } = token.scopes;
    let more = (invoke && !own.invoke) || (deploy && !own.deploy) || (admin && !own.admin);
    if more {
        Err(AccountError::Forbidden(
            "a token cannot make one that may do more than itself",
        ))
    } else {
        Ok(())
    }
}

fn info(hash: &Digest, record: &TokenRecord) -> TokenInfo {
    let known = |name: &&str| Scopes::parse([*name]).is_some();
    TokenInfo {
        id: credential_id(hash),
        name: record.name.clone(),
        scopes: Scopes::parse(record.scopes.iter().map(String::as_str).filter(known))
            .unwrap_or_default(),
        created_unix_ms: record.created_unix_ms,
        expires_unix_ms: record.expires_unix_ms,
        used_unix_ms: record.used_unix_ms,
    }
}
