//! A node with an id of its own on a Docker Engine, and what is needed to look at both from outside.

pub(crate) mod engine;
pub(crate) mod private_engine;
pub(crate) mod proxy;
pub(crate) mod tars;
mod turn;

use std::ops::Deref;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(crate) use crate::e2e::node::{Ended, is_free};
pub(crate) use crate::e2e::{Node, Request, Response, Setup, beside, joined, wait_for};
pub(crate) use engine::Engine;
use turn::Turn;

/// A node, and everything of it on the engine. Dropping it leaves nothing.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Absent only while a test has it in its own hands.
    node: Option<Node>,
    pub(crate) engine: Engine,
    pub(crate) id: String,
    _turn: Option<Turn>,
}

impl Lab {
    /// A node that makes each container when it is needed, so that a test can count them.
    pub(crate) fn start() -> Result<Self> {
        Self::with(|setup| setup)
    }

    /// The same with more settings.
    pub(crate) fn with(change: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let turn = Turn::take();
        let mut lab = Self::on(Engine::shared(), |setup| {
            change(setup.with("container.cells", 0))
        })?;
        lab._turn = Some(turn);
        Ok(lab)
    }

    /// A node on an engine of the test's own; it takes no turn.
    pub(crate) fn on(engine: Engine, change: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let id = unique("e2e")?;
        let setup = Setup::new()?
            .with("registry.node.id", &id)
            .with("container.docker_socket", engine.socket().display())
            .with("container.image.python", engine::python_image())
            .with("container.image.nodejs", engine::nodejs_image())
            // What loads slowly on a busy machine is not what these tests are about.
            .with("container.start_timeout", "60s")
            .with("scheduler.queue.wait_max", "60s");
        // Before the node starts: whatever comes of it is removed.
        let mut lab = Self {
            node: None,
            engine,
            id,
            _turn: None,
        };
        lab.node = Some(change(setup).start()?);
        Ok(lab)
    }

    /// The node, for a test that ends it.
    pub(crate) fn take(&mut self) -> Result<Node> {
        self.node.take().context("the node is running")
    }

    /// Starts the node that has ended again.
    pub(crate) fn restart(&mut self, ended: Ended) -> Result<()> {
        self.node = Some(ended.restart()?);
        Ok(())
    }

    /// SIGTERM; the node must end well and leave nothing on the engine.
    pub(crate) fn stop(mut self) -> Result<Ended> {
        let ended = self.take()?.stop()?;
        self.check_nothing_left()?;
        Ok(ended)
    }

    pub(crate) fn check_nothing_left(&self) -> Result<()> {
        let left = (self.containers()?, self.engine.networks(&self.id)?);
        ensure!(
            left.0.is_empty() && left.1.is_empty(),
            "containers and networks are left: {left:?}"
        );
        Ok(())
    }

    /// Containers of this node, sorted.
    pub(crate) fn containers(&self) -> Result<Vec<String>> {
        self.engine.containers(&self.id)
    }

    /// Waits until there are exactly so many containers: those that deploys have tried the code in are gone.
    pub(crate) fn wait_for_containers(&self, count: usize) -> Result<Vec<String>> {
        let what = format!("{count} containers of the node");
        wait_for(&what, || {
            Ok(Some(self.containers()?).filter(|ids| ids.len() == count))
        })
    }

    /// Waits until so many warm containers of a function wait for calls.
    pub(crate) fn wait_for_warm(&self, function: &str, count: i64) -> Result<()> {
        wait_for(&format!("{count} warm containers of {function}"), || {
            Ok((self.status()?["AvailableWarmContainers"][function]
                .as_i64()
                .unwrap_or(0)
                == count)
                .then_some(()))
        })
    }

    /// Deploys a source file; `more` are further members of the request.
    pub(crate) fn try_source(
        &self,
        name: &str,
        runtime: &str,
        code: &str,
        more: &Value,
    ) -> Result<Response> {
        self.post("/create", &request(name, runtime, code.as_bytes(), more))
    }

    pub(crate) fn python_with(&self, name: &str, code: &str, more: &Value) -> Result<()> {
        deployed(&self.try_source(name, "python", code, more)?)
    }

    pub(crate) fn python(&self, name: &str, code: &str) -> Result<()> {
        self.python_with(name, code, &json!({}))
    }

    pub(crate) fn nodejs(&self, name: &str, code: &str) -> Result<()> {
        deployed(&self.try_source(name, "nodejs", code, &json!({}))?)
    }

    /// The result of a call with these parameters.
    pub(crate) fn call(&self, name: &str, params: &Value) -> Result<Value> {
        self.invoke(name, params)?.result()
    }

    /// Whether a call that works was warm.
    pub(crate) fn call_is_warm(&self, name: &str) -> Result<bool> {
        let response = self.invoke(name, &json!({}))?;
        response.result()?;
        response.json()?["IsWarmStart"]
            .as_bool()
            .context("IsWarmStart is a truth value")
    }

    /// A file in the home of the node and its client.
    pub(crate) fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.home().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        Ok(std::fs::write(path, content)?)
    }
}

impl Deref for Lab {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
            .as_ref()
            .expect("a test that takes the node does not use it here")
    }
}

/// The node first, by SIGKILL: it would start new containers.
impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.node.take());
        self.engine.remove_all_of(&self.id);
    }
}

/// The body of `/create` for code that is a source file or a tar.
pub(crate) fn request(name: &str, runtime: &str, code: &[u8], more: &Value) -> Value {
    let mut body =
        json!({ "Name": name, "Runtime": runtime, "TarFunctionCode": STANDARD.encode(code) });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

/// Checks that a deploy has succeeded.
pub(crate) fn deployed(response: &Response) -> Result<()> {
    ensure!(response.status == 200, "not deployed: {}", response.text());
    Ok(())
}

/// A name that nothing else has.
pub(crate) fn unique(prefix: &str) -> Result<String> {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("{prefix}-{}-{nanoseconds}", std::process::id()))
}

/// Gives its parameters back.
pub(crate) const ECHO: &str = "def handler(params): return params\n";

/// Answers after so many seconds.
pub(crate) fn sleeper(seconds: f64) -> String {
    format!(
        "import time\ndef handler(params):\n    print('begun', flush=True)\n    time.sleep({seconds})\n    return 'done'\n"
    )
}
