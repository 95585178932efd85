//! The form in which the files that come with code are kept on disk: one line of JSON with the paths and lengths, then
//! the contents one behind the other.

use bytes::Bytes;

use super::base::BaseTree;

/// Packs files, by their paths.
pub(crate) fn packed(files: &[(String, Bytes)]) -> serde_json::Result<Vec<u8>> {
    let index: Vec<(&str, u64)> = files
        .iter()
        .map(|(path, contents)| (path.as_str(), contents.len() as u64))
        .collect();
    let mut pack = serde_json::to_vec(&index)?;
    pack.push(b'\n');
    for (_, contents) in files {
        pack.extend_from_slice(contents);
    }
    Ok(pack)
}

/// The tree of a pack, whose contents are parts of it; `None` if it is none.
pub(crate) fn unpacked(pack: &Bytes) -> Option<BaseTree> {
    let line = pack.iter().position(|byte| *byte == b'\n')?;
    let index: Vec<(String, u64)> = serde_json::from_slice(&pack[..line]).ok()?;
    let mut at = line + 1;
    let mut files = Vec::with_capacity(index.len());
    for (path, length) in index {
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        if end > pack.len() {
            return None;
        }
        files.push((path, pack.slice(at..end)));
        at = end;
    }
    (at == pack.len()).then_some(())?;
    BaseTree::new(files).ok()
}
