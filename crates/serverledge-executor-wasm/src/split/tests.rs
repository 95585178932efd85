//! Tests of taking snapshots apart: those of the product's own maker, and modules that only look like one.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use wasm_encoder::{CustomSection, Section as _};

use super::*;
use crate::custom::answering_requests;
use crate::engines::Engines;
use crate::freeze;
use crate::protocol::{Order, SnapshotVerdict};
use crate::skeleton::{fleshed_out, skeleton};

const MEMORY_BYTES_MAX: u64 = 16 << 20;

/// A base with a bit of everything, and a text in the place of data or nothing.
fn base_with(data: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 2)
        (table 3 funcref) (elem (i32.const 1) $seven)
        (global $length (mut i32) (i32.const 0))
        (global $same (mut i64) (i64.const 5))
        (global $float (mut f64) (f64.const 0))
        (global $fixed i32 (i32.const 9))
        (func $seven (result i32) (i32.const 7))
        (func (export "wizer-initialize")
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (i32.const 60000))
            (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
            (global.set $float (f64.const 0.1))
            (drop (memory.grow (i32.const 1)))
            (global.set $length (i32.load (i32.const 24))))
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "serverledge_handle") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.extend_i32_u (global.get $length))))
        {data})"#
    );
    wat::parse_str(text).unwrap()
}

fn base() -> Vec<u8> {
    base_with(r#"(data (i32.const 40) "kept") (data "passive")"#)
}

/// A snapshot by the product's own maker.
fn snapshot(base: &[u8], input: &[u8]) -> Vec<u8> {
    snapshot_of(base, base, input)
}

/// The same; the maker is told another base than the one that it initialises.
fn snapshot_of(base: &[u8], told: &[u8], input: &[u8]) -> Vec<u8> {
    let (_, machine_code) = freeze::instrument(base).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&machine_code).unwrap();
    let path = file.path().as_os_str().as_bytes();
    let order = Order {
        base_bytes: told.len(),
        path_bytes: path.len(),
        memory_bytes_max: MEMORY_BYTES_MAX,
        cpu_time_ms: 5000,
        output_bytes_max: 1000,
        module_bytes_max: 1 << 20,
        log_bytes_max: 1000,
    };
    let mut message = serde_json::to_vec(&order).unwrap();
    message.push(b'\n');
    let (verdict, module): (SnapshotVerdict, _) =
        freeze::snapshot(&[&message, told, path, input].concat()).unwrap();
    assert_eq!(verdict.fault, None);
    module
}

/// The module with the sections that `change` makes of its own.
fn rebuilt(module: &[u8], change: impl FnOnce(&mut Vec<(u8, Vec<u8>)>)) -> Vec<u8> {
    let mut all = sections(module)
        .unwrap()
        .iter()
        .map(|one| (one.id, one.bytes.to_vec()))
        .collect();
    change(&mut all);
    let mut rebuilt = Module::new();
    for (id, data) in &all {
        rebuilt.section(&RawSection { id: *id, data });
    }
    rebuilt.finish()
}

/// The same with other bytes in one section.
fn altered(module: &[u8], id: u8, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    rebuilt(module, |all| {
        let section = all.iter_mut().find(|section| section.0 == id).unwrap();
        change(&mut section.1);
    })
}

/// A base taken apart, and one of its snapshots.
fn pair() -> (SplitBase, Vec<u8>) {
    let base = base();
    (SplitBase::new(&base).unwrap(), snapshot(&base, b"[1]"))
}

#[test]
fn a_real_snapshot_is_taken_apart() {
    for base in [base(), base_with("")] {
        let split = SplitBase::new(&base).unwrap();
        let data = split.data_of(&snapshot(&base, b"[1]")).unwrap();
        let changed = |index, value| ChangedGlobal { index, value };
        let expected = [
            changed(0, Number::I32(3)),
            changed(2, Number::F64(0.1_f64.to_bits())),
        ];
        assert_eq!(data.globals, expected);
        for part in [&split.engine, &data.wasm] {
            wasmparser::Validator::new().validate_all(part).unwrap();
        }
        let data = sections(&data.wasm).unwrap();
        assert_eq!(
            data.iter().map(|one| one.id).collect::<Vec<_>>(),
            [1, 2, 5, 7, 11],
            "no code"
        );
        assert_eq!(memory(body(&data, id::MEMORY).unwrap()).unwrap().initial, 3);
        let engine = sections(&split.engine).unwrap();
        assert_eq!(
            engine.iter().map(|one| one.id).collect::<Vec<_>>(),
            [1, 2, 3, 4, 6, 7, 9, 10],
            "no memory"
        );
        let code = |sections: &[ModuleSection<'_>]| body(sections, id::CODE).unwrap().to_vec();
        assert_eq!(code(&engine), code(&sections(&base).unwrap()));
    }
}

/// The snapshot of a skeleton, with the code of the base again, is that of the base, to the byte.
#[test]
fn a_skeleton_gives_the_same_snapshot() {
    for base in [base(), base_with("")] {
        let skeleton = skeleton(&base).unwrap();
        wasmparser::Validator::new()
            .validate_all(&skeleton)
            .unwrap();
        let skeletal = snapshot_of(&base, &skeleton, b"[1, 2]");
        let whole = snapshot(&base, b"[1, 2]");
        assert_ne!(skeletal, whole);
        assert!(fleshed_out(&skeletal, &base) == Some(whole));
    }
    for other in ["(module)", "(module (memory 1))"] {
        assert_eq!(skeleton(&wat::parse_str(other).unwrap()), None, "{other}");
    }
    assert_eq!(skeleton(b"(module (func))"), None, "text");
}

#[test]
fn another_input_gives_other_data_for_the_same_engine() {
    let (split, one) = pair();
    let two = snapshot(&base(), b"[1, 2]");
    assert_ne!(split.data_of(&one), split.data_of(&two));
    assert_eq!(SplitBase::new(&base()).unwrap().digest, split.digest);
}

#[test]
fn the_source_that_a_snapshot_carries_does_no_harm() {
    let (split, module) = pair();
    let whole = crate::custom::with_section(module.clone(), "serverledge.source", b"source");
    assert_eq!(split.data_of(&whole), split.data_of(&module));
}

#[test]
fn a_changed_byte_anywhere_in_what_is_shared_is_found() {
    let (split, module) = pair();
    assert!(split.data_of(&rebuilt(&module, |_| {})).is_some());
    for ModuleSection { id, bytes } in sections(&module).unwrap() {
        if [id::MEMORY, id::GLOBAL, id::EXPORT, id::DATA].contains(&id) {
            continue;
        }
        for at in 0..bytes.len() {
            let other = altered(&module, id, |bytes| bytes[at] ^= 1);
            assert_eq!(split.data_of(&other), None, "section {id}, byte {at}");
        }
        let longer = altered(&module, id, |bytes| bytes.push(0));
        assert_eq!(split.data_of(&longer), None, "section {id}");
    }
}

#[test]
fn nothing_stands_behind_globals_and_exports_and_sections_are_bounded() {
    let (split, module) = pair();
    for id in [id::GLOBAL, id::EXPORT] {
        let longer = altered(&module, id, |bytes| bytes.push(0));
        assert_eq!(split.data_of(&longer), None, "section {id}");
    }
    let many = rebuilt(&module, |all| {
        all.extend((0..SECTIONS_MAX).map(|_| (id::CUSTOM, b"\x01a".to_vec())));
    });
    assert_eq!(split.data_of(&many), None);
}

#[test]
fn other_sections_are_found() {
    let (split, module) = pair();
    let count = sections(&module).unwrap().len();
    for at in 0..count {
        let lacking = rebuilt(&module, |all| drop(all.remove(at)));
        assert_eq!(split.data_of(&lacking), None, "without section {at}");
        for section in [
            (8, vec![2]),
            (12, vec![1]),
            (13, vec![0]),
            (id::DATA, vec![0]),
            (id::CUSTOM, b"\x01a".to_vec()),
        ] {
            let more = rebuilt(&module, |all| all.insert(at, section.clone()));
            assert_eq!(
                split.data_of(&more),
                None,
                "{section:?} before section {at}"
            );
        }
    }
    for id in [1, 5, 8, 10, 11, 12] {
        let more = rebuilt(&module, |all| all.push((id, vec![0])));
        assert_eq!(
            split.data_of(&more),
            None,
            "another section {id} at the end"
        );
    }
}

#[test]
fn other_memories_are_found() {
    let (split, module) = pair();
    // Limits: flags, least size, largest size.
    for memory in [
        &[1, 0, 1][..],
        &[1, 1, 3, 9],
        &[1, 3, 3, 9],
        &[1, 4, 3],
        &[2, 0, 3, 0, 3],
        &[0],
        &[1, 0],
        &[],
    ] {
        let other = altered(&module, id::MEMORY, |bytes| *bytes = memory.to_vec());
        assert_eq!(split.data_of(&other), None, "{memory:?}");
    }
    let larger = altered(&module, id::MEMORY, |bytes| *bytes = vec![1, 0, 9]);
    assert!(
        split.data_of(&larger).is_some(),
        "a snapshot's memory may have grown"
    );
}

#[test]
fn globals_may_differ_only_by_the_values_of_mutable_ones() {
    let (split, module) = pair();
    let with = |globals: &str| {
        let globals = wat::parse_str(format!("(module {globals})")).unwrap();
        let globals = body(&sections(&globals).unwrap(), id::GLOBAL)
            .unwrap()
            .to_vec();
        split.data_of(&altered(&module, id::GLOBAL, |bytes| {
            bytes.clone_from(&globals)
        }))
    };
    let others = "(global (mut i64) (i64.const 5)) (global (mut f64) (f64.const 0))";
    let changed = with(&format!(
        "(global (mut i32) (i32.const -1)) {others} (global i32 (i32.const 9))"
    ))
    .unwrap();
    assert_eq!(
        changed.globals,
        [ChangedGlobal {
            index: 0,
            value: Number::I32(-1)
        }]
    );
    for (first, last) in [
        (
            "(global (mut i32) (i32.const 1))",
            "(global i32 (i32.const 8))",
        ),
        (
            "(global (mut i32) (i32.const 1))",
            "(global (mut i32) (i32.const 9))",
        ),
        ("(global (mut i32) (i32.const 1))", ""),
        (
            "(global (mut i32) (i32.const 1))",
            "(global i32 (i32.const 9)) (global i32 (i32.const 9))",
        ),
        ("(global i32 (i32.const 0))", "(global i32 (i32.const 9))"),
        (
            "(global (mut i64) (i64.const 0))",
            "(global i32 (i32.const 9))",
        ),
        (
            "(global (mut i32) (i32.add (i32.const 1) (i32.const 2)))",
            "(global i32 (i32.const 9))",
        ),
    ] {
        assert_eq!(
            with(&format!("{first} {others} {last}")),
            None,
            "{first} {last}"
        );
    }
}

#[test]
fn other_exports_are_found() {
    let (split, module) = pair();
    let bytes = body(&sections(&module).unwrap(), id::EXPORT)
        .unwrap()
        .to_vec();
    for at in 0..bytes.len() {
        let other = altered(&module, id::EXPORT, |bytes| bytes[at] ^= 1);
        assert_eq!(split.data_of(&other), None, "byte {at}");
    }
    assert_eq!(
        split.data_of(&base()),
        None,
        "a base is no snapshot of itself"
    );
}

#[test]
fn data_fills_one_memory_at_constant_places() {
    let (split, module) = pair();
    let base_alone = split
        .data_of(&altered(&module, id::DATA, |bytes| *bytes = vec![0]))
        .unwrap();
    assert!(base_alone.wasm.len() < 400);
    // Segments: a kind, the place as an expression, bytes with their length.
    for data in [
        &[1, 0, 0x23, 3, 0x0b, 0][..],
        &[1, 2, 1, 0x41, 0, 0x0b, 0],
        &[1, 0, 0x41, 0, 0x0b, 9],
        &[2, 1, 0],
    ] {
        let other = altered(&module, id::DATA, |bytes| *bytes = data.to_vec());
        assert_eq!(split.data_of(&other), None, "{data:?}");
    }
}

/// A mark alone answers no requests: such a snapshot is left whole, and is refused for the reason that any module is.
#[test]
fn only_a_base_that_answers_requests_has_snapshots_that_do() {
    let function =
        r#"(func (export "serverledge_fetch") (param i32 i32) (result i64) (i64.const 0))"#;
    let other = r#"(global (export "serverledge_fetch") i32 (i32.const 0))"#;
    for (items, has_fetch) in [(function, true), ("", false), (other, false)] {
        let base = base_with(items);
        assert_eq!(SplitBase::new(&base).unwrap().has_fetch, has_fetch);
        if items == other {
            // No reactor at all: nothing makes a snapshot of it.
            continue;
        }
        let plain = snapshot(&base, b"[1]");
        let engines = Engines::new(&[base.into()]);
        assert!(!engines.divide(&plain).unwrap().answers_requests);
        let marked = engines.divide(&answering_requests(plain));
        let answers = marked.map(|divided| divided.answers_requests);
        assert_eq!(answers, has_fetch.then_some(true), "{items}");
    }
}

#[test]
fn bases_of_other_shapes_share_nothing() {
    let import = r#"(import "a" "f" (func))"#;
    let module = |items: &str| {
        SplitBase::new(&wat::parse_str(format!("(module {items})")).unwrap()).is_some()
    };
    let plain = r#"(memory (export "memory") 1) (func (export "f")) (data (i32.const 0) "x")"#;
    assert!(module(&format!("{import} {plain}")));
    for items in [
        "",
        plain,
        &format!(r#"(import "a" "m" (memory 1)) {import}"#),
        &format!(r#"{import} (import "a" "g" (global i32)) {plain}"#),
        &format!("{import} {plain} (func $start) (start $start)"),
        &format!("{import} {plain} (func (data.drop $d)) (data $d \"y\")"),
        &format!("{import} (memory 1 2 shared)"),
        &format!("{import} (memory i64 1)"),
        &format!("{import} (memory 1) (memory 1)"),
    ] {
        assert!(!module(items), "{items}");
    }
    assert!(SplitBase::new(b"").is_none() && SplitBase::new(b"(module)").is_none());
}

#[test]
fn what_is_no_module_is_not_taken_apart() {
    let (split, module) = pair();
    for cut in 0..module.len() {
        // At the end of a section it is a module again, and lacks the next one.
        assert_eq!(split.data_of(&module[..cut]), None, "{cut}");
    }
    let mut garbage = module;
    CustomSection {
        name: "x".into(),
        data: (&[0xff_u8; 9][..]).into(),
    }
    .append_to(&mut garbage);
    garbage.truncate(garbage.len() - 1);
    assert_eq!(split.data_of(&garbage), None);
}
