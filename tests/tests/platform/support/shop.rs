//! A node with the application `shop`, and pages that run its functions, in every browser.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::{Engine, Window};

use crate::e2e::{Node, Request, Setup, beside, joined, node::deployment};
use crate::support::site::Document;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) node: Node,
}

// === impl Shop ===

impl Shop {
    /// A node with the application, which has no functions yet. `cors`: the pages that may use it.
    pub(crate) fn new(setup: Setup, cors: &str) -> Result<Self> {
        let shop = Self {
            node: setup.start()?,
        };
        shop.done(&Request::json("/apps", &json!({"name": "shop"})))?;
        let cors = json!({ "cors": cors }).to_string();
        shop.done(&Request::new("PATCH", "/apps/shop").body(cors))?;
        Ok(shop)
    }

    pub(crate) fn deploy(&self, name: &str, code: &[u8], more: &Value) -> Result<()> {
        self.send_code("create", name, code, more)
    }

    /// Deploys a new version.
    pub(crate) fn redeploy(&self, name: &str, code: &[u8], more: &Value) -> Result<()> {
        self.send_code("update", name, code, more)
    }

    fn send_code(&self, how: &str, name: &str, code: &[u8], more: &Value) -> Result<()> {
        let body = deployment(name, code, more);
        self.done(&Request::json(&format!("/apps/shop/{how}"), &body))
            .with_context(|| format!("{how} {name}"))
    }

    /// Gives a function an endpoint of its name.
    pub(crate) fn endpoint(&self, function: &str) -> Result<()> {
        let endpoint = json!({"path": function, "function": function}).to_string();
        self.done(&Request::new("PUT", "/apps/shop/endpoints").body(endpoint))
    }

    pub(crate) fn start(&self) -> Result<()> {
        self.done(&Request::json("/apps/shop/start", &json!({})))
    }

    fn done(&self, request: &Request) -> Result<()> {
        let response = self.node.ask(request)?;
        ensure!(response.status < 300, "{}", response.text());
        Ok(())
    }

    /// The origin of the node's own pages.
    pub(crate) fn origin(&self) -> String {
        format!("http://localhost:{}", self.node.address.port())
    }

    /// The outcome of a call at the node: its result's JSON, or its error's code.
    pub(crate) fn run(&self, name: &str, params: &str) -> Result<String> {
        let request = Request::post(&format!("/apps/shop/fn/{name}"), params)
            .header("Content-Type", "application/json");
        let response = self.node.ask(&request)?;
        Ok(if response.status == 200 {
            response.text()
        } else {
            response.code()
        })
    }

    /// Connects a page to the application, which is `app` there from now on; gives the functions that may run there.
    pub(crate) fn connect(&self, window: &mut dyn Window) -> Result<Vec<String>> {
        let origin = self.origin();
        let script = format!(
            "import('{origin}/sdk/edge.js').then(async (edge) => {{ \
             globalThis.edge = edge; globalThis.logs = []; \
             globalThis.app = await edge.connect('{origin}/app/shop', {{ log: (...log) => logs.push(log) }}); \
             return app.functions.map(({{ name, kind }}) => `${{name}} ${{kind}}`); }})"
        );
        Ok(serde_json::from_value(window.run(&script)?)?)
    }
}

/// The members of a deploy: callers may run it.
pub(crate) fn edge(more: Value) -> Value {
    let mut members = json!({"Edge": true});
    if let (Some(members), Value::Object(more)) = (members.as_object_mut(), more) {
        members.extend(more);
    }
    members
}

/// A page of another site that may run WebAssembly in Workers made by scripts of this origin, and nothing else.
pub(crate) fn page_with(origin: &str) -> Document {
    Document {
        policy: format!(
            "default-src 'none'; script-src 'self' {origin} 'wasm-unsafe-eval'; worker-src blob:; \
             connect-src 'self' {origin}"
        ),
        ..Document::new("text/html", "<!doctype html><title>a page</title>")
    }
}

/// The outcome of a call in a connected page: its result's JSON, or its error's code.
pub(crate) fn run(window: &mut dyn Window, name: &str, params: &str) -> Result<String> {
    let script = format!(
        "app.runText({}, {}).catch((error) => error.code ?? String(error))",
        json!(name),
        json!(params)
    );
    let outcome = window.run(&script)?;
    Ok(outcome.as_str().context("an outcome")?.to_owned())
}

/// Does the same in every browser at once, each with a page at this address. An error says in which.
pub(crate) fn in_every_browser(
    url: &str,
    test: impl Fn(&mut dyn Window) -> Result<()> + Sync,
) -> Result<()> {
    std::thread::scope(|scope| {
        let running = Engine::ALL.map(|engine| {
            let test = &test;
            let work = beside(scope, move || test(engine.open(url)?.as_mut()));
            (engine, work)
        });
        for (engine, work) in running {
            joined(work).with_context(|| format!("in {engine}"))?;
        }
        Ok(())
    })
}

/// Fails unless an outcome is as expected.
pub(crate) fn expect(
    what: &str,
    outcome: impl Into<Value>,
    expected: impl Into<Value>,
) -> Result<()> {
    let (outcome, expected) = (outcome.into(), expected.into());
    ensure!(outcome == expected, "{what}: {outcome}, not {expected}");
    Ok(())
}
