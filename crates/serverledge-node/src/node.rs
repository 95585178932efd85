//! The node: its parts, and how the HTTP surface sees them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serverledge_api::{Backend, Call, Deploy, DeployError, Deployed, Identity, Load, PollError, Polled, SubmitError};
use serverledge_core::{
    CallContext, Digest, Executor, Function, InvocationError, InvocationId, MemoryMib, Report, Runtime, SpaceId,
};
use serverledge_registry::{FunctionStore, InvocationStore};
use serverledge_scheduler::QosClass;
use serverledge_wire::function::FunctionBody;
use serverledge_wire::status::StatusInformation;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admissions, draining};
use crate::asynchronous::Asynchronous;
use crate::config::{FunctionConfig, MetricsConfig};
use crate::functions::{Entry, Functions};
use crate::invoke::Request;
use crate::metrics::Metrics;

/// A running node.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) space: SpaceId,
    pub(crate) limits: FunctionConfig,
    pub(crate) pool_memory: MemoryMib,
    pub(crate) functions: Functions,
    pub(crate) admissions: Admissions,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) store: FunctionStore,
    pub(crate) invocations: InvocationStore,
    pub(crate) asynchronous: Asynchronous,
    pub(crate) metrics: Metrics,
    pub(crate) metrics_config: MetricsConfig,
    pub(crate) preparing: Mutex<HashSet<Digest>>,
    pub(crate) ready: AtomicBool,
    pub(crate) started: Instant,
    pub(crate) background: Background,
}

/// Tasks that belong to no request: they end with the node.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Runs a task until it ends or the node stops, whichever comes first.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        drop(self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        }));
    }

    /// Ends all tasks and waits for that.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Node {
    pub(crate) fn lookup(&self, name: &str) -> Result<Arc<Entry>, InvocationError> {
        self.functions.get(name).ok_or_else(|| InvocationError::Unknown(name.to_owned()))
    }

    /// A node that stops takes nothing new from outside; what runs may still call other functions.
    fn check_open(&self) -> Result<(), InvocationError> {
        if self.admissions.is_draining() { Err(draining()) } else { Ok(()) }
    }

    fn request(&self, call: Call) -> Result<Request, InvocationError> {
        let entry = self.lookup(call.function.as_str())?;
        Ok(Request {
            entry,
            id: call.id,
            payload: call.payload,
            class: QosClass::new(call.qos_class),
            deadline: call.deadline,
            context: CallContext::root(call.id, None),
            arrived: call.arrived,
        })
    }

    /// Which runtimes this node has an executor for.
    pub(crate) fn check_runtime(runtime: Runtime) -> Result<(), DeployError> {
        let missing = match runtime {
            Runtime::Wasm => return Ok(()),
            Runtime::Python | Runtime::NodeJs | Runtime::Custom => "the container executor",
            Runtime::JavaScript => "the JavaScript engine",
        };
        Err(DeployError::Unsupported(format!(
            "runtime {runtime} needs {missing}, which this node does not have; build the function as WebAssembly"
        )))
    }
}

/// The node as the routes see it.
#[derive(Clone)]
pub(crate) struct NodeBackend(pub(crate) Arc<Node>);

#[async_trait]
impl Backend for NodeBackend {
    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    fn load(&self) -> Load {
        let free = self.0.admissions.snapshot().free;
        Load { free_memory_mib: free.memory.get(), free_cpu: free.cpu.cores() }
    }

    fn function(&self, name: &str) -> Option<Arc<Function>> {
        self.0.functions.get(name).map(|entry| Arc::clone(&entry.function))
    }

    fn names(&self) -> Vec<String> {
        self.0.functions.names()
    }

    async fn invoke(&self, call: Call) -> Result<Report, InvocationError> {
        self.0.check_open()?;
        let request = self.0.request(call)?;
        self.0.run(request).await
    }

    async fn submit(&self, call: Call) -> Result<InvocationId, SubmitError> {
        self.0.check_open()?;
        self.0.submit(call).await
    }

    async fn poll(&self, id: InvocationId) -> Result<Polled, PollError> {
        self.0.poll_invocation(id).await
    }

    async fn deploy(&self, mode: Deploy, request: FunctionBody<'_>) -> Result<Deployed, DeployError> {
        self.0.deploy(mode, request).await
    }

    async fn delete(&self, name: &str) -> Result<(), DeployError> {
        self.0.delete(name).await
    }

    async fn prewarm(&self, name: &str, instances: i64) -> Result<i64, InvocationError> {
        self.0.prewarm(name, instances).await
    }

    fn status(&self) -> StatusInformation {
        self.0.status_information()
    }

    fn metrics(&self) -> Option<String> {
        let node = &self.0;
        node.metrics_config.enabled.then(|| node.metrics.text(&node.admissions.snapshot(), node.functions.len()))
    }

    fn ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }
}
