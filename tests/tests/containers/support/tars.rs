//! Tars, well-formed and not.

use anyhow::Result;
use tar::{Builder, EntryType, Header};

/// Regular files, as Go's `archive/tar` writes them.
pub(crate) fn tar_of(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let entries: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, EntryType::Regular, "", text.as_bytes()))
        .collect();
    tar_with(&entries)
}

/// Entries as they are said, whatever their names: name, kind, target of a link, content.
pub(crate) fn tar_with(entries: &[(&str, EntryType, &str, &[u8])]) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, target, content) in entries {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if !target.is_empty() {
            header.set_link_name(target)?;
        }
        header.set_cksum();
        builder.append(&header, *content)?;
    }
    Ok(builder.into_inner()?)
}
