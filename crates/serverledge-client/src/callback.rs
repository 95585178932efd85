//! Callbacks: telling a user's URL that an asynchronous invocation has ended. The URL is the user's and the node's network
//! is not: a callback reaches public addresses alone, except where the operator says otherwise.
//!
//! The name is resolved once for each attempt, and its addresses are judged ([`reach`](crate::reach)). A redirect is not
//! followed, no proxy is asked, and nothing that the receiver says but its status leaves this module.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use http::header::CONTENT_TYPE;
use reqwest::Url;
use serverledge_core::{InvocationId, TraceContext, causes, unix_ms};
use serverledge_wire::header::{TRACEPARENT, TRACESTATE};
use sha2::Sha256;

use crate::error::{Cause, ClientError};
use crate::reach::{Judge, JudgeError, Lookup, Policy, ReachAllow, SystemLookup};
use crate::tls;

/// Longest wait for the whole of an attempt: resolution, connection, reply.
pub const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a reply's body that are read. They are thrown away: reading them only spares the receiver a broken connection.
pub const CALLBACK_REPLY_BYTES_MAX: usize = 4 * 1024;
/// Longest URL.
pub const CALLBACK_URL_BYTES_MAX: usize = 2048;
/// The header with the signature: `t=<unix seconds>,v1=<hexadecimal HMAC-SHA256 of "<t>.<invocation id>." and the body>`.
pub const SIGNATURE_HEADER: &str = "serverledge-signature";
/// The header with the invocation's id.
pub const INVOCATION_HEADER: &str = "serverledge-invocation";

/// Settings of callbacks.
#[derive(Clone)]
pub struct CallbackConfig {
    /// Networks and names that callbacks may reach beside public addresses.
    pub allow: Vec<ReachAllow>,
    /// The key of the signature; not empty.
    pub key: Vec<u8>,
    /// Longest wait for the whole of an attempt.
    pub timeout: Duration,
    /// Certificate authorities (PEM) that are believed beside the machine's.
    pub authorities: Option<Vec<u8>>,
}

/// Sends callbacks. Clones share everything.
#[derive(Clone)]
pub struct CallbackSender {
    http: reqwest::Client,
    policy: Arc<Policy>,
    mac: Hmac<Sha256>,
    timeout: Duration,
}

/// The reason why a URL gets no callback, now and later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackRefused {
    /// It is longer than [`CALLBACK_URL_BYTES_MAX`].
    #[error("the callback URL is longer than {CALLBACK_URL_BYTES_MAX} bytes")]
    TooLong,
    /// It is no URL.
    #[error("the callback URL is none: {0}")]
    NotUrl(String),
    /// It has another scheme than http and https.
    #[error("callbacks go to http and https URLs, not to {0:?}")]
    Scheme(String),
    /// It carries a user's name or password.
    #[error("the callback URL carries a user's name or password")]
    UserInfo,
    /// It has port 0.
    #[error("the callback URL has port 0")]
    PortZero,
    /// Its host is an address that callbacks may not reach.
    #[error("callbacks may not reach the address {0}")]
    Address(IpAddr),
    /// Its host is a name, and one of the addresses behind it is one that callbacks may not reach. Which one is not said: the
    /// words may get to the user, who has no business in the node's own name service.
    #[error("callbacks may not reach an address that belongs to {0:?}")]
    Name(String),
}

/// The reason why an attempt was not made or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The URL is refused; nothing was sent.
    #[error(transparent)]
    Refused(#[from] CallbackRefused),
    /// The receiver answered with a status other than 2xx.
    #[error("the receiver of the callback answered {0}")]
    Status(u16),
    /// No status came in time; the callback may have arrived.
    #[error("the receiver of the callback did not answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The name was not resolved, no connection came about, or it broke; the callback may have arrived.
    #[error("the receiver of the callback was not reached, or the connection broke")]
    Transport {
        /// The cause. It is about the node's network; not for users.
        source: Cause,
    },
}

// === impl CallbackConfig ===

impl CallbackConfig {
    /// With this key; public addresses only, [`CALLBACK_TIMEOUT`], the machine's authorities.
    #[must_use]
    pub fn new(key: Vec<u8>) -> Self {
        Self {
            allow: Vec::new(),
            key,
            timeout: CALLBACK_TIMEOUT,
            authorities: None,
        }
    }
}

impl std::fmt::Debug for CallbackConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CallbackConfig");
        shown
            .field("allow", &self.allow)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

// === impl CallbackSender ===

impl std::fmt::Debug for CallbackSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CallbackSender");
        shown
            .field("policy", &self.policy)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl CallbackSender {
    /// Sets a sender up; connects to nothing yet. Reads the machine's certificate authorities.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the key is empty, the authorities that were given are none, or the system refuses what an
    /// HTTP client needs.
    pub fn new(config: CallbackConfig) -> Result<Self, ClientError> {
        Self::resolving(config, SystemLookup::new())
    }

    /// The same with another way from names to addresses.
    fn resolving(config: CallbackConfig, lookup: impl Lookup) -> Result<Self, ClientError> {
        if config.key.is_empty() {
            return Err(ClientError::Setup {
                source: "the key for callbacks is empty".into(),
            });
        }
        let mac = Hmac::new_from_slice(&config.key);
        let mac = mac.map_err(|error| ClientError::Setup {
            source: error.to_string().into(),
        })?;
        let policy = Arc::new(Policy::public_and(config.allow));
        let builder = tls::http(tls::settings(config.authorities.as_deref())?)
            .dns_resolver(Arc::new(Judge::new(Arc::clone(&policy), lookup)))
            .referer(false)
            // A connection that is kept would spare later attempts the judgement.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("serverledge-callback/", env!("CARGO_PKG_VERSION")));
        let http = tls::build(builder)?;
        Ok(Self {
            http,
            policy,
            mac,
            timeout: config.timeout,
        })
    }

    /// Whether callbacks to this URL are possible, as far as that can be said without asking the network: to be called when
    /// the URL is handed in. Names are judged at each attempt.
    ///
    /// # Errors
    /// [`CallbackRefused`] says why not.
    pub fn check(&self, url: &str) -> Result<(), CallbackRefused> {
        self.checked(url).map(drop)
    }

    /// One attempt to tell the receiver, signed with the present time. A status of 2xx is given back; what else the reply holds
    /// is thrown away, however it ends.
    ///
    /// Dropping the future closes the connection; the callback may have arrived.
    ///
    /// # Errors
    /// [`CallbackError::is_final`] tells those for which another attempt is useless from the others.
    pub async fn send(
        &self,
        url: &str,
        id: InvocationId,
        trace: &TraceContext,
        body: Bytes,
    ) -> Result<u16, CallbackError> {
        let url = self.checked(url)?;
        let seconds = unix_ms() / 1000;
        let mut request = self
            .http
            .post(url)
            .header(TRACEPARENT, trace.parent.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(INVOCATION_HEADER, id.to_string())
            .header(SIGNATURE_HEADER, self.signature(seconds, id, &body))
            .timeout(self.timeout)
            .body(body);
        if let Some(state) = trace.state() {
            request = request.header(TRACESTATE, state);
        }
        let mut response = request.send().await.map_err(|error| self.fault(error))?;
        let status = response.status();
        read_away(&mut response).await;
        if status.is_success() {
            Ok(status.as_u16())
        } else {
            Err(CallbackError::Status(status.as_u16()))
        }
    }

    fn signature(&self, seconds: u64, id: InvocationId, body: &[u8]) -> String {
        let mac = self
            .mac
            .clone()
            .chain_update(format!("{seconds}.{id}."))
            .chain_update(body);
        format!(
            "t={seconds},v1={}",
            hex::encode(mac.finalize().into_bytes())
        )
    }

    fn checked(&self, text: &str) -> Result<Url, CallbackRefused> {
        if text.len() > CALLBACK_URL_BYTES_MAX {
            return Err(CallbackRefused::TooLong);
        }
        // A URL's reader passes over some of these without a word.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(CallbackRefused::NotUrl(
                "it contains white space or control characters".to_owned(),
            ));
        }
        let url = Url::parse(text).map_err(|error| CallbackRefused::NotUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CallbackRefused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CallbackRefused::UserInfo);
        }
        if url.port() == Some(0) {
            return Err(CallbackRefused::PortZero);
        }
        let host = url
            .host_str()
            .ok_or_else(|| CallbackRefused::NotUrl("it has no host".to_owned()))?;
        // Every way to write an address has become the usual one by now.
        match self.policy.refused_address(host) {
            Some(address) => Err(CallbackRefused::Address(address)),
            None => Ok(url),
        }
    }

    fn fault(&self, error: reqwest::Error) -> CallbackError {
        if let Some(refused) = refusal_below(&error) {
            return CallbackError::Refused(refused);
        }
        if error.is_timeout() {
            return CallbackError::Timeout(self.timeout);
        }
        CallbackError::Transport {
            source: error.without_url().into(),
        }
    }
}

/// The refusal of the resolver, if that is where the error comes from.
fn refusal_below(error: &reqwest::Error) -> Option<CallbackRefused> {
    causes(error).find_map(|cause| match cause.downcast_ref::<JudgeError>()? {
        JudgeError::Refused(name) => Some(CallbackRefused::Name(name.clone())),
        JudgeError::Lookup(_) => None,
    })
}

/// Reads some of the body. The status has come, and it alone counts.
async fn read_away(response: &mut reqwest::Response) {
    let mut read = 0;
    while read < CALLBACK_REPLY_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

// === impl CallbackError ===

impl CallbackError {
    /// Whether another attempt is useless. 408, 425, 429, all 5xx and whatever became of the connection pass away; other
    /// statuses and refusals do not.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Status(status) => !matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Timeout(_) | Self::Transport { .. } => false,
        }
    }
}
