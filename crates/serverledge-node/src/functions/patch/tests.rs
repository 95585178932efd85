//! Changes of single members on nodes that share a registry, with fake executors.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serverledge_api::{Deployments as _, VersionHistory as _};
use serverledge_core::{PrepareError, SpaceId, UserId};
use serverledge_testing::fake_executor::Behaviour;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::patch::changes;

use super::*;
use crate::functions::quotas::tests::{QuotaLab, Tested, large, on};

async fn patch_if(
    node: &Tested,
    space: &SpaceId,
    patch: Value,
    if_match: Option<&str>,
) -> Result<Patched, DeployError> {
    let text = patch.to_string();
    let request = FunctionPatch::parse(text.as_bytes()).unwrap();
    let expected = if_match.map(ExpectedState::new);
    node.node
        .deployer
        .patch(space, "f", &request, expected.as_ref(), &())
        .await
}

/// The members that have changed.
async fn patch(node: &Tested, space: &SpaceId, patch: Value) -> Result<Vec<String>, String> {
    match patch_if(node, space, patch, None).await {
        Ok(patched) => {
            let told = changes(&patched.before, &patched.function, patched.remade);
            Ok(told
                .into_iter()
                .map(|one| format!("{}{}", one.member, one.name.unwrap_or_default()))
                .collect())
        }
        Err(error) => Err(code(error)),
    }
}

fn code(error: DeployError) -> String {
    match error {
        DeployError::Unknown(name) => format!("unknown {name}"),
        DeployError::Code { code, .. }
        | DeployError::Prepare(PrepareError::Invalid { code, .. }) => code.to_owned(),
        DeployError::Spec(error) => error.to_string(),
        DeployError::Quota(exceeded) => exceeded.code.to_owned(),
        DeployError::NotAsExpected(_) => "not as expected".to_owned(),
        DeployError::Unsupported(_) => "unsupported".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn code_of(behaviour: &Behaviour) -> String {
    STANDARD.encode(behaviour.code())
}

fn present(node: &Tested, space: &SpaceId) -> Arc<Function> {
    Arc::clone(
        &node
            .node
            .base
            .resources
            .functions
            .get(space, "f")
            .unwrap()
            .function,
    )
}

async fn versions(node: &Tested, space: &SpaceId) -> usize {
    node.node
        .deployer
        .versions(space, "f")
        .await
        .unwrap()
        .versions
        .len()
}

/// The length of the function's result.
async fn length(node: &Tested, space: &SpaceId) -> usize {
    node.invoke(&on(space), "f").await.unwrap().len()
}

#[tokio::test]
async fn what_is_named_changes_and_nothing_else() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    node.deploy(&space, "f", &large(10)).await.unwrap();
    let all = json!({
        "MemoryMB": 64, "Timeout": 2.5, "CPUTime": 1, "CPUDemand": 0.25, "MaxConcurrency": 2, "Handler": "h",
        "Env": {"A": "1", "B": "2"}, "Secrets": {"KEY": "x"}, "Idempotent": true, "Edge": true,
        "Isolation": "fresh",
    });
    let told = patch(&node, &space, all.clone()).await.unwrap();
    assert_eq!(
        told.join(" "),
        "MemoryMB CPUDemand MaxConcurrency Handler Timeout CPUTime Idempotent Edge Isolation EnvA EnvB SecretsKEY"
    );
    let before = present(&node, &space);
    for (member, named) in [
        ("MemoryMB", json!({"MemoryMB": 96})),
        ("Timeout", json!({"Timeout": null})),
        ("EnvA", json!({"Env": {"A": "9"}})),
        ("EnvB", json!({"Env": {"B": null, "none": null}})),
        ("SecretsNEW", json!({"Secrets": {"NEW": "y"}})),
        ("SecretsKEY", json!({"Secrets": {"KEY": null}})),
        ("Code", json!({"TarFunctionCode": code_of(&large(20))})),
        ("Edge", json!({"Edge": null})),
        ("Isolation", json!({"Isolation": "kept"})),
        ("Handler", json!({"Handler": ""})),
    ] {
        assert_eq!(patch(&node, &space, named).await.unwrap(), [member]);
        let now = present(&node, &space);
        assert_ne!(
            (&now.version.digest, now.flags),
            (&before.version.digest, before.flags),
            "{member}"
        );
    }
    let now = present(&node, &space);
    assert_eq!(
        (now.version.limits.cpu, now.version.limits.max_concurrency),
        (before.version.limits.cpu, 2)
    );
    assert_eq!(
        (now.version.limits.cpu_time, now.flags.idempotent),
        (before.version.limits.cpu_time, true)
    );
    assert_eq!(length(&node, &space).await, 20);
}

#[tokio::test]
async fn a_version_is_made_only_where_one_differs() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    let first = node
        .deploy(&space, "f", &large(10))
        .await
        .unwrap()
        .function
        .version
        .digest;
    let prepared = node.fake.prepares().len();
    let generation = |node: &Tested| node.node.base.resources.functions.generation(&space);
    let began = generation(&node);
    for named in [
        json!({}),
        json!({"Edge": false}),
        json!({"TarFunctionCode": code_of(&large(10))}),
    ] {
        assert_eq!(
            patch(&node, &space, named.clone()).await.unwrap(),
            [""; 0],
            "{named}"
        );
    }
    assert_eq!(
        (node.fake.prepares().len(), generation(&node)),
        (prepared, began),
        "nothing has happened"
    );
    assert_eq!(
        patch(&node, &space, json!({"Idempotent": true}))
            .await
            .unwrap(),
        ["Idempotent"]
    );
    let archs = json!({"SupportedArchs": ["amd64"], "Signature": {"Inputs": [{"Name": "a", "Type": "Int"}]}});
    assert_eq!(
        patch(&node, &space, archs).await.unwrap(),
        ["Signature", "SupportedArchs"]
    );
    assert_eq!(
        (
            present(&node, &space).version.digest,
            node.fake.prepares().len()
        ),
        (first, prepared)
    );
    assert_ne!(generation(&node), began, "results of before are void");
    assert_eq!(versions(&node, &space).await, 1);
    patch(&node, &space, json!({"MemoryMB": 64})).await.unwrap();
    assert_eq!(
        (versions(&node, &space).await, node.fake.prepares().len()),
        (2, prepared + 1)
    );
    // There and back is the version of before, secrets included.
    patch(&node, &space, json!({"Secrets": {"K": "v"}}))
        .await
        .unwrap();
    let with_secret = present(&node, &space).version.digest;
    assert_eq!(
        patch(&node, &space, json!({"Secrets": {"K": "v"}}))
            .await
            .unwrap(),
        [""; 0]
    );
    patch(&node, &space, json!({"MemoryMB": 96})).await.unwrap();
    patch(&node, &space, json!({"MemoryMB": 64})).await.unwrap();
    assert_eq!(present(&node, &space).version.digest, with_secret);
    let back = node
        .node
        .deployer
        .roll_back(&space, "f", &first.to_string())
        .await
        .unwrap();
    assert!(
        back.version.secrets.values.is_empty(),
        "a roll-back is to the whole version"
    );
}

#[tokio::test]
async fn what_is_not_possible_is_refused_and_changes_nothing() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    node.deploy(&space, "f", &large(10)).await.unwrap();
    let before = present(&node, &space);
    for (named, expected) in [
        (
            json!({"MemoryMB": 0}),
            "invalid memory limit: 0 MB; 1 to 4096 are allowed",
        ),
        (json!({"MemoryMB": 4000}), "exceeds_node"),
        (
            json!({"Network": "bridge"}),
            "invalid Network: wasm functions reach no network; python, nodejs and custom ones can",
        ),
        (
            json!({"Isolation": "shared"}),
            "invalid Isolation: unknown isolation \"shared\"; known are kept and fresh",
        ),
        (
            json!({"Name": "g"}),
            "invalid Name: \"g\"; the function is f, and is not renamed by a change",
        ),
        (json!({"TarFunctionCode": ""}), "no_code"),
        (json!({"TarFunctionCode": null}), "no_code"),
        (json!({"Runtime": null}), "no_code"),
        (json!({"Runtime": "javascript"}), "no_code"),
        (json!({"Runtime": "python-wasm"}), "no_code"),
        (json!({"Runtime": "nodejs"}), "unsupported"),
        (json!({"TarFunctionCode": "%"}), "malformed_base64"),
        (
            json!({"Env": {"SERVERLEDGE_X": "1"}}),
            "invalid Env: \"SERVERLEDGE_X\" cannot be a variable's name",
        ),
    ] {
        assert_eq!(
            patch(&node, &space, named.clone()).await.unwrap_err(),
            expected,
            "{named}"
        );
    }
    node.fake.fail_prepare(PrepareError::Invalid {
        code: "not_wasm",
        message: "no".to_owned(),
    });
    assert_eq!(
        patch(&node, &space, json!({"MemoryMB": 64}))
            .await
            .unwrap_err(),
        "not_wasm"
    );
    assert_eq!(present(&node, &space), before);
    assert_eq!(
        (versions(&node, &space).await, length(&node, &space).await),
        (1, 10)
    );
    assert_eq!(
        patch(&node, &space, json!({"Name": "f"})).await.unwrap(),
        [""; 0]
    );
    node.node.deployer.delete(&space, "f").await.unwrap();
    assert_eq!(
        patch(&node, &space, json!({})).await.unwrap_err(),
        "unknown f"
    );
}

/// Each of many changes names a variable of its own; none is lost, on one node or on two.
#[tokio::test]
async fn changes_at_once_lose_nothing() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let nodes = [lab.node("a", |_| {}), lab.node("b", |_| {})];
    nodes[0].deploy(&space, "f", &large(10)).await.unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("V{n}")).collect();
    let mut tasks = tokio::task::JoinSet::new();
    let nodes = Arc::new(nodes);
    for (n, name) in names.iter().cloned().enumerate() {
        let nodes = Arc::clone(&nodes);
        let space = space.clone();
        tasks.spawn(async move { patch(&nodes[n % 2], &space, json!({"Env": {name: "1"}})).await });
    }
    for told in tasks.join_all().await {
        assert_eq!(told.unwrap().len(), 1, "each tells its own change alone");
    }
    let stored = nodes[1]
        .node
        .base
        .store
        .get(&space, &FunctionName::parse("f").unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        stored.function.version.env.len(),
        names.len(),
        "{:?}",
        stored.function.version.env
    );
}

/// A deploy that comes in between is not undone: the change is applied to its result.
#[tokio::test]
async fn a_change_is_made_to_what_there_is() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    node.deploy(&space, "f", &large(10)).await.unwrap();
    node.fake.hold_prepares();
    let prepared = node.fake.prepares().len();
    let change = patch(&node, &space, json!({"MemoryMB": 64}));
    let between = async {
        while node.fake.prepares().len() == prepared {
            tokio::task::yield_now().await;
        }
        let flags = serverledge_wire::versions::FlagsRequest {
            idempotent: Some(true),
            ..serverledge_wire::versions::FlagsRequest::default()
        };
        node.node
            .deployer
            .set_flags(&space, "f", flags)
            .await
            .unwrap();
        node.fake.release_prepares();
    };
    let (told, ()) = tokio::join!(change, between);
    assert_eq!(told.unwrap(), ["MemoryMB"]);
    let now = present(&node, &space);
    assert_eq!(
        (now.version.limits.memory.get(), now.flags.idempotent),
        (64, true)
    );
    // Another node that has not heard of it changes what the registry holds.
    let other = lab.node("other", |_| {});
    assert_eq!(
        patch(&other, &space, json!({"Timeout": 5})).await.unwrap(),
        ["Timeout"]
    );
    assert_eq!(present(&other, &space).version.limits.memory.get(), 64);
}

#[tokio::test]
async fn a_change_may_say_what_it_expects() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    node.deploy(&space, "f", &large(10)).await.unwrap();
    let tag = |node: &Tested| FunctionInfo::from(&*present(node, &space)).etag();
    let first = tag(&node);
    let outcome =
        async |expected: &str| match patch_if(&node, &space, json!({"Edge": true}), Some(expected))
            .await
        {
            Ok(_) => "changed".to_owned(),
            Err(error) => code(error),
        };
    for refused in ["", "\"0\"", &format!("W/{first}"), &first.replace('"', "")] {
        assert_eq!(outcome(refused).await, "not as expected", "{refused}");
    }
    assert_eq!(outcome(&format!("\"0\", {first}")).await, "changed");
    assert_ne!(tag(&node), first);
    assert_eq!(outcome(&first).await, "not as expected");
    assert_eq!(outcome("*").await, "changed");
}

#[tokio::test]
async fn quotas_are_of_the_whole() {
    let mut lab = QuotaLab::new();
    let space = SpaceId::new();
    lab.owned.own(&space, UserId::new());
    let node = lab.node("n", |quota| quota.code_bytes = large(10).code().len() + 1);
    node.deploy(&space, "f", &large(10)).await.unwrap();
    let longer = json!({"TarFunctionCode": code_of(&large(1000)), "MemoryMB": 64});
    assert_eq!(
        patch(&node, &space, longer).await.unwrap_err(),
        "quota_code_bytes"
    );
    assert_eq!(
        patch(&node, &space, json!({"MemoryMB": 64})).await.unwrap(),
        ["MemoryMB"]
    );
}
