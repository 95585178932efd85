//! Keeps leases alive over one stream, which stays open between calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Error as ClientError, LeaseKeepAliveStream, LeaseKeeper};
use serverledge_core::kv::LeaseId;
use tokio::time::timeout;

use super::fault::Refusal;
use super::link::{Kind, Link};
use super::translate::{signed, unsigned};

/// A stream of questions and answers. Between two calls no answer is outstanding.
struct Stream {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

/// The stream while nobody uses it. Calls at the same time open another one, of which one is kept.
#[derive(Default)]
pub(super) struct KeepAlives {
    idle: Mutex<Option<Stream>>,
}

// === impl KeepAlives ===

impl KeepAlives {
    /// Gives the lease its full time again, and returns it; zero: there is no such lease. If the future is dropped the
    /// stream goes with it, so that no late answer is taken for another's.
    pub(super) async fn renew(&self, link: &Link, lease: LeaseId) -> Result<Duration, Refusal> {
        let limit = link.options().request_timeout;
        match timeout(limit, self.try_renew(link, signed(lease.get()), limit)).await {
            Ok(answer) => answer,
            Err(_) => Err(link.deadline(limit)),
        }
    }

    async fn try_renew(&self, link: &Link, id: i64, limit: Duration) -> Result<Duration, Refusal> {
        // The stream may be dead without saying so; then there is time for another one.
        if let Some(mut stream) = self.take()
            && let Ok(Ok(seconds)) = timeout(limit / 2, stream.renew(id)).await
        {
            self.put(stream);
            return Ok(Duration::from_secs(seconds));
        }
        let opened = link.call(Kind::Repeatable, |mut session| async move {
            Stream::open(&mut session.lease, id).await
        });
        let Some((stream, seconds)) = opened.await? else {
            return Ok(Duration::ZERO);
        };
        self.put(stream);
        Ok(Duration::from_secs(seconds))
    }

    fn take(&self) -> Option<Stream> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn put(&self, stream: Stream) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }
}

// === impl Stream ===

impl Stream {
    /// Opens a stream with a first question, whose answer does not tell the time; the second does. `None`: there is no
    /// such lease.
    async fn open(
        client: &mut etcd_client::LeaseClient,
        id: i64,
    ) -> Result<Option<(Self, u64)>, ClientError> {
        let (keeper, answers) = match client.keep_alive(id).await {
            Ok(opened) => opened,
            Err(ClientError::LeaseKeepAliveError(words)) if words == "lease not found" => {
                return Ok(None);
            }
            Err(other) => return Err(other),
        };
        let mut stream = Self { keeper, answers };
        let seconds = stream.renew(id).await?;
        Ok(Some((stream, seconds)))
    }

    /// The lease's time in seconds; 0: there is none.
    async fn renew(&mut self, id: i64) -> Result<u64, ClientError> {
        self.keeper.id = id;
        self.keeper.keep_alive().await?;
        let ended = || ClientError::LeaseKeepAliveError("the stream ended".to_owned());
        let answer = self.answers.message().await?.ok_or_else(ended)?;
        if answer.id() != id {
            return Err(ClientError::LeaseKeepAliveError(
                "an answer for another lease".to_owned(),
            ));
        }
        Ok(unsigned(answer.ttl()))
    }
}
