//! End to end: the real programs, started on port 0 with a data folder of their own, asked over real sockets, stopped
//! by signals. No test waits by sleeping, and none knows of another.

mod adoption;
mod asynchronous;
mod callbacks;
mod cli;
mod compat;
#[cfg(feature = "nodejs-tests")]
mod conformance;
mod deploys;
mod documents;
mod drain;
mod durability;
mod early;
mod echo;
mod examples;
mod failures;
mod fairness;
mod files;
mod fuzz;
mod guests;
mod hostile_page;
mod invoice;
mod isolation;
mod javascript;
mod javascript_http;
mod javascript_source;
mod kv;
mod kv_crash;
mod limits;
mod nested;
mod no_engine;
mod outbound;
mod overload;
mod pages;
mod programs;
mod python_wasm;
mod restart;
mod support;
mod templates;
mod tls;
mod updates;
mod webhook;
