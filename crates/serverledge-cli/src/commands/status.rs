//! `status`: what the node says of itself.

use std::time::Duration;

use serverledge_wire::status::StatusInformation;

use super::session::Session;
use crate::failure::{Failure, failed_to};
use crate::text;

/// Runs the command.
pub(super) async fn status(session: &Session) -> Result<(), Failure> {
    session
        .answer(
            "asking for the status",
            session.client.status(),
            failed_to("get the status"),
            table,
        )
        .await
}

/// One line for each fact; those that the node does not state are left out.
fn table(status: &StatusInformation) -> String {
    let warm = status
        .available_warm_containers
        .iter()
        .map(|(function, count)| format!("{function} {count}"));
    let facts = [
        ("node", node(status)),
        ("version", status.version.clone()),
        ("up", uptime(status.uptime)),
        ("functions", status.functions.to_string()),
        (
            "invocations",
            format!("{} running, {} queued", status.running, status.queued),
        ),
        (
            "memory",
            format!(
                "{} of {} MiB not reserved",
                status.available_memory, status.total_memory
            ),
        ),
        (
            "cpu",
            format!(
                "{:.2} of {:.2} cores reserved",
                status.used_cpu, status.total_cpu
            ),
        ),
        ("load", load(status.load_avg)),
        ("warm", warm.collect::<Vec<_>>().join(", ")),
    ];
    text::known_facts(facts)
}

fn node(status: &StatusInformation) -> String {
    match (status.node.as_str(), status.area.as_str()) {
        ("", area) => area.to_owned(),
        (node, "") => node.to_owned(),
        (node, area) => format!("{node} in {area}"),
    }
}

fn uptime(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|span| !span.is_zero())
        .map(text::age)
        .unwrap_or_default()
}

fn load(averages: [f64; 3]) -> String {
    if averages.iter().any(|average| *average < 0.0) {
        return String::new();
    }
    averages.map(|average| format!("{average:.2}")).join(" ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn facts_are_lines() {
        let status = StatusInformation {
            total_memory: 1024,
            available_memory: 896,
            total_cpu: 8.0,
            used_cpu: 0.5,
            running: 1,
            functions: 3,
            version: "0.1.0".to_owned(),
            node: "n1".to_owned(),
            area: "ROME".to_owned(),
            uptime: 3_725.0,
            load_avg: [0.5, 0.25, 0.125],
            ..StatusInformation::default()
        };
        expect![[r#"
            node         n1 in ROME
            version      0.1.0
            up           1 h 2 min
            functions    3
            invocations  1 running, 0 queued
            memory       896 of 1024 MiB not reserved
            cpu          0.50 of 8.00 cores reserved
            load         0.50 0.25 0.12"#]]
        .assert_eq(&table(&status));
        let bare = StatusInformation {
            load_avg: [-1.0; 3],
            ..StatusInformation::default()
        };
        expect![[r#"
            functions    0
            invocations  0 running, 0 queued
            memory       0 of 0 MiB not reserved
            cpu          0.00 of 0.00 cores reserved"#]]
        .assert_eq(&table(&bare));
    }
}
