//! A node with things to look at: functions, an application that runs and one that is stopped, calls that came to something
//! and calls that did not. The same at each start, but for the times.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::e2e::programs::programs;
use crate::e2e::{Node, Request, Setup, example, wait_for};
use crate::support::lab::PASSWORD;
use crate::support::stage::Account;

pub(super) const ADA: &str = "ada@example.org";
/// Calls of each function that succeeds.
const CALLS: u64 = 24;
const JAVASCRIPT: [(&str, &str); 5] = [
    (
        "greet",
        "// Greets whom it is told to.\nmodule.exports = ({ name = 'world' }) => {\n  console.log('greeting', name);\n  return { message: `Hello, ${name}!` };\n};\n",
    ),
    (
        "greet-all",
        "// Asks another function once for each name.\nmodule.exports = async ({ names }) => {\n  const messages = [];\n  for (const name of names) messages.push((await call('greet', { name })).message);\n  return { messages };\n};\n",
    ),
    (
        "primes",
        "// Counts the primes up to a number.\nmodule.exports = ({ limit }) => {\n  const composite = new Uint8Array(limit + 1);\n  let count = 0;\n  for (let number = 2; number <= limit; number++) {\n    if (composite[number]) continue;\n    count += 1;\n    for (let multiple = number * number; multiple <= limit; multiple += number) composite[multiple] = 1;\n  }\n  return { limit, count };\n};\n",
    ),
    (
        "divide",
        "module.exports = ({ a, b }) => {\n  if (b === 0) throw new RangeError('division by zero');\n  return { quotient: a / b };\n};\n",
    ),
    ("patience", "module.exports = () => { for (;;); };\n"),
];

/// See the module.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) node: Node,
    pub(super) ada: Account,
    /// A run that called others.
    pub(super) run: String,
}

// === impl Demo ===

impl Demo {
    /// A node with accounts, of which Ada's operates it.
    pub(super) fn start() -> Result<Self> {
        let node = Setup::new()?
            .with("auth.enabled", true)
            .with("accounts.signup", "open")
            .with("registry.area", "lab")
            .with("registry.node.id", "hopper")
            .start()?;
        let ada = Account::sign_up(&node, ADA)?;
        let granted = Command::new(&programs()?.node)
            .args(["user", "grant", ADA])
            .env("SERVERLEDGE_DATA_DIR", node.data())
            .output()?;
        ensure!(
            granted.status.success(),
            "{}",
            String::from_utf8_lossy(&granted.stderr)
        );
        let mut demo = Self {
            node,
            ada,
            run: String::new(),
        };
        demo.functions()?;
        demo.applications()?;
        demo.calls()?;
        Ok(demo)
    }

    fn functions(&self) -> Result<()> {
        for (name, code) in JAVASCRIPT {
            let more = match name {
                "primes" => json!({"Idempotent": true, "Edge": true}),
                "patience" => json!({"Timeout": 1}),
                _ => json!({}),
            };
            self.deploy("/create", name, "javascript", code.as_bytes(), &more)?;
        }
        for name in ["add", "echo-http", "word-count"] {
            self.deploy("/create", name, "wasm", &example(name)?, &json!({}))?;
        }
        // A second version, and a secret.
        let code = JAVASCRIPT[0].1.replace("Hello", "Good day");
        self.deploy(
            "/update",
            "greet",
            "javascript",
            code.as_bytes(),
            &json!({"Env": {"TONE": "formal"}, "Secrets": {"KEY": "hidden"}}),
        )
    }

    fn applications(&self) -> Result<()> {
        for name in ["shop", "drafts"] {
            self.done("/apps", &json!({ "name": name }))?;
        }
        let price = "module.exports = ({ count, each }) => ({ price: count * each });\n";
        let order = "module.exports = async ({ count, each, tax }) => ({ total: (await call('price', { count, each })).price * (1 + tax) });\n";
        let edge = json!({"Edge": true, "Idempotent": true, "Signature": {
            "Inputs": [{"Name": "count", "Type": "Int"}, {"Name": "each", "Type": "Float"}],
            "Outputs": [{"Name": "price", "Type": "Float"}],
        }});
        self.deploy(
            "/apps/shop/create",
            "price",
            "javascript",
            price.as_bytes(),
            &edge,
        )?;
        self.deploy(
            "/apps/shop/create",
            "order",
            "javascript",
            order.as_bytes(),
            &json!({}),
        )?;
        self.deploy(
            "/apps/shop/create",
            "page",
            "wasm",
            &example("echo-http")?,
            &json!({}),
        )?;
        for (method, path, function) in [
            ("POST", "/order", "order"),
            ("GET", "/price", "price"),
            ("GET", "/page", "page"),
        ] {
            let endpoint = json!({"method": method, "path": path, "function": function});
            self.ada.asked(
                &self.node,
                Request::new("PUT", "/apps/shop/endpoints").body(endpoint.to_string()),
            )?;
        }
        self.done("/apps/shop/start", &json!({})).map(drop)
    }

    fn calls(&mut self) -> Result<()> {
        for number in 0..CALLS {
            self.invoke("greet", &json!({"name": "Ada"}), 200)?;
            self.invoke("primes", &json!({"limit": 1000 * (number % 8 + 1)}), 200)?;
            self.invoke("add", &json!({"a": number, "b": 1}), 200)?;
            self.invoke(
                "divide",
                &json!({"a": 1, "b": number % 4}),
                if number % 4 == 0 { 500 } else { 200 },
            )?;
            let order = json!({"args": {"count": number, "each": 2.5, "tax": 0.22}});
            self.done("/app/shop/order", &order)?;
        }
        self.invoke("patience", &json!({}), 500)?;
        self.invoke("nobody", &json!({}), 404)?;
        self.run = self.invoke(
            "greet-all",
            &json!({"names": ["Ada", "Grace", "Edsger"]}),
            200,
        )?;
        let later = self.later("primes", &json!({"limit": 50000}))?;
        let dead = self.later("patience", &json!({}))?;
        wait_for("what runs in the background", || {
            let state = |id: &str| -> Result<Value> {
                let info = self
                    .ada
                    .asked(&self.node, Request::get(&format!("/invocations/{id}")))?;
                Ok(info.json()?["state"].clone())
            };
            Ok((state(&later)? == "done" && state(&dead)? == "expired").then_some(()))
        })
    }

    /// Calls a function of Ada's; gives the id of the run.
    fn invoke(&self, name: &str, params: &Value, status: u16) -> Result<String> {
        let request = Request::json(&format!("/invoke/{name}"), &json!({ "Params": params }))
            .header("Authorization", &format!("Bearer {}", self.ada.token));
        let answer = self.node.ask(&request)?;
        ensure!(
            answer.status == status,
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(answer.header("x-request-id").unwrap_or_default().to_owned())
    }

    fn later(&self, name: &str, params: &Value) -> Result<String> {
        // The time is over before one of them can begin to run.
        let body = json!({"Params": params, "Async": true, "QoSMaxRespT": if name == "patience" { 0.001 } else { 60.0 }});
        let answer = self.done(&format!("/invoke/{name}"), &body)?;
        Ok(answer["ReqId"].as_str().context("an id")?.to_owned())
    }

    fn done(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.ada.done(&self.node, path, body)?;
        Ok(answer.json().unwrap_or_default())
    }

    fn deploy(
        &self,
        path: &str,
        name: &str,
        runtime: &str,
        code: &[u8],
        more: &Value,
    ) -> Result<()> {
        let mut body =
            json!({"Name": name, "Runtime": runtime, "TarFunctionCode": STANDARD.encode(code)});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.done(path, &body)
            .map(drop)
            .with_context(|| name.to_owned())
    }

    /// Logs Ada in, in a page of the node; gives the status.
    pub(super) fn log_in_script() -> String {
        let body = json!({"email": ADA, "password": PASSWORD}).to_string();
        format!(
            "fetch('/account/log-in', {{method: 'POST', body: {}}}).then(({{ status }}) => status)",
            json!(body)
        )
    }
}
