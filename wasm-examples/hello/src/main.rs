//! The smallest useful function: params on stdin, result on stdout, log on stderr.

use std::io::{read_to_string, stdin};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Params {
    #[serde(default = "everyone")]
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    message: String,
}

fn everyone() -> String {
    "world".into()
}

fn main() -> ExitCode {
    let Params { name } = match params() {
        Ok(params) => params,
        // A function fails by its exit code; the caller sees the end of stderr.
        Err(error) => {
            eprintln!("hello: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!("greeting {name}");
    let greeting = Greeting {
        message: format!("Hello, {name}!"),
    };
    println!(
        "{}",
        serde_json::to_string(&greeting).expect("a string is always JSON")
    );
    ExitCode::SUCCESS
}

fn params() -> Result<Params, String> {
    let input =
        read_to_string(stdin()).map_err(|error| format!("failed to read the params: {error}"))?;
    serde_json::from_str(&input).map_err(|error| format!("params: {error}"))
}
