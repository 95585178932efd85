//! Machine code on disk and in memory: what was changed is never loaded, what is lost is made again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;
use serverledge_core::{Executor, FunctionLimits, StartError, Version};
use serverledge_executor_wasm::WasmExecutor;

use crate::support::{Lab, command, data, echo, json_of};

/// A lab with one prepared echo, restarted: nothing is loaded.
async fn restarted() -> (Lab, Arc<Version>) {
    let mut lab = Lab::new();
    let version = lab.version(echo(), FunctionLimits::default()).await;
    lab.restart();
    (lab, version)
}

async fn not_prepared(lab: &Lab, version: &Arc<Version>) {
    let started = lab.executor.start(version).await;
    assert!(
        matches!(&started, Err(StartError::NotPrepared(code)) if *code == version.code),
        "{started:?}"
    );
}

/// Does what a node does after `NotPrepared`.
async fn heals(lab: &Lab, version: &Arc<Version>) {
    lab.executor
        .prepare(version, echo().into(), &())
        .await
        .unwrap();
    let started = lab.executor.start(version).await;
    assert!(
        started.is_ok(),
        "prepared again, it still does not start: {:?}",
        started.err()
    );
    assert_eq!(
        json_of(&lab.invoke(version, "[1]").await.unwrap()),
        json!([1])
    );
}

#[tokio::test]
async fn machine_code_survives_a_restart() {
    let (lab, version) = restarted().await;
    assert!(lab.executor.is_prepared(&version));
    let started = lab.executor.start(&version).await.unwrap();
    assert!(
        !started.warm && matches!(*started.phases, [("load", time)] if !time.is_zero()),
        "{started:?}"
    );
    assert!(
        lab.executor.start(&version).await.unwrap().warm,
        "the second start loads nothing"
    );
    assert_eq!(
        json_of(&lab.invoke(&version, "[1]").await.unwrap()),
        json!([1])
    );
}

#[tokio::test]
async fn the_cache_is_its_owners_alone() {
    let (lab, _) = restarted().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&lab.config.cache_dir), 0o700);
    assert_eq!(mode(&lab.config.cache_dir.join("key")), 0o600);
    let files = lab.cached_files();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
        assert_eq!(mode(file.parent().unwrap()), 0o700);
    }
}

#[tokio::test]
async fn changed_machine_code_is_not_loaded() {
    for position in [0, usize::MAX] {
        let (lab, version) = restarted().await;
        let path = lab.cached(&version, "cwasm");
        let mut bytes = fs::read(&path).unwrap();
        let position = position.min(bytes.len() - 1);
        bytes[position] ^= 1;
        fs::write(&path, bytes).unwrap();
        not_prepared(&lab, &version).await;
        heals(&lab, &version).await;
    }
}

#[tokio::test]
async fn truncated_machine_code_is_not_loaded() {
    for keep in [0, 100] {
        let (lab, version) = restarted().await;
        let file = fs::OpenOptions::new()
            .write(true)
            .open(lab.cached(&version, "cwasm"))
            .unwrap();
        file.set_len(keep).unwrap();
        not_prepared(&lab, &version).await;
        heals(&lab, &version).await;
    }
}

#[tokio::test]
async fn longer_machine_code_is_not_loaded() {
    let (lab, version) = restarted().await;
    let path = lab.cached(&version, "cwasm");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    not_prepared(&lab, &version).await;
    heals(&lab, &version).await;
}

#[tokio::test]
async fn missing_files_are_made_again() {
    for extension in ["json", "cwasm"] {
        let (lab, version) = restarted().await;
        fs::remove_file(lab.cached(&version, extension)).unwrap();
        assert!(
            !lab.executor.is_prepared(&version),
            "without its {extension} nothing is prepared"
        );
        not_prepared(&lab, &version).await;
        heals(&lab, &version).await;
    }
}

#[tokio::test]
async fn changed_labels_are_not_believed() {
    type Change = fn(String) -> String;
    let changes: [(&str, Change); 4] = [
        ("another interface", |label| {
            label.replace("\"command\"", "\"reactor\"")
        }),
        ("less memory", |label| label.replace("262144", "65536")),
        ("no JSON", |_| "}".to_owned()),
        ("nothing", |_| String::new()),
    ];
    for (what, change) in changes {
        let (lab, version) = restarted().await;
        let path = lab.cached(&version, "json");
        let label = fs::read_to_string(&path).unwrap();
        let changed = change(label.clone());
        assert_ne!(label, changed, "{what} changes nothing in {label}");
        fs::write(&path, changed).unwrap();
        not_prepared(&lab, &version).await;
        heals(&lab, &version).await;
    }
}

/// An upgraded node must know before the first call that it has to compile again.
#[tokio::test]
async fn labels_that_lack_a_fact_count_as_not_prepared() {
    let (lab, version) = restarted().await;
    let path = lab.cached(&version, "json");
    let mut label: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let compiled = label["compiled"].as_object_mut().unwrap();
    assert!(compiled.remove("is_restorable").is_some());
    fs::write(&path, label.to_string()).unwrap();
    assert!(!lab.executor.is_prepared(&version));
    not_prepared(&lab, &version).await;
    heals(&lab, &version).await;
}

#[tokio::test]
async fn machine_code_of_another_key_is_not_loaded() {
    let (mut lab, version) = restarted().await;
    fs::write(lab.config.cache_dir.join("key"), [7; 32]).unwrap();
    lab.restart();
    not_prepared(&lab, &version).await;
    heals(&lab, &version).await;
}

#[tokio::test]
async fn a_lost_key_is_made_anew_and_a_broken_one_is_told() {
    let (mut lab, version) = restarted().await;
    let key = lab.config.cache_dir.join("key");
    fs::remove_file(&key).unwrap();
    lab.restart();
    not_prepared(&lab, &version).await;
    fs::write(&key, b"short").unwrap();
    let told = WasmExecutor::open(lab.config.clone())
        .unwrap_err()
        .to_string();
    assert!(told.contains("key"), "{told}");
}

/// The seal covers the digest: machine code of one module under the name of another is not loaded.
#[tokio::test]
async fn machine_code_of_another_module_is_not_loaded() {
    let (mut lab, version) = restarted().await;
    let other = lab
        .version(command("", "unreachable"), FunctionLimits::default())
        .await;
    for extension in ["cwasm", "json"] {
        fs::copy(
            lab.cached(&other, extension),
            lab.cached(&version, extension),
        )
        .unwrap();
    }
    lab.restart();
    not_prepared(&lab, &version).await;
    heals(&lab, &version).await;
}

#[tokio::test]
async fn few_loaded_modules_serve_many() {
    type Bound = fn(&mut serverledge_executor_wasm::WasmConfig);
    let bounds: [Bound; 4] = [
        |config| config.loaded_max = 1,
        |config| config.loaded_max = 0,
        |config| config.loaded_bytes_max = 1,
        |config| config.loaded_bytes_max = 0,
    ];
    for bound in bounds {
        let lab = Lab::with(bound);
        let constant = |text: &str| {
            command(
                &data(0x100, text),
                "(call $emit (i32.const 0x100) (i32.const 1))",
            )
        };
        let one = lab.version(constant("1"), FunctionLimits::default()).await;
        let two = lab.version(constant("2"), FunctionLimits::default()).await;
        for _ in 0..5 {
            assert_eq!(json_of(&lab.invoke(&one, "{}").await.unwrap()), json!(1));
            assert_eq!(json_of(&lab.invoke(&two, "{}").await.unwrap()), json!(2));
        }
        assert!(
            !lab.executor.start(&one).await.unwrap().warm,
            "the bound was passed over"
        );
        // A sandbox keeps its module while others push it out.
        let sandbox = lab.start(&one).await.unwrap();
        lab.invoke(&two, "{}").await.unwrap();
        let outcome = sandbox
            .invoke(
                crate::support::call("{}"),
                serverledge_testing::fake_host::FakeHost::new().0,
            )
            .await;
        assert_eq!(json_of(&outcome.unwrap()), json!(1));
    }
}

/// However many ask at once for a module that is not loaded, all get it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_starts_share_one_load() {
    let (lab, version) = restarted().await;
    let runs = (0..30).map(|n: i32| {
        let lab = &lab;
        let version = &version;
        async move {
            assert_eq!(
                json_of(&lab.invoke(version, &n.to_string()).await.unwrap()),
                json!(n)
            )
        }
    });
    futures_util::future::join_all(runs).await;
}
