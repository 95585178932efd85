//! Greets and adds up: JSON on stdin, JSON on stdout.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Params {
    name: String,
    n: u64,
}

#[derive(Serialize)]
struct Reply {
    message: String,
    sum: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let params: Params = serde_json::from_reader(std::io::stdin())?;
    let reply = Reply {
        message: format!("Hello, {}!", params.name),
        sum: (1..=params.n).sum(),
    };
    serde_json::to_writer(std::io::stdout(), &reply)?;
    Ok(())
}
