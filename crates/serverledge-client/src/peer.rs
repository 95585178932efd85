//! Requests of a node to another one: to run an invocation, and for its state. Every request is proved with the
//! cluster's key.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serverledge_core::{BodyError, CacheEntry, FunctionName, HttpBody, unix_ms};
use serverledge_wire::client_cache::entries_of;
use serverledge_wire::peer::{
    CALL, ClusterKey, Cookies, INVOCATION_PATH, INVOKE_PATH, LOAD, LOAD_PATH, PASSED, PROOF,
    Passed, PeerCall, PeerLoad, PeerReport, PeerState, Proved, REPORT, RUNS_PATH, STALE, STARTED,
    VERSION_PATH,
};
use serverledge_wire::problem::Problem;
use serverledge_wire::rollout::{VersionQuestion, VersionStand};
use serverledge_wire::runs::{InvocationQuestion, InvocationTraces, RunPage, RunsQuestion};
use tokio::time::Instant;

use crate::answer::{ReadFault, read_body, read_problem, retry_after};
use crate::call::ANSWER_BYTES_MAX;
use crate::client::{ClientConfig, IDLE_TIMEOUT};
use crate::endpoint::is_loopback;
use crate::error::{Cause, ClientError};
use crate::replayable_body::ReplayableBody;
use crate::tls;

/// A node to ask.
#[derive(Debug, Clone)]
pub struct PeerTarget {
    base: Url,
    name: String,
}

/// A client of all other nodes, with connections that are kept. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct PeerClient {
    http: reqwest::Client,
    key: ClusterKey,
}

/// The outcome of an invocation that ran on a peer and gave a result.
#[derive(Debug, Clone)]
pub struct PeerAnswer {
    /// The report of the run there.
    pub report: PeerReport,
    /// The result: JSON.
    pub result: Bytes,
    /// Cache entries that the client may send back.
    pub entries: Vec<CacheEntry>,
    /// The end of the function's log.
    pub log: Bytes,
    /// The peer's load.
    pub load: Option<PeerLoad>,
    /// From sending the request to the end of the answer.
    pub took: Duration,
}

/// The reason why a peer gave no result.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection came about: nothing was sent.
    #[error("failed to reach the node")]
    NotSent {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The peer answered with a problem.
    #[error("the node answered {status}: {}", problem.detail)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The peer's problem document.
        problem: Box<Problem>,
        /// The function may have started there.
        started: bool,
        /// It is a function's failure that may be another next time.
        stale: bool,
        /// The pause before another try makes sense, if the peer names one.
        retry_after: Option<Duration>,
        /// The peer's load.
        load: Option<PeerLoad>,
    },
    /// The request was sent, and no whole answer came.
    #[error("lost the answer of the node")]
    Lost {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The answer is not what nodes say to each other; the function may have run.
    #[error("failed to understand the node's answer: {fault}")]
    Answer {
        /// The fault of the answer.
        fault: String,
    },
}

/// Whether a request for this can be handed on with [`PeerClient::forward`]. What a URL would read as another path (dot
/// segments, backslashes) cannot: the receiver would see another route than the one that was checked.
#[must_use]
pub fn is_forwardable(uri: &Uri) -> bool {
    let Ok(mut url) = Url::parse("http://node/") else {
        return false;
    };
    url.set_path(uri.path());
    url.path() == uri.path()
}

/// The sender of a forwarded request, and the host that they asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The host that they named.
    pub host: String,
    /// The application whose host that is, if it is one's.
    pub application: Option<String>,
    /// Their address, if that is known.
    pub address: Option<IpAddr>,
    /// The protection of the balancer's session cookie against pages on the hosts of applications.
    pub cookies: Cookies,
}

// === impl PeerTarget ===

impl PeerTarget {
    /// The node `area/node` at this base URL.
    ///
    /// # Errors
    /// [`ClientError::Request`] if the URL is none, or not of HTTP.
    pub fn new(url: &str, name: &str) -> Result<Self, ClientError> {
        let base = Url::parse(url).map_err(|error| ClientError::Request {
            fault: format!("{url}: {error}"),
        })?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(ClientError::Request {
                fault: format!("{url} is no URL of HTTP"),
            });
        }
        Ok(Self {
            base,
            name: name.to_owned(),
        })
    }

    /// The node as `area/node`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host and port, as in the header `Host` of requests to it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.base.authority()
    }

    /// Whether requests to it are encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Whether it is on this very machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.base.host_str().is_some_and(is_loopback)
    }
}

// === impl PeerClient ===

impl PeerClient {
    /// Sets up a client; connects to nothing yet. Reads the machine's certificate authorities.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the system refuses what an HTTP client needs, or the authorities that were given are none.
    pub fn new(key: ClusterKey, config: &ClientConfig) -> Result<Self, ClientError> {
        let builder = tls::http(tls::settings(config.authorities.as_deref())?)
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("serverledge/", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            http: tls::build(builder)?,
            key,
        })
    }

    /// Asks a peer to run an invocation, or to join the run that it has under this id. Dropping the future leaves the run
    /// to the peer, which stops it after a while if nobody asks again.
    ///
    /// # Errors
    /// See [`PeerError`]: what was not sent or not started may be sent elsewhere.
    pub async fn invoke(
        &self,
        target: &PeerTarget,
        function: &FunctionName,
        call: &PeerCall,
        params: Bytes,
        timeout: Duration,
    ) -> Result<PeerAnswer, PeerError> {
        let path = format!("{INVOKE_PATH}{function}");
        let head = serde_json::to_string(call).map_err(|error| unusable(&error))?;
        let sent = Instant::now();
        let (headers, body) = self.post(target, &path, head, params, timeout).await?;
        let load = header(&headers, LOAD);
        let report: PeerReport =
            header(&headers, REPORT).ok_or_else(|| unusable(&"it has no report"))?;
        let entries_bytes = report.memo.as_ref().map_or(0, |memo| memo.entries_bytes);
        let log_at = body.len().checked_sub(report.log_bytes);
        let Some((at, log_at)) =
            log_at.and_then(|log_at| Some((log_at.checked_sub(entries_bytes)?, log_at)))
        else {
            return Err(unusable(&"its log and entries are longer than its body"));
        };
        let result = body.slice(..at);
        let entries = entries_of(&body.slice(at..log_at));
        let log = body.slice(log_at..);
        Ok(PeerAnswer {
            report,
            result,
            entries,
            log,
            load,
            took: sent.elapsed(),
        })
    }

    /// Asks a peer how it is; says how long that took as well. Dropping the future has no effect there.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn state(
        &self,
        target: &PeerTarget,
        timeout: Duration,
    ) -> Result<(PeerState, Duration), PeerError> {
        let sent = Instant::now();
        let (_, body) = self
            .post(target, LOAD_PATH, String::new(), Bytes::new(), timeout)
            .await?;
        let took = sent.elapsed();
        Ok((
            serde_json::from_slice(&body).map_err(|error| unusable(&error))?,
            took,
        ))
    }

    /// Asks a peer how a version of a function stands there. Dropping the future has no effect there.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn version_stand(
        &self,
        target: &PeerTarget,
        question: &VersionQuestion,
        timeout: Duration,
    ) -> Result<VersionStand, PeerError> {
        self.ask(target, VERSION_PATH, question, timeout).await
    }

    /// Asks a peer for runs that it keeps the records of. Dropping the future has no effect there.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn runs(
        &self,
        target: &PeerTarget,
        question: &RunsQuestion,
        timeout: Duration,
    ) -> Result<RunPage, PeerError> {
        self.ask(target, RUNS_PATH, question, timeout).await
    }

    /// Asks a peer for what it has of one invocation. Dropping the future has no effect there.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn invocation_traces(
        &self,
        target: &PeerTarget,
        question: &InvocationQuestion,
        timeout: Duration,
    ) -> Result<InvocationTraces, PeerError> {
        self.ask(target, INVOCATION_PATH, question, timeout).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        target: &PeerTarget,
        path: &str,
        question: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, PeerError> {
        let question = serde_json::to_vec(question).map_err(|error| unusable(&error))?;
        let (_, body) = self
            .post(target, path, String::new(), question.into(), timeout)
            .await?;
        serde_json::from_slice(&body).map_err(|error| unusable(&error))
    }

    /// Hands a client's request on as it is: method, path, query, headers and body, to the node's own address. Both bodies
    /// are streams. Gives up when the head of the answer takes longer than `patience`; what follows may take as long as it
    /// likes. Dropping the future, or the answer's body, ends the request there.
    ///
    /// # Errors
    /// [`PeerError::NotSent`] if no connection came about: the body is whole then, see [`ReplayableBody`]. [`PeerError::Lost`] if the
    /// answer did not begin.
    pub async fn forward(
        &self,
        target: &PeerTarget,
        request: Request<ReplayableBody>,
        sender: &Sender,
        patience: Duration,
    ) -> Result<Response<HttpBody>, PeerError> {
        let (mut parts, body) = request.into_parts();
        let mut url = target.base.clone();
        url.set_path(parts.uri.path());
        url.set_query(parts.uri.query());
        // The one of the URL takes its place.
        parts.headers.remove(HOST);
        self.vouch(target, &url, &parts.method, sender, &mut parts.headers)?;
        let request = self
            .http
            .request(parts.method, url)
            .headers(parts.headers)
            .body(body.into_body());
        let sent = tokio::time::timeout(patience, request.send()).await;
        let silent = |_| PeerError::Lost {
            source: "it did not begin to answer in time".into(),
        };
        let response: Response<reqwest::Body> = sent.map_err(silent)?.map_err(transport)?.into();
        Ok(response.map(|body| -> HttpBody {
            Box::pin(body.map_err(|error| -> BodyError { error.without_url().into() }))
        }))
    }

    /// Adds what proves to the node that a balancer passes the request on, in place of what the request itself says of that.
    fn vouch(
        &self,
        target: &PeerTarget,
        url: &Url,
        method: &Method,
        sender: &Sender,
        headers: &mut HeaderMap,
    ) -> Result<(), PeerError> {
        let not_sent = |source: Cause| PeerError::NotSent { source };
        let passed = Passed {
            method: method.to_string(),
            target: url.query().map_or_else(
                || url.path().to_owned(),
                |query| format!("{}?{query}", url.path()),
            ),
            host: sender.host.clone(),
            application: sender.application.clone(),
            client: sender.address,
            cookies: sender.cookies,
        };
        let passed = serde_json::to_string(&passed).map_err(|error| not_sent(error.into()))?;
        let what = Proved {
            to: &target.name,
            path: url.path(),
            call: passed.as_bytes(),
            body: &[],
        };
        let proof = self
            .key
            .prove(unix_ms(), nonce().map_err(not_sent)?, &what)
            .to_text();
        for (name, value) in [(PASSED, passed), (PROOF, proof)] {
            let value = HeaderValue::try_from(value).map_err(|error| not_sent(error.into()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(())
    }

    async fn post(
        &self,
        target: &PeerTarget,
        path: &str,
        head: String,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(HeaderMap, Bytes), PeerError> {
        let mut url = target.base.clone();
        url.set_path(path);
        let what = Proved {
            to: &target.name,
            path,
            call: head.as_bytes(),
            body: &body,
        };
        let proof = self.key.prove(
            unix_ms(),
            nonce().map_err(|source| PeerError::NotSent { source })?,
            &what,
        );
        let mut request = self
            .http
            .post(url)
            .header(PROOF, proof.to_text())
            .timeout(timeout);
        if !head.is_empty() {
            request = request.header(CALL, head);
        }
        let mut response = request.body(body).send().await.map_err(transport)?;
        let body =
            read_body(&mut response, ANSWER_BYTES_MAX)
                .await
                .map_err(|fault| match fault {
                    ReadFault::Transport(error) => transport(error),
                    ReadFault::TooLong => {
                        unusable(&format!("it is longer than {ANSWER_BYTES_MAX} bytes"))
                    }
                })?;
        match response.status() {
            StatusCode::OK => Ok((std::mem::take(response.headers_mut()), body)),
            status => Err(refused(status, response.headers(), &body)),
        }
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PeerError {
    let started = headers.get(STARTED).is_none_or(|value| value != "no");
    let stale = headers.get(STALE).is_some_and(|value| value == "yes");
    let problem = Box::new(read_problem(status, body));
    let retry_after = retry_after(headers);
    PeerError::Refused {
        status: status.as_u16(),
        problem,
        started,
        stale,
        retry_after,
        load: header(headers, LOAD),
    }
}

fn header<T: DeserializeOwned>(headers: &HeaderMap, name: &str) -> Option<T> {
    serde_json::from_slice(headers.get(name)?.as_bytes()).ok()
}

fn transport(error: reqwest::Error) -> PeerError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        return PeerError::NotSent {
            source: error.into(),
        };
    }
    PeerError::Lost {
        source: error.into(),
    }
}

fn unusable(fault: &dyn std::fmt::Display) -> PeerError {
    PeerError::Answer {
        fault: fault.to_string(),
    }
}

fn nonce() -> Result<[u8; 12], Cause> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_reads_otherwise_is_not_handed_on() {
        for (path, handed_on) in [
            ("/fn/f/a%20b?c=1", true),
            ("/invoke/f", true),
            ("/", true),
            ("/docs/../invoke/f", false),
            ("/docs/%2e%2E/invoke/f", false),
            ("/docs/..\\invoke/f", false),
            ("/fn/f/./a", false),
        ] {
            assert_eq!(is_forwardable(&path.parse().unwrap()), handed_on, "{path}");
        }
    }
}
