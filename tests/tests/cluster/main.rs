//! Clusters: several real nodes on a real etcd, on loopback or in sites with links that delay, lose and cut. Nodes and
//! etcd are killed, frozen, stopped and filled, and what was promised is checked afterwards.

#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, reason = "shared with the other end-to-end tests, which use all of it")]
mod e2e;

mod balancer;
mod crashes;
mod links;
mod outage;
mod people;
mod placement;
mod support;
