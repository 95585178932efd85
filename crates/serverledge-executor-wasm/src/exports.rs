//! The exports that are added to a module so that the values of its globals can be read and set.

use wasm_encoder::{Encode as _, ExportSection};
use wasmparser::BinaryReader;

/// The beginning of the names under which mutable globals are exported, so that their values can be set.
pub(crate) const GLOBAL_PREFIX: &str = "serverledge:global.";

/// The name under which a mutable global is exported.
pub(crate) fn global_name(index: u32) -> String {
    format!("{GLOBAL_PREFIX}{index}")
}

/// A section's content, without its length.
pub(crate) fn bare(section: &ExportSection) -> Option<Vec<u8>> {
    let mut encoded = Vec::new();
    section.encode(&mut encoded);
    let mut content = BinaryReader::new(&encoded, 0);
    content.read_var_u32().ok()?;
    encoded
        .get(content.original_position()..)
        .map(<[u8]>::to_vec)
}
