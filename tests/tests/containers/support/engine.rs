//! A Docker Engine as its own command line client sees it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// An engine, by its socket.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
}

impl Engine {
    /// The one that the tests share.
    pub(crate) fn shared() -> Self {
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        Self::at(Path::new(
            host.strip_prefix("unix://")
                .unwrap_or("/var/run/docker.sock"),
        ))
    }

    pub(crate) fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The client, told which engine is meant.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket.display()))
            .stdin(Stdio::null());
        command
    }

    /// Runs the client; what it prints.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command()
            .args(arguments)
            .output()
            .context("failed to start the docker client")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        ensure!(
            output.status.success(),
            "docker {arguments:?}: {}",
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }

    fn listed(&self, arguments: &[&str]) -> Result<Vec<String>> {
        Ok(self.docker(arguments)?.lines().map(str::to_owned).collect())
    }

    /// Ids of a node's containers, whatever has become of them, sorted.
    pub(crate) fn containers(&self, node: &str) -> Result<Vec<String>> {
        let mut ids = self.listed(&["ps", "-aq", "--no-trunc", "--filter", &label(node)])?;
        ids.sort();
        Ok(ids)
    }

    /// The same of one kind: `cell`, `function`, `custom` or `install`.
    pub(crate) fn containers_of_kind(&self, node: &str, kind: &str) -> Result<Vec<String>> {
        let kind = format!("label=serverledge.kind={kind}");
        self.listed(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &label(node),
            "--filter",
            &kind,
        ])
    }

    pub(crate) fn networks(&self, node: &str) -> Result<Vec<String>> {
        self.listed(&["network", "ls", "-q", "--filter", &label(node)])
    }

    /// Everything that the engine shows of these containers.
    pub(crate) fn inspect(&self, ids: &[String]) -> Result<String> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.docker(&[&["inspect"], &ids[..]].concat())
    }

    /// Removes what carries a node's label. Says nothing if it cannot: it is the end of a test that has its own outcome.
    pub(crate) fn remove_all_of(&self, node: &str) {
        for id in self.containers(node).unwrap_or_default() {
            let _ = self.docker(&["rm", "-f", "-v", &id]);
        }
        for id in self.networks(node).unwrap_or_default() {
            self.reopen_machine(&id);
            let _ = self.docker(&["network", "rm", &id]);
        }
    }

    /// A node that was killed could not take its rule of the packet filter back.
    fn reopen_machine(&self, network: &str) {
        let format = r#"{{index .Options "com.docker.network.bridge.name"}}"#;
        let Ok(bridge) = self.docker(&["network", "inspect", "--format", format, network]) else {
            return;
        };
        let rule = [
            "-i",
            &bridge,
            "-m",
            "conntrack",
            "--ctstate",
            "NEW,INVALID",
            "-j",
            "DROP",
        ];
        let _ = Command::new("iptables")
            .args(["-w", "5", "-D", "INPUT"])
            .args(rule)
            .output();
    }
}

fn label(node: &str) -> String {
    format!("label=serverledge.node={node}")
}

/// The image under test.
pub(crate) fn python_image() -> String {
    std::env::var("SERVERLEDGE_TEST_IMAGE_PYTHON")
        .unwrap_or_else(|_| "serverledge-python".to_owned())
}

/// The image under test.
pub(crate) fn nodejs_image() -> String {
    std::env::var("SERVERLEDGE_TEST_IMAGE_NODEJS")
        .unwrap_or_else(|_| "serverledge-nodejs".to_owned())
}
