//! Who asks, and whether they may: the credential of a request, the table of what each route needs, and the cookie of
//! browser sessions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use serverledge_core::{Accounts, AuthError, Caller, Credential, IpNet};
use serverledge_wire::peer::Cookies;
use tokio::sync::Semaphore;

use crate::error::Failed;
use crate::guard::Guard;

/// The session cookie's name without TLS.
const COOKIE_PLAIN: &str = "serverledge_session";
/// Its name under TLS. Browsers take a cookie of such a name only over TLS, for one host and the path `/` (RFC 6265bis).
const COOKIE_SECURE: &str = "__Host-serverledge_session";
/// Tokens begin so.
const TOKEN_PREFIX: &str = "slt_";
const CREDENTIAL_INVALID: &str = "credential_invalid";
/// Longest credential that is looked at: ours are a fraction of it.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// How long a credential that nobody knows may still turn up, behind a load balancer: watches bring it within milliseconds.
const SETTLING_MAX: Duration = Duration::from_millis(400);
/// How often it is looked for until then.
const SETTLING_LOOK: Duration = Duration::from_millis(20);
/// Requests that wait so at once: they have no place among those that are served yet. Beyond them the answer comes at once.
const SETTLING_AT_ONCE_MAX: usize = 64;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How requests are told apart by who sends them.
#[derive(Clone, Default)]
pub struct Access {
    /// Where accounts are kept; `None`: there are none, and every credential is refused.
    pub accounts: Option<Arc<dyn Accounts>>,
    /// Whether everybody has to say who they are (`auth.enabled`).
    pub required: bool,
    /// Whether browsers reach the node over TLS: the cookie is then `Secure` and bound to the host. To be set as well where
    /// a proxy in front speaks TLS for the node.
    pub secure_cookies: bool,
    /// Peers whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("accounts", &self.accounts.is_some())
            .field("required", &self.required)
            .field("secure_cookies", &self.secure_cookies)
            .field("trusted_proxies", &self.trusted_proxies)
            .finish()
    }
}

/// What a route needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing, and pages of other origins may ask: it runs and changes nothing.
    Open,
    /// Nothing; a credential is not even looked at. Pages of other origins may not ask.
    Public,
    /// An account, of whatever scope.
    Known,
    /// The scope `invoke`.
    Invoke,
    /// The scope `deploy`.
    Deploy,
    /// An account and the scope `admin`.
    Admin,
    /// The scope `admin` of an operator, where authentication is required.
    Operator,
}

/// What each route needs: the one table. What stands in no row needs at least a credential, so that a new route is closed
/// until somebody opens it here.
pub(crate) fn need(method: &Method, path: &str) -> Need {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let path = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = path
        .split_once('/')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (first, rest) {
        ("" | "healthz" | "readyz" | "openapi.json" | "docs", None) | ("docs", Some(_)) => {
            Need::Open
        }
        ("account", rest) => account_need(reads, rest.unwrap_or_default()),
        // Rolling back and changing flags is deploying; running is not.
        ("functions", Some(rest)) if !reads && !rest.ends_with("/invocations") => Need::Deploy,
        (
            "invoke" | "fn" | "poll" | "function" | "functions" | "invocations" | "dead-letters",
            _,
        ) => Need::Invoke,
        ("create" | "update" | "delete", _) => Need::Deploy,
        ("status" | "metrics" | "peers" | "prewarm", _) => Need::Operator,
        // An application's functions need what functions need.
        ("apps", Some(rest)) => app_need(method, reads, rest),
        _ if reads => Need::Invoke,
        _ => Need::Deploy,
    }
}

fn account_need(reads: bool, rest: &str) -> Need {
    match rest {
        // Links in mails lead here from wherever they are read.
        "reset" | "confirm" | "page.js" if reads => Need::Open,
        "sign-up" | "log-in" | "request-reset" | "reset" | "confirm" => Need::Public,
        "log-out" => Need::Known,
        "" if reads => Need::Known,
        _ => Need::Admin,
    }
}

/// Below `/apps/NAME`: the routes of functions again, and the application's own.
fn app_need(method: &Method, reads: bool, rest: &str) -> Need {
    let inner = rest.split_once('/').map_or("", |(_, inner)| inner);
    match inner.split('/').next().unwrap_or_default() {
        "invoke" | "fn" | "poll" | "function" | "functions" | "invocations" | "dead-letters"
        | "create" | "update" | "delete" | "prewarm" => need(method, inner),
        // The code of all its functions.
        "export" => Need::Deploy,
        _ if reads => Need::Invoke,
        _ => Need::Deploy,
    }
}

/// What a request shows.
enum Shown<'a> {
    Nothing,
    Session(&'a str),
    Token(&'a str),
    /// Something that cannot be right, or two of which one may be somebody else's.
    Bad {
        session: bool,
    },
}

/// The places of those who show what nobody knows yet.
pub(crate) fn settling() -> Semaphore {
    Semaphore::new(SETTLING_AT_ONCE_MAX)
}

impl Access {
    /// Without accounts, for whoever reaches the node.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Lets a request in to a route with this need, or says why not. `None`: nobody says who they are, and nobody has to;
    /// it is `anybody` who asks.
    pub(crate) fn admit<B>(
        &self,
        guard: &Guard,
        request: &Request<B>,
        need: Need,
        anybody: &Caller,
    ) -> Result<Option<Caller>, Failed> {
        let (uri, headers) = (request.uri(), request.headers());
        if need == Need::Open {
            return Ok(None);
        }
        let shown = if need == Need::Public {
            Shown::Nothing
        } else {
            self.shown(uri.path(), headers)
        };
        // A page cannot send a token of its own accord, as it can make browsers send cookies: who has it may ask from
        // wherever. A wrong one is refused below.
        if !matches!(shown, Shown::Token(_)) {
            guard.check_origin(uri, headers)?;
        }
        let caller = match shown {
            Shown::Bad { session } => return Err(self.invalid(session)),
            Shown::Session(secret) => self.authenticate(Credential::Session(secret))?,
            Shown::Token(secret) => self.authenticate(Credential::Token(secret))?,
            Shown::Nothing if need == Need::Public => return Ok(None),
            Shown::Nothing if self.required => return Err(Failed::authentication_required()),
            Shown::Nothing => {
                self.check(need, anybody)?;
                return Ok(None);
            }
        };
        self.check(need, &caller)?;
        Ok(Some(caller))
    }

    /// The same behind a load balancer. A session or token that another node made a moment ago may not be known here yet: a
    /// client that has just got it is not told that it is no good. What can be no credential is refused at once, and so is
    /// what finds none of the places [`settling`].
    pub(crate) async fn admit_soon<B>(
        &self,
        guard: &Guard,
        request: &Request<B>,
        need: Need,
        anybody: &Caller,
        settling: &Semaphore,
    ) -> Result<Option<Caller>, Failed> {
        let mut admitted = self.admit(guard, request, need, anybody);
        if !admitted.as_ref().is_err_and(Failed::is_unknown_credential) {
            return admitted;
        }
        let shown = self.shown(request.uri().path(), request.headers());
        if !matches!(shown, Shown::Session(_) | Shown::Token(_)) {
            return admitted;
        }
        let Ok(_place) = settling.try_acquire() else {
            return admitted;
        };
        let mut waited = Duration::ZERO;
        while waited < SETTLING_MAX && admitted.as_ref().is_err_and(Failed::is_unknown_credential) {
            tokio::time::sleep(SETTLING_LOOK).await;
            waited += SETTLING_LOOK;
            admitted = self.admit(guard, request, need, anybody);
        }
        admitted
    }

    fn check(&self, need: Need, caller: &Caller) -> Result<(), Failed> {
        let scope = match need {
            Need::Open | Need::Public => return Ok(()),
            Need::Known | Need::Admin if caller.account.is_none() => {
                return Err(Failed::authentication_required());
            }
            Need::Known => return Ok(()),
            Need::Operator if self.required && !caller.operates() => {
                return Err(Failed::forbidden(
                    "this route is for operators: a session or a token of one with the scope admin",
                ));
            }
            Need::Operator => return Ok(()),
            Need::Invoke if caller.may(|scopes| scopes.invoke) => return Ok(()),
            Need::Deploy if caller.may(|scopes| scopes.deploy) => return Ok(()),
            Need::Admin if caller.may(|scopes| scopes.admin) => return Ok(()),
            Need::Invoke => "invoke",
            Need::Deploy => "deploy",
            Need::Admin => "admin",
        };
        Err(Failed::forbidden(format!(
            "the token is not good for this: it lacks the scope {scope}"
        )))
    }

    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, Failed> {
        let is_session = matches!(credential, Credential::Session(_));
        let known = self
            .accounts
            .as_ref()
            .map_or(Err(AuthError::Invalid), |accounts| {
                accounts.authenticate(credential)
            });
        known.map_err(|error| match error {
            AuthError::Invalid => self.invalid(is_session),
            AuthError::Stale => Failed::unchecked(&error),
        })
    }

    /// The browser forgets a session that is over: else it could not even ask for what needs none.
    fn invalid(&self, session: bool) -> Failed {
        let failed = Failed::credential_invalid();
        if session {
            failed.forgetting(self.forget_session())
        } else {
            failed
        }
    }

    fn shown<'a>(&self, path: &str, headers: &'a HeaderMap) -> Shown<'a> {
        let mut token = Shown::Nothing;
        for value in headers.get_all(AUTHORIZATION) {
            // A function may have tokens of its own.
            token = match (bearer(value, runs_plain(path)), token) {
                (Shown::Nothing, before) => before,
                (shown, Shown::Nothing) => shown,
                _ => Shown::Bad { session: false },
            };
        }
        if !matches!(token, Shown::Nothing) {
            return token;
        }
        match self.session(headers) {
            Ok(None) => Shown::Nothing,
            Ok(Some(secret)) => Shown::Session(secret),
            Err(()) => Shown::Bad { session: true },
        }
    }

    /// How browsers keep cookies for this server's names.
    pub(crate) fn cookies(&self, guard: &Guard) -> Cookies {
        Cookies {
            unshared: !guard.shares_cookies(),
            bound: self.secure_cookies,
        }
    }

    fn cookie_name(&self) -> &'static str {
        if self.secure_cookies {
            COOKIE_SECURE
        } else {
            COOKIE_PLAIN
        }
    }

    /// The session cookie's value. Two of them are refused: a neighbour of the node's host may have set one.
    fn session<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, ()> {
        let mut found = None;
        for header in headers.get_all(COOKIE) {
            let bytes = header.as_bytes();
            for cookie in bytes.split(|byte| *byte == b';') {
                let cookie = cookie.trim_ascii();
                let Some(value) = cookie.strip_prefix(self.cookie_name().as_bytes()) else {
                    continue;
                };
                let Some(value) = value.strip_prefix(b"=") else {
                    continue;
                };
                let value = std::str::from_utf8(value).map_err(|_| ())?;
                let fits = !value.is_empty() && value.len() <= CREDENTIAL_BYTES_MAX;
                if !fits || found.replace(value).is_some() {
                    return Err(());
                }
            }
        }
        Ok(found)
    }

    /// The cookie that begins a session.
    pub(crate) fn session_cookie(&self, secret: &str, lifetime_s: u64) -> Option<HeaderValue> {
        let (name, secure) = (
            self.cookie_name(),
            if self.secure_cookies { "; Secure" } else { "" },
        );
        let text = format!(
            "{name}={secret}; Max-Age={lifetime_s}; Path=/{secure}; HttpOnly; SameSite=Strict"
        );
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The cookie that ends it.
    pub(crate) fn forget_session(&self) -> &'static str {
        if self.secure_cookies {
            "__Host-serverledge_session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict"
        } else {
            "serverledge_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        }
    }

    /// The caller of a request that needs none, if it shows a session all the same.
    pub(crate) fn session_of(&self, headers: &HeaderMap) -> Option<Caller> {
        let secret = self.session(headers).ok()??;
        self.accounts
            .as_ref()?
            .authenticate(Credential::Session(secret))
            .ok()
    }

    /// The address that a request comes from, for rate limits: the peer's, or, if the peer is a trusted proxy, the last one
    /// in `X-Forwarded-For` that is not.
    pub(crate) fn address(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.ip().to_canonical()
        });
        let trusts = |ip: &IpAddr| self.trusted_proxies.iter().any(|net| net.contains(*ip));
        if !trusts(&peer) {
            return peer;
        }
        let all: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(str::trim)
            .collect();
        let mut nearest = peer;
        for hop in all.into_iter().rev() {
            // Whatever stands before something malformed is not believed.
            let Ok(ip) = hop.parse::<IpAddr>() else {
                return nearest;
            };
            nearest = ip.to_canonical();
            if !trusts(&nearest) {
                return nearest;
            }
        }
        nearest
    }
}

/// Whether the request itself may go to a function: a node's, or an application's.
fn runs_plain(path: &str) -> bool {
    let inner = path
        .strip_prefix("/apps/")
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    inner.unwrap_or(path).starts_with("/fn/")
}

/// What an `Authorization` header shows. Other schemes than Bearer are somebody else's (a proxy's, for instance); so are
/// other tokens where they may be meant for a function.
fn bearer(value: &HeaderValue, of_a_function: bool) -> Shown<'_> {
    let bytes = value.as_bytes().trim_ascii();
    let Some(scheme) = bytes
        .get(..6)
        .filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    else {
        return Shown::Nothing;
    };
    let rest = &bytes[scheme.len()..];
    if !rest.first().is_none_or(u8::is_ascii_whitespace) {
        return Shown::Nothing;
    }
    let token = rest.trim_ascii_start();
    let is_ours = token.starts_with(TOKEN_PREFIX.as_bytes());
    match std::str::from_utf8(token) {
        Ok(token) if is_ours && token.len() <= CREDENTIAL_BYTES_MAX => Shown::Token(token),
        _ if of_a_function && !is_ours => Shown::Nothing,
        _ => Shown::Bad { session: false },
    }
}

impl Failed {
    fn authentication_required() -> Self {
        let detail = "this needs an account: log in, or send a token in Authorization: Bearer";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_required", detail).challenging()
    }

    fn is_unknown_credential(&self) -> bool {
        self.code() == CREDENTIAL_INVALID
    }

    fn credential_invalid() -> Self {
        let detail = "the session or token is not valid (any more); log in again";
        Self::new(StatusCode::UNAUTHORIZED, CREDENTIAL_INVALID, detail).challenging()
    }

    pub(crate) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", why)
    }

    fn unchecked(error: &AuthError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "credentials_unchecked",
            error.to_string(),
        )
        .after(1)
    }
}

#[cfg(test)]
mod tests;
