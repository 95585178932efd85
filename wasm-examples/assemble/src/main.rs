//! Turns a WAT file into a wasm module, for scripts/build-guests.sh. Runs on the building machine; not a guest.

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, module] = arguments.as_slice() else {
        bail!("usage: assemble SOURCE.wat MODULE.wasm");
    };
    let bytes = wat::parse_file(source).context("failed to assemble")?;
    std::fs::write(module, bytes).with_context(|| format!("failed to write {}", module.display()))
}
