//! Versions on nodes that share a registry, with fake executors.

use serverledge_api::Deployments as _;
use serverledge_core::Isolation;

use super::*;
use crate::functions::quotas::tests::{QuotaLab, Tested, large, on};

/// The length of the function's result, which tells its versions apart.
async fn length(node: &Tested, space: &SpaceId) -> usize {
    node.invoke(&on(space), "f").await.unwrap().len()
}

async fn deploy(node: &Tested, space: &SpaceId, bytes: usize) -> String {
    node.deploy(space, "f", &large(bytes))
        .await
        .unwrap()
        .function
        .version
        .digest
        .to_string()
}

async fn digests(node: &Tested, space: &SpaceId) -> Vec<String> {
    let listed = node.node.deployer.versions(space, "f").await.unwrap();
    assert!(
        listed
            .versions
            .iter()
            .enumerate()
            .all(|(n, one)| one.current == (n == 0)),
        "{listed:?}"
    );
    listed.versions.into_iter().map(|one| one.version).collect()
}

fn code(error: DeployError) -> String {
    match error {
        DeployError::Unknown(name) => format!("unknown {name}"),
        DeployError::UnknownVersion { version, .. } => format!("unknown version {version:?}"),
        DeployError::AmbiguousVersion { version, .. } => format!("ambiguous {version:?}"),
        DeployError::Quota(exceeded) => exceeded.code.to_owned(),
        DeployError::Prepare(PrepareError::Invalid { code, .. }) => code.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_function_rolls_back_and_forth() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    let one = deploy(&node, &space, 10).await;
    let two = deploy(&node, &space, 20).await;
    let three = deploy(&node, &space, 30).await;
    assert_eq!(
        digests(&node, &space).await,
        [&three, &two, &one].map(String::as_str)
    );
    let before = node.node.base.resources.functions.generation(&space);
    let back = node
        .node
        .deployer
        .roll_back(&space, "f", &one[..16])
        .await
        .unwrap();
    assert_eq!(
        (back.version.digest.to_string(), length(&node, &space).await),
        (one.clone(), 10)
    );
    assert_ne!(
        node.node.base.resources.functions.generation(&space),
        before
    );
    assert_eq!(
        digests(&node, &space).await,
        [&one, &three, &two].map(String::as_str)
    );
    node.node
        .deployer
        .roll_back(&space, "f", &three)
        .await
        .unwrap();
    assert_eq!(length(&node, &space).await, 30);
    for (name, wanted, expected) in [
        ("nobody", &one[..], "unknown nobody"),
        ("a/b", &one, "unknown a/b"),
        ("f", "", "unknown version \"\""),
        ("f", "xyz", "unknown version \"xyz\""),
    ] {
        assert_eq!(
            code(
                node.node
                    .deployer
                    .roll_back(&space, name, wanted)
                    .await
                    .unwrap_err()
            ),
            expected
        );
    }
    let history = node.node.deployer.history(&space, "f").await.unwrap();
    let mut kept = history.kept.clone();
    kept.push(kept[0].clone());
    let twice = History { kept, ..history };
    assert_eq!(
        code(find(&twice, &one[..9]).unwrap_err()),
        format!("ambiguous {:?}", &one[..9])
    );
    node.node.deployer.delete(&space, "f").await.unwrap();
    assert_eq!(
        code(node.node.deployer.versions(&space, "f").await.unwrap_err()),
        "unknown f"
    );
}

/// The other node has no machine code of the function.
#[tokio::test]
async fn a_node_makes_ready_what_it_has_lost() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let here = lab.node("here", |_| {});
    let there = lab.node("there", |_| {});
    let one = deploy(&here, &space, 10).await;
    deploy(&here, &space, 20).await;
    there.node.catalogue.load_functions().await.unwrap();
    let fault = || PrepareError::Invalid {
        code: "not_wasm",
        message: "no".to_owned(),
    };
    there.fake.fail_prepare(fault());
    assert_eq!(
        code(
            there
                .node
                .deployer
                .roll_back(&space, "f", &one)
                .await
                .unwrap_err()
        ),
        "not_wasm"
    );
    assert_ne!(
        digests(&there, &space).await[0],
        one,
        "what cannot run is not bound"
    );
    there
        .node
        .deployer
        .roll_back(&space, "f", &one)
        .await
        .unwrap();
    assert_eq!(length(&there, &space).await, 10);
    let prepared = here.fake.prepares().len();
    here.node.catalogue.load_functions().await.unwrap();
    assert_eq!(length(&here, &space).await, 10);
    here.node
        .deployer
        .roll_back(&space, "f", &one)
        .await
        .unwrap();
    assert_eq!(here.fake.prepares().len(), prepared, "it was ready");
    there.node.catalogue.load_functions().await.unwrap();
    assert_eq!(
        here.node.base.resources.functions.generation(&space),
        there.node.base.resources.functions.generation(&space),
        "in one state"
    );
}

#[tokio::test]
async fn flags_change_without_new_code() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    let version = deploy(&node, &space, 10).await;
    let before = node.node.base.resources.functions.generation(&space);
    let prepared = node.fake.prepares().len();
    let flags = FlagsRequest {
        idempotent: Some(true),
        idempotent_outbound: None,
        edge: None,
        isolation: Some("fresh".to_owned()),
    };
    let changed = node
        .node
        .deployer
        .set_flags(&space, "f", flags.clone())
        .await
        .unwrap();
    assert!(changed.flags.idempotent && !changed.flags.edge);
    assert_eq!(changed.flags.isolation, Isolation::Fresh);
    let wrong = FlagsRequest {
        isolation: Some("shared".to_owned()),
        ..FlagsRequest::default()
    };
    let wrong = node.node.deployer.set_flags(&space, "f", wrong).await;
    assert!(matches!(wrong, Err(DeployError::Spec(_))), "{wrong:?}");
    let alone = FlagsRequest {
        idempotent: Some(false),
        idempotent_outbound: Some(true),
        ..FlagsRequest::default()
    };
    let alone = node.node.deployer.set_flags(&space, "f", alone).await;
    assert!(matches!(alone, Err(DeployError::Spec(_))), "{alone:?}");
    assert_eq!(changed.version.digest.to_string(), version);
    assert!(
        node.node
            .base
            .resources
            .functions
            .get(&space, "f")
            .unwrap()
            .function
            .flags
            .idempotent
    );
    assert_ne!(
        node.node.base.resources.functions.generation(&space),
        before
    );
    assert_eq!(
        (node.fake.prepares().len(), digests(&node, &space).await),
        (prepared, vec![version])
    );
    assert_eq!(length(&node, &space).await, 10);
    assert_eq!(
        code(
            node.node
                .deployer
                .set_flags(&space, "g", flags)
                .await
                .unwrap_err()
        ),
        "unknown g"
    );
}

#[tokio::test]
async fn a_call_that_runs_is_not_disturbed() {
    let lab = QuotaLab::new();
    let space = SpaceId::default_space();
    let node = lab.node("n", |_| {});
    let one = deploy(&node, &space, 10).await;
    deploy(&node, &space, 20).await;
    node.fake.hold();
    let caller = on(&space);
    let running = node.invoke(&caller, "f");
    let change = async {
        node.fake
            .wait_for("the call", |counts| counts.running == 1)
            .await;
        node.node
            .deployer
            .roll_back(&space, "f", &one)
            .await
            .unwrap();
        node.fake.release();
    };
    let (result, ()) = tokio::join!(running, change);
    assert_eq!(result.unwrap().len(), 20);
    assert_eq!(length(&node, &space).await, 10);
}
