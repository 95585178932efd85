//! Unrolled loops do what they did, and nothing else is changed.

use proptest::prelude::*;
use wasm_encoder::{Function, FunctionSection, TypeSection, ValType};
use wasmtime::{Engine, Instance, Module, Store};

use super::*;

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A function of one number that has these instructions, with two locals beside it.
fn function(body: &str) -> Vec<u8> {
    binary(&format!(
        "(module (func (export \"f\") (param $n i32) (result i32) (local $sum i32) (local $x i32) {body}))"
    ))
}

/// Results for some arguments; a trap is `None`.
fn results(binary: &[u8]) -> Vec<Option<i32>> {
    let engine = Engine::default();
    let module = Module::new(&engine, binary).unwrap_or_else(|error| {
        panic!("{error:?}\n{binary:02x?}");
    });
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let f = instance
        .get_typed_func::<i32, i32>(&mut store, "f")
        .expect("a function");
    (0..40).map(|n| f.call(&mut store, n).ok()).collect()
}

#[track_caller]
fn does_the_same(body: &str) {
    let whole = function(body);
    let unrolled = unrolled(&whole).unwrap_or_else(|| panic!("not unrolled: {body}"));
    assert!(unrolled.len() > whole.len());
    assert_eq!(results(&unrolled), results(&whole), "{body}");
}

/// Adds up the numbers below `$n`.
const STEP: &str = "(local.set $sum (i32.add (local.get $sum) (local.get $x))) \
    (local.set $x (i32.add (local.get $x) (i32.const 1)))";
const AGAIN: &str = "(i32.lt_u (local.get $x) (local.get $n))";

#[test]
fn loops_do_what_they_did() {
    for body in [
        // As compilers write them: with the question at the end, and at the beginning.
        &format!("(loop $l {STEP} (br_if $l {AGAIN})) (local.get $sum)"),
        &format!(
            "(block $out (loop $l (br_if $out (i32.eqz {AGAIN})) {STEP} (br $l))) (local.get $sum)"
        ),
        // With a result.
        &format!("(loop $l (result i32) {STEP} (br_if $l {AGAIN}) (local.get $sum))"),
        // The loop begins again from within, and is left from within.
        &format!(
            "(block $out (loop $l {STEP} (if {AGAIN} (then (br $l)) (else (br $out))) (unreachable))) (local.get $sum)"
        ),
        // By a table: some numbers go out, some inwards, the rest begins again.
        &format!(
            "(block $out (loop $l {STEP} (br_if $out (i32.eqz {AGAIN})) \
             (block $in (br_table $in $out $l (i32.rem_u (local.get $sum) (i32.const 7)))) \
             (local.set $sum (i32.add (local.get $sum) (i32.const 100))) (br $l))) (local.get $sum)"
        ),
        // It ends by a return, or a trap.
        &format!("(loop $l {STEP} (br_if $l {AGAIN}) (return (local.get $sum))) (unreachable)"),
        &format!(
            "(loop $l {STEP} (br_if $l {AGAIN}) (drop (i32.div_u (local.get $n) (i32.rem_u (local.get $n) (i32.const 3))))) (local.get $sum)"
        ),
        // Two, one behind the other, and one in a loop, which stays.
        &format!(
            "(loop $l {STEP} (br_if $l {AGAIN})) (local.set $x (i32.const 0)) (loop $l {STEP} (br_if $l {AGAIN})) (local.get $sum)"
        ),
        &format!(
            "(loop $outer (local.set $x (i32.const 0)) (loop $l {STEP} (br_if $l {AGAIN})) \
             (local.set $n (i32.div_u (local.get $n) (i32.const 2))) (br_if $outer (local.get $n))) (local.get $sum)"
        ),
        // A branch out takes a value along, or goes to a loop around it.
        &format!(
            "(block $out (result i32) (loop $l {STEP} (drop (br_if $out (local.get $sum) \
             (i32.gt_u (local.get $sum) (i32.const 50)))) (br_if $l {AGAIN})) (local.get $x))"
        ),
        &format!(
            "(loop $outer (loop $l {STEP} (br_if $outer (i32.eq (local.get $x) (i32.const 3))) \
             (br_if $l {AGAIN}))) (local.get $sum)"
        ),
        // Out of so many blocks that the label takes another byte where it is farther away.
        &format!(
            "{} (loop $l {STEP} (br_if 127 (i32.gt_u (local.get $sum) (i32.const 50))) (br_if $l {AGAIN})) {} (local.get $sum)",
            "(block ".repeat(127),
            ")".repeat(127)
        ),
    ] {
        does_the_same(body);
    }
}

#[test]
fn what_is_no_small_loop_stays() {
    let long = STEP.repeat(20);
    for body in [
        "(local.get $n)",
        // It never begins again.
        &format!("(loop $l {STEP}) (local.get $sum)"),
        // A call looks itself.
        &format!(
            "(loop $l {STEP} (drop (call 0 (i32.const 0))) (br_if $l {AGAIN})) (local.get $sum)"
        ),
        &format!("(loop $l {long} (br_if $l {AGAIN})) (local.get $sum)"),
        // With a parameter.
        &format!(
            "(local.get $n) (loop $l (param i32) (drop) {STEP} (local.get $n) (br_if $l {AGAIN}) (drop)) (local.get $sum)"
        ),
    ] {
        assert_eq!(unrolled(&function(body)), None, "{body}");
    }
    assert_eq!(unrolled(b"no module"), None);
}

#[test]
fn eight_turns_are_written_with_one_beginning() {
    let whole = function(&format!(
        "(loop $l {STEP} (br_if $l {AGAIN})) (local.get $sum)"
    ));
    let unrolled = unrolled(&whole).expect("a loop");
    let mut found = [0; 4];
    for payload in Parser::new(0).parse_all(&unrolled) {
        if let Ok(Payload::CodeSectionEntry(body)) = payload {
            for operator in body.get_operators_reader().expect("a function") {
                match operator.expect("an operator") {
                    Operator::Loop { .. } => found[0] += 1,
                    Operator::Block { .. } => found[1] += 1,
                    Operator::I32LtU => found[2] += 1,
                    Operator::Br { .. } => found[3] += 1,
                    _ => {}
                }
            }
        }
    }
    // One block is the way out.
    assert_eq!(found, [1, TURNS_MAX, TURNS_MAX, TURNS_MAX - 1]);
}

#[test]
fn a_module_grows_by_a_bounded_number_of_bytes() {
    let sum = format!("(loop $l {STEP} (br_if $l {AGAIN}))");
    for body in [&sum, "(loop $l (br $l))"] {
        let one = format!("(func (param $n i32) (local $sum i32) (local $x i32) {body})");
        let whole = binary(&format!("(module {})", one.repeat(8_000)));
        let unrolled = unrolled(&whole).expect("loops");
        let added = unrolled.len() - whole.len();
        // With the functions' lengths, of which some take a byte more.
        assert!(added <= ADDED_BYTES_MAX + 8_004, "{added}");
        assert!(added >= ADDED_BYTES_MAX / 2, "{added}");
        wasmparser::validate(&unrolled).expect("a module");
    }
}

#[test]
fn a_function_does_not_become_too_long() {
    const LOCALS: usize = 3;
    // (loop $l (br_if $l (local.get 0))), and the function's end.
    const LOOP: [u8; 8] = [0x03, 0x40, 0x20, 0x00, 0x0d, 0x00, 0x0b, 0x0b];
    const NOP: u8 = 0x01;
    let with_nops = |nops: usize| {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut function = Function::new([(2, ValType::I32)]);
        function.raw(std::iter::repeat_n(NOP, nops)).raw(LOOP);
        let mut code = CodeSection::new();
        code.function(&function);
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&functions).section(&code);
        module.finish()
    };
    let longest = with_nops(FUNCTION_BYTES_MAX - LOCALS - LOOP.len());
    wasmparser::validate(&longest).expect("a module");
    assert_eq!(unrolled(&longest), None);
    assert!(unrolled(&with_nops(1)).is_some());
}

/// Offsets in custom sections would be wrong.
#[test]
fn hints_on_places_in_the_code_are_left_out() {
    let text = |name: &str| {
        format!(
            "(module (@custom \"{name}\" \"\\00\") (func (param $n i32) (local $sum i32) (local $x i32) (loop $l {STEP} (br_if $l {AGAIN}))))"
        )
    };
    let customs = |binary: Vec<u8>| {
        let payloads = Parser::new(0).parse_all(&binary);
        let names = payloads.filter_map(|payload| match payload {
            Ok(Payload::CustomSection(section)) => Some(section.name().to_owned()),
            _ => None,
        });
        names.filter(|name| name != "name").collect::<Vec<_>>()
    };
    let of = |name| customs(unrolled(&binary(&text(name))).expect("a loop"));
    assert_eq!(of("metadata.code.branch_hint"), Vec::<String>::new());
    assert_eq!(of("producers2"), ["producers2"]);
}

/// A statement of a random body, in as many blocks as the loop has around it.
fn statement(depth: u32) -> impl Strategy<Value = String> {
    let bit = || {
        (0..8_u32).prop_map(|bit| {
            format!("(i32.and (i32.shr_u (local.get $sum) (i32.const {bit})) (i32.const 1))")
        })
    };
    // The labels from within: the blocks, the loop, and the block around it.
    let label = move || 0..depth + 2;
    let change = (1..100_i32).prop_map(|by| {
        format!(
            "(local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.const {by})))"
        )
    });
    let leave = (label(), bit()).prop_map(|(label, bit)| format!("(br_if {label} {bit})"));
    let table = (label(), label(), label(), bit()).prop_map(|(a, b, c, bit)| {
        format!(
            "(if {bit} (then (br_table {} {} {} (i32.and (local.get $sum) (i32.const 3)))))",
            a + 1,
            b + 1,
            c + 1
        )
    });
    prop_oneof![4 => change, 2 => leave, 1 => table]
}

fn statements(depth: u32, levels: u32) -> BoxedStrategy<String> {
    let plain = proptest::collection::vec(statement(depth), 1..4).prop_map(|all| all.concat());
    if levels == 0 {
        return plain.boxed();
    }
    let inner = (
        statements(depth, 0),
        statements(depth + 1, levels - 1),
        statements(depth, 0),
        0..3,
    );
    let bit = "(i32.and (local.get $sum) (i32.const 2))";
    let nested = inner.prop_map(move |(before, inside, behind, kind)| match kind {
        0 => format!("{before} (block {inside}) {behind}"),
        1 => format!("{before} (if {bit} (then {inside})) {behind}"),
        _ => format!("{before} {behind} (if {bit} (then) (else {inside}))"),
    });
    prop_oneof![plain, nested].boxed()
}

proptest! {
    /// Each turn uses up a part of `$n`, so that it ends whatever the branches do.
    #[test]
    fn random_loops_do_what_they_did(inside in statements(0, 2)) {
        let whole = function(&format!(
            "(local.set $sum (local.get $n)) (block $out (loop $l \
             (br_if $out (i32.eqz (local.get $n))) (local.set $n (i32.sub (local.get $n) (i32.const 1))) \
             {inside} (br_if $l (i32.and (local.get $sum) (i32.const 4))))) (local.get $sum)"
        ));
        let unrolled = unrolled(&whole);
        prop_assume!(unrolled.is_some());
        let unrolled = unrolled.expect("it was just seen");
        prop_assert_eq!(results(&unrolled), results(&whole));
    }
}
