//! The application: what happens to a request before and after its route. The two routes that carry the load are
//! dispatched here, by hand; everything else goes through axum's router.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Request, Response};
use serverledge_core::{Caller, InvocationId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::backend::balancer::Balancer;
use crate::backend::roles::Backend;
use crate::balancer::BalancerApi;
use crate::request::access::{self, Access, Requirement};
use crate::request::app_prefix;
use crate::request::body::Bodies;
use crate::request::context::{AdmissionPermit, Draining, REQUEST_ID, RequestContext, head};
use crate::request::forwarded::{self, ForwardedContext};
use crate::request::origin::OriginPolicy;
use crate::request::path::{drop_last_slash, runs_plain};
use crate::request::path_prefix::{PathPrefix, prefix_location};
use crate::request::state::{AppState, Limits};
use crate::response::problem::{self, ApiError, ApiResult};
use crate::response::reply::NodeHeaders;
use crate::routes::{self, http_function, invoke, peers, public_app, requirement};

/// Longest request id taken from a caller.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Readers that follow a log at once. They stay for hours, so they have places of their own.
const FOLLOWERS_MAX: usize = 64;
/// Readers of events at once: a console has one for each open window.
const EVENT_READERS_MAX: usize = 256;

/// The routes over a node, or over a load balancer. Cloning is cheap.
#[derive(Clone)]
pub struct App {
    routes: Routes,
    /// Cancelled when the server drains: answers without an end then end.
    draining: Arc<CancellationToken>,
    /// The address at the other end of the connection.
    client: Option<SocketAddr>,
    /// The caller of a request without a credential; kept, so that a request does not make it.
    anonymous: Caller,
}

#[derive(Clone)]
enum Routes {
    Node(Arc<NodeRoutes>),
    Balancer(Arc<BalancerApi>),
}

struct NodeRoutes {
    state: Arc<AppState>,
    router: Router,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl App {
    /// The routes over this node.
    #[must_use]
    pub fn new(backend: Backend, origins: OriginPolicy, access: Access, limits: Limits) -> Self {
        let node_headers = NodeHeaders::new(backend.status.identity());
        let concurrency = Arc::new(Semaphore::new(limits.concurrency_max));
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        let event_readers = Arc::new(Semaphore::new(EVENT_READERS_MAX));
        let replication_grace = access::replication_grace();
        let state = Arc::new(AppState {
            backend,
            limits,
            bodies: Bodies::new(limits.body_timeout),
            node_headers,
            followers,
            event_readers,
            access,
            origins,
            concurrency,
            replication_grace,
        });
        Self::over(Routes::Node(Arc::new(NodeRoutes {
            router: routes::router(&state),
            state,
        })))
    }

    /// The routes over this load balancer. It lets in whom the nodes let in, so it is given the same accounts; what it
    /// passes on they judge again.
    #[must_use]
    pub fn balancing(
        balancer: Arc<dyn Balancer>,
        origins: OriginPolicy,
        access: Access,
        limits: Limits,
    ) -> Self {
        Self::over(Routes::Balancer(Arc::new(BalancerApi::new(
            balancer, origins, access, limits,
        ))))
    }

    fn over(routes: Routes) -> Self {
        Self {
            routes,
            draining: Arc::default(),
            client: None,
            anonymous: Caller::anonymous(),
        }
    }

    /// The same routes, for one connection.
    pub(crate) fn on_connection(self, client: Option<SocketAddr>) -> Self {
        Self { client, ..self }
    }

    /// The same routes, whose endless answers end when the token is cancelled.
    pub(crate) fn until(self, draining: CancellationToken) -> Self {
        Self {
            draining: Arc::new(draining),
            ..self
        }
    }

    /// Answers one request. Dropping the future (the client went away) stops what it started.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let mut context = self.admit(request.headers());
        let answered = match &self.routes {
            Routes::Node(node) => node.dispatch(request, &mut context, &self.draining).await,
            Routes::Balancer(balancer) => {
                Box::pin(balancer.dispatch(request, &mut context, &self.draining)).await
            }
        };
        Self::finish(
            answered.unwrap_or_else(IntoResponse::into_response),
            context,
        )
    }

    /// Answers what is no request.
    pub(crate) fn refuse(&self, failed: ApiError) -> Response<Body> {
        Self::finish(failed.into_response(), self.admit(&HeaderMap::new()))
    }

    /// Adds the request's id.
    fn finish(mut response: Response<Body>, context: RequestContext) -> Response<Body> {
        problem::complete(&mut response, context.request_id());
        response
            .headers_mut()
            .insert(REQUEST_ID, context.request_id);
        response
    }

    fn admit(&self, headers: &HeaderMap) -> RequestContext {
        let invocation = InvocationId::new();
        let given = headers.get(&REQUEST_ID).filter(|value| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
                && value
                    .as_bytes()
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
        });
        let request_id = given.cloned().unwrap_or_else(|| {
            let mut buffer = [0; 36];
            // The canonical form of a UUID is ASCII.
            HeaderValue::from_str(invocation.encode(&mut buffer))
                .unwrap_or(HeaderValue::from_static("-"))
        });
        let caller = self.anonymous.clone();
        let peer = self.client;
        RequestContext {
            arrived: Instant::now(),
            request_id,
            invocation,
            caller,
            peer,
            forwarded: false,
        }
    }
}

impl NodeRoutes {
    async fn dispatch(
        &self,
        mut request: Request<Body>,
        context: &mut RequestContext,
        draining: &CancellationToken,
    ) -> ApiResult {
        if request.uri().path().starts_with(peers::PREFIX) {
            return Ok(Box::pin(peers::handle(&self.state, request, context)).await);
        }
        let forwarded_context = forwarded::take(&self.state, &mut request, context)?;
        let host_owner = match &forwarded_context {
            // The names of a load balancer are its own, and it has checked them.
            Some(forwarded_context) => forwarded_context.host_owner(),
            None => self
                .state
                .origins
                .host_owner(request.uri(), request.headers())?,
        };
        if let Some(to) = public_app::addressed(host_owner, request.uri().path()) {
            let _permit = self.state.permit()?;
            let asked = forwarded_context.as_ref().map(ForwardedContext::cookies);
            return Ok(
                Box::pin(public_app::handle(&self.state, request, context, to, asked)).await,
            );
        }
        drop_last_slash(&mut request);
        let prefix = PathPrefix::of(&self.state.access, context, request.headers());
        let Some(prefix) = prefix else {
            return self
                .admit_and_run(request, context, draining, forwarded_context)
                .await;
        };
        prefix.enter(request.headers_mut());
        request.extensions_mut().insert(prefix.clone());
        let is_functions_own = runs_plain(request.uri().path());
        // Boxed, like whatever is rare: the future of a request is moved about, and should be no larger than a call needs.
        let answered =
            Box::pin(self.admit_and_run(request, context, draining, forwarded_context)).await;
        let mut response = answered.unwrap_or_else(IntoResponse::into_response);
        if !is_functions_own {
            prefix.leave(&mut response);
        }
        Ok(response)
    }

    /// A request for the node itself.
    async fn admit_and_run(
        &self,
        mut request: Request<Body>,
        context: &mut RequestContext,
        draining: &CancellationToken,
        forwarded_context: Option<ForwardedContext>,
    ) -> ApiResult {
        let needed = requirement(request.method(), request.uri().path());
        let access = &self.state.access;
        let origins = &self.state.origins;
        let known = match forwarded_context {
            None => access.admit(origins, &request, needed, &context.caller)?,
            Some(_) => {
                let head = head(&request);
                Box::pin(access.admit_after_grace(
                    origins,
                    &head,
                    needed,
                    &context.caller,
                    &self.state.replication_grace,
                ))
                .await?
            }
        };
        if let Some(caller) = known {
            context.caller = caller;
        }
        if needed == Requirement::Open {
            request.extensions_mut().insert(context.clone());
            return self.route(request).await;
        }
        let Some(prefix) = app_prefix::enter(&self.state, &mut request, context)? else {
            return self.run(request, context, draining).await;
        };
        let is_functions_own = request.uri().path().starts_with("/fn/");
        let mut response = self.run(request, context, draining).await?;
        if !is_functions_own {
            prefix_location(&prefix, &mut response);
        }
        Ok(response)
    }

    /// Runs what was let in.
    async fn run(
        &self,
        mut request: Request<Body>,
        context: &RequestContext,
        draining: &CancellationToken,
    ) -> ApiResult {
        let path = request.uri().path();
        if path.starts_with("/invoke/") {
            let _permit = self.state.permit()?;
            return invoke::handle(&self.state, request, context).await;
        }
        if path.starts_with("/fn/") {
            let _permit = self.state.permit()?;
            return Box::pin(http_function::handle(&self.state, request, context)).await;
        }
        let permit = Arc::clone(&self.state.concurrency)
            .try_acquire_owned()
            .map_err(|_| ApiError::busy())?;
        request
            .extensions_mut()
            .insert(AdmissionPermit(Arc::new(permit)));
        request.extensions_mut().insert(Draining(draining.clone()));
        request.extensions_mut().insert(context.clone());
        self.route(request).await
    }

    async fn route(&self, request: Request<Body>) -> ApiResult {
        let is_private = routes::is_private(request.uri().path());
        // Boxed, like whatever is rare: the future of a request is moved about, and should be no larger than a call needs.
        let router = self.router.clone();
        match Box::pin(router.oneshot(request)).await {
            Ok(mut response) => {
                if is_private {
                    response
                        .headers_mut()
                        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                }
                Ok(response)
            }
            Err(never) => match never {},
        }
    }
}
