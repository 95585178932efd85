//! A node that is killed with -9 in mid-write starts again with everything that it had acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::asynchronous::{poll, submit};
use crate::guests;
use crate::support::{Connection, Node, Request, Setup, beside, joined, wait_for};

const ROUNDS: u64 = 8;
const WRITERS: usize = 2;

/// The changes that the node has acknowledged: name and constant of each function.
type Acknowledged = Mutex<BTreeMap<String, u64>>;

#[test]
fn acknowledged_deployments_survive_kills() -> Result<()> {
    let acknowledged = Acknowledged::default();
    let counter = AtomicU64::new(1);
    let mut node = Setup::new()?.with("wasm.compile_parallel", 2).start()?;
    for round in 0..ROUNDS {
        let before = lock(&acknowledged).len();
        let wanted = before + 1 + usize::try_from(round)?;
        let ended = std::thread::scope(|scope| {
            let address = node.address;
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    beside(scope, {
                        let acknowledged = &acknowledged;
                        let counter = &counter;
                        move || deploy_until_killed(address, writer, counter, acknowledged)
                    })
                })
                .collect();
            wait_for("deployments", || {
                Ok((lock(&acknowledged).len() >= wanted).then_some(()))
            })?;
            let ended = node.kill()?;
            writers.into_iter().try_for_each(joined)?;
            anyhow::Ok(ended)
        })?;
        ensure!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        node = ended.restart()?;
        check(&node, &lock(&acknowledged))?;
    }
    let names = node.names()?;
    let node = node.stop()?.restart()?;
    assert_eq!(node.names()?, names);
    Ok(())
}

fn lock(acknowledged: &Acknowledged) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
    acknowledged
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Creates functions, replaces one of its own now and then, until the node is gone.
fn deploy_until_killed(
    address: std::net::SocketAddr,
    writer: usize,
    counter: &AtomicU64,
    acknowledged: &Acknowledged,
) -> Result<()> {
    let Ok(mut connection) = Connection::open(address) else {
        return Ok(());
    };
    loop {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let replacing = number.is_multiple_of(5);
        let (route, name) = if replacing {
            ("/update", format!("w{writer}"))
        } else {
            ("/create", format!("f{number}"))
        };
        let body = crate::support::node::deployment(
            &name,
            guests::constant(number).as_bytes(),
            &json!({}),
        );
        if replacing {
            // Between the request and its answer either value may be there.
            lock(acknowledged).remove(&name);
        }
        let Ok(response) = connection.send(&Request::json(route, &body)) else {
            return Ok(());
        };
        ensure!(response.status == 200, "{name}: {}", response.text());
        lock(acknowledged).insert(name, number);
    }
}

/// Everything acknowledged is listed and runs at once: its machine code survived as well.
fn check(node: &Node, acknowledged: &BTreeMap<String, u64>) -> Result<()> {
    let names = node.names()?;
    let mut connection = node.connect()?;
    for (name, number) in acknowledged {
        ensure!(names.contains(name), "{name} is lost; there are {names:?}");
        let response = connection.send(&Request::post(&format!("/invoke/{name}"), ""))?;
        assert_eq!(response.result()?, json!({ "n": number }), "{name}");
    }
    let log = node.stderr();
    for name in acknowledged.keys() {
        ensure!(
            !log.contains(&format!(" prepared name={name} ")),
            "{name} was compiled again:\n{log}"
        );
    }
    Ok(())
}

#[test]
fn accepted_invocations_survive_kills() -> Result<()> {
    let node = Setup::new()?.with("async.concurrency_max", 2).start()?;
    node.deploy("slow", guests::sleeper(200))?;
    node.deploy_example("add")?;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push((submit(&node, "slow")?, json!({"done": true})));
        ids.push((submit(&node, "add")?, json!({"sum": 3})));
    }
    let finished = poll(&node, &ids[0].0)?.body;
    let mut node = node.kill()?.restart()?;
    // Killed again while it recovers.
    poll(&node, &ids[3].0)?.result()?;
    node = node.kill()?.restart()?;
    for (id, result) in &ids {
        assert_eq!(poll(&node, id)?.result()?, *result, "{id}");
    }
    assert_eq!(poll(&node, &ids[0].0)?.body, finished, "an outcome changed");
    node.wait_until_free()?;
    node.stop()?;
    Ok(())
}

/// A function that is deleted stays so.
#[test]
fn deletions_survive_kills() -> Result<()> {
    let node = Node::start()?;
    for n in 0..5 {
        node.deploy(&format!("f{n}"), guests::constant(n))?;
    }
    for n in [1, 3] {
        assert_eq!(
            node.post("/delete", &json!({ "Name": format!("f{n}") }))?
                .status,
            200
        );
    }
    let node = node.kill()?.restart()?;
    assert_eq!(node.names()?, ["f0", "f2", "f4"]);
    node.deploy("f1", guests::constant(11))?;
    assert_eq!(node.invoke("f1", &json!({}))?.result()?, json!({"n": 11}));
    Ok(())
}

/// Two nodes never write one data folder.
#[test]
fn a_data_folder_has_one_node() -> Result<()> {
    let setup = Setup::new()?;
    let data = setup.data();
    let node = setup.start()?;
    let second = Setup::new()?.with("data.dir", data.display()).start();
    let error = second
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(error.contains("failed to use"), "{error}");
    assert_eq!(node.get("/healthz")?.status, 200);
    Ok(())
}
