//! Functions that fail in every way: what their owner is told, and that nobody else notices.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{ECHO, Lab};

/// Another function still works, and nothing is held.
fn check_unharmed(lab: &Lab) -> Result<()> {
    assert_eq!(lab.call("good", &json!({"x": 1}))?, json!({"x": 1}));
    lab.wait_until_free()
}

fn lab_with_good() -> Result<Lab> {
    let lab = Lab::start()?;
    lab.python("good", ECHO)?;
    Ok(lab)
}

/// Faults that can be known at deploy are reported there, in the language's words.
#[test]
fn code_that_does_not_load_is_refused() -> Result<()> {
    let lab = lab_with_good()?;
    for (runtime, code, expected, words) in [
        (
            "python",
            "def handler(params) return 1",
            "load_failed",
            "SyntaxError",
        ),
        (
            "python",
            "def other(params): return 1",
            "handler_missing",
            "handler",
        ),
        ("python", "handler = 5", "handler_missing", "handler"),
        (
            "python",
            "print('before')\nraise RuntimeError('the reason')",
            "load_failed",
            "the reason",
        ),
        (
            "python",
            "import no_such_module",
            "load_failed",
            "no_such_module",
        ),
        ("python", "import sys\nsys.exit('left')", "load_failed", ""),
        (
            "nodejs",
            "exports.handler = (params => 1",
            "load_failed",
            "SyntaxError",
        ),
        ("nodejs", "exports.other = 5", "handler_missing", "handler"),
        (
            "nodejs",
            "throw new TypeError('the reason')",
            "load_failed",
            "the reason",
        ),
        ("nodejs", "process.exit(3)", "load_failed", ""),
    ] {
        let more = json!({"Handler": "main.handler"});
        let refused = lab.try_source("bad", runtime, code, &more)?;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (422, expected),
            "{code}: {}",
            refused.text()
        );
        assert!(refused.text().contains(words), "{code}: {}", refused.text());
    }
    lab.write("broken.py", "def handler(params) return 1\n")?;
    let ran = lab.cli(&["create", "--src", "broken.py", "--runtime", "python"])?;
    assert!(
        ran.assert_code(2).stderr.contains("SyntaxError") && ran.stderr.contains("broken.py"),
        "{ran:?}"
    );
    assert_eq!(lab.names()?, ["good"]);
    check_unharmed(&lab)?;
    lab.wait_for_containers(1).map(drop)
}

/// One failing call: status, code, message, stack, the end of what it printed.
fn check_failure(
    lab: &Lab,
    name: &str,
    params: &Value,
    code: &str,
    parts: [&str; 3],
) -> Result<()> {
    let failed = lab.invoke(name, params)?;
    failed.assert_problem(500, code);
    let problem = failed.json()?;
    for (member, part) in ["detail", "stack", "output"].iter().zip(parts) {
        let found = problem[*member].as_str().unwrap_or_default();
        assert!(
            found.contains(part),
            "{name}: {member} lacks {part:?}: {problem}"
        );
    }
    // The function's own frames only.
    assert!(
        !problem["stack"]
            .as_str()
            .unwrap_or_default()
            .contains("/serverledge/"),
        "{problem}"
    );
    check_unharmed(lab)
}

const BAD_PY: &str = "import os, sys, time
def deeper():
    raise ValueError('it broke')
def handler(params):
    print('last words', flush=True)
    kind = params['kind']
    if kind == 'raise': deeper()
    if kind == 'json': return {1, 2}
    if kind == 'exit': sys.exit(3)
    if kind == 'die': os._exit(4)
    if kind == 'spin':
        while True: pass
    if kind == 'sleep': time.sleep(60)
    if kind == 'large': return 'x' * (7 << 20)
    if kind == 'eat': return len([bytearray(1 << 20) for _ in range(4096)])
    return 'fine'
";
const BAD_JS: &str = "function deeper() { throw new RangeError('it broke'); }
exports.handler = async params => {
    console.log('last words');
    await new Promise(resolve => setTimeout(resolve, 50));
    const kind = params.kind;
    if (kind === 'raise') deeper();
    if (kind === 'reject') return Promise.reject(new Error('rejected'));
    if (kind === 'json') return 5n;
    if (kind === 'exit') process.exit(3);
    if (kind === 'spin') for (;;);
    if (kind === 'sleep') await new Promise(() => setTimeout(() => {}, 60000));
    if (kind === 'stray') setTimeout(() => { throw new Error('later'); }, 0);
    return 'fine';
};
";

#[test]
fn failing_calls_are_typed_in_python() -> Result<()> {
    let lab = lab_with_good()?;
    let more = json!({"Handler": "bad.handler", "Timeout": 5, "MemoryMB": 64});
    lab.python_with("bad", BAD_PY, &more)?;
    let words = "last words";
    for (kind, code, parts) in [
        ("raise", "function_error", ["it broke", "deeper", words]),
        ("json", "function_bad_output", ["set", "", words]),
        ("large", "function_output_too_large", ["", "", ""]),
        ("exit", "function_exited", ["3", "", words]),
        ("die", "function_exited", ["4", "", ""]),
        ("spin", "function_timeout", ["5s", "", words]),
        ("sleep", "function_timeout", ["5s", "", words]),
        ("eat", "function_out_of_memory", ["64", "", ""]),
    ] {
        check_failure(&lab, "bad", &json!({ "kind": kind }), code, parts)?;
        assert_eq!(
            lab.call("bad", &json!({"kind": ""}))?,
            "fine",
            "after {kind}"
        );
    }
    // What failed as a function fails keeps its container; what left something behind does not.
    lab.invoke("bad", &json!({"kind": "raise"}))?;
    assert!(lab.invoke("bad", &json!({"kind": ""}))?.json()?["IsWarmStart"] == true);
    lab.invoke("bad", &json!({"kind": "sleep"}))?;
    assert!(lab.invoke("bad", &json!({"kind": ""}))?.json()?["IsWarmStart"] == false);
    let ran = lab.cli(&["invoke", "bad", "-p", "kind:raise"])?;
    let said = &ran.assert_code(5).stderr;
    assert!(
        said.contains("it broke") && said.contains("last words") && said.contains("deeper"),
        "{ran:?}"
    );
    let gateway = lab.post("/fn/bad", &json!({"kind": "raise"}))?;
    gateway.assert_problem(502, "function_error");
    lab.post("/fn/bad", &json!({"kind": "sleep"}))?
        .assert_problem(504, "function_timeout");
    lab.wait_for_containers(1).map(drop)
}

#[test]
fn failing_calls_are_typed_in_nodejs() -> Result<()> {
    let lab = lab_with_good()?;
    let more = json!({"Handler": "bad.handler", "Timeout": 5});
    crate::support::deployed(&lab.try_source("bad", "nodejs", BAD_JS, &more)?)?;
    let words = "last words";
    for (kind, code, parts) in [
        ("raise", "function_error", ["it broke", "deeper", words]),
        ("reject", "function_error", ["rejected", "", words]),
        ("json", "function_bad_output", ["", "", words]),
        ("exit", "function_exited", ["3", "", words]),
        ("spin", "function_timeout", ["5s", "", words]),
        ("sleep", "function_timeout", ["5s", "", words]),
    ] {
        check_failure(&lab, "bad", &json!({ "kind": kind }), code, parts)?;
        assert_eq!(
            lab.call("bad", &json!({"kind": ""}))?,
            "fine",
            "after {kind}"
        );
    }
    // An error of nobody's call may end the process, or not: in neither case is the node harmed.
    lab.invoke("bad", &json!({"kind": "stray"}))?;
    check_unharmed(&lab)?;
    assert_eq!(lab.call("bad", &json!({"kind": ""}))?, "fine");
    Ok(())
}

/// Printed output is bounded in the node and on the disk, and its end is kept.
#[test]
fn a_flood_of_output_is_cut() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("function.log_tail_bytes_max", "16 KiB"))?;
    lab.python("good", ECHO)?;
    let code = "import os
def handler(params):
    line = 'x' * 1023
    for _ in range(params['lines']): print(line)
    if params.get('raw'):
        for _ in range(2000): os.write(1, b'y' * 1024)
    print('the end')
    return 'fine'
";
    lab.python_with("loud", code, &json!({"Timeout": 300}))?;
    let before = lab.resident_kib()?;
    let body = json!({"Params": {"lines": 65_536}, "ReturnOutput": true});
    let answer = lab.post("/invoke/loud", &body)?;
    assert_eq!(answer.result()?, "fine");
    let output = answer.json()?["Output"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        output.ends_with("the end\n") && output.len() <= 16 << 10,
        "{} bytes",
        output.len()
    );
    assert_eq!(lab.call("loud", &json!({"lines": 0, "raw": true}))?, "fine");
    let grown = lab.resident_kib()?.saturating_sub(before);
    assert!(grown < 64 << 10, "the node has grown by {grown} KiB");
    check_unharmed(&lab)
}
