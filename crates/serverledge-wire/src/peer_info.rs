//! The reply of the node's own route `/peers`: the other nodes as this one sees them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::status::Coordinates;

/// One peer. What is measured is as old as `age_ms` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfo {
    /// Its name.
    pub node: String,
    /// Its area.
    pub area: String,
    /// The kind of the peer: `node`, or a word for other programs that register themselves.
    pub kind: String,
    /// The address at which it takes calls.
    pub address: String,
    /// It is in the area that counts as the cloud here.
    pub cloud: bool,
    /// Time to it and back, in milliseconds; `null` if it was never measured.
    pub round_trip_ms: Option<f64>,
    /// Age of its last report of its load, in milliseconds; `null` if there was none, and then the members that follow
    /// say nothing.
    pub age_ms: Option<f64>,
    /// Memory not reserved by running invocations, in MiB.
    pub free_memory_mib: u64,
    /// Cores not reserved.
    pub free_cpu: f64,
    /// Time that a call would wait there for room, in milliseconds.
    pub wait_ms: f64,
    /// It takes no further work.
    pub draining: bool,
    /// Calls may be sent there now.
    pub offloadable: bool,
    /// Its network coordinates, once it has said them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_keep_their_members() {
        let peer = PeerInfo {
            node: "n2".to_owned(),
            area: "ROME".to_owned(),
            kind: "node".to_owned(),
            address: "10.0.0.2:1323".to_owned(),
            cloud: false,
            round_trip_ms: Some(1.5),
            age_ms: None,
            free_memory_mib: 512,
            free_cpu: 1.25,
            wait_ms: 0.5,
            draining: false,
            offloadable: true,
            coordinates: None,
        };
        let text = serde_json::to_string(&peer).unwrap();
        expect_test::expect![[r#"{"node":"n2","area":"ROME","kind":"node","address":"10.0.0.2:1323","cloud":false,"round_trip_ms":1.5,"age_ms":null,"free_memory_mib":512,"free_cpu":1.25,"wait_ms":0.5,"draining":false,"offloadable":true}"#]]
        .assert_eq(&text);
        assert_eq!(serde_json::from_str::<PeerInfo>(&text).unwrap(), peer);
        let whole = text.replace("1.5,\"age_ms\":null", "2,\"age_ms\":30");
        let read: PeerInfo = serde_json::from_str(&whole).unwrap();
        assert_eq!(
            (read.round_trip_ms, read.age_ms),
            (Some(2.0), Some(30.0)),
            "whole numbers are numbers"
        );
    }
}
