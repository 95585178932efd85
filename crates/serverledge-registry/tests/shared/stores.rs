//! Checks of the typed stores, over any store. Each check wants one of its own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{Kv, Op, RangeRequest, Txn};
use serverledge_core::{
    Flags, Function, FunctionLimits, FunctionName, FunctionSpec, Interface, Network, ProgramIo,
    Runtime, Secrets, SpaceId,
};
use serverledge_registry::{
    BlobError, BlobStore, CHUNK_BYTES, DeployError, FunctionChange, FunctionStore, NodeChange,
    NodeStore, Owner, Swept, code_digest, version,
};
use serverledge_wire::records::{NodeRecord, Record, RecordError};

const NOW: u64 = 1_700_000_000_000;
/// Deploys between sweeps, at least; and at most until the sweeper has come in between once.
const DEPLOYS_MIN: usize = 30;
const DEPLOYS_MAX: usize = 1000;
const GRACE: Duration = Duration::from_secs(600);

fn name(name: &str) -> FunctionName {
    FunctionName::parse(name).unwrap()
}

pub(crate) fn function(name: &str, code: &[u8]) -> Function {
    let spec = FunctionSpec {
        name: FunctionName::parse(name).unwrap(),
        runtime: Runtime::Wasm,
        handler: String::new(),
        env: BTreeMap::new(),
        secrets: Secrets::default(),
        network: Network::None,
        outbound: BTreeSet::new(),
        image: String::new(),
        io: ProgramIo::default(),
        limits: FunctionLimits::default(),
        flags: Flags::default(),
        signature: None,
    };
    Function {
        space: SpaceId::default_space(),
        version: Arc::new(version(&spec, code_digest(code))),
        name: spec.name,
        interface: Interface::Json,
        flags: spec.flags,
        signature: None,
    }
}

fn noise(bytes: usize) -> Bytes {
    (0..bytes)
        .map(|i| u8::try_from(i * 31 % 251).unwrap())
        .collect::<Vec<_>>()
        .into()
}

pub(crate) async fn functions_are_deployed_replaced_and_deleted(kv: Arc<dyn Kv>) {
    let functions = FunctionStore::new(kv);
    let mut watch = functions.watch(None).await.unwrap();
    let first = Bytes::from_static(b"first");
    let second = Bytes::from_static(b"second");
    let old = function("f", &first);
    let new = function("f", &second);
    let created = functions.create(&old, &first, NOW).await.unwrap();
    let taken = functions.create(&new, &second, NOW).await;
    assert!(matches!(taken, Err(DeployError::Exists(name)) if name.as_str() == "f"));
    let wrong = functions.replace(&new, &first, NOW).await;
    assert!(matches!(wrong, Err(DeployError::Digest { .. })));
    let found = functions.get(&old.space, &old.name).await.unwrap().unwrap();
    assert_eq!((&*found.function, found.revision), (&old, created));

    let replaced = functions.replace(&new, &second, NOW).await.unwrap();
    assert_eq!(replaced.before.as_deref(), Some(&old));
    assert_eq!(
        *functions
            .get(&old.space, &old.name)
            .await
            .unwrap()
            .unwrap()
            .function,
        new
    );
    assert_eq!(
        functions.blobs().get(&new.version.code).await.unwrap(),
        Some(second)
    );
    assert_eq!(functions.list(&old.space).await.unwrap(), [name("f")]);
    assert!(functions.delete(&old.space, &old.name).await.unwrap() > Some(replaced.revision));
    assert_eq!(functions.delete(&old.space, &old.name).await.unwrap(), None);
    assert!(
        functions
            .get(&old.space, &old.name)
            .await
            .unwrap()
            .is_none()
    );

    let mut seen = Vec::new();
    while seen.len() < 3 {
        let changes = watch.next().await.unwrap().into_iter();
        seen.extend(changes.filter(|change| !matches!(change, FunctionChange::Generation { .. })));
    }
    assert!(
        matches!(&seen[0], FunctionChange::Deployed(one) if *one.function == old && one.revision == created)
    );
    assert!(
        matches!(&seen[1], FunctionChange::Deployed(one) if *one.function == new && one.revision == replaced.revision)
    );
    assert!(matches!(&seen[2], FunctionChange::Deleted { name, .. } if name.as_str() == "f"));
}

pub(crate) async fn unreadable_records_do_not_hide_the_others(kv: Arc<dyn Kv>) {
    let functions = FunctionStore::new(kv.clone());
    let code = Bytes::from_static(b"code");
    for i in 0..150 {
        functions
            .create(&function(&format!("f{i:03}"), &code), &code, NOW)
            .await
            .unwrap();
    }
    let newer = Op::put("functions/default/newer", r#"{"schema":9}"#);
    kv.txn(Txn::new().then(newer).then(Op::put("functions/a/b/c", "x")))
        .await
        .unwrap();
    let loaded = functions.load_all().await.unwrap();
    assert_eq!((loaded.functions.len(), loaded.unreadable.len()), (150, 2));
    assert_eq!(loaded.revision, kv.status().await.unwrap().revision);
    let newer = loaded
        .unreadable
        .iter()
        .find(|one| one.key.ends_with("newer"))
        .unwrap();
    assert!(matches!(
        newer.source,
        Some(RecordError::Schema { found: 9, known: 1 })
    ));
}

pub(crate) async fn blobs_are_kept_once_and_swept_late(kv: Arc<dyn Kv>) {
    let blobs = BlobStore::new(kv.clone());
    for bytes in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7] {
        let blob = noise(bytes);
        let digest = blobs.put(&blob, NOW).await.unwrap();
        let chunks = async || {
            let request = RangeRequest::prefix(format!("blobs/{digest}/")).keys_only();
            kv.range(request).await.unwrap().entries
        };
        let before = chunks().await;
        assert_eq!(blobs.put(&blob, NOW).await.unwrap(), digest);
        assert_eq!(chunks().await, before, "the chunks were written again");
        assert_eq!(blobs.get(&digest).await.unwrap(), Some(blob));
    }
    let kept = code_digest(&noise(1));
    let used = HashSet::from([kept]);
    let survey = blobs.survey().await.unwrap();
    let soon = blobs
        .sweep(&survey, &used, NOW + 1000, GRACE)
        .await
        .unwrap();
    assert_eq!(soon, Swept::default());
    let late = blobs
        .sweep(&survey, &used, NOW + 600_000, GRACE)
        .await
        .unwrap();
    assert_eq!(
        late,
        Swept {
            blobs: 4,
            bytes: (5 * CHUNK_BYTES + 8) as u64
        }
    );
    assert_eq!(blobs.get(&kept).await.unwrap(), Some(noise(1)));
    assert_eq!(
        blobs.get(&code_digest(&noise(CHUNK_BYTES))).await.unwrap(),
        None
    );
}

pub(crate) async fn damage_is_noticed(kv: Arc<dyn Kv>) {
    let blobs = BlobStore::new(kv.clone());
    let digest = blobs.put(&noise(10), NOW).await.unwrap();
    kv.txn(Txn::new().then(Op::put(format!("blobs/{digest}/00000"), "other")))
        .await
        .unwrap();
    assert!(matches!(
        blobs.get(&digest).await,
        Err(BlobError::Damaged { .. })
    ));
}

/// Sweeps between deploys of the same code, without any grace time: no function is ever left without its code.
pub(crate) async fn deploys_and_sweeps_do_not_cross(kv: Arc<dyn Kv>) {
    let functions = FunctionStore::new(kv);
    let deployed = function("f", &noise(2 * CHUNK_BYTES + 5));
    let code = noise(2 * CHUNK_BYTES + 5);
    let done = AtomicBool::new(false);
    let swept = AtomicUsize::new(0);
    let deploys = async {
        for round in 0..DEPLOYS_MAX {
            if round >= DEPLOYS_MIN && swept.load(Ordering::SeqCst) > 0 {
                break;
            }
            match functions.create(&deployed, &code, NOW).await {
                Ok(_) => {
                    let found = functions.blobs().get(&deployed.version.code).await.unwrap();
                    assert_eq!(found.as_ref(), Some(&code));
                }
                Err(DeployError::Code(BlobError::Contended { .. })) => {}
                Err(other) => panic!("{other:?}"),
            }
            functions
                .delete(&deployed.space, &deployed.name)
                .await
                .unwrap();
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(sweep_until(&functions, &done, &swept), deploys);
    assert!(swept.into_inner() > 0, "nothing was swept");
}

async fn sweep_until(functions: &FunctionStore, done: &AtomicBool, swept: &AtomicUsize) {
    while !done.load(Ordering::SeqCst) {
        let survey = functions.blobs().survey().await.unwrap();
        let loaded = functions.load_all().await.unwrap();
        let named = loaded
            .functions
            .iter()
            .map(|one| one.function.version.code)
            .collect();
        let one = functions
            .blobs()
            .sweep(&survey, &named, NOW, Duration::ZERO)
            .await
            .unwrap();
        swept.fetch_add(one.blobs, Ordering::SeqCst);
    }
}

pub(crate) fn node_record(epoch: &str) -> NodeRecord {
    NodeRecord {
        schema: NodeRecord::SCHEMA,
        epoch: epoch.to_owned(),
        kind: NodeRecord::NODE.to_owned(),
        url: "http://127.0.0.1:1323".to_owned(),
        arch: "amd64".to_owned(),
        version: "0.1.0".to_owned(),
        memory_mib: 1024,
        cpu_milli: 2000,
        runtimes: vec!["wasm".to_owned()],
        draining: false,
        started_unix_ms: NOW,
    }
}

pub(crate) async fn a_nodes_record_says_which_of_its_lives_runs(kv: Arc<dyn Kv>) {
    let nodes = NodeStore::new(kv.clone());
    let owner = Owner {
        area: "ROME".to_owned(),
        node: "n1".to_owned(),
        epoch: "first".to_owned(),
    };
    let gone = nodes.gone(&owner).await.unwrap().unwrap();
    let lease = kv.lease_grant(Duration::from_secs(60)).await.unwrap().id;
    let start = nodes.load_all().await.unwrap();
    assert!(start.nodes.is_empty());
    let mut watch = nodes.watch(Some(start.revision.next())).await.unwrap();
    nodes
        .register("ROME", "n1", &node_record("first"), lease)
        .await
        .unwrap();
    assert_eq!(nodes.gone(&owner).await.unwrap(), None);
    // What was proof then is none now.
    let stale = kv
        .txn(
            Txn::new()
                .when(gone.compare.clone())
                .then(Op::put("taken", "over")),
        )
        .await
        .unwrap();
    assert!(!stale.succeeded);
    nodes
        .register("ROME", "n1", &node_record("second"), lease)
        .await
        .unwrap();
    assert!(nodes.gone(&owner).await.unwrap().is_some());
    kv.lease_revoke(lease).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(watch.next().await.unwrap());
    }
    let words: Vec<_> = seen
        .iter()
        .map(|change| match change {
            NodeChange::Up(known) => known.record.epoch.as_str(),
            NodeChange::Down { node, .. } => node.as_str(),
        })
        .collect();
    assert_eq!(words, ["first", "second", "n1"]);
    assert!(nodes.get("ROME", "n1").await.unwrap().is_none());
}
