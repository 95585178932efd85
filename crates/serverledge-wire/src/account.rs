//! Bodies of the routes below `/account`: accounts, sessions, tokens. Times are Unix milliseconds, spans are seconds.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A password, a token, or what a link carries. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

/// The body of `POST /account/sign-up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// The address.
    pub email: String,
    /// 12 to 128 characters.
    pub password: Secret,
    /// An invitation, where the node wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<Secret>,
}

/// The reply to it: 201 with the user and a session cookie, or 202 when a mail was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignUpReply {
    /// A mail with a link was sent; the account is there once the link was followed.
    pub confirmation_sent: bool,
    /// The new user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The body of `POST /account/log-in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// The reply to it. The session itself is in the cookie only, where scripts do not see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedIn {
    /// The user's id.
    pub user: String,
    /// Longest lifetime of the session, in seconds.
    pub lifetime_s: u64,
}

/// The body of `POST /account/request-reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestReset {
    /// The address.
    pub email: String,
}

/// The reply to it, the same whether or not the address has an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetRequested {
    /// `mail`, or `log` on a node that sends none: the link is then a line of its log.
    pub delivery: String,
}

/// The body of `POST /account/reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The part of the link after `#`.
    pub secret: Secret,
    /// The new password.
    pub password: Secret,
}

/// The body of `POST /account/confirm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The part of the link after `#`.
    pub secret: Secret,
}

/// The reply to `GET /account`: who asks, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountInfo {
    /// The user's id.
    pub user: String,
    /// The address.
    pub email: String,
    /// `user` or `operator`.
    pub role: String,
    /// The user's own space.
    pub space: String,
    /// Creation time of the account, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// `session` or `token`: what this request showed.
    pub via: String,
    /// The id of that session or token; not a secret.
    pub credential: String,
    /// The scopes of the credential.
    pub scopes: Vec<String>,
}

/// The body of `POST /account/email`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEmail {
    /// The password.
    pub password: Secret,
    /// The new address.
    pub email: String,
}

/// The reply to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailChange {
    /// The address changes once the link in a mail to the new one was followed.
    pub confirmation_sent: bool,
}

/// The body of `POST /account/password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub password: Secret,
    /// The new one.
    pub new_password: Secret,
}

/// The body of `DELETE /account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccount {
    /// The password.
    pub password: Secret,
}

/// The body of `POST /account/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The name that the owner gives it.
    pub name: String,
    /// The scopes that it shall have: `invoke`, `deploy`, `admin`, `metrics`.
    pub scopes: Vec<String>,
    /// Its lifetime in seconds; absent: it is valid until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u64>,
}

/// A token as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenEntry {
    /// Its id; not a secret.
    pub id: String,
    /// The name that the owner gave it.
    pub name: String,
    /// The scopes of the token.
    pub scopes: Vec<String>,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Expiry time, in Unix milliseconds; absent: it is valid until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix_ms: Option<u64>,
}

/// The reply (201) to `POST /account/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token itself, shown this once.
    pub token: Secret,
    /// The properties of the token.
    pub info: TokenEntry,
}

/// The reply to `GET /account/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// The caller's tokens.
    pub tokens: Vec<TokenEntry>,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionEntry {
    /// Its id; not a secret.
    pub id: String,
    /// Start time of the session, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    pub used_unix_ms: u64,
    /// It is the one that asks.
    pub current: bool,
}

/// The reply to `GET /account/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// The caller's sessions.
    pub sessions: Vec<SessionEntry>,
}

/// The reply (201) to `POST /account/invitations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// For the member `invite` of one sign-up; shown this once.
    pub invite: Secret,
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde::de::DeserializeOwned;

    use super::*;

    /// The form on the wire is this one, and reads back.
    fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(
        value: &T,
        expected: &Expect,
    ) {
        let text = serde_json::to_string(value).unwrap();
        expected.assert_eq(&text);
        assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
        assert!(
            !format!("{value:?}").contains("hunter2"),
            "secrets are not shown: {value:?}"
        );
    }

    fn secret() -> Secret {
        Secret("hunter2hunter2".to_owned())
    }

    fn token() -> TokenEntry {
        TokenEntry {
            id: "t1".to_owned(),
            name: "laptop".to_owned(),
            scopes: vec!["invoke".to_owned(), "deploy".to_owned()],
            created_unix_ms: 1,
            expires_unix_ms: None,
            used_unix_ms: Some(2),
        }
    }

    #[test]
    fn ways_in_keep_their_members() {
        let email = || "ada@example.org".to_owned();
        check(
            &SignUp {
                email: email(),
                password: secret(),
                invite: None,
            },
            &expect![[r#"{"email":"ada@example.org","password":"hunter2hunter2"}"#]],
        );
        check(
            &SignUp {
                email: email(),
                password: secret(),
                invite: Some(secret()),
            },
            &expect![[
                r#"{"email":"ada@example.org","password":"hunter2hunter2","invite":"hunter2hunter2"}"#
            ]],
        );
        check(
            &SignUpReply {
                confirmation_sent: false,
                user: Some("u".to_owned()),
            },
            &expect![[r#"{"confirmation_sent":false,"user":"u"}"#]],
        );
        check(
            &SignUpReply {
                confirmation_sent: true,
                user: None,
            },
            &expect![[r#"{"confirmation_sent":true}"#]],
        );
        check(
            &LogIn {
                email: email(),
                password: secret(),
            },
            &expect![[r#"{"email":"ada@example.org","password":"hunter2hunter2"}"#]],
        );
        check(
            &LoggedIn {
                user: "u".to_owned(),
                lifetime_s: 60,
            },
            &expect![[r#"{"user":"u","lifetime_s":60}"#]],
        );
        check(
            &RequestReset { email: email() },
            &expect![[r#"{"email":"ada@example.org"}"#]],
        );
        check(
            &Reset {
                secret: secret(),
                password: secret(),
            },
            &expect![[r#"{"secret":"hunter2hunter2","password":"hunter2hunter2"}"#]],
        );
        check(
            &Confirm { secret: secret() },
            &expect![[r#"{"secret":"hunter2hunter2"}"#]],
        );
        check(
            &Invitation { invite: secret() },
            &expect![[r#"{"invite":"hunter2hunter2"}"#]],
        );
    }

    #[test]
    fn settings_keep_their_members() {
        let info = AccountInfo {
            user: "u".to_owned(),
            email: "ada@example.org".to_owned(),
            role: "user".to_owned(),
            space: "s".to_owned(),
            created_unix_ms: 1,
            via: "token".to_owned(),
            credential: "t1".to_owned(),
            scopes: vec!["invoke".to_owned()],
        };
        check(
            &info,
            &expect![[
                r#"{"user":"u","email":"ada@example.org","role":"user","space":"s","created_unix_ms":1,"via":"token","credential":"t1","scopes":["invoke"]}"#
            ]],
        );
        check(
            &ChangeEmail {
                password: secret(),
                email: "b@example.org".to_owned(),
            },
            &expect![[r#"{"password":"hunter2hunter2","email":"b@example.org"}"#]],
        );
        check(
            &EmailChange {
                confirmation_sent: true,
            },
            &expect![[r#"{"confirmation_sent":true}"#]],
        );
        check(
            &ChangePassword {
                password: secret(),
                new_password: secret(),
            },
            &expect![[r#"{"password":"hunter2hunter2","new_password":"hunter2hunter2"}"#]],
        );
        check(
            &DeleteAccount { password: secret() },
            &expect![[r#"{"password":"hunter2hunter2"}"#]],
        );
    }

    #[test]
    fn tokens_and_sessions_keep_their_members() {
        check(
            &TokenRequest {
                name: "ci".to_owned(),
                scopes: vec!["deploy".to_owned()],
                lifetime_s: Some(60),
            },
            &expect![[r#"{"name":"ci","scopes":["deploy"],"lifetime_s":60}"#]],
        );
        check(
            &CreatedToken {
                token: secret(),
                info: token(),
            },
            &expect![[
                r#"{"token":"hunter2hunter2","info":{"id":"t1","name":"laptop","scopes":["invoke","deploy"],"created_unix_ms":1,"used_unix_ms":2}}"#
            ]],
        );
        check(
            &Tokens {
                tokens: vec![TokenEntry {
                    expires_unix_ms: Some(3),
                    used_unix_ms: None,
                    ..token()
                }],
            },
            &expect![[
                r#"{"tokens":[{"id":"t1","name":"laptop","scopes":["invoke","deploy"],"created_unix_ms":1,"expires_unix_ms":3}]}"#
            ]],
        );
        let session = SessionEntry {
            id: "s1".to_owned(),
            created_unix_ms: 1,
            used_unix_ms: 2,
            current: true,
        };
        check(
            &Sessions {
                sessions: vec![session],
            },
            &expect![[
                r#"{"sessions":[{"id":"s1","created_unix_ms":1,"used_unix_ms":2,"current":true}]}"#
            ]],
        );
    }
}
