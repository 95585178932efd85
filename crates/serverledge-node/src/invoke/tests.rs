//! The invoke path with pooled sandboxes, on a fake executor: which are used again, which are not, and that none is
//! lost.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use serverledge_api::{
    Deploy, Deployments as _, FunctionCatalogue as _, Invocations as _, NodeStatus as _,
};
use serverledge_core::kv::Kv;
use serverledge_core::{
    Caller, FailureKind, FunctionFailure, InstanceKey, InvocationError, InvokeError, Isolation,
    MemoryMib, OverloadReason, Reply, SpaceId, StartError,
};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;

use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::invoke::request::call_of;
use crate::program::node::NodeServices;
use crate::program::node::build;

mod burst;
mod outgoing;
mod state;

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(60);

struct InvokeLab {
    node: Arc<NodeServices>,
    fake: FakeExecutorHandle,
    _dir: TempDir,
}

impl InvokeLab {
    /// A node with room for four functions of 128 MiB.
    fn new() -> Self {
        Self::of_isolation(Isolation::Kept)
    }

    fn of_isolation(isolation: Isolation) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut config = load(
            None,
            &[("SERVERLEDGE_DATA_DIR", data.to_str().unwrap())],
            &MACHINE,
            &[],
        )
        .unwrap()
        .config;
        config.pool.memory = MemoryMib::new(512);
        config.wasm.isolation = isolation;
        config.outbound.allow = vec!["127.0.0.1".to_owned()];
        let registry: Arc<dyn Kv> = Arc::new(Embedded::open(&data, &Options::default()).unwrap());
        let (containers, fake) = FakeExecutor::pooled();
        let executors = Executors {
            wasm: Arc::new(FakeExecutor::new().0),
            snapshots: None,
            containers: Some(Arc::new(containers)),
        };
        Self {
            node: Arc::new(build(&config, &registry, executors).unwrap()),
            fake,
            _dir: dir,
        }
    }

    async fn deploy(&self, name: &str, behaviour: &Behaviour, more: serde_json::Value) {
        let mut body = json!({"Name": name, "Runtime": "python", "TarFunctionCode": STANDARD.encode(behaviour.code())});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let body = body.to_string();
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        self.node
            .deployer
            .deploy(&SpaceId::default_space(), Deploy::Update, request, &())
            .await
            .unwrap();
    }

    async fn invoke(&self, name: &str) -> Result<bool, InvocationError> {
        let report = Arc::clone(&self.node.invoker)
            .call(call_of(name, "7"))
            .await?;
        assert!(matches!(report.reply, Reply::Json(_)));
        Ok(report.warm)
    }

    /// The key of the instances that a call may run in.
    async fn instance(&self, name: &str) -> Option<InstanceKey> {
        self.invoke(name).await.unwrap();
        self.fake.calls().last().unwrap().instance
    }

    /// Waits until nothing is leased, and the idle sandboxes are all that live.
    async fn settled(&self, idle: usize) {
        self.fake
            .wait_for("the end of what is not idle", |counts| {
                counts.live == idle && counts.running == 0
            })
            .await;
        let settled = async {
            loop {
                let snapshot = self.node.base.resources.admissions.snapshot();
                if (
                    snapshot.pooled.idle,
                    snapshot.pooled.busy,
                    snapshot.pooled.stopping,
                    snapshot.running,
                ) == (idle, 0, 0, 0)
                {
                    let held = 128 * u64::try_from(idle).unwrap();
                    assert_eq!(
                        snapshot.free.memory.get(),
                        512 - held,
                        "what idle ones hold, and no more, is taken"
                    );
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(WAIT_MAX, settled).await.is_err() {
            panic!(
                "{idle} idle sandboxes did not come: {:?}",
                self.node.base.resources.admissions.snapshot()
            );
        }
    }
}

#[tokio::test]
async fn one_sandbox_serves_call_after_call() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    assert!(!lab.invoke("f").await.unwrap(), "the first start is cold");
    for _ in 0..10 {
        assert!(lab.invoke("f").await.unwrap(), "the others are warm");
    }
    assert_eq!(lab.fake.counts().started, 1);
    lab.settled(1).await;
    assert_eq!(lab.node.status.status().available_warm_containers["f"], 1);
    lab.node.base.resources.admissions.close().await;
    assert_eq!(lab.fake.counts().live, 0, "closing stops what is idle");
}

#[tokio::test]
async fn calls_of_one_version_may_share_an_instance() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    lab.deploy("g", &Behaviour::Echo, json!({})).await;
    let first = lab.instance("f").await;
    assert!(first.is_some());
    assert_eq!(lab.instance("f").await, first);
    assert_ne!(lab.instance("g").await, first, "another function");
    lab.deploy("f", &Behaviour::Echo, json!({"MemoryMB": 64}))
        .await;
    let second = lab.instance("f").await;
    assert!(second.is_some() && second != first, "another version");
    let fresh = json!({"MemoryMB": 64, "Isolation": "fresh"});
    lab.deploy("f", &Behaviour::Echo, fresh).await;
    assert_eq!(lab.instance("f").await, None);
    lab.deploy(
        "f",
        &Behaviour::Echo,
        json!({"MemoryMB": 64, "Isolation": "kept"}),
    )
    .await;
    assert_eq!(lab.instance("f").await, second, "the version is the same");
}

#[tokio::test]
async fn a_node_may_keep_no_instance() {
    let lab = InvokeLab::of_isolation(Isolation::Fresh);
    lab.deploy("f", &Behaviour::Echo, json!({"Isolation": "kept"}))
        .await;
    assert_eq!(lab.instance("f").await, None);
}

#[tokio::test]
async fn a_spoilt_sandbox_serves_no_more() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    lab.fake.spoil();
    lab.invoke("f").await.unwrap();
    lab.settled(0).await;
    assert!(!lab.invoke("f").await.unwrap());
    lab.settled(1).await;
}

#[tokio::test]
async fn a_failure_of_the_function_leaves_its_sandbox_and_its_log() {
    let lab = InvokeLab::new();
    lab.deploy(
        "f",
        &Behaviour::Fail {
            log: "last words".into(),
            message: "broke".into(),
        },
        json!({}),
    )
    .await;
    for _ in 0..2 {
        assert!(matches!(
            lab.invoke("f").await,
            Err(InvocationError::Function(_))
        ));
    }
    assert_eq!(lab.fake.counts().started, 1);
    let feed = lab
        .node
        .catalogue
        .logs(&Caller::anonymous().space, "f")
        .unwrap();
    assert_eq!(feed.backlog.len(), 2);
    assert!(feed.backlog[0].failed && feed.backlog[0].text.starts_with(b"last words"));
}

/// Whoever owns the function need not have seen the response.
#[tokio::test]
async fn an_exception_is_in_the_log_with_its_trace() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    let raised = |message: &str, stack: &str| {
        let message = message.to_owned();
        let stack = Some(stack.to_owned());
        InvokeError::Function(FunctionFailure {
            kind: FailureKind::Error,
            message,
            stack,
            log: Bytes::new(),
            stale: false,
        })
    };
    lab.fake.fail_invoke(raised(
        "KeyError: 'x'",
        "Traceback:\n  line 1\nKeyError: 'x'\n",
    ));
    assert!(lab.invoke("f").await.is_err());
    lab.fake.fail_invoke(raised("broke", "at f (index.js:1:2)"));
    assert!(lab.invoke("f").await.is_err());
    for (message, stack) in [("said nothing", ""), ("said nothing", " \n")] {
        lab.fake.fail_invoke(raised(message, stack));
        assert!(lab.invoke("f").await.is_err());
    }
    let feed = lab
        .node
        .catalogue
        .logs(&Caller::anonymous().space, "f")
        .unwrap();
    let texts: Vec<_> = feed
        .backlog
        .iter()
        .map(|entry| (&entry.text[..], entry.failed))
        .collect();
    let expected: [&[u8]; 2] = [
        b"Traceback:\n  line 1\nKeyError: 'x'\n",
        b"broke\nat f (index.js:1:2)\n",
    ];
    assert_eq!(texts, expected.map(|text| (text, true)));
    lab.fake.fail_invoke(raised("long", &"é".repeat(1 << 20)));
    assert!(lab.invoke("f").await.is_err());
    let feed = lab
        .node
        .catalogue
        .logs(&Caller::anonymous().space, "f")
        .unwrap();
    assert!(
        feed.backlog[2].text.len() < 20_000,
        "a trace is no place for megabytes"
    );
}

/// After a restart of the engine all sandboxes are dead at once: a call tries until it finds a live one.
#[tokio::test]
async fn dead_sandboxes_are_passed_over() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    assert_eq!(
        lab.node
            .invoker
            .clone()
            .prewarm(&SpaceId::default_space(), "f", 3)
            .await
            .unwrap(),
        3
    );
    lab.settled(3).await;
    lab.fake.kill();
    assert!(!lab.invoke("f").await.unwrap(), "a new one served it");
    lab.settled(1).await;
}

/// One call does not start a function for ever that ends as soon as it has started.
#[tokio::test]
async fn a_function_that_never_serves_is_its_owners_fault() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    (0..2).for_each(|_| lab.fake.fail_invoke(InvokeError::Gone));
    let told = lab.invoke("f").await;
    let exited = |failure: &FunctionFailure| failure.kind == FailureKind::Exited;
    assert!(
        matches!(&told, Err(InvocationError::Function(failure)) if exited(failure)),
        "{told:?}"
    );
    assert_eq!(lab.fake.counts().started, 2);
    lab.settled(0).await;
}

#[tokio::test]
async fn a_start_whose_caller_left_serves_the_next() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    lab.fake.hold_starts();
    {
        let call = lab.invoke("f");
        tokio::select! {
            _ = call => panic!("the start is held"),
            () = lab.fake.wait_for("a start", |counts| counts.starting == 1) => {}
        }
    }
    lab.fake.release_starts();
    lab.settled(1).await;
    assert!(lab.invoke("f").await.unwrap());
}

#[tokio::test]
async fn a_dropped_call_stops_its_sandbox() {
    let lab = InvokeLab::new();
    lab.deploy(
        "f",
        &Behaviour::Endless {
            log: "on and on".into(),
        },
        json!({}),
    )
    .await;
    {
        let call = lab.invoke("f");
        tokio::select! {
            _ = call => panic!("it never ends"),
            () = lab.fake.wait_for("a running call", |counts| counts.running == 1) => {}
        }
    }
    lab.settled(0).await;
}

#[tokio::test]
async fn failed_starts_are_told_apart_and_leave_nothing() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    let unavailable = || StartError::Unavailable {
        code: "docker_unavailable",
        what: "it",
        source: "x".into(),
    };
    lab.fake.fail_start(unavailable());
    let told = lab.invoke("f").await;
    assert!(
        matches!(
            told,
            Err(InvocationError::Dependency {
                code: "docker_unavailable",
                ..
            })
        ),
        "{told:?}"
    );
    lab.fake.fail_start(StartError::Internal {
        attempt: "x".into(),
        source: "y".into(),
    });
    assert!(matches!(
        lab.invoke("f").await,
        Err(InvocationError::Internal { .. })
    ));
    lab.fake.fail_start(unavailable());
    assert!(
        lab.node
            .invoker
            .clone()
            .prewarm(&SpaceId::default_space(), "f", 1)
            .await
            .is_err()
    );
    lab.settled(0).await;
    lab.invoke("f").await.unwrap();
}

#[tokio::test]
async fn idle_sandboxes_make_room_for_other_functions() {
    let lab = InvokeLab::new();
    for name in ["f", "g"] {
        lab.deploy(name, &Behaviour::Echo, json!({})).await;
    }
    assert_eq!(
        lab.node
            .invoker
            .clone()
            .prewarm(&SpaceId::default_space(), "f", 9)
            .await
            .unwrap(),
        4,
        "as many as fit"
    );
    lab.invoke("g").await.unwrap();
    lab.settled(4).await;
    assert_eq!(lab.node.status.status().available_warm_containers["f"], 3);
    assert_eq!(lab.node.status.status().available_warm_containers["g"], 1);
    assert_eq!(lab.node.status.status().available_memory, 512);
}

#[tokio::test]
async fn an_update_and_a_deletion_end_the_old_sandboxes() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({})).await;
    lab.invoke("f").await.unwrap();
    lab.deploy("f", &Behaviour::Echo, json!({"Env": {"A": "1"}}))
        .await;
    lab.settled(0).await;
    assert!(
        !lab.invoke("f").await.unwrap(),
        "another version, another sandbox"
    );
    lab.deploy("f", &Behaviour::Echo, json!({"Env": {"A": "1"}}))
        .await;
    assert!(
        lab.invoke("f").await.unwrap(),
        "the same version keeps its sandboxes"
    );
    lab.node
        .deployer
        .delete(&SpaceId::default_space(), "f")
        .await
        .unwrap();
    lab.settled(0).await;
}

#[tokio::test]
async fn concurrent_calls_share_a_sandbox_where_the_function_says_so() {
    let lab = InvokeLab::new();
    lab.deploy("f", &Behaviour::Echo, json!({"MaxConcurrency": 8}))
        .await;
    lab.invoke("f").await.unwrap();
    lab.fake.hold();
    let calls = futures_util::future::join_all((0..8).map(|_| lab.invoke("f")));
    let held = lab
        .fake
        .wait_for("eight calls", |counts| counts.running == 8);
    let release = async {
        held.await;
        lab.fake.release();
    };
    let (calls, ()) = tokio::join!(calls, release);
    assert!(calls.into_iter().all(|warm| warm.unwrap()));
    assert_eq!(lab.fake.counts().started, 1);
    lab.settled(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_leaves_nothing_behind() {
    let lab = Arc::new(InvokeLab::new());
    for name in ["f", "g", "h"] {
        lab.deploy(name, &Behaviour::Echo, json!({})).await;
    }
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..300 {
        let lab = Arc::clone(&lab);
        calls.spawn(async move {
            if n % 7 == 0 {
                lab.fake.spoil();
            }
            let call = lab.invoke(["f", "g", "h"][n % 3]);
            if n % 5 == 0 {
                tokio::time::timeout(Duration::from_micros(200), call)
                    .await
                    .ok()
            } else {
                Some(call.await)
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        match ended.unwrap() {
            None
            | Some(
                Ok(_)
                | Err(InvocationError::Overloaded {
                    reason: OverloadReason::WaitedTooLong,
                    ..
                }),
            ) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    lab.node.base.resources.admissions.close().await;
    lab.fake
        .wait_for("the end of all sandboxes", |counts| counts.live == 0)
        .await;
    // A sandbox has ended a moment before what it held is given back.
    let snapshot = || lab.node.base.resources.admissions.snapshot();
    let free = async {
        while (snapshot().running, snapshot().free.memory.get()) != (0, 512) {
            tokio::task::yield_now().await;
        }
    };
    let freed = tokio::time::timeout(WAIT_MAX, free).await;
    assert!(freed.is_ok(), "{:?}", snapshot());
}
