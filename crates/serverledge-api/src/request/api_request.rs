//! A request at its handler.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams};
use http::Request;
use http::request::Parts;

use crate::request::context::{AdmissionPermit, RequestContext};
use crate::request::state::AppState;

/// A request that was let in, taken apart: each handler names the parts that it uses.
pub(crate) struct ApiRequest {
    pub(crate) state: Arc<AppState>,
    pub(crate) context: RequestContext,
    /// The variable segment of the path; empty if it is no text, so that it names nothing. Where a route without one
    /// stands beside routes with one (`/apps/import`), it is the route's own last segment.
    pub(crate) segment: String,
    /// Its place among the requests at once. A handler whose work goes on in its answer's body keeps it there.
    pub(crate) permit: Option<AdmissionPermit>,
    pub(crate) parts: Parts,
    pub(crate) body: Body,
}

impl FromRequest<Arc<AppState>> for ApiRequest {
    type Rejection = ExtensionRejection;

    async fn from_request(
        request: Request<Body>,
        state: &Arc<AppState>,
    ) -> Result<Self, ExtensionRejection> {
        let (mut parts, body) = request.into_parts();
        let Extension(context) = Extension::from_request_parts(&mut parts, state).await?;
        let segment = match RawPathParams::from_request_parts(&mut parts, state).await {
            Ok(segments) => {
                let variable = segments.iter().next().map(|(_, text)| text);
                variable
                    .or(parts.uri.path().rsplit('/').next())
                    .unwrap_or_default()
                    .to_owned()
            }
            Err(_) => String::new(),
        };
        let permit = parts.extensions.remove();
        Ok(Self {
            state: Arc::clone(state),
            context,
            segment,
            permit,
            parts,
            body,
        })
    }
}
