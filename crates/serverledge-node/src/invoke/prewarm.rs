//! Sandboxes that are started for the pool: before their calls, or for a call that takes another if that is free first.

use std::sync::Arc;

use serverledge_core::{InvocationError, Sandbox};
use serverledge_scheduler::{Pooled, SandboxId};
use tokio::sync::oneshot;

use crate::admission::{Admissions, draining};
use crate::functions::FunctionEntry;
use crate::invoke::Invoker;

impl Invoker {
    /// Starts pooled sandboxes in tasks of their own: if the caller goes away, they stay for later calls.
    pub(super) async fn prewarm_pooled(
        self: &Arc<Self>,
        entry: &Arc<FunctionEntry>,
        pooled: Pooled,
        count: usize,
    ) -> Result<i64, InvocationError> {
        let ids = self
            .admissions
            .prewarm(entry.arrival().demand, pooled, count);
        let receivers: Vec<_> = ids
            .into_iter()
            .map(|id| self.start_for_pool(entry, id))
            .collect();
        let mut up = 0;
        let mut failed = None;
        for receiver in receivers {
            match receiver.await.unwrap_or_else(|_| Err(draining())) {
                Ok(()) => up += 1,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if up == 0 => Err(error),
            _ => Ok(up),
        }
    }

    /// Starts a pooled sandbox in a task of its own, and tells how that went, after the scheduler.
    pub(super) fn start_for_pool(
        self: &Arc<Self>,
        entry: &Arc<FunctionEntry>,
        id: SandboxId,
    ) -> oneshot::Receiver<Result<(), InvocationError>> {
        let invoker = Arc::clone(self);
        let function = Arc::clone(&entry.function);
        let (sender, receiver) = oneshot::channel();
        let room = Prewarming {
            id: Some(id),
            admissions: self.admissions.clone(),
        };
        self.background.spawn(async move {
            let outcome = match invoker.start_sandbox(&function).await {
                Ok(started) => {
                    room.up(started.sandbox);
                    Ok(())
                }
                Err(error) => {
                    drop(room);
                    Err(error)
                }
            };
            let _ = sender.send(outcome);
        });
        receiver
    }
}

/// Room for a sandbox that a task starts; returned unless the sandbox starts.
struct Prewarming {
    id: Option<SandboxId>,
    admissions: Admissions,
}

impl Prewarming {
    fn up(mut self, sandbox: Box<dyn Sandbox>) {
        if let Some(id) = self.id.take() {
            self.admissions.prewarmed(id, sandbox);
        }
    }
}

impl Drop for Prewarming {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.admissions.not_prewarmed(id);
        }
    }
}
