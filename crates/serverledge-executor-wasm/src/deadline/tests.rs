//! Deadline variants do what their modules do, ask often enough, and end when they are told to.

use std::path::Path;

use serde_json::{Value, json};
use wasmtime::{Caller, Config, Engine, Error, Instance, Linker, OptLevel, Store};

use super::*;

/// The runtime of scripts, before a script was loaded.
const SCRIPTS: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");

/// Room for as many frames as there are between two calls of the import.
const STACK_BYTES: usize = 1 << 20;

/// The host of one instance.
struct Host {
    stdin: Vec<u8>,
    stdout: Vec<u8>,
    log: Vec<u8>,
    /// The number of times that the guest asked whether its time is over.
    asked: u32,
    /// The question that is answered with an error, as are all after it.
    over_at: u32,
}

struct Guest {
    store: Store<Host>,
    instance: Instance,
}

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn compiled(binary: &[u8]) -> wasmtime::Module {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::None)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(2 * STACK_BYTES);
    let engine = Engine::new(&config).expect("an engine");
    wasmtime::Module::new(&engine, binary).expect("a valid module")
}

#[track_caller]
fn variant(module: &[u8]) -> Vec<u8> {
    with_deadline(module).expect("a variant")
}

// === impl Guest ===

impl Guest {
    /// An instance of a module that has one call.
    fn of(binary: &[u8], over_at: u32) -> Self {
        Self::new(&compiled(binary), b"", over_at)
    }

    /// An instance with a bit of WASI; what it does not have does nothing.
    fn new(module: &wasmtime::Module, stdin: &[u8], over_at: u32) -> Self {
        let engine = module.engine();
        let host = Host {
            stdin: stdin.to_vec(),
            stdout: Vec::new(),
            log: Vec::new(),
            asked: 0,
            over_at,
        };
        let mut store = Store::new(engine, host);
        let mut linker = linker(engine).expect("functions for guests");
        linker
            .define_unknown_imports_as_default_values(&mut store, module)
            .expect("the other functions");
        let instance = linker.instantiate(&mut store, module).expect("an instance");
        Self { store, instance }
    }

    fn run(&mut self, name: &str) -> Result<(), Error> {
        let function = self.instance.get_typed_func(&mut self.store, name)?;
        function.call(&mut self.store, ())
    }

    fn number(&mut self, name: &str, argument: i32) -> Result<i32, Error> {
        let function = self.instance.get_typed_func(&mut self.store, name)?;
        function.call(&mut self.store, argument)
    }

    /// A call of a reactor.
    fn handle(&mut self, params: &[u8]) -> Result<Vec<u8>, Error> {
        let length = i32::try_from(params.len())?;
        let at = self.number("serverledge_alloc", length)?;
        let memory = self
            .instance
            .get_memory(&mut self.store, "memory")
            .expect("a memory");
        memory.write(&mut self.store, usize::try_from(at)?, params)?;
        let handle = self
            .instance
            .get_typed_func::<(i32, i32), i64>(&mut self.store, "serverledge_handle")?;
        let packed = handle.call(&mut self.store, (at, length))?;
        let mut result = vec![0; usize::try_from(packed & 0x7fff_ffff)?];
        memory.read(&self.store, usize::try_from(packed >> 32)?, &mut result)?;
        Ok(result)
    }

    /// The result of one call, or the words of a trap; and the log.
    fn result(&mut self, params: &[u8]) -> (Result<Vec<u8>, String>, Vec<u8>) {
        let is_command = self.instance.get_func(&mut self.store, "_start").is_some();
        let result = if is_command {
            self.run("_start")
                .map(|()| self.store.data().stdout.clone())
        } else {
            self.handle(params)
        };
        let result = result.map_err(|error| error.root_cause().to_string());
        (result, self.store.data().log.clone())
    }

    fn asked(&self) -> u32 {
        self.store.data().asked
    }
}

fn linker(engine: &Engine) -> Result<Linker<Host>, Error> {
    const WASI: &str = "wasi_snapshot_preview1";
    let mut linker = Linker::new(engine);
    linker.func_wrap(IMPORT.0, IMPORT.1, |mut caller: Caller<'_, Host>| {
        let host = caller.data_mut();
        host.asked += 1;
        if host.asked >= host.over_at {
            return Err(Error::msg("time is over"));
        }
        Ok(())
    })?;
    linker.func_wrap(
        WASI,
        "fd_read",
        |caller: Caller<'_, Host>, _: i32, list: u32, count: u32, done: u32| {
            transfer(caller, list, count, done, |host, part| {
                let length = part.len().min(host.stdin.len());
                part[..length].copy_from_slice(&host.stdin[..length]);
                host.stdin.drain(..length);
                length
            })
        },
    )?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |caller: Caller<'_, Host>, file: i32, list: u32, count: u32, done: u32| {
            transfer(caller, list, count, done, |host, part| {
                let streams = [&mut host.stdout, &mut host.log];
                streams[usize::from(file != 1)].extend_from_slice(part);
                part.len()
            })
        },
    )?;
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(
            WASI,
            name,
            |mut caller: Caller<'_, Host>, count: u32, bytes: u32| {
                let (memory, _) = memory(&mut caller);
                for at in [count, bytes] {
                    memory[at as usize..][..4].fill(0);
                }
                0
            },
        )?;
    }
    Ok(linker)
}

fn memory<'a>(caller: &'a mut Caller<'_, Host>) -> (&'a mut [u8], &'a mut Host) {
    let memory = caller
        .get_export("memory")
        .and_then(|export| export.into_memory());
    memory.expect("a memory").data_and_store_mut(caller)
}

/// Goes through a list of buffers, and writes down the sum of what was done with each.
fn transfer(
    mut caller: Caller<'_, Host>,
    list: u32,
    count: u32,
    done: u32,
    each: impl Fn(&mut Host, &mut [u8]) -> usize,
) -> i32 {
    let (memory, host) = memory(&mut caller);
    let number = |memory: &[u8], at: usize| {
        let bytes = memory[at..][..4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) as usize
    };
    let mut sum = 0;
    for nth in 0..count as usize {
        let at = list as usize + 8 * nth;
        let (from, length) = (number(memory, at), number(memory, at + 4));
        sum += each(host, &mut memory[from..][..length]);
    }
    let sum = u32::try_from(sum).expect("a length");
    memory[done as usize..][..4].copy_from_slice(&sum.to_le_bytes());
    0
}

// === Nothing else is changed ===

/// The core modules of the examples, with the parameters of their calls.
fn examples() -> Vec<(&'static str, Vec<u8>, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasm-examples");
    let mut examples = Vec::new();
    for name in [
        "add",
        "call-c",
        "call-chain",
        "hello",
        "markdown",
        "sieve",
        "thumbnail",
        "word-count",
    ] {
        let folder = folder.join(name);
        let module = std::fs::read(folder.join(name).with_extension("wasm")).expect("a module");
        let calls = std::fs::read(folder.join("examples.json")).expect("its calls");
        let calls: Vec<Value> = serde_json::from_slice(&calls).expect("a list");
        examples.push((name, module, calls));
    }
    examples
}

#[test]
fn examples_give_the_same() {
    for (name, module, calls) in examples() {
        let variant = compiled(&variant(&module));
        let module = compiled(&module);
        for call in calls {
            let params = call["params"].to_string();
            let result = |module| {
                let params = params.as_bytes();
                Guest::new(module, params, u32::MAX).result(params)
            };
            let (expected, log) = result(&module);
            assert_eq!(result(&variant), (expected.clone(), log), "{name} {params}");
            // Those that call others do not find them here.
            if !name.starts_with("call-") && call.get("result").is_some() {
                let bytes = expected.expect("a result");
                let value: Value = serde_json::from_slice(&bytes).expect("JSON");
                assert_eq!(Some(&value), call.get("result"), "{name} {params}");
            }
        }
    }
}

#[test]
fn scripts_give_the_same_and_ask() {
    let source = "module.exports = ({ n }) => { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; \
        return { s, sorted: [...'deadline'].sort().join(''), re: 'a1b22'.replace(/\\d+/g, '-') }; };";
    let stdin = json!({"file": "index.js", "source": source}).to_string();
    let mut results = Vec::new();
    for binary in [SCRIPTS, &variant(SCRIPTS)] {
        let mut guest = Guest::new(&compiled(binary), stdin.as_bytes(), u32::MAX);
        guest.run("wizer-initialize").expect("a script");
        let before = guest.asked();
        results.push(guest.result(br#"{"n":20000}"#));
        assert_eq!(guest.asked() > before, binary.len() != SCRIPTS.len());
    }
    assert_eq!(results[0], results[1]);
    let result = results[0].0.as_deref().expect("a result");
    let result: Value = serde_json::from_slice(result).expect("JSON");
    assert_eq!(result["sorted"], "addeeiln");
}

/// Functions that are used in all ways that there are; `f` gives a digit for each.
const USES: &str = r#"(module
    (import "m" "host" (func $host (result i32)))
    (import "m" "global" (global $imported i32))
    (type $number (func (result i32)))
    (table $t (export "t") 8 funcref)
    (table $u 4 funcref (ref.func $two))
    (memory (export "memory") 1)
    (global $held funcref (ref.func $three))
    (global $started (mut i32) (i32.const 0))
    (export "two" (func $two))
    (export "host" (func $host))
    (start $start)
    (elem (i32.const 0) $one $host)
    (elem $passive func $two)
    (elem (table $u) (i32.const 0) func $three)
    (elem declare func $one)
    (elem (i32.const 2) funcref (ref.func $three) (ref.null func))
    (elem $items funcref (ref.func $one) (ref.null func))
    (elem (table $u) (i32.const 1) funcref (item (ref.func $one)))
    (elem declare funcref (ref.func $two))
    (func $one (result i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (func $three (result i32) (i32.const 3))
    (func $tail (result i32) (return_call $three))
    (func $start
        (table.init $t $passive (i32.const 4) (i32.const 0) (i32.const 1))
        (table.init $t $items (i32.const 5) (i32.const 0) (i32.const 1))
        (table.set $t (i32.const 6) (ref.func $two))
        (table.set $t (i32.const 7) (global.get $held))
        (global.set $started (i32.const 4)))
    (func $digit (param $sum i32) (param $digit i32) (result i32)
        (i32.add (i32.mul (local.get $sum) (i32.const 5)) (local.get $digit)))
    (func (export "f") (param $sum i32) (result i32)
        (local.set $sum (call $digit (local.get $sum) (call $one)))
        (local.set $sum (call $digit (local.get $sum) (call $host)))
        (local.set $sum (call $digit (local.get $sum) (call $tail)))
        (local.set $sum (call $digit (local.get $sum) (global.get $started)))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 0))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 2))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 4))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 5))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 6))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $t (type $number) (i32.const 7))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $u (type $number) (i32.const 0))))
        (local.set $sum (call $digit (local.get $sum) (call_indirect $u (type $number) (i32.const 1))))
        (call $digit (local.get $sum) (call_indirect $u (type $number) (i32.const 2)))))"#;

#[test]
fn all_uses_of_functions_stay_right() {
    let digits = [1, 0, 3, 4, 1, 3, 2, 1, 2, 3, 3, 1, 2];
    let expected = digits
        .iter()
        .fold(0_i32, |sum, digit| sum.wrapping_mul(5).wrapping_add(*digit));
    let module = binary(USES);
    for binary in [&module, &variant(&module)] {
        let mut guest = Guest::of(binary, u32::MAX);
        assert_eq!(guest.number("f", 0).expect("a result"), expected);
        for (name, number) in [("two", 2), ("host", 0)] {
            let function = guest.instance.get_typed_func(&mut guest.store, name);
            let function = function.expect("a function");
            assert_eq!(
                function.call(&mut guest.store, ()).ok(),
                Some(number),
                "{name}"
            );
        }
    }
}

#[test]
fn sections_that_are_missing_are_added() {
    let function = r#"(func (export "f") (param i32) (result i32) (loop) (i32.add (local.get 0) (i32.const 1)))"#;
    for more in [
        "",
        r#"(import "m" "f" (func))"#,
        r#"(import "m" "g" (global i32))"#,
        "(global i32 (i32.const 3))",
        "(memory 1) (data (i32.const 0) \"abc\")",
        // With a count of data.
        "(memory 1) (data $d \"abc\") (func (data.drop $d))",
        "(table 1 funcref) (elem (i32.const 0) 0)",
        "(start $s) (func $s)",
        r#"(import "m" "g" (global i32)) (table 1 funcref) (global (mut i64) (i64.const 3)) (func) (start 0)"#,
    ] {
        // Imports come first, so that what is started lies before the function.
        let module = binary(&format!("(module {more} {function})"));
        let mut guest = Guest::of(&variant(&module), u32::MAX);
        assert_eq!(guest.number("f", 41).ok(), Some(42), "{more}");
    }
}

#[test]
fn a_module_has_one_variant_without_custom_sections() {
    let module = crate::with_section(binary(USES), "source", b"text");
    let variant = variant(&module);
    assert_eq!(variant, self::variant(&module));
    assert_eq!(variant, self::variant(&binary(USES)));
    for payload in Parser::new(0).parse_all(&variant) {
        assert!(!matches!(payload, Ok(Payload::CustomSection(_))));
    }
}

// === Time ===

/// Loops and recursions without an end. All export `f`.
const ENDLESS: [&str; 14] = [
    r#"(func (export "f") (loop $l (br $l)))"#,
    r#"(func (export "f") (loop $l (br_if $l (i32.const 1))))"#,
    r#"(func (export "f") (loop $l (br_table $l $l (i32.const 0))))"#,
    r#"(func (export "f") (loop $l (if (i32.const 1) (then (br $l)))))"#,
    // With labels of several loops around.
    r#"(func (export "f") (loop $a (block $b (loop $c (block $d (br $a))))))"#,
    r#"(func (export "f") (loop $a (block (loop $c (block $d (br_if $d (i32.const 1)) (br $c)))) (br $a)))"#,
    r#"(func (export "f") (local $x i32) (loop $a (block $b (loop $c
        (local.set $x (i32.rem_u (i32.add (local.get $x) (i32.const 1)) (i32.const 3)))
        (br_table $c $b $a (local.get $x)))) (br $a)))"#,
    // With a parameter and a result.
    r#"(func (export "f") (i32.const 0) (loop $l (param i32) (result i32) (i32.const 1) (i32.add) (br $l)) (drop))"#,
    r#"(func $f (export "f") (call $f))"#,
    r#"(func $f (export "f") (call $g)) (func $g (call $f))"#,
    r#"(table funcref (elem $f)) (func $f (export "f") (call_indirect (i32.const 0)))"#,
    r#"(func $f (export "f") (return_call $f))"#,
    r#"(func $f (export "f") (return_call $g)) (func $g (return_call $f))"#,
    r#"(table funcref (elem $f)) (func $f (export "f") (return_call_indirect (i32.const 0)))"#,
];

#[test]
fn what_has_no_end_ends() {
    for text in ENDLESS {
        let variant = variant(&binary(&format!("(module {text})")));
        let mut guest = Guest::of(&variant, 1);
        let error = guest.run("f").expect_err(text);
        assert_eq!(error.root_cause().to_string(), "time is over", "{text}");
        assert_eq!(guest.asked(), 1, "{text}");
        // The next check asks again: nothing was filled up.
        let error = guest.run("f").expect_err(text);
        assert_eq!(error.root_cause().to_string(), "time is over", "{text}");
        assert_eq!(guest.asked(), 2, "{text}");
    }
}

#[test]
fn what_may_go_on_goes_on() {
    for text in ENDLESS {
        // Frames of calls that do not return fill the stack.
        if text.contains("(call") {
            continue;
        }
        let mut guest = Guest::of(&variant(&binary(&format!("(module {text})"))), 100);
        guest.run("f").expect_err(text);
        assert_eq!(guest.asked(), 100, "{text}");
    }
}

#[test]
fn a_start_function_ends() {
    let module = binary("(module (start $s) (func $s (loop $l (br $l))))");
    let engine = Engine::default();
    let module = wasmtime::Module::new(&engine, variant(&module)).expect("a module");
    let host = Host {
        stdin: Vec::new(),
        stdout: Vec::new(),
        log: Vec::new(),
        asked: 0,
        over_at: 3,
    };
    let mut store = Store::new(&engine, host);
    let linker = linker(&engine).expect("functions for guests");
    assert!(linker.instantiate(&mut store, &module).is_err());
    assert_eq!(store.data().asked, 3);
}

/// A module that turns so often, with so many instructions more in each turn.
fn turning(filling: usize) -> Vec<u8> {
    let filling = "(drop (i32.const 0))".repeat(filling);
    binary(&format!(
        r#"(module (func (export "f") (param $n i32) (result i32)
            (loop $l {filling} (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $n)))"#
    ))
}

#[test]
fn a_unit_is_a_turn_or_some_thousand_bytes() {
    // A turn of a short loop costs a unit, and the entry of its function one.
    for (filling, turns, asked) in [
        (0, 1, 0),
        (0, UNITS - 1, 0),
        (0, UNITS, 1),
        (0, 3 * UNITS, 2),
        (0, 50 * UNITS, 49),
        // Two instructions are three bytes.
        (3 * BYTES_OF_A_UNIT, UNITS / 20, 0),
        (3 * BYTES_OF_A_UNIT, UNITS / 5, 1),
    ] {
        let mut guest = Guest::of(&variant(&turning(filling)), u32::MAX);
        assert_eq!(guest.number("f", turns).ok(), Some(0));
        assert_eq!(guest.asked(), asked, "{filling} {turns}");
    }
}

#[test]
fn calls_cost_too_unless_they_end_by_themselves() {
    let module = binary(
        r#"(module
            (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func $calls (param i32) (result i32) (call $leaf (local.get 0)))
            (func (export "leaf") (param i32) (result i32) (call $leaf (local.get 0)))
            (func (export "f") (param $n i32) (result i32) (local $sum i32)
                (loop $l
                    (local.set $sum (call $calls (local.get $sum)))
                    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                (local.get $sum)))"#,
    );
    let mut guest = Guest::of(&variant(&module), u32::MAX);
    assert_eq!(guest.number("leaf", 6).ok(), Some(7));
    assert_eq!(guest.asked(), 0);
    // Each turn is a unit, and so is the call that calls another.
    assert_eq!(guest.number("f", UNITS).ok(), Some(UNITS));
    assert_eq!(guest.asked(), 2);
}

#[test]
fn what_is_filled_and_copied_costs_by_its_length() {
    // The length of an element is shifted by so much, for a table of some size.
    for (what, shift) in [
        ("memory.fill (i32.const 0) (i32.const 7)", 0),
        ("memory.copy (i32.const 1) (i32.const 0)", 0),
        ("table.fill $t (i32.const 0) (ref.null func)", 8),
        ("table.copy $t $t (i32.const 1) (i32.const 0)", 8),
    ] {
        let module = binary(&format!(
            r#"(module (memory 1024) (table $t 300000 funcref) (func (export "f") (param $n i32) (result i32)
                ({what} (i32.shr_u (local.get $n) (i32.const {shift}))) (i32.const 3)))"#
        ));
        for length in [1, 1 << 20, (1 << 26) - 1] {
            let mut guest = Guest::of(&variant(&module), u32::MAX);
            assert_eq!(guest.number("f", length).ok(), Some(3));
            let is_used_up = length >> shift >> FILLED_OF_A_UNIT_LOG > UNITS;
            assert_eq!(guest.asked(), u32::from(is_used_up), "{what} {length}");
        }
    }
    let filled = binary(
        r#"(module (memory (export "memory") 1) (data $d "abcdef")
            (func (export "f") (param $n i32) (result i32)
                (memory.init $d (i32.const 8) (i32.const 1) (local.get $n))
                (memory.fill (i32.const 10) (i32.const 0x7a) (i32.const 1))
                (memory.copy (i32.const 16) (i32.const 8) (i32.const 4))
                (i32.load (i32.const 16))))"#,
    );
    let mut guest = Guest::of(&variant(&filled), u32::MAX);
    assert_eq!(
        guest.number("f", 4).ok(),
        Some(i32::from_le_bytes(*b"bcze"))
    );
}

// === No variant ===

#[test]
fn some_modules_have_no_variant() {
    for text in [
        "(component)",
        "(component (core module (func)))",
        "(module)",
        r#"(module (import "m" "f" (func)))"#,
        "(module (memory 1 1 shared) (func))",
        r#"(module (import "m" "m" (memory 1 1 shared)) (func))"#,
        "(module (memory i64 1) (func))",
        "(module (table i64 1 funcref) (func))",
        "(module (tag) (func))",
        r#"(module (import "m" "t" (tag)) (func))"#,
        "(module (func (block $l (try_table (catch_all $l)))))",
    ] {
        assert_eq!(with_deadline(&binary(text)), None, "{text}");
    }
    for bytes in [&b""[..], b"(module (func))", b"\0asm", &[0xff; 40]] {
        assert_eq!(with_deadline(bytes), None);
    }
    let whole = binary(USES);
    for cut in 0..whole.len() {
        // Sections may end there.
        let _ = with_deadline(&whole[..cut]);
    }
}

#[test]
fn limits_of_implementations_are_kept() {
    let most = limit::ITEMS - 1;
    let fits = |types, imports, functions, globals| {
        let census = Census {
            types,
            imports,
            imported_functions: 0,
            functions,
            globals,
        };
        Instrumenter::new(&census).is_some()
    };
    assert!(fits(most, most, most - 1, most - 1));
    assert!(!fits(most + 1, 0, 1, 0));
    assert!(!fits(1, most + 1, 1, 0));
    assert!(!fits(1, 0, most, 0));
    assert!(!fits(1, 0, u32::MAX, 0));
    assert!(!fits(1, 0, 1, most + 1));
    // Of loops alone: the checks make it too long.
    let loops = "(loop)".repeat(limit::FUNCTION_BYTES / 10);
    assert_eq!(
        with_deadline(&binary(&format!("(module (func {loops}))"))),
        None
    );
}
