//! The node's own routes for asynchronous invocations, and for dead letters: those that failed through no fault of the
//! function.

use serverledge_core::FunctionName;
use serverledge_wire::invocations::{AcceptedInvocation, DeadLetters, InvocationInfo, Purged};

use crate::client::{CONTROL_TIMEOUT, Client, is_request_id, read_json};
use crate::error::ClientError;
use crate::invocation::Invocation;

impl Client {
    /// Hands an invocation over to be run later, and says whether an earlier one with the same idempotency key stands
    /// for it.
    ///
    /// Dropping the future may lose the id of a run that happens; with an idempotency key, another submission tells it.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `function_unknown` (404), `idempotency_key_reused` (422) if the key came with another
    /// payload before, 503 if the invocation could not be stored and will not run. [`ClientError::Request`] if the key
    /// is malformed. Else see [`ClientError`].
    pub async fn submit(
        &self,
        function: &FunctionName,
        call: &Invocation,
    ) -> Result<AcceptedInvocation, ClientError> {
        let url = self.url(&["functions", function.as_str(), "invocations"]);
        let request = call
            .keyed(self.http.post(url.clone()))?
            .json(&call.to_body(true));
        let answer = self.send(request, CONTROL_TIMEOUT, &url).await?;
        read_json(&url, answer.body())
    }

    /// State and history of an asynchronous invocation, whichever node has it. Dropping the future has no effect on the
    /// node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `invocation_unknown` (404) if the id was never given out or its record has
    /// expired. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn invocation(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        self.get(&["invocations", checked(id)?]).await
    }

    /// Ends an asynchronous invocation that has not ended, and gives back what is known of it then. A run of it is
    /// stopped; what it did until then stays done. Dropping the future: it may be cancelled or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `invocation_ended` (409) if it has ended already, `invocation_unknown` (404)
    /// as for [`Client::invocation`]. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn cancel(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        let url = self.url(&["invocations", checked(id)?, "cancel"]);
        let answer = self
            .send(self.http.post(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
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
        let mut url = self.url(&["dead-letters"]);
        if let Some(limit) = limit {
            url.query_pairs_mut()
                .append_pair("limit", &limit.to_string());
        }
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let answer = self
            .send(self.http.get(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
    }

    /// All that is known of a dead letter. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id. [`ClientError::Request`] if it cannot be
    /// an id. Else see [`ClientError`].
    pub async fn dead_letter(&self, id: &str) -> Result<InvocationInfo, ClientError> {
        self.get(&["dead-letters", checked(id)?]).await
    }

    /// Makes a new invocation of a dead letter; asked again, it gives the one that was made before (`repeated`). Dropping
    /// the future: it may be made or not; another redrive tells its id.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id, 503 if the new invocation could not be
    /// stored. [`ClientError::Request`] if it cannot be an id. Else see [`ClientError`].
    pub async fn redrive(&self, id: &str) -> Result<AcceptedInvocation, ClientError> {
        let url = self.url(&["dead-letters", checked(id)?, "redrive"]);
        let answer = self
            .send(self.http.post(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
    }

    /// Removes one dead letter for good. Dropping the future: it may be removed or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if no dead letter has that id. [`ClientError::Request`] if it cannot be
    /// an id: nothing is sent then, so that no odd id can name all dead letters. Else see [`ClientError`].
    pub async fn purge(&self, id: &str) -> Result<(), ClientError> {
        let url = self.url(&["dead-letters", checked(id)?]);
        self.send(self.http.delete(url.clone()), CONTROL_TIMEOUT, &url)
            .await
            .map(drop)
    }

    /// Removes all dead letters for good, and says how many. Dropping the future: some, all or none may be removed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn purge_all(&self) -> Result<Purged, ClientError> {
        let url = self.url(&["dead-letters"]);
        let answer = self
            .send(self.http.delete(url.clone()), CONTROL_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
    }
}

/// An id that is one path segment and nothing else.
fn checked(id: &str) -> Result<&str, ClientError> {
    let fault = || ClientError::Request {
        fault: format!("{id:?} is no invocation's id"),
    };
    is_request_id(id).then_some(id).ok_or_else(fault)
}
