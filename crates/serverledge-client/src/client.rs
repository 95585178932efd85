//! The client itself: one method per operation of the API.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use reqwest::Url;
use serde::Serialize;
use serverledge_core::limits::TIMEOUT_MAX;
use serverledge_core::{AppName, FunctionName};
use serverledge_wire::function::{Deleted, FunctionInfo};
use serverledge_wire::invoke::{Accepted, InvocationBody, PrewarmRequest, Prewarmed};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;

use crate::account::Token;
use crate::call::{Call, Connections, DEPLOY_TIMEOUT};
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::invocation::{InvocationResult, Poll, keyed, read_result};
use crate::tls;

/// Longest wait for a connection: a live node accepts in milliseconds, a lost packet is sent again after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an invocation: the longest run that a function may declare, the queue, and the way.
pub const INVOKE_TIMEOUT: Duration = Duration::from_secs(TIMEOUT_MAX.as_secs() + 60);
/// Idle connections are dropped after this time, before most nodes and middle boxes drop them.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer, connection included; absent: a default for each kind of request.
    pub timeout: Option<Duration>,
    /// Certificate authorities (PEM, one or more) that are believed beside the machine's, where the endpoint is one of TLS.
    pub authorities: Option<Vec<u8>>,
    /// The caller's token, sent with each request.
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
    connections: Connections,
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
        let builder = tls::http(tls)
            .default_headers(headers)
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("serverledge-client/", env!("CARGO_PKG_VERSION")));
        let http = tls::build(builder)?;
        let connections = Connections {
            http,
            endpoint,
            timeout: config.timeout,
        };
        let client = Self {
            connections,
            app: None,
            secrets_in_clear: config.secrets_in_clear,
        };
        if config.token.is_some() {
            client.keeps_secrets()?;
        }
        Ok(client)
    }

    /// Whether what is sent can be read by nobody on the way, or that is wanted so.
    pub(crate) fn keeps_secrets(&self) -> Result<(), ClientError> {
        let endpoint = self.endpoint();
        let kept = endpoint.is_tls() || endpoint.is_loopback() || self.secrets_in_clear;
        if kept {
            Ok(())
        } else {
            Err(ClientError::InClear {
                url: endpoint.to_string(),
            })
        }
    }

    /// The node that it talks to.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.connections.endpoint
    }

    // === functions ===

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
        self.post(&["delete"])
            .json(&Name {
                name: function.as_str(),
            })
            .read()
            .await
    }

    /// Names of the deployed functions. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list(&self) -> Result<Vec<String>, ClientError> {
        self.get(&["function"]).read().await
    }

    /// One function's description; `None` if there is none of that name. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn function(
        &self,
        function: &FunctionName,
    ) -> Result<Option<FunctionInfo>, ClientError> {
        match self.get(&["functions", function.as_str()]).read().await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    // === invocations ===

    /// Runs a function and waits for its result. The key names this piece of work: calls of one function with the same
    /// key and payload are one invocation, for as long as the node remembers the key. The node stores such a call
    /// before it runs it.
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
        body: InvocationBody,
        key: Option<&str>,
    ) -> Result<InvocationResult, ClientError> {
        if body.callback.is_some() {
            return Err(ClientError::Request {
                fault: "a callback needs an asynchronous invocation".to_owned(),
            });
        }
        let body = InvocationBody {
            r#async: false,
            ..body
        };
        let call = keyed(self.post(&["invoke", function.as_str()]), key)?;
        read_result(call.json(&body).within(INVOKE_TIMEOUT)).await
    }

    /// Hands an invocation over and returns its id at once, by the route that every Serverledge has. Dropping the
    /// future may lose the id of a run that happens; with an idempotency key, the same call tells it again.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `function_unknown` (404), `idempotency_key_reused` (422) if the key came with another
    /// payload before, 503 if the invocation could not be stored and will not run. [`ClientError::Request`] if the key
    /// is malformed. Else see [`ClientError`].
    pub async fn invoke_async(
        &self,
        function: &FunctionName,
        body: InvocationBody,
        key: Option<&str>,
    ) -> Result<Accepted, ClientError> {
        let body = InvocationBody {
            r#async: true,
            ..body
        };
        keyed(self.post(&["invoke", function.as_str()]), key)?
            .json(&body)
            .read()
            .await
    }

    /// Calls a function as plain HTTP, with these members of the query and this body as it is, and gives the body of its
    /// response. Dropping the future cancels the call if it still runs.
    ///
    /// # Errors
    /// As for [`Client::invoke`]; a response of the function that is no success is a [`ClientError::Problem`] as well.
    pub async fn call_http(
        &self,
        function: &FunctionName,
        query: &[(String, String)],
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Bytes, ClientError> {
        let mut call = self.post(&["fn", function.as_str()]);
        for (name, value) in query {
            call = call.query(name, Some(value));
        }
        let call = call.body(content_type, body).within(INVOKE_TIMEOUT);
        call.send().await?.body().await
    }

    /// Asks for the result of an asynchronous invocation. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn poll(&self, id: &str) -> Result<Poll, ClientError> {
        if !is_request_id(id) {
            return Ok(Poll::Unknown);
        }
        match read_result(self.get(&["poll", id])).await {
            Ok(result) => Ok(Poll::Done(Box::new(result))),
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
        self.post(&["prewarm"])
            .json(&request)
            .within(DEPLOY_TIMEOUT)
            .read()
            .await
    }

    // === the node ===

    /// The status of the node. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<StatusInformation, ClientError> {
        self.get(&["status"]).read().await
    }

    /// The other nodes as this one sees them. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, ClientError> {
        self.get(&["peers"]).read().await
    }

    // === requests ===

    pub(crate) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub(crate) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        self.connections.call(method, self.url(path))
    }

    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url =
            Url::parse(&self.endpoint().to_string()).expect("a checked host and port make a URL");
        let mut segments = url.path_segments_mut().expect("an http URL has a path");
        segments
            .pop_if_empty()
            .extend(self.prefix(path))
            .extend(path);
        drop(segments);
        url
    }
}

/// An id that is one path segment and nothing else; `what` says it in the error.
pub(crate) fn segment<'a>(id: &'a str, what: &str) -> Result<&'a str, ClientError> {
    let fault = || ClientError::Request {
        fault: format!("{id:?} is no {what}"),
    };
    is_request_id(id).then_some(id).ok_or_else(fault)
}

/// Ids are one path segment of plain characters; anything else was never given out.
fn is_request_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && id.len() <= 256 && id.chars().all(plain) && !id.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests;
