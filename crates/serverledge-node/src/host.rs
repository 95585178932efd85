//! What running functions may ask of the node: `serverledge::call` re-enters the invoke path, within limits of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_core::limits::{CALL_DEPTH_MAX, CALLS_AT_ONCE_MAX, CALLS_MAX};
use serverledge_core::{
    CallContext, CallError, FailureKind, Function, FunctionName, HostCalls, InvocationError, Memo,
    Payload, Reply, Report,
};
use serverledge_scheduler::QosClass;

use crate::admission::Held;
use crate::node::Node;

/// The node, as one invocation sees it.
pub(crate) struct NodeHost {
    node: Arc<Node>,
    context: CallContext,
    class: QosClass,
    /// Whose calls they are: names are looked up in its space.
    caller: Arc<Function>,
    /// The invocation's lease.
    held: Arc<Held>,
    /// Calls so far.
    made: AtomicUsize,
    /// Those that are outstanding.
    outstanding: AtomicUsize,
    /// What its calls have brought.
    gathered: Mutex<Memo>,
}

/// Counts an outstanding call until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

// === impl NodeHost ===

impl NodeHost {
    /// For an invocation with this context and class; calls inherit both.
    pub(crate) fn new(
        node: &Arc<Node>,
        context: CallContext,
        class: QosClass,
        caller: &Arc<Function>,
        held: Arc<Held>,
    ) -> Self {
        let (made, outstanding, gathered) =
            (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::default());
        Self {
            node: Arc::clone(node),
            context,
            class,
            caller: Arc::clone(caller),
            held,
            made,
            outstanding,
            gathered,
        }
    }

    /// What the calls so far have brought. Asked once, at the invocation's end.
    pub(crate) fn brought(&self) -> Memo {
        std::mem::take(&mut *self.gathered.lock())
    }

    /// A call that failed brings nothing that could tell whether what the client carries had part in it. One that failed for
    /// want of time or room, or for where it was made, or because one that it made did, would do better another time: what
    /// its caller answers then is not kept.
    fn gather(&self, outcome: &mut Result<Report, InvocationError>) {
        let brought = match outcome {
            Ok(report) => std::mem::take(&mut report.memo),
            Err(error) => Memo {
                shaped: self.context.carried.is_some(),
                stale: !comes_again(error),
                ..Memo::default()
            },
        };
        self.gathered.lock().gather(brought);
    }

    /// Counts a call, if it may be made.
    fn count(&self) -> Result<Counted<'_>, CallError> {
        if self.context.depth >= CALL_DEPTH_MAX {
            return Err(CallError::TooDeep {
                max: CALL_DEPTH_MAX,
            });
        }
        let at_once = self.outstanding.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(&self.outstanding);
        if at_once >= CALLS_AT_ONCE_MAX {
            return Err(CallError::TooManyAtOnce {
                max: CALLS_AT_ONCE_MAX,
            });
        }
        if self.made.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            return Err(CallError::TooMany { max: CALLS_MAX });
        }
        Ok(counted)
    }
}

#[async_trait]
impl HostCalls for NodeHost {
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError> {
        let _counted = self
            .count()
            .inspect_err(|_| self.gathered.lock().stale = true)?;
        let name = FunctionName::parse(function).map_err(|source| CallError::Name {
            name: function.chars().take(64).collect(),
            source,
        })?;
        let context = CallContext {
            depth: self.context.depth + 1,
            ..self.context.clone()
        };
        let held = Arc::clone(&self.held);
        self.gathered.lock().called = true;
        let mut outcome = self
            .node
            .invoke_nested(
                &self.caller.space,
                &name,
                Payload::Json(params),
                context,
                self.class,
                held,
            )
            .await;
        self.gather(&mut outcome);
        // The caller goes on with the CPU that it gave back.
        self.held.regained().await;
        match outcome.map_err(Box::new)?.reply {
            Reply::Json(result) => Ok(result),
            Reply::Http(_) => Err(CallError::Invocation(Box::new(InvocationError::Internal {
                message: format!("function {name} answered a nested call with HTTP"),
            }))),
        }
    }

    fn caller(&self) -> &FunctionName {
        &self.caller.name
    }
}

/// Whether a call would fail in the same way whenever and wherever it is made, until somebody deploys something.
fn comes_again(error: &InvocationError) -> bool {
    match error {
        InvocationError::Function(failure) => {
            !failure.stale
                && matches!(
                    failure.kind,
                    FailureKind::Error | FailureKind::Trap | FailureKind::BadOutput
                )
        }
        InvocationError::Unknown(_) => true,
        _ => false,
    }
}

// === impl Counted ===

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
