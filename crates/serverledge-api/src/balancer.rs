//! The HTTP surface of a load balancer: a few routes of its own, calls that it hands over, and everything else, which it
//! passes to a node as it came.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::header::{EXPECT, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use serverledge_core::{BodyError, FunctionName, HttpBody, InvocationError, Report, SpaceId};
use serverledge_wire::header::{
    FREE_CPU, FREE_MEM, IDEMPOTENCY_KEY, MAB_REQUEST_ID, NODE_NAME, REQUEST_ID,
};
use serverledge_wire::invoke::InvocationRequest;
use serverledge_wire::peer::Cookies;
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::access::{self, Access, need};
use crate::app::{Admitted, Limits, Place, head};
use crate::backend::{Call, Identity};
use crate::body::{self, ReadError};
use crate::error::{Convention, Failed};
use crate::guard::{Guard, Named};
use crate::invoke::{envelope, function_name};
use crate::system::{METRICS, TEXT};
use crate::{hostile, invoke, peer, plain, reply, serving};

/// What a browser says of the page behind a request. It was judged here, except where an application's setting judges it.
const OF_A_PAGE: [HeaderName; 5] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// What only a load balancer reads, as in Serverledge.
const FOR_BALANCERS: [&str; 4] = [NODE_NAME, FREE_MEM, FREE_CPU, MAB_REQUEST_ID];

/// Which nodes may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Any that is ready.
    Any,
    /// Those that can run this function, its own first.
    Function(SpaceId, FunctionName),
}

/// The body of a request that is passed on.
pub enum PassageBody {
    /// As it comes; it can be sent once.
    Stream(HttpBody),
    /// An asynchronous invocation, or one with a key: it may be sent again where a node has certainly not accepted it, or
    /// where its key says that it is the same.
    Whole(Bytes),
}

/// A request that is passed to a node. What is of the client's connection only has gone from its headers.
#[derive(Debug)]
pub struct Passage {
    /// Method, target and headers.
    pub head: Parts,
    /// The body.
    pub body: PassageBody,
    /// Where it may go.
    pub to: Destination,
    /// Who sent it, if that is known.
    pub client: Option<SocketAddr>,
    /// Where it comes from, if that is known: the client's address, or what a trusted proxy says of it.
    pub address: Option<IpAddr>,
    /// The application whose host was asked for; `None`: the balancer's own.
    pub application: Option<String>,
    /// How browsers keep cookies for the balancer's names.
    pub cookies: Cookies,
}

/// Why a request was not answered by a node.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
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
        /// Which node.
        node: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A load balancer, as the routes see it.
#[async_trait]
pub trait Balancer: Send + Sync + 'static {
    /// Who it is.
    fn identity(&self) -> &Identity;

    /// Has a node run a function. Dropping the future leaves the run to the node, which stops it after a while.
    async fn invoke(&self, call: Call) -> Result<Report, InvocationError>;

    /// Passes a request to a node; the answer's body is a stream. Dropping the future, or that body, ends the request there.
    async fn pass(&self, passage: Passage) -> Result<Response<HttpBody>, PassError>;

    /// The nodes, as this balancer sees them.
    fn peers(&self) -> Vec<PeerInfo>;

    /// The figures of the nodes together.
    fn status(&self) -> StatusInformation;

    /// Metrics in the Prometheus text format; `None` if they are switched off.
    fn metrics(&self) -> Option<String>;

    /// Whether new requests should be sent here.
    fn ready(&self) -> bool;
}

/// The routes over a [`Balancer`].
pub(crate) struct Front {
    balancer: Arc<dyn Balancer>,
    limits: Limits,
    guard: Guard,
    access: Access,
    concurrency: Arc<Semaphore>,
    settling: Semaphore,
}

/// A node's answer on its way to the client: it keeps its request's place, and if it has no end of its own it ends when the
/// server drains.
struct Passed {
    body: HttpBody,
    _place: Place,
    ends: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl std::fmt::Debug for PassageBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
        }
    }
}

// === impl Front ===

impl Front {
    pub(crate) fn new(
        balancer: Arc<dyn Balancer>,
        guard: Guard,
        access: Access,
        limits: Limits,
    ) -> Self {
        let concurrency = Arc::new(Semaphore::new(limits.concurrency_max));
        Self {
            balancer,
            limits,
            guard,
            access,
            concurrency,
            settling: access::settling(),
        }
    }

    pub(crate) async fn dispatch(
        &self,
        request: Request<Body>,
        admitted: &mut Admitted,
        draining: &CancellationToken,
    ) -> Result<Response<Body>, Failed> {
        // What nodes say to each other they say to each other.
        if request.uri().path().starts_with(peer::PREFIX) {
            return Err(Failed::not_found());
        }
        let application = match self.guard.named(request.uri(), request.headers())? {
            Named::Application(name) => Some(name),
            Named::Node => None,
        };
        if application.is_some() || serving::by_path(request.uri().path()).is_some() {
            let way = self.way(admitted, draining)?;
            return Ok(self
                .visit(
                    request,
                    admitted,
                    Way {
                        application,
                        page: true,
                        ..way
                    },
                )
                .await);
        }
        let (head, need) = (head(&request), need(request.method(), request.uri().path()));
        let known = self
            .access
            .admit_soon(&self.guard, &head, need, &admitted.caller, &self.settling)
            .await?;
        if let Some(caller) = known {
            admitted.caller = caller;
        }
        if let Some(own) = self.own(&request, admitted) {
            return own;
        }
        let way = self.way(admitted, draining)?;
        let path = request.uri().path();
        if path.starts_with("/invoke/") {
            return self.invoke(request, admitted, way).await;
        }
        if path.starts_with("/fn/") {
            return Ok(self.plain(request, admitted, way).await);
        }
        self.pass_stream(
            request,
            Destination::Any,
            self.limits.code_body_bytes_max,
            admitted,
            way,
        )
        .await
    }

    fn way(&self, admitted: &Admitted, draining: &CancellationToken) -> Result<Way, Failed> {
        let place = Arc::clone(&self.concurrency)
            .try_acquire_owned()
            .map_err(|_| Failed::busy())?;
        let (place, draining) = (Place(Arc::new(place)), draining.clone());
        Ok(Way {
            place,
            draining,
            client: admitted.peer,
            application: None,
            page: false,
        })
    }

    /// A request to an application, which anybody may send: what pages may do is the application's setting, and the node's to
    /// judge. Whatever comes back here is read by a browser as a function's.
    async fn visit(&self, request: Request<Body>, admitted: &Admitted, way: Way) -> Response<Body> {
        let max = self.limits.params_body_bytes_max;
        let passed = self
            .pass_stream(request, Destination::Any, max, admitted, way)
            .await;
        passed.unwrap_or_else(|failed| hostile_answer(failed, admitted))
    }

    /// What it answers itself.
    fn own(
        &self,
        request: &Request<Body>,
        admitted: &Admitted,
    ) -> Option<Result<Response<Body>, Failed>> {
        let answer = match request.uri().path() {
            "/healthz" => reply::text(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" if self.balancer.ready() => reply::text(StatusCode::OK, TEXT, "ready\n"),
            "/readyz" => {
                let words = "not ready: starting, draining, or without a node that is\n";
                reply::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, words)
            }
            "/status" => reply::json(&self.balancer.status()),
            "/peers" => reply::json(&self.balancer.peers()),
            "/metrics" => match self.balancer.metrics() {
                Some(metrics) => reply::text(StatusCode::OK, METRICS, metrics),
                None => Failed::new(
                    StatusCode::NOT_FOUND,
                    "metrics_disabled",
                    "metrics.enabled is false here",
                )
                .into_response(admitted.request_id()),
            },
            _ => return None,
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        Some(if reads {
            Ok(answer)
        } else {
            Err(Failed::method("GET"))
        })
    }

    async fn invoke(
        &self,
        request: Request<Body>,
        admitted: &Admitted,
        way: Way,
    ) -> Result<Response<Body>, Failed> {
        if request.method() != Method::POST {
            return Err(Failed::method("POST"));
        }
        let name = function_name(&request.uri().path()["/invoke/".len()..])?;
        let (parts, body) = request.into_parts();
        let body = body::read(
            body,
            self.limits.params_body_bytes_max,
            self.limits.body_timeout,
        )
        .await?;
        let asked = InvocationRequest::parse(&body)?;
        if asked.asynchronous || parts.headers.contains_key(IDEMPOTENCY_KEY) {
            let body = PassageBody::Whole(body);
            let to = Destination::Function(admitted.caller.space.clone(), name);
            return self.pass(parts, body, to, admitted, way).await;
        }
        let call = invoke::call(name, &asked, &body, &parts.headers, admitted)?;
        if call.stored.callback.is_some() {
            return Err(invoke::callback_needs_async());
        }
        match self.balancer.invoke(call).await {
            Ok(report) => envelope(self.balancer.identity(), &report, asked.return_output),
            Err(error) => Err(Failed::invocation(&error, Convention::Serverledge)),
        }
    }

    /// Whatever comes back here is read by a browser as a function's.
    async fn plain(&self, request: Request<Body>, admitted: &Admitted, way: Way) -> Response<Body> {
        let passed = match function_name(plain::split(request.uri().path()).0) {
            Ok(name) => {
                let max = self.limits.params_body_bytes_max;
                let to = Destination::Function(admitted.caller.space.clone(), name);
                self.pass_stream(request, to, max, admitted, way).await
            }
            Err(failed) => Err(failed),
        };
        passed.unwrap_or_else(|failed| hostile_answer(failed, admitted))
    }

    async fn pass_stream(
        &self,
        request: Request<Body>,
        to: Destination,
        max: usize,
        admitted: &Admitted,
        way: Way,
    ) -> Result<Response<Body>, Failed> {
        let (parts, body) = request.into_parts();
        // A node would refuse it in the middle, where that is easily lost.
        if http_body::Body::size_hint(&body).lower() > max as u64 {
            return Err(ReadError::TooLarge { max }.into());
        }
        let body: HttpBody = Box::pin(body.map_err(|fault| -> BodyError { fault.into() }));
        self.pass(parts, PassageBody::Stream(body), to, admitted, way)
            .await
    }

    async fn pass(
        &self,
        mut head: Parts,
        body: PassageBody,
        to: Destination,
        admitted: &Admitted,
        way: Way,
    ) -> Result<Response<Body>, Failed> {
        let Way {
            place,
            draining,
            client,
            application,
            page,
        } = way;
        let endless = !page && head.uri.path().ends_with("/logs");
        let address = client.map(|_| self.access.address(client, &head.headers));
        clean_request(&mut head.headers, admitted, page);
        head.extensions.clear();
        let cookies = self.access.cookies(&self.guard);
        let passage = Passage {
            head,
            body,
            to,
            client,
            address,
            application,
            cookies,
        };
        let mut response = self.balancer.pass(passage).await?;
        clean_response(response.headers_mut());
        let ends = endless.then(|| Box::pin(draining.cancelled_owned()));
        Ok(response.map(|body| {
            Body::new(Passed {
                body,
                _place: place,
                ends,
            })
        }))
    }
}

/// What a request has on its way beside itself.
struct Way {
    place: Place,
    draining: CancellationToken,
    client: Option<SocketAddr>,
    /// The application whose host was asked for.
    application: Option<String>,
    /// What a browser says of the page behind it is the node's to judge.
    page: bool,
}

fn hostile_answer(failed: Failed, admitted: &Admitted) -> Response<Body> {
    let mut response = failed.into_response(admitted.request_id());
    hostile::mark(response.headers_mut());
    response
}

fn clean_request(headers: &mut HeaderMap, admitted: &Admitted, page: bool) {
    hostile::strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    for name in OF_A_PAGE.iter().filter(|_| !page) {
        headers.remove(name);
    }
    headers.insert(
        HeaderName::from_static(REQUEST_ID),
        admitted.request_id.clone(),
    );
}

fn clean_response(headers: &mut HeaderMap) {
    hostile::strip_hop_by_hop(headers);
    for name in FOR_BALANCERS {
        headers.remove(name);
    }
}

// === impl Passed ===

impl http_body::Body for Passed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let drained = self
            .ends
            .as_mut()
            .is_some_and(|ends| ends.as_mut().poll(cx).is_ready());
        if drained {
            Poll::Ready(None)
        } else {
            self.body.as_mut().poll_frame(cx)
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
