//! The function: parameters as JSON on stdin, the result as JSON on stdout, the log on stderr.

use serde_json::{Value, json};

fn main() {
    let params: Value = match serde_json::from_reader(std::io::stdin()) {
        Ok(params) => params,
        Err(fault) => {
            eprintln!("the parameters are not JSON: {fault}");
            std::process::exit(1);
        }
    };
    let name = params["name"].as_str().unwrap_or("world");
    eprintln!("greeting {name}");
    println!("{}", json!({ "message": format!("Hello, {name}!") }));
}
