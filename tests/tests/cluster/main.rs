//! Clusters: several real nodes on a real etcd, on loopback or in sites with links that delay, lose and cut. Nodes and
//! etcd are killed, frozen, stopped and filled, and what was promised is checked afterwards.

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    reason = "shared with the other end-to-end tests, which use all of it"
)]
mod e2e;

#[path = "../e2e/guests.rs"]
#[expect(
    dead_code,
    reason = "shared with the other end-to-end tests, which use all of it"
)]
mod guests;

mod balancer;
mod calls;
mod crashes;
mod kv;
mod links;
mod memo;
mod outage;
mod people;
mod placement;
mod support;
mod units;
mod updates;
