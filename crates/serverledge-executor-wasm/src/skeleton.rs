//! The skeleton of a module: its functions only trap, and no data is put into its memory. It stands for the module where
//! nothing of it is run, since it is read in a fraction of the time.

use wasm_encoder::{DataSection, Encode as _, Module, RawSection};
use wasmparser::{BinaryReader, DataKind, DataSectionReader};

use crate::split::{id, sections};

/// A body without locals whose only instruction is `unreachable`, behind its length: valid for every type (core
/// specification, "Binary Format", "Modules").
const TRAPPING: [u8; 4] = [3, 0, 0x00, 0x0b];

/// Most sections of a module that gets one: its snapshot has one or two more, and is to be read as well (`sections`).
const SECTIONS_MAX: usize = 32;

/// The skeleton of a core module; `None` if it is none in the binary form, has no functions of its own, or more sections
/// than toolchains make.
pub(crate) fn skeleton(module: &[u8]) -> Option<Vec<u8>> {
    let mut made = Module::new();
    let mut has_code = false;
    let found = sections(module)?;
    if found.len() > SECTIONS_MAX {
        return None;
    }
    for section in found {
        match section.id {
            id::CODE => {
                has_code = true;
                section_of(&mut made, id::CODE, &trapping(section.bytes)?);
            }
            id::DATA => {
                made.section(&empty_where_active(section.bytes)?);
            }
            other => section_of(&mut made, other, section.bytes),
        }
    }
    has_code.then(|| made.finish())
}

/// The module whose skeleton was made into `skeletal`, with the code of `base`; `None` if either is no core module.
pub(crate) fn fleshed_out(skeletal: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let of_base = sections(base)?;
    let code = of_base.iter().find(|section| section.id == id::CODE)?;
    let mut made = Module::new();
    for section in sections(skeletal)? {
        let bytes = match section.id {
            id::CODE => code.bytes,
            _ => section.bytes,
        };
        section_of(&mut made, section.id, bytes);
    }
    Some(made.finish())
}

fn section_of(module: &mut Module, id: u8, data: &[u8]) {
    module.section(&RawSection { id, data });
}

/// As many functions as a section of code has.
fn trapping(code: &[u8]) -> Option<Vec<u8>> {
    let count = BinaryReader::new(code, 0).read_var_u32().ok()?;
    let mut made = Vec::new();
    count.encode(&mut made);
    made.extend(TRAPPING.repeat(usize::try_from(count).ok()?));
    Some(made)
}

/// The segments of a section of data, without the bytes of those that fill memory at the beginning. They are passive then,
/// as in a snapshot.
fn empty_where_active(data: &[u8]) -> Option<DataSection> {
    let mut made = DataSection::new();
    for segment in DataSectionReader::new(BinaryReader::new(data, 0)).ok()? {
        let segment = segment.ok()?;
        match segment.kind {
            DataKind::Active { .. } => made.passive([]),
            DataKind::Passive => made.raw(data.get(segment.range)?),
        };
    }
    Some(made)
}
