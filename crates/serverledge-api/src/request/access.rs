//! Authentication and authorisation: the credential of a request, the table of the requirement of each route, and the
//! cookie of browser sessions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use serverledge_core::{Accounts, AuthError, Caller, Credential, IpNet};
use serverledge_wire::peer::Cookies;
use tokio::sync::Semaphore;

use crate::request::context::RequestContext;
use crate::request::origin::OriginPolicy;
use crate::request::path::runs_plain;
use crate::response::problem::ApiError;

/// The session cookie's name without TLS.
const COOKIE_PLAIN: &str = "serverledge_session";
/// Its name under TLS. Browsers take a cookie of such a name only over TLS, for one host and the path `/` (RFC 6265bis).
const COOKIE_SECURE: &str = "__Host-serverledge_session";
/// Both names of the session's cookie.
pub(crate) const SESSION_COOKIES: [&str; 2] = [COOKIE_PLAIN, COOKIE_SECURE];
/// Tokens begin so.
const TOKEN_PREFIX: &str = "slt_";
const CREDENTIAL_INVALID: &str = "credential_invalid";
/// Longest credential that is looked at: ours are a fraction of it.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// Longest wait, behind a load balancer, for an unknown credential to become known: watches bring it within
/// milliseconds.
const REPLICATION_GRACE: Duration = Duration::from_millis(400);
/// Pause between two look-ups of it until then.
const REPLICATION_POLL: Duration = Duration::from_millis(20);
/// Requests that wait so at once: they have no place among those that are served yet. Beyond them the answer comes at once.
const REPLICATION_WAITERS_MAX: usize = 64;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Settings of authentication: the accounts, the session's cookie, and the proxies to trust.
#[derive(Clone, Default)]
pub struct Access {
    /// The store of accounts; `None`: there are none, and every credential is refused.
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

/// The requirement of a route on its caller, from the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Requirement {
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
    /// The scope `metrics` or `admin` of an operator, where authentication is required.
    Metrics,
}

/// The credential that a request presents.
enum PresentedCredential<'a> {
    Nothing,
    Session(&'a str),
    Token(&'a str),
    /// Something that cannot be right, or two of which one may be somebody else's.
    Bad {
        session: bool,
    },
}

/// The permits of requests that wait for their credential to become known here.
pub(crate) fn replication_grace() -> Semaphore {
    Semaphore::new(REPLICATION_WAITERS_MAX)
}

impl Access {
    /// Without accounts, for whoever reaches the node.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Lets a request in to a route with this requirement, or says why not. `None`: nobody says who they are, and nobody has to;
    /// the caller is then `anonymous`.
    pub(crate) fn admit<B>(
        &self,
        origins: &OriginPolicy,
        request: &Request<B>,
        requirement: Requirement,
        anonymous: &Caller,
    ) -> Result<Option<Caller>, ApiError> {
        let uri = request.uri();
        let headers = request.headers();
        if requirement == Requirement::Open {
            return Ok(None);
        }
        let shown = if requirement == Requirement::Public {
            PresentedCredential::Nothing
        } else {
            self.shown(uri.path(), headers)
        };
        // A page cannot send a token of its own accord, as it can make browsers send cookies: who has it may ask from
        // wherever. A wrong one is refused below.
        if !matches!(shown, PresentedCredential::Token(_)) {
            origins.check_origin(uri, headers)?;
        }
        let caller = match shown {
            PresentedCredential::Bad { session } => return Err(self.invalid(session)),
            PresentedCredential::Session(secret) => {
                self.authenticate(Credential::Session(secret))?
            }
            PresentedCredential::Token(secret) => self.authenticate(Credential::Token(secret))?,
            PresentedCredential::Nothing if requirement == Requirement::Public => return Ok(None),
            PresentedCredential::Nothing if self.required => {
                return Err(ApiError::authentication_required());
            }
            PresentedCredential::Nothing => {
                self.check(requirement, anonymous)?;
                return Ok(None);
            }
        };
        self.check(requirement, &caller)?;
        Ok(Some(caller))
    }

    /// The same behind a load balancer. A session or token that another node made a moment ago may not be known here yet: a
    /// client that has just got it is not told that it is no good. What can be no credential is refused at once, and so is
    /// what finds no place among those that wait ([`replication_grace`]).
    pub(crate) async fn admit_after_grace<B>(
        &self,
        origins: &OriginPolicy,
        request: &Request<B>,
        requirement: Requirement,
        anonymous: &Caller,
        replication_grace: &Semaphore,
    ) -> Result<Option<Caller>, ApiError> {
        let mut admitted = self.admit(origins, request, requirement, anonymous);
        if !admitted
            .as_ref()
            .is_err_and(ApiError::is_unknown_credential)
        {
            return admitted;
        }
        let shown = self.shown(request.uri().path(), request.headers());
        if !matches!(
            shown,
            PresentedCredential::Session(_) | PresentedCredential::Token(_)
        ) {
            return admitted;
        }
        let Ok(_place) = replication_grace.try_acquire() else {
            return admitted;
        };
        let mut waited = Duration::ZERO;
        while waited < REPLICATION_GRACE
            && admitted
                .as_ref()
                .is_err_and(ApiError::is_unknown_credential)
        {
            tokio::time::sleep(REPLICATION_POLL).await;
            waited += REPLICATION_POLL;
            admitted = self.admit(origins, request, requirement, anonymous);
        }
        admitted
    }

    fn check(&self, requirement: Requirement, caller: &Caller) -> Result<(), ApiError> {
        let scope = match requirement {
            Requirement::Open | Requirement::Public => return Ok(()),
            Requirement::Known | Requirement::Admin if caller.account.is_none() => {
                return Err(ApiError::authentication_required());
            }
            Requirement::Known => return Ok(()),
            Requirement::Operator if self.required && !caller.operates() => {
                return Err(ApiError::forbidden(
                    "this route is for operators: a session or a token of one with the scope admin",
                ));
            }
            Requirement::Metrics if self.required && !caller.reads_metrics() => {
                return Err(ApiError::forbidden(
                    "metrics are for operators: a session or a token of one with the scope metrics or admin",
                ));
            }
            Requirement::Operator | Requirement::Metrics => return Ok(()),
            Requirement::Invoke if caller.may(|scopes| scopes.invoke) => return Ok(()),
            Requirement::Deploy if caller.may(|scopes| scopes.deploy) => return Ok(()),
            Requirement::Admin if caller.may(|scopes| scopes.admin) => return Ok(()),
            Requirement::Invoke => "invoke",
            Requirement::Deploy => "deploy",
            Requirement::Admin => "admin",
        };
        Err(ApiError::forbidden(format!(
            "the token is not good for this: it lacks the scope {scope}"
        )))
    }

    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, ApiError> {
        let is_session = matches!(credential, Credential::Session(_));
        let known = self
            .accounts
            .as_ref()
            .map_or(Err(AuthError::Invalid), |accounts| {
                accounts.authenticate(credential)
            });
        known.map_err(|error| match error {
            AuthError::Invalid => self.invalid(is_session),
            AuthError::Stale => ApiError::unchecked(&error),
        })
    }

    /// The browser forgets a session that is over: else it could not even ask for what needs none.
    fn invalid(&self, session: bool) -> ApiError {
        let failed = ApiError::credential_invalid();
        if session {
            failed.forgetting(self.forget_session())
        } else {
            failed
        }
    }

    fn shown<'a>(&self, path: &str, headers: &'a HeaderMap) -> PresentedCredential<'a> {
        let mut token = PresentedCredential::Nothing;
        for value in headers.get_all(AUTHORIZATION) {
            // A function may have tokens of its own.
            token = match (bearer(value, runs_plain(path)), token) {
                (PresentedCredential::Nothing, before) => before,
                (shown, PresentedCredential::Nothing) => shown,
                _ => PresentedCredential::Bad { session: false },
            };
        }
        if !matches!(token, PresentedCredential::Nothing) {
            return token;
        }
        match self.session(headers) {
            Ok(None) => PresentedCredential::Nothing,
            Ok(Some(secret)) => PresentedCredential::Session(secret),
            Err(()) => PresentedCredential::Bad { session: true },
        }
    }

    /// The protection of the session's cookie on this server against pages on the hosts of applications.
    pub(crate) fn cookies(&self, origins: &OriginPolicy) -> Cookies {
        Cookies {
            unshared: !origins.shares_cookies(),
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
        let name = self.cookie_name();
        let secure = if self.secure_cookies { "; Secure" } else { "" };
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

    /// Whether the word of the one at the other end of the connection is taken.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        peer.is_some_and(|ip| self.trusted_proxies.iter().any(|net| net.contains(ip)))
    }

    /// Whether what a request's headers say of its way here is taken: that of a trusted proxy, or of the cluster's load
    /// balancer.
    pub(crate) fn believes(&self, admitted: &RequestContext) -> bool {
        admitted.forwarded || !self.trusted_proxies.is_empty() && self.trusts(admitted.peer)
    }

    /// Whether the client's own connection has TLS: this one's, or what is believed of the first one's.
    pub(crate) fn came_over_tls(
        &self,
        origins: &OriginPolicy,
        admitted: &RequestContext,
        headers: &HeaderMap,
    ) -> bool {
        if self.believes(admitted) {
            // Proxies in a row: the outermost comes first.
            let said = headers
                .get(FORWARDED_PROTO)
                .and_then(|said| said.to_str().ok()?.split(',').next());
            if let Some(said) = said {
                return said.trim().eq_ignore_ascii_case("https");
            }
        }
        origins.is_over_tls()
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

/// Reads the credential in an `Authorization` header. Schemes other than Bearer are meant for somebody else (a proxy,
/// for instance); so are other tokens where they may be meant for a function.
fn bearer(value: &HeaderValue, of_a_function: bool) -> PresentedCredential<'_> {
    let bytes = value.as_bytes().trim_ascii();
    let Some(scheme) = bytes
        .get(..6)
        .filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    else {
        return PresentedCredential::Nothing;
    };
    let rest = &bytes[scheme.len()..];
    if !rest.first().is_none_or(u8::is_ascii_whitespace) {
        return PresentedCredential::Nothing;
    }
    let token = rest.trim_ascii_start();
    let is_ours = token.starts_with(TOKEN_PREFIX.as_bytes());
    match std::str::from_utf8(token) {
        Ok(token) if is_ours && token.len() <= CREDENTIAL_BYTES_MAX => {
            PresentedCredential::Token(token)
        }
        _ if of_a_function && !is_ours => PresentedCredential::Nothing,
        _ => PresentedCredential::Bad { session: false },
    }
}

impl ApiError {
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
