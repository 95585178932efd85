//! The compiling child as a program of its own, for this crate's tests and benchmarks; the node is its own child.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    serverledge_executor_wasm::compile_worker(&args)
}
