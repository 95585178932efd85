//! The node's own networks: internal ones, for images that are spoken to over TCP, and those that lead out, for functions that
//! asked for it. Containers do not reach each other: by an option of the engine's, or because each has a network of its own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bollard::models::NetworkCreateRequest;
use tokio::process::Command;

use crate::container::Hub;
use crate::engine::{EngineError, NODE_LABEL};
use crate::kind::EngineKind;

/// Interface names have at most 15 bytes.
const BRIDGE_PREFIX: &str = "slg";

/// The reach of a container's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nowhere: no interface but the loopback.
    Nothing,
    /// The node reaches the container, which reaches nobody.
    Node,
    /// The container reaches what the machine reaches.
    World,
}

/// A container's network, as it stands in the engine's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    /// Whether it is this container's alone and goes with it.
    pub(crate) own: bool,
}

/// The network of a container, which is made if it is not there. `container` is a name that no other container has.
pub(crate) async fn attach(
    hub: &Hub,
    kind: &EngineKind,
    reach: Reach,
    container: &str,
) -> Result<Attachment, EngineError> {
    match reach {
        Reach::Nothing => Ok(Attachment {
            name: "none".to_owned(),
            own: false,
        }),
        reach if kind.shares_networks() => ensure(hub, reach)
            .await
            .map(|name| Attachment { name, own: false }),
        reach => create_own(hub, reach, container)
            .await
            .map(|()| Attachment {
                name: own_name(container),
                own: true,
            }),
    }
}

/// The one network of this sort.
async fn ensure(hub: &Hub, reach: Reach) -> Result<String, EngineError> {
    let _alone = hub.networks.lock().await;
    let (name, bridge) = names(&hub.config.node_id, reach);
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(reach == Reach::Node),
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
    close_machine(&bridge, &rules(&bridge)).await;
    Ok(name)
}

/// A network with room for one container. The firewall's rules come first: they hold for all interfaces of this node.
async fn create_own(hub: &Hub, reach: Reach, container: &str) -> Result<(), EngineError> {
    {
        let _alone = hub.networks.lock().await;
        let all = every_bridge(&hub.config.node_id);
        close_machine(&all, &rules_of_own(&all)).await;
    }
    let number = hub.interfaces.fetch_add(1, Ordering::Relaxed);
    let interface = format!("{}{number:04x}", bridge_stem(&hub.config.node_id));
    let name = own_name(container);
    let internal = reach == Reach::Node;
    hub.engine
        .create_own_network(&name, &interface, internal, &hub.config.node_id)
        .await
}

/// Of the network that is one container's alone.
fn own_name(container: &str) -> String {
    format!("serverledge-{container}")
}

/// Removes the node's networks; no container is in them any more.
pub(crate) async fn remove(hub: &Hub) {
    remove_rules(&hub.config.node_id).await;
    remove_networks(hub).await;
}

/// Removes the networks alone.
pub(crate) async fn remove_networks(hub: &Hub) {
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

async fn remove_rules(node_id: &str) {
    let all = every_bridge(node_id);
    let (_, internal) = names(node_id, Reach::Node);
    let (_, egress) = names(node_id, Reach::World);
    let rules = [
        rules(&internal).to_vec(),
        rules(&egress).to_vec(),
        rules_of_own(&all).to_vec(),
    ]
    .concat();
    for rule in rules {
        iptables("-D", &rule).await;
    }
}

fn names(node_id: &str, reach: Reach) -> (String, String) {
    let (suffix, letter) = if reach == Reach::Node {
        ("internal", 'i')
    } else {
        ("egress", 'e')
    };
    (
        format!("serverledge-{}-{suffix}", short(node_id)),
        format!("{}{letter}", bridge_stem(node_id)),
    )
}

fn short(node_id: &str) -> String {
    blake3::hash(node_id.as_bytes()).to_hex()[..8].to_owned()
}

/// The common beginning of the names of this node's interfaces.
fn bridge_stem(node_id: &str) -> String {
    format!("{BRIDGE_PREFIX}{}", short(node_id))
}

/// All interfaces of this node, in iptables' form.
fn every_bridge(node_id: &str) -> String {
    format!("{}+", bridge_stem(node_id))
}

/// Every network leads to the machine itself, an internal one too: what listens on all its addresses would be reached.
/// Answers to the node's own connections pass. Link-local addresses are where clouds answer a machine's questions about
/// its own secrets.
async fn close_machine(bridge: &str, rules: &[Vec<&str>]) {
    for rule in rules {
        if !iptables("-C", rule).await && !iptables("-I", rule).await {
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

/// The same for networks of one container each. The machine passes nothing new on to them: from one of them to another there
/// is a way through the machine. In the table `mangle`, which is asked before `filter`: there Podman puts rules of its own in
/// front whenever it has none, and they accept all that comes from a container.
fn rules_of_own(bridges: &str) -> [Vec<&str>; 3] {
    [
        vec![
            "INPUT",
            "-t",
            "mangle",
            "-i",
            bridges,
            "-m",
            "conntrack",
            "--ctstate",
            "NEW,INVALID",
            "-j",
            "DROP",
        ],
        vec![
            "FORWARD",
            "-t",
            "mangle",
            "-i",
            bridges,
            "-d",
            "169.254.0.0/16",
            "-j",
            "DROP",
        ],
        vec![
            "FORWARD",
            "-t",
            "mangle",
            "-o",
            bridges,
            "-m",
            "conntrack",
            "--ctstate",
            "NEW,INVALID",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_names_that_the_kernel_takes() {
        let stem = bridge_stem("node");
        assert_eq!(format!("{stem}{:04x}", u16::MAX).len(), 15);
        assert!(
            names("node", Reach::Node).1.starts_with(&stem)
                && names("node", Reach::World).1.starts_with(&stem)
        );
        assert_eq!(every_bridge("node"), format!("{stem}+"));
    }
}
