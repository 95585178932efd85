//! Whether an instance of a module can be put back to its beginning: all of its state has to be its memory and globals
//! that the host can read and write (docs/decisions/0026). One with a heap of objects is not asked about here.

use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{
    BinaryReader, ExportSectionReader, ExternalKind, FunctionBody, GlobalType, Operator, Parser,
    Payload, TypeRef, ValType,
};

use crate::exports::{bare, global_name};

/// Most mutable globals of a module: each is written before every call.
const GLOBALS_MAX: usize = 64;
/// Most tables: the pool has four for each of its slots.
const TABLES_MAX: u32 = 2;
/// The number of the section of exports (core specification, "Binary Format", "Modules").
const EXPORTS: u8 = 7;

/// The module with its mutable globals exported under [`global_name`]; `None` if its instances cannot be put back.
pub(crate) fn with_globals(binary: &[u8]) -> Option<Vec<u8>> {
    let globals = mutable_globals(binary, false)?;
    let mut module = Module::new();
    let mut is_exported = false;
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        let data = binary.get(range)?;
        if id == EXPORTS {
            is_exported = true;
            let exports = exports(data, &globals)?;
            module.section(&RawSection { id, data: &exports });
        } else {
            module.section(&RawSection { id, data });
        }
    }
    is_exported.then(|| module.finish())
}

/// Whether the instances of an engine that snapshots share can be put back; its memory comes from outside.
pub(crate) fn is_restorable_engine(binary: &[u8]) -> bool {
    mutable_globals(binary, true).is_some()
}

/// The mutable globals of a module that has no other state than these and its one memory.
fn mutable_globals(binary: &[u8], memory_is_imported: bool) -> Option<Vec<u32>> {
    let mut globals = Vec::new();
    let mut tables = 0;
    for payload in Parser::new(0).parse_all(binary) {
        match payload.ok()? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let is_allowed = match import.ok()?.ty {
                        TypeRef::Func(_) => true,
                        TypeRef::Memory(_) => memory_is_imported,
                        _ => false,
                    };
                    if !is_allowed {
                        return None;
                    }
                }
            }
            Payload::MemorySection(section) if memory_is_imported || section.count() != 1 => {
                return None;
            }
            Payload::GlobalSection(section) => {
                for (index, global) in (0..).zip(section) {
                    let ty = global.ok()?.ty;
                    if ty.mutable {
                        globals.push(is_number(ty).then_some(index)?);
                    } else if !is_number(ty) && !is_function(ty.content_type) {
                        return None;
                    }
                }
            }
            Payload::TableSection(section) => {
                tables = tables.max(section.count());
                for table in section {
                    if !is_function(ValType::Ref(table.ok()?.ty.element_type)) {
                        return None;
                    }
                }
            }
            // It runs once for an instance, and again for a fresh one.
            Payload::StartSection { .. } | Payload::TagSection(_) => return None,
            Payload::CodeSectionEntry(body) if !leaves_tables_and_segments(&body)? => return None,
            _ => {}
        }
    }
    (globals.len() <= GLOBALS_MAX && tables <= TABLES_MAX).then_some(globals)
}

/// Whether it is a reference to a function, which has no state.
fn is_function(ty: ValType) -> bool {
    matches!(ty, ValType::Ref(reference) if reference.is_func_ref())
}

/// Whether a global holds a number, which can be kept outside of its store.
fn is_number(ty: GlobalType) -> bool {
    let is_number = matches!(
        ty.content_type,
        ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128
    );
    is_number && !ty.shared
}

/// Whether a function changes neither a table nor what is left of segments.
fn leaves_tables_and_segments(body: &FunctionBody<'_>) -> Option<bool> {
    let mut operators = body.get_operators_reader().ok()?;
    while !operators.eof() {
        let changes = matches!(
            operators.read().ok()?,
            Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. }
                | Operator::ElemDrop { .. }
                | Operator::MemoryInit { .. }
                | Operator::DataDrop { .. }
        );
        if changes {
            return Some(false);
        }
    }
    Some(true)
}

/// The section's exports and the globals; `None` if one of these names is taken.
fn exports(bytes: &[u8], globals: &[u32]) -> Option<Vec<u8>> {
    let names: Vec<String> = globals.iter().copied().map(global_name).collect();
    let mut section = ExportSection::new();
    for export in ExportSectionReader::new(BinaryReader::new(bytes, 0)).ok()? {
        let export = export.ok()?;
        if names.iter().any(|name| name == export.name) {
            return None;
        }
        let kind = match export.kind {
            ExternalKind::Func => ExportKind::Func,
            ExternalKind::Table => ExportKind::Table,
            ExternalKind::Memory => ExportKind::Memory,
            ExternalKind::Global => ExportKind::Global,
            _ => return None,
        };
        section.export(export.name, kind, export.index);
    }
    for (name, index) in names.iter().zip(globals) {
        section.export(name, ExportKind::Global, *index);
    }
    bare(&section)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: &str = r#"(memory (export "memory") 1)"#;

    fn binary(fields: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {fields})")).expect("a module")
    }

    fn exports_of(fields: &str) -> Option<Vec<String>> {
        let module = with_globals(&binary(fields))?;
        wasmparser::validate(&module).expect("a valid module");
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(&module) {
            if let Ok(Payload::ExportSection(section)) = payload {
                names = section
                    .into_iter()
                    .map(|export| export.expect("an export").name.to_owned())
                    .collect();
            }
        }
        Some(names)
    }

    #[test]
    fn mutable_globals_are_exported_and_others_not() {
        let fields = format!(
            "{MEMORY} (global i32 (i32.const 1)) (global (mut i64) (i64.const 2)) \
             (global (mut v128) (v128.const i64x2 1 2)) (func (export \"f\"))"
        );
        let expected = [
            "memory",
            "f",
            "serverledge:global.1",
            "serverledge:global.2",
        ];
        assert_eq!(
            exports_of(&fields).as_deref(),
            Some(&expected.map(str::to_owned)[..])
        );
    }

    #[test]
    fn modules_with_other_state_are_left_alone() {
        let refused = [
            "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))",
            "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
            "(table 1 funcref) (func (table.fill (i32.const 0) (ref.null func) (i32.const 1)))",
            "(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))",
            "(table 1 funcref) (elem $e func 0) (func (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))",
            "(elem $e func 0) (func (elem.drop $e))",
            "(data $d \"x\") (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))",
            "(data $d \"x\") (func (data.drop $d))",
            "(global (mut funcref) (ref.null func))",
            "(func $f) (start $f)",
            "(table 1 funcref) (table 1 funcref) (table 1 funcref)",
            "(table 1 externref)",
            "(global externref (ref.null extern))",
            "(global (mut i32) (i32.const 0)) (func (export \"serverledge:global.0\"))",
        ];
        for fields in refused {
            assert_eq!(exports_of(&format!("{MEMORY} {fields}")), None, "{fields}");
        }
        assert_eq!(
            exports_of("(import \"e\" \"g\" (global (mut i32))) (memory (export \"memory\") 1)"),
            None
        );
        let many = "(global (mut i32) (i32.const 0))".repeat(GLOBALS_MAX + 1);
        assert_eq!(exports_of(&format!("{MEMORY} {many}")), None);
    }

    #[test]
    fn reading_tables_and_filling_memory_is_allowed() {
        let fields = format!(
            "{MEMORY} (table 1 funcref) (elem (i32.const 0) 0) (func (drop (table.get (i32.const 0))) \
             (memory.fill (i32.const 0) (i32.const 1) (i32.const 8)) (drop (memory.grow (i32.const 1))))"
        );
        assert!(exports_of(&fields).is_some());
    }

    #[test]
    fn an_engine_brings_no_memory() {
        let engine =
            binary("(import \"d\" \"memory\" (memory 1)) (global (mut i32) (i32.const 0))");
        assert!(is_restorable_engine(&engine));
        assert!(!is_restorable_engine(&binary(MEMORY)));
    }
}
