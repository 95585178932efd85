//! Quotas on a whole node with a fake executor.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use serverledge_api::{
    Applications as _, AsyncInvocations as _, ClientCall, Deploy, DeployError, Deployed,
    Deployments as _, Hosting as _, HostingError, Invocations as _, NodeStatus as _, TestRun,
};
use serverledge_core::kv::Kv;
use serverledge_core::{Account, AppName, CacheMetadata, Phases, Reply, Report, Role, Scopes, Via};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;

use super::*;
use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::invoke::guarded_body::until_its_end;
use crate::invoke::request::{ResolvedCall, call_of};
use crate::program::node::{NodeServices, Substitutes, build_with};

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};

/// Spaces and their owners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owned(BTreeMap<SpaceId, UserId>);

impl Owned {
    /// Gives a space an owner.
    pub(crate) fn own(&mut self, space: &SpaceId, owner: UserId) {
        self.0.insert(space.clone(), owner);
    }
}

impl Owners for Owned {
    fn owner(&self, space: &SpaceId) -> Option<UserId> {
        self.0.get(space).cloned()
    }

    fn spaces(&self, user: &UserId) -> Vec<SpaceId> {
        self.0
            .iter()
            .filter(|(_, owner)| *owner == user)
            .map(|(space, _)| space.clone())
            .collect()
    }

    fn applications(&self, user: &UserId) -> usize {
        self.spaces(user).len()
    }
}

/// A registry, and nodes over it.
pub(crate) struct QuotaLab {
    pub(crate) registry: Arc<dyn Kv>,
    pub(crate) owned: Owned,
    dir: TempDir,
}

/// A node whose executor is a fake.
pub(crate) struct Tested {
    pub(crate) node: Arc<NodeServices>,
    pub(crate) fake: FakeExecutorHandle,
}

impl QuotaLab {
    pub(crate) fn new() -> Self {
        let registry = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
        Self {
            registry,
            owned: Owned::default(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Two spaces of one user, and one of another.
    fn spaces(&mut self) -> [SpaceId; 3] {
        let one = UserId::new();
        let other = UserId::new();
        let spaces = [SpaceId::new(), SpaceId::new(), SpaceId::new()];
        let owners = [one.clone(), one, other];
        self.owned = Owned(spaces.iter().cloned().zip(owners).collect());
        spaces
    }

    pub(crate) fn node(&self, name: &str, change: impl FnOnce(&mut QuotaConfig)) -> Tested {
        let data = self.dir.path().join(name);
        let environment = [("SERVERLEDGE_DATA_DIR", data.to_str().unwrap())];
        let mut config = load(None, &environment, &MACHINE, &[]).unwrap().config;
        change(&mut config.quota);
        std::fs::create_dir_all(&data).unwrap();
        let (executor, fake) = FakeExecutor::new();
        let executors = Executors {
            wasm: Arc::new(executor),
            snapshots: None,
            containers: None,
        };
        let substitutes = Substitutes {
            owners: Some(Arc::new(self.owned.clone())),
            ..Substitutes::default()
        };
        let node = build_with(&config, &self.registry, executors, substitutes).unwrap();
        Tested {
            node: Arc::new(node),
            fake,
        }
    }
}

impl Tested {
    pub(crate) async fn deploy(
        &self,
        space: &SpaceId,
        name: &str,
        behaviour: &Behaviour,
    ) -> Result<Deployed, DeployError> {
        let code = STANDARD.encode(behaviour.code());
        let body = json!({"Name": name, "Runtime": "wasm", "TarFunctionCode": code}).to_string();
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        self.node
            .deployer
            .deploy(space, Deploy::Update, request, &())
            .await
    }

    async fn refused(&self, space: &SpaceId, name: &str, behaviour: &Behaviour) -> String {
        match self.deploy(space, name, behaviour).await {
            Ok(_) => "deployed".to_owned(),
            Err(DeployError::Quota(exceeded)) => format!("{}: {exceeded}", exceeded.code),
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn invoke(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Bytes, InvocationError> {
        let report = Arc::clone(&self.node.invoker)
            .call(call(caller, name))
            .await?;
        let Reply::Json(result) = report.reply else {
            panic!("a JSON function gave HTTP")
        };
        Ok(result)
    }

    /// The code of a refusal, and its `Retry-After`.
    async fn outcome(&self, caller: &Caller, name: &str) -> (&'static str, Duration) {
        told(self.invoke(caller, name).await.map(drop))
    }
}

fn told(outcome: Result<(), InvocationError>) -> (&'static str, Duration) {
    match outcome {
        Ok(()) => ("ran", Duration::ZERO),
        Err(InvocationError::Quota {
            code, retry_after, ..
        }) => (code, retry_after),
        Err(other) => panic!("{other:?}"),
    }
}

fn call(caller: &Caller, name: &str) -> ClientCall {
    ClientCall {
        caller: caller.clone(),
        ..call_of(name, "7")
    }
}

pub(crate) fn on(space: &SpaceId) -> Caller {
    Caller {
        space: space.clone(),
        account: None,
    }
}

pub(crate) fn large(bytes: usize) -> Behaviour {
    Behaviour::Large { bytes }
}

/// Usage is shown as it is counted: over all spaces of the owner, equal code once.
#[tokio::test]
async fn usage_is_what_is_counted() {
    let mut lab = QuotaLab::new();
    let [first, second, other] = lab.spaces();
    let node = lab.node("n", |quota| (quota.functions, quota.concurrent) = (7, 0));
    for (space, name) in [(&first, "f"), (&second, "f"), (&other, "f")] {
        assert_eq!(
            node.refused(space, name, &Behaviour::Echo).await,
            "deployed"
        );
    }
    node.fake.hold();
    let caller = on(&second);
    let mut held = Box::pin(node.invoke(&caller, "f"));
    tokio::select! {
        _ = &mut held => panic!("a held call ended"),
        () = node.fake.wait_for("the call", |counts| counts.running == 1) => {}
    }
    let of = |used, limit| QuotaUsage { used, limit };
    let expected = |running| UserQuotas {
        applications: of(2, Some(20)),
        functions: of(2, Some(7)),
        code_bytes: of(Behaviour::Echo.code().len() as u64, Some(1 << 30)),
        concurrent: of(running, None),
        per_minute: Some(6000),
    };
    assert_eq!(node.node.deployer.quotas(&on(&first)), Some(expected(1)));
    node.fake.release();
    held.await.unwrap();
    assert_eq!(node.node.deployer.quotas(&on(&first)), Some(expected(0)));
    assert_eq!(node.node.deployer.quotas(&on(&SpaceId::default())), None);
}

#[tokio::test]
async fn functions_are_counted_over_all_spaces_of_their_owner() {
    let mut lab = QuotaLab::new();
    let [first, second, other] = lab.spaces();
    let node = lab.node("n", |quota| quota.functions = 2);
    let echo = Behaviour::Echo;
    assert_eq!(node.refused(&first, "f", &echo).await, "deployed");
    assert_eq!(node.refused(&second, "f", &echo).await, "deployed");
    let full = "quota_functions: the owner has 2 functions, 2 are allowed; delete one first";
    assert_eq!(node.refused(&second, "g", &echo).await, full);
    assert_eq!(
        node.refused(&second, "f", &large(3)).await,
        "deployed",
        "a function may be replaced"
    );
    for free in [
        &other,
        &SpaceId::default_space(),
        &SpaceId::default_space(),
        &SpaceId::default_space(),
    ] {
        assert_eq!(node.refused(free, "g", &echo).await, "deployed");
    }
    node.node.deployer.delete(&first, "f").await.unwrap();
    assert_eq!(
        node.refused(&second, "g", &echo).await,
        "deployed",
        "a deletion makes room"
    );
    let prepared = node.fake.prepares().len();
    assert_eq!(node.refused(&first, "f", &large(99)).await, full);
    assert_eq!(
        node.fake.prepares().len(),
        prepared,
        "nothing slow is begun for what is refused"
    );
    let text = node.node.status.metrics().unwrap();
    assert!(
        text.contains("serverledge_quota_refusals_total{code=\"quota_functions\"} 2"),
        "{text}"
    );
}

#[tokio::test]
async fn what_others_deploy_meanwhile_counts() {
    let mut lab = QuotaLab::new();
    let [space, ..] = lab.spaces();
    let node = lab.node("n", |quota| quota.functions = 1);
    node.fake.hold_prepares();
    let one = large(3);
    let two = large(4);
    let deploys = async {
        tokio::join!(
            node.refused(&space, "f", &one),
            node.refused(&space, "g", &two)
        )
    };
    let release = async {
        // Both have been counted once by then.
        while node.fake.prepares().len() < 2 {
            tokio::task::yield_now().await;
        }
        node.fake.release_prepares();
    };
    let ((f, g), ()) = tokio::join!(deploys, release);
    assert!((f == "deployed") != (g == "deployed"), "{f} {g}");
}

#[tokio::test]
async fn equal_code_is_counted_once() {
    let mut lab = QuotaLab::new();
    let [first, second, _] = lab.spaces();
    let length = |behaviour: &Behaviour| behaviour.code().len();
    let short = large(1000);
    let long = Behaviour::Log {
        log: "x".repeat(100),
    };
    let node = lab.node("n", |quota| {
        quota.code_bytes = length(&short) + length(&long)
    });
    for (space, name, behaviour) in [
        (&first, "f", &short),
        (&first, "g", &short),
        (&second, "f", &long),
        (&second, "g", &long),
    ] {
        assert_eq!(
            node.refused(space, name, behaviour).await,
            "deployed",
            "{name}"
        );
    }
    let others = large(2000);
    let most = length(&short) + length(&long);
    let full = format!(
        "quota_code_bytes: the code of the owner's functions would have {} bytes, {most} are allowed together",
        most + length(&others)
    );
    assert_eq!(node.refused(&first, "h", &others).await, full);
    assert_eq!(
        node.refused(&second, "g", &others).await,
        full,
        "the other copy stays"
    );
    node.node.deployer.delete(&second, "f").await.unwrap();
    assert_eq!(
        node.refused(&second, "g", &others).await,
        "deployed",
        "it takes the place of its predecessor"
    );
    let narrow = lab.node("narrow", |quota| quota.code_bytes = 1);
    narrow.node.catalogue.load_functions().await.unwrap();
    assert_eq!(
        narrow.refused(&first, "f", &others).await,
        "deployed",
        "what makes it less is allowed"
    );
    assert!(
        narrow
            .refused(&first, "f", &long)
            .await
            .starts_with("quota_code_bytes")
    );
}

#[tokio::test]
async fn so_many_run_at_once() {
    let mut lab = QuotaLab::new();
    let [space, also, other] = lab.spaces();
    let node = lab.node("n", |quota| quota.concurrent = 2);
    for space in [&space, &also, &other, &SpaceId::default_space()] {
        node.deploy(space, "f", &Behaviour::Echo).await.unwrap();
    }
    node.fake.hold();
    let one = on(&space);
    let two = on(&also);
    let mut held = Box::pin(async { tokio::join!(node.invoke(&one, "f"), node.invoke(&two, "f")) });
    tokio::select! {
        _ = &mut held => panic!("held calls ended"),
        () = node.fake.wait_for("the calls", |counts| counts.running == 2) => {}
    }
    assert_eq!(
        node.outcome(&one, "f").await,
        ("quota_concurrent", CONCURRENT_RETRY)
    );
    let elsewhere = on(&other);
    let mut free =
        Box::pin(async { tokio::join!(node.invoke(&elsewhere, "f"), node.nested(&space)) });
    tokio::select! {
        _ = &mut free => panic!("held calls ended"),
        () = node.fake.wait_for("another owner's call and a nested one", |counts| counts.running == 4) => {}
    }
    drop(held);
    node.fake.release();
    let (outside, nested) = free.await;
    outside.unwrap();
    nested.unwrap();
    for _ in 0..3 {
        assert_eq!(
            node.outcome(&one, "f").await.0,
            "ran",
            "callers that leave give their places back"
        );
    }
    assert!(
        node.node
            .deployer
            .quotas
            .users
            .lock()
            .table
            .values()
            .all(|usage| usage.running == 0)
    );
}

impl Tested {
    /// Runs a function as a nested call, which no quota counts.
    async fn nested(&self, space: &SpaceId) -> Result<Report, InvocationError> {
        let entry = self.node.base.resources.functions.resolve(space, "f")?;
        self.node
            .invoker
            .invoke(ResolvedCall::new(entry, call(&on(space), "f").call))
            .await
    }
}

/// Test runs count as invocations of the application's owner, from their preparation on.
#[tokio::test(start_paused = true)]
async fn test_runs_count() {
    let lab = QuotaLab::new();
    let account = Account {
        user: UserId::new(),
        role: Role::User,
        scopes: Scopes::ALL,
        via: Via::Token("t".to_owned()),
    };
    let ada = Caller {
        space: SpaceId::new(),
        account: Some(Arc::new(account)),
    };
    let node = lab.node("n", |quota| (quota.concurrent, quota.per_minute) = (1, 3));
    let backend = node.node.clone();
    let shop = backend
        .apps
        .create(&ada, AppName::parse("shop").unwrap())
        .await
        .unwrap();
    let inside = ada.on(shop.space.clone());
    node.deploy(&shop.space, "f", &Behaviour::Echo)
        .await
        .unwrap();
    let test = async || {
        let code = STANDARD.encode(Behaviour::Echo.code());
        let body = json!({"Runtime": "wasm", "TarFunctionCode": code}).to_string();
        let function = FunctionBody::parse(body.as_bytes()).unwrap();
        let run = TestRun {
            function,
            params: Bytes::from_static(b"7"),
            client_cache: None,
        };
        match Arc::clone(&backend.apps).test(&ada, "shop", run, &()).await {
            Err(HostingError::Invocation(error)) => told(Err(error)).0,
            outcome => outcome.map(|_| "ran").unwrap(),
        }
    };
    node.fake.hold();
    let mut held = Box::pin(test());
    tokio::select! {
        _ = &mut held => panic!("a held test run ended"),
        () = node.fake.wait_for("the test run", |counts| counts.running == 1) => {}
    }
    let prepared = node.fake.prepares().len();
    assert_eq!(test().await, "quota_concurrent");
    assert_eq!(
        node.fake.prepares().len(),
        prepared,
        "nothing is prepared for what is refused"
    );
    assert_eq!(
        node.outcome(&inside, "f").await.0,
        "quota_concurrent",
        "they share the quota with calls"
    );
    node.fake.release();
    assert_eq!(held.await, "ran");
    assert_eq!(
        (test().await, node.outcome(&inside, "f").await.0),
        ("ran", "ran")
    );
    assert_eq!(
        (test().await, node.outcome(&inside, "f").await.0),
        ("quota_per_minute", "quota_per_minute")
    );
}

#[tokio::test(start_paused = true)]
async fn so_many_run_in_a_minute() {
    let mut lab = QuotaLab::new();
    let [space, also, other] = lab.spaces();
    let node = lab.node("n", |quota| quota.per_minute = 2);
    for space in [&space, &also, &other, &SpaceId::default_space()] {
        node.deploy(space, "f", &Behaviour::Echo).await.unwrap();
    }
    assert_eq!(node.outcome(&on(&space), "f").await.0, "ran");
    let backend = node.node.clone();
    Arc::clone(&backend.async_worker)
        .submit(call(&on(&also), "f"))
        .await
        .unwrap();
    let (code, retry_after) = node.outcome(&on(&space), "f").await;
    assert_eq!(code, "quota_per_minute");
    assert!(
        retry_after > Duration::from_secs(20) && retry_after <= Duration::from_secs(30),
        "{retry_after:?}"
    );
    let refused = Arc::clone(&backend.async_worker)
        .submit(call(&on(&also), "f"))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        serverledge_api::SubmitError::Invocation(InvocationError::Quota {
            code: "quota_per_minute",
            ..
        })
    ));
    for free in [
        &other,
        &SpaceId::default_space(),
        &SpaceId::default_space(),
        &SpaceId::default_space(),
    ] {
        assert_eq!(node.outcome(&on(free), "f").await.0, "ran");
    }
    tokio::time::advance(retry_after).await;
    assert_eq!(node.outcome(&on(&space), "f").await.0, "ran");
    assert_eq!(node.outcome(&on(&space), "f").await.0, "quota_per_minute");
}

/// Owns nothing.
struct Nobody;

impl Owners for Nobody {
    fn owner(&self, _space: &SpaceId) -> Option<UserId> {
        None
    }

    fn spaces(&self, _user: &UserId) -> Vec<SpaceId> {
        Vec::new()
    }

    fn applications(&self, _user: &UserId) -> usize {
        0
    }
}

#[tokio::test]
async fn an_account_pays_where_a_space_has_no_owner() {
    let quotas = Quotas::new(
        QuotaConfig {
            applications: 1,
            functions: 0,
            code_bytes: 0,
            concurrent: 1,
            per_minute: 0,
        },
        Arc::new(Nobody),
    );
    let account = Account {
        user: UserId::new(),
        role: Role::User,
        scopes: Scopes::ALL,
        via: Via::Token("t".to_owned()),
    };
    let caller = Caller {
        space: SpaceId::new(),
        account: Some(Arc::new(account)),
    };
    let permit = quotas.admit(&caller).unwrap();
    assert_eq!(told(quotas.admit(&caller).map(drop)).0, "quota_concurrent");
    assert!(
        quotas
            .admit(&caller.on(SpaceId::default_space()))
            .unwrap()
            .is_none(),
        "the default space is free"
    );
    assert!(quotas.admit(&Caller::anonymous()).unwrap().is_none());
    drop(permit);
    assert!(quotas.admit(&caller).unwrap().is_some());
    assert!(quotas.check_applications(0).is_ok());
    assert_eq!(
        quotas.check_applications(1).unwrap_err().code,
        "quota_applications"
    );
}

/// A streamed response counts until its end.
#[tokio::test]
async fn a_streamed_body_keeps_its_place() {
    let quota = QuotaConfig {
        applications: 0,
        functions: 0,
        code_bytes: 0,
        concurrent: 1,
        per_minute: 0,
    };
    let user = UserId::new();
    let space = SpaceId::new();
    let quotas = Quotas::new(
        quota,
        Arc::new(Owned(BTreeMap::from([(space.clone(), user)]))),
    );
    let permit = quotas.admit(&on(&space)).unwrap();
    let body =
        http_body_util::Full::new(Bytes::from_static(b"body")).map_err(|never| match never {});
    let body: serverledge_core::HttpBody = Box::pin(body);
    let phases = Phases::default();
    let reply = Reply::Http(Box::new(http::Response::new(body)));
    let report = Report {
        reply,
        log: Bytes::new(),
        warm: true,
        phases,
        remote: None,
        memo: CacheMetadata::default(),
    };
    let Reply::Http(response) = until_its_end(report, permit).reply else {
        panic!("it was HTTP")
    };
    assert_eq!(
        told(quotas.admit(&on(&space)).map(drop)).0,
        "quota_concurrent"
    );
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "body"
    );
    assert!(quotas.admit(&on(&space)).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn users_who_left_are_forgotten() {
    let quota = QuotaConfig {
        applications: 0,
        functions: 0,
        code_bytes: 0,
        concurrent: 1,
        per_minute: 1,
    };
    let users: Vec<(SpaceId, UserId)> = (0..=USERS_MIN)
        .map(|_| (SpaceId::new(), UserId::new()))
        .collect();
    let quotas = Quotas::new(quota, Arc::new(Owned(users.iter().cloned().collect())));
    let kept = quotas.admit(&on(&users[0].0)).unwrap();
    for (space, _) in &users[1..USERS_MIN] {
        quotas.admit(&on(space)).unwrap();
    }
    tokio::time::advance(REMEMBERED).await;
    quotas.admit(&on(&users[USERS_MIN].0)).unwrap();
    assert_eq!(
        quotas.users.lock().table.len(),
        2,
        "who runs something, and who has just come"
    );
    drop(kept);
}
