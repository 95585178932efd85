//! An instance begins as its module lays it out: nothing of an earlier one is left in the pool's memory.

use anyhow::Result;
use serde_json::json;

use crate::guests;
use crate::support::{Node, Request, Setup, beside, joined};

const CALLERS: usize = 4;
const CALLS: usize = 600;

/// One memory within what the pool keeps resident, one far beyond it: both ways of resetting.
#[test]
fn no_foreign_byte_is_found() -> Result<()> {
    let node = Setup::new()?.with("wasm.instances_max", 4).start()?;
    node.deploy("small", guests::spy(6, 0x5ec2_e75e_c2e7_0001))?;
    node.deploy("large", guests::spy(24, 0x5ec2_e75e_c2e7_0002))?;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                beside(scope, {
                    let node = &node;
                    move || alternate(node, caller)
                })
            })
            .collect();
        callers.into_iter().try_for_each(joined)
    })?;
    node.wait_until_free()?;
    node.stop()?;
    Ok(())
}

fn alternate(node: &Node, caller: usize) -> Result<()> {
    let mut connection = node.connect()?;
    for call in 0..CALLS {
        // Two of one, two of the other, shifted by caller: each slot sees both, in every order.
        let function = if (call / 2 + caller).is_multiple_of(2) {
            "small"
        } else {
            "large"
        };
        let found = connection
            .send(&Request::post(&format!("/invoke/{function}"), ""))?
            .result()?;
        assert_eq!(
            found,
            json!(false),
            "{function} found a foreign byte in call {call}"
        );
    }
    Ok(())
}

/// The same after failures of every kind: what was cut off in mid-run leaves nothing either.
#[test]
fn failures_leave_nothing_behind() -> Result<()> {
    let node = Setup::new()?.with("wasm.instances_max", 2).start()?;
    node.deploy("spy", guests::spy(8, 0x5ec2_e75e_c2e7_0003))?;
    // Fills what it can reach, then fails.
    let fill = "(memory.fill (i32.const 2048) (i32.const 165) (i32.const 120000)) (drop (memory.grow (i32.const 10)))
        (memory.fill (i32.const 131072) (i32.const 165) (i32.const 655360))";
    node.deploy("trap", guests::command(&format!("{fill} unreachable")))?;
    node.deploy_with(
        "spin",
        guests::command(&format!("{fill} (loop $l (br $l))")),
        &json!({"Timeout": 0.05}),
    )?;
    for _ in 0..15 {
        for failing in ["trap", "spin"] {
            assert_eq!(node.invoke(failing, &json!({}))?.status, 500);
            assert_eq!(node.invoke("spy", &json!({}))?.result()?, json!(false));
        }
    }
    Ok(())
}
