//! Applications of nodes over one store, with fake executors: owners, dependencies, deletions that a crash interrupts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_api::{
    AppError, Applications, ContentCoding, Deploy, DeployError, Deployments as _, EdgeFile,
    FunctionCatalogue as _, Hosting as _,
};
use serverledge_core::kv::{Kv, Op, RangeRequest, Revision, Txn};
use serverledge_core::{
    Account, AppName, Application, Caller, DependenciesFile, Digest, Endpoint, Function,
    FunctionName, Progress, Role, Scopes, SpaceId, StateError, StateKey, StateOp, StateReply,
    StoreName, UserId, Version, Via,
};
use serverledge_registry::{Deployed, Embedded, Follower, KeptApp, Options};
use serverledge_testing::fake_executor::{FakeExecutor, FakeExecutorHandle, PREPARE_STEP};
use serverledge_wire::edge::{EdgeFunctionInfo, EdgeManifest, EdgeModuleKind};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::patch::FunctionPatch;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::program::node::{NodeServices, build};

/// The file that most of these tests change.
const PYTHON: Option<DependenciesFile> = Some(DependenciesFile::Requirements);

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A node over this store that runs calls only, without background work.
async fn node(kv: &Arc<dyn Kv>, dir: &TempDir, name: &str) -> NodeServices {
    observed(kv, dir, name).await.0
}

/// The same node, with the handle of its fake containers.
async fn observed(
    kv: &Arc<dyn Kv>,
    dir: &TempDir,
    name: &str,
) -> (NodeServices, FakeExecutorHandle) {
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
    let node = build(&config, kv, executors).unwrap();
    sync(&node).await;
    (node, handle)
}

/// Reports when the executor has begun to prepare.
struct Preparing(UnboundedSender<()>);

impl Progress for Preparing {
    fn step(&self, text: &str) {
        if text == PREPARE_STEP {
            let _ = self.0.send(());
        }
    }
}

async fn sync(node: &NodeServices) {
    node.catalogue.load_functions().await.unwrap();
    node.apps.load().await.unwrap();
}

async fn lab() -> (Arc<dyn Kv>, TempDir, NodeServices) {
    let kv: Arc<dyn Kv> = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let first = node(&kv, &dir, "first").await;
    (kv, dir, first)
}

fn user() -> Caller {
    let user = UserId::new();
    let via = Via::Token("t".to_owned());
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
    node: &NodeServices,
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
    node.deployer
        .deploy(&caller.space, Deploy::Update, body, &())
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
async fn code(node: &NodeServices, caller: &Caller, function: &str) -> Vec<u8> {
    let version = Arc::clone(
        &node
            .catalogue
            .function(&caller.space, function)
            .unwrap()
            .version,
    );
    node.apps
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
    let ada = user();
    let bob = user();
    node.apps.create(&ada, name("shop")).await.unwrap();
    let taken = node.apps.create(&bob, name("shop")).await;
    assert!(matches!(taken, Err(AppError::NameTaken(_))), "{taken:?}");
    node.apps.create(&bob, name("forum")).await.unwrap();
    let unknown = |error: AppError| matches!(error, AppError::Unknown(name) if name == "shop");
    for caller in [&bob, &Caller::anonymous()] {
        assert!(node.apps.find(caller, "shop").is_none());
        assert!(unknown(
            node.apps
                .change(caller, "shop", Default::default())
                .await
                .unwrap_err()
        ));
        assert!(unknown(
            serverledge_api::Applications::delete(&*node.apps, caller, "shop")
                .await
                .unwrap_err()
        ));
        assert!(unknown(
            node.apps
                .set_dependencies(caller, "shop", PYTHON, "a".to_owned())
                .await
                .unwrap_err()
        ));
        let endpoint = Endpoint::parse("POST", "a", "f").unwrap();
        assert!(unknown(
            node.apps
                .put_endpoint(caller, "shop", endpoint)
                .await
                .unwrap_err()
        ));
    }
    let names = |caller: &Caller| {
        node.apps
            .list(caller)
            .iter()
            .map(|one| one.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&ada), names(&bob), names(&Caller::anonymous()).len()),
        (vec!["shop".to_owned()], vec!["forum".to_owned()], 0)
    );
}

#[tokio::test]
async fn dependencies_join_the_functions_that_they_are_for() {
    let (_, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&node, &inside, "early", "python", "early source").await;
    let (changed, outdated) = node
        .apps
        .set_dependencies(&ada, "shop", PYTHON, "requests==1\n".to_owned())
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
    let early = node.catalogue.function(&inside.space, "early").unwrap();
    let fresh = node
        .apps
        .refresh_dependencies(&changed, &early, &())
        .await
        .unwrap()
        .unwrap();
    assert_ne!(fresh.version.digest, early.version.digest);
    let early = code(&node, &inside, "early").await;
    assert!(holds(&early, "requests==1") && holds(&early, "early source"));
    assert!(
        node.apps
            .refresh_dependencies(&changed, &fresh, &())
            .await
            .unwrap()
            .is_none(),
        "it has them now"
    );
    // The file for the other runtime, beside it.
    let package = r#"{"dependencies":{"ms":"1"}}"#.to_owned();
    let (_, outdated) = node
        .apps
        .set_dependencies(&ada, "shop", Some(DependenciesFile::Package), package)
        .await
        .unwrap();
    assert_eq!(outdated, ["other"]);
    deploy(&node, &inside, "both", "nodejs", "its source").await;
    let both = code(&node, &inside, "both").await;
    assert!(holds(&both, r#""ms""#) && !holds(&both, "requests==1"));
    let (_, outdated) = node
        .apps
        .set_dependencies(&ada, "shop", None, String::new())
        .await
        .unwrap();
    assert_eq!(outdated, ["both", "early", "late"]);
}

/// While one node installs packages, another one, which does not know of them yet, deploys: neither change is lost.
#[tokio::test]
async fn a_start_takes_no_deploy_back() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&first, &inside, "f", "python", "old source").await;
    deploy(&first, &inside, "gone", "python", "other source").await;
    let stale = node(&kv, &dir, "stale").await;
    first
        .apps
        .set_dependencies(&ada, "shop", PYTHON, "requests==1\n".to_owned())
        .await
        .unwrap();
    let (starts, containers) = observed(&kv, &dir, "starts").await;
    containers.hold_prepares();
    let (sender, mut begun) = unbounded_channel();
    let progress = Preparing(sender);
    let meanwhile = async {
        begun.recv().await.unwrap();
        deploy(&stale, &inside, "f", "python", "new source").await;
        stale.deployer.delete(&inside.space, "gone").await.unwrap();
        containers.release_prepares();
    };
    let (started, ()) = tokio::join!(starts.apps.start(&ada, "shop", &progress), meanwhile);
    started.unwrap();
    assert_eq!(
        containers.prepares().len(),
        3,
        "f twice, and what was deleted once"
    );
    for node in [&starts, &first] {
        sync(node).await;
        let code = code(node, &inside, "f").await;
        assert!(holds(&code, "new source") && holds(&code, "requests==1"));
        assert!(
            node.catalogue.function(&inside.space, "gone").is_none(),
            "it does not come back"
        );
    }
}

#[tokio::test]
async fn a_deletion_ends_whatever_happens_in_between() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy(&first, &inside, "f", "wasm", "code").await;
    let stale = node(&kv, &dir, "stale").await;
    serverledge_api::Applications::delete(&*first.apps, &ada, "shop")
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
    assert!(
        first.apps.find(&ada, "shop").is_none()
            && first.catalogue.function(&inside.space, "f").is_none()
    );

    // A node that has not heard of it deploys into it.
    assert!(stale.apps.find(&ada, "shop").is_some());
    let body = FunctionBody {
        name: "f".into(),
        runtime: "wasm".into(),
        tar_function_code: STANDARD.encode("code").into(),
        ..FunctionBody::default()
    };
    let late = stale
        .deployer
        .deploy(&inside.space, Deploy::Update, body, &())
        .await;
    assert!(matches!(late, Err(DeployError::SpaceGone)), "{late:?}");
    assert!(matches!(
        serverledge_api::Applications::delete(&*stale.apps, &ada, "shop").await,
        Err(AppError::Unknown(_))
    ));

    // The first node ended before it swept; another one does.
    let now = crate::clock::unix_ms();
    stale.sweeper.sweep_deleted_spaces(now).await.unwrap();
    assert!(
        stale.apps.app_store.deletions().await.unwrap()[0]
            .record
            .swept
    );
    stale
        .sweeper
        .sweep_deleted_spaces(now + 7 * DAY_MS)
        .await
        .unwrap();
    assert_eq!(
        keys(&kv, "deletions/").await,
        1,
        "the mark outlives every deploy and every dead letter"
    );
    stale
        .sweeper
        .sweep_deleted_spaces(now + 8 * DAY_MS)
        .await
        .unwrap();
    assert_eq!(keys(&kv, "deletions/").await, 0);
    sync(&stale).await;
    assert!(stale.apps.find(&ada, "shop").is_none());
}

/// Writes an entry with a lifetime, as a function of the space does.
async fn put_entry(node: &NodeServices, space: &SpaceId) -> Result<StateReply, StateError> {
    let op = StateOp::Set {
        key: StateKey::new("k").unwrap(),
        value: "v".into(),
        ttl: Some(Duration::from_secs(3600)),
    };
    node.base
        .state
        .apply(space, &StoreName::default(), &op)
        .await
}

#[tokio::test]
async fn stores_go_with_their_space() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let shop = first.apps.create(&ada, name("shop")).await.unwrap();
    let forum = first.apps.create(&ada, name("forum")).await.unwrap();
    for space in [&shop.space, &forum.space] {
        put_entry(&first, space).await.unwrap();
    }
    let of_one = keys(&kv, "state").await / 2;
    assert!(of_one > 0);
    serverledge_api::Applications::delete(&*first.apps, &ada, "shop")
        .await
        .unwrap();

    // The first node ended before it swept; another one does.
    let second = node(&kv, &dir, "second").await;
    let now = crate::clock::unix_ms();
    second.sweeper.sweep_deleted_spaces(now).await.unwrap();
    assert_eq!(keys(&kv, "state").await, of_one, "the other's stay");

    // A call that still runs.
    let late = put_entry(&first, &shop.space).await;
    assert!(matches!(late, Err(StateError::Missing(_))), "{late:?}");
    second
        .sweeper
        .sweep_deleted_spaces(now + 8 * DAY_MS)
        .await
        .unwrap();
    assert_eq!(keys(&kv, "deletions/").await, 0);
    assert_eq!(keys(&kv, "state").await, of_one);

    put_entry(&first, &ada.space).await.unwrap();
    first
        .apps
        .delete_belongings(ada.user().unwrap(), &ada.space)
        .await
        .unwrap();
    second.sweeper.sweep_deleted_spaces(now).await.unwrap();
    assert_eq!(keys(&kv, "state").await, 0);
}

#[tokio::test]
async fn a_users_belongings_go_and_others_stay() {
    let (kv, _dir, node) = lab().await;
    let ada = user();
    let bob = user();
    for (caller, app) in [
        (&ada, "shop"),
        (&ada, "forum"),
        (&bob, "blog"),
        (&Caller::anonymous(), "wiki"),
    ] {
        let made = node.apps.create(caller, name(app)).await.unwrap();
        deploy(&node, &caller.on(made.space.clone()), "f", "wasm", app).await;
        deploy(&node, caller, "own", "wasm", app).await;
    }
    for _ in 0..2 {
        node.apps
            .delete_belongings(ada.user().unwrap(), &ada.space)
            .await
            .unwrap();
    }
    let left: HashSet<String> = node
        .apps
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
    assert!(
        node.catalogue.function(&ada.space, "own").is_none()
            && node.catalogue.function(&bob.space, "own").is_some()
    );
}

/// Two nodes change the same application; neither writes back what it knew before.
#[tokio::test]
async fn changes_on_two_nodes_add_up() {
    let (kv, dir, first) = lab().await;
    let ada = user();
    let app = first.apps.create(&ada, name("shop")).await.unwrap();
    deploy(&first, &ada.on(app.space.clone()), "f", "wasm", "code").await;
    let second = node(&kv, &dir, "second").await;
    first
        .apps
        .put_endpoint(&ada, "shop", Endpoint::parse("POST", "a", "f").unwrap())
        .await
        .unwrap();
    let both = second
        .apps
        .put_endpoint(&ada, "shop", Endpoint::parse("POST", "b", "f").unwrap())
        .await
        .unwrap();
    assert_eq!(both.endpoints.len(), 2);
    let kept: KeptApp = first.apps.app_store.get(&app.id).await.unwrap().unwrap();
    assert_eq!(*kept.application, *both);
    let too_many = (0..=serverledge_core::ENDPOINTS_MAX)
        .map(|i| Endpoint::parse("GET", &format!("p{i}"), "f").unwrap());
    let full = Application {
        endpoints: too_many.skip(1).collect(),
        ..Application::clone(&both)
    };
    first.apps.app_store.change(&kept, &full).await.unwrap();
    let refused = first
        .apps
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
        .apps
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
    let missing = first.apps.put_endpoint(&ada, "shop", endpoint).await;
    assert!(matches!(missing, Err(AppError::NoFunction(function)) if function == nobody));
}

/// A module in text form.
const MODULE: &str = r#"(module (func (export "_start")))"#;

/// Deploys a module in text form with these members of the request.
async fn deploy_module(node: &NodeServices, caller: &Caller, function: &str, more: &str) {
    deploy_code(node, caller, function, MODULE, more).await;
}

/// Deploys code with these members of the request, and returns the remarks.
async fn deploy_code(
    node: &NodeServices,
    caller: &Caller,
    function: &str,
    code: &str,
    more: &str,
) -> Vec<String> {
    let code = STANDARD.encode(code);
    let body =
        format!(r#"{{"Name":"{function}","Runtime":"wasm","TarFunctionCode":"{code}",{more}}}"#);
    let request = FunctionBody::parse(body.as_bytes()).unwrap();
    let deployed = node
        .deployer
        .deploy(&caller.space, Deploy::Update, request, &());
    deployed.await.unwrap().remarks
}

/// The functions of an application's manifest.
async fn listed(node: &NodeServices, application: &Application) -> Vec<EdgeFunctionInfo> {
    manifest(node, application).await.functions
}

async fn manifest(node: &NodeServices, application: &Application) -> EdgeManifest {
    let signed = node.apps.edge_manifest(application).await.unwrap();
    assert_eq!(signed.key_id, node.apps.edge_keys().keys[0].kid);
    let manifest: EdgeManifest = serde_json::from_str(&signed.manifest).unwrap();
    assert_eq!(manifest.app, application.name.as_str());
    assert!(manifest.issued < manifest.expires);
    manifest
}

#[tokio::test]
async fn a_manifest_lists_components_by_themselves() {
    let (_kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    let text = serverledge_testing::http_component::component("unreachable");
    let remarks = deploy_code(&node, &inside, "page", &text, r#""Edge":true"#).await;
    assert_eq!(remarks, Vec::<String>::new());
    let manifest = manifest(&node, &app).await;
    assert_eq!(manifest.functions, []);
    let [page] = manifest.components.as_slice() else {
        panic!("{manifest:?}")
    };
    assert_eq!(
        (page.name.as_str(), page.kind),
        ("page", EdgeModuleKind::Component)
    );
    let deadline = page.deadline.as_ref().unwrap();
    for (path, bytes) in [
        (&page.module, page.bytes),
        (&deadline.module, deadline.bytes),
    ] {
        let digest = path.strip_prefix("edge/components/").unwrap();
        let file = EdgeFile::Component(digest);
        let made = node.apps.edge_file(&app, file, ContentCoding::Identity);
        let made = made.await.unwrap().unwrap();
        assert!(made.starts_with(b"{\"format\":1,") && made.len() as u64 == bytes);
        let module = EdgeFile::Module(digest);
        assert!(!node.apps.has_edge_file(&app, module).await.unwrap());
    }
}

#[tokio::test]
async fn a_manifest_lists_what_browsers_may_run() {
    let (kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let other = node.apps.create(&ada, name("other")).await.unwrap();
    let inside = ada.on(app.space.clone());
    let open = r#""Edge":true,"Idempotent":true,"MemoryMB":2,"Timeout":3,"Env":{"A":"1"}"#;
    deploy_module(&node, &inside, "open", open).await;
    deploy_module(&node, &inside, "closed", r#""Edge":false"#).await;
    deploy_module(
        &node,
        &inside,
        "secret",
        r#""Edge":true,"Secrets":{"A":"1"}"#,
    )
    .await;
    let functions = listed(&node, &app).await;
    let [open] = functions.as_slice() else {
        panic!("{functions:?}")
    };
    assert_eq!(
        (open.name.as_str(), open.kind),
        ("open", EdgeModuleKind::Command)
    );
    assert_eq!(
        (open.limits.memory_bytes, open.limits.timeout_ms),
        (2 << 20, 3_000)
    );
    assert!(open.idempotent && open.env["A"] == "1");
    let digest = open.module.strip_prefix("edge/modules/").unwrap();
    let file = EdgeFile::Module(digest);
    let plain = ContentCoding::Identity;
    let module = node
        .apps
        .edge_file(&app, file, plain)
        .await
        .unwrap()
        .unwrap();
    assert!(module.starts_with(b"\0asm") && module.len() as u64 == open.bytes);
    assert!(node.apps.has_edge_file(&app, file).await.unwrap());
    assert!(!node.apps.has_edge_file(&other, file).await.unwrap());
    assert_eq!(
        node.apps.edge_file(&other, file, plain).await.unwrap(),
        None
    );
    // From memory, the next time: the registry's copy is not asked for.
    kv.txn(Txn::new().then(Op::delete_prefix("blobs/")))
        .await
        .unwrap();
    assert_eq!(listed(&node, &app).await, functions);
    assert_eq!(
        node.apps.edge_file(&app, file, plain).await.unwrap(),
        Some(module)
    );
    assert_eq!(listed(&node, &other).await, []);
    let closed = r#""Edge":false"#;
    deploy_module(&node, &inside, "open", closed).await;
    assert_eq!(node.apps.edge_file(&app, file, plain).await.unwrap(), None);
    assert!(!node.apps.has_edge_file(&app, file).await.unwrap());
}

#[tokio::test]
async fn damaged_code_takes_no_other_function_from_the_manifest() {
    let (kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    let edge = r#""Edge":true"#;
    deploy_code(
        &node,
        &inside,
        "broken",
        "(module (func (export \"_start\")) (func))",
        edge,
    )
    .await;
    let damaged = node
        .apps
        .shared
        .functions
        .get(&app.space, "broken")
        .unwrap();
    let blob = format!("blobs/{}", damaged.function.version.code);
    deploy_module(&node, &inside, "whole", edge).await;
    kv.txn(Txn::new().then(Op::delete_prefix(blob)))
        .await
        .unwrap();
    let functions = listed(&node, &app).await;
    let [whole] = functions.as_slice() else {
        panic!("{functions:?}")
    };
    assert_eq!(whole.name, "whole");
    let digest = whole.module.strip_prefix("edge/modules/").unwrap();
    let file = EdgeFile::Module(digest);
    assert!(node.apps.has_edge_file(&app, file).await.unwrap());
    let unknown = EdgeFile::Delta(digest);
    assert!(!node.apps.has_edge_file(&app, unknown).await.unwrap());
}

#[tokio::test]
async fn functions_without_a_module_take_no_place_in_the_manifest() {
    let (_kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    let edge = r#""Edge":true"#;
    for nth in 0..60 {
        deploy_code(&node, &inside, &format!("a{nth}"), "(component)", edge).await;
    }
    for nth in 0..51 {
        deploy_module(&node, &inside, &format!("b{nth:02}"), edge).await;
    }
    let functions = listed(&node, &app).await;
    assert_eq!(functions.len(), 50);
    assert_eq!(
        (functions[0].name.as_str(), functions[49].name.as_str()),
        ("b00", "b49")
    );
}

#[tokio::test]
async fn who_deploys_is_told_what_browsers_do_not_run() {
    let (_kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    let start = r#"(module (import "env" "f" (func)) (start 0) (func (export "_start")))"#;
    for (code, more, words) in [
        (MODULE, r#""Edge":true"#, ""),
        (
            MODULE,
            r#""Edge":true,"Secrets":{"A":"1"}"#,
            "it has secrets",
        ),
        (MODULE, r#""Edge":false,"Secrets":{"A":"1"}"#, ""),
        ("(component)", r#""Edge":true"#, "it is a component"),
        (start, r#""Edge":true"#, "it has a start function"),
    ] {
        let remarks = deploy_code(&node, &inside, "f", code, more).await;
        match words {
            "" => assert_eq!(remarks, [""; 0], "{code} {more}"),
            _ => assert!(
                remarks.len() == 1 && remarks[0].contains(words),
                "{remarks:?}: {code} {more}"
            ),
        }
    }
    // Once more when the flag is set, and not with each change after that.
    deploy_code(&node, &inside, "f", "(component)", r#""Edge":false"#).await;
    for (patch, told) in [
        (r#"{"Edge":true}"#, 1),
        (r#"{"Idempotent":true}"#, 0),
        (r#"{"Env":{"A":"1"}}"#, 1),
        (r#"{"Edge":false}"#, 0),
    ] {
        let change = FunctionPatch::parse(patch.as_bytes()).unwrap();
        let patched = node
            .deployer
            .patch(&inside.space, "f", &change, None, &())
            .await
            .unwrap();
        assert_eq!(
            patched.remarks.len(),
            told,
            "{patch}: {:?}",
            patched.remarks
        );
    }
}

#[tokio::test]
async fn a_manifest_lists_the_version_that_calls_run() {
    let (_kv, _dir, node) = lab().await;
    let ada = user();
    let app = node.apps.create(&ada, name("shop")).await.unwrap();
    let inside = ada.on(app.space.clone());
    deploy_module(&node, &inside, "f", r#""Edge":true"#).await;
    let before = listed(&node, &app).await;
    let functions = &node.apps.shared.functions;
    let runs = functions.get(&app.space, "f").unwrap();
    // Another node has deployed the next version, which is not prepared here yet.
    let next = |edge: bool, revision: Revision| {
        let digest = Digest::new([7; 32]);
        let version = Version {
            digest,
            code: digest,
            ..Version::clone(&runs.function.version)
        };
        let mut function = Function {
            version: Arc::new(version),
            ..Function::clone(&runs.function)
        };
        function.flags.edge = edge;
        Deployed {
            function: Arc::new(function),
            revision,
            created: Revision::default(),
            code_bytes: 1,
            deployed_unix_ms: 0,
        }
    };
    let revision = Revision::new(1_000_000);
    functions.put([next(true, revision)]);
    assert_eq!(listed(&node, &app).await, before);
    functions.put([next(false, revision.next())]);
    assert_eq!(listed(&node, &app).await, [], "the flag counts at once");
}
