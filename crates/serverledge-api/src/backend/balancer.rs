//! The operations that the routes of a load balancer need of it. The node implements them, and so does the fake of the tests.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use serverledge_core::{FunctionName, HttpBody, InvocationError, Report, SpaceId};
use serverledge_wire::peer::Cookies;
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;

use crate::backend::{ClientCall, Identity};

/// The nodes that may answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Any that is ready.
    Any,
    /// Those that can run this function, its own first.
    Function(SpaceId, FunctionName),
}

/// The body of a request that is passed on.
pub enum ProxyRequestBody {
    /// As it comes; it can be sent once.
    Stream(HttpBody),
    /// An asynchronous invocation, or one with a key: it may be sent again where a node has certainly not accepted it, or
    /// where its key says that it is the same.
    Whole(Bytes),
}

/// A request that is passed to a node. What is of the client's connection only has gone from its headers.
#[derive(Debug)]
pub struct ProxyRequest {
    /// Method, target and headers.
    pub head: Parts,
    /// The body.
    pub body: ProxyRequestBody,
    /// The nodes that may answer it.
    pub to: Destination,
    /// The address of its sender, if that is known.
    pub client: Option<SocketAddr>,
    /// The address that it comes from, if that is known: the client's, or the one that a trusted proxy names.
    pub address: Option<IpAddr>,
    /// The application whose host was asked for; `None`: the balancer's own.
    pub application: Option<String>,
    /// The protection of the balancer's session cookie against pages on the hosts of applications.
    pub cookies: Cookies,
}

/// The reason why no node answered a request.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No such function.
    #[error("function {0:?} is unknown")]
    Unknown(String),
    /// The function is not known here, and the registry cannot be asked for it.
    #[error("the function is not known here")]
    Registry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its path would be read as another one.
    #[error("the path has dot segments or characters that cannot be passed on as they are")]
    Path,
    /// Nobody is there; nothing was sent.
    #[error("no node can take the request now")]
    NoNode,
    /// It was sent, and no answer came.
    #[error("node {node} was asked and gave no answer; it may have done what was asked")]
    Lost {
        /// The node's name.
        node: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A load balancer, as the routes see it.
#[async_trait]
pub trait Balancer: Send + Sync + 'static {
    /// Its name and area.
    fn identity(&self) -> &Identity;

    /// Has a node run a function. Dropping the future leaves the run to the node, which stops it after a while.
    async fn invoke(&self, call: ClientCall) -> Result<Report, InvocationError>;

    /// Passes a request to a node; the answer's body is a stream. Dropping the future, or that body, ends the request there.
    async fn pass(&self, passage: ProxyRequest) -> Result<Response<HttpBody>, ProxyError>;

    /// The nodes, as this balancer sees them.
    fn peers(&self) -> Vec<PeerInfo>;

    /// The figures of the nodes together.
    fn status(&self) -> StatusInformation;

    /// Metrics in the Prometheus text format; `None` if they are switched off.
    fn metrics(&self) -> Option<String>;

    /// Whether new requests should be sent here.
    fn ready(&self) -> bool;
}

impl std::fmt::Debug for ProxyRequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
        }
    }
}
