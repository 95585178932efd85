//! Functions that misbehave, and the effect on their containers: typed errors, nothing hangs, nothing is left.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use serverledge_core::{
    Executor, FailureKind, FunctionLimits, InvokeError, MemoryMib, Reuse, Version,
};
use tokio::time::Instant;

use crate::escapes::processes_with;
use crate::support::{
    ECHO, Lab, docker, failure, invoke, json_of, kind, nodejs, nodejs_with, python, python_with,
    refusal, start_words, timeout, unique, wait_until,
};

/// Bytes that this process holds in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_killed_while_idle_is_gone() {
    let lab = Lab::new().await;
    let version = lab.python(ECHO).await;
    let sandbox = lab.start(&version).await;
    invoke(sandbox.as_ref(), json!(1)).await.unwrap();
    docker(&["kill", &lab.container().await]);
    let outcome = invoke(sandbox.as_ref(), json!(2)).await;
    assert!(matches!(outcome, Err(InvokeError::Gone)), "{outcome:?}");
    assert_eq!(sandbox.reuse(), Reuse::Once);
    sandbox.stop().await.unwrap();
    lab.still_serves(&version).await;
    assert!(
        lab.containers().is_empty() && lab.files("sockets").is_empty(),
        "something is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_killed_while_it_runs_has_exited() {
    let lab = Lab::new().await;
    let code = "import time\ndef handler(p):\n    print('busy')\n    time.sleep(30)\n";
    let version = lab.python(code).await;
    for stop in ["kill", "stop"] {
        let sandbox = lab.start(&version).await;
        let container = lab.container().await;
        let mut running = std::pin::pin!(invoke(sandbox.as_ref(), Value::Null));
        // Once the invocation has begun.
        assert!(
            tokio::time::timeout(Duration::from_millis(500), running.as_mut())
                .await
                .is_err()
        );
        tokio::task::spawn_blocking(move || docker(&[stop, &container]))
            .await
            .unwrap();
        let failed = failure(running.await);
        assert_eq!(failed.kind, FailureKind::Exited, "{failed:?}");
        assert_eq!(sandbox.reuse(), Reuse::Once);
        sandbox.stop().await.unwrap();
    }
}

/// Kind and message of what a handler does, one row each; the sandbox says whether it may serve again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_that_ends_badly() {
    let rows: [(&str, FailureKind, &str, Reuse); 11] = [
        ("os._exit(3)", FailureKind::Exited, "code 3", Reuse::Once),
        ("sys.exit(4)", FailureKind::Exited, "code 4", Reuse::Once),
        (
            "os.kill(os.getpid(), 11); time.sleep(5)",
            FailureKind::Exited,
            "code 139",
            Reuse::Once,
        ),
        (
            "os.kill(1, 15); time.sleep(20)",
            FailureKind::Exited,
            "code",
            Reuse::Once,
        ),
        (
            "os.closerange(0, 1000); time.sleep(5)",
            FailureKind::Exited,
            "",
            Reuse::Once,
        ),
        (
            "return {1, 2}",
            FailureKind::BadOutput,
            "set",
            Reuse::Pooled,
        ),
        (
            "return float('nan')",
            FailureKind::BadOutput,
            "",
            Reuse::Pooled,
        ),
        (
            "return b'bytes'",
            FailureKind::BadOutput,
            "bytes",
            Reuse::Pooled,
        ),
        (
            "return 'x' * (7 << 20)",
            FailureKind::OutputLimit,
            "",
            Reuse::Pooled,
        ),
        (
            "raise KeyError('no such key')",
            FailureKind::Error,
            "KeyError: 'no such key'",
            Reuse::Pooled,
        ),
        (
            "return (lambda f: f(f))(lambda f: f(f))",
            FailureKind::Error,
            "RecursionError",
            Reuse::Pooled,
        ),
    ];
    let lab = Lab::with_cells(2).await;
    let code = |line: &str| format!("import os, sys, time\ndef handler(p):\n    {line}\n");
    for (line, wanted, words, reuse) in rows {
        let version = lab.python(&code(line)).await;
        let sandbox = lab.start(&version).await;
        let began = Instant::now();
        let failed = failure(invoke(sandbox.as_ref(), Value::Null).await);
        assert_eq!(failed.kind, wanted, "{line}: {failed:?}");
        assert!(failed.message.contains(words), "{line}: {failed:?}");
        assert_eq!(sandbox.reuse(), reuse, "{line}");
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{line} took {:?}",
            began.elapsed()
        );
        sandbox.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodejs_that_ends_badly() {
    let rows: [(&str, FailureKind, &str); 8] = [
        ("process.exit(3)", FailureKind::Exited, "code 3"),
        ("process.abort()", FailureKind::Exited, "code"),
        (
            "process.kill(process.pid, 'SIGKILL')",
            FailureKind::Exited,
            "code 137",
        ),
        ("return undefined.x", FailureKind::Error, "TypeError"),
        ("return 10n", FailureKind::BadOutput, ""),
        (
            "const a = {}; a.a = a; return a",
            FailureKind::BadOutput,
            "",
        ),
        ("return 'x'.repeat(7 << 20)", FailureKind::OutputLimit, ""),
        (
            "return Promise.reject(new RangeError('later'))",
            FailureKind::Error,
            "RangeError: later",
        ),
    ];
    let lab = Lab::new().await;
    for (line, wanted, words) in rows {
        let code = format!("exports.handler = params => {{ {line}; }};");
        let version = lab.prepared(nodejs(&code), &code).await;
        let sandbox = lab.start(&version).await;
        let failed = failure(invoke(sandbox.as_ref(), Value::Null).await);
        assert_eq!(failed.kind, wanted, "{line}: {failed:?}");
        assert!(failed.message.contains(words), "{line}: {failed:?}");
        sandbox.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_memory_is_told() {
    let lab = Lab::new().await;
    let small = FunctionLimits {
        memory: MemoryMib::new(64),
        ..timeout(60)
    };
    let py = "def handler(p):\n    all = []\n    while True: all.append(bytearray(1 << 20))\n";
    assert_eq!(
        kind(lab.run(python_with(py, small), py, Value::Null).await),
        FailureKind::MemoryLimit
    );
    let small = FunctionLimits {
        memory: MemoryMib::new(128),
        ..timeout(60)
    };
    let heap =
        "exports.handler = () => { const all = []; for (;;) all.push(new Array(1000).fill({})); };";
    assert_eq!(
        kind(lab.run(nodejs_with(heap, small), heap, Value::Null).await),
        FailureKind::MemoryLimit
    );
    let buffers =
        "exports.handler = () => { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)); };";
    assert_eq!(
        kind(
            lab.run(nodejs_with(buffers, small), buffers, Value::Null)
                .await
        ),
        FailureKind::MemoryLimit
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_ends_and_gives_the_processor_back() {
    let lab = Lab::new().await;
    let mark = unique("spin");
    let code = format!(
        "import subprocess\ndef handler(p):\n    subprocess.Popen(['python3', '-c', 'while True: pass', '{mark}'])\n    while True: pass\n"
    );
    let version = lab.prepared(python_with(&code, timeout(5)), &code).await;
    let sandbox = lab.start(&version).await;
    let began = Instant::now();
    assert_eq!(
        kind(invoke(sandbox.as_ref(), Value::Null).await),
        FailureKind::TimeLimit
    );
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "the limit took {:?}",
        began.elapsed()
    );
    wait_until("the loop that it has begun", || processes_with(&mark) == 1).await;
    // As the pool does with a sandbox that says Once, without waiting for it.
    drop(sandbox);
    wait_until("the end of the loop", || processes_with(&mark) == 0).await;
    lab.wait_for_containers(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_costs_little() {
    let lab = Lab::new().await;
    let code = "def handler(p):\n    line = 'x' * 1023\n    for _ in range(1 << 18): print(line)\n    print('the end')\n    return 1\n";
    let version = lab.prepared(python_with(code, timeout(50)), code).await;
    let sandbox = lab.start(&version).await;
    let before = resident();
    let began = Instant::now();
    let outcome = invoke(sandbox.as_ref(), Value::Null).await.unwrap();
    assert!(
        outcome.log.len() <= lab.config.log_bytes_max,
        "{} bytes of log",
        outcome.log.len()
    );
    assert!(
        outcome.log.ends_with(b"the end\n"),
        "the end of the log is kept"
    );
    assert!(
        resident() < before + (128 << 20),
        "memory grew from {before} to {}",
        resident()
    );
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "it took {:?}",
        began.elapsed()
    );
    sandbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_does_not_load_is_refused_with_its_own_words() {
    let lab = Lab::with(|config| {
        // Two of them take all of it.
        config.start_timeout = Duration::from_secs(20);
        config.cells = 1;
    })
    .await;
    let rows: [(&str, &str, &[&str]); 9] = [
        (
            "def handler(p)\n    return 1\n",
            "load_failed",
            &["SyntaxError", "main.py", "line 1"],
        ),
        ("x = 1\n", "handler_missing", &["handler"]),
        ("handler = 7\n", "handler_missing", &["handler"]),
        (
            "import no_such_module\n",
            "load_failed",
            &["ModuleNotFoundError", "no_such_module"],
        ),
        (
            "print('loading')\ndef f(): raise ValueError('broken')\nf()\n",
            "load_failed",
            &["ValueError: broken", "line 2", "loading"],
        ),
        (
            "import time\nwhile True: time.sleep(1)\n",
            "load_timeout",
            &[],
        ),
        ("while True: pass\n", "load_timeout", &[]),
        ("import os\nos._exit(5)\n", "load_failed", &[]),
        ("import sys\nsys.exit('bye')\n", "load_failed", &[]),
    ];
    for (code, wanted, words) in rows {
        let version = python(code);
        let (told, message) = refusal(lab.prepare(&version, code).await);
        assert_eq!(told, wanted, "{code:?}: {message}");
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{code:?}: {message}"
        );
        assert!(!lab.executor.is_prepared(&version), "{code:?} was kept");
    }
    let js: [(&str, &str, &[&str]); 4] = [
        (
            "exports.handler = (",
            "load_failed",
            &["SyntaxError", "main.js"],
        ),
        ("exports.other = 1;", "handler_missing", &["handler"]),
        (
            "throw new Error('broken');",
            "load_failed",
            &["Error: broken", "main.js:1"],
        ),
        ("process.exit(5);", "load_failed", &[]),
    ];
    for (code, wanted, words) in js {
        let (told, message) = refusal(lab.prepare(&nodejs(code), code).await);
        assert_eq!(told, wanted, "{code:?}: {message}");
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{code:?}: {message}"
        );
    }
    assert!(
        lab.files("code").is_empty(),
        "nothing is kept of what was refused"
    );
    // Its code loads at deploy and not later, as code does that depends on more than itself.
    let moody = "import time\nif time.time() > float(__import__('os').environ['UNTIL']): raise OSError('too late')\ndef handler(p): pass\n";
    let until = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        + Duration::from_secs(600);
    let env = |until: f64| [("UNTIL".to_owned(), until.to_string())].into();
    let good = Version {
        env: env(until.as_secs_f64()),
        ..python(moody)
    };
    lab.prepare(&good, moody).await.unwrap();
    let bad = std::sync::Arc::new(Version {
        env: env(0.0),
        ..good
    });
    assert_eq!(
        start_words(lab.executor.start(&bad).await),
        "Error: OSError: too late"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_starts_and_deploys_leave_nothing() {
    let lab = Lab::new().await;
    let version = lab.python(ECHO).await;
    for pause in [0, 30, 120, 250, 400] {
        let start = lab.executor.start(&version);
        let dropped = tokio::time::timeout(Duration::from_millis(pause), start).await;
        drop(dropped);
        let other = format!("{ECHO}# {pause}\n");
        let unfinished = python(&other);
        let prepare = lab.executor.prepare(&unfinished, Bytes::from(other), &());
        drop(tokio::time::timeout(Duration::from_millis(pause), prepare).await);
    }
    // What was begun ends by itself, and is removed.
    lab.still_serves(&version).await;
    lab.wait_for_containers(0).await;
    assert!(lab.executor.start(&version).now_or_never().is_none());
    lab.wait_for_containers(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_starts_at_once() {
    let lab = Lab::with_cells(2).await;
    let version = lab.python(ECHO).await;
    let starts = (0..16).map(|index| {
        let lab = &lab;
        let version = &version;
        async move {
            let sandbox = lab.start(version).await;
            assert_eq!(
                json_of(&invoke(sandbox.as_ref(), json!(index)).await.unwrap()),
                json!(index)
            );
            sandbox.stop().await.unwrap();
        }
    });
    futures_util::future::join_all(starts).await;
    lab.wait_for_cells(2).await;
    lab.wait_for_containers(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stem_cell_that_died_is_not_given_out() {
    let lab = Lab::with_cells(2).await;
    let version = lab.python(ECHO).await;
    lab.wait_for_cells(2).await;
    // The one that the deploy tried the code in is gone.
    lab.wait_for_containers(2).await;
    for cell in lab.containers() {
        docker(&["kill", &cell]);
    }
    lab.still_serves(&version).await;
    lab.wait_for_containers(2).await;
    lab.still_serves(&version).await;
}
