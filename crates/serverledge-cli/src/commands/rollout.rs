//! `--wait`: which nodes of the cluster have the version that was deployed, until all of them have it.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serverledge_client::{ClientError, FunctionName};
use serverledge_wire::rollout::{FAILED, FunctionNodes, NodeVersion, PREPARING, READY, UNHEARD};
use tokio::time::Instant;

use super::session::Session;
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::progress::Steps;
use crate::{output, text};

/// Longest wait; a module that takes longer to compile is refused at the deploy.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Pause before the nodes are asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether to wait for all nodes.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct RolloutArgs {
    /// Wait until every node of the cluster has prepared it, and say which has it [default: on a terminal]
    #[arg(long)]
    pub(crate) wait: bool,
    /// Do not wait
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
}

/// Waits for the nodes, if that is asked for, or somebody looks on.
pub(super) async fn await_nodes(
    session: &Session,
    name: &FunctionName,
    wait: RolloutArgs,
) -> Result<(), Failure> {
    let looks_on = session.for_people && std::io::stderr().is_terminal();
    if wait.no_wait || !(wait.wait || looks_on) {
        return Ok(());
    }
    let steps = Steps::new(format!("asking which nodes have {name}"));
    match steps.during(poll(session, name, &steps)).await {
        Ok(nodes) => told(name, &nodes, wait.wait),
        // It was deployed all the same; an older node does not know the question.
        Err(_) if !wait.wait => Ok(()),
        Err(error) => Err(failed_to(format!("ask which nodes have {name:?}"))(error)),
    }
}

async fn poll(
    session: &Session,
    name: &FunctionName,
    steps: &Steps,
) -> Result<FunctionNodes, ClientError> {
    let until = Instant::now() + WAIT_MAX;
    loop {
        let nodes = session.client.function_nodes(name).await?;
        if !nodes.is_under_way() || Instant::now() >= until {
            return Ok(nodes);
        }
        steps.describe(&waiting(&nodes));
        tokio::time::sleep(PAUSE).await;
    }
}

/// The line for the person who waits.
fn waiting(nodes: &FunctionNodes) -> String {
    let open = |node: &&NodeVersion| matches!(node.state.as_str(), PREPARING | UNHEARD);
    let names = |wanted: &dyn Fn(&&NodeVersion) -> bool| {
        let names: Vec<&str> = nodes
            .nodes
            .iter()
            .filter(wanted)
            .map(|node| node.node.as_str())
            .collect();
        text::one_line(&names.join(", "))
    };
    let ready = names(&|node| node.state == READY);
    format!("ready on {ready}; preparing on {}", names(&open))
}

/// Says what came of it; on stderr, since the answer of the deploy is on stdout.
fn told(name: &FunctionName, nodes: &FunctionNodes, asked: bool) -> Result<(), Failure> {
    let open: Vec<&NodeVersion> = nodes
        .nodes
        .iter()
        .filter(|node| node.state != READY)
        .collect();
    if open.is_empty() {
        if nodes.nodes.len() > 1 {
            output::warn(&format!("ready on all {} nodes", nodes.nodes.len()));
        }
        return Ok(());
    }
    let ready = nodes.nodes.len() - open.len();
    output::warn(&format!("ready on {ready} of {} nodes", nodes.nodes.len()));
    open.iter().for_each(|node| output::note(&line(node)));
    let is_late = |node: &&NodeVersion| matches!(node.state.as_str(), FAILED | PREPARING | UNHEARD);
    if asked && open.iter().any(is_late) {
        return Err(Failure::new(Exit::Request, format!("{name:?} is deployed, and not ready on every node")).hint(
            "calls of it run where it is ready; the other nodes go on with the version they had, and try again",
        ));
    }
    Ok(())
}

fn line(node: &NodeVersion) -> String {
    let detail = if node.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", node.detail)
    };
    let meanwhile = match node.runs.get(..12) {
        Some(version) => format!(" (runs {version} meanwhile)"),
        None => String::new(),
    };
    format!("{} on {}{meanwhile}{detail}", node.state, node.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, state: &str, runs: &str, detail: &str) -> NodeVersion {
        let [node, area, state, runs, detail] =
            [name, "EDGE", state, runs, detail].map(str::to_owned);
        NodeVersion {
            node,
            area,
            state,
            runs,
            detail,
        }
    }

    #[test]
    fn nodes_are_told_apart() {
        let late = node("edge-2", PREPARING, &"ab".repeat(32), "");
        let failed = node("cloud-1", FAILED, "", "no room");
        assert_eq!(
            line(&late),
            "preparing on edge-2 (runs abababababab meanwhile)"
        );
        assert_eq!(line(&failed), "failed on cloud-1: no room");
        let nodes = vec![node("edge-1", READY, &"cd".repeat(32), ""), late, failed];
        let nodes = FunctionNodes {
            function: "f".to_owned(),
            version: String::new(),
            nodes,
        };
        assert!(nodes.is_under_way());
        assert_eq!(waiting(&nodes), "ready on edge-1; preparing on edge-2");
        let name = FunctionName::parse("f").unwrap();
        assert!(told(&name, &nodes, false).is_ok() && told(&name, &nodes, true).is_err());
    }
}
