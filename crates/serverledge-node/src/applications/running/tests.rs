//! Running applications, on a fake executor: start, stop and restart, test runs, export and import.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use serverledge_api::{
    AppChanges, AppError, Applications as _, Deploy, DeployError, Deployments as _, EdgeKind,
    FunctionCatalogue as _, Hosting as _, HostingError, NodeStatus as _, TestRun,
};
use serverledge_core::kv::{Kv, Op, Txn};
use serverledge_core::{
    Account, AppName, Application, Caller, Cors, Endpoint, InvocationError, Isolation, MemoryMib,
    PrepareError, Reply, Report, Role, Scopes, UserId, Via,
};
use serverledge_registry::{Embedded, Follower, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;

use crate::accounts::orphans::{OrphanCount, orphans};
use crate::applications::test_run::AT_ONCE_MAX;
use crate::config::{Config, Machine, load};
use crate::executors::Executors;
use crate::program::node::{NodeServices, build};

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};

struct AppsLab {
    backend: NodeServices,
    fake: FakeExecutorHandle,
    registry: Arc<dyn Kv>,
    config: Config,
    _dir: TempDir,
}

fn orphans_of(backend: &NodeServices) -> Option<OrphanCount> {
    orphans(&backend.apps.reach, &backend.apps.shared.functions)
}

fn node(config: &Config, registry: &Arc<dyn Kv>) -> (NodeServices, FakeExecutorHandle) {
    let (containers, fake) = FakeExecutor::pooled();
    let executors = Executors {
        wasm: Arc::new(FakeExecutor::new().0),
        snapshots: None,
        containers: Some(Arc::new(containers)),
    };
    (build(config, registry, executors).unwrap(), fake)
}

fn body(name: &str, runtime: &str, code: &[u8], more: &Value) -> String {
    let mut body =
        json!({"Name": name, "Runtime": runtime, "TarFunctionCode": STANDARD.encode(code)});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn anonymous() -> Caller {
    Caller::anonymous()
}

fn somebody() -> Caller {
    let account = Account {
        user: UserId::new(),
        role: Role::User,
        scopes: Scopes::ALL,
        via: Via::Token("t".to_owned()),
    };
    Caller {
        account: Some(Arc::new(account)),
        ..Caller::anonymous()
    }
}

impl AppsLab {
    /// A node with the application `shop`, which nobody owns.
    async fn new() -> (Self, Arc<Application>) {
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
        config.pool.memory = MemoryMib::new(1024);
        let registry: Arc<dyn Kv> = Arc::new(Embedded::open(&data, &Options::default()).unwrap());
        let (backend, fake) = node(&config, &registry);
        let shop = backend
            .apps
            .create(&anonymous(), AppName::parse("shop").unwrap())
            .await
            .unwrap();
        (
            Self {
                backend,
                fake,
                registry,
                config,
                _dir: dir,
            },
            shop,
        )
    }

    async fn deploy(&self, app: &Application, name: &str, behaviour: &Behaviour, more: Value) {
        let body = body(name, "python", &behaviour.code(), &more);
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        self.backend
            .deployer
            .deploy(&app.space, Deploy::Update, request, &())
            .await
            .unwrap();
    }

    async fn test(
        &self,
        name: &str,
        behaviour: &Behaviour,
        params: &'static str,
    ) -> Result<Report, HostingError> {
        let body = body(name, "python", &behaviour.code(), &json!({}));
        let function = FunctionBody::parse(body.as_bytes()).unwrap();
        let run = TestRun {
            function,
            params: Bytes::from_static(params.as_bytes()),
            client_cache: None,
        };
        Arc::clone(&self.backend.apps)
            .test(&anonymous(), "shop", run, &())
            .await
    }

    fn names(&self) -> Vec<String> {
        self.backend
            .apps
            .list(&anonymous())
            .iter()
            .map(|one| one.name.to_string())
            .collect()
    }
}

#[tokio::test]
async fn what_was_started_runs_after_a_restart_until_it_is_stopped() {
    let (lab, shop) = AppsLab::new().await;
    lab.deploy(&shop, "f", &Behaviour::Echo, json!({})).await;
    assert!(
        lab.backend.apps.application("shop").is_none(),
        "it was not started"
    );
    for stranger in [somebody()] {
        let refused = lab
            .backend
            .apps
            .start(&stranger, "shop", &())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, HostingError::App(AppError::Unknown(_))),
            "{refused}"
        );
    }
    lab.backend
        .apps
        .start(&anonymous(), "shop", &())
        .await
        .unwrap();
    let running = lab.backend.apps.application("shop").unwrap();
    assert!(lab.backend.apps.is_prepared(&running));
    assert_eq!(
        lab.fake.prepares().len(),
        1,
        "what the deploy prepared is not prepared again"
    );
    // The same registry, a node that has prepared nothing.
    let (again, fake) = node(&lab.config, &lab.registry);
    again.apps.load().await.unwrap();
    again.catalogue.load_functions().await.unwrap();
    let running = again.apps.application("shop").unwrap();
    assert!(!again.apps.is_prepared(&running), "it is starting");
    again.apps.start(&anonymous(), "shop", &()).await.unwrap();
    assert!(again.apps.is_prepared(&running));
    assert_eq!(fake.prepares().len(), 1);
    again.apps.stop(&anonymous(), "shop").await.unwrap();
    assert!(again.apps.application("shop").is_none());
    lab.backend.apps.load().await.unwrap();
    assert!(
        lab.backend.apps.application("shop").is_none(),
        "on the other node neither"
    );
}

#[tokio::test]
async fn what_has_no_owner_is_not_served_while_logins_are_needed() {
    let (lab, shop) = AppsLab::new().await;
    lab.deploy(&shop, "f", &Behaviour::Echo, json!({})).await;
    lab.backend
        .apps
        .start(&anonymous(), "shop", &())
        .await
        .unwrap();
    let ada = somebody();
    lab.backend
        .apps
        .create(&ada, AppName::parse("forum").unwrap())
        .await
        .unwrap();
    lab.backend.apps.start(&ada, "forum", &()).await.unwrap();
    assert_eq!(
        orphans_of(&lab.backend),
        None,
        "while nobody has to log in, everything is reachable"
    );
    let restarted = async |required: bool| {
        let mut config = lab.config.clone();
        config.auth.enabled = required;
        let (again, _) = node(&config, &lab.registry);
        again.apps.load().await.unwrap();
        again.catalogue.load_functions().await.unwrap();
        again.catalogue.prepare_missing();
        let wanted = again.catalogue.jobs().len();
        (again, wanted)
    };
    let (again, prepares) = restarted(true).await;
    assert!(again.apps.application("shop").is_none() && again.apps.application("forum").is_some());
    assert_eq!(
        (prepares, again.catalogue.container_runtimes()),
        (0, vec![])
    );
    let told = orphans_of(&again).unwrap().to_string();
    assert_eq!(
        told,
        "0 functions and 1 application (with 1 function) made without a login"
    );
    // Nothing is lost.
    let (again, prepares) = restarted(false).await;
    assert!(again.apps.application("shop").is_some());
    assert_eq!(
        (prepares, again.catalogue.container_runtimes().len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_start_that_fails_leaves_the_application_stopped() {
    let (lab, shop) = AppsLab::new().await;
    lab.deploy(&shop, "f", &Behaviour::Echo, json!({})).await;
    let (again, fake) = node(&lab.config, &lab.registry);
    again.apps.load().await.unwrap();
    again.catalogue.load_functions().await.unwrap();
    fake.fail_prepare(PrepareError::TooComplex {
        message: "so it is".to_owned(),
    });
    let failed = again
        .apps
        .start(&anonymous(), "shop", &())
        .await
        .unwrap_err();
    assert!(
        matches!(&failed, HostingError::Function { function, .. } if function.as_str() == "f"),
        "{failed}"
    );
    assert!(again.apps.application("shop").is_none());
}

#[tokio::test]
async fn a_test_run_calls_saved_functions_and_leaves_nothing_behind() {
    let (lab, shop) = AppsLab::new().await;
    lab.deploy(
        &shop,
        "inner",
        &Behaviour::Log {
            log: "inner ran".to_owned(),
        },
        json!({}),
    )
    .await;
    let outer = Behaviour::Call {
        function: "inner".to_owned(),
    };
    let report = lab.test("outer", &outer, "[4,5]").await.unwrap();
    assert!(matches!(report.reply, Reply::Json(result) if result == "[4,5]"));
    assert_eq!(lab.backend.catalogue.names(&shop.space), ["inner"]);
    lab.fake
        .wait_for("the end of the tested sandbox", |counts| {
            counts.live == 1 && counts.running == 0
        })
        .await;
    let failed = lab
        .test(
            "",
            &Behaviour::Fail {
                log: "before".to_owned(),
                message: "no".to_owned(),
            },
            "1",
        )
        .await;
    let Err(HostingError::Invocation(InvocationError::Function(failure))) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!((&*failure.message, &*failure.log), ("no", &b"before\n"[..]));
    lab.fake
        .wait_for("the end of both", |counts| {
            counts.live == 1 && counts.running == 0
        })
        .await;
    lab.fake.refuse_calls(3);
    let metrics = lab.backend.status.metrics().unwrap();
    assert!(
        metrics.contains("serverledge_container_calls_refused 3\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("inner") && !metrics.contains("_test-"),
        "{metrics}"
    );
    assert_eq!(lab.fake.forgotten().len(), 2, "neither code is kept loaded");
}

#[tokio::test]
async fn code_that_is_deployed_as_well_stays_loaded() {
    let (lab, shop) = AppsLab::new().await;
    lab.deploy(&shop, "f", &Behaviour::Echo, json!({})).await;
    lab.test("f", &Behaviour::Echo, "1").await.unwrap();
    lab.fake
        .wait_for("the end of the tested sandbox", |counts| counts.live == 0)
        .await;
    assert!(lab.fake.forgotten().is_empty());
    assert_eq!(lab.backend.catalogue.names(&shop.space), ["f"]);
}

#[tokio::test]
async fn a_test_run_ends_with_its_caller() {
    let (lab, _) = AppsLab::new().await;
    let endless = Behaviour::Endless {
        log: "on and on".to_owned(),
    };
    tokio::select! {
        ended = lab.test("f", &endless, "1") => panic!("{ended:?}"),
        () = lab.fake.wait_for("the run", |counts| counts.running == 1) => {}
    }
    lab.fake
        .wait_for("the end of the run and its sandbox", |counts| {
            counts.dropped == 1 && counts.live == 0
        })
        .await;
    // Its place is free again.
    for _ in 0..=AT_ONCE_MAX {
        lab.test("f", &Behaviour::Echo, "1").await.unwrap();
    }
}

#[tokio::test]
async fn test_runs_are_bounded() {
    let (lab, _) = AppsLab::new().await;
    lab.fake.hold_prepares();
    let runs = (0..AT_ONCE_MAX).map(|_| lab.test("f", &Behaviour::Echo, "1"));
    let mut runs = futures_util::future::join_all(runs);
    assert!(futures_util::poll!(&mut runs).is_pending());
    let refused = lab.test("f", &Behaviour::Echo, "1").await.unwrap_err();
    assert!(
        matches!(refused, HostingError::TestsBusy { max: AT_ONCE_MAX }),
        "{refused}"
    );
    lab.fake.release_prepares();
    assert!(runs.await.iter().all(Result::is_ok));
}

async fn exported(lab: &AppsLab, shop: &Application) -> Bytes {
    lab.deploy(
        shop,
        "inner",
        &Behaviour::Echo,
        json!({"Idempotent": true, "Edge": true, "Isolation": "fresh", "MemoryMB": 64}),
    )
    .await;
    let outer = Behaviour::Call {
        function: "inner".to_owned(),
    };
    lab.deploy(
        shop,
        "outer",
        &outer,
        json!({"Env": {"A": "b"}, "Secrets": {"KEY": "hush"}, "Timeout": 2.5}),
    )
    .await;
    let endpoint = Endpoint::parse("POST", "/run/it", "outer").unwrap();
    lab.backend
        .apps
        .put_endpoint(&anonymous(), "shop", endpoint)
        .await
        .unwrap();
    let changes = AppChanges {
        cors: Some(Cors::Any),
        hands_out_nested: Some(false),
        ..AppChanges::default()
    };
    lab.backend
        .apps
        .change(&anonymous(), "shop", changes)
        .await
        .unwrap();
    lab.backend.apps.export(&anonymous(), "shop").await.unwrap()
}

#[tokio::test]
async fn an_application_comes_back_as_it_left() {
    let (lab, shop) = AppsLab::new().await;
    let file = exported(&lab, &shop).await;
    assert!(
        !file.windows(4).any(|bytes| bytes == b"hush"),
        "a secret is in the file"
    );
    let copy = AppName::parse("copy").unwrap();
    let made = Arc::clone(&lab.backend.apps)
        .import(&somebody(), Some(copy.clone()), file.clone(), &())
        .await;
    assert_eq!(made.unwrap().functions.len(), 2);
    assert_eq!(lab.names(), ["shop"], "it belongs to who imported it");
    let taken = Arc::clone(&lab.backend.apps)
        .import(&anonymous(), Some(copy), file.clone(), &())
        .await
        .unwrap_err();
    assert!(
        matches!(taken, HostingError::App(AppError::NameTaken(_))),
        "{taken}"
    );
    let made = Arc::clone(&lab.backend.apps)
        .import(
            &anonymous(),
            AppName::parse("second").ok(),
            file.clone(),
            &(),
        )
        .await
        .unwrap();
    assert_eq!(made.remarks, ["secrets of outer have to be set anew: KEY"]);
    let again = lab
        .backend
        .apps
        .export(&anonymous(), "second")
        .await
        .unwrap();
    let text = |file: &Bytes| {
        String::from_utf8_lossy(file)
            .replace("second", "shop")
            .replace(' ', "")
    };
    let first = text(&file);
    let second = text(&again);
    let manifest =
        |text: &str| text[text.find('{').unwrap()..text.find("code/").unwrap()].to_owned();
    assert_eq!(manifest(&first), manifest(&second));
    let second = lab.backend.apps.find(&anonymous(), "second").unwrap();
    assert_eq!(
        (second.endpoints.len(), second.hands_out_nested, second.up),
        (1, false, false)
    );
    let inner = lab
        .backend
        .catalogue
        .function(&second.space, "inner")
        .unwrap();
    assert!(inner.flags.idempotent && inner.flags.edge);
    assert_eq!(inner.flags.isolation, Isolation::Fresh);
    assert_eq!(
        manifest(&first).matches("Isolation").count(),
        1,
        "the default is not named"
    );
    assert_eq!(inner.version.limits.memory, MemoryMib::new(64));
}

#[tokio::test]
async fn an_import_that_fails_leaves_nothing() {
    let (lab, shop) = AppsLab::new().await;
    let file = exported(&lab, &shop).await;
    serverledge_api::Applications::delete(&*lab.backend.apps, &anonymous(), "shop")
        .await
        .unwrap();
    lab.fake.fail_prepare(PrepareError::TooComplex {
        message: "so it is".to_owned(),
    });
    let failed = Arc::clone(&lab.backend.apps)
        .import(&anonymous(), None, file.clone(), &())
        .await
        .unwrap_err();
    assert!(
        matches!(
            failed,
            HostingError::Function {
                source: DeployError::Prepare(_),
                ..
            }
        ),
        "{failed}"
    );
    assert!(lab.names().is_empty());
    // The name is free, and the file is good.
    Arc::clone(&lab.backend.apps)
        .import(&anonymous(), None, file, &())
        .await
        .unwrap();
    assert_eq!(lab.names(), ["shop"]);
}

fn tar(files: &[(&str, &str)]) -> Bytes {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        // As a hostile program would write it: with whatever path.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().into()
}

/// The description of an application with one function, changed.
fn manifest(change: &dyn Fn(&mut Value)) -> String {
    let mut manifest = json!({
        "schema": 1, "name": "new", "cors": "closed", "hands_out_nested": true, "own_origin": false,
        "dependencies": "", "endpoints": [{"path": "a", "function": "f"}],
        "functions": [{"body": {"Name": "f", "Runtime": "python"}, "code": "code/f"}],
    });
    change(&mut manifest);
    manifest.to_string()
}

fn hostile_files(good: &str) -> Vec<(&'static str, Bytes)> {
    let deep = "[".repeat(10_000);
    vec![
        ("nothing", Bytes::new()),
        ("no tar", Bytes::from_static(b"hello")),
        ("no manifest", tar(&[("code/f", "echo")])),
        ("no code", tar(&[("application.json", good)])),
        (
            "a path of its own",
            tar(&[
                ("application.json", good),
                ("../../etc/passwd", "x"),
                ("code/f", "echo"),
            ]),
        ),
        (
            "an absolute path",
            tar(&[("application.json", good), ("/etc/passwd", "x")]),
        ),
        ("a deep manifest", tar(&[("application.json", &deep)])),
        (
            "another schema",
            tar(&[("application.json", &manifest(&|m| m["schema"] = 2.into()))]),
        ),
        (
            "a bad name",
            tar(&[
                (
                    "application.json",
                    &manifest(&|m| m["name"] = "../x".into()),
                ),
                ("code/f", "echo"),
            ]),
        ),
        (
            "more members",
            tar(&[
                ("application.json", &manifest(&|m| m["owner"] = "x".into())),
                ("code/f", "echo"),
            ]),
        ),
        (
            "a bad origin",
            tar(&[
                (
                    "application.json",
                    &manifest(&|m| m["cors"] = json!(["null"])),
                ),
                ("code/f", "echo"),
            ]),
        ),
        (
            "an endpoint out of the application",
            tar(&[
                (
                    "application.json",
                    &manifest(&|m| m["endpoints"][0]["path"] = "../up".into()),
                ),
                ("code/f", "echo"),
            ]),
        ),
        (
            "an endpoint without function",
            tar(&[
                (
                    "application.json",
                    &manifest(&|m| m["endpoints"][0]["function"] = "g".into()),
                ),
                ("code/f", "echo"),
            ]),
        ),
        ("the same twice", {
            let twice =
                |m: &mut Value| m["functions"] = json!([m["functions"][0], m["functions"][0]]);
            tar(&[("application.json", &manifest(&twice)), ("code/f", "echo")])
        }),
    ]
}

#[tokio::test]
async fn hostile_files_are_refused_before_anything_is_made() {
    let (lab, _) = AppsLab::new().await;
    let good = manifest(&|_| {});
    for (what, file) in hostile_files(&good) {
        let refused = Arc::clone(&lab.backend.apps)
            .import(&anonymous(), None, file, &())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, HostingError::App(AppError::Invalid { .. })),
            "{what}: {refused}"
        );
        assert_eq!(lab.names(), ["shop"], "{what}");
    }
    assert!(lab.fake.prepares().is_empty());
    let code = String::from_utf8(Behaviour::Echo.code().to_vec()).unwrap();
    Arc::clone(&lab.backend.apps)
        .import(
            &anonymous(),
            None,
            tar(&[("application.json", &good), ("code/f", &code)]),
            &(),
        )
        .await
        .unwrap();
    let made = lab.backend.apps.find(&anonymous(), "new").unwrap();
    assert!(made.endpoint(&Method::POST, "a").is_some());
}

#[tokio::test]
async fn code_goes_out_only_where_the_owner_says_so() {
    let (lab, shop) = AppsLab::new().await;
    let caller = anonymous().on(shop.space.clone());
    let behaviour = Behaviour::Echo.code();
    for (name, runtime, edge, secrets) in [
        ("js", "nodejs", true, json!({})),
        ("here", "nodejs", false, json!({})),
        ("py", "python", true, json!({})),
        ("secret", "nodejs", true, json!({"KEY": "1"})),
    ] {
        let body = body(
            name,
            runtime,
            &behaviour,
            &json!({"Edge": edge, "Idempotent": true, "Secrets": secrets}),
        );
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        lab.backend
            .deployer
            .deploy(&caller.space, Deploy::Create, request, &())
            .await
            .unwrap();
    }
    let code = lab
        .backend
        .apps
        .edge_code(&shop, "js")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (code.kind, &code.code, code.idempotent),
        (EdgeKind::JavaScript, &behaviour, true)
    );
    // From memory, the next time: the registry's copy is not asked for.
    lab.registry
        .txn(Txn::new().then(Op::delete_prefix("blobs/")))
        .await
        .unwrap();
    assert_eq!(
        lab.backend.apps.edge_code(&shop, "js").await.unwrap(),
        Some(code)
    );
    for name in ["here", "py", "secret", "nobody", "../js", ""] {
        assert_eq!(
            lab.backend.apps.edge_code(&shop, name).await.unwrap(),
            None,
            "{name}"
        );
    }
}
