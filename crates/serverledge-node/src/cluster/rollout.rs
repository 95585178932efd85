//! The nodes on which a version is prepared: its state here, and the states that the others report.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serverledge_core::error_chain;
use serverledge_wire::records::NodeRecord;
use serverledge_wire::rollout::{NodeVersion, UNREACHABLE, VersionQuestion, VersionStand};

use crate::cluster::serve::PeerServer;

/// Longest wait for another node's response: the caller wants to know the nodes that do not respond, too.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Most nodes that are asked at once.
const ASKED_AT_ONCE: usize = 16;

impl PeerServer {
    /// The state of a version on every node; `own`: that on this one.
    pub(super) async fn stands(
        &self,
        own: VersionStand,
        question: &VersionQuestion,
    ) -> Vec<NodeVersion> {
        let node = self.identity.node.clone();
        let area = self.identity.area.clone();
        let mut nodes = vec![of_node(node, area, own)];
        let others = self.membership.others();
        let mut asked = Vec::new();
        for known in others.iter() {
            if known.record.kind == NodeRecord::NODE {
                asked.push(self.ask_node(known.area.clone(), known.node.clone(), question));
            }
        }
        let mut answers: Vec<_> = stream::iter(asked)
            .buffer_unordered(ASKED_AT_ONCE)
            .collect()
            .await;
        answers.sort_by(|one, other| (&one.area, &one.node).cmp(&(&other.area, &other.node)));
        nodes.extend(answers);
        nodes
    }

    async fn ask_node(
        &self,
        area: String,
        node: String,
        question: &VersionQuestion,
    ) -> NodeVersion {
        let stand = match (
            &self.cluster.client,
            self.cluster.peers.contact_of(&area, &node),
        ) {
            (Some(client), Some(contact)) => client
                .version_stand(&contact.target, question, ANSWER_MAX)
                .await
                .map_err(|error| error_chain(&error)),
            _ => Err(
                "this node cannot speak to it; see cluster.key and cluster.allow_plain".to_owned(),
            ),
        };
        let unreachable = |detail| VersionStand {
            state: UNREACHABLE.to_owned(),
            runs: String::new(),
            detail,
        };
        of_node(node, area, stand.unwrap_or_else(unreachable))
    }
}

fn of_node(node: String, area: String, stand: VersionStand) -> NodeVersion {
    let VersionStand {
        state,
        runs,
        detail,
    } = stand;
    NodeVersion {
        node,
        area,
        state,
        runs,
        detail,
    }
}
