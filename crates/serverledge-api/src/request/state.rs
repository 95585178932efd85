//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::backend::roles::Backend;
use crate::request::access::Access;
use crate::request::body::Bodies;
use crate::request::origin::OriginPolicy;
use crate::response::problem::ApiError;
use crate::response::reply::NodeHeaders;

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

/// The state that all handlers share.
pub(crate) struct AppState {
    pub(crate) backend: Backend,
    pub(crate) limits: Limits,
    pub(crate) bodies: Bodies,
    pub(crate) node_headers: NodeHeaders,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) event_readers: Arc<Semaphore>,
    pub(crate) access: Access,
    pub(crate) origins: OriginPolicy,
    pub(crate) concurrency: Arc<Semaphore>,
    pub(crate) replication_grace: Semaphore,
}

/// The extractor of the state.
pub(crate) type SharedState = State<Arc<AppState>>;

impl AppState {
    /// A place among the requests at once.
    pub(crate) fn permit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.concurrency.try_acquire().map_err(|_| ApiError::busy())
    }
}
