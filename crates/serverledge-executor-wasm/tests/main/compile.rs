//! The compiling child: its limits, its end, and what its misbehaviour leaves behind.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{Executor, FunctionLimits, PrepareError, Prepared};
use serverledge_executor_wasm::{WasmConfig, Worker};
use serverledge_testing::executor::version;

use crate::support::{Lab, compiler, echo, json_of, runs, wait_until};

/// A valid module whose one function keeps a compiler busy for long: many values that live across many branches.
fn heavy() -> String {
    let locals = 400;
    let mut body = String::new();
    for step in 0..40_000_u32 {
        let a = step % locals;
        let b = step.wrapping_mul(7919) % locals;
        let c = step.wrapping_mul(104_729) % locals;
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

/// A compilation that came to no end although it had processor time left: nothing is said about the module.
fn stalled(given: Result<Prepared, PrepareError>) -> String {
    match given {
        Err(PrepareError::Unavailable {
            code: "compiler_stalled",
            what,
            ..
        }) => what,
        other => panic!("a compilation that stalls gave {other:?}"),
    }
}

/// The wall-clock time of a compilation on a busy machine decides nothing: its processor time counts.
#[tokio::test]
async fn the_verdict_does_not_depend_on_the_machines_load() {
    let limits = WasmConfig::new(PathBuf::new(), compiler(), 0, 2).compile;
    assert!(limits.wall_time >= 10 * limits.cpu_time, "{limits:?}");
}

#[tokio::test]
async fn time_is_limited() {
    let lab = Lab::with(|config| config.compile.wall_time = Duration::from_millis(100));
    let told = stalled(lab.prepare(heavy()).await);
    assert!(
        told.contains("too busy") && told.contains("100ms"),
        "{told}"
    );
    assert!(
        lab.cached_files().is_empty(),
        "something was stored: {:?}",
        lab.cached_files()
    );
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
    stalled(lab.prepare(echo()).await);
    wait_until("the end of the child", || {
        pid_in(&file).is_none_or(|pid| !runs(pid))
    })
    .await;
}

/// Whatever a broken child does is an error of ours, and stores nothing.
#[tokio::test]
async fn a_broken_child_is_an_internal_error() {
    let compiled = r#"{"compiled":{"kind":"command","memory_bytes_min":0,"code_bytes":3,"is_restorable":false}}"#;
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

/// Records what a deploy is told.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>);

impl serverledge_core::Progress for Told {
    fn step(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// A module whose code no compiler has seen before, larger than what counts as small: most of it is data.
fn large(seed: u8) -> Vec<u8> {
    let text = format!(
        "(module (memory (export \"memory\") 64) (func (export \"_start\")) (data (i32.const 0) \"{}\"))",
        format!("\\{seed:02x}").repeat(3 << 20)
    );
    wat::parse_str(text).unwrap()
}

/// A compiler that stays with what is larger than two megabytes until a file is there, and answers for all else at once.
const HOLD_LARGE: &str = r#"
    [ "$3" = inspect ] || [ "$(wc -c)" -lt 2097152 ] || while [ ! -e "$0" ]; do sleep 0.02; done
    printf '%s\n' '{"compiled":{"kind":"command","memory_bytes_min":0,"code_bytes":0,"is_restorable":false}}'
"#;

#[tokio::test]
async fn small_modules_do_not_wait_for_a_large_one_and_who_waits_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let lab = Lab::with(|config| {
        config.worker = script(HOLD_LARGE, &go);
        config.compile.parallel = 1;
    });
    let first = large(1);
    let second = large(2);
    let told = Told::default();
    let versions = [&first, &second].map(|module| version(module, FunctionLimits::default()));
    // Either of them begins.
    let mut large = std::pin::pin!(async {
        tokio::join!(
            lab.executor
                .prepare(&versions[0], first.clone().into(), &told),
            lab.executor
                .prepare(&versions[1], second.clone().into(), &told)
        )
    });
    tokio::select! {
        biased;
        ended = large.as_mut() => panic!("the large ones did not wait: {ended:?}"),
        small = async { lab.prepare(echo()).await } => drop(small.unwrap()),
    }
    tokio::select! {
        ended = large.as_mut() => panic!("the large ones did not wait: {ended:?}"),
        () = wait_until("a word about waiting", || {
            told.0.lock().unwrap().iter().any(|step| step.starts_with("waiting for the compilation"))
        }) => {}
    }
    std::fs::write(&go, "").unwrap();
    let (a, b) = large.await;
    a.unwrap();
    b.unwrap();
    let told = told.0.lock().unwrap().clone();
    let waited = told
        .iter()
        .find(|step| step.starts_with("waiting for the compilation"))
        .unwrap();
    assert!(waited.contains("3.1 MB"), "{told:?}");
    assert_eq!(told.last().unwrap(), "compiling the module (3.1 MB)");
}

/// One that can never run is told so while another compiles, and is not compiled.
#[tokio::test]
async fn what_can_never_run_is_refused_before_its_turn() {
    let lab = Lab::with(|config| config.compile.parallel = 1);
    let doomed = format!(
        "(module (import \"rb-js-abi-host\" \"eval-js\" (func)) (memory (export \"memory\") 1) (func (export \"_start\"))
           (func (local {}) {}))",
        "i32 ".repeat(400),
        "(local.set 1 (i32.add (local.get 2) (local.get 3)))".repeat(200_000)
    );
    let began = tokio::time::Instant::now();
    let (code, message) = crate::support::code(lab.prepare(&doomed).await);
    assert_eq!(code, "unknown_import");
    assert!(
        message.contains("rb-js-abi-host::eval-js") && message.contains("Ruby"),
        "{message}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "it was compiled first: {:?}",
        began.elapsed()
    );
}
