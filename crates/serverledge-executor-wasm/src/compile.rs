//! The child's side: limits itself, reads a module from stdin, compiles it, writes the verdict and the machine code.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::inspect::{self, Inspected};
use crate::protocol::{Compiled, Refusal, RefusalCode, Verdict};
use crate::{engine, linker};

/// The first bytes of every wasm binary.
const MAGIC: &[u8] = b"\0asm";

/// The main function of the compiling child. Arguments: address space in bytes, processor time in seconds.
/// Exit code 0 means that a verdict was written, 2 that the arguments or pipes are broken.
#[must_use]
pub fn compile_worker(args: &[String]) -> ExitCode {
    match limits(args).ok_or_else(|| "bad arguments".to_owned()).and_then(|(memory, cpu)| run(memory, cpu)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn limits(args: &[String]) -> Option<(u64, u64)> {
    let [memory, cpu] = args else { return None };
    Some((memory.parse().ok()?, cpu.parse().ok()?))
}

fn run(memory: u64, cpu: u64) -> Result<(), String> {
    limit(Resource::As, memory)?;
    limit(Resource::Cpu, cpu)?;
    limit(Resource::Core, 0)?;
    let mut code = Vec::new();
    std::io::stdin().lock().read_to_end(&mut code).map_err(|e| format!("failed to read the module: {e}"))?;
    let (verdict, machine_code) = match compile(&code) {
        Ok((compiled, machine_code)) => (Verdict::Compiled(compiled), machine_code),
        Err(refusal) => (Verdict::Refused(refusal), Vec::new()),
    };
    answer(&verdict, &machine_code).map_err(|e| format!("failed to write the verdict: {e}"))
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
        .map_err(|e| format!("failed to limit {resource:?}: {e}"))
}

fn answer(verdict: &Verdict, machine_code: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, verdict)?;
    out.write_all(b"\n")?;
    out.write_all(machine_code)?;
    out.flush()
}

fn compile(code: &[u8]) -> Result<(Compiled, Vec<u8>), Refusal> {
    let engine = engine::compiling().map_err(|e| invalid(&e))?;
    let binary = binary(code)?;
    let (inspected, machine_code) =
        if is_component(&binary) { component(&engine, &binary)? } else { module(&engine, &binary)? };
    let compiled = Compiled {
        kind: inspected.kind,
        memory_bytes_min: inspected.memory_bytes_min,
        code_bytes: machine_code.len() as u64,
    };
    Ok((compiled, machine_code))
}

/// The binary form: text is translated here, inside the limits.
fn binary(code: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, Refusal> {
    if code.starts_with(MAGIC) {
        return Ok(code.into());
    }
    let text = code.trim_ascii_start();
    if !(text.starts_with(b"(") || text.starts_with(b";;")) {
        return Err(refusal(
            RefusalCode::NotWasm,
            "the code is neither a WebAssembly binary nor its text form".to_owned(),
        ));
    }
    wat::parse_bytes(code).map_err(|e| refusal(RefusalCode::NotWasm, format!("the text form does not parse: {e}")))
}

/// The layer field of the header (component model binary format): 1 for components, 0 for core modules.
fn is_component(binary: &[u8]) -> bool {
    binary.get(6..8) == Some(&[1, 0])
}

fn module(engine: &Engine, binary: &[u8]) -> Result<(Inspected, Vec<u8>), Refusal> {
    let module = wasmtime::Module::new(engine, binary).map_err(|e| invalid(&e))?;
    let inspected = inspect::module(&module)?;
    linker::core(engine)
        .and_then(|linker| linker.instantiate_pre(&module))
        .map_err(|e| refusal(RefusalCode::UnknownImport, chain(&e)))?;
    Ok((inspected, module.serialize().map_err(|e| invalid(&e))?))
}

fn component(engine: &Engine, binary: &[u8]) -> Result<(Inspected, Vec<u8>), Refusal> {
    let component = Component::new(engine, binary).map_err(|e| invalid(&e))?;
    let inspected = inspect::component(engine, &component)?;
    let linked = linker::http(engine)
        .and_then(|linker| linker.instantiate_pre(&component))
        .map_err(|e| refusal(RefusalCode::UnknownImport, chain(&e)))?;
    ProxyPre::new(linked).map_err(|e| {
        refusal(
            RefusalCode::NoInterface,
            format!("the component's wasi:http/incoming-handler cannot handle: {}", chain(&e)),
        )
    })?;
    Ok((inspected, component.serialize().map_err(|e| invalid(&e))?))
}

fn invalid(error: &wasmtime::Error) -> Refusal {
    if is_out_of_memory(error) {
        return refusal(
            RefusalCode::TooComplex,
            format!("compiling took more memory than is allowed: {}", chain(error)),
        );
    }
    refusal(RefusalCode::InvalidModule, format!("the module is not valid: {}", chain(error)))
}

/// Whether the limit of address space was met where wasmtime could still say so; elsewhere the process aborts.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref() == Some(&rustix::io::Errno::NOMEM)
            || cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::OutOfMemory)
            || cause.is::<wasmtime::error::OutOfMemory>()
    })
}

fn refusal(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message }
}

/// The causes of an error on one line, which is what a verdict holds.
fn chain(error: &wasmtime::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    parts.join(": ").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_is_not_the_modules_fault() {
        let refused = wasmtime::Error::from(rustix::io::Errno::NOMEM).context("mmap failed").context("no buffer");
        assert_eq!(invalid(&refused).code, RefusalCode::TooComplex);
        assert_eq!(invalid(&wasmtime::Error::msg("bad magic")).code, RefusalCode::InvalidModule);
    }
}
