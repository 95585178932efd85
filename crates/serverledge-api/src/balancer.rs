//! The HTTP surface of a load balancer: a few routes of its own, calls that it hands over, and everything else, which it
//! passes to a node as it came.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{EXPECT, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use serverledge_core::{BodyError, HttpBody};
use serverledge_wire::header::{
    FREE_CPU, FREE_MEM, IDEMPOTENCY_KEY, MAB_REQUEST_ID, NODE_NAME, REQUEST_ID,
};
use serverledge_wire::invoke::InvocationRequest;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::backend::balancer::{Balancer, Destination, ProxyRequest, ProxyRequestBody};
use crate::errors::Convention;
use crate::request::access;
use crate::request::access::Access;
use crate::request::body;
use crate::request::body::{Bodies, ReadError};
use crate::request::call::{call, function_name};
use crate::request::context::{AdmissionPermit, RequestContext, head};
use crate::request::origin::{HostOwner, OriginPolicy};
use crate::request::path::drop_last_slash;
use crate::request::path_prefix::PathPrefix;
use crate::request::state::Limits;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{reply, untrusted};
use crate::routes::invoke::envelope;
use crate::routes::requirement;
use crate::routes::system::METRICS;
use crate::routes::{http_function, invoke, peers, public_app};

/// Headers with which a browser describes the page behind a request. They were judged here, except where an
/// application's setting judges them.
const OF_A_PAGE: [HeaderName; 5] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// Headers that only a load balancer reads, as in Serverledge.
const FOR_BALANCERS: [&str; 4] = [NODE_NAME, FREE_MEM, FREE_CPU, MAB_REQUEST_ID];

/// The routes over a [`Balancer`].
pub(crate) struct BalancerApi {
    balancer: Arc<dyn Balancer>,
    limits: Limits,
    bodies: Bodies,
    origins: OriginPolicy,
    access: Access,
    concurrency: Arc<Semaphore>,
    replication_grace: Semaphore,
}

/// A node's answer on its way to the client: it keeps its request's place, and if it has no end of its own it ends when the
/// server drains.
struct ProxyBody {
    body: HttpBody,
    _place: AdmissionPermit,
    ends: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

// === impl BalancerApi ===

impl BalancerApi {
    pub(crate) fn new(
        balancer: Arc<dyn Balancer>,
        origins: OriginPolicy,
        access: Access,
        limits: Limits,
    ) -> Self {
        let concurrency = Arc::new(Semaphore::new(limits.concurrency_max));
        let bodies = Bodies::new(limits.body_timeout);
        Self {
            balancer,
            limits,
            bodies,
            origins,
            access,
            concurrency,
            replication_grace: access::replication_grace(),
        }
    }

    pub(crate) async fn dispatch(
        &self,
        mut request: Request<Body>,
        context: &mut RequestContext,
        draining: &CancellationToken,
    ) -> ApiResult {
        // What nodes say to each other they say to each other.
        if request.uri().path().starts_with(peers::PREFIX) {
            return Err(ApiError::not_found());
        }
        let application = match self.origins.host_owner(request.uri(), request.headers())? {
            HostOwner::Application(name) => Some(name),
            HostOwner::Node => None,
        };
        if application.is_some() || public_app::by_path(request.uri().path()).is_some() {
            let proxy = self.proxy(context, draining)?;
            return Ok(self
                .visit(
                    request,
                    context,
                    ProxyContext {
                        application,
                        page: true,
                        ..proxy
                    },
                )
                .await);
        }
        drop_last_slash(&mut request);
        let mut head = head(&request);
        let needed = requirement(request.method(), request.uri().path());
        // The node to which it goes does the same with the request itself.
        if let Some(prefix) = PathPrefix::of(&self.access, context, request.headers()) {
            prefix.enter(head.headers_mut());
        }
        let known = self
            .access
            .admit_after_grace(
                &self.origins,
                &head,
                needed,
                &context.caller,
                &self.replication_grace,
            )
            .await?;
        if let Some(caller) = known {
            context.caller = caller;
        }
        if let Some(own) = self.own(&request) {
            return own;
        }
        let proxy = self.proxy(context, draining)?;
        let path = request.uri().path();
        if path.starts_with("/invoke/") {
            return self.invoke(request, context, proxy).await;
        }
        if path.starts_with("/fn/") {
            return Ok(self.plain(request, context, proxy).await);
        }
        self.pass_stream(
            request,
            Destination::Any,
            self.limits.code_body_bytes_max,
            context,
            proxy,
        )
        .await
    }

    fn proxy(
        &self,
        context: &RequestContext,
        draining: &CancellationToken,
    ) -> Result<ProxyContext, ApiError> {
        let place = Arc::clone(&self.concurrency)
            .try_acquire_owned()
            .map_err(|_| ApiError::busy())?;
        let place = AdmissionPermit(Arc::new(place));
        let draining = draining.clone();
        Ok(ProxyContext {
            place,
            draining,
            client: context.peer,
            application: None,
            page: false,
        })
    }

    /// A request to an application, which anybody may send: what pages may do is the application's setting, and the node's to
    /// judge. Whatever comes back here is read by a browser as a function's.
    async fn visit(
        &self,
        request: Request<Body>,
        context: &RequestContext,
        proxy: ProxyContext,
    ) -> Response<Body> {
        let max = self.limits.params_body_bytes_max;
        let passed = self
            .pass_stream(request, Destination::Any, max, context, proxy)
            .await;
        passed.unwrap_or_else(untrusted_answer)
    }

    /// Answers a request for one of the balancer's own routes; `None` for any other.
    fn own(&self, request: &Request<Body>) -> Option<ApiResult> {
        let answer = match request.uri().path() {
            "/healthz" => reply::text(StatusCode::OK, reply::TEXT, "ok\n"),
            "/readyz" if self.balancer.ready() => {
                reply::text(StatusCode::OK, reply::TEXT, "ready\n")
            }
            "/readyz" => {
                let words = "not ready: starting, draining, or without a node that is\n";
                reply::text(StatusCode::SERVICE_UNAVAILABLE, reply::TEXT, words)
            }
            "/status" => reply::json(&self.balancer.status()),
            "/peers" => reply::json(&self.balancer.peers()),
            "/metrics" => match self.balancer.metrics() {
                Some(metrics) => reply::text(StatusCode::OK, METRICS, metrics),
                None => ApiError::new(
                    StatusCode::NOT_FOUND,
                    "metrics_disabled",
                    "metrics.enabled is false here",
                )
                .into_response(),
            },
            _ => return None,
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        Some(if reads {
            Ok(answer)
        } else {
            Err(ApiError::method("GET"))
        })
    }

    async fn invoke(
        &self,
        request: Request<Body>,
        context: &RequestContext,
        proxy: ProxyContext,
    ) -> ApiResult {
        if request.method() != Method::POST {
            return Err(ApiError::method("POST"));
        }
        let name = function_name(&request.uri().path()["/invoke/".len()..])?;
        let (parts, body) = request.into_parts();
        let max = self.limits.params_body_bytes_max;
        let sent = self.bodies.raw(body, max).await?;
        let body = self
            .bodies
            .text_of(&parts.headers, sent.clone(), max)
            .await?;
        let body = body::enveloped(&parts.headers, body, "Params", max).await?;
        let asked = InvocationRequest::parse(&body)?;
        if asked.asynchronous || parts.headers.contains_key(IDEMPOTENCY_KEY) {
            // As it came: the node reads it by its headers.
            let body = ProxyRequestBody::Whole(sent);
            let to = Destination::Function(context.caller.space.clone(), name);
            return self.pass(parts, body, to, context, proxy).await;
        }
        let call = call(name, &asked, &body, &parts.headers, context)?;
        if call.stored.callback.is_some() {
            return Err(invoke::callback_needs_async());
        }
        match self.balancer.invoke(call).await {
            Ok(report) => envelope(self.balancer.identity(), &report, asked.return_output),
            Err(error) => Err(ApiError::invocation(&error, Convention::Serverledge)),
        }
    }

    /// Whatever comes back here is read by a browser as a function's.
    async fn plain(
        &self,
        request: Request<Body>,
        context: &RequestContext,
        proxy: ProxyContext,
    ) -> Response<Body> {
        let passed = match function_name(http_function::split(request.uri().path()).0) {
            Ok(name) => {
                let max = self.limits.params_body_bytes_max;
                let to = Destination::Function(context.caller.space.clone(), name);
                self.pass_stream(request, to, max, context, proxy).await
            }
            Err(failed) => Err(failed),
        };
        passed.unwrap_or_else(untrusted_answer)
    }

    async fn pass_stream(
        &self,
        request: Request<Body>,
        to: Destination,
        max: usize,
        context: &RequestContext,
        proxy: ProxyContext,
    ) -> ApiResult {
        let (parts, body) = request.into_parts();
        // A node would refuse it in the middle, where that is easily lost.
        if http_body::Body::size_hint(&body).lower() > max as u64 {
            return Err(ReadError::TooLarge { max }.into());
        }
        let body: HttpBody = Box::pin(body.map_err(|fault| -> BodyError { fault.into() }));
        self.pass(parts, ProxyRequestBody::Stream(body), to, context, proxy)
            .await
    }

    async fn pass(
        &self,
        mut head: Parts,
        body: ProxyRequestBody,
        to: Destination,
        context: &RequestContext,
        proxy: ProxyContext,
    ) -> ApiResult {
        let ProxyContext {
            place,
            draining,
            client,
            application,
            page,
        } = proxy;
        let endless = !page && head.uri.path().ends_with("/logs");
        let address = client.map(|_| self.access.address(client, &head.headers));
        clean_request(&mut head.headers, context, page);
        head.extensions.clear();
        let cookies = self.access.cookies(&self.origins);
        let passage = ProxyRequest {
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
            Body::new(ProxyBody {
                body,
                _place: place,
                ends,
            })
        }))
    }
}

/// The context of a request on its way to a node, beside the request itself.
struct ProxyContext {
    place: AdmissionPermit,
    draining: CancellationToken,
    client: Option<SocketAddr>,
    /// The application whose host was asked for.
    application: Option<String>,
    /// Whether the node judges the headers with which a browser describes the page behind the request.
    page: bool,
}

fn untrusted_answer(failed: ApiError) -> Response<Body> {
    let mut response = failed.into_response();
    untrusted::mark(response.headers_mut());
    response
}

fn clean_request(headers: &mut HeaderMap, context: &RequestContext, page: bool) {
    untrusted::strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    for name in OF_A_PAGE.iter().filter(|_| !page) {
        headers.remove(name);
    }
    headers.insert(
        HeaderName::from_static(REQUEST_ID),
        context.request_id.clone(),
    );
}

fn clean_response(headers: &mut HeaderMap) {
    untrusted::strip_hop_by_hop(headers);
    for name in FOR_BALANCERS {
        headers.remove(name);
    }
}

// === impl ProxyBody ===

impl http_body::Body for ProxyBody {
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
