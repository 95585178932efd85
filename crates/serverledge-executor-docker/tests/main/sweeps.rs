//! Nothing outlives its node: what a crash left is removed by the next run, what closes leaves nothing, what is in no use is swept.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use serverledge_core::{Executor, Runtime};
use serverledge_executor_docker::DockerExecutor;

use crate::custom::CustomImage;
use crate::support::{ECHO, Lab, invoke, json_of, python, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_nothing_for_long() {
    let mut lab = Lab::with_cells(1).await;
    let version = lab.python(ECHO).await;
    for _ in 0..2 {
        std::mem::forget(lab.start(&version).await);
    }
    lab.wait_for_cells(1).await;
    let left = lab.containers();
    assert!(left.len() >= 3, "{left:?}");
    // Another node's, started by an executor with another id.
    let dir = tempfile::tempdir().unwrap();
    let mut config = crate::support::config(dir.path());
    config.cells = 0;
    let other = DockerExecutor::open(config.clone()).unwrap();
    other.prepare(&version, ECHO.into(), &()).await.unwrap();
    let bystander = other.start(&version).await.unwrap().sandbox;

    // As a crash would: nothing of the first executor is ever dropped or called again.
    std::mem::forget(std::mem::replace(
        &mut lab.executor,
        DockerExecutor::open(lab.config.clone()).unwrap(),
    ));
    lab.executor.warm_up(&[Runtime::Python]);
    wait_until("the end of what the crash left", || {
        !lab.containers().iter().any(|id| left.contains(id))
    })
    .await;
    lab.wait_for_cells(1).await;
    assert!(lab.executor.is_prepared(&version), "prepared code survives");
    lab.still_serves(&version).await;
    assert_eq!(
        json_of(&invoke(bystander.as_ref(), json!(1)).await.unwrap()),
        json!(1),
        "another node's is untouched"
    );
    bystander.stop().await.unwrap();
    other.close().await;
}

/// The first thing that a new run does may be a start: what was left is gone before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_sweeps_first() {
    let mut lab = Lab::new().await;
    let version = lab.python(ECHO).await;
    std::mem::forget(lab.start(&version).await);
    std::mem::forget(std::mem::replace(
        &mut lab.executor,
        DockerExecutor::open(lab.config.clone()).unwrap(),
    ));
    let sandbox = lab.start(&version).await;
    lab.wait_for_containers(1).await;
    assert_eq!(
        json_of(&invoke(sandbox.as_ref(), json!(1)).await.unwrap()),
        json!(1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_nothing() {
    let lab = Lab::with_cells(2).await;
    let image = CustomImage::build();
    let version = lab.python(ECHO).await;
    let custom = lab.prepared(image.version(), "").await;
    let held = [lab.start(&version).await, lab.start(&custom).await];
    // Where each container has its own, that of the trial at deploy has to go first.
    wait_until("one network", || lab.networks().len() == 1).await;
    // One that is under way.
    let executor = lab.executor.clone();
    let underway = version.clone();
    let (closed, started) = tokio::join!(lab.executor.close(), async move {
        executor.start(&underway).await.map(|_| ())
    });
    let () = closed;
    drop(started);
    assert_eq!(lab.executor.cells_ready(), 0);
    assert_eq!(lab.containers(), Vec::<String>::new());
    assert_eq!(lab.networks(), Vec::<String>::new());
    let bridge = format!(
        "slg{}",
        &blake3::hash(lab.config.node_id.as_bytes()).to_hex()[..8]
    );
    for (table, chain) in [
        ("filter", "INPUT"),
        ("filter", "FORWARD"),
        ("mangle", "INPUT"),
        ("mangle", "FORWARD"),
    ] {
        let rules = std::process::Command::new("iptables")
            .args(["-w", "-t", table, "-S", chain])
            .output()
            .unwrap();
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        assert!(
            rules.starts_with("-P") && !rules.contains(&bridge),
            "a rule of the firewall is left: {rules}"
        );
    }
    drop(held);
    assert_eq!(lab.files("sockets"), Vec::<String>::new());
    assert!(
        lab.executor.start(&version).await.is_err(),
        "nothing starts after closing"
    );
    assert_eq!(lab.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_code_is_swept_after_its_grace() {
    let lab = Lab::new().await;
    let kept = lab.python(ECHO).await;
    let text = "def handler(p): return 2\n";
    let gone = lab.prepared(python(text), text).await;
    let in_use: HashSet<_> = [kept.code].into();
    assert_eq!(
        lab.executor.sweep(&in_use, Duration::from_secs(3600)).await,
        0,
        "it is young"
    );
    assert_eq!(lab.executor.sweep(&in_use, Duration::ZERO).await, 1);
    assert!(!lab.executor.is_prepared(&gone) && lab.executor.is_prepared(&kept));
    assert_eq!(lab.files("code").len(), 1);
    lab.still_serves(&kept).await;
}
