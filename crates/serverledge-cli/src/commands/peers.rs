//! `peers`: the other nodes as this one sees them.

use serverledge_wire::peer_info::PeerInfo;

use super::session::Session;
use crate::failure::{Failure, failed_to};
use crate::{progress, text};

/// Stands where the node knows no figure.
const UNKNOWN: &str = "-";

/// Runs the command.
pub(super) async fn peers(session: &Session) -> Result<(), Failure> {
    let peers = progress::during("asking for the peers", session.client.peers()).await;
    session.show_list(
        &peers.map_err(failed_to("get the peers"))?,
        "the node knows no other",
        table,
    )
}

fn table(peers: &[PeerInfo]) -> String {
    let head = [
        "NODE",
        "AREA",
        "KIND",
        "ADDRESS",
        "CLOUD",
        "ROUND TRIP",
        "AGE",
        "MEMORY",
        "CPU",
        "WAIT",
        "CALLS",
    ];
    text::listing(head, peers.iter().map(row))
}

fn row(peer: &PeerInfo) -> [String; 11] {
    let span = |millis: Option<f64>| {
        millis.map_or_else(|| UNKNOWN.to_owned(), |millis| text::seconds(millis / 1e3))
    };
    // What was never told is no figure.
    let told = |figure: String| {
        if peer.age_ms.is_some() {
            figure
        } else {
            UNKNOWN.to_owned()
        }
    };
    let calls = match (peer.draining, peer.offloadable) {
        (true, _) => "draining",
        (false, true) => "yes",
        (false, false) => "no",
    };
    [
        text::one_line(&peer.node),
        text::one_line(&peer.area),
        text::one_line(&peer.kind),
        text::one_line(&peer.address),
        if peer.cloud { "yes" } else { "no" }.to_owned(),
        span(peer.round_trip_ms),
        span(peer.age_ms),
        told(format!("{} MiB", peer.free_memory_mib)),
        told(format!("{:.2}", peer.free_cpu)),
        told(text::seconds(peer.wait_ms / 1e3)),
        calls.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn peers_are_rows() {
        let near = PeerInfo {
            node: "n2\u{1b}[2J".to_owned(),
            area: "ROME".to_owned(),
            kind: "node".to_owned(),
            address: "10.0.0.2:1323".to_owned(),
            cloud: false,
            round_trip_ms: Some(1.25),
            age_ms: Some(1_500.0),
            free_memory_mib: 896,
            free_cpu: 1.5,
            wait_ms: 0.0,
            draining: false,
            offloadable: true,
            coordinates: None,
        };
        let silent = PeerInfo {
            node: "n3".to_owned(),
            cloud: true,
            round_trip_ms: None,
            age_ms: None,
            draining: true,
            ..near.clone()
        };
        expect![[r#"
            NODE         AREA  KIND  ADDRESS        CLOUD  ROUND TRIP  AGE     MEMORY   CPU   WAIT  CALLS
            n2\u{1b}[2J  ROME  node  10.0.0.2:1323  no     1.2 ms      1.50 s  896 MiB  1.50  0 µs  yes
            n3           ROME  node  10.0.0.2:1323  yes    -           -       -        -     -     draining"#]]
        .assert_eq(&table(&[near, silent]));
    }
}
