//! The life of a function through the command line client: every form of source, calls cold and warm, prewarming, updates.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::tars::tar_of;
use crate::support::{Lab, deployed, request, wait_for};

const HELLO_PY: &str = "import sys
def handler(params, context):
    print('hello from', context['function'])
    print('to stderr', file=sys.stderr)
    return {'sum': params['a'] + params['b'], 'memory': context['memory_mb']}
";
const HELLO_JS: &str = "exports.handler = async (params, context) => {
    console.log('hello from', context.function);
    console.error('to stderr');
    return {sum: params.a + params.b, memory: context.memory_mb};
};
";

/// Creates with the client, calls cold and warm, reads what it printed.
fn check_language(lab: &Lab, name: &str, source: &str, runtime: &str) -> Result<()> {
    let create = [
        "create",
        "-f",
        name,
        "--src",
        source,
        "--handler",
        "hello.handler",
        "--memory",
        "64",
    ];
    let created = lab.cli(&[&create[..], &["--runtime", runtime]].concat())?;
    assert_eq!(created.assert_code(0).json()?["Created"], name);
    for warm in [false, true] {
        let ran = lab.cli(&["invoke", name, "-p", "a:2", "-p", "b:3", "--return_output"])?;
        assert_eq!(
            ran.assert_code(0).result()?,
            json!({"sum": 5, "memory": 64})
        );
        let envelope = ran.json()?;
        assert_eq!(envelope["IsWarmStart"], warm, "{envelope}");
        let output = envelope["Output"].as_str().context("Output is text")?;
        assert!(
            output.contains(&format!("hello from {name}\n")) && output.contains("to stderr\n"),
            "{output:?}"
        );
    }
    let silent = lab.cli(&["invoke", name, "-p", "a:2,b:3"])?;
    assert_eq!(silent.assert_code(0).json()?["Output"], "");
    Ok(())
}

/// Checks the warm containers that `status` lists, and the memory that they hold.
fn check_status(lab: &Lab, warm: &Value, held: i64) -> Result<()> {
    let status = lab.cli(&["status"])?.assert_code(0).json()?;
    assert_eq!(&status["AvailableWarmContainers"], warm, "{status}");
    let total = status["TotalMemory"].as_i64().context("a number")?;
    assert_eq!(
        status["AvailableMemory"], total,
        "idle ones give their memory back: {status}"
    );
    assert_eq!(status["FreeMemory"], total - held, "{status}");
    Ok(())
}

#[test]
fn from_creation_to_deletion() -> Result<()> {
    let lab = Lab::start()?;
    lab.write("hello.py", HELLO_PY)?;
    lab.write("hello.js", HELLO_JS)?;
    check_language(&lab, "greet", "hello.py", "python")?;
    check_language(&lab, "welcome", "hello.js", "nodejs")?;
    check_status(&lab, &json!({"greet": 1, "welcome": 1}), 128)?;
    assert_eq!(
        lab.cli(&["list"])?.assert_code(0).json()?,
        json!(["greet", "welcome"])
    );

    let prewarmed = lab.cli(&["prewarm", "-f", "greet", "-c", "2"])?;
    assert_eq!(prewarmed.assert_code(0).json()?, json!({"Prewarmed": 2}));
    lab.wait_for_warm("greet", 3)?;
    check_status(&lab, &json!({"greet": 3, "welcome": 1}), 256)?;
    lab.wait_for_containers(4)?;

    lab.write("hello.py", "def handler(params): return 'new code'\n")?;
    lab.cli(&["create", "-f", "greet", "--src", "hello.py"])?
        .assert_code(2);
    lab.cli(&[
        "update",
        "-f",
        "greet",
        "--src",
        "hello.py",
        "--handler",
        "hello.handler",
    ])?
    .assert_code(0);
    // Containers with the old code are gone, and never asked again.
    lab.wait_for_warm("greet", 0)?;
    lab.wait_for_containers(1)?;
    let ran = lab.cli(&["invoke", "greet"])?;
    assert_eq!(
        (ran.result()?, &ran.json()?["IsWarmStart"]),
        (json!("new code"), &json!(false))
    );

    for name in ["greet", "welcome"] {
        assert_eq!(
            lab.cli(&["delete", name])?.assert_code(0).json()?,
            json!({ "Deleted": name })
        );
        lab.cli(&["invoke", name])?.assert_code(2);
    }
    lab.wait_for_containers(0)?;
    check_status(&lab, &json!({}), 0)?;
    lab.wait_until_free()?;
    lab.stop().map(drop)
}

/// The forms of Serverledge's first README, word by word.
#[test]
fn the_oldest_forms_work() -> Result<()> {
    let lab = Lab::start()?;
    lab.write(
        "examples/hello.py",
        "def handler(context, params): return int(params['a']) + int(params['b'])\n",
    )?;
    let host = lab.address.ip().to_string();
    let port = lab.address.port().to_string();
    let create = [
        "-host",
        &host,
        "-port",
        &port,
        "-cmd",
        "create",
        "-function",
        "func",
        "-memory",
        "600",
    ];
    let python = [
        "-src",
        "examples/hello.py",
        "-runtime",
        "python310",
        "-handler",
        "hello.handler",
    ];
    lab.cli(&[&create[..], &python].concat())?.assert_code(0);
    let invoke = [
        "-host",
        &host,
        "-port",
        &port,
        "-cmd",
        "invoke",
        "-function",
        "func",
        "-param",
        "a:2",
        "-param",
        "b:3",
    ];
    for class in [&[][..], &["-qosclass", "performance", "-qosrespt", "20"]] {
        assert_eq!(
            lab.cli(&[&invoke[..], class].concat())?
                .assert_code(0)
                .result()?,
            5
        );
    }
    let accepted = lab
        .cli(&[&invoke[..], &["-qosclass", "async"]].concat())?
        .assert_code(0)
        .json()?;
    let id = accepted["ReqId"].as_str().context("an id")?;
    assert_eq!(
        lab.cli(&["poll", "-request", id, "-wait"])?
            .assert_code(0)
            .result()?,
        5
    );
    assert_eq!(
        lab.get("/functions/func")?.json()?["Handler"],
        "hello.handler"
    );
    lab.wait_until_free()
}

/// Folders, with modules that load each other, by both clients' conventions; archives as they are.
#[test]
fn every_form_of_source_works() -> Result<()> {
    let lab = Lab::start()?;
    let main_py = "from part import answer\ndef handler(params): return answer()\n";
    let part_py = "def answer(): return 'py'\n";
    let main_js = "module.exports = () => require('./part.js')();\n";
    let part_js = "module.exports = () => 'js';\n";
    for (file, content) in [
        ("pyfolder/main.py", main_py),
        ("pyfolder/part.py", part_py),
        ("jsfolder/index.js", main_js),
        ("jsfolder/part.js", part_js),
        ("jsfolder/node_modules/left/out.js", "not sent"),
        (
            "esm/main.mjs",
            "import part from './part.mjs';\nexport default async () => part;\n",
        ),
        ("esm/part.mjs", "export default 'esm';\n"),
    ] {
        lab.write(file, content)?;
    }
    for (folder, expected) in [("pyfolder", "py"), ("jsfolder", "js"), ("esm", "esm")] {
        let runtime: &[&str] = match folder {
            "pyfolder" => &["--runtime", "python"],
            _ => &[],
        };
        let created = lab.cli(&[&["create", "--src", folder], runtime].concat())?;
        assert_eq!(
            created.assert_code(0).json()?["Created"],
            folder,
            "the name is the folder's"
        );
        assert_eq!(lab.call(folder, &json!({}))?, expected);
    }
    assert_eq!(lab.get("/functions/esm")?.json()?["Runtime"], "nodejs");

    // As the Go client sends a folder: under its own name.
    let own = tar_of(&[("pyfolder/main.py", main_py), ("pyfolder/part.py", part_py)])?;
    deployed(&lab.post(
        "/create",
        &request(
            "own",
            "python310",
            &own,
            &json!({"Handler": "main.handler"}),
        ),
    )?)?;
    assert_eq!(lab.call("own", &json!({}))?, "py");

    std::fs::write(
        lab.home().join("code.tar"),
        tar_of(&[("./src/index.js", main_js), ("./src/part.js", part_js)])?,
    )?;
    lab.cli(&[
        "create",
        "-f",
        "archive",
        "--src",
        "code.tar",
        "--handler",
        "src/index",
    ])?
    .assert_code(0);
    assert_eq!(lab.call("archive", &json!({}))?, "js");
    lab.wait_until_free()
}

/// Both orders of arguments, fewer of them, and coroutines.
#[test]
fn handlers_take_what_they_name() -> Result<()> {
    let lab = Lab::start()?;
    for (name, code, expected) in [
        (
            "go",
            "def handler_fun(context, params): return [params['x'], context['function']]",
            json!([7, "go"]),
        ),
        (
            "newer",
            "def handler_fun(params, context): return [params['x'], context['function']]",
            json!([7, "newer"]),
        ),
        ("bare", "def handler_fun(): return None", json!(null)),
        (
            "late",
            "import asyncio\nasync def handler_fun(p):\n    await asyncio.sleep(0)\n    return p",
            json!({"x": 7}),
        ),
    ] {
        lab.python_with(name, code, &json!({"Handler": "hello.handler_fun"}))?;
        assert_eq!(lab.call(name, &json!({"x": 7}))?, expected, "{name}");
    }
    lab.nodejs(
        "old",
        "module.exports = function (context, params) { return [params.x, context.function]; };",
    )?;
    assert_eq!(lab.call("old", &json!({"x": 7}))?, json!([7, "old"]));
    // Through the gateway the result is the body.
    assert_eq!(
        lab.post("/fn/go", &json!({"x": 1}))?.json()?,
        json!([1, "go"])
    );
    Ok(())
}

/// Calls that run go on in the old code; it ends with them.
#[test]
fn an_update_does_not_disturb_what_runs() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("f", &crate::support::sleeper(1.5))?;
    let mut call = lab.connect()?;
    call.send_only(&crate::support::Request::post("/invoke/f", ""))?;
    lab.wait_for_status("Running", 1)?;
    let update = request(
        "f",
        "python",
        b"def handler(params): return 'new'",
        &json!({}),
    );
    deployed(&lab.post("/update", &update)?)?;
    assert_eq!(lab.call("f", &json!({}))?, "new");
    assert_eq!(call.receive(false)?.result()?, "done");
    wait_for("the end of the old container", || {
        Ok((lab.containers()?.len() == 1).then_some(()))
    })?;
    assert!(lab.call_is_warm("f")?);
    lab.wait_until_free()
}
