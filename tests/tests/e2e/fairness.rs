//! A function that never ends delays nobody and is gone after its time.

use anyhow::Result;
use serde_json::json;

use crate::guests;
use crate::support::{Node, Request, beside, joined};

const LOOPS: usize = 3;
const CALLS: u64 = 400;

#[test]
fn others_are_answered_while_a_function_loops() -> Result<()> {
    let node = Node::start()?;
    node.deploy_with("spin", guests::infinite_loop(), &json!({"Timeout": 4}))?;
    node.deploy_example("add")?;
    node.deploy_example("hello")?;
    std::thread::scope(|scope| {
        let loops: Vec<_> = (0..LOOPS)
            .map(|_| beside(scope, || node.invoke("spin", &json!({}))))
            .collect();
        node.wait_for_status("Running", i64::try_from(LOOPS)?)?;
        let mut connection = node.connect()?;
        for n in 0..CALLS {
            let sum = connection.send(&Request::json(
                "/invoke/add",
                &json!({"Params": {"a": n, "b": 1}}),
            ))?;
            assert_eq!(sum.result()?, json!({"sum": n + 1}));
            let hello = connection.send(&Request::get(&format!("/fn/hello?name=n{n}")))?;
            assert_eq!(hello.json()?, json!({"message": format!("Hello, n{n}!")}));
        }
        for one in loops {
            joined(one)?.assert_problem(500, "function_timeout");
        }
        node.wait_until_free()
    })?;
    node.stop()?;
    Ok(())
}

/// As many endless functions as there are places: they end by their limit, and the node is as good as new.
#[test]
fn a_node_full_of_loops_recovers() -> Result<()> {
    let node = crate::support::Setup::new()?
        .with("wasm.instances_max", 8)
        .with("scheduler.queue.wait_max", "60s")
        .start()?;
    node.deploy_with("spin", guests::infinite_loop(), &json!({"Timeout": 5}))?;
    node.deploy_example("add")?;
    let mut loops = (0..8).map(|_| node.connect()).collect::<Result<Vec<_>>>()?;
    for connection in &mut loops {
        connection.send_only(&Request::post("/invoke/spin", ""))?;
    }
    node.wait_for_status("Running", 8)?;
    // It waits for a place, and gets one.
    assert_eq!(
        node.invoke("add", &json!({"a": 1, "b": 2}))?.result()?,
        json!({"sum": 3})
    );
    for connection in &mut loops {
        connection
            .receive(false)?
            .assert_problem(500, "function_timeout");
    }
    node.wait_until_free()
}
