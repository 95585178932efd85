//! Calls of functions that are not prepared here, on a fake executor: which go on, which wait, and for how long.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use serverledge_api::{
    Deploy, Deployments as _, FunctionCatalogue as _, Invocations as _, Readiness,
};
use serverledge_core::kv::Kv;
use serverledge_core::{InvocationError, PrepareError, Reply, SpaceId, error_chain};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;

use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::invoke::request::NOT_PREPARED;
use crate::invoke::request::call_of;
use crate::program::node::NodeServices;
use crate::program::node::build;

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};

/// Two nodes on one registry, without a connection between them.
struct PreparingLab {
    first: Arc<NodeServices>,
    second: Arc<NodeServices>,
    /// The executor of the second node.
    fake: FakeExecutorHandle,
    _dirs: [TempDir; 2],
}

fn node(registry: &Arc<dyn Kv>) -> (Arc<NodeServices>, FakeExecutorHandle, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let config = load(None, &[("SERVERLEDGE_DATA_DIR", data)], &MACHINE, &[])
        .unwrap()
        .config;
    let (wasm, fake) = FakeExecutor::new();
    let executors = Executors {
        wasm: Arc::new(wasm),
        snapshots: None,
        containers: None,
    };
    (
        Arc::new(build(&config, registry, executors).unwrap()),
        fake,
        dir,
    )
}

impl PreparingLab {
    fn new() -> Self {
        let registry: Arc<dyn Kv> = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
        let ((first, _, one), (second, fake, other)) = (node(&registry), node(&registry));
        second.catalogue.start_preparing();
        Self {
            first,
            second,
            fake,
            _dirs: [one, other],
        }
    }

    /// Deploys on the first node, and lets the second learn of it.
    async fn deploy(&self, behaviour: &Behaviour) {
        let body = json!({"Name": "f", "Runtime": "wasm", "TarFunctionCode": STANDARD.encode(behaviour.code())});
        let body = body.to_string();
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        self.first
            .deployer
            .deploy(&SpaceId::default_space(), Deploy::Update, request, &())
            .await
            .unwrap();
        self.hear().await;
    }

    async fn hear(&self) {
        self.second.catalogue.load_functions().await.unwrap();
        self.second.catalogue.prepare_missing();
    }

    /// The second node's response to a call.
    async fn call(&self, patience: Option<Duration>) -> Result<Bytes, InvocationError> {
        let mut call = call_of("f", "7");
        call.call.deadline = patience.map(|patience| call.call.arrived + patience);
        match Arc::clone(&self.second.invoker).call(call).await?.reply {
            Reply::Json(result) => Ok(result),
            Reply::Http(_) => panic!("no HTTP"),
        }
    }
}

fn large() -> Behaviour {
    Behaviour::Large { bytes: 4 }
}

fn code(error: InvocationError) -> &'static str {
    match error {
        InvocationError::Dependency { code, .. } => code,
        InvocationError::Unknown(_) => "unknown",
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn calls_wait_for_a_first_version_and_go_on_with_it_until_the_next() {
    let lab = PreparingLab::new();
    lab.fake.hold_prepares();
    lab.deploy(&Behaviour::Echo).await;
    assert_eq!(
        code(lab.call(Some(Duration::from_millis(50))).await.unwrap_err()),
        NOT_PREPARED
    );
    let mut waiting = Box::pin(lab.call(None));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    lab.fake.release_prepares();
    assert_eq!(waiting.await.unwrap(), "7");
    lab.fake.hold_prepares();
    lab.deploy(&large()).await;
    assert_eq!(lab.call(None).await.unwrap(), "7", "the earlier version");
    lab.fake.release_prepares();
    let new = async {
        while lab.call(None).await.unwrap() == "7" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), new)
        .await
        .expect("the new version runs in the end");
}

#[tokio::test]
async fn whoever_waits_for_a_deleted_function_is_told() {
    let lab = PreparingLab::new();
    lab.fake.hold_prepares();
    lab.deploy(&Behaviour::Echo).await;
    let mut waiting = Box::pin(lab.call(None));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    lab.first
        .deployer
        .delete(&SpaceId::default_space(), "f")
        .await
        .unwrap();
    lab.hear().await;
    lab.fake.release_prepares();
    assert_eq!(code(waiting.await.unwrap_err()), "unknown");
}

#[tokio::test]
async fn what_cannot_be_prepared_here_goes_on_as_it_was() {
    let lab = PreparingLab::new();
    let fault = || PrepareError::Invalid {
        code: "no_room",
        message: "there is no room".to_owned(),
    };
    lab.fake.fail_prepare(fault());
    lab.deploy(&Behaviour::Echo).await;
    let error = lab.call(None).await.unwrap_err();
    assert!(
        error_chain(&error).contains("there is no room"),
        "{}",
        error_chain(&error)
    );
    let listed = lab.second.catalogue.unprepared();
    assert_eq!(
        (listed[0].state.as_str(), listed[0].detail.as_str()),
        ("failed", "there is no room")
    );
    lab.deploy(&large()).await;
    assert_eq!(lab.call(None).await.unwrap().len(), 4);
    lab.fake.fail_prepare(fault());
    lab.deploy(&Behaviour::Log {
        log: "x".to_owned(),
    })
    .await;
    assert_eq!(
        lab.call(None).await.unwrap().len(),
        4,
        "the version that could be prepared"
    );
}

#[tokio::test]
async fn a_node_is_ready_when_everything_is_prepared_or_cannot_be() {
    let lab = PreparingLab::new();
    lab.fake.hold_prepares();
    lab.deploy(&Behaviour::Echo).await;
    lab.second.catalogue.set_ready(true);
    lab.second.catalogue.begin_preparing();
    assert_eq!(
        lab.second.catalogue.readiness(),
        Readiness::Preparing {
            prepared: 0,
            failed: 0,
            of: 1
        }
    );
    lab.fake.release_prepares();
    lab.call(None).await.unwrap();
    assert_eq!(lab.second.catalogue.readiness(), Readiness::Ready);
    lab.fake.hold_prepares();
    lab.deploy(&large()).await;
    assert_eq!(
        lab.second.catalogue.readiness(),
        Readiness::Ready,
        "a later deploy changes nothing"
    );
}
