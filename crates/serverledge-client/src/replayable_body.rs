//! A request's body that is lent to one try of sending it: a try that never began to read it gives it back whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use serverledge_core::{BodyError, HttpBody};

/// A body that several tries may send, one after the other, as long as none of them has read from it. Clones are the
/// same body.
#[derive(Clone)]
pub struct ReplayableBody {
    shared: Arc<Mutex<SharedBody>>,
}

struct SharedBody {
    body: HttpBody,
    touched: bool,
}

/// The body that one try sends.
struct Reading(ReplayableBody);

impl std::fmt::Debug for ReplayableBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplayableBody")
            .field("whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}

impl ReplayableBody {
    /// Lends this body.
    #[must_use]
    pub fn new(body: HttpBody) -> Self {
        Self {
            shared: Arc::new(Mutex::new(SharedBody {
                body,
                touched: false,
            })),
        }
    }

    /// Whether nothing was read from it, so that another try may send it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.shared.lock().touched
    }

    /// As what is sent. One of known length is announced with it, and none at all is not sent as an empty stream.
    pub(crate) fn into_body(self) -> reqwest::Body {
        let empty = self.shared.lock().body.is_end_stream();
        if empty {
            reqwest::Body::default()
        } else {
            reqwest::Body::wrap(Reading(self))
        }
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut shared = self.0.shared.lock();
        shared.touched = true;
        shared.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.shared.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.shared.lock().body.size_hint()
    }
}
