//! Keeps leases alive over one stream, which stays open between calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serverledge_core::kv::LeaseId;
use tokio::time::timeout;

use super::fault::EtcdRefusal;
use super::grpc::KeepAliveStream;
use super::link::{EtcdLink, RetrySafety};
use super::translate::signed;

/// The stream while nobody uses it; then no answer is outstanding. Calls at the same time open another one, of which one
/// is kept.
#[derive(Default)]
pub(super) struct KeepAlives {
    idle: Mutex<Option<KeepAliveStream>>,
}

// === impl KeepAlives ===

impl KeepAlives {
    /// Gives the lease its full time again, and returns it; zero: there is no such lease. If the future is dropped the
    /// stream goes with it, so that no late answer is taken for another's.
    pub(super) async fn renew(
        &self,
        link: &EtcdLink,
        lease: LeaseId,
    ) -> Result<Duration, EtcdRefusal> {
        let limit = link.options().request_timeout;
        match timeout(limit, self.try_renew(link, signed(lease.get()), limit)).await {
            Ok(answer) => answer,
            Err(_) => Err(link.deadline(limit)),
        }
    }

    async fn try_renew(
        &self,
        link: &EtcdLink,
        id: i64,
        limit: Duration,
    ) -> Result<Duration, EtcdRefusal> {
        // The stream may be dead without saying so; then there is time for another one.
        if let Some(mut stream) = self.take()
            && let Ok(Ok(seconds)) = timeout(limit / 2, stream.renew(id)).await
        {
            self.put(stream);
            return Ok(Duration::from_secs(seconds));
        }
        let opened = link.call(RetrySafety::Repeatable, |session| async move {
            session.etcd.keep_alive(id).await
        });
        let (stream, seconds) = opened.await?;
        self.put(stream);
        Ok(Duration::from_secs(seconds))
    }

    fn take(&self) -> Option<KeepAliveStream> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn put(&self, stream: KeepAliveStream) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }
}
