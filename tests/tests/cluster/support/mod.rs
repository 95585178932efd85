//! A cluster, a workload whose promises can be checked, and the checker.

pub(crate) mod cluster;
pub(crate) mod guest;
pub(crate) mod history;
pub(crate) mod relay;
#[path = "../../containers/support/turn.rs"]
mod turn;
pub(crate) mod workload;

pub(crate) use crate::e2e::{Request, Response, beside, joined, wait_for};
pub(crate) use cluster::{CLOUD, Cluster, Door, EDGE};
pub(crate) use workload::{Workload, executor_of};
