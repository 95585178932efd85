//! Takes a snapshot apart into the engine that all snapshots of its base share, which is code without memory, and its own
//! data, which is memory without code. A module in which anything else differs from the base is left whole.

use serde::{Deserialize, Serialize};
use serverledge_core::Digest;
use wasm_encoder::{
    DataSection, Encode as _, EntityType, ExportKind, ExportSection, MemorySection, Module,
    RawSection,
};
use wasmparser::{
    BinaryReader, ConstExpr, DataKind, DataSectionReader, Export, ExportSectionReader,
    ExternalKind, GlobalSectionReader, ImportSectionReader, MemorySectionReader, MemoryType,
    Operator, Parser, Payload, TypeRef, ValType,
};

use crate::exports::{bare, global_name};
use crate::freeze::INITIALIZE;
use crate::protocol::FETCH;

/// The module name under which an engine imports its memory.
const DATA: &str = "serverledge:data";
/// The name of the memory: in the engine's imports, and in the exports of both parts.
pub(crate) const MEMORY: &str = "memory";
/// Exports of a base that its snapshots do not have: they have been called.
const SPENT: [&str; 2] = [INITIALIZE, "_initialize"];

/// The beginning of the custom section with names.
const NAMES: &[u8] = b"\x04name";

/// The number of a section in the core specification ("Binary Format", "Modules").
pub(crate) mod id {
    pub(crate) const CUSTOM: u8 = 0;
    pub(crate) const TYPE: u8 = 1;
    pub(crate) const IMPORT: u8 = 2;
    pub(crate) const FUNCTION: u8 = 3;
    pub(crate) const TABLE: u8 = 4;
    pub(crate) const MEMORY: u8 = 5;
    pub(crate) const GLOBAL: u8 = 6;
    pub(crate) const EXPORT: u8 = 7;
    pub(crate) const ELEMENT: u8 = 9;
    pub(crate) const CODE: u8 = 10;
    pub(crate) const DATA: u8 = 11;
}

/// A base whose snapshots can be taken apart.
#[derive(Debug)]
pub(crate) struct SplitBase {
    wasm: Vec<u8>,
    pub(crate) engine: Vec<u8>,
    /// The digest of the engine, under which it is kept.
    pub(crate) digest: Digest,
    /// Whether its snapshots can answer requests.
    pub(crate) has_fetch: bool,
}

/// The part of a snapshot that is its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SplitData {
    /// A module of memory and its contents, which also hands on the host's functions.
    pub(crate) wasm: Vec<u8>,
    pub(crate) globals: Vec<ChangedGlobal>,
}

/// Most sections that are looked at: more than a base and a snapshot have, and few enough for this process, which reads
/// what users upload.
const SECTIONS_MAX: usize = 64;

/// Separates this use of BLAKE3 from all others.
const ENGINE_DOMAIN: &str = "serverledge 2026 engine of scripts 1";

/// The value of a mutable global that is not the base's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedGlobal {
    pub(crate) index: u32,
    pub(crate) value: Number,
}

/// A constant; floats by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Number {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}

/// The name under which data hands on the nth function that its base imports.
pub(crate) fn function_name(nth: usize) -> String {
    format!("function.{nth}")
}

impl SplitBase {
    /// `None` if the base is of another shape than toolchains make: it has to have one memory, which it defines, functions as
    /// its only imports, and data that code does not name.
    pub(crate) fn new(wasm: &[u8]) -> Option<Self> {
        let base = with_data(sections(wasm)?)?;
        let engine = engine(&base)?;
        let exports = body(&base, id::EXPORT).and_then(|bytes| exports(bytes, u32::MAX));
        let has_fetch = exports
            .unwrap_or_default()
            .iter()
            .any(|export| export.name == FETCH && matches!(export.kind, ExternalKind::Func));
        // Of a kind of its own: no upload has it.
        let mut hasher = blake3::Hasher::new_derive_key(ENGINE_DOMAIN);
        let digest = Digest::new(*hasher.update(&engine).finalize().as_bytes());
        Some(Self {
            wasm: wasm.to_vec(),
            engine,
            digest,
            has_fetch,
        })
    }

    /// The data of a snapshot of this base; `None` for every other module.
    pub(crate) fn data_of(&self, module: &[u8]) -> Option<SplitData> {
        let base = with_data(sections(&self.wasm)?)?;
        let found = sections(module)?;
        let mut globals = Vec::new();
        let mut rest = found.iter();
        for section in &base {
            let other = rest.next().filter(|other| other.id == section.id)?;
            let fits = match section.id {
                id::MEMORY => {
                    memory(other.bytes).is_some_and(|other| is_grown(memory(section.bytes), other))
                }
                id::GLOBAL => changed(section.bytes, other.bytes)
                    .map(|changed| globals = changed)
                    .is_some(),
                id::EXPORT => {
                    let lasting = lasting(exports(section.bytes, u32::MAX)?);
                    let most = u32::try_from(lasting.len()).ok()?;
                    exports(other.bytes, most).is_some_and(|other| other == lasting)
                }
                id::DATA => true,
                _ => section.bytes == other.bytes,
            };
            if !fits {
                return None;
            }
        }
        // Custom sections that were added to the snapshot: the source that it carries.
        if rest.any(|section| section.id != id::CUSTOM) {
            return None;
        }
        Some(SplitData {
            wasm: data(&found)?,
            globals,
        })
    }
}

/// A section of a module, without its head.
pub(crate) struct ModuleSection<'a> {
    pub(crate) id: u8,
    pub(crate) bytes: &'a [u8],
}

/// The sections of a core module in their order; `None` if it is none, or has more than [`SECTIONS_MAX`].
pub(crate) fn sections(wasm: &[u8]) -> Option<Vec<ModuleSection<'_>>> {
    if wasm.get(..8)? != Module::HEADER {
        return None;
    }
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        if found.len() >= SECTIONS_MAX {
            return None;
        }
        if let Payload::CustomSection(section) = &payload {
            // With its name.
            found.push(ModuleSection {
                id: id::CUSTOM,
                bytes: wasm.get(section.range())?,
            });
        } else if let Some((id, range)) = payload.as_section() {
            found.push(ModuleSection {
                id,
                bytes: wasm.get(range)?,
            });
        }
    }
    Some(found)
}

/// The sections with one for data: where there is none, a snapshot has it at the end, before names.
fn with_data(mut sections: Vec<ModuleSection<'_>>) -> Option<Vec<ModuleSection<'_>>> {
    if body(&sections, id::DATA).is_none() {
        let names = sections
            .iter()
            .position(|section| section.id == id::CUSTOM && section.bytes.starts_with(NAMES));
        let at = names.unwrap_or(sections.len());
        if sections
            .iter()
            .skip(at)
            .any(|section| section.id != id::CUSTOM)
        {
            return None;
        }
        sections.insert(
            at,
            ModuleSection {
                id: id::DATA,
                bytes: &[],
            },
        );
    }
    Some(sections)
}

fn body<'a>(sections: &[ModuleSection<'a>], id: u8) -> Option<&'a [u8]> {
    sections
        .iter()
        .find(|section| section.id == id)
        .map(|section| section.bytes)
}

fn reader(bytes: &[u8]) -> BinaryReader<'_> {
    BinaryReader::new(bytes, 0)
}

/// The one memory that a section defines, if all that its type says is its size.
fn memory(bytes: &[u8]) -> Option<MemoryType> {
    let mut memories = MemorySectionReader::new(reader(bytes)).ok()?.into_iter();
    let memory = memories.next()?.ok()?;
    let is_plain = !memory.memory64 && !memory.shared && memory.page_size_log2.is_none();
    (is_plain && memories.next().is_none()).then_some(memory)
}

fn is_grown(from: Option<MemoryType>, to: MemoryType) -> bool {
    from.is_some_and(|from| from.maximum == to.maximum && from.initial <= to.initial)
}

/// The exports of a section; `None` if there are more than `max`.
fn exports(bytes: &[u8], max: u32) -> Option<Vec<Export<'_>>> {
    let exports = ExportSectionReader::new(reader(bytes)).ok()?;
    if exports.count() > max {
        return None;
    }
    exports.into_iter().collect::<Result<_, _>>().ok()
}

/// The exports that snapshots have as well.
fn lasting(exports: Vec<Export<'_>>) -> Vec<Export<'_>> {
    exports
        .into_iter()
        .filter(|export| !SPENT.contains(&export.name))
        .collect()
}

/// The mutable globals whose values differ; `None` if more than that differs.
fn changed(base: &[u8], other: &[u8]) -> Option<Vec<ChangedGlobal>> {
    let base = GlobalSectionReader::new(reader(base)).ok()?;
    let other = GlobalSectionReader::new(reader(other)).ok()?;
    if base.count() != other.count() {
        return None;
    }
    let mut changed = Vec::new();
    let mut others = other.into_iter();
    for (index, base) in (0..).zip(base) {
        let base = base.ok()?;
        let other = others.next()?.ok()?;
        if base.ty != other.ty {
            return None;
        }
        if base.init_expr == other.init_expr {
            continue;
        }
        let value = number(&other.init_expr)?;
        if !base.ty.mutable || !is_of(value, base.ty.content_type) {
            return None;
        }
        if number(&base.init_expr) != Some(value) {
            changed.push(ChangedGlobal { index, value });
        }
    }
    // Nothing behind the last one.
    others.next().is_none().then_some(changed)
}

/// The constant that an expression is.
fn number(expression: &ConstExpr<'_>) -> Option<Number> {
    let mut operators = expression.get_operators_reader();
    let value = match operators.read().ok()? {
        Operator::I32Const { value } => Number::I32(value),
        Operator::I64Const { value } => Number::I64(value),
        Operator::F32Const { value } => Number::F32(value.bits()),
        Operator::F64Const { value } => Number::F64(value.bits()),
        _ => return None,
    };
    matches!(operators.read(), Ok(Operator::End))
        .then_some(value)
        .filter(|_| operators.eof())
}

const fn is_of(value: Number, kind: ValType) -> bool {
    matches!(
        (value, kind),
        (Number::I32(_), ValType::I32)
            | (Number::I64(_), ValType::I64)
            | (Number::F32(_), ValType::F32)
            | (Number::F64(_), ValType::F64)
    )
}

/// The base without memory and data. The memory that it imports has the same index, and so have the globals.
fn engine(base: &[ModuleSection<'_>]) -> Option<Vec<u8>> {
    let memory = memory(body(base, id::MEMORY)?)?;
    let mut engine = Module::new();
    for ModuleSection { id, bytes } in base {
        let bytes = match *id {
            id::IMPORT => &imports(bytes, memory)?,
            id::EXPORT => &engine_exports(bytes, body(base, id::GLOBAL))?,
            id::TYPE | id::FUNCTION | id::TABLE | id::GLOBAL | id::ELEMENT | id::CODE => *bytes,
            id::CUSTOM | id::MEMORY | id::DATA => continue,
            // A start function runs before a snapshot is taken and not after it; data that is counted is named by code.
            _ => return None,
        };
        engine.section(&RawSection {
            id: *id,
            data: bytes,
        });
    }
    body(base, id::IMPORT)?;
    Some(engine.finish())
}

/// The number of functions that are imported; `None` if anything else is.
fn functions(bytes: &[u8]) -> Option<u32> {
    let mut count = 0;
    for import in ImportSectionReader::new(reader(bytes)).ok()?.into_imports() {
        if !matches!(import.ok()?.ty, TypeRef::Func(_)) {
            return None;
        }
        count += 1;
    }
    Some(count)
}

/// The imports of the base, and the memory after them.
fn imports(bytes: &[u8], memory: MemoryType) -> Option<Vec<u8>> {
    let mut entries = reader(bytes);
    let count = entries.read_var_u32().ok()?;
    // One entry for each function: none of the short forms that stand for several.
    if functions(bytes)? != count {
        return None;
    }
    let mut imports = Vec::with_capacity(bytes.len() + 32);
    (count + 1).encode(&mut imports);
    imports.extend_from_slice(bytes.get(entries.original_position()..)?);
    DATA.encode(&mut imports);
    MEMORY.encode(&mut imports);
    EntityType::Memory(encoded(memory)).encode(&mut imports);
    Some(imports)
}

fn encoded(memory: MemoryType) -> wasm_encoder::MemoryType {
    wasm_encoder::MemoryType {
        minimum: memory.initial,
        maximum: memory.maximum,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

/// The exports that snapshots have, and all mutable globals.
fn engine_exports(bytes: &[u8], globals: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut section = ExportSection::new();
    for export in lasting(exports(bytes, u32::MAX)?) {
        let kind = match export.kind {
            ExternalKind::Func => ExportKind::Func,
            ExternalKind::Table => ExportKind::Table,
            ExternalKind::Memory => ExportKind::Memory,
            ExternalKind::Global => ExportKind::Global,
            _ => return None,
        };
        section.export(export.name, kind, export.index);
    }
    let globals = globals.map_or(Some(Vec::new()), |globals| {
        GlobalSectionReader::new(reader(globals))
            .ok()?
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .ok()
    })?;
    for (index, global) in (0..).zip(globals) {
        if global.ty.mutable {
            section.export(&global_name(index), ExportKind::Global, index);
        }
    }
    bare(&section)
}

/// Memory and its contents as a module that defines no function.
fn data(snapshot: &[ModuleSection<'_>]) -> Option<Vec<u8>> {
    let types = body(snapshot, id::TYPE)?;
    let imports = body(snapshot, id::IMPORT)?;
    let memory = memory(body(snapshot, id::MEMORY)?)?;
    let mut memories = MemorySection::new();
    memories.memory(encoded(memory));
    let mut exports = ExportSection::new();
    for (nth, index) in (0..functions(imports)?).enumerate() {
        exports.export(&function_name(nth), ExportKind::Func, index);
    }
    exports.export(MEMORY, ExportKind::Memory, 0);
    let mut module = Module::new();
    module
        .section(&RawSection {
            id: id::TYPE,
            data: types,
        })
        .section(&RawSection {
            id: id::IMPORT,
            data: imports,
        })
        .section(&memories)
        .section(&exports)
        .section(&segments(body(snapshot, id::DATA)?)?);
    Some(module.finish())
}

/// The segments that fill memory at places that are constants. The others cannot be used: they are counted nowhere.
fn segments(bytes: &[u8]) -> Option<DataSection> {
    let mut segments = DataSection::new();
    for segment in DataSectionReader::new(reader(bytes)).ok()? {
        let segment = segment.ok()?;
        match &segment.kind {
            DataKind::Passive => {}
            DataKind::Active {
                memory_index: 0,
                offset_expr,
            } => {
                number(offset_expr)?;
                segments.raw(bytes.get(segment.range.clone())?);
            }
            DataKind::Active { .. } => return None,
        }
    }
    Some(segments)
}

#[cfg(test)]
mod tests;
