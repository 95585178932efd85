//! The pool: several calls in one container, a queue where there are too many, eviction, expiry, prewarming.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use serde_json::json;

use crate::support::{ECHO, Lab, Request, beside, is_free, joined, wait_for};

/// Nobody leaves before eight are inside: they must be in one process.
const MEETING: &str = "import threading
meeting = threading.Barrier(8)
def handler(params):
    if params.get('alone'): return 'alone'
    meeting.wait(30)
    print('word of', params['n'])
    return params['n']
";

#[test]
fn one_container_takes_as_many_calls_as_declared() -> Result<()> {
    let lab = Lab::start()?;
    lab.python_with(
        "f",
        MEETING,
        &json!({"MaxConcurrency": 8, "CPUDemand": 0.5}),
    )?;
    assert_eq!(lab.call("f", &json!({"alone": true}))?, "alone");
    lab.wait_for_containers(1)?;
    std::thread::scope(|scope| {
        let call = |n: u32| {
            let body = json!({"Params": {"n": n}, "ReturnOutput": true});
            let lab = &lab;
            beside(scope, move || {
                let answer = lab.post("/invoke/f", &body)?;
                assert_eq!(answer.result()?, n);
                // Nobody hears what another one says.
                assert_eq!(answer.json()?["Output"], format!("word of {n}\n"));
                Ok(())
            })
        };
        let calls: Vec<_> = (0..8).map(call).collect();
        calls.into_iter().try_for_each(joined)
    })?;
    assert_eq!(lab.containers()?.len(), 1);
    lab.wait_until_free()?;
    lab.wait_for_warm("f", 1)
}

/// Each of 32 clients asks several times; there is room for two at once.
#[test]
fn a_crowd_waits_and_is_served() -> Result<()> {
    let lab = Lab::with(|setup| {
        setup
            .with("container.pool.memory", 256)
            .with("container.pool.cpus", 2)
    })?;
    lab.python_with("f", ECHO, &json!({"MemoryMB": 128, "CPUDemand": 0.1}))?;
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = |n: usize| {
            let lab = &lab;
            let served = &served;
            beside(scope, move || {
                let mut connection = lab.connect()?;
                for turn in 0..10 {
                    let body = json!({"Params": [n, turn]});
                    let answer = connection.send(&Request::json("/invoke/f", &body))?;
                    assert_eq!(answer.result()?, json!([n, turn]));
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let clients: Vec<_> = (0..32).map(client).collect();
        clients.into_iter().try_for_each(joined)
    })?;
    assert_eq!(served.into_inner(), 320, "nobody is refused");
    assert!(lab.containers()?.len() <= 2, "there is room for two");
    lab.wait_until_free()
}

/// Room is made by letting go of another function's idle containers, and only of as many as it takes.
#[test]
fn idle_containers_make_room() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("container.pool.memory", 256))?;
    for name in ["a", "b"] {
        lab.python_with(name, ECHO, &json!({"MemoryMB": 128, "Env": {"NAME": name}}))?;
    }
    let prewarmed = lab.post("/prewarm", &json!({"Function": "a", "Instances": 5}))?;
    assert_eq!(
        prewarmed.json()?,
        json!({"Prewarmed": 2}),
        "as many as there is room for"
    );
    assert_eq!(lab.status()?["FreeMemory"], 0);
    assert!(!lab.call_is_warm("b")?);
    wait_for("one warm container of each", || {
        Ok((lab.status()?["AvailableWarmContainers"] == json!({"a": 1, "b": 1})).then_some(()))
    })?;
    lab.wait_for_containers(2)?;
    assert!(lab.call_is_warm("a")? && lab.call_is_warm("b")?);
    // A busy one is not let go: who needs its room waits.
    lab.python_with(
        "slow",
        &crate::support::sleeper(1.0),
        &json!({"MemoryMB": 256}),
    )?;
    let mut call = lab.connect()?;
    call.send_only(&Request::post("/invoke/slow", ""))?;
    lab.wait_for_status("Running", 1)?;
    assert_eq!(lab.call("a", &json!({}))?, json!({}));
    assert_eq!(call.receive(false)?.result()?, "done");
    lab.wait_until_free()
}

#[test]
fn idle_containers_expire() -> Result<()> {
    let lab = Lab::with(|setup| {
        setup
            .with("container.expiration", "1s")
            .with("janitor.interval", "1s")
    })?;
    lab.python("f", ECHO)?;
    assert!(!lab.call_is_warm("f")?);
    lab.wait_for_warm("f", 0)?;
    lab.wait_for_containers(0)?;
    assert!(!lab.call_is_warm("f")?, "it starts again");
    lab.wait_for_containers(0)?;
    wait_for("a node with everything free", || {
        let status = lab.status()?;
        Ok((is_free(&status) && status["FreeMemory"] == status["TotalMemory"]).then_some(()))
    })
}

/// In Go Serverledge the janitor took what had just been prewarmed.
#[test]
fn prewarmed_containers_survive_the_janitor() -> Result<()> {
    let lab = Lab::with(|setup| {
        setup
            .with("container.expiration", "600s")
            .with("janitor.interval", "1s")
    })?;
    lab.python("f", ECHO)?;
    let prewarmed = lab.post("/prewarm", &json!({"Function": "f", "Instances": 2}))?;
    assert_eq!(prewarmed.json()?, json!({"Prewarmed": 2}));
    let ids = lab.wait_for_containers(2)?;
    let uptime = || anyhow::Ok(lab.status()?["Uptime"].as_f64().unwrap_or_default());
    let begun = uptime()?;
    wait_for("three rounds of the janitor", || {
        Ok((uptime()? > begun + 3.5).then_some(()))
    })?;
    assert_eq!(
        (
            lab.containers()?,
            &lab.status()?["AvailableWarmContainers"]["f"]
        ),
        (ids, &json!(2))
    );
    assert!(lab.call_is_warm("f")?);
    Ok(())
}
