//! Two nodes over one registry, connected by real sockets through a link that can be cut: which calls are offloaded,
//! which requests are repeated, and that nothing runs twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use serverledge_api::{
    Access, App, Deploy, Deployments as _, Invocations as _, Limits, OriginPolicy, ServerLimits,
    Serving, serve,
};
use serverledge_core::kv::Kv;
use serverledge_core::{
    Call, InvocationError, InvocationId, MemoryMib, OverloadReason, PropagatedContext, Report,
    SpaceId,
};
use serverledge_registry::{Embedded, Follower, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::peer::PeerLoad;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cluster::ProbeScope;
use crate::config::{Config, Machine, PolicyName, Secret, load};
use crate::executors::Executors;
use crate::invoke::request::call_of;
use crate::program::node::NodeServices;
use crate::program::node::build;
use crate::telemetry::tests::{Collector, value};

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A serving node, and its executor.
struct Member {
    node: Arc<NodeServices>,
    fake: FakeExecutorHandle,
    address: SocketAddr,
    _serving: Serving,
}

/// `here` offloads everything to `there`.
struct Pair {
    here: Member,
    there: Member,
    link: TestLink,
    _dir: TempDir,
}

/// The behaviour of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Connections forward everything.
    Open,
    /// The request goes through; the connection breaks before the response, this many times.
    LosesAnswers,
    /// Existing connections break, and nobody listens any more.
    Shut,
}

/// A link to a node that can be cut.
struct TestLink {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    lost: Arc<AtomicUsize>,
}

impl TestLink {
    /// A link that loses at most `losses` responses in that mode.
    async fn to(there: SocketAddr, losses: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Open);
        let lost = Arc::new(AtomicUsize::new(0));
        let modes = mode.subscribe();
        let count = Arc::clone(&lost);
        tokio::task::spawn_local(async move {
            let mut shut = modes.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { return };
                        tokio::task::spawn_local(carry(client, there, modes.clone(), Arc::clone(&count), losses));
                    }
                    _ = shut.wait_for(|mode| *mode == Mode::Shut) => return,
                }
            }
        });
        Self {
            address,
            mode,
            lost,
        }
    }
}

async fn carry(
    client: TcpStream,
    there: SocketAddr,
    mode: watch::Receiver<Mode>,
    lost: Arc<AtomicUsize>,
    losses: usize,
) {
    let Ok(server) = TcpStream::connect(there).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if *mode.borrow() == Mode::LosesAnswers && lost.load(Ordering::SeqCst) < losses {
                lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let mut modes = mode.clone();
    tokio::select! {
        _ = up => {}
        () = down => {}
        _ = modes.wait_for(|mode| *mode == Mode::Shut) => {}
    }
}

async fn member(
    kv: &Arc<dyn Kv>,
    dir: &TempDir,
    name: &str,
    change: impl FnOnce(&mut Config),
) -> Member {
    let data = dir.path().join(name);
    let mut config = load(
        None,
        &[("SERVERLEDGE_DATA_DIR", data.to_str().unwrap())],
        &MACHINE,
        &[],
    )
    .unwrap()
    .config;
    config.cluster.node_id = Some(name.to_owned());
    config.cluster.key = Some(Secret::new("0123456789abcdef0123456789abcdef".to_owned()));
    config.cluster.nearby_interval = Duration::from_millis(100);
    config.pool.memory = MemoryMib::new(512);
    change(&mut config);
    let (executor, fake) = FakeExecutor::new();
    let executors = Executors {
        wasm: Arc::new(executor),
        snapshots: None,
        containers: None,
    };
    let node = Arc::new(build(&config, kv, executors).unwrap());
    let limits = Limits {
        code_body_bytes_max: 1 << 20,
        params_body_bytes_max: 1 << 20,
        body_timeout: WAIT_MAX,
        concurrency_max: 100,
    };
    let guard = OriginPolicy::new(config.api.ip, Vec::new());
    let app = App::new(node.backend(), guard, Access::open(), limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = serve(
        listener,
        app,
        ServerLimits {
            connections_max: 100,
            header_timeout: WAIT_MAX,
        },
    )
    .unwrap();
    Member {
        node,
        fake,
        address: serving.address,
        _serving: serving,
    }
}

impl Pair {
    /// Two nodes that know the function; `here` has heard of `there`.
    async fn new(
        losses: usize,
        policy: PolicyName,
        behaviour: &Behaviour,
        more: serde_json::Value,
    ) -> Self {
        Self::with(losses, policy, behaviour, more, |_| {}).await
    }

    /// The same with other settings.
    async fn with(
        losses: usize,
        policy: PolicyName,
        behaviour: &Behaviour,
        more: serde_json::Value,
        change: impl Fn(&mut Config),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kv: Arc<dyn Kv> = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
        let there = member(&kv, &dir, "there", &change).await;
        let here = member(&kv, &dir, "here", |config| {
            change(config);
            config.scheduler.policy = policy;
        })
        .await;
        let link = TestLink::to(there.address, losses).await;
        there
            .node
            .base
            .membership
            .set_url(format!("http://{}", link.address));
        here.node
            .base
            .membership
            .set_url(format!("http://{}", here.address));
        for member in [&there, &here] {
            member.node.base.membership.register().await.unwrap();
            member.node.base.membership.load().await.unwrap();
        }
        let mut body = json!({"Name": "f", "Runtime": "wasm", "TarFunctionCode": STANDARD.encode(behaviour.code())});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let body = body.to_string();
        for member in [&there, &here] {
            let request = FunctionBody::parse(body.as_bytes()).unwrap();
            member
                .node
                .deployer
                .deploy(&SpaceId::default_space(), Deploy::Update, request, &())
                .await
                .unwrap();
        }
        let node = Arc::clone(&here.node);
        here.node.base.membership.load().await.unwrap();
        here.node.base.background.spawn(async move {
            node.base
                .cluster
                .watch(&node.base.membership, ProbeScope::Some)
                .await
        });
        let pair = Self {
            here,
            there,
            link,
            _dir: dir,
        };
        pair.heard().await;
        pair
    }

    async fn heard(&self) {
        let heard = async {
            while !self
                .here
                .node
                .base
                .cluster
                .peers
                .infos()
                .iter()
                .any(|peer| peer.offloadable)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, heard)
            .await
            .expect("the other node was not heard of");
    }

    /// Replaces the other node by one that cannot be reached, and whose known state is good.
    async fn introduce_nobody(&self) {
        self.here.node.base.background.stop().await;
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let mut known = self
            .here
            .node
            .base
            .membership
            .others()
            .first()
            .unwrap()
            .clone();
        known.node = "nobody".to_owned();
        known.record.url = format!("http://{free}");
        let peers = &self.here.node.base.cluster.peers;
        peers.set(&[known.clone()]);
        let (contact, _) = peers.by_distance().remove(0);
        let load = PeerLoad {
            epoch: known.record.epoch,
            free_memory_mib: 4096,
            free_cpu_milli: 4000,
            ..PeerLoad::default()
        };
        peers.heard(contact.id, load);
    }

    fn call(
        &self,
        change: impl FnOnce(&mut Call),
    ) -> impl Future<Output = Result<Report, InvocationError>> {
        let mut call = call_of("f", "7");
        change(&mut call.call);
        let backend = self.here.node.clone();
        async move { Arc::clone(&backend.invoker).call(call).await }
    }

    /// Number of runs here and there.
    fn runs(&self) -> (usize, usize) {
        (self.here.fake.calls().len(), self.there.fake.calls().len())
    }
}

/// Runs a test whose tasks are not `Send`.
async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn an_offloaded_call_runs_there_under_its_own_id() {
    local(async {
        let behaviour = Behaviour::Log { log: "line".into() };
        let pair = Pair::new(0, PolicyName::EdgeOnly, &behaviour, json!({})).await;
        let id = InvocationId::new();
        let report = pair.call(|call| call.id = id).await.unwrap();
        let remote = report.remote.expect("it was offloaded");
        assert_eq!(
            (remote.node.as_str(), remote.area.as_str()),
            ("there", "ROME")
        );
        assert_eq!(&report.log[..], b"line\n");
        assert_eq!(pair.runs(), (0, 1));
        let call = &pair.there.fake.calls()[0];
        assert_eq!((call.id, &call.params[..]), (id, &b"7"[..]));
        // One hop for the whole tree, and only if the caller allows it.
        let report = pair
            .call(|call| call.context.may_offload = false)
            .await
            .unwrap();
        assert_eq!((report.remote, pair.runs()), (None, (1, 1)));
    })
    .await;
}

#[tokio::test]
async fn a_functions_own_failure_is_not_tried_elsewhere() {
    local(async {
        let behaviour = Behaviour::Fail {
            log: "last words".into(),
            message: "broke".into(),
        };
        let pair = Pair::new(0, PolicyName::EdgeOnly, &behaviour, json!({})).await;
        let Err(InvocationError::Function(failure)) = pair.call(|_| {}).await else {
            panic!("it fails")
        };
        assert!(failure.message.contains("broke") && failure.log.starts_with(b"last words"));
        assert_eq!(pair.runs(), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn a_failure_for_a_refused_call_is_known_as_such_on_the_other_side() {
    local(async {
        // Its call is refused as a cycle, and the nodes know different generations; either is told by the same header.
        let behaviour = Behaviour::Call {
            function: "f".to_owned(),
        };
        let pair = Pair::new(
            0,
            PolicyName::EdgeOnly,
            &behaviour,
            json!({"Idempotent": true}),
        )
        .await;
        let Err(InvocationError::Function(failure)) = pair.call(|_| {}).await else {
            panic!("it fails")
        };
        assert!(failure.stale);
        assert_eq!(pair.runs(), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_costs_no_second_run() {
    local(async {
        let pair = Pair::new(1, PolicyName::EdgeOnly, &Behaviour::Echo, json!({})).await;
        // Probes and calls share connections: hold the call until it has arrived, and lose the answers from then on.
        pair.there.fake.hold();
        let call = pair.call(|_| {});
        let mut call = Box::pin(call);
        let arrived = pair
            .there
            .fake
            .wait_for("the call", |counts| counts.running == 1);
        tokio::select! {
            biased;
            early = &mut call => panic!("it cannot have ended: {early:?}"),
            _ = arrived => {}
        }
        pair.link.mode.send_replace(Mode::LosesAnswers);
        pair.there.fake.release();
        let report = tokio::time::timeout(WAIT_MAX, call).await.unwrap().unwrap();
        assert!(report.remote.is_some());
        assert_eq!(pair.link.lost.load(Ordering::SeqCst), 1);
        assert_eq!(pair.runs(), (0, 1), "asked twice, run once");
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_and_cannot_be_asked_for_is_of_unknown_outcome_unless_it_may_run_twice() {
    for idempotent in [false, true] {
        local(async {
            let more = json!({"Idempotent": idempotent});
            let pair = Pair::new(0, PolicyName::EdgeOnly, &Behaviour::Echo, more).await;
            pair.there.fake.hold();
            // Past its deadline nothing is started any more; where it may run twice, it runs here in time.
            let mut call = Box::pin(pair.call(|_| {}));
            let arrived = pair
                .there
                .fake
                .wait_for("the call", |counts| counts.running == 1);
            tokio::select! {
                biased;
                early = &mut call => panic!("it cannot have ended: {early:?}"),
                _ = arrived => {}
            }
            pair.link.mode.send_replace(Mode::Shut);
            let outcome = tokio::time::timeout(WAIT_MAX, call).await.unwrap();
            match (idempotent, outcome) {
                (false, Err(InvocationError::OutcomeUnknown { node })) => {
                    assert_eq!(node, "ROME/there")
                }
                (
                    true,
                    Err(InvocationError::Overloaded {
                        reason: OverloadReason::NoPeer,
                        ..
                    }),
                ) => {}
                (_, other) => panic!("{other:?}"),
            }
            pair.there.fake.release();
        })
        .await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_runs_here_where_the_policy_lets_it() {
    local(async {
        let pair = Pair::new(
            0,
            PolicyName::QosAware,
            &Behaviour::Echo,
            json!({"MemoryMB": 512}),
        )
        .await;
        pair.here.fake.hold();
        let mut first = Box::pin(pair.call(|_| {}));
        let running = pair
            .here
            .fake
            .wait_for("the first", |counts| counts.running == 1);
        tokio::select! {
            biased;
            early = &mut first => panic!("it cannot have ended: {early:?}"),
            _ = running => {}
        }
        // This node is full, and the other has room.
        let second = pair.call(|call| call.qos_class = 1).await.unwrap();
        assert!(second.remote.is_some());
        // Now there is a third one by all accounts, where nobody listens.
        pair.introduce_nobody().await;
        let mut third = Box::pin(pair.call(|call| call.qos_class = 1));
        let waits = async {
            while pair
                .here
                .node
                .base
                .resources
                .admissions
                .snapshot()
                .waiting
                .total()
                == 0
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            early = &mut third => panic!("it waits for the first: {early:?}"),
            waited = tokio::time::timeout(WAIT_MAX, waits) => waited.expect("it waits here"),
        }
        pair.here.fake.release();
        first.await.unwrap();
        assert!(third.await.unwrap().remote.is_none());
        assert_eq!(pair.runs(), (2, 1));
    })
    .await;
}

/// One trace has the caller, the run here, the way, the run there, and the call that it makes.
#[tokio::test]
async fn an_offloaded_call_is_one_trace() {
    let collector = Collector::start(200).await;
    let endpoint = format!("http://{}/base", collector.address);
    local(async move {
        let calls = Behaviour::Call {
            function: "g".to_owned(),
        };
        let export = |config: &mut Config| config.tracing.otlp_endpoint.clone_from(&endpoint);
        let pair = Pair::with(0, PolicyName::EdgeOnly, &calls, json!({}), export).await;
        for member in [&pair.there, &pair.here] {
            let code = STANDARD.encode(Behaviour::Echo.code());
            let body = json!({"Name": "g", "Runtime": "wasm", "TarFunctionCode": code}).to_string();
            let request = FunctionBody::parse(body.as_bytes()).unwrap();
            let deployer = &member.node.deployer;
            let space = SpaceId::default_space();
            deployer
                .deploy(&space, Deploy::Update, request, &())
                .await
                .unwrap();
        }
        let mut call = call_of("f", "7");
        call.call.context.propagated = Some(Arc::new(PropagatedContext {
            trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            trace_state: "a=1".to_owned(),
            ..PropagatedContext::default()
        }));
        let report = Arc::clone(&pair.here.node.invoker)
            .call(call)
            .await
            .unwrap();
        assert!(report.remote.is_some(), "it ran there");
        for member in [&pair.here, &pair.there] {
            member.node.base.resources.telemetry.stop().await;
        }
        let spans = collector.spans(4).await;
        let mut parent = 0xb7ad_6b71_6920_3331_u64.to_be_bytes().to_vec();
        let names = ["f", "offload", "f", "g"].map(|name| {
            let child = spans
                .iter()
                .find(|span| span.parent_span_id == parent && span.name == name)
                .unwrap_or_else(|| panic!("no {name} below {parent:?}: {spans:?}"));
            parent.clone_from(&child.span_id);
            assert_eq!(child.trace_id[..2], [0x0a, 0xf7]);
            assert_eq!(child.trace_state, "a=1");
            value(&child.attributes, "serverledge.trigger").unwrap_or_default()
        });
        assert_eq!(names, ["invoke", "", "peer", "nested"]);
    })
    .await;
}
