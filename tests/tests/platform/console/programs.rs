//! Programs as they are, in the console: their arguments and streams in the form of a deploy and in the settings, and
//! results that are bytes of a type.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::in_chromium;
use crate::e2e::Setup;
use crate::support::shop::Shop;
use crate::support::visitor::Kind;

/// Writes its standard input.
const COPY: &str = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32))) (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32))) (memory (export "memory") 2) (func (export "_start") (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 65536)) (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) (i32.store (i32.const 4) (i32.load (i32.const 8))) (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#;
/// Writes its arguments, each on a line.
const TELL: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 1024) (i32.const 2048)))
    (loop $next
      (if (i32.eqz (i32.load8_u (i32.add (i32.const 2048) (local.get $at))))
        (then (i32.store8 (i32.add (i32.const 2048) (local.get $at)) (i32.const 10))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.load (i32.const 4)))))
    (i32.store (i32.const 16) (i32.const 2048))
    (i32.store (i32.const 20) (i32.load (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))"#;
const PICTURE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="9" height="9"/></svg>"#;
/// The picture of a result, once it is shown.
const SHOWN: &str = "document.querySelector('img.picture')?.naturalWidth === 40";
const FORM: &str = "Arguments and streams of a program";

fn members(shop: &Shop, name: &str) -> Result<[Value; 4]> {
    let info = shop
        .node
        .get(&format!("/apps/shop/functions/{name}"))?
        .json()?;
    Ok(["Arguments", "Stdin", "Stdout", "StdoutType"].map(|member| info[member].clone()))
}

/// The heading of the commands on “Try it”.
fn commands(shop: &Shop) -> String {
    format!(
        "The same as a command for localhost:{}",
        shop.node.address.port()
    )
}

#[test]
fn the_settings_have_arguments_and_streams() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    shop.deploy("tell", TELL.as_bytes(), &json!({"Runtime": "wasm"}))?;
    let script = b"module.exports = () => ({});";
    shop.deploy("script", script, &json!({"Runtime": "javascript"}))?;
    in_chromium(
        &shop.node,
        "/apps/shop/functions/script/settings",
        |visitor| {
            visitor.see("Reserved cores")?;
            visitor.miss("Standard output")?;
            visitor.fill("Hosts for its requests", "api.example.org")?;
            visitor.see("Changes AllowHosts: a new version.")?;
            visitor.button("Save")?;
            visitor.see("AllowHosts: none →")?;
            visitor.open("/apps/shop/functions/tell/settings")?;
            visitor.fill("Arguments", "--width {")?;
            visitor.see("In {: a { begins no {name}; {{ is a brace.")?;
            visitor.fill("Arguments", "--width {width} 'a b'")?;
            visitor.miss("a { begins no {name}")?;
            visitor.choose("Standard output", "bytes of any kind")?;
            visitor.fill("Type of the output", "csv")?;
            visitor.see("This is no content type")?;
            visitor.fill("Type of the output", "text/csv")?;
            visitor.see("Changes Arguments, Stdout, StdoutType: a new version.")?;
            visitor.button("Save")?;
            visitor.see("Stdout: json → raw")?;
            let set = [
                json!(["--width", "{width}", "a b"]),
                Value::Null,
                json!("raw"),
                json!("text/csv"),
            ];
            ensure!(members(&shop, "tell")? == set);
            // A change of something else leaves them as they are.
            visitor.fill("Memory in MiB", "64")?;
            visitor.see("Changes MemoryMB: a new version.")?;
            visitor.button("Save")?;
            visitor.see("MemoryMB: 128 → 64")?;
            ensure!(members(&shop, "tell")? == set);
            visitor.tab("Try it")?;
            visitor.see("of code")?;
            visitor.see("Runs with the arguments --width {width} 'a b'.")?;
            visitor.fill("Parameters as JSON", r#"{ "width": 640 }"#)?;
            visitor.button("Run on the node")?;
            visitor.see("tell --width 640 a b")?;
            visitor.see("of text/csv")?;
            visitor.button(&commands(&shop))?;
            visitor.see("| base64 -d > result.csv")
        },
    )
}

#[test]
fn a_result_is_shown_by_its_type() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    let members = |content_type: &str| json!({"Runtime": "wasm", "Stdin": "body", "StdoutType": content_type});
    shop.deploy("draw", COPY.as_bytes(), &members("image/svg+xml"))?;
    shop.deploy("pack", COPY.as_bytes(), &members("application/zip"))?;
    in_chromium(&shop.node, "/apps/shop/functions/draw/try", |visitor| {
        visitor.see("The program reads the body as it is")?;
        visitor.fill("Body of the request", PICTURE)?;
        visitor.button("Run on the node")?;
        visitor.wait("the picture", SHOWN)?;
        visitor.see("of image/svg+xml")?;
        visitor.find(Kind::Button, "Save")?;
        visitor.button(&commands(&shop))?;
        visitor.see("-o result.svg")?;
        // The browser cannot have it.
        visitor.see("it runs at the node alone")?;
        visitor.open("/apps/shop/functions/pack/try")?;
        visitor.fill("Body of the request", "no archive")?;
        visitor.button("Run on the node")?;
        visitor.see("The answer is no text.")?;
        visitor.see("10 B of application/zip")
    })
}

#[test]
fn a_program_is_deployed_with_arguments_and_streams() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    in_chromium(&shop.node, "/apps/shop/new-function", |visitor| {
        visitor.see("javascript (recognised)")?;
        visitor.miss(FORM)?;
        visitor.fill("Name", "copy")?;
        visitor.fill("Code of the function", COPY)?;
        visitor.choose("Runtime", "wasm")?;
        visitor.button(FORM)?;
        visitor.fill("Arguments", "'{a b}' {{}}")?;
        visitor.choose("Standard input", "nothing")?;
        visitor.choose("Standard output", "bytes of any kind")?;
        visitor.button("Deploy")?;
        visitor.see("copy is deployed")?;
        let set = [
            json!(["{a b}", "{{}}"]),
            json!("none"),
            json!("raw"),
            json!("application/octet-stream"),
        ];
        ensure!(members(&shop, "copy")? == set);
        Ok(())
    })
}
