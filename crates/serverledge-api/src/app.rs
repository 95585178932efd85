//! The application: what happens to a request before and after its route. The two routes that carry the load are
//! dispatched here, by hand; everything else goes through axum's router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, Request, Response};
use serverledge_core::{Caller, InvocationId};
use serverledge_wire::header as wire;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::access::{self, Access, Need, need};
use crate::backend::Backend;
use crate::balancer::{Balancer, Front};
use crate::error::Failed;
use crate::guard::Guard;
use crate::passed::Vouched;
use crate::reply::NodeHeaders;
use crate::{
    account, app_prefix, apps, dead_letters, deploy, functions, invocations, invoke, logs, openapi,
    passed, peer, plain, running, serving, system, versions,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);
/// Longest request id taken from a caller.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Readers that follow a log at once. They stay for hours, so they have places of their own.
const FOLLOWERS_MAX: usize = 64;

/// Limits of single requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body that carries code.
    pub code_body_bytes_max: usize,
    /// Bytes of a body that carries parameters.
    pub params_body_bytes_max: usize,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// Requests at once.
    pub concurrency_max: usize,
}

/// The routes over a node, or over a load balancer. Cloning is cheap.
#[derive(Clone)]
pub struct App {
    routes: Routes,
    /// Cancelled when the server drains: answers without an end then end.
    draining: Arc<CancellationToken>,
    /// Who is at the other end of the connection.
    client: Option<SocketAddr>,
    /// Who asks where nobody says who they are; kept, so that a request does not make it.
    anybody: Caller,
}

#[derive(Clone)]
enum Routes {
    Node(Arc<NodeRoutes>),
    Balancer(Arc<Front>),
}

struct NodeRoutes {
    shared: Arc<Shared>,
    router: Router,
}

/// What every handler can use.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) limits: Limits,
    pub(crate) node_headers: NodeHeaders,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) access: Access,
    pub(crate) guard: Guard,
    concurrency: Arc<Semaphore>,
    settling: Semaphore,
}

impl Shared {
    /// A place among the requests at once.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Failed> {
        self.concurrency.try_acquire().map_err(|_| Failed::busy())
    }
}

/// The place of a request among those at once. A handler whose work goes on in its answer's body keeps a clone there.
#[derive(Debug, Clone)]
pub(crate) struct Place(
    #[expect(dead_code, reason = "held until it is dropped")] pub(crate) Arc<OwnedSemaphorePermit>,
);

/// Tells answers without an end that the server drains.
#[derive(Debug, Clone)]
pub(crate) struct Draining(pub(crate) CancellationToken);

/// A request that was let in: what its handler needs beside the request itself.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    /// When it arrived.
    pub(crate) arrived: Instant,
    /// Its id: the caller's, if well-formed.
    pub(crate) request_id: HeaderValue,
    /// The id of an invocation that it may become; the request id shows it where the caller sent none.
    pub(crate) invocation: InvocationId,
    /// Who asks.
    pub(crate) caller: Caller,
    /// Who is at the other end of the connection.
    pub(crate) peer: Option<SocketAddr>,
}

impl Admitted {
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
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
    pub fn new(backend: Arc<dyn Backend>, guard: Guard, access: Access, limits: Limits) -> Self {
        let node_headers = NodeHeaders::new(backend.identity());
        let concurrency = Arc::new(Semaphore::new(limits.concurrency_max));
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        let settling = access::settling();
        let shared = Arc::new(Shared {
            backend,
            limits,
            node_headers,
            followers,
            access,
            guard,
            concurrency,
            settling,
        });
        Self::over(Routes::Node(Arc::new(NodeRoutes {
            router: router(&shared),
            shared,
        })))
    }

    /// The routes over this load balancer. It lets in whom the nodes let in, so it is given the same accounts; what it
    /// passes on they judge again.
    #[must_use]
    pub fn balancing(
        balancer: Arc<dyn Balancer>,
        guard: Guard,
        access: Access,
        limits: Limits,
    ) -> Self {
        Self::over(Routes::Balancer(Arc::new(Front::new(
            balancer, guard, access, limits,
        ))))
    }

    fn over(routes: Routes) -> Self {
        Self {
            routes,
            draining: Arc::default(),
            client: None,
            anybody: Caller::anybody(),
        }
    }

    /// The same routes, for one connection.
    pub(crate) fn asked_by(self, client: Option<SocketAddr>) -> Self {
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
        let mut admitted = self.admit(&request);
        let answered = match &self.routes {
            Routes::Node(node) => node.dispatch(request, &mut admitted, &self.draining).await,
            Routes::Balancer(front) => {
                Box::pin(front.dispatch(request, &mut admitted, &self.draining)).await
            }
        };
        let mut response =
            answered.unwrap_or_else(|failed| failed.into_response(admitted.request_id()));
        response
            .headers_mut()
            .insert(REQUEST_ID, admitted.request_id);
        response
    }

    fn admit(&self, request: &Request<Body>) -> Admitted {
        let invocation = InvocationId::new();
        let given = request.headers().get(&REQUEST_ID).filter(|value| {
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
        let (caller, peer) = (self.anybody.clone(), self.client);
        Admitted {
            arrived: Instant::now(),
            request_id,
            invocation,
            caller,
            peer,
        }
    }
}

impl NodeRoutes {
    async fn dispatch(
        &self,
        mut request: Request<Body>,
        admitted: &mut Admitted,
        draining: &CancellationToken,
    ) -> Result<Response<Body>, Failed> {
        if request.uri().path().starts_with(peer::PREFIX) {
            return Ok(Box::pin(peer::handle(&self.shared, request, admitted)).await);
        }
        let vouched = passed::take(&self.shared, &mut request, admitted)?;
        let named = match &vouched {
            // The names of a load balancer are its own, and it has checked them.
            Some(vouched) => vouched.named(),
            None => self.shared.guard.named(request.uri(), request.headers())?,
        };
        if let Some(to) = serving::addressed(named, request.uri().path()) {
            let _place = self.shared.place()?;
            let asked = vouched.as_ref().map(Vouched::cookies);
            return Ok(Box::pin(serving::handle(&self.shared, request, admitted, to, asked)).await);
        }
        let need = need(request.method(), request.uri().path());
        let (access, guard) = (&self.shared.access, &self.shared.guard);
        let known = match vouched {
            None => access.admit(guard, &request, need, &admitted.caller)?,
            Some(_) => {
                let head = head(&request);
                Box::pin(access.admit_soon(
                    guard,
                    &head,
                    need,
                    &admitted.caller,
                    &self.shared.settling,
                ))
                .await?
            }
        };
        if let Some(caller) = known {
            admitted.caller = caller;
        }
        if need == Need::Open {
            request.extensions_mut().insert(admitted.clone());
            return self.route(request).await;
        }
        let Some(prefix) = app_prefix::enter(&self.shared, &mut request, admitted)? else {
            return self.run(request, admitted, draining).await;
        };
        let is_functions_own = request.uri().path().starts_with("/fn/");
        let mut response = self.run(request, admitted, draining).await?;
        app_prefix::leave(&prefix, &mut response, is_functions_own);
        Ok(response)
    }

    /// Runs what was let in.
    async fn run(
        &self,
        mut request: Request<Body>,
        admitted: &Admitted,
        draining: &CancellationToken,
    ) -> Result<Response<Body>, Failed> {
        let path = request.uri().path();
        if path.starts_with("/invoke/") {
            let _place = self.shared.place()?;
            return invoke::handle(&self.shared, request, admitted).await;
        }
        if path.starts_with("/fn/") {
            let _place = self.shared.place()?;
            return Box::pin(plain::handle(&self.shared, request, admitted)).await;
        }
        let place = Arc::clone(&self.shared.concurrency)
            .try_acquire_owned()
            .map_err(|_| Failed::busy())?;
        request.extensions_mut().insert(Place(Arc::new(place)));
        request.extensions_mut().insert(Draining(draining.clone()));
        request.extensions_mut().insert(admitted.clone());
        self.route(request).await
    }

    async fn route(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        // Boxed, like whatever is rare: the future of a request is moved about, and should be no larger than a call needs.
        let router = self.router.clone();
        match Box::pin(router.oneshot(request)).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}

/// A request without its body, which cannot be shared while something is waited for.
pub(crate) fn head(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(system::index).fallback(get_only))
        .route("/create", post(deploy::create).fallback(post_only))
        .route("/update", post(deploy::update).fallback(post_only))
        .route("/delete", post(functions::delete).fallback(post_only))
        .route("/function", get(functions::names).fallback(get_only))
        .route("/functions", get(functions::names).fallback(get_only))
        .route("/functions/{name}", get(functions::info).fallback(get_only))
        .route(
            "/functions/{name}/versions",
            get(versions::list).fallback(get_only),
        )
        .route(
            "/functions/{name}/rollback",
            post(versions::roll_back).fallback(post_only),
        )
        .route(
            "/functions/{name}/flags",
            post(versions::flags).fallback(post_only),
        )
        .route("/functions/{name}/logs", get(logs::logs).fallback(get_only))
        .route(
            "/functions/{name}/invocations",
            post(invocations::submit).fallback(post_only),
        )
        .route(
            "/invocations/{id}",
            get(invocations::show).fallback(get_only),
        )
        .route(
            "/invocations/{id}/cancel",
            post(invocations::cancel).fallback(post_only),
        )
        .route(
            "/dead-letters",
            get(dead_letters::list)
                .delete(dead_letters::purge_all)
                .fallback(get_or_delete),
        )
        .route(
            "/dead-letters/{id}",
            get(dead_letters::show)
                .delete(dead_letters::purge)
                .fallback(get_or_delete),
        )
        .route(
            "/dead-letters/{id}/redrive",
            post(dead_letters::redrive).fallback(post_only),
        )
        .route("/prewarm", post(functions::prewarm).fallback(post_only))
        .route("/poll/{id}", get(invoke::poll).fallback(get_only))
        .route("/peers", get(peer::list).fallback(get_only))
        .route("/status", get(system::status).fallback(get_only))
        .route("/metrics", get(system::metrics).fallback(get_only))
        .route("/healthz", get(system::healthz).fallback(get_only))
        .route("/readyz", get(system::readyz).fallback(get_only))
        .route("/openapi.json", get(openapi::serve).fallback(get_only))
        .merge(app_routes())
        .merge(openapi::pages())
        .merge(running::routes())
        .merge(account::routes())
        .fallback(not_found)
        .with_state(Arc::clone(shared))
}

fn app_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/apps",
            get(apps::list).post(apps::create).fallback(get_or_post),
        )
        .route(
            "/apps/{app}",
            get(apps::show)
                .patch(apps::change)
                .delete(apps::delete)
                .fallback(get_patch_or_delete),
        )
        .route(
            "/apps/{app}/endpoints",
            get(apps::endpoints)
                .put(apps::put_endpoint)
                .delete(apps::remove_endpoint)
                .fallback(get_put_or_delete),
        )
        .route(
            "/apps/{app}/dependencies",
            get(apps::dependencies)
                .put(apps::put_dependencies)
                .fallback(get_or_put),
        )
}

async fn get_or_post(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET, POST"))
}

async fn get_or_put(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET, PUT"))
}

async fn get_patch_or_delete(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET, PATCH, DELETE"))
}

async fn get_put_or_delete(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET, PUT, DELETE"))
}

pub(crate) async fn post_only(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("POST"))
}

pub(crate) async fn get_only(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET"))
}

async fn get_or_delete(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::method("GET, DELETE"))
}

async fn not_found(request: Request<Body>) -> Response<Body> {
    refuse(&request, Failed::not_found())
}

fn refuse(request: &Request<Body>, failed: Failed) -> Response<Body> {
    let id = request
        .extensions()
        .get::<Admitted>()
        .map_or("", Admitted::request_id);
    failed.into_response(id)
}
