//! The reply of `/status`, in Serverledge's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Network coordinates (Vivaldi); all zero while a node stands alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Coordinates {
    /// Position.
    pub vec: [f64; 3],
    /// Confidence.
    pub error: f64,
    /// Adjustment term.
    pub adjustment: f64,
    /// Height above the plane.
    pub height: f64,
}

/// The status of a node, as it reports it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct StatusInformation {
    /// Idle warm containers by function. Wasm instances are never kept, so they are not counted.
    pub available_warm_containers: BTreeMap<String, i64>,
    /// Memory of the pool in MiB.
    pub total_memory: i64,
    /// Memory not reserved by running invocations, in MiB.
    pub available_memory: i64,
    /// Memory neither reserved nor held by warm containers, in MiB.
    pub free_memory: i64,
    /// Cores of the pool.
    #[serde(rename = "TotalCPU")]
    pub total_cpu: f64,
    /// Cores reserved by running invocations.
    #[serde(rename = "UsedCPU")]
    pub used_cpu: f64,
    /// Network coordinates.
    pub coordinates: Coordinates,
    /// Load averages over 1, 5 and 15 minutes; -1 where unknown.
    pub load_avg: [f64; 3],
    /// Unix time in seconds.
    pub last_update_time: i64,
    /// Invocations running now (not in Serverledge).
    pub running: i64,
    /// Invocations waiting now (not in Serverledge).
    pub queued: i64,
    /// Deployed functions (not in Serverledge).
    pub functions: i64,
    /// Functions that are not prepared on this node, at most 100 of them (not in Serverledge).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preparing: Vec<Unprepared>,
    /// The node's version (not in Serverledge).
    pub version: String,
    /// The node's name (not in Serverledge).
    pub node: String,
    /// The node's area (not in Serverledge).
    pub area: String,
    /// Seconds since start (not in Serverledge).
    pub uptime: f64,
}

/// A function whose newest version is not prepared on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Unprepared {
    /// Its name; behind the space where that is an application's.
    pub function: String,
    /// The version.
    pub version: String,
    /// `preparing` or `failed`.
    pub state: String,
    /// The version that calls run meanwhile; absent if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runs: String,
    /// The reason of the failure, in state `failed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
