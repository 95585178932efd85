//! Greets and adds up: a program of WASI 0.3, whose streams are asynchronous.

use serde_json::{Value, json};

wasip3::cli::command::export!(Program);

struct Program;

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let (input, _end) = wasip3::cli::stdin::read_via_stream();
        let params: Value = serde_json::from_slice(&input.collect().await).map_err(|_| ())?;
        let name = params["name"].as_str().ok_or(())?;
        let sum: u64 = (1..=params["n"].as_u64().ok_or(())?).sum();
        let reply = json!({"message": format!("Hello, {name}!"), "sum": sum});
        let (mut output, stream) = wasip3::wit_stream::new();
        let (written, ()) = futures::join!(
            async { wasip3::cli::stdout::write_via_stream(stream).await },
            async {
                output.write_all(reply.to_string().into_bytes()).await;
                drop(output);
            }
        );
        written.map_err(|_| ())
    }
}
