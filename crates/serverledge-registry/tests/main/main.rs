//! Tests of the registry's public face: the conformance suite, a model, crashes, the typed stores, and figures.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod accounts;
mod applications;
mod conformance;
mod crash;
mod figures;
mod invocation_model;
mod invocations;
mod model;
mod state;
mod stores;
mod versions;
