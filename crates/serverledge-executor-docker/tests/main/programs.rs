//! Uploads that hold programs and native libraries, and variables that an interpreter reads when it starts.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use serverledge_core::{Executor as _, Runtime, Version};

use crate::support::{Lab, invoke, json_of, nodejs, phase_names, python};

/// A tar of files with their modes.
pub(crate) fn tar_of(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, name, *contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// The version of a tar, of the runtime of `like`.
pub(crate) fn version_of(like: fn(&str) -> Version, code: &[u8]) -> Version {
    Version {
        code: serverledge_core::Digest::new(*blake3::hash(code).as_bytes()),
        handler: String::new(),
        ..like("")
    }
}

/// The output of a C compiler for this text.
fn compiled(text: &str, flags: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(dir.path().join("in.c"), text).unwrap();
    let ran = Command::new("cc")
        .args(flags)
        .args(["-o", &at("out"), &at("in.c")])
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    std::fs::read(Path::new(&at("out"))).unwrap()
}

async fn told(lab: &Lab, version: Version, code: &[u8], params: Value) -> Value {
    let version = lab.prepared(version, code).await;
    let sandbox = lab.start(&version).await;
    let told = json_of(&invoke(sandbox.as_ref(), params).await.unwrap());
    sandbox.stop().await.unwrap();
    told
}

const RUNS: &str = "\
import ctypes, os, shutil, subprocess
def run(*words): return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
def mounts():
    lines = [line.split() for line in open('/proc/self/mounts')]
    return {place: set(options.split(',')) for _, place, _, options, *_ in lines if place in ('/app/code', '/tmp')}
def handler(params):
    copy = shutil.copy('tool.sh', '/tmp')
    held = [place for place, options in mounts().items() if not {'nosuid', 'nodev'} <= options]
    return [run('./tool.sh', 'Ada'), run(copy, 'Ada'), run('bin/program'), ctypes.CDLL('/app/code/libarea.so').area(6, 7),
            oct(os.stat('notes.txt').st_mode & 0o777), held, len(mounts())]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploaded_programs_and_libraries_run() {
    let library = compiled(
        "int area(int width, int height) { return width * height; }",
        &["-shared", "-fPIC"],
    );
    let program = compiled(
        "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }",
        &[],
    );
    let code = tar_of(&[
        ("main.py", RUNS.as_bytes(), 0o644),
        ("notes.txt", b"", 0o644),
        ("tool.sh", b"#!/bin/sh\necho \"greetings, $1\"\n", 0o755),
        ("bin/program", &program, 0o755),
        ("libarea.so", &library, 0o644),
    ]);
    // Plainly, and in a template container.
    for cells in [0, 1] {
        let lab = Lab::with_cells(cells).await;
        let told = told(&lab, version_of(python, &code), &code, json!({})).await;
        assert_eq!(
            told,
            json!([
                "greetings, Ada",
                "greetings, Ada",
                "compiled",
                42,
                "0o644",
                [],
                2
            ])
        );
    }
}

/// The little of Node-API that this add-on needs, so that no header has to be there.
const ADD_ON: &str = "
typedef struct env *napi_env; typedef struct value *napi_value; typedef struct info *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
int napi_create_int32(napi_env, int, napi_value *);
int napi_create_function(napi_env, const char *, unsigned long, napi_callback, void *, napi_value *);
static napi_value answer(napi_env env, napi_callback_info info) { napi_value made; napi_create_int32(env, 42, &made); return made; }
napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value made; napi_create_function(env, \"answer\", 6, answer, 0, &made); return made;
}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploaded_add_ons_of_node_are_loaded() {
    let add_on = compiled(ADD_ON, &["-shared", "-fPIC"]);
    let js = b"const answer = require('./build/answer.node');\nmodule.exports = () => answer();\n";
    let code = tar_of(&[
        ("index.js", js, 0o644),
        ("build/answer.node", &add_on, 0o644),
    ]);
    assert_eq!(
        told(
            &Lab::new().await,
            version_of(nodejs, &code),
            &code,
            json!({})
        )
        .await,
        json!(42)
    );
}

fn with_variables(version: Version, variables: &[(&str, &str)]) -> Version {
    let env = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Version { env, ..version }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_that_are_read_at_start_have_their_effect() {
    let lab = Lab::with(|config| config.cells = 1).await;
    lab.executor.warm_up(&[Runtime::Python, Runtime::NodeJs]);
    let library = compiled(
        "int area(int width, int height) { return width * height; }",
        &["-shared", "-fPIC"],
    );
    let source =
        b"import ctypes, helper\ndef handler(params): return [helper.NAME, ctypes.CDLL('libarea.so').area(2, 3)]\n";
    let code = tar_of(&[
        ("main.py", source, 0o644),
        ("lib/helper.py", b"NAME = 'helper'\n", 0o644),
        ("lib/libarea.so", &library, 0o644),
    ]);
    let version = version_of(python, &code);
    let version = with_variables(
        version,
        &[
            ("PYTHONPATH", "/app/code/lib"),
            ("LD_LIBRARY_PATH", "/app/code/lib"),
        ],
    );
    let version = lab.prepared(version, &code).await;
    lab.wait_for_cells(2).await;
    let started = lab.executor.start(&version).await.unwrap();
    assert_eq!(
        phase_names(&started.phases)[0],
        "limits",
        "in a template container"
    );
    for _ in 0..2 {
        let told = json_of(&invoke(started.sandbox.as_ref(), json!({})).await.unwrap());
        assert_eq!(told, json!(["helper", 6]));
    }
    let js = b"module.exports = () => [Error.stackTraceLimit, process.env.NODE_OPTIONS];\n";
    let code = tar_of(&[("index.js", js, 0o644)]);
    let version = with_variables(
        version_of(nodejs, &code),
        &[("NODE_OPTIONS", "--stack-trace-limit=77")],
    );
    assert_eq!(
        told(&lab, version, &code, json!({})).await,
        json!([77, "--stack-trace-limit=77"])
    );
    let version = with_variables(
        version_of(nodejs, &code),
        &[("NODE_OPTIONS", "--no-such-option")],
    );
    let (told, message) = crate::support::refusal(lab.prepare(&version, &code).await);
    assert_eq!(told, "load_failed");
    assert!(
        message.contains("--no-such-option is not allowed in NODE_OPTIONS"),
        "{message}"
    );
}

/// One that holds the main thread does not hold the node: the container ends with the time limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_holds_the_main_thread_meets_its_limit() {
    let lab = Lab::new().await;
    let text = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(p):\n    while True: pass\n";
    let version = crate::support::python_with(text, crate::support::timeout(1));
    let version: Arc<Version> = lab.prepared(version, text).await;
    let sandbox = lab.start(&version).await;
    let kind = crate::support::kind(invoke(sandbox.as_ref(), json!({})).await);
    assert_eq!(kind, serverledge_core::FailureKind::TimeLimit);
    sandbox.stop().await.unwrap();
    lab.wait_for_containers(0).await;
}
