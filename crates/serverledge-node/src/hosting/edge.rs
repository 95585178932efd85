//! The code of functions that callers may run themselves: the text of one JavaScript file, or a WebAssembly module.

use std::collections::{HashMap, VecDeque};
use std::io::Read as _;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::{EdgeCode, EdgeKind, HostingError};
use serverledge_core::{Application, Digest, Interface, Runtime};

use crate::code::is_tar;
use crate::node::Node;

/// What binary modules begin with.
const WASM_MAGIC: &[u8] = b"\0asm";
/// What JavaScript files end with.
const ENDINGS: [&str; 3] = [".js", ".cjs", ".mjs"];
/// Where a handler is looked for if none is named, as the runtime does.
const USUAL: [&str; 5] = ["index", "main", "handler", "function", "app"];
/// Code that is kept at most: some answers' worth.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an entry takes beside its code.
const ENTRY_BYTES: usize = 256;
/// Entries of a tar that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// The code of a version and the handler in it; `None` if it is no such code.
type Found = Option<(Bytes, String)>;

/// Code that was asked for, ready to be handed out again: visitors ask for it at each visit, and the registry has it in
/// chunks. A version's never changes. What was kept longest makes room.
#[derive(Debug, Default)]
pub(crate) struct EdgeCodes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    found: HashMap<Digest, Found>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl EdgeCodes {
    fn get(&self, version: &Digest) -> Option<Found> {
        self.0.lock().found.get(version).cloned()
    }

    fn keep(&self, version: Digest, found: Found) {
        let mut kept = self.0.lock();
        let bytes = size(&found);
        if bytes > KEPT_BYTES_MAX || kept.found.contains_key(&version) {
            return;
        }
        while kept.bytes + bytes > KEPT_BYTES_MAX {
            let Some(gone) = kept.order.pop_front().and_then(|oldest| kept.found.remove(&oldest)) else { break };
            kept.bytes -= size(&gone);
        }
        kept.bytes += bytes;
        kept.order.push_back(version);
        kept.found.insert(version, found);
    }
}

fn size(found: &Found) -> usize {
    ENTRY_BYTES + found.as_ref().map_or(0, |(code, handler)| code.len() + handler.len())
}

impl Node {
    pub(super) async fn edge_code(
        &self,
        application: &Application,
        name: &str,
    ) -> Result<Option<EdgeCode>, HostingError> {
        let Some(entry) = self.functions.get(&application.space, name) else { return Ok(None) };
        let function = &entry.function;
        if !function.flags.edge || function.interface != Interface::Json {
            return Ok(None);
        }
        let version = &function.version;
        let kind = match version.runtime {
            Runtime::Wasm => EdgeKind::Wasm,
            Runtime::NodeJs | Runtime::JavaScript => EdgeKind::JavaScript,
            Runtime::Python | Runtime::Custom => return Ok(None),
        };
        let found = match self.edge_codes.get(&version.digest) {
            Some(found) => found,
            None => {
                let code = self.stored_code(function).await?;
                let found = match kind {
                    EdgeKind::Wasm => code.starts_with(WASM_MAGIC).then(|| (code, String::new())),
                    EdgeKind::JavaScript => script(&code, &version.handler),
                };
                self.edge_codes.keep(version.digest, found.clone());
                found
            }
        };
        let idempotent = function.flags.idempotent;
        Ok(found.map(|(code, handler)| EdgeCode { kind, code, handler, idempotent }))
    }
}

/// The file with the handler, and the handler's name in it. What else lies in a tree is not at the edge, and a file that
/// needs it fails there.
fn script(code: &Bytes, handler: &str) -> Option<(Bytes, String)> {
    if !is_tar(code) {
        let name = handler.split_once('.').map_or("", |(_, name)| name);
        let name = if ENDINGS.iter().any(|ending| ending[1..] == *name) { "" } else { name };
        return std::str::from_utf8(code).is_ok().then(|| (code.clone(), name.to_owned()));
    }
    let files = scripts(code)?;
    let (path, name) = find(&files, handler)?;
    let (_, text) = files.iter().find(|(file, _)| *file == path)?;
    Some((text.clone(), name))
}

/// The JavaScript files of a tar that are no packages', without the only folder.
fn scripts(code: &Bytes) -> Option<Vec<(String, Bytes)>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(&code[..]).entries().ok()?.take(ENTRIES_MAX) {
        let mut entry = entry.ok()?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let ours = entry.header().entry_type().is_file()
            && ENDINGS.iter().any(|ending| path.ends_with(ending))
            && !parts.contains(&"node_modules");
        if ours {
            let mut text = String::new();
            entry.read_to_string(&mut text).ok()?;
            files.push((parts.join("/"), Bytes::from(text)));
        }
    }
    let folder = files.first().and_then(|(path, _)| path.split_once('/')).map(|(folder, _)| format!("{folder}/"));
    if let Some(folder) = folder.filter(|folder| files.iter().all(|(path, _)| path.starts_with(folder.as_str()))) {
        files.iter_mut().for_each(|(path, _)| drop(path.drain(..folder.len())));
    }
    Some(files)
}

fn find(files: &[(String, Bytes)], handler: &str) -> Option<(String, String)> {
    let file_of = |name: &str| {
        let is_it = |path: &str| path == name || ENDINGS.iter().any(|ending| path == format!("{name}{ending}"));
        files.iter().map(|(path, _)| path).find(|path| is_it(path)).cloned()
    };
    if handler.is_empty() {
        let usual = USUAL.iter().find_map(|name| file_of(name));
        let only = || if let [(path, _)] = files { Some(path.clone()) } else { None };
        return usual.or_else(only).map(|path| (path, String::new()));
    }
    if let Some(path) = file_of(handler) {
        return Some((path, String::new()));
    }
    let (file, name) = handler.rsplit_once('.')?;
    file_of(file).map(|path| (path, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_longest_makes_room() {
        let (codes, found) = (EdgeCodes::default(), |bytes: usize| Some((vec![0; bytes].into(), String::new())));
        let quarter = KEPT_BYTES_MAX / 4;
        (0..9).for_each(|n| codes.keep(Digest::new([n; 32]), found(quarter)));
        let kept = |n: u8| codes.get(&Digest::new([n; 32])).is_some();
        assert_eq!((0..9).filter(|n| kept(*n)).collect::<Vec<_>>(), [6, 7, 8]);
        codes.keep(Digest::new([9; 32]), found(KEPT_BYTES_MAX));
        assert!(!kept(9) && kept(8), "what is too large takes nobody's place");
        codes.keep(Digest::new([10; 32]), None);
        assert_eq!(codes.get(&Digest::new([10; 32])), Some(None), "that there is none is known as well");
        let kept = codes.0.lock();
        assert_eq!(kept.bytes, kept.found.values().map(size).sum::<usize>());
        assert_eq!(kept.order.len(), kept.found.len());
    }

    fn check(files: &[(&str, &str)], handler: &str, expected: Option<(&str, &str)>) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let code = Bytes::from(builder.into_inner().unwrap());
        let found = script(&code, handler);
        let found = found.as_ref().map(|(text, name)| (std::str::from_utf8(text).unwrap(), name.as_str()));
        assert_eq!(found, expected, "{handler}");
    }

    #[test]
    fn the_handlers_file_is_found_as_the_runtime_finds_it() {
        let tree =
            [("f/hello.js", "1"), ("f/lib/other.js", "2"), ("f/package.json", "{}"), ("f/node_modules/x.js", "3")];
        check(&tree, "hello", Some(("1", "")));
        check(&tree, "hello.js", Some(("1", "")));
        check(&tree, "hello.greet", Some(("1", "greet")));
        check(&tree, "lib/other.run", Some(("2", "run")));
        check(&tree, "x", None);
        check(&tree, "", None);
        check(&[("only.mjs", "1")], "", Some(("1", "")));
        check(&[("a.js", "1"), ("index.js", "2")], "", Some(("2", "")));
        check(&[("main.py", "1")], "", None);
        let bare = Bytes::from_static(b"async (args) => 1");
        assert_eq!(script(&bare, ""), Some((bare.clone(), String::new())));
        assert_eq!(script(&bare, "hello.greet"), Some((bare.clone(), "greet".to_owned())));
        assert_eq!(script(&bare, "hello.js"), Some((bare.clone(), String::new())));
        assert_eq!(script(&Bytes::from_static(b"\xff"), ""), None);
    }
}
