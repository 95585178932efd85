//! The node's own routes for asynchronous invocations, and for dead letters: those that failed through no fault of the
//! function.

use http::Method;
use serverledge_wire::invocations::{AcceptedInvocation, DeadLetters, InvocationInfo, Purged};

use crate::client::{Client, segment};
use crate::error::ClientError;

impl Client {
    /// State and history of an asynchronous invocation, whichever node has it. Dropping the future has no effect on the
    /// node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `invocation_unknown` (404) if the id was never given out or its record has
    /// expired. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn invocation(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        self.get(&["invocations", checked(id)?]).read().await
    }

    /// Ends an asynchronous invocation that has not ended, and gives back what is known of it then. A run of it is
    /// stopped; what it did until then stays done. Dropping the future: it may be cancelled or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `invocation_ended` (409) if it has ended already, `invocation_unknown` (404)
    /// as for [`Client::invocation`]. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn cancel(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        self.post(&["invocations", checked(id)?, "cancel"])
            .read()
            .await
    }

    /// One page of the dead letters, oldest first: at most `limit` (absent: as many as the node sees fit), those after
    /// the `next` of the page before. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `malformed_query` (400) if the node gives no such page. Else see
    /// [`ClientError`].
    pub async fn dead_letters(
        &self,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<DeadLetters, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        self.get(&["dead-letters"])
            .query("limit", limit.as_deref())
            .query("after", after)
            .read()
            .await
    }

    /// All that is known of a dead letter. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id. [`ClientError::Request`] if it cannot be
    /// an id. Else see [`ClientError`].
    pub async fn dead_letter(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        self.get(&["dead-letters", checked(id)?]).read().await
    }

    /// Makes a new invocation of a dead letter; asked again, it gives the one that was made before (`repeated`). Dropping
    /// the future: it may be made or not; another redrive tells its id.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id, 503 if the new invocation could not be
    /// stored. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn redrive(&self, id: &str) -> Result<AcceptedInvocation, ClientError> {
        self.post(&["dead-letters", checked(id)?, "redrive"])
            .read()
            .await
    }

    /// Removes one dead letter for good. Dropping the future: it may be removed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id. [`ClientError::Request`] if it cannot be
    /// an id: nothing is sent then, so that no odd id can name all dead letters. Else see [`ClientError`].
    pub async fn purge(&self, id: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["dead-letters", checked(id)?])
            .done()
            .await
    }

    /// Removes all dead letters for good, and says how many. Dropping the future: some, all or none may be removed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn purge_all(&self) -> Result<Purged, ClientError> {
        self.call(Method::DELETE, &["dead-letters"]).read().await
    }
}

/// An id that is one path segment and nothing else.
fn checked(id: &str) -> Result<&str, ClientError> {
    segment(id, "invocation's id")
}
