//! Functions that need what a program has: files that run, a main thread, variables that are there when the interpreter starts.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use serde_json::json;

use crate::support::Lab;

/// The way through client and node keeps which files can be run.
#[test]
fn uploaded_scripts_run() -> Result<()> {
    let lab = Lab::start()?;
    lab.write("tools/tool.sh", "#!/bin/sh\necho \"greetings, $1\"\n")?;
    std::fs::set_permissions(
        lab.home().join("tools/tool.sh"),
        std::fs::Permissions::from_mode(0o755),
    )?;
    lab.write("tools/plain.sh", "#!/bin/sh\n")?;
    let source = "import subprocess\ndef handler(params):\n    try: subprocess.run(['./plain.sh'])\n    except PermissionError: return subprocess.check_output(['./tool.sh', 'Ada'], text=True)\n";
    lab.write("tools/main.py", source)?;
    lab.cli(&["create", "--src", "tools"])?.assert_code(0);
    assert_eq!(lab.call("tools", &json!({}))?, "greetings, Ada\n");
    Ok(())
}

const LOOP: &str = "import asyncio, sqlite3, signal, threading
loop = asyncio.get_event_loop_policy().get_event_loop()
database = sqlite3.connect(':memory:')
async def double(n): return 2 * n
def handler(params):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return [loop.run_until_complete(double(2)), asyncio.run(double(3)), database.execute('select 1').fetchone()[0],
            threading.current_thread() is threading.main_thread()]
";

#[test]
fn python_handlers_run_in_the_main_thread() -> Result<()> {
    for cells in [0, 1] {
        let lab = Lab::with(|setup| setup.with("container.cells", cells))?;
        lab.python("loop", LOOP)?;
        for _ in 0..3 {
            assert_eq!(lab.call("loop", &json!({}))?, json!([4, 6, 1, true]));
        }
    }
    Ok(())
}

#[test]
fn variables_of_the_interpreter_work_or_are_refused() -> Result<()> {
    let lab = Lab::start()?;
    lab.write(
        "path/main.py",
        "import helper\ndef handler(params): return helper.NAME\n",
    )?;
    lab.write("path/lib/helper.py", "NAME = 'helper'\n")?;
    lab.cli(&[
        "create",
        "--src",
        "path",
        "--runtime",
        "python",
        "--env",
        "PYTHONPATH=/app/code/lib",
    ])?
    .assert_code(0);
    assert_eq!(lab.call("path", &json!({}))?, "helper");
    lab.write(
        "stack.js",
        "module.exports = () => Error.stackTraceLimit;\n",
    )?;
    let create = |value: &str| {
        lab.cli(&[
            "create",
            "--src",
            "stack.js",
            "--runtime",
            "nodejs",
            "--env",
            value,
        ])
    };
    create("NODE_OPTIONS=--stack-trace-limit=77")?.assert_code(0);
    assert_eq!(lab.call("stack", &json!({}))?, 77);
    lab.write("other.js", "module.exports = () => 1;\n")?;
    let refused = lab.cli(&[
        "create",
        "--src",
        "other.js",
        "--runtime",
        "nodejs",
        "--env",
        "NODE_OPTIONS=--none",
    ])?;
    let said = &refused.assert_code(2).stderr;
    assert!(
        said.contains("load_failed") || said.contains("--none is not allowed"),
        "{said}"
    );
    Ok(())
}
