//! The source that was sent for a function of the runtime `javascript` comes back: in exports, at `/edge`, after a roll
//! back. And a source that is not saved can be tried.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::node::deployment;
use crate::support::{Node, Request, Response, wait_for};

const ONE: &str = "// Größe\nmodule.exports = ({ a }) => ({ one: a });\n";
const SEVERAL: &str = "exports.double = ({ a }) => 2 * a;\nexports.several = ({ a }) => 3 * a;\n";
const MODULE: &str = "import { call } from 'serverledge';\nexport default async ({ a }) => (await call('one', { a })).one + 1;";
const EXPRESSION: &str = "async (args) => ({ result: args.a })";

/// Contents by path.
type Files = BTreeMap<String, Vec<u8>>;

fn post(node: &Node, target: &str, body: &Value) -> Result<Response> {
    let response = node.post(target, body)?;
    ensure!(
        (200..300).contains(&response.status),
        "{target}: {}",
        response.text()
    );
    Ok(response)
}

/// An application with a function in each form that sources have.
fn shop(node: &Node) -> Result<()> {
    node.cli(&["app", "create", "shop"])?.assert_code(0);
    for (file, text) in [
        ("one.js", ONE),
        ("several.cjs", SEVERAL),
        ("module.mjs", MODULE),
    ] {
        std::fs::write(node.home().join(file), text)?;
    }
    for (name, more) in [
        ("one", &["--src", "one.js", "--edge"][..]),
        (
            "double",
            &["--src", "several.cjs", "--handler", "double", "--edge"],
        ),
        (
            "several",
            &[
                "--src",
                "several.cjs",
                "--handler",
                "several.several",
                "--edge",
                "--env",
                "A=1",
            ],
        ),
        (
            "module",
            &["--src", "module.mjs", "--edge", "--memory", "64"],
        ),
    ] {
        node.cli(&[&["--app", "shop", "create", "-f", name], more].concat())?
            .assert_code(0);
    }
    let more = json!({"Runtime": "javascript", "Edge": true});
    post(
        node,
        "/apps/shop/create",
        &deployment("bare", EXPRESSION.as_bytes(), &more),
    )?;
    Ok(())
}

fn check_answers(node: &Node, app: &str) -> Result<()> {
    for (name, result) in [
        ("one", json!({"one": 7})),
        ("double", json!(14)),
        ("several", json!(21)),
        ("module", json!(8)),
        ("bare", json!({"result": 7})),
    ] {
        let answer = post(node, &format!("/apps/{app}/fn/{name}"), &json!({"a": 7}))?.json()?;
        assert_eq!(answer, result, "{name} of {app}");
    }
    Ok(())
}

/// The digests of version and code by function.
fn digests(node: &Node, app: &str) -> Result<BTreeMap<String, (Value, Value)>> {
    let names: Vec<String> =
        serde_json::from_slice(&node.get(&format!("/apps/{app}/functions"))?.body)?;
    let of = |name: String| {
        let info = node.get(&format!("/apps/{app}/functions/{name}"))?.json()?;
        ensure!(
            info["Version"].is_string() && info["Code"].is_string(),
            "{info}"
        );
        Ok((name, (info["Version"].clone(), info["Code"].clone())))
    };
    names.into_iter().map(of).collect()
}

/// The files of an export.
fn export(node: &Node, app: &str) -> Result<(Vec<u8>, Files)> {
    let answer = node.get(&format!("/apps/{app}/export"))?;
    ensure!(answer.status == 200, "{}", answer.text());
    let files = files_of(&answer.body)?;
    Ok((answer.body, files))
}

fn files_of(tar: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(path, bytes);
    }
    Ok(files)
}

/// The functions as visitors get them.
fn edge(node: &Node, names: &[&str]) -> Result<Value> {
    let answer = post(node, "/app/shop/edge", &json!({ "functions": names }))?.json()?;
    ensure!(answer["runEdgeFunction"].is_string(), "{answer}");
    Ok(answer["functions"].clone())
}

#[test]
fn exports_hold_the_source_and_make_the_same_versions() -> Result<()> {
    let node = Node::start()?;
    shop(&node)?;
    check_answers(&node, "shop")?;
    let (tar, files) = export(&node, "shop")?;
    let text = |name: &str| {
        files
            .get(name)
            .map(Vec::as_slice)
            .with_context(|| format!("no {name} in the export"))
    };
    assert_eq!(text("code/bare")?, EXPRESSION.as_bytes());
    for (name, file, source) in [
        ("one", "one.js", ONE),
        ("double", "several.cjs", SEVERAL),
        ("module", "module.mjs", MODULE),
    ] {
        let sent = files_of(text(&format!("code/{name}"))?)?;
        assert_eq!(
            sent,
            Files::from([(file.to_owned(), source.as_bytes().to_vec())]),
            "what the client had packed"
        );
    }
    ensure!(
        tar.len() < 64 << 10,
        "{} bytes: engines are not exported",
        tar.len()
    );

    let before = digests(&node, "shop")?;
    assert_eq!(before.len(), 5);
    node.cli(&["app", "export", "shop", "--file", "shop.tar"])?
        .assert_code(0);
    assert_eq!(std::fs::read(node.home().join("shop.tar"))?, tar);
    node.cli(&["app", "import", "shop.tar", "--name", "copy"])?
        .assert_code(0);
    assert_eq!(digests(&node, "copy")?, before);
    check_answers(&node, "copy")?;
    assert_eq!(
        export(&node, "copy")?.1.get("code/double"),
        files.get("code/double")
    );
    // The same on a node that never saw it.
    let other = Node::start()?;
    std::fs::write(other.home().join("shop.tar"), &tar)?;
    other.cli(&["app", "import", "shop.tar"])?.assert_code(0);
    assert_eq!(digests(&other, "shop")?, before);
    check_answers(&other, "shop")
}

#[test]
fn the_edge_hands_out_the_text_that_was_sent() -> Result<()> {
    let node = Node::start()?;
    shop(&node)?;
    node.cli(&["app", "start", "shop"])?.assert_code(0);
    let functions = edge(&node, &["one", "double", "several", "module", "bare"])?;
    for (name, text, handler) in [
        ("one", ONE, Value::Null),
        ("double", SEVERAL, json!("double")),
        ("several", SEVERAL, json!("several")),
        ("module", MODULE, Value::Null),
        ("bare", EXPRESSION, Value::Null),
    ] {
        assert_eq!(
            (&functions[name]["code"], &functions[name]["handler"]),
            (&json!(text), &handler),
            "{name}"
        );
        assert_eq!(
            functions[name]["kind"],
            Value::Null,
            "it is no module for WebAssembly"
        );
    }
    Ok(())
}

#[test]
fn a_roll_back_brings_the_source_back() -> Result<()> {
    let node = Node::start()?;
    shop(&node)?;
    node.cli(&["app", "start", "shop"])?.assert_code(0);
    let first = digests(&node, "shop")?;
    let exported = export(&node, "shop")?.1;
    let newer = ONE.replace("one:", "newer:");
    std::fs::write(node.home().join("one.js"), &newer)?;
    node.cli(&[
        "--app", "shop", "update", "-f", "one", "--src", "one.js", "--edge",
    ])?
    .assert_code(0);
    let call = |node: &Node| post(node, "/apps/shop/fn/one", &json!({"a": 7}))?.json();
    assert_eq!(call(&node)?, json!({"newer": 7}));
    assert_eq!(edge(&node, &["one"])?["one"]["code"], json!(newer));
    assert_ne!(digests(&node, "shop")?["one"], first["one"]);
    // Machine code that was lost is made again.
    let ended = node.stop()?;
    let setup = ended.into_setup();
    std::fs::remove_dir_all(setup.data().join("machine-code"))?;
    let node = setup.start()?;
    wait_for("the application after the restart", || {
        Ok((node.get("/app/shop/up")?.status == 200).then_some(()))
    })?;
    let versions = node
        .cli(&["--app", "shop", "function", "versions", "one"])?
        .assert_code(0)
        .json()?;
    assert_eq!(
        versions["Versions"].as_array().map(Vec::len),
        Some(2),
        "{versions}"
    );
    node.cli(&["--app", "shop", "function", "rollback", "one"])?
        .assert_code(0);
    assert_eq!(call(&node)?, json!({"one": 7}));
    assert_eq!(edge(&node, &["one"])?["one"]["code"], json!(ONE));
    assert_eq!(digests(&node, "shop")?, first);
    assert_eq!(export(&node, "shop")?.1, exported);
    check_answers(&node, "shop")
}

#[test]
fn unsaved_source_can_be_tried() -> Result<()> {
    let node = Node::start()?;
    shop(&node)?;
    let before = digests(&node, "shop")?;
    let unsaved = "let loaded = 1;\nexports.attempt = async ({ a }) => {\n  console.log('trying', a);\n  if (a < 0) throw new RangeError('too small');\n  \
                   return { loaded: loaded++, ...(await call('one', { a })) };\n};\n";
    std::fs::write(node.home().join("attempt.js"), unsaved)?;
    std::fs::write(node.home().join("params.json"), "{\"a\": 5}")?;
    let try_it = [
        "app",
        "test",
        "shop",
        "--src",
        "attempt.js",
        "--handler",
        "attempt.attempt",
        "--params-file",
        "params.json",
    ];
    for _ in 0..2 {
        let tried = node.cli(&try_it)?;
        let told = format!("{}{}", tried.assert_code(0).stdout, tried.stderr);
        ensure!(told.contains("trying 5"), "{told}");
        let said: Value = tried.json()?;
        assert_eq!(
            said["answer"]["result"],
            json!({"loaded": 1, "one": 5}),
            "{told}"
        );
    }
    let body = |source: &str, args: Value| {
        let mut body = deployment(
            "",
            source.as_bytes(),
            &json!({"Runtime": "javascript", "Handler": "attempt.attempt", "args": args}),
        );
        body.as_object_mut().map(|body| body.remove("Name"));
        body
    };
    let failed = node.post("/apps/shop/test", &body(unsaved, json!({"a": -1})))?;
    assert_eq!(failed.status, 500, "{}", failed.text());
    ensure!(
        failed.text().contains("attempt.js:4:") && failed.text().contains("trying -1"),
        "{}",
        failed.text()
    );
    let broken = node.post(
        "/apps/shop/test",
        &body("const a = 1;\nfunction f( { return 1 }", json!({})),
    )?;
    broken.assert_problem(422, "function_does_not_load");
    ensure!(
        broken.text().contains("(attempt.js:2:"),
        "{}",
        broken.text()
    );
    // Nothing of it is stored.
    assert_eq!(digests(&node, "shop")?, before);
    node.ask(&Request::post("/apps/shop/fn/attempt", "{}"))?
        .assert_problem(404, "function_unknown");
    node.wait_until_free()
}
