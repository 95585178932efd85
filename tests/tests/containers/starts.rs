//! Cold starts: with template containers and without, one and many at once.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{ECHO, Lab, Request, beside, joined, wait_for};

#[test]
fn template_containers_wait_for_functions_and_are_replaced() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("container.cells", 2))?;
    assert!(
        lab.containers()?.is_empty(),
        "none is made for runtimes that nobody uses"
    );
    lab.python("f", ECHO)?;
    let cells = || lab.engine.containers_of_kind(&lab.id, "cell");
    wait_for("two template containers", || {
        Ok((cells()?.len() == 2).then_some(()))
    })?;
    let before = lab.wait_for_containers(2)?;
    let cold = lab.invoke("f", &json!([1]))?;
    assert_eq!(
        (cold.result()?, &cold.json()?["IsWarmStart"]),
        (json!([1]), &json!(false))
    );
    // One of them has its function now, and there is a new one behind it.
    let after = lab.wait_for_containers(3)?;
    assert!(
        before.iter().all(|cell| after.contains(cell)),
        "{before:?} {after:?}"
    );
    assert!(lab.call_is_warm("f")?);
    lab.stop().map(drop)
}

/// Deploys so many functions, and calls each of them for the first time at the same time.
fn check_many(cells: u32, count: usize) -> Result<()> {
    let lab = Lab::with(|setup| setup.with("container.cells", cells))?;
    let code = "import os\ndef handler(params): return [os.environ['NAME'], params]\n";
    std::thread::scope(|scope| {
        let deploys = (0..4).map(|part| {
            let lab = &lab;
            beside(scope, move || {
                (0..count).filter(|n| n % 4 == part).try_for_each(|n| {
                    lab.python_with(
                        &format!("f{n}"),
                        code,
                        &json!({"MemoryMB": 32, "Env": {"NAME": format!("f{n}")}}),
                    )
                })
            })
        });
        let deploys: Vec<_> = deploys.collect();
        deploys.into_iter().try_for_each(joined)
    })?;
    let mut calls = Vec::new();
    for n in 0..count {
        let mut call = lab.connect()?;
        call.send_only(&Request::json(
            &format!("/invoke/f{n}"),
            &json!({ "Params": n }),
        ))?;
        calls.push(call);
    }
    for (n, mut call) in calls.into_iter().enumerate() {
        let answer = call.receive(false)?;
        assert_eq!(answer.result()?, json!([format!("f{n}"), n]));
        assert_eq!(answer.json()?["IsWarmStart"], false);
    }
    let warm: Value = (0..count)
        .map(|n| (format!("f{n}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(lab.status()?["AvailableWarmContainers"], warm);
    lab.wait_until_free()?;
    lab.stop().map(drop)
}

#[test]
fn twenty_functions_start_at_once_from_template_containers() -> Result<()> {
    check_many(2, 20)
}

#[test]
fn functions_start_at_once_without_template_containers() -> Result<()> {
    check_many(0, 6)
}

/// Ten callers of one function that is not running: each is served, by containers that stay.
#[test]
fn a_crowd_at_a_cold_function() -> Result<()> {
    let lab = Lab::start()?;
    lab.python_with("f", ECHO, &json!({"MemoryMB": 64, "MaxConcurrency": 4}))?;
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|n| {
                let lab = &lab;
                beside(scope, move || {
                    lab.call("f", &json!(n)).map(|answer| assert_eq!(answer, n))
                })
            })
            .collect();
        calls.into_iter().try_for_each(joined)
    })?;
    lab.wait_until_free()?;
    assert!(lab.call_is_warm("f")?);
    Ok(())
}
