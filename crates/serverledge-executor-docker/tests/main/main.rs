//! Tests of the container executor through its public face, in real containers of a real Docker Engine.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod calls;
mod conformance;
mod custom;
mod engine;
mod escapes;
mod faults;
mod hostile;
mod install;
mod local_packages;
mod outbound;
mod programs;
mod proxy;
mod support;
mod sweeps;
