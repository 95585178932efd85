//! The base of the tests: the programs, a node, the client, a socket, and patience.

pub(crate) mod cli;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod node;
pub(crate) mod npm;
pub(crate) mod programs;
pub(crate) mod wait;

use std::path::PathBuf;
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

pub(crate) use http::{Connection, Request, Response};
pub(crate) use node::{Node, Setup};
pub(crate) use wait::wait_for;

/// The folder of one of `wasm-examples/`.
pub(crate) fn example_folder(name: &str) -> PathBuf {
    programs::root().join("wasm-examples").join(name)
}

pub(crate) fn example_path(name: &str) -> PathBuf {
    example_folder(name).join(format!("{name}.wasm"))
}

/// The module of one of `wasm-examples/`.
pub(crate) fn example(name: &str) -> Result<Vec<u8>> {
    let path = example_path(name);
    std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// The requests that a guest's `examples.json` lists.
pub(crate) fn requests_of(name: &str) -> Result<Vec<Value>> {
    let path = example_folder(name).join("examples.json");
    let text =
        std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Runs work beside the test.
pub(crate) fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> Result<T> + Send + 'scope,
) -> ScopedJoinHandle<'scope, Result<T>> {
    scope.spawn(work)
}

/// The outcome of work that ran beside the test.
pub(crate) fn joined<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle
        .join()
        .map_err(|_| anyhow!("work beside the test panicked"))?
}
