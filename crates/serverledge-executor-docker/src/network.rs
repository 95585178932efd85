//! The node's own networks: one that leads nowhere, for images that are spoken to over TCP, and one that leads out, for functions
//! that asked for it. In both, containers do not reach each other.

use std::collections::HashMap;

use bollard::models::NetworkCreateRequest;
use serverledge_core::Network;
use tokio::process::Command;

use crate::container::Hub;
use crate::engine::{EngineError, NODE_LABEL};

/// Interface names have at most 15 bytes.
const BRIDGE_PREFIX: &str = "slg";

/// The network of a container, by what its function asked for. Makes it if it is not there.
pub(crate) async fn ensure(hub: &Hub, network: Network) -> Result<String, EngineError> {
    let _alone = hub.networks.lock().await;
    let (name, bridge) = names(&hub.config.node_id, network);
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(network == Network::None),
        labels: Some(HashMap::from([(
            NODE_LABEL.to_owned(),
            hub.config.node_id.clone(),
        )])),
        options: Some(HashMap::from([
            (
                "com.docker.network.bridge.enable_icc".to_owned(),
                "false".to_owned(),
            ),
            ("com.docker.network.bridge.name".to_owned(), bridge.clone()),
        ])),
        ..NetworkCreateRequest::default()
    };
    hub.engine.ensure_network(request).await?;
    close_machine(&bridge).await;
    Ok(name)
}

/// Removes the node's networks; no container is in them any more.
pub(crate) async fn remove(hub: &Hub) {
    for network in [Network::None, Network::Bridge] {
        let (_, bridge) = names(&hub.config.node_id, network);
        for rule in rules(&bridge) {
            iptables("-D", &rule).await;
        }
    }
    match hub.engine.networks_of(&hub.config.node_id).await {
        Ok(networks) => {
            for name in networks {
                if let Err(error) = hub.engine.remove_network(&name).await {
                    tracing::warn!(name, %error, "failed to remove a network");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "failed to list networks"),
    }
}

fn names(node_id: &str, network: Network) -> (String, String) {
    let digest = blake3::hash(node_id.as_bytes()).to_hex();
    let (suffix, letter) = match network {
        Network::None => ("internal", 'i'),
        Network::Bridge => ("egress", 'e'),
    };
    (
        format!("serverledge-{}-{suffix}", &digest[..8]),
        format!("{BRIDGE_PREFIX}{}{letter}", &digest[..8]),
    )
}

/// Every network leads to the machine itself, an internal one too: what listens on all its addresses would be reached.
/// Answers to the node's own connections pass. Link-local addresses are where clouds answer a machine's questions about
/// its own secrets.
async fn close_machine(bridge: &str) {
    for rule in rules(bridge) {
        if !iptables("-C", &rule).await && !iptables("-I", &rule).await {
            tracing::warn!(
                bridge,
                "could not close this machine to containers on a network (iptables, as root): they reach what listens on all addresses"
            );
        }
    }
}

/// A chain and what is dropped in it.
fn rules(bridge: &str) -> [Vec<&str>; 2] {
    [
        vec![
            "INPUT",
            "-i",
            bridge,
            "-m",
            "conntrack",
            "--ctstate",
            "NEW,INVALID",
            "-j",
            "DROP",
        ],
        vec![
            "DOCKER-USER",
            "-i",
            bridge,
            "-d",
            "169.254.0.0/16",
            "-j",
            "DROP",
        ],
    ]
}

async fn iptables(action: &str, rule: &[&str]) -> bool {
    let command = Command::new("iptables")
        .args(["-w", "5", action])
        .args(rule)
        .kill_on_drop(true)
        .output()
        .await;
    command.is_ok_and(|output| output.status.success())
}
