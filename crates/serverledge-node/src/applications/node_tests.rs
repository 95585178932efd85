//! Applications of nodes over one store, with fake executors: owners, dependencies, deletions that a crash interrupts.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_api::{AppError, Applications, Backend, Deploy, DeployError, Hosting as _};
use serverledge_core::kv::{Kv, RangeRequest};
use serverledge_core::{
    Account, AppName, Application, Caller, Endpoint, FunctionName, Progress, Role, Scopes, SpaceId,
    UserId, Via,
};
use serverledge_registry::{Embedded, KeptApp, Options};
use serverledge_testing::fake_executor::{FakeExecutor, FakeExecutorHandle, PREPARE_STEP};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::node::{Node, NodeBackend};
use crate::program::build;

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A node that runs nothing beside what it is asked, over this store.
async fn node(kv: &Arc<dyn Kv>, dir: &TempDir, name: &str) -> NodeBackend {
    observed(kv, dir, name).await.0
}

/// The same, with the handle of its containers.
async fn observed(
    kv: &Arc<dyn Kv>,
    dir: &TempDir,
    name: &str,
) -> (NodeBackend, FakeExecutorHandle) {
    let data = dir.path().join(name);
    let env = [
        ("SERVERLEDGE_DATA_DIR", data.to_str().unwrap()),
        ("SERVERLEDGE_REGISTRY_NODE_ID", name),
    ];
    let config = load(None, &env, &MACHINE, &[]).unwrap().config;
    let (containers, handle) = FakeExecutor::pooled();
    let executors = Executors {
        wasm: Arc::new(FakeExecutor::new().0.taking_anything()),
        snapshots: None,
        containers: Some(Arc::new(containers.taking_anything())),
    };
    let node = Arc::new(build(&config, kv, executors).unwrap());
    sync(&node).await;
    (NodeBackend(node), handle)
}

/// Says when the executor has begun to prepare.
struct Preparing(UnboundedSender<()>);

impl Progress for Preparing {
    fn step(&self, text: &str) {
        if text == PREPARE_STEP {
            let _ = self.0.send(());
        }
    }
}

async fn sync(node: &Node) {
    node.load_functions().await.unwrap();
    node.load_applications().await.unwrap();
}

async fn lab() -> (Arc<dyn Kv>, TempDir, NodeBackend) {
    let kv: Arc<dyn Kv> = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let first = node(&kv, &dir, "first").await;
    (kv, dir, first)
}

fn user() -> Caller {
    let (user, via) = (UserId::new(), Via::Token("t".to_owned()));
    let account = Account {
        user,
        role: Role::User,
        scopes: Scopes::ALL,
        via,
    };
    Caller {
        space: SpaceId::new(),
        account: Some(Arc::new(account)),
    }
}

fn name(text: &str) -> AppName {
    AppName::parse(text).unwrap()
}

async fn deploy(
    node: &NodeBackend,
    caller: &Caller,
    function: &str,
    runtime: &'static str,
    code: &str,
) {
    let body = FunctionBody {
        name: function.to_owned().into(),
        runtime: runtime.into(),
        tar_function_code: STANDARD.encode(code).into(),
        ..FunctionBody::default()
    };
    node.deploy(caller, Deploy::Update, body, &())
        .await
        .unwrap();
}

async fn keys(kv: &Arc<dyn Kv>, prefix: &'static str) -> usize {
    kv.range(RangeRequest::prefix(prefix).keys_only())
        .await
        .unwrap()
        .entries
        .len()
}

/// A function's code as it is stored.
async fn code(node: &NodeBackend, caller: &Caller, function: &str) -> Vec<u8> {
    let version = Arc::clone(&node.function(caller, function).unwrap().version);
    node.0
        .store
        .blobs()
        .get(&version.code)
        .await
        .unwrap()
        .unwrap()
        .to_vec()
}

fn holds(code: &[u8], text: &str) -> bool {
    code.windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn another_users_application_is_unknown() {
    let (_, _dir, node) = lab().await;
    let (ada, bob) = (user(), user());
    node.create(&ada, name("shop")).await.unwrap();
    let taken = node.create(&bob, name("shop")).await;
    assert!(matches!(taken, Err(AppError::NameTaken(_))), "{taken:?}");
    node.create(&bob, name("forum")).await.unwrap();
    let unknown = |error: AppError| matches!(error, AppError::Unknown(name) if name == "shop");
    for caller in [&bob, &Caller::anybody()] {
        assert!(node.find(caller, "shop").is_none());
        assert!(unknown(
            node.change(caller, "shop", Default::default())
                .await
                .unwrap_err()
        ));
        assert!(unknown(
            serverledge_api::Applications::delete(&node, caller, "shop")
                .await
                .unwrap_err()
        ));
        assert!(unknown(
            node.set_dependencies(caller, "shop", "a".to_owned())
                .await
                .unwrap_err()
        ));
        let endpoint = Endpoint::parse("POST", "a", "f").unwrap();
        assert!(unknown(
            node.put_endpoint(caller, "shop", endpoint)
                .await
                .unwrap_err()
        ));
    }
    let names = |caller: &Caller| {
        node.list(caller)
            .iter()
            .map(|one| one.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&ada), names(&bob), names(&Caller::anybody()).len()),
        (vec!["shop".to_owned()], vec!["forum".to_owned()], 0)
    );
}

#[tokio::test]
async fn dependencies_join_the_functions_that_they_are_for() {
    let (_, _dir, node) = lab().await;
    let ada = user();
    let app = node.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&node, &inside, "early", "python", "early source").await;
    let (changed, outdated) = node
        .set_dependencies(&ada, "shop", "requests==1\n".to_owned())
        .await
        .unwrap();
    assert_eq!(outdated, ["early"]);
    deploy(&node, &inside, "late", "python", "late source").await;
    deploy(&node, &inside, "other", "nodejs", "other source").await;
    deploy(&node, &ada, "outside", "python", "outside source").await;
    assert!(holds(&code(&node, &inside, "late").await, "requests==1"));
    for (caller, function) in [(&inside, "early"), (&inside, "other"), (&ada, "outside")] {
        assert!(
            !holds(&code(&node, caller, function).await, "requests==1"),
            "{function}"
        );
    }
    // What a start does.
    let early = node.function(&inside, "early").unwrap();
    let fresh = node
        .0
        .refresh_dependencies(&changed, &early, &())
        .await
        .unwrap()
        .unwrap();
    assert_ne!(fresh.version.digest, early.version.digest);
    let early = code(&node, &inside, "early").await;
    assert!(holds(&early, "requests==1") && holds(&early, "early source"));
    assert!(
        node.0
            .refresh_dependencies(&changed, &fresh, &())
            .await
            .unwrap()
            .is_none(),
        "it has them now"
    );
    let (_, outdated) = node
        .set_dependencies(&ada, "shop", String::new())
        .await
        .unwrap();
    assert_eq!(outdated, ["early", "late"]);
}

/// While one node installs packages, another one, which has not heard of them, deploys: nothing of that is lost.
#[tokio::test]
async fn a_start_takes_no_deploy_back() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&first, &inside, "f", "python", "old source").await;
    deploy(&first, &inside, "gone", "python", "other source").await;
    let stale = node(&kv, &dir, "stale").await;
    first
        .set_dependencies(&ada, "shop", "requests==1\n".to_owned())
        .await
        .unwrap();
    let (starts, containers) = observed(&kv, &dir, "starts").await;
    containers.hold_prepares();
    let (sender, mut begun) = unbounded_channel();
    let progress = Preparing(sender);
    let meanwhile = async {
        begun.recv().await.unwrap();
        deploy(&stale, &inside, "f", "python", "new source").await;
        Backend::delete(&stale, &inside, "gone").await.unwrap();
        containers.release_prepares();
    };
    let (started, ()) = tokio::join!(starts.start(&ada, "shop", &progress), meanwhile);
    started.unwrap();
    assert_eq!(
        containers.prepares().len(),
        3,
        "f twice, and what was deleted once"
    );
    for node in [&starts, &first] {
        sync(&node.0).await;
        let code = code(node, &inside, "f").await;
        assert!(holds(&code, "new source") && holds(&code, "requests==1"));
        assert!(
            node.function(&inside, "gone").is_none(),
            "it does not come back"
        );
    }
}

#[tokio::test]
async fn a_deletion_ends_whatever_happens_in_between() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&first, &inside, "f", "wasm", "code").await;
    let stale = node(&kv, &dir, "stale").await;
    serverledge_api::Applications::delete(&first, &ada, "shop")
        .await
        .unwrap();
    assert_eq!(
        (
            keys(&kv, "apps/").await,
            keys(&kv, "appnames/").await,
            keys(&kv, "functions/").await
        ),
        (0, 0, 0)
    );
    assert!(first.find(&ada, "shop").is_none() && first.function(&inside, "f").is_none());

    // A node that has not heard of it deploys into it.
    assert!(stale.find(&ada, "shop").is_some());
    let body = FunctionBody {
        name: "f".into(),
        runtime: "wasm".into(),
        tar_function_code: STANDARD.encode("code").into(),
        ..FunctionBody::default()
    };
    let late = stale.deploy(&inside, Deploy::Update, body, &()).await;
    assert!(matches!(late, Err(DeployError::SpaceGone)), "{late:?}");
    assert!(matches!(
        serverledge_api::Applications::delete(&stale, &ada, "shop").await,
        Err(AppError::Unknown(_))
    ));

    // The first node ended before it swept; another one does.
    let now = crate::deploy::unix_ms();
    stale.0.sweep_deleted_spaces(now).await.unwrap();
    assert!(stale.0.app_store.deletions().await.unwrap()[0].record.swept);
    stale
        .0
        .sweep_deleted_spaces(now + DAY_MS / 2)
        .await
        .unwrap();
    assert_eq!(
        keys(&kv, "deletions/").await,
        1,
        "the mark outlives every deploy"
    );
    stale
        .0
        .sweep_deleted_spaces(now + 2 * DAY_MS)
        .await
        .unwrap();
    assert_eq!(keys(&kv, "deletions/").await, 0);
    sync(&stale.0).await;
    assert!(stale.find(&ada, "shop").is_none());
}

#[tokio::test]
async fn a_users_belongings_go_and_others_stay() {
    let (kv, _dir, node) = lab().await;
    let (ada, bob) = (user(), user());
    for (caller, app) in [
        (&ada, "shop"),
        (&ada, "forum"),
        (&bob, "blog"),
        (&Caller::anybody(), "wiki"),
    ] {
        let made = node.create(caller, name(app)).await.unwrap();
        deploy(&node, &caller.on(made.space.clone()), "f", "wasm", app).await;
        deploy(&node, caller, "own", "wasm", app).await;
    }
    for _ in 0..2 {
        node.0
            .delete_belongings(ada.user().unwrap(), &ada.space)
            .await
            .unwrap();
    }
    let left: HashSet<String> = node
        .0
        .applications
        .table
        .load()
        .by_name
        .keys()
        .cloned()
        .collect();
    assert_eq!(left, HashSet::from(["blog".to_owned(), "wiki".to_owned()]));
    assert_eq!(
        keys(&kv, "functions/").await,
        4,
        "of bob and of everybody, in and out of their applications"
    );
    assert!(node.function(&ada, "own").is_none() && node.function(&bob, "own").is_some());
}

/// Two nodes change the same application; what one of them knew before is not written back.
#[tokio::test]
async fn changes_on_two_nodes_add_up() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.create(&ada, name("shop")).await.unwrap();
    deploy(&first, &ada.on(app.space.clone()), "f", "wasm", "code").await;
    let second = node(&kv, &dir, "second").await;
    first
        .put_endpoint(&ada, "shop", Endpoint::parse("POST", "a", "f").unwrap())
        .await
        .unwrap();
    let both = second
        .put_endpoint(&ada, "shop", Endpoint::parse("POST", "b", "f").unwrap())
        .await
        .unwrap();
    assert_eq!(both.endpoints.len(), 2);
    let kept: KeptApp = first.0.app_store.get(&app.id).await.unwrap().unwrap();
    assert_eq!(*kept.application, *both);
    let too_many = (0..=serverledge_core::ENDPOINTS_MAX)
        .map(|i| Endpoint::parse("GET", &format!("p{i}"), "f").unwrap());
    let full = Application {
        endpoints: too_many.skip(1).collect(),
        ..Application::clone(&both)
    };
    first.0.app_store.change(&kept, &full).await.unwrap();
    let refused = first
        .put_endpoint(&ada, "shop", Endpoint::parse("POST", "c", "f").unwrap())
        .await;
    assert!(
        matches!(
            refused,
            Err(AppError::Invalid {
                code: "too_many_endpoints",
                ..
            })
        ),
        "{refused:?}"
    );
    let replaced = first
        .put_endpoint(&ada, "shop", Endpoint::parse("GET", "p7", "f").unwrap())
        .await;
    assert!(
        replaced.is_ok(),
        "in place of one that is there: {replaced:?}"
    );
    let nobody = FunctionName::parse("nobody").unwrap();
    let endpoint = Endpoint {
        function: nobody.clone(),
        ..full.endpoints[0].clone()
    };
    let missing = first.put_endpoint(&ada, "shop", endpoint).await;
    assert!(matches!(missing, Err(AppError::NoFunction(function)) if function == nobody));
}
