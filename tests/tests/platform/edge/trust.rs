//! The trust of a page in what it gets, and the pages that get anything.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::e2e::{Setup, example};
use crate::support::shop::{Shop, edge, expect, in_every_browser, page_with, run};
use crate::support::site::{Document, Site};

/// The answers of a node from which a browser runs `add`, as they can be put elsewhere.
#[derive(Clone)]
struct Answers {
    manifest: Value,
    keys: Value,
    /// Modules and deltas by their paths.
    files: BTreeMap<String, Vec<u8>>,
}

// === impl Answers ===

impl Answers {
    fn of(shop: &Shop) -> Result<Self> {
        let get = |path: &str| shop.node.get(&format!("/app/shop/{path}"));
        let manifest = get("edge/manifest")?.json()?;
        let signed: Value = serde_json::from_str(manifest["manifest"].as_str().context("a text")?)?;
        let function = &signed["functions"][0];
        let mut files = BTreeMap::new();
        for file in [function, &function["deadline"]] {
            let paths = [
                &file["module"],
                &file["delta"]["base"],
                &file["delta"]["module"],
            ];
            for path in paths.iter().filter_map(|path| path.as_str()) {
                files.insert(path.to_owned(), get(path)?.body);
            }
        }
        Ok(Self {
            keys: get("edge/keys")?.json()?,
            manifest,
            files,
        })
    }

    /// The same with another manifest.
    fn with(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.manifest);
        changed
    }

    /// The same with another text in the manifest.
    fn with_text(&self, from: &str, to: &str) -> Self {
        let text = self.manifest["manifest"].as_str().unwrap_or_default();
        assert!(text.contains(from), "{text}");
        let text = text.replacen(from, to, 1);
        self.with(|manifest| manifest["manifest"] = text.into())
    }

    /// The same with one bit of each file changed.
    fn flipped(&self) -> Self {
        let mut changed = self.clone();
        for last in changed
            .files
            .values_mut()
            .filter_map(|file| file.last_mut())
        {
            *last ^= 1;
        }
        changed
    }

    /// Documents of a site that has all of them below a folder.
    fn below(&self, folder: &str) -> BTreeMap<String, Document> {
        let json = |value: &Value| Document::new("application/json", value.to_string());
        let file = |file: &Vec<u8>| Document::new("application/wasm", file.clone());
        let mut documents: BTreeMap<String, Document> = self
            .files
            .iter()
            .map(|(path, content)| (format!("{folder}/{path}"), file(content)))
            .collect();
        documents.insert(format!("{folder}/edge/manifest"), json(&self.manifest));
        documents.insert(format!("{folder}/edge/keys"), json(&self.keys));
        documents
    }
}

/// A node with `add` in the application.
fn shop_with_add() -> Result<Shop> {
    let shop = Shop::new(Setup::new()?, "any")?;
    shop.deploy("add", &example("add")?, &edge(json!({})))?;
    shop.start()?;
    Ok(shop)
}

#[test]
fn nothing_runs_that_is_not_signed() -> Result<()> {
    let shop = shop_with_add()?;
    let own = Answers::of(&shop)?;
    let foreign = Answers::of(&shop_with_add()?)?;
    let renamed = foreign.with(|manifest| {
        for name in ["key_id", "key"] {
            manifest[name] = own.manifest[name].clone();
        }
    });
    let cases = [
        ("/good/app/shop", own.clone(), r#"{"sum":3}"#),
        ("/other-name/app/store", own.clone(), "manifest_refused"),
        ("/flipped/app/shop", own.flipped(), "module_refused"),
        (
            "/grown/app/shop",
            own.with_text("\"timeout_ms\":", "\"timeout_ms\":1"),
            "manifest_refused",
        ),
        (
            "/another-digest/app/shop",
            own.with_text("\"integrity\":\"sha256-", "\"integrity\":\"sha256-A"),
            "manifest_refused",
        ),
        ("/foreign/app/shop", foreign, "manifest_refused"),
        ("/renamed-key/app/shop", renamed, "manifest_refused"),
    ];
    let mut documents = BTreeMap::from([("/".to_owned(), page_with("'self'"))]);
    for (folder, answers, _) in &cases {
        documents.extend(answers.below(folder));
    }
    for file in ["edge.js", "edge-more.js"] {
        let library = shop.node.get(&format!("/sdk/{file}"))?.body;
        let library = Document::new("text/javascript", library);
        documents.insert(format!("/{file}"), library);
    }
    let site = Site::serve_documents(documents)?;
    let key = &own.keys["keys"][0]["x"];
    in_every_browser(
        &format!("http://localhost:{}/", site.address.port()),
        |window| {
            let mut attempt = |path: &str, before: &str| {
                let script = format!(
                    "import('/edge.js').then(async ({{ connect }}) => {{ {before} \
                 const app = await connect(location.origin + '{path}', {{ keys: [{key}] }}); \
                 return app.runText('add', '{{\"a\":1,\"b\":2}}'); }}).catch((error) => error.code ?? String(error))"
                );
                window.run(&script)
            };
            for (path, _, expected) in &cases {
                expect(path, attempt(path, "")?, *expected)?;
            }
            // Two days later.
            let later = "const now = Date.now; Date.now = () => now() + 2 * 24 * 3600 * 1000;";
            expect(
                "later",
                attempt("/good/app/shop", later)?,
                "manifest_refused",
            )
        },
    )
}

#[test]
fn only_pages_of_the_same_origin_use_a_closed_application() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    let javascript = json!({"Runtime": "javascript"});
    let near = "module.exports = async (params) => [await call('far', params), await call('add', params), \
                await call('private', params).catch((error) => error.code)];";
    let far = "module.exports = ({ a, b }) => a * b;";
    shop.deploy("near", near.as_bytes(), &edge(javascript.clone()))?;
    shop.deploy("add", &example("add")?, &edge(json!({})))?;
    for name in ["far", "private"] {
        shop.deploy(name, far.as_bytes(), &javascript)?;
    }
    shop.endpoint("far")?;
    shop.start()?;
    let origin = shop.origin();
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page_with(&origin))]))?;
    in_every_browser(
        &format!("http://localhost:{}/", site.address.port()),
        |window| {
            let script = format!(
                "import('{origin}/sdk/edge.js').then(({{ connect }}) => connect('{origin}/app/shop'))\
             .then(() => 'connected', (error) => error.code ?? String(error))"
            );
            expect(
                "of another origin",
                window.run(&script)?,
                "node_unreachable",
            )?;
            // What it sends without asking first does not run either.
            let script = format!(
                "fetch('{origin}/app/shop/edge/call/far', {{ method: 'POST', mode: 'no-cors', body: '{{\"args\":{{}}}}' }})\
             .then(({{ type }}) => type)"
            );
            expect("unasked", window.run(&script)?, "opaque")
        },
    )?;
    let ran = || -> Result<bool> {
        let metrics = shop.node.get("/metrics")?.text();
        let mut lines = metrics.lines();
        Ok(lines.any(|line| line.contains("function=") && line.contains("far\"")))
    };
    ensure!(!ran()?, "a page of another origin ran something");
    in_every_browser(&format!("{origin}/docs/"), |window| {
        shop.connect(window)?;
        let outcome = run(window, "near", r#"{"a":4,"b":5}"#)?;
        expect(
            "of the same origin",
            outcome,
            r#"[20,{"sum":9},"function_unknown"]"#,
        )
    })?;
    ensure!(ran()?, "the node does not count what it runs");
    Ok(())
}
