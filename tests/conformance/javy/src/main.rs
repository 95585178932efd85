//! Runs the script beside it in Javy's engine: JSON on stdin, JSON on stdout.

use std::io::Read;

use engine::{Runtime, from_js_error};

const SCRIPT: &str = include_str!("script.js");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut json = String::new();
    std::io::stdin().read_to_string(&mut json)?;
    let runtime = Runtime::default();
    let reply = runtime.context().with(|cx| {
        cx.globals()
            .set("input", json)
            .and_then(|()| cx.eval::<String, _>(SCRIPT))
            .map_err(|error| from_js_error(cx.clone(), error))
    })?;
    print!("{reply}");
    Ok(())
}
