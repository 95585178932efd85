//! Requests that the cluster's load balancer passes on. It proves, as nodes do, who sent a request and which host they named:
//! from then on the request is as it was when it came to the balancer.

use std::net::SocketAddr;

use axum::body::Body;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serverledge_wire::peer::{self as wire, Cookies, Passed, Proof};

use crate::backend::PeerRefused;
use crate::request::context::RequestContext;
use crate::request::origin::HostOwner;
use crate::request::state::AppState;
use crate::response::problem::ApiError;

// Looked for in every request: a name that is a text would be parsed each time.
const PASSED: HeaderName = HeaderName::from_static(wire::PASSED);
const PROOF: HeaderName = HeaderName::from_static(wire::PROOF);

/// The context of a forwarded request, for which its load balancer vouches.
#[derive(Debug)]
pub(crate) struct ForwardedContext {
    /// The application whose host name was asked for, as the balancer knows the names; `None`: one of its own.
    application: Option<String>,
    cookies: Cookies,
}

impl ForwardedContext {
    /// The owner of the host name that was asked for.
    pub(crate) fn host_owner(&self) -> HostOwner {
        self.application
            .clone()
            .map_or(HostOwner::Node, HostOwner::Application)
    }

    /// The protection of the balancer's session cookie against pages on the hosts of applications.
    pub(crate) fn cookies(&self) -> Cookies {
        self.cookies
    }
}

/// Takes the balancer's context from a request that it forwarded, and believes it if its proof holds; `None` for any
/// other request. The request then has the host that was asked for, and its sender's address is that of the balancer's
/// client.
pub(crate) fn take(
    state: &AppState,
    request: &mut Request<Body>,
    admitted: &mut RequestContext,
) -> Result<Option<ForwardedContext>, ApiError> {
    let Some(said) = request.headers_mut().remove(PASSED) else {
        return Ok(None);
    };
    let proof = request.headers_mut().remove(PROOF);
    let proof = proof
        .and_then(|proof| Proof::parse(proof.as_bytes()))
        .ok_or(PeerRefused::Proof)?;
    state
        .backend
        .peers
        .check_peer(&proof, request.uri().path(), said.as_bytes(), &[])?;
    let passed: Passed = serde_json::from_slice(said.as_bytes()).map_err(|_| malformed())?;
    let target = request
        .uri()
        .path_and_query()
        .map_or("", |target| target.as_str());
    if passed.method != request.method().as_str() || passed.target != target {
        return Err(PeerRefused::Proof.into());
    }
    let host = HeaderValue::from_str(&passed.host).map_err(|_| malformed())?;
    request.headers_mut().insert(HOST, host);
    admitted.forwarded = true;
    admitted.peer = passed.client.map(|ip| SocketAddr::new(ip, 0));
    Ok(Some(ForwardedContext {
        application: passed.application,
        cookies: passed.cookies,
    }))
}

fn malformed() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "peer_call_malformed",
        "what the load balancer says of the request cannot be read",
    )
}
