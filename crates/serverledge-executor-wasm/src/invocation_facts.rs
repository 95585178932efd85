//! Facts that a guest can read of its invocation, as variables of its environment (docs/guest-abi.md).

use serverledge_core::{FunctionName, InvocationId, TraceContext, Version};

/// The facts about one invocation.
pub(crate) struct InvocationFacts {
    pub(crate) function: FunctionName,
    pub(crate) id: InvocationId,
    /// The time at which it is ended, in milliseconds of the Unix epoch.
    pub(crate) deadline_ms: u64,
    /// The trace that it runs in, if there is one.
    pub(crate) trace: Option<TraceContext>,
}

impl InvocationFacts {
    /// The environment: the variables of the version, its secrets, then these facts. Those of the trace have the names that
    /// OpenTelemetry gives them.
    pub(crate) fn environment<'a>(
        &'a self,
        version: &'a Version,
    ) -> impl Iterator<Item = (&'a str, String)> {
        let own = version.env.iter();
        let own = own.map(|(name, value)| (name.as_str(), value.clone()));
        let secrets = version.secrets.guest_values();
        let secrets = secrets.map(|(name, value)| (name, value.to_string()));
        let trace = self.trace.as_ref();
        let parent = trace.map(|trace| ("TRACEPARENT", trace.parent.to_string()));
        let state = trace.and_then(TraceContext::state);
        own.chain(secrets)
            .chain([
                ("SERVERLEDGE_HANDLER", version.handler.clone()),
                ("SERVERLEDGE_INVOCATION_ID", self.id.to_string()),
                ("SERVERLEDGE_DEADLINE_MS", self.deadline_ms.to_string()),
                (
                    "SERVERLEDGE_MEMORY_MB",
                    version.limits.memory.get().to_string(),
                ),
            ])
            .chain(parent)
            .chain(state.map(|state| ("TRACESTATE", state.to_owned())))
    }
}
