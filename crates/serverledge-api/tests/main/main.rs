//! Tests of the HTTP surface over a fake node: requests in, responses out.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod access;
mod accounts;
mod apps;
mod backend;
mod balancer;
mod deploy;
mod errors;
mod fake_apps;
mod guard;
mod hosting;
mod invocations;
mod invoke;
mod limits;
mod logs;
mod passed;
mod peer;
mod plain;
mod routes;
mod running;
mod server;
mod serving;
mod support;
mod tls;
mod versions;
