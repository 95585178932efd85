//! Answers with a JSON of what a program sees: arguments, environment, parameters. A `wasi:cli` component of WASI 0.3.

mod files;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasip3::cli::{
    environment, exit, stderr, stdin, stdout, terminal_stdin, terminal_stdout, types::ErrorCode,
};
use wasip3::wit_bindgen::{StreamReader, StreamResult};
use wasip3::{wit_bindgen, wit_stream};

/// The number of bytes that are read at once.
const BLOCK: usize = 16 * 1024;

struct Program;

wasip3::cli::command::export!(Program);

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let (stream, _end) = stdin::read_via_stream();
        let input = read(stream).await;
        let params: Value = serde_json::from_slice(&input).unwrap_or(Value::Null);
        if let Some(text) = params["log"].as_str() {
            log(text).await?;
        }
        if let Some(text) = params["panic"].as_str() {
            panic!("{text}");
        }
        if let Some(answered) = files::asked(&params).await {
            return answer(answered.to_string().into_bytes())
                .await
                .map_err(drop);
        }
        if params["fail"] == true {
            log("it was asked to fail\n").await?;
            return Err(());
        }
        if let Some(bytes) = params["fill"].as_u64() {
            let line = vec![b'1'; usize::try_from(bytes).unwrap_or(usize::MAX)];
            return answer(line).await.map_err(drop);
        }
        let seen = json!({
            "arguments": environment::get_arguments(),
            "environment": environment::get_environment().into_iter().collect::<BTreeMap<_, _>>(),
            "params": String::from_utf8_lossy(&input),
            "terminals": [
                terminal_stdin::get_terminal_stdin().is_some(),
                terminal_stdout::get_terminal_stdout().is_some(),
            ],
        });
        answer(seen.to_string().into_bytes()).await.map_err(drop)?;
        if params["exit"] == true {
            exit::exit(Ok(()));
        }
        Ok(())
    }
}

async fn read(mut stream: StreamReader<u8>) -> Vec<u8> {
    let mut input = Vec::new();
    loop {
        let (result, block) = stream.read(Vec::with_capacity(BLOCK)).await;
        input.extend_from_slice(&block);
        if result == StreamResult::Dropped {
            return input;
        }
    }
}

/// Writes to stdout.
async fn answer(bytes: Vec<u8>) -> Result<(), ErrorCode> {
    let (mut writer, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    wit_bindgen::spawn_local(async move {
        writer.write_all(bytes).await;
    });
    written.await
}

/// Writes to stderr.
async fn log(text: &str) -> Result<(), ()> {
    let (mut writer, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    let bytes = text.as_bytes().to_vec();
    wit_bindgen::spawn_local(async move {
        writer.write_all(bytes).await;
    });
    written.await.map_err(drop)
}
