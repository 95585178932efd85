//! Accounts: what shows who somebody is, and the routes below `/account`.

use std::fmt;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use serverledge_wire::account::{
    AccountInfo, ChangeEmail, ChangePassword, Confirm, CreatedToken, DeleteAccount, EmailChange,
    Invitation, LogIn, LoggedIn, RequestReset, Reset, ResetRequested, SignUp, SignUpReply,
    TokenRequest, Tokens,
};

use crate::call::Call;
use crate::client::{Client, segment};
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
        let mut answer = self
            .secret_call(Method::POST, &["sign-up"])?
            .json(wanted)
            .send()
            .await?;
        Ok((answer.json().await?, Session::begun(answer.headers())))
    }

    /// Begins a session. A program makes itself a token with it ([`Client::create_token_in`]) and ends it. Dropping the
    /// future may leave a session behind, which ends by itself.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403), `too_many_tries` (429). [`ClientError::InClear`] if the password
    /// would be sent so. Else see [`ClientError`].
    pub async fn log_in(&self, shown: &LogIn) -> Result<(LoggedIn, Session), ClientError> {
        let mut answer = self
            .secret_call(Method::POST, &["log-in"])?
            .json(shown)
            .send()
            .await?;
        let reply = answer.json().await?;
        let session = Session::begun(answer.headers())
            .ok_or_else(|| answer.misread(&"it begins no session"))?;
        Ok((reply, session))
    }

    /// Revokes the token that this client sends. Dropping the future: it may be revoked or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.secret_call(Method::POST, &["log-out"])?.done().await
    }

    /// Ends a session. Dropping the future: it may be over or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end(&self, session: &Session) -> Result<(), ClientError> {
        self.secret_call(Method::POST, &["log-out"])?
            .header(COOKIE, session.0.clone())
            .done()
            .await
    }

    /// Asks for a link for a new password. Whether the address has an account is not told. Dropping the future: it may be
    /// sent or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request_reset(&self, email: &str) -> Result<ResetRequested, ClientError> {
        let wanted = RequestReset {
            email: email.to_owned(),
        };
        self.secret_call(Method::POST, &["request-reset"])?
            .json(&wanted)
            .read()
            .await
    }

    /// Sets a new password with what such a link carries. Dropping the future: it may be set or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `link_invalid` (410). Else see [`ClientError`].
    pub async fn reset(&self, wanted: &Reset) -> Result<(), ClientError> {
        self.secret_call(Method::POST, &["reset"])?
            .json(wanted)
            .done()
            .await
    }

    /// Confirms an address with what the link in a mail carries. Dropping the future: it may be confirmed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `link_invalid` (410). Else see [`ClientError`].
    pub async fn confirm(&self, wanted: &Confirm) -> Result<(), ClientError> {
        self.secret_call(Method::POST, &["confirm"])?
            .json(wanted)
            .done()
            .await
    }

    // === settings ===

    /// The account that this client's token stands for. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 401 without a token, or with one that is not valid (any more); else see
    /// [`ClientError`].
    pub async fn account(&self) -> Result<AccountInfo, ClientError> {
        self.get(&["account"]).read().await
    }

    /// Changes the address. Dropping the future: it may be changed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403), `email_taken` (409). Else see [`ClientError`].
    pub async fn change_email(&self, wanted: &ChangeEmail) -> Result<EmailChange, ClientError> {
        self.secret_call(Method::POST, &["email"])?
            .json(wanted)
            .read()
            .await
    }

    /// Changes the password. Dropping the future: it may be changed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403). Else see [`ClientError`].
    pub async fn change_password(&self, wanted: &ChangePassword) -> Result<(), ClientError> {
        self.secret_call(Method::POST, &["password"])?
            .json(wanted)
            .done()
            .await
    }

    /// Deletes the account with everything that it owns. Dropping the future: it may be deleted or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `wrong_credentials` (403). Else see [`ClientError`].
    pub async fn delete_account(&self, wanted: &DeleteAccount) -> Result<(), ClientError> {
        self.secret_call(Method::DELETE, &[])?
            .json(wanted)
            .done()
            .await
    }

    /// Makes an invitation, as operators may. Dropping the future may lose it; it ends by itself.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `forbidden` (403). Else see [`ClientError`].
    pub async fn invite(&self) -> Result<Invitation, ClientError> {
        self.secret_call(Method::POST, &["invitations"])?
            .read()
            .await
    }

    // === tokens and sessions ===

    /// The account's tokens. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tokens(&self) -> Result<Tokens, ClientError> {
        self.get(&["account", "tokens"]).read().await
    }

    /// Makes a token. Dropping the future may leave one that nobody has; [`Client::tokens`] shows it.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `forbidden` (403) if it were good for more than this client's own. Else see
    /// [`ClientError`].
    pub async fn create_token(&self, wanted: &TokenRequest) -> Result<CreatedToken, ClientError> {
        self.secret_call(Method::POST, &["tokens"])?
            .json(wanted)
            .read()
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
        let call = self
            .secret_call(Method::POST, &["tokens"])?
            .header(COOKIE, session.0.clone());
        call.json(wanted).read().await
    }

    /// Revokes a token. Dropping the future: it may be revoked or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if there is none of that id; [`ClientError::Request`] if it cannot be an id.
    /// Else see [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.secret_call(
            Method::DELETE,
            &["tokens", segment(id, "id of a token or session")?],
        )?
        .done()
        .await
    }

    /// A request below `/account`. It says a secret in most cases, so that it goes nowhere in clear.
    fn secret_call(&self, method: Method, path: &[&str]) -> Result<Call<'_>, ClientError> {
        self.keeps_secrets()?;
        Ok(self.call(method, &[&["account"], path].concat()))
    }
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
