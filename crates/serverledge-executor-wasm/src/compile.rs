//! The child's side: limits itself, reads a module from stdin, compiles it, writes the verdict and the machine code. Its
//! other job, snapshots, is in `freeze.rs`.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::component_program::ComponentProgram;
use crate::protocol::{Compiled, GuestKind, Job, ModuleRefusal, RefusalCode, Verdict};
use crate::{engine, freeze, inspect, linker, proposals, restorable, stub, surface, unroll};

/// The first bytes of every wasm binary.
const MAGIC: &[u8] = b"\0asm";

/// Niceness of the whole child, as that of the threads for heavy guests.
const NICENESS: i32 = 10;

/// The main function of the compiling child. Arguments: address space in bytes, processor time in seconds, the job.
/// Exit code 0 means that a verdict was written, 2 that the arguments or pipes are broken.
#[must_use]
pub fn compile_worker(args: &[String]) -> ExitCode {
    match parse(args)
        .ok_or_else(|| "bad arguments".to_owned())
        .and_then(|(memory, cpu, job)| run(memory, cpu, job))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: &[String]) -> Option<(u64, u64, Job)> {
    let [memory, cpu, job] = args else {
        return None;
    };
    Some((memory.parse().ok()?, cpu.parse().ok()?, Job::parse(job)?))
}

fn run(memory: u64, cpu: u64, job: Job) -> Result<(), String> {
    // Calls go first; on a machine that has nothing else to do it makes no difference.
    let _ = setpriority_process(None, NICENESS);
    limit(Resource::As, memory)?;
    limit(Resource::Cpu, cpu)?;
    limit(Resource::Core, 0)?;
    let mut input = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut input)
        .map_err(|e| format!("failed to read the module: {e}"))?;
    let answered = match job {
        Job::Inspect => answer_compiled(inspect_only(&input)),
        Job::Compile => answer_compiled(compile(&input)),
        Job::Engine => answer_compiled(engine_of_snapshots(&input)),
        Job::Data => answer_compiled(data(&input)),
        Job::Instrument => answer_compiled(freeze::instrument(&input)),
        Job::Snapshot => {
            freeze::snapshot(&input).and_then(|(verdict, module)| answer(&verdict, &module))
        }
    };
    answered.map_err(|e| format!("failed to write the verdict: {e}"))
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )
    .map_err(|e| format!("failed to limit {resource:?}: {e}"))
}

fn answer_compiled(outcome: Result<(Compiled, Vec<u8>), ModuleRefusal>) -> std::io::Result<()> {
    match outcome {
        Ok((compiled, machine_code)) => answer(&Verdict::Compiled(compiled), &machine_code),
        Err(refusal) => answer(&Verdict::Refused(refusal), &[]),
    }
}

fn answer(verdict: &impl serde::Serialize, bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, verdict)?;
    out.write_all(b"\n")?;
    out.write_all(bytes)?;
    out.flush()
}

fn compile(code: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let binary = binary(code)?;
    let (target, looked_at) = look(&binary)?;
    if is_component(&binary) {
        return component(&target, &binary);
    }
    let engine = &target.engine;
    // One that takes too much to compile then is compiled as it is.
    let unrolled = unroll::unrolled(&binary).and_then(|unrolled| made_core(engine, &unrolled).ok());
    let (compiled, machine_code) = match unrolled {
        Some(made) => made,
        None => made_core(engine, &binary)?,
    };
    let compiled = Compiled {
        kind: looked_at.kind,
        ..compiled
    };
    Ok((compiled, machine_code))
}

fn made_core(engine: &Engine, binary: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    if proposals::has_heap(binary) {
        let (compiled, machine_code) = made(engine, binary)?;
        let compiled = Compiled {
            has_heap: true,
            ..compiled
        };
        return Ok((compiled, machine_code));
    }
    let Some(restorable) = restorable::with_globals(binary) else {
        return made(engine, binary);
    };
    let (compiled, machine_code) = made(engine, &restorable)?;
    let compiled = Compiled {
        is_restorable: true,
        ..compiled
    };
    Ok((compiled, machine_code))
}

/// All that would refuse a module, without its machine code.
fn inspect_only(code: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let (_, stubbed) = look(&binary(code)?)?;
    Ok((
        Compiled {
            code_bytes: 0,
            ..stubbed
        },
        Vec::new(),
    ))
}

/// The engine that a binary is compiled for.
struct Target {
    engine: Engine,
    /// Whether it is that of WASI 0.3.
    is_concurrent: bool,
}

impl Target {
    fn of(binary: &[u8]) -> Result<Self, ModuleRefusal> {
        let is_concurrent = is_component(binary)
            && (surface::read(binary).is_ok_and(|surface| surface.is_of_preview_3())
                || proposals::is_concurrent(binary));
        let engine = if is_concurrent {
            engine::compiling_concurrent()
        } else {
            engine::compiling()
        };
        Ok(Self {
            engine: engine.map_err(|e| invalid(&e))?,
            is_concurrent,
        })
    }
}

/// Looks at everything but what the code does: a module that can never run costs no compilation.
fn look(binary: &[u8]) -> Result<(Target, Compiled), ModuleRefusal> {
    surface::check(binary)?;
    proposals::check(binary, is_component(binary))?;
    let misfit = "the module is not valid: its sections do not fit together";
    let stub =
        stub::stub(binary).ok_or_else(|| ModuleRefusal::new(RefusalCode::InvalidModule, misfit))?;
    let target = Target::of(binary)?;
    let (compiled, _) = if is_component(&stub) {
        component(&target, &stub)?
    } else {
        made(&target.engine, &stub)?
    };
    // A stub has no marks.
    let compiled = Compiled {
        kind: inspect::marked(compiled.kind, binary)?,
        ..compiled
    };
    Ok((target, compiled))
}

fn made(engine: &Engine, binary: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let module = wasmtime::Module::new(engine, binary).map_err(|e| invalid(&e))?;
    let (compiled, machine_code) = finish(engine, &module)?;
    let compiled = Compiled {
        memory_bytes_min: compiled
            .memory_bytes_min
            .max(inspect::memories_bytes(binary)),
        ..compiled
    };
    Ok((compiled, machine_code))
}

/// The binary form: text is translated here, inside the limits.
pub(crate) fn binary(code: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, ModuleRefusal> {
    if code.starts_with(MAGIC) {
        return Ok(code.into());
    }
    let text = code.trim_ascii_start();
    if !(text.starts_with(b"(") || text.starts_with(b";;")) {
        return Err(ModuleRefusal::new(
            RefusalCode::NotWasm,
            "the code is neither a WebAssembly binary nor its text form".to_owned(),
        ));
    }
    wat::parse_bytes(code).map_err(|e| {
        ModuleRefusal::new(
            RefusalCode::NotWasm,
            format!("the text form does not parse: {e}"),
        )
    })
}

/// The layer field of the header (component model binary format): 1 for components, 0 for core modules.
fn is_component(binary: &[u8]) -> bool {
    binary.get(6..8) == Some(&[1, 0])
}

/// Whether there is a host for the module; its machine code.
pub(crate) fn finish(
    engine: &Engine,
    module: &wasmtime::Module,
) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let (kind, memory_bytes_min) = inspect::module(module)?;
    finish_as(engine, module, kind, memory_bytes_min)
}

fn finish_as(
    engine: &Engine,
    module: &wasmtime::Module,
    kind: GuestKind,
    memory_bytes_min: u64,
) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    linker::core(engine)
        .and_then(|linker| linker.instantiate_pre(module))
        .map_err(|e| ModuleRefusal::new(RefusalCode::UnknownImport, chain(&e)))?;
    Ok(compiled(
        kind,
        memory_bytes_min,
        module.serialize().map_err(|e| invalid(&e))?,
    ))
}

/// The engine of snapshots, whose memory each brings along: its other imports are looked at with the data.
fn engine_of_snapshots(binary: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let engine = engine::compiling().map_err(|e| invalid(&e))?;
    let module = wasmtime::Module::new(&engine, binary).map_err(|e| invalid(&e))?;
    let (kind, memory_bytes_min) = inspect::module(&module)?;
    if kind != GuestKind::Reactor {
        return Err(ModuleRefusal::new(
            RefusalCode::NoInterface,
            "only reactors share an engine",
        ));
    }
    let (compiled, machine_code) = compiled(
        kind,
        memory_bytes_min,
        module.serialize().map_err(|e| invalid(&e))?,
    );
    let compiled = Compiled {
        is_restorable: restorable::is_restorable_engine(binary),
        ..compiled
    };
    Ok((compiled, machine_code))
}

/// The data of a snapshot, which is that of a reactor.
fn data(binary: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let engine = engine::compiling_data().map_err(|e| invalid(&e))?;
    let module = wasmtime::Module::new(&engine, binary).map_err(|e| invalid(&e))?;
    let memory_bytes_min = inspect::memory_bytes_min(&module.resources_required())?;
    finish_as(&engine, &module, GuestKind::Reactor, memory_bytes_min)
}

fn component(target: &Target, binary: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let linker = if target.is_concurrent {
        linker::concurrent_component(&target.engine)
    } else {
        linker::component(&target.engine)
    };
    let component = Component::new(&target.engine, binary).map_err(|e| invalid(&e))?;
    let memory_bytes_min = inspect::component(&component)?.max(inspect::memories_bytes(binary));
    let linked = linker
        .and_then(|linker| linker.instantiate_pre(&component))
        .map_err(|e| ModuleRefusal::new(RefusalCode::UnknownImport, chain(&e)))?;
    let kind = surface::read(binary)
        .ok()
        .and_then(|surface| surface.component_kind())
        .unwrap_or(GuestKind::Http);
    ComponentProgram::new(kind, linked).map_err(|e| {
        ModuleRefusal::new(
            RefusalCode::NoInterface,
            format!("the component is no {}: {}", kind.words(), chain(&e)),
        )
    })?;
    let (compiled, machine_code) = compiled(
        kind,
        memory_bytes_min,
        component.serialize().map_err(|e| invalid(&e))?,
    );
    let compiled = Compiled {
        is_concurrent: target.is_concurrent,
        ..compiled
    };
    Ok((compiled, machine_code))
}

fn compiled(kind: GuestKind, memory_bytes_min: u64, machine_code: Vec<u8>) -> (Compiled, Vec<u8>) {
    (
        Compiled {
            kind,
            memory_bytes_min,
            code_bytes: machine_code.len() as u64,
            is_restorable: false,
            has_heap: false,
            is_concurrent: false,
        },
        machine_code,
    )
}

pub(crate) fn invalid(error: &wasmtime::Error) -> ModuleRefusal {
    if is_out_of_memory(error) {
        return ModuleRefusal::new(
            RefusalCode::TooComplex,
            format!(
                "compiling took more memory than is allowed: {}",
                chain(error)
            ),
        );
    }
    ModuleRefusal::new(
        RefusalCode::InvalidModule,
        format!("the module is not valid: {}", chain(error)),
    )
}

/// Whether the limit of address space was met where wasmtime could still say so; elsewhere the process aborts.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref() == Some(&rustix::io::Errno::NOMEM)
            || cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|e| e.kind() == std::io::ErrorKind::OutOfMemory)
            || cause.is::<wasmtime::error::OutOfMemory>()
    })
}

/// The causes of an error on one line, which is what a verdict holds.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    parts.join(": ").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_loops_are_unrolled() {
        let guest = |body: &str| {
            let text = format!(
                "(module (memory (export \"memory\") 1) (func (export \"_start\") (local $n i32) {body}))"
            );
            wat::parse_str(text).expect("a module")
        };
        let step = "(local.tee $n (i32.add (local.get $n) (i32.const 1)))";
        let engine = engine::compiling().expect("an engine");
        for (body, is_unrolled) in [
            (format!("(loop $l (br_if $l {step}))"), true),
            (format!("(drop {step})"), false),
        ] {
            let guest = guest(&body);
            let (_, machine_code) = compile(&guest).expect("machine code");
            let (_, plain) = made_core(&engine, &guest).expect("machine code");
            assert_eq!(machine_code != plain, is_unrolled, "{body}");
        }
    }

    #[test]
    fn running_out_of_memory_is_not_the_modules_fault() {
        let refused = wasmtime::Error::from(rustix::io::Errno::NOMEM)
            .context("mmap failed")
            .context("no buffer");
        assert_eq!(invalid(&refused).code, RefusalCode::TooComplex);
        assert_eq!(
            invalid(&wasmtime::Error::msg("bad magic")).code,
            RefusalCode::InvalidModule
        );
    }
}
