//! The compiling child: its limits, its end, and what its misbehaviour leaves behind.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{Executor, FunctionLimits, PrepareError};
use serverledge_executor_wasm::{WasmConfig, Worker};
use serverledge_testing::executor::version;

use crate::support::{Lab, echo, json_of, runs, wait_until};

/// A valid module whose one function keeps a compiler busy for long: many values that live across many branches.
fn heavy() -> String {
    let locals = 400;
    let mut body = String::new();
    for step in 0..40_000_u32 {
        let (a, b, c) = (
            step % locals,
            step.wrapping_mul(7919) % locals,
            step.wrapping_mul(104_729) % locals,
        );
        let operation = ["i32.add", "i32.mul", "i32.xor", "i32.sub"][step as usize % 4];
        body.push_str(&format!(
            "(local.set {a} ({operation} (local.get {b}) (local.get {c})))\n"
        ));
        if step % 8 == 0 {
            body.push_str(&format!(
                "(if (local.get {b}) (then (br_if 1 (local.get {a}))))\n"
            ));
        }
    }
    format!(
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (local {}) (block (loop {body}))))",
        "i32 ".repeat(locals as usize)
    )
}

async fn too_complex(change: impl FnOnce(&mut WasmConfig)) -> String {
    let lab = Lab::with(change);
    let told = match lab.prepare(heavy()).await {
        Err(PrepareError::TooComplex { message }) => message,
        other => panic!("a module beyond the limits gave {other:?}"),
    };
    assert!(
        lab.cached_files().is_empty(),
        "something was stored: {:?}",
        lab.cached_files()
    );
    assert!(
        !lab.executor
            .is_prepared(&version(heavy().as_bytes(), FunctionLimits::default()))
    );
    told
}

#[tokio::test]
async fn processor_time_is_limited() {
    let told = too_complex(|config| {
        config.compile.cpu_time = Duration::from_secs(1);
        config.compile.wall_time = Duration::from_secs(120);
    })
    .await;
    assert!(
        told.contains("processor time") && told.contains("1s"),
        "{told}"
    );
}

#[tokio::test]
async fn time_is_limited() {
    let told = too_complex(|config| config.compile.wall_time = Duration::from_millis(100)).await;
    assert!(told.contains("longer than 100ms"), "{told}");
}

#[tokio::test]
async fn memory_is_limited() {
    let told = too_complex(|config| config.compile.memory_bytes = 80 << 20).await;
    assert!(told.contains("80 MiB"), "{told}");
}

/// A compilation that was ended disturbs no other.
#[tokio::test]
async fn others_compile_on() {
    let lab = Lab::with(|config| {
        config.compile.cpu_time = Duration::from_secs(1);
        config.compile.parallel = 1;
    });
    let (heavy, light) = tokio::join!(lab.prepare(heavy()), lab.prepare(echo()));
    assert!(
        matches!(heavy, Err(PrepareError::TooComplex { .. })),
        "{heavy:?}"
    );
    light.unwrap();
    assert_eq!(json_of(&lab.run(echo(), "1").await.unwrap()), 1);
}

/// A shell script in the compiler's place. It finds its own argument in `$0`, the limits in `$1` and `$2`.
fn script(text: &str, argument: impl Into<OsString>) -> Worker {
    Worker {
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), text.into(), argument.into()],
    }
}

/// Makes the script's process known in a file and stays.
const STAY: &str = "echo $$ > \"$0\" && exec cat /dev/zero > /dev/null";

fn pid_in(path: &std::path::Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[tokio::test]
async fn the_child_ends_with_the_future() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let lab = Lab::with(|config| config.worker = script(STAY, &file));
    {
        let mut prepare = std::pin::pin!(lab.prepare(echo()));
        tokio::select! {
            biased;
            ended = prepare.as_mut() => panic!("{ended:?}"),
            () = wait_until("the child", || pid_in(&file).is_some()) => {}
        }
        assert!(runs(pid_in(&file).unwrap()));
    }
    wait_until("the end of the child", || !runs(pid_in(&file).unwrap())).await;
    assert!(lab.cached_files().is_empty());
}

#[tokio::test]
async fn the_child_ends_at_the_time_limit() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let lab = Lab::with(|config| {
        config.worker = script(STAY, &file);
        config.compile.wall_time = Duration::from_millis(300);
    });
    assert!(matches!(
        lab.prepare(echo()).await,
        Err(PrepareError::TooComplex { .. })
    ));
    wait_until("the end of the child", || {
        pid_in(&file).is_none_or(|pid| !runs(pid))
    })
    .await;
}

/// Whatever a broken child does is an error of ours, and stores nothing.
#[tokio::test]
async fn a_broken_child_is_an_internal_error() {
    let compiled = r#"{"compiled":{"kind":"command","memory_bytes_min":0,"code_bytes":3}}"#;
    for text in [
        "exit 0".to_owned(),
        "exit 2".to_owned(),
        "echo hello".to_owned(),
        "printf '{}\\n'".to_owned(),
        format!("printf '%s' '{compiled}'"),
        format!("printf '%s\\nab' '{compiled}'"),
        format!("printf '%s\\nabcd' '{compiled}'"),
    ] {
        let lab = Lab::with(|config| config.worker = script(&text, "sh"));
        let given = lab.prepare(echo()).await;
        assert!(
            matches!(given, Err(PrepareError::Internal { .. })),
            "{text}: {given:?}"
        );
        assert!(
            lab.cached_files().is_empty(),
            "{text}: {:?}",
            lab.cached_files()
        );
    }
    let missing = Worker {
        program: PathBuf::from("/nonexistent/compiler"),
        args: Vec::new(),
    };
    let given = Lab::with(|config| config.worker = missing)
        .prepare(echo())
        .await;
    assert!(
        matches!(given, Err(PrepareError::Internal { .. })),
        "{given:?}"
    );
}

/// The child gets no environment: nothing of the node's own can leak into what it compiles.
#[tokio::test]
async fn the_child_sees_no_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("environment");
    let lab = Lab::with(|config| {
        config.worker = script("cat /proc/self/environ > \"$0\"; exit 2", &file)
    });
    assert!(lab.prepare(echo()).await.is_err());
    let seen = std::fs::read_to_string(&file).unwrap();
    for variable in std::env::vars().map(|(name, _)| format!("{name}=")) {
        // A shell sets these three itself.
        let own = ["PWD=", "SHLVL=", "_="].contains(&variable.as_str());
        assert!(
            own || !seen.split('\0').any(|one| one.starts_with(&variable)),
            "{variable} in {seen:?}"
        );
    }
}
