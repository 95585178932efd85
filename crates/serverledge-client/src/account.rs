//! Accounts: what shows who somebody is, and the routes below `/account`.

use std::fmt;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serverledge_wire::account::{
    AccountInfo, ChangeEmail, ChangePassword, Confirm, CreatedToken, DeleteAccount, EmailChange,
    Invitation, LogIn, LoggedIn, RequestReset, Reset, Sessions, SignUp, SignUpReply, TokenRequest,
    Tokens,
};

use crate::client::{CONTROL_TIMEOUT, Client, is_request_id, read_json};
use crate::error::ClientError;

/// Longest token: ours are a fraction of it.
const TOKEN_BYTES_MAX: usize = 256;
/// The names of the session cookie, with and without TLS.
const SESSION_COOKIES: [&str; 2] = ["__Host-serverledge_session", "serverledge_session"];

/// An API token. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text is no API token. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API token begins with slt_ and has letters, digits, '-' and '_' only")]
pub struct ParseTokenError;

/// A browser session that a log-in began. Its `Debug` form does not show it.
#[derive(Clone)]
pub struct Session(HeaderValue);

// === impl Token ===

impl Token {
    /// Checks the form of a token; whether the node knows it shows when it is sent.
    ///
    /// # Errors
    /// [`ParseTokenError`] if it cannot be one.
    pub fn parse(text: &str) -> Result<Self, ParseTokenError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let rest = text.strip_prefix("slt_").ok_or(ParseTokenError)?;
        let fits = !rest.is_empty() && text.len() <= TOKEN_BYTES_MAX && rest.bytes().all(plain);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseTokenError)
        }
    }

    /// The token itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The value of `Authorization`, marked as a secret.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .expect("a checked token is plain ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

// === impl Session ===

impl Session {
    /// The cookie that an answer sets, as it is sent back.
    fn begun(headers: &HeaderMap) -> Option<Self> {
        let values = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let pair = values
            .filter_map(|value| value.split(';').next())
            .find(|pair| {
                let name = pair
                    .split_once('=')
                    .filter(|(_, secret)| !secret.is_empty())
                    .map(|(name, _)| name.trim());
                name.is_some_and(|name| SESSION_COOKIES.contains(&name))
            })?;
        let mut value = HeaderValue::from_str(pair.trim()).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Client {
    // === ways in and out ===

    /// Makes an account; with a session unless the address has to be confirmed first. Dropping the future: the account may
    /// be there or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `email_taken` (409), `sign_up_refused` (403), 422 if address or password break a rule.
    /// [`ClientError::InClear`] if the password would be sent so. Else see [`ClientError`].
    pub async fn sign_up(
        &self,
        wanted: &SignUp,
    ) -> Result<(SignUpReply, Option<Session>), ClientError> {
        let (url, answer) = self.ask(Method::POST, &["sign-up"], Some(wanted)).await?;
        Ok((
            read_json(&url, answer.body())?,
            Session::begun(answer.headers()),
        ))
    }

    /// Begins a session. A program makes itself a token with it ([`Client::create_token_in`]) and ends it. Dropping the
    /// future may leave a session behind, which ends by itself.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403), `too_many_tries` (429). [`ClientError::InClear`] if the password
    /// would be sent so. Else see [`ClientError`].
    pub async fn log_in(&self, shown: &LogIn) -> Result<(LoggedIn, Session), ClientError> {
        let (url, answer) = self.ask(Method::POST, &["log-in"], Some(shown)).await?;
        let session = Session::begun(answer.headers());
        let fault = || ClientError::Answer {
            url: url.to_string(),
            fault: "it begins no session".to_owned(),
        };
        Ok((read_json(&url, answer.body())?, session.ok_or_else(fault)?))
    }

    /// Revokes the token that this client sends. Dropping the future: it may be revoked or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.ask::<()>(Method::POST, &["log-out"], None)
            .await
            .map(drop)
    }

    /// Ends a session. Dropping the future: it may be over or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end(&self, session: &Session) -> Result<(), ClientError> {
        let url = self.account_url(&["log-out"]);
        let request = self
            .http
            .post(url.clone())
            .header(COOKIE, session.0.clone());
        self.send(request, CONTROL_TIMEOUT, &url).await.map(drop)
    }

    /// Asks for a link for a new password. Whether the address has an account is not told. Dropping the future: it may be
    /// sent or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request_reset(&self, email: &str) -> Result<(), ClientError> {
        let wanted = RequestReset {
            email: email.to_owned(),
        };
        self.ask(Method::POST, &["request-reset"], Some(&wanted))
            .await
            .map(drop)
    }

    /// Sets a new password with what such a link carries. Dropping the future: it may be set or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `link_invalid` (410). Else see [`ClientError`].
    pub async fn reset(&self, wanted: &Reset) -> Result<(), ClientError> {
        self.ask(Method::POST, &["reset"], Some(wanted))
            .await
            .map(drop)
    }

    /// Confirms an address with what the link in a mail carries. Dropping the future: it may be confirmed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `link_invalid` (410). Else see [`ClientError`].
    pub async fn confirm(&self, wanted: &Confirm) -> Result<(), ClientError> {
        self.ask(Method::POST, &["confirm"], Some(wanted))
            .await
            .map(drop)
    }

    // === settings ===

    /// Who this client's token stands for. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 401 without a token, or with one that is not valid (any more); else see
    /// [`ClientError`].
    pub async fn account(&self) -> Result<AccountInfo, ClientError> {
        self.get(&["account"]).await
    }

    /// Changes the address. Dropping the future: it may be changed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403), `email_taken` (409). Else see [`ClientError`].
    pub async fn change_email(&self, wanted: &ChangeEmail) -> Result<EmailChange, ClientError> {
        self.ask_account(Method::POST, &["email"], Some(wanted))
            .await
    }

    /// Changes the password. Dropping the future: it may be changed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403). Else see [`ClientError`].
    pub async fn change_password(&self, wanted: &ChangePassword) -> Result<(), ClientError> {
        self.ask(Method::POST, &["password"], Some(wanted))
            .await
            .map(drop)
    }

    /// Deletes the account with everything that it owns. Dropping the future: it may be deleted or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403). Else see [`ClientError`].
    pub async fn delete_account(&self, wanted: &DeleteAccount) -> Result<(), ClientError> {
        self.ask(Method::DELETE, &[], Some(wanted)).await.map(drop)
    }

    /// Makes an invitation, as operators may. Dropping the future may lose it; it ends by itself.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `forbidden` (403). Else see [`ClientError`].
    pub async fn invite(&self) -> Result<Invitation, ClientError> {
        self.ask_account::<(), _>(Method::POST, &["invitations"], None)
            .await
    }

    // === tokens and sessions ===

    /// The account's tokens. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tokens(&self) -> Result<Tokens, ClientError> {
        self.get(&["account", "tokens"]).await
    }

    /// Makes a token. Dropping the future may leave one that nobody has; [`Client::tokens`] shows it.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `forbidden` (403) if it were good for more than this client's own. Else see
    /// [`ClientError`].
    pub async fn create_token(&self, wanted: &TokenRequest) -> Result<CreatedToken, ClientError> {
        self.ask_account(Method::POST, &["tokens"], Some(wanted))
            .await
    }

    /// The same in a session; for a client that sends no token of its own.
    ///
    /// # Errors
    /// As for [`Client::create_token`].
    pub async fn create_token_in(
        &self,
        session: &Session,
        wanted: &TokenRequest,
    ) -> Result<CreatedToken, ClientError> {
        let url = self.account_url(&["tokens"]);
        let request = self
            .http
            .post(url.clone())
            .header(COOKIE, session.0.clone())
            .json(wanted);
        let answer = self.send(request, CONTROL_TIMEOUT, &url).await?;
        read_json(&url, answer.body())
    }

    /// Revokes a token. Dropping the future: it may be revoked or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if there is none of that id; [`ClientError::Request`] if it cannot be an id.
    /// Else see [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.ask::<()>(Method::DELETE, &["tokens", checked(id)?], None)
            .await
            .map(drop)
    }

    /// The account's browser sessions. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sessions(&self) -> Result<Sessions, ClientError> {
        self.get(&["account", "sessions"]).await
    }

    /// Ends a browser session. Dropping the future: it may be over or not.
    ///
    /// # Errors
    /// As for [`Client::revoke_token`].
    pub async fn end_session(&self, id: &str) -> Result<(), ClientError> {
        self.ask::<()>(Method::DELETE, &["sessions", checked(id)?], None)
            .await
            .map(drop)
    }

    fn account_url(&self, path: &[&str]) -> Url {
        self.url(&[&["account"], path].concat())
    }

    async fn ask_account<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let (url, answer) = self.ask(method, path, body).await?;
        read_json(&url, answer.body())
    }

    /// Sends a request below `/account`. What it says is a secret in most cases, so that it goes nowhere in clear.
    async fn ask<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
    ) -> Result<(Url, http::Response<bytes::Bytes>), ClientError> {
        self.keeps_secrets()?;
        let url = self.account_url(path);
        let request = self.http.request(method, url.clone());
        let request = if let Some(body) = body {
            request.json(body)
        } else {
            request
        };
        let answer = self.send(request, CONTROL_TIMEOUT, &url).await?;
        Ok((url, answer))
    }
}

/// An id that is one path segment and nothing else.
fn checked(id: &str) -> Result<&str, ClientError> {
    let fault = || ClientError::Request {
        fault: format!("{id:?} is no id of a token or session"),
    };
    is_request_id(id).then_some(id).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_and_never_shown() {
        let token = Token::parse("slt_AZaz09-_").unwrap();
        assert_eq!(token.reveal(), "slt_AZaz09-_");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token Sensitive");
        let long = format!("slt_{}", "x".repeat(10_240));
        for bad in [
            "",
            "slt_",
            "other",
            "slt_a b",
            "slt_a\r\nx: y",
            "slt_é",
            " slt_a",
            &long,
        ] {
            assert_eq!(Token::parse(bad), Err(ParseTokenError), "{bad}");
        }
    }

    #[test]
    fn sessions_are_read_from_their_cookie_alone() {
        let read = |cookies: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
            }
            Session::begun(&headers).map(|session| session.0.to_str().unwrap().to_owned())
        };
        assert_eq!(
            read(&["a=1", "serverledge_session=S; Path=/"]).as_deref(),
            Some("serverledge_session=S")
        );
        let secure = "__Host-serverledge_session=S; Secure";
        assert_eq!(
            read(&[secure]).as_deref(),
            Some("__Host-serverledge_session=S")
        );
        assert_eq!(read(&["serverledge_session=; Max-Age=0"]), None);
        assert_eq!(read(&["other_session=S"]), None);
        let session = Session(HeaderValue::from_static("serverledge_session=S"));
        assert_eq!(format!("{session:?}"), "Session");
    }
}
