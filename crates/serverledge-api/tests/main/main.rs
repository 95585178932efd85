//! Tests of the HTTP surface over a fake node: requests in, responses out.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod backend;
mod balancer;
mod deploy;
mod errors;
mod guard;
mod invocations;
mod invoke;
mod limits;
mod logs;
mod peer;
mod plain;
mod routes;
mod server;
mod support;
mod tls;
mod versions;
