//! Requests that functions send to hosts outside of the node. The URL is the function's and the node's network is not:
//! each connection goes to an address that was judged ([`reach`](crate::reach)).
//!
//! A request goes out as the function made it, without what belongs to its connection. No proxy is asked, no redirect
//! is followed, nothing is unpacked, and nothing is sent twice. Connections are kept for a while, for each function
//! apart.

mod body;
mod connect;
mod fault;
mod headers;
#[cfg(test)]
mod tests;
mod tunnel;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lru::LruCache;
use parking_lot::Mutex;
use serverledge_core::{BoxTunnel, HttpBody, OutboundError};

use crate::error::ClientError;
use crate::reach::{Judge, Lookup, Policy, ReachAllow, SystemLookup};
use crate::tls;
use body::{InUse, LimitedBody, SentBody};
use connect::{ConnectLimits, Connector};

/// Most functions with connections at once. A node has more functions than that, but they do not all send requests.
const POOLS_MAX: usize = 256;
/// Most connections of a function to one host that are kept without a request.
const IDLE_PER_HOST_MAX: usize = 8;
/// Time for which a connection without a request is kept. Servers close theirs after about as long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a response: more than servers of today send.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of one response of HTTP/2 that wait to be read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all responses on one connection of HTTP/2 that wait to be read: room for those of one invocation, so that a
/// response that is not read does not hold up the others.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// Time for which a server may take nothing of what is there to be sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time without a sign of a server of HTTP/2, after which it is asked for one while requests are under way.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Time in which it must give one.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The key of the connections that requests may share: a digest of space, function and version.
pub type OutboundPool = [u8; 32];

type HttpClient = legacy::Client<Connector, HttpBody>;

/// Settings of outgoing requests.
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// Whether public addresses may be reached.
    pub is_public_allowed: bool,
    /// Networks and names that may be reached beside those.
    pub allow: Vec<ReachAllow>,
    /// Certificate authorities (PEM) that are believed beside the machine's.
    pub authorities: Option<Vec<u8>>,
    /// Longest body of a response.
    pub response_bytes_max: u64,
    /// Longest time in which a connection must come about, its name resolved and its certificate checked.
    pub connect_timeout: Duration,
    /// Most open connections, of all functions together.
    pub connections_max: usize,
}

/// Sends requests of functions. Clones share everything.
#[derive(Clone)]
pub struct OutboundClient {
    state: Arc<OutboundState>,
}

struct OutboundState {
    policy: Arc<Policy>,
    connector: Connector,
    /// The clients of the functions, each with its own connections.
    pools: Mutex<LruCache<OutboundPool, Pool>>,
    response_bytes_max: u64,
    connect_timeout: Duration,
    connections_max: usize,
}

/// The connections of one function.
struct Pool {
    client: HttpClient,
    connector: Connector,
    /// Its requests under way have clones.
    in_use: InUse,
}

// === impl OutboundConfig ===

impl Default for OutboundConfig {
    /// Public addresses only, 64 MiB, 10 s, 256 connections, the machine's authorities.
    fn default() -> Self {
        Self {
            is_public_allowed: true,
            allow: Vec::new(),
            authorities: None,
            response_bytes_max: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            connections_max: 256,
        }
    }
}

// === impl OutboundClient ===

impl std::fmt::Debug for OutboundClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboundClient")
            .field("policy", &self.state.policy)
            .finish_non_exhaustive()
    }
}

impl OutboundClient {
    /// Sets a client up; connects to nothing yet. Reads the machine's certificate authorities.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the authorities that were given are none.
    pub fn new(config: OutboundConfig) -> Result<Self, ClientError> {
        Self::resolving(config, SystemLookup::new(), STALL_TIMEOUT)
    }

    /// The same with another way from names to addresses, and another patience with servers that take nothing.
    fn resolving(
        config: OutboundConfig,
        lookup: impl Lookup,
        stall_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let policy = Arc::new(if config.is_public_allowed {
            Policy::public_and(config.allow)
        } else {
            Policy::only(config.allow)
        });
        let tls = tls::settings_with_http2(config.authorities.as_deref())?;
        let judge = Judge::new(Arc::clone(&policy), lookup);
        let limits = ConnectLimits {
            connect: config.connect_timeout,
            stall: stall_timeout,
        };
        let pools = NonZeroUsize::new(POOLS_MAX).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            state: Arc::new(OutboundState {
                policy,
                connector: Connector::new(judge, tls, limits, config.connections_max),
                pools: Mutex::new(LruCache::new(pools)),
                response_bytes_max: config.response_bytes_max,
                connect_timeout: config.connect_timeout,
                connections_max: config.connections_max,
            }),
        })
    }

    /// Sends a request over a connection of this pool, or over a new one, and returns the response once its head is
    /// there. A redirect is a response as any other. Whether the function may send it is the caller's to decide.
    ///
    /// Dropping the future, or the response's body before its end, closes the connection; the request may have arrived.
    ///
    /// # Errors
    /// [`OutboundError`] says why there is no response. The errors of the response's body are of this type as well.
    pub async fn send(
        &self,
        pool: &OutboundPool,
        mut request: Request<HttpBody>,
    ) -> Result<Response<HttpBody>, OutboundError> {
        let host = self.checked(&request)?;
        headers::prepare(&mut request);
        let (client, in_use) = self.client_of(pool);
        let sent = client.request(request.map(|body| SentBody::boxed(body, InUse::clone(&in_use))));
        match sent.await {
            Ok(response) => self.received(host, in_use, response),
            Err(error) => Err(fault::of_request(host, &error, self.state.connect_timeout)),
        }
    }

    /// Opens a connection for a function that speaks on it itself. It counts as one of this pool's, and is shared with no request.
    /// Whether the function may open it is the caller's to decide.
    ///
    /// # Errors
    /// [`OutboundError`] says why there is no connection.
    pub async fn tunnel(
        &self,
        pool: &OutboundPool,
        target: &Authority,
    ) -> Result<BoxTunnel, OutboundError> {
        let host = target.host();
        if self.state.policy.refused_address(host).is_some() {
            return Err(OutboundError::Refused(host.to_owned()));
        }
        // Without TLS: that is the function's own.
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(target.clone());
        let uri = uri.path_and_query("/").build();
        let uri = uri.map_err(|_| OutboundError::Url(host.to_owned()))?;
        let (connector, in_use) = self.connector_of(pool);
        tunnel::open(connector, uri, in_use).await.map_err(|error| {
            fault::of_connect(host.to_owned(), &*error, self.state.connect_timeout)
        })
    }

    /// Number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        let free = self.state.connector.free();
        self.state.connections_max.saturating_sub(free)
    }

    /// The host of a request that may go out, as far as that can be said without asking the network.
    fn checked(&self, request: &Request<HttpBody>) -> Result<String, OutboundError> {
        let uri = request.uri();
        let host = target(uri).ok_or_else(|| OutboundError::of_url(uri))?;
        if self.state.policy.refused_address(host).is_some() {
            return Err(OutboundError::Refused(host.to_owned()));
        }
        if request.method() == Method::CONNECT {
            return Err(OutboundError::Unreachable {
                host: host.to_owned(),
                cause: "the method CONNECT is not sent".to_owned(),
            });
        }
        Ok(host.to_owned())
    }

    /// The client with the connections of a function, and the mark that they are used.
    fn client_of(&self, pool: &OutboundPool) -> (HttpClient, InUse) {
        self.with_pool(pool, |pool| {
            (pool.client.clone(), InUse::clone(&pool.in_use))
        })
    }

    /// The same for a connection that no client keeps.
    fn connector_of(&self, pool: &OutboundPool) -> (Connector, InUse) {
        self.with_pool(pool, |pool| {
            (pool.connector.clone(), InUse::clone(&pool.in_use))
        })
    }

    /// The connections of a function, once idle ones have made room where there is little.
    fn with_pool<T>(&self, pool: &OutboundPool, take: impl FnOnce(&Pool) -> T) -> T {
        let state = &self.state;
        let mut pools = state.pools.lock();
        let free = state.connector.free();
        let enough = state.connections_max / 8 + 1;
        close_unused(&mut pools, enough.saturating_sub(free));
        let pool = pools.get_or_insert_mut(*pool, || Pool::new(state.connector.for_another()));
        if pool.connector.is_share_taken() {
            pool.close_unused();
        }
        take(pool)
    }

    /// The response, with its limit.
    fn received(
        &self,
        host: String,
        in_use: InUse,
        mut response: Response<Incoming>,
    ) -> Result<Response<HttpBody>, OutboundError> {
        headers::clean_response(&mut response);
        let bytes_max = self.state.response_bytes_max;
        if response.body().size_hint().lower() > bytes_max {
            return Err(OutboundError::TooLarge { host, bytes_max });
        }
        Ok(response
            .map(|body| -> HttpBody { Box::pin(LimitedBody::new(body, bytes_max, host, in_use)) }))
    }
}

// === impl Pool ===

impl Pool {
    fn new(connector: Connector) -> Self {
        Self {
            client: client(connector.clone()),
            connector,
            in_use: InUse::default(),
        }
    }

    /// Whether none of its connections has a request.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }

    /// Closes the connections that have no request, soon: those of the client that is dropped here.
    fn close_unused(&mut self) {
        self.client = client(self.connector.clone());
    }
}

/// Closes this many connections, or more, of functions that use none, as far as there are any. Those go first that have
/// not been used for the longest time.
fn close_unused(pools: &mut LruCache<OutboundPool, Pool>, mut wanted: usize) {
    for (_, pool) in pools.iter_mut().rev() {
        if wanted == 0 {
            return;
        }
        let open = pool.connector.open();
        if open > 0 && pool.is_unused() {
            pool.close_unused();
            wanted = wanted.saturating_sub(open);
        }
    }
}

/// A client without connections.
fn client(connector: Connector) -> HttpClient {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX as usize)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_max_header_list_size(HEAD_BYTES_MAX)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector)
}

/// The host of a URL that requests can be sent to.
fn target(uri: &Uri) -> Option<&str> {
    let scheme = uri.scheme()?;
    let authority = uri.authority()?;
    let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    let is_plain = !authority.as_str().contains('@') && authority.port_u16() != Some(0);
    (is_http && is_plain && !authority.host().is_empty()).then(|| authority.host())
}
