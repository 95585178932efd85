//! The client itself: one method per operation of the API.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serverledge_core::limits::{OUTPUT_BYTES_MAX, TIMEOUT_MAX};
use serverledge_core::{AppName, FunctionName};
use serverledge_wire::function::{Created, Deleted, FunctionBody, FunctionInfo};
use serverledge_wire::invoke::{Accepted, PrewarmRequest, Prewarmed};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;

use crate::account::Token;
use crate::answer::{ReadFault, read_body, refusal};
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::invocation::{Invocation, InvocationResult, Poll, read_result};
use crate::tls::{self, certificate_fault};

/// Most bytes of one answer: the largest output as JSON text inside a JSON string, where escapes can double it, and its log.
pub const ANSWER_BYTES_MAX: usize = 2 * OUTPUT_BYTES_MAX + 1024 * 1024;
/// Longest wait for a connection: a live node accepts in milliseconds, a lost packet is sent again after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for requests that only read or write records.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a deployment: 64 MiB of code are sent and compiled.
pub const DEPLOY_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest wait for an invocation: the longest run that a function may declare, the queue, and the way.
pub const INVOKE_TIMEOUT: Duration = Duration::from_secs(TIMEOUT_MAX.as_secs() + 60);
/// Idle connections are dropped after this time, before most nodes and middle boxes drop them.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How to talk to a node.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer, connection included; absent: a default for each kind of request.
    pub timeout: Option<Duration>,
    /// Certificate authorities (PEM, one or more) that are believed beside the machine's, where the endpoint is one of TLS.
    pub authorities: Option<Vec<u8>>,
    /// Who asks: sent with each request.
    pub token: Option<Token>,
    /// Send the token, and passwords, to another machine without TLS, where everybody on the way can read them.
    pub secrets_in_clear: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            timeout: None,
            authorities: None,
            token: None,
            secrets_in_clear: false,
        }
    }
}

/// A client of one node. Clones share its connections.
///
/// It uses no proxy, follows no redirect and sends nothing twice on its own, except where a kept connection turns out
/// to have been closed before the request was written.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    endpoint: Endpoint,
    pub(crate) timeout: Option<Duration>,
    secrets_in_clear: bool,
    /// The application whose functions it acts on.
    pub(crate) app: Option<AppName>,
}

impl Client {
    /// Sets up a client; connects to nothing yet. With TLS it reads the machine's certificate authorities.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the system refuses what an HTTP client needs, or the authorities that were given are none;
    /// [`ClientError::InClear`] if a token would go to another machine without TLS.
    pub fn new(endpoint: Endpoint, config: &ClientConfig) -> Result<Self, ClientError> {
        let authorities = config.authorities.as_deref();
        let tls = if endpoint.is_tls() {
            tls::settings(authorities)?
        } else {
            tls::no_settings()?
        };
        let headers = config
            .token
            .iter()
            .map(|token| (AUTHORIZATION, token.header()))
            .collect();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("serverledge-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Setup {
                source: error.into(),
            })?;
        let secrets_in_clear = config.secrets_in_clear;
        let client = Self {
            http,
            endpoint,
            timeout: config.timeout,
            app: None,
            secrets_in_clear,
        };
        if config.token.is_some() {
            client.keeps_secrets()?;
        }
        Ok(client)
    }

    /// Whether what is sent can be read by nobody on the way, or that is wanted so.
    pub(crate) fn keeps_secrets(&self) -> Result<(), ClientError> {
        let kept = self.endpoint.is_tls() || self.endpoint.is_loopback() || self.secrets_in_clear;
        if kept {
            Ok(())
        } else {
            Err(ClientError::InClear {
                url: self.endpoint.to_string(),
            })
        }
    }

    /// The node that it talks to.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    // === functions ===

    /// Deploys a new function. Dropping the future in mid-upload deploys nothing; later it may be deployed all the same.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 if the name is taken; else see [`ClientError`].
    pub async fn create(&self, function: &FunctionBody<'_>) -> Result<Created, ClientError> {
        self.post("create", function, DEPLOY_TIMEOUT).await
    }

    /// Deploys a function, replacing one of the same name. Dropping the future: as for [`Client::create`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update(&self, function: &FunctionBody<'_>) -> Result<Created, ClientError> {
        self.post("update", function, DEPLOY_TIMEOUT).await
    }

    /// Deletes a function. Dropping the future does not bring it back.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if there is none of that name; else see [`ClientError`].
    pub async fn delete(&self, function: &FunctionName) -> Result<Deleted, ClientError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Name<'a> {
            name: &'a str,
        }
        self.post(
            "delete",
            &Name {
                name: function.as_str(),
            },
            CONTROL_TIMEOUT,
        )
        .await
    }

    /// Names of the deployed functions. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list(&self) -> Result<Vec<String>, ClientError> {
        self.get(&["function"]).await
    }

    /// One function's description; `None` if there is none of that name. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn function(
        &self,
        function: &FunctionName,
    ) -> Result<Option<FunctionInfo>, ClientError> {
        match self.get(&["functions", function.as_str()]).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    // === invocations ===

    /// Runs a function and waits for its result.
    ///
    /// Dropping the future tells the node that its caller has left; the function may be stopped or may run to its end,
    /// and its result is lost either way. With an idempotency key it runs to its end, and another call with the same key
    /// gives the result.
    ///
    /// # Errors
    /// [`ClientError::Problem`] for which [`ClientError::is_function_failure`] holds if the function failed, for which
    /// [`ClientError::is_overload`] holds if the node had no room. With an idempotency key also `idempotency_key_reused`
    /// (422) if the key came with another payload before, and `invocation_not_finished` (409) if the call that it names
    /// has not ended: ask again with the same key. [`ClientError::Request`] if the key is malformed, or if there is a
    /// callback, which would never be told. Else see [`ClientError`].
    pub async fn invoke(
        &self,
        function: &FunctionName,
        call: &Invocation,
    ) -> Result<InvocationResult, ClientError> {
        if call.callback.is_some() {
            return Err(ClientError::Request {
                fault: "a callback needs an asynchronous invocation".to_owned(),
            });
        }
        let url = self.url(&["invoke", function.as_str()]);
        let request = call
            .keyed(self.http.post(url.clone()))?
            .json(&call.to_body(false));
        let answer = self.send(request, INVOKE_TIMEOUT, &url).await?;
        read_result(answer.body()).map_err(|error| not_understood(&url, &error))
    }

    /// Hands an invocation over and returns its id at once, by the route that every Serverledge has; [`Client::submit`]
    /// tells more. Dropping the future may lose the id of a run that happens; with an idempotency key, the same call
    /// tells it again.
    ///
    /// # Errors
    /// As for [`Client::submit`].
    pub async fn invoke_async(
        &self,
        function: &FunctionName,
        call: &Invocation,
    ) -> Result<Accepted, ClientError> {
        let url = self.url(&["invoke", function.as_str()]);
        let request = call
            .keyed(self.http.post(url.clone()))?
            .json(&call.to_body(true));
        let answer = self.send(request, CONTROL_TIMEOUT, &url).await?;
        read_json(&url, answer.body())
    }

    /// Asks for the result of an asynchronous invocation. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poll(&self, id: &str) -> Result<Poll, ClientError> {
        if !is_request_id(id) {
            return Ok(Poll::Unknown);
        }
        let url = self.url(&["poll", id]);
        match self
            .send(self.http.get(url.clone()), CONTROL_TIMEOUT, &url)
            .await
        {
            Ok(answer) => {
                let result =
                    read_result(answer.body()).map_err(|error| not_understood(&url, &error))?;
                Ok(Poll::Done(Box::new(result)))
            }
            Err(error) if error.code() == Some("invocation_not_finished") => Ok(Poll::Pending),
            Err(error) if error.is_not_found() => Ok(Poll::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Makes sandboxes ready ahead of calls. Dropping the future may leave them ready.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn prewarm(
        &self,
        function: &FunctionName,
        instances: u32,
        force_image_pull: bool,
    ) -> Result<Prewarmed, ClientError> {
        let function = function.as_str().to_owned();
        let request = PrewarmRequest {
            function,
            instances: i64::from(instances),
            force_image_pull,
        };
        self.post("prewarm", &request, DEPLOY_TIMEOUT).await
    }

    /// Calls a function as an HTTP handler: `request` reaches it under `/fn/{name}`, followed by the request's own path
    /// and query; its scheme and authority are passed over. The reply is the function's, whatever its status.
    ///
    /// Dropping the future: as for [`Client::invoke`].
    ///
    /// # Errors
    /// [`ClientError::Request`] if the path would leave the function's own; else see [`ClientError`], never
    /// [`ClientError::Problem`].
    pub async fn call(
        &self,
        function: &FunctionName,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let mut url = self.url(&["fn", function.as_str()]);
        let base = url.path().to_owned();
        let path = request.uri().path();
        if !matches!(path, "" | "/") {
            url.set_path(&format!("{base}{path}"));
        }
        url.set_query(request.uri().query());
        let inside = url
            .path()
            .strip_prefix(&base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !inside {
            return Err(ClientError::Request {
                fault: format!("the path {path:?} leads out of the function's own"),
            });
        }
        let (parts, body) = request.into_parts();
        let request = self
            .http
            .request(parts.method, url.clone())
            .headers(parts.headers)
            .body(body);
        self.exchange(request, INVOKE_TIMEOUT, &url).await
    }

    // === the node ===

    /// What the node says of itself. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<StatusInformation, ClientError> {
        self.get(&["status"]).await
    }

    /// The other nodes as this one sees them. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, ClientError> {
        self.get(&["peers"]).await
    }

    /// The node's metrics in Prometheus' text format. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let url = self.url(&["metrics"]);
        let answer = self
            .send(self.http.get(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        String::from_utf8(answer.into_body().into()).map_err(|error| not_understood(&url, &error))
    }

    /// Whether the node lives (`/healthz`). Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn healthy(&self) -> Result<(), ClientError> {
        self.probe("healthz").await
    }

    /// Whether the node takes work (`/readyz`). Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] if it is up but not ready; else see [`ClientError`].
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.probe("readyz").await
    }

    // === requests ===

    async fn probe(&self, route: &str) -> Result<(), ClientError> {
        let url = self.url(&[route]);
        self.send(self.http.get(url.clone()), CONTROL_TIMEOUT, &url)
            .await
            .map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        let url = self.url(path);
        let answer = self
            .send(self.http.get(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let url = self.url(&[route]);
        let request = self.http.post(url.clone()).json(body);
        let answer = self.send(request, timeout, &url).await?;
        read_json(&url, answer.body())
    }

    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url =
            Url::parse(&self.endpoint.to_string()).expect("a checked host and port make a URL");
        url.path_segments_mut()
            .expect("an http URL has a path")
            .clear()
            .extend(self.prefix(path))
            .extend(path);
        url
    }

    /// Sends a request; a status other than success is an error.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        timeout: Duration,
        url: &Url,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let answer = self.exchange(request, timeout, url).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(answer.status(), answer.headers(), answer.body()))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        timeout: Duration,
        url: &Url,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let timeout = self.timeout.unwrap_or(timeout);
        let fault = |error: reqwest::Error| self.transport_error(error, url, timeout);
        let response = request.timeout(timeout).send().await.map_err(fault)?;
        self.read_whole(response, timeout, url).await
    }

    /// Reads the whole of an answer that has begun.
    pub(crate) async fn read_whole(
        &self,
        mut response: reqwest::Response,
        timeout: Duration,
        url: &Url,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let fault = |error: reqwest::Error| self.transport_error(error, url, timeout);
        let body = read_body(&mut response, ANSWER_BYTES_MAX)
            .await
            .map_err(|read| match read {
                ReadFault::Transport(error) => fault(error),
                ReadFault::TooLong => {
                    let fault = format!("it is longer than {ANSWER_BYTES_MAX} bytes");
                    ClientError::Answer {
                        url: url.to_string(),
                        fault,
                    }
                }
            })?;
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    pub(crate) fn transport_error(
        &self,
        error: reqwest::Error,
        url: &Url,
        after: Duration,
    ) -> ClientError {
        let error = error.without_url();
        if error.is_builder() {
            return ClientError::Request {
                fault: innermost(&error),
            };
        }
        if let Some(fault) = certificate_fault(&error) {
            return ClientError::Untrusted {
                url: self.endpoint.to_string(),
                fault,
            };
        }
        if error.is_connect() {
            return ClientError::Unreachable {
                url: self.endpoint.to_string(),
                source: error.into(),
            };
        }
        if error.is_timeout() {
            return ClientError::Timeout {
                url: url.to_string(),
                after,
            };
        }
        ClientError::Interrupted {
            url: url.to_string(),
            source: error.into(),
        }
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = cause.to_string();
        source = cause.source();
    }
    words
}

pub(crate) fn read_json<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| not_understood(url, &error))
}

pub(crate) fn not_understood(url: &Url, error: &dyn std::error::Error) -> ClientError {
    ClientError::Answer {
        url: url.to_string(),
        fault: error.to_string(),
    }
}

/// Ids are one path segment of plain characters; anything else was never given out.
pub(crate) fn is_request_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && id.len() <= 256 && id.chars().all(plain) && !id.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests;
