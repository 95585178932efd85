//! The real `serverledge-cli`, piped.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use super::node::Node;
use super::programs::programs;

/// The outcome of one run of the client.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }

    /// The function's result inside a printed envelope.
    pub(crate) fn result(&self) -> Result<Value> {
        let envelope = self.json()?;
        let result = envelope["Result"]
            .as_str()
            .with_context(|| format!("no result: {self:?}"))?;
        Ok(serde_json::from_str(result)?)
    }
}

impl Node {
    /// Runs the client against this node, named by its environment.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Result<Ran> {
        self.cli_with_input(arguments, b"")
    }

    pub(crate) fn cli_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        let mut child = Command::new(&programs()?.cli)
            .args(arguments)
            .env_clear()
            // Bundling starts other programs.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home())
            .env("SERVERLEDGE_HOST", self.address.ip().to_string())
            .env("SERVERLEDGE_PORT", self.address.port().to_string())
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start the client")?;
        // A client that reads nothing may have ended already.
        let _ = child
            .stdin
            .take()
            .context("stdin is piped")?
            .write_all(input);
        let output = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }
}
