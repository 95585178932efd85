//! Tests of the wasm executor through its public face: real guests as inline WAT, the real compiling child.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod cache;
mod calls;
mod compile;
mod components;
mod conformance;
mod engine;
mod fairness;
mod files;
mod http;
mod http_faults;
mod http_reactor;
mod isolation;
mod javascript;
mod kept;
mod limits;
mod objects;
mod outbound;
mod program_io;
mod programs;
mod reactor;
mod recognised;
mod service;
mod snapshot;
mod state;
mod support;
mod wasi;
