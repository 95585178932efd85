//! Nodes over one store, each with a fake executor and a fake receiver of callbacks.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use serverledge_api::{
    AsyncInvocations as _, ClientCall, Deploy, Deployments as _, FunctionCatalogue as _,
    IdempotencyKey, InvocationOptions, KeptReply, OnceError,
};
use serverledge_core::kv::{Kv, RangeRequest};
use serverledge_core::{Caller, InvocationId, MemoryMib, SpaceId, TraceContext};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::invocations::InvocationInfo;
use tempfile::TempDir;
use tokio::sync::watch;

use super::faulty::Faulty;
use crate::asynchronous::{Notifier, NotifyError};
use crate::config::{Config, Machine, load};
use crate::executors::Executors;
use crate::invoke::request::call_of;
use crate::program::node::{NodeServices, Substitutes, build_with};

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
/// Longest wait of a test for an expected event.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// A store in which nodes live.
pub(super) struct AsyncLab {
    pub(super) registry: Arc<Faulty>,
    dir: TempDir,
    change: fn(&mut Config),
}

/// A running node.
pub(super) struct TestNode {
    pub(super) node: Arc<NodeServices>,
    pub(super) fake: FakeExecutorHandle,
    pub(super) notifier: Arc<Receiver>,
}

/// A fake receiver of callbacks, which fails on request.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    received: Mutex<VecDeque<(String, InvocationId, Bytes)>>,
    faults: Mutex<VecDeque<NotifyError>>,
    sends: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

pub(super) fn call(function: &str, params: &str) -> ClientCall {
    call_of(function, params)
}

pub(super) fn read(function: &str, params: &str, key: &str) -> ClientCall {
    let stored = InvocationOptions {
        key: IdempotencyKey::parse(key.as_bytes()),
        ..InvocationOptions::default()
    };
    ClientCall {
        stored,
        ..call(function, params)
    }
}

/// A call that outlives the test's hold of the node.
pub(super) fn once(
    node: &TestNode,
    call: ClientCall,
) -> impl Future<Output = Result<KeptReply, OnceError>> + Send + 'static {
    let backend = node.backend();
    async move { backend.async_worker.clone().invoke_once(call).await }
}

impl AsyncLab {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: fn(&mut Config)) -> Self {
        let store = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
        Self {
            registry: Arc::new(Faulty::new(store)),
            dir: tempfile::tempdir().unwrap(),
            change,
        }
    }

    /// Starts a node with room for many calls.
    pub(super) async fn start(&self, name: &str) -> TestNode {
        let data = self.dir.path().join(name);
        let env = [
            ("SERVERLEDGE_DATA_DIR", data.to_str().unwrap()),
            ("SERVERLEDGE_REGISTRY_NODE_ID", name),
        ];
        let mut config = load(None, &env, &MACHINE, &[]).unwrap().config;
        config.pool.memory = MemoryMib::new(128 * 64);
        (self.change)(&mut config);
        let (containers, fake) = FakeExecutor::pooled();
        let executors = Executors {
            wasm: Arc::new(FakeExecutor::new().0),
            snapshots: None,
            containers: Some(Arc::new(containers)),
        };
        let kv: Arc<dyn Kv> = Arc::<Faulty>::clone(&self.registry);
        let notifier = Arc::<Receiver>::default();
        let receiver: Arc<dyn Notifier> = Arc::<Receiver>::clone(&notifier);
        let substitutes = Substitutes {
            notifier: Some(receiver),
            ..Substitutes::default()
        };
        let node = Arc::new(build_with(&config, &kv, executors, substitutes).unwrap());
        node.base.membership.register().await.unwrap();
        node.start_background(&node.load().await.unwrap());
        TestNode {
            node,
            fake,
            notifier,
        }
    }

    /// Waits until no key has this prefix.
    pub(super) async fn is_empty(&self, prefix: &'static str) {
        let empty = async || {
            let page = self
                .registry
                .range(RangeRequest::prefix(prefix).keys_only())
                .await
                .unwrap();
            page.entries.is_empty().then_some(())
        };
        wait_for(&format!("the end of {prefix}"), empty).await;
    }
}

impl TestNode {
    pub(super) fn backend(&self) -> NodeServices {
        NodeServices::clone(&self.node)
    }

    pub(super) async fn deploy(&self, name: &str, behaviour: &Behaviour) {
        let body = json!({"Name": name, "Runtime": "python", "TarFunctionCode": STANDARD.encode(behaviour.code())});
        let body = body.to_string();
        self.node
            .deployer
            .deploy(
                &SpaceId::default_space(),
                Deploy::Update,
                FunctionBody::parse(body.as_bytes()).unwrap(),
                &(),
            )
            .await
            .unwrap();
    }

    /// Waits until the node knows a function that was deployed elsewhere.
    pub(super) async fn knows(&self, name: &str) {
        wait_for("the function", async || {
            self.backend()
                .catalogue
                .function(&Caller::anonymous().space, name)
                .map(drop)
        })
        .await;
    }

    pub(super) async fn submit(&self, call: ClientCall) -> InvocationId {
        let submitted = self.backend().async_worker.submit(call).await.unwrap();
        assert!(!submitted.repeated);
        submitted.id
    }

    /// Waits for the outcome.
    pub(super) async fn ended(&self, id: InvocationId) -> InvocationInfo {
        self.info(id, |info| info.state.is_terminal()).await
    }

    /// Waits until the callback was delivered or given up.
    pub(super) async fn told(&self, id: InvocationId) -> InvocationInfo {
        self.info(id, |info| {
            info.callback
                .as_ref()
                .is_some_and(|callback| callback.state != "pending")
        })
        .await
    }

    async fn info(
        &self,
        id: InvocationId,
        condition: impl Fn(&InvocationInfo) -> bool,
    ) -> InvocationInfo {
        let asking = async || {
            self.backend()
                .async_worker
                .invocation(&Caller::anonymous().space, id)
                .await
                .unwrap()
                .filter(|info| condition(info))
        };
        wait_for(&format!("the end of {id}"), asking).await
    }

    /// Waits until the node works on nothing, and nothing is claimed.
    pub(super) async fn is_idle(&self) {
        let idle = async || {
            let claimed = !self
                .node
                .base
                .invocations
                .claims()
                .await
                .unwrap()
                .is_empty();
            (self.node.async_worker.table.is_empty() && !claimed).then_some(())
        };
        wait_for("the end of all work", idle).await;
    }

    /// Waits until the node works on nothing.
    pub(super) async fn is_idle_here(&self) {
        wait_for("the end of this node's work", async || {
            self.node.async_worker.table.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until this many of its invocations have no outcome.
    pub(super) async fn works_on(&self, count: usize) {
        wait_for("what is left", async || {
            (self.node.async_worker.table.open() == count).then_some(())
        })
        .await;
    }

    /// Ends the node in the middle of its work, and its lease.
    pub(super) async fn kill(&self) {
        self.node.base.background.stop().await;
        self.node.base.membership.leave().await;
    }
}

/// Polls until there is a value, and panics naming `what` if none came.
async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

impl Receiver {
    /// Makes the next attempt fail with this error; several queue up.
    pub(super) fn fail(&self, fault: NotifyError) {
        self.faults.lock().push_back(fault);
    }

    /// Leaves attempts without a response from now on.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(super) async fn wait_for_sends(&self, count: usize) {
        let mut sends = self.sends.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, sends.wait_for(|sends| *sends >= count)).await;
        assert!(waited.is_ok(), "{count} callbacks did not come");
    }

    /// Waits for the next attempt and takes it.
    pub(super) async fn next(&self) -> (String, InvocationId, Bytes) {
        wait_for("a callback", async || self.received.lock().pop_front()).await
    }
}

#[async_trait]
impl Notifier for Receiver {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.starts_with("http") {
            Ok(())
        } else {
            Err("another scheme".to_owned())
        }
    }

    async fn send(
        &self,
        url: &str,
        id: InvocationId,
        _trace: &TraceContext,
        body: Bytes,
    ) -> Result<(), NotifyError> {
        self.sends.send_modify(|sends| *sends += 1);
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.received.lock().push_back((url.to_owned(), id, body));
        self.faults.lock().pop_front().map_or(Ok(()), Err)
    }
}
