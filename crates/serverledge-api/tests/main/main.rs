//! Tests of the HTTP surface over a fake node: requests in, responses out.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod access;
mod accounts;
mod app_lifecycle;
mod apps;
mod backend;
mod balancer;
mod bodies;
mod deploy;
mod early;
mod edge_tier;
mod errors;
mod fake_apps;
mod fake_runs;
mod fake_state;
mod forwarded;
mod http2;
mod http_function;
mod invocations;
mod invoke;
mod kv;
mod limits;
mod logs;
mod origin;
mod patch;
mod peers;
mod prefix;
mod public_app;
mod routes;
mod running_apps;
mod runs;
mod server;
mod support;
mod tls;
mod trace;
mod versions;
