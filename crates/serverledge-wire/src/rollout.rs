//! On which nodes a function's newest version is prepared, and what nodes tell each other of that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Calls run this version there.
pub const READY: &str = "ready";
/// It is being prepared there, or others are before it.
pub const PREPARING: &str = "preparing";
/// It could not be prepared there; that is tried again.
pub const FAILED: &str = "failed";
/// The node does not know of it yet.
pub const UNHEARD: &str = "unheard";
/// The node has no executor for its runtime, or may not run it.
pub const UNABLE: &str = "unable";
/// The node did not answer.
pub const UNREACHABLE: &str = "unreachable";

/// The answer of `GET /functions/{name}/nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionNodes {
    /// The function's name.
    pub function: String,
    /// The version that the name is bound to.
    pub version: String,
    /// Every node of the cluster, by its name; the one that was asked first.
    pub nodes: Vec<NodeVersion>,
}

/// The state of a version on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NodeVersion {
    /// The node.
    pub node: String,
    /// Its area.
    pub area: String,
    /// `ready`, `preparing`, `failed`, `unheard`, `unable` or `unreachable`.
    pub state: String,
    /// The version that calls run there meanwhile; absent if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub runs: String,
    /// The reason of the failure, in state `failed`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A question of one node to another: how a version stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionQuestion {
    /// The function's space.
    pub space: String,
    /// Its name.
    pub function: String,
    /// The version's digest.
    pub version: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionStand {
    /// One of the states.
    pub state: String,
    /// The version that calls run there; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runs: String,
    /// The reason of the failure, in state `failed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl FunctionNodes {
    /// Whether some node may have the version soon.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| matches!(node.state.as_str(), PREPARING | UNHEARD))
    }
}
