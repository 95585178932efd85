//! What running functions may ask of the node: `serverledge::call` re-enters the invoke path.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_core::limits::CALL_DEPTH_MAX;
use serverledge_core::{
    CallContext, CallError, Function, FunctionName, HostCalls, InvocationError, InvocationId, Memo, Payload, Reply,
    Report,
};

use crate::node::Node;

/// The node, as one invocation sees it.
pub(crate) struct NodeHost {
    pub(crate) node: Arc<Node>,
    pub(crate) context: CallContext,
    /// Whose calls they are.
    pub(crate) caller: Arc<Function>,
    /// What its calls have brought.
    pub(crate) gathered: Arc<Mutex<Memo>>,
}

impl NodeHost {
    /// A call that failed brings nothing that could tell whether what the client carries had part in it.
    fn gather(&self, outcome: &mut Result<Report, InvocationError>) {
        let brought = match outcome {
            Ok(report) => std::mem::take(&mut report.memo),
            Err(_) => Memo { shaped: self.context.carried.is_some(), ..Memo::default() },
        };
        self.gathered.lock().gather(brought);
    }
}

#[async_trait]
impl HostCalls for NodeHost {
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError> {
        if self.context.depth >= CALL_DEPTH_MAX {
            return Err(CallError::TooDeep { max: CALL_DEPTH_MAX });
        }
        let name = FunctionName::parse(function)
            .map_err(|source| CallError::Name { name: function.chars().take(64).collect(), source })?;
        let context = CallContext { depth: self.context.depth + 1, ..self.context.clone() };
        let nested =
            self.node.invoke_nested(&self.caller.space, &name, InvocationId::new(), Payload::Json(params), context);
        self.gathered.lock().called = true;
        let mut outcome = nested.await;
        self.gather(&mut outcome);
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
