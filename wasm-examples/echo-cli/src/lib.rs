//! Answers with a JSON of what a program sees: arguments, environment, parameters. A `wasi:cli` component.
//!
//! It is built for wasm32-unknown-unknown and made a component by its linker. `cargo build --target wasm32-wasip2` makes
//! the same kind of component of any main function.

use serde_json::{Value, json};
use wasip2::cli::{environment, exit, stderr, stdin, stdout, terminal_stdin, terminal_stdout};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// The number of bytes that a stream reads and writes at once; `wasi:io` allows no more in one blocking write.
const BLOCK: usize = 4096;

struct Program;

wasip2::cli::command::export!(Program);

impl wasip2::exports::cli::run::Guest for Program {
    fn run() -> Result<(), ()> {
        let input = read(&stdin::get_stdin()).map_err(drop)?;
        let params: Value = serde_json::from_slice(&input).unwrap_or(Value::Null);
        let log = |text: &str| write(&stderr::get_stderr(), text.as_bytes()).map_err(drop);
        if let Some(text) = params["log"].as_str() {
            log(text)?;
        }
        if let Some(text) = params["panic"].as_str() {
            panic!("{text}");
        }
        if params["fail"] == true {
            log("it was asked to fail\n")?;
            return Err(());
        }
        if let Some(bytes) = params["fill"].as_u64() {
            let line = vec![b'1'; usize::try_from(bytes).unwrap_or(usize::MAX)];
            write(&stdout::get_stdout(), &line).map_err(drop)?;
            return Ok(());
        }
        let answer = json!({
            "arguments": environment::get_arguments(),
            "environment": environment::get_environment().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "params": String::from_utf8_lossy(&input),
            "terminals": [
                terminal_stdin::get_terminal_stdin().is_some(),
                terminal_stdout::get_terminal_stdout().is_some(),
            ],
        });
        write(&stdout::get_stdout(), answer.to_string().as_bytes()).map_err(drop)?;
        if params["exit"] == true {
            exit::exit(Ok(()));
        }
        Ok(())
    }
}

fn read(stream: &InputStream) -> Result<Vec<u8>, StreamError> {
    let mut input = Vec::new();
    loop {
        match stream.blocking_read(BLOCK as u64) {
            Ok(bytes) => input.extend_from_slice(&bytes),
            Err(StreamError::Closed) => return Ok(input),
            Err(error) => return Err(error),
        }
    }
}

fn write(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    bytes
        .chunks(BLOCK)
        .try_for_each(|block| stream.blocking_write_and_flush(block))
}
