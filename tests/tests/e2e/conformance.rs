//! The runtime `javascript` beside Node.js: the same files with the same params give the same bytes. Examples, packages from
//! npm, a large document.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::programs::root;
use crate::support::{Node, Request, Setup, npm};

/// Prints a line of JSON for each line of params: what the first file's handler returns. Files are `name=path`, and `call` reaches them.
const RUNNER: &str = r"
const { pathToFileURL } = require('node:url');
const { readFileSync } = require('node:fs');
globalThis.console = new (require('node:console').Console)(process.stderr);
const files = new Map(process.argv.slice(1).map((each) => each.split('=')));
const load = async (path) => {
  try {
    return (0, eval)(`(${readFileSync(path, 'utf8').trim().replace(/;$/, '')})`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const loaded = await import(pathToFileURL(path));
  return loaded.default?.handler ?? loaded.default ?? loaded.handler;
};
const run = async (name, params) => (await load(files.get(name)))(params, { function: name });
globalThis.call = async (name, params) => JSON.parse(JSON.stringify(await run(name, params)));
(async () => {
  const [name] = files.keys();
  for (const line of readFileSync(0, 'utf8').trim().split('\n')) {
    process.stdout.write(`${JSON.stringify(await run(name, JSON.parse(line)))}\n`);
  }
})();
";

/// The packages: Markdown, validation, and what bundles them.
const PACKAGES: [&str; 3] = ["marked@18.2.1", "ajv@8.20.0", "esbuild@0.28.2"];

fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is text", path.display()))
}

/// The results of Node.js, a line for each line of params.
fn node_gives(files: &[(&str, &Path)], params: &[String]) -> Result<Vec<String>> {
    use std::io::Write as _;

    let files = files
        .iter()
        .map(|(name, path)| Ok(format!("{name}={}", text_of(path)?)));
    let mut node = Command::new("node")
        .args(["-e", RUNNER, "--"])
        .args(files.collect::<Result<Vec<_>>>()?)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start node")?;
    node.stdin
        .take()
        .context("stdin is piped")?
        .write_all(params.join("\n").as_bytes())?;
    let output = node.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<_> = String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect();
    ensure!(
        lines.len() == params.len(),
        "{} answers to {} params",
        lines.len(),
        params.len()
    );
    Ok(lines)
}

/// Calls the first function, which is deployed, over HTTP and compares with Node.js.
fn compare(node: &Node, files: &[(&str, &Path)], params: &[String]) -> Result<()> {
    let (name, _) = files[0];
    let expected = node_gives(files, params)?;
    for (params, expected) in params.iter().zip(expected) {
        let request = Request::post(&format!("/fn/{name}"), params.as_bytes());
        let answer = node.ask(&request.header("content-type", "application/json"))?;
        ensure!(
            answer.status == 200,
            "{name} with {params:.500}: {}",
            answer.text()
        );
        same(&expected, &answer.text()).with_context(|| format!("{name} with {params:.500}"))?;
        let ran = node.cli_with_input(&["invoke", "-f", name, "-j", "-"], params.as_bytes())?;
        let envelope = ran.assert_code(0).json()?;
        same(&expected, envelope["Result"].as_str().context("a result")?)
            .with_context(|| format!("{name} through the client, with {params:.500}"))?;
    }
    Ok(())
}

/// Byte for byte; where they part is shown.
fn same(expected: &str, found: &str) -> Result<()> {
    let parts = expected
        .bytes()
        .zip(found.bytes())
        .position(|(a, b)| a != b);
    let at = parts.unwrap_or_else(|| expected.len().min(found.len()));
    let around = |text: &str| {
        let bytes = text.as_bytes();
        String::from_utf8_lossy(&bytes[at.saturating_sub(80)..bytes.len().min(at + 80)])
            .into_owned()
    };
    ensure!(
        expected == found,
        "from byte {at} on Node.js gives\n{}\nand this is\n{}",
        around(expected),
        around(found)
    );
    Ok(())
}

fn create(node: &Node, name: &str, path: &Path, more: &[&str]) -> Result<String> {
    let ran = node.cli(&[&["create", "-f", name, "--src", text_of(path)?], more].concat())?;
    Ok(ran.assert_code(0).stderr.clone())
}

/// As `examples/README.md` deploys them: nobody names the runtime.
#[test]
fn the_examples_are_as_in_node() -> Result<()> {
    let node = Setup::new()?.with("container.enabled", false).start()?;
    let hello = root().join("examples/hello.js");
    create(&node, "hello", &hello, &["--handler", "hello"])?;
    let params = [
        json!({}),
        json!({"name": "Ada"}),
        json!({"name": "\u{1f600} ü\n\"\\"}),
        json!({"name": null}),
    ];
    compare(
        &node,
        &[("hello", &hello)],
        &params.map(|each| each.to_string()),
    )?;
    let sieve = root().join("examples/sieve.js");
    create(
        &node,
        "sieve",
        &sieve,
        &["--handler", "sieve", "--memory", "256", "--timeout", "300"],
    )?;
    let params = [
        json!({}),
        json!({"limit": 0}),
        json!({"limit": "100"}),
        json!({"limit": 2_000_000}),
    ];
    compare(
        &node,
        &[("sieve", &sieve)],
        &params.map(|each| each.to_string()),
    )?;
    let refused = node.post("/fn/sieve", &json!({"limit": 0.5}))?;
    refused.assert_problem(502, "function_error");
    assert!(
        refused
            .text()
            .contains("RangeError: limit is 0.5 and may be from 0 to 50000000"),
        "{}",
        refused.text()
    );
    node.wait_until_free()
}

/// The worked example of nested functions: each file is an expression, and one calls the other.
#[test]
fn bare_functions_are_as_in_node() -> Result<()> {
    let node = Node::start()?;
    let inner = node.home().join("inner.js");
    std::fs::write(&inner, "async (args) => ({ result: args.a + args.b })")?;
    let outer = node.home().join("outer.js");
    let source = "async (args) => { const r = await call('inner-function', { a: args.a, b: args.b }); return { out: r.result * args.c }; };";
    std::fs::write(&outer, source)?;
    create(&node, "inner-function", &inner, &["--idempotent", "--edge"])?;
    create(&node, "outer-function", &outer, &["--idempotent"])?;
    let params = [
        json!({"a": 4, "b": 5, "c": 6}),
        json!({"a": "x", "b": 1, "c": 2}),
        json!({"a": 0.1, "b": 0.2, "c": 3}),
    ];
    compare(
        &node,
        &[("outer-function", &outer), ("inner-function", &inner)],
        &params.map(|each| each.to_string()),
    )
}

/// Takes a document of a megabyte apart and makes another of it.
const TRANSFORM: &str = r"
module.exports = ({ orders, currency }) => {
  const regions = {};
  for (const order of orders) (regions[order.region] ??= []).push(order);
  const totals = Object.entries(regions).map(([region, all]) => ({
    region,
    count: all.length,
    total: Number(all.reduce((sum, { price, quantity }) => sum + price * quantity, 0).toFixed(2)),
    mean: all.reduce((sum, { price }) => sum + price, 0) / all.length,
    slugs: [...new Set(all.map(({ name }) => name.normalize('NFD').replace(/\p{M}+/gu, '').toLowerCase().replace(/[^\p{L}\d]+/gu, '-')))].sort(),
    newest: new Date(Math.max(...all.map(({ placed }) => Date.parse(placed)))).toISOString(),
  }));
  const byId = {};
  for (const { id, note, ...rest } of orders.toReversed()) {
    byId[id] = { ...rest, note: note?.replaceAll(/(?<=\s|^)(\w)(\w*)/g, (_, first, more) => first.toUpperCase() + more), currency };
  }
  totals.sort((a, b) => b.total - a.total || (a.region < b.region ? -1 : 1));
  return { totals, byId, text: JSON.stringify(totals, null, 2), padded: `${orders.length}`.padStart(9, '·') };
};
";

/// Some 6,500 orders in the order of a generator without chance.
fn document() -> String {
    let mut seed = 1_usize;
    let mut drawn = |below: usize| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
        (seed >> 8) % below
    };
    let names = [
        "Käse & Brot",
        "Straße",
        "naïve  façade",
        "東京タワー",
        "Ελλάδα",
        "plain",
        "emoji \u{1f9c0} cheese",
    ];
    let regions = ["north", "süd", "10", "9", "東", "west"];
    let mut text = String::from("{\"currency\":\"\\u20ac\",\"orders\":[");
    for number in 0..6_500 {
        let comma = if number == 0 { "" } else { "," };
        let name = names[drawn(7)];
        let region = regions[drawn(6)];
        let price = drawn(1_000_000);
        let quantity = drawn(50);
        let id = drawn(1 << 30);
        let day = 1 + drawn(28);
        let hour = drawn(24);
        let _ = write!(
            text,
            "{comma}{{\"id\":\"{id}\",\"name\":\"{name} {}\",\"region\":\"{region}\",\"price\":{}.{:03},\"quantity\":{quantity},\
             \"placed\":\"2026-02-{day:02}T{hour:02}:30:00.5+02:00\",\"note\":\"the \\\"quick\\\" \\u00e9t\\u00e9 {number}\"}}",
            drawn(9),
            price / 1000,
            price % 1000
        );
    }
    text.push_str("]}");
    text
}

#[test]
fn a_document_of_a_megabyte_is_as_in_node() -> Result<()> {
    let node = Node::start()?;
    let script = node.home().join("transform.js");
    std::fs::write(&script, TRANSFORM)?;
    create(&node, "transform", &script, &[])?;
    let document = document();
    ensure!(
        (1 << 20..2 << 20).contains(&document.len()),
        "{} bytes",
        document.len()
    );
    compare(&node, &[("transform", &script)], &[document])
}

/// JSON in and out: numbers, texts and members, as engines write them.
#[test]
fn json_is_written_as_in_node() -> Result<()> {
    let node = Node::start()?;
    let script = node.home().join("same.js");
    std::fs::write(&script, "module.exports = (params) => params;")?;
    create(&node, "same", &script, &[])?;
    let params = [
        "[0, -0, 1E5, 100.0, 0.1, 1e21, 123456789012345680000, 1e-7, 5e-324, 1.7976931348623157e308, 9007199254740993]",
        r#"["\u2028\u2029", "\u00e9", "\ud83d\ude00", "\u0000\u001f\u007f\b\f", "\/\\", "\ud800", "\udc00x", ""]"#,
        r#"{"b": 1, "2": 1, "1": 2, "a": {"10": [], "9": {}}, "b": 3, "": null, "__proto__": {"x": true}, "-1": 0}"#,
        "[[[[[]]]], true, false, null, \"\"]",
        "\"a text\"",
        " [ 1 ,\t2 ] ",
    ];
    compare(&node, &[("same", &script)], &params.map(str::to_owned))
}

const MARKDOWN: &str = r"
import { marked, Marked } from 'marked';

const linked = new Marked({
  gfm: true,
  renderer: { heading({ tokens, depth }) { return `<h${depth} id=x>${this.parser.parseInline(tokens)}</h${depth}>\n`; } },
  walkTokens(token) { if (token.type === 'link') token.href = token.href.toUpperCase(); },
});

export default ({ text, breaks }) => ({
  html: marked.parse(text, { breaks }),
  linked: linked.parse(text),
  kinds: marked.lexer(text).map(({ type, raw }) => [type, raw.length]),
});
";

/// Markdown's features beyond those that the documentation of this project uses.
const MARKED_UP: &str = "Title ü\n=====\n\n1. one\n   * *nested* **bold _both_** ~~gone~~\n2) two\n- [x] done\n- [ ] not\n\n> quote\n>> deeper\nlazy\n\n\
    | a | b |\n|:--|--:|\n| `x|y` | \\| |\n\n```js\nconst a = '<b>' && \"&amp;\";\n```\n\n    indented & <code>\n\n<div>*raw*</div>\n\n\
    [link](/url \"title\") ![image](a.png) <https://example.org/?a=b&c> www.example.org me@example.org [ref] [^1]\n\n\
    [ref]: http://example.org/%20é 'Reference'\n\nhard  \nbreak\\\nand &copy; &#35; \\* \u{1f600}**«強調»**です\n\n***\n";

const VALIDATION: &str = r"
const Ajv = require('ajv');

const order = {
  $id: 'order', type: 'object', required: ['id', 'lines'], additionalProperties: false,
  properties: {
    id: { type: 'string', pattern: '^\\p{Lu}\\d{3,}$' },
    email: { type: 'string', format: 'mail' },
    lines: { type: 'array', minItems: 1, maxItems: 3, uniqueItems: true, items: { $ref: '#/$defs/line' } },
    state: { enum: ['new', 'paid', null], default: 'new' },
    pays: { oneOf: [{ type: 'object', required: ['card'] }, { type: 'object', required: ['iban'] }] },
    tags: { type: 'object', propertyNames: { maxLength: 4 }, patternProperties: { '^n': { type: 'number' } } },
  },
  if: { properties: { state: { const: 'paid' } }, required: ['state'] },
  then: { required: ['pays'] },
  $defs: {
    line: {
      type: 'object', required: ['sku', 'count'],
      properties: { sku: { type: 'string', minLength: 2 }, count: { type: 'integer', exclusiveMinimum: 0, multipleOf: 0.5 } },
    },
  },
};
const ajv = new Ajv({ allErrors: true, useDefaults: true, coerceTypes: true, formats: { mail: /^[^@\s]+@[^@\s]+$/u } });
// Generated code, compiled at deploy.
const validate = ajv.compile(order);

module.exports = ({ value, schema }) => {
  if (schema === undefined) return { valid: validate(value), errors: validate.errors, value, text: ajv.errorsText(validate.errors) };
  try {
    // And in a call.
    const own = new Ajv({ verbose: true }).compile(schema);
    return { valid: own(value), errors: own.errors };
  } catch (error) {
    return { name: error.name, message: error.message };
  }
};
";

/// One is deployed as a file, the other as a folder.
#[test]
fn packages_from_npm_are_as_in_node() -> Result<()> {
    let node = Setup::new()?.with("container.enabled", false).start()?;
    let folder = node.home().join("packages");
    std::fs::create_dir(&folder)?;
    npm::install(&folder, &PACKAGES)?;
    let page = folder.join("page.mjs");
    let index = folder.join("index.js");
    std::fs::write(&page, MARKDOWN)?;
    std::fs::write(&index, VALIDATION)?;
    for (name, path, file) in [("page", &page, "page.mjs"), ("order", &folder, "index.js")] {
        let said = create(&node, name, path, &["--runtime", "javascript"])?;
        ensure!(
            said.contains(&format!("{file} is bundled with what it imports")),
            "{said}"
        );
    }
    compare(&node, &[("page", &page)], &pages()?)?;
    compare(&node, &[("order", &index)], &orders())?;
    let said = create(&node, "unasked", &page, &[])?;
    ensure!(
        said.contains("page.mjs is bundled") && said.contains("it runs in WebAssembly"),
        "{said}"
    );
    compare(&node, &[("unasked", &page)], &pages()?[..2])?;
    typescript_is_taken(&node, &folder)?;
    node.wait_until_free()
}

/// Types, enums, decorators and classes of the same name in two files, which keep it.
fn typescript_is_taken(node: &Node, folder: &Path) -> Result<()> {
    let class = "export class Failure extends Error { constructor(m: string) { super(m); this.name = this.constructor.name } }";
    std::fs::write(folder.join("one.ts"), class)?;
    std::fs::write(folder.join("two.ts"), class)?;
    let source = "import { Failure } from './one';
        import { Failure as Other } from './two';
        enum Level { Low = 1, High }
        const twice = (value: Function, _: unknown) => function (this: unknown, a: number) { return 2 * value.call(this, a) };
        class Shape<T> { static made = 0; static make() { return [Shape.name, Shape.made] } @twice area(a: number) { return a } }
        export default (params: { a: number }): unknown =>
          [new Failure('x').name, new Other('y').name, Level[2], Shape.make(), new Shape<string>().area(params.a)];";
    for (name, file) in [("typed", "typed.ts"), ("module", "module.mts")] {
        let path = folder.join(file);
        std::fs::write(&path, source)?;
        let said = create(node, name, &path, &[])?;
        ensure!(
            said.contains(&format!("{file} is bundled with what it imports")),
            "{said}"
        );
        let answer = node
            .post(&format!("/fn/{name}"), &json!({"a": 21}))?
            .json()?;
        assert_eq!(
            answer,
            json!(["Failure", "Failure", "High", ["Shape", 0], 42])
        );
    }
    let plain = folder.join("plain.tsx");
    std::fs::write(
        &plain,
        "export default ({ a }: { a: number }): number => a satisfies number;",
    )?;
    let said = create(node, "plain", &plain, &[])?;
    ensure!(
        said.contains("plain.tsx is sent without its types"),
        "{said}"
    );
    assert_eq!(node.post("/fn/plain", &json!({"a": 2}))?.json()?, json!(2));
    Ok(())
}

fn pages() -> Result<Vec<String>> {
    let mut params = vec![
        json!({ "text": MARKED_UP }),
        json!({"text": MARKED_UP, "breaks": true}),
        json!({"text": ""}),
    ];
    for name in [
        "docs/cli.md",
        "docs/applications.md",
        "docs/errors.md",
        "README.md",
        "CHANGELOG.md",
    ] {
        let text = std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())?;
        params.push(json!({ "text": text }));
    }
    Ok(params.iter().map(Value::to_string).collect())
}

fn orders() -> Vec<String> {
    let line = json!({"sku": "ab", "count": 2});
    let values = [
        json!({"id": "É123", "lines": [line]}),
        json!({"id": "é12", "lines": [line, line], "email": "me", "state": "paid", "more": 1}),
        json!({"id": 7, "lines": "x", "pays": {"card": 1, "iban": 2}, "tags": {"nn": "1", "longer": 1}}),
        json!({"id": "A0001", "lines": [{"sku": "\u{1f600}", "count": "-1.25"}], "state": "lost", "email": "a@b"}),
        json!([]),
        json!(null),
    ];
    let schemas = [
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "minProperties": 1}),
        json!({"type": "array", "prefix": 1}),
        json!({"type": "string", "format": "unknown"}),
        json!({"$ref": "#/nowhere"}),
    ];
    let own = schemas
        .into_iter()
        .map(|schema| json!({"schema": schema, "value": {"a": {"a": {}}}}));
    values
        .into_iter()
        .map(|value| json!({ "value": value }))
        .chain(own)
        .map(|params| params.to_string())
        .collect()
}
