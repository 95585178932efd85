//! The JavaScript files of a function, and the one with its handler.

use std::io::Read as _;

use bytes::Bytes;
use serverledge_wire::javascript::ENDINGS;

use crate::code::is_tar;

/// Where a handler is looked for if none is named, as the runtime nodejs does.
const USUAL: [&str; 5] = ["index", "main", "handler", "function", "app"];
/// Entries of a tar that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// One file of a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its path in the source, without the only folder.
    pub(crate) path: String,
    /// UTF-8 where it was an archive; as it was sent otherwise.
    pub(crate) text: Bytes,
    /// The name under which it exports the handler; empty: as files do that export one.
    pub(crate) handler: String,
}

/// The file with the handler, as the runtime nodejs finds it. Of what else lies in a tree, nothing is looked at.
pub(crate) fn script(code: &Bytes, handler: &str) -> Option<Script> {
    if !is_tar(code) {
        let (stem, name) = handler.split_once('.').unwrap_or((handler, ""));
        let ending = ENDINGS.iter().find(|ending| ending[1..] == *name);
        let stem = if stem.is_empty() { USUAL[0] } else { stem };
        let path = format!("{stem}{}", ending.unwrap_or(&ENDINGS[0]));
        let handler = if ending.is_some() {
            String::new()
        } else {
            name.to_owned()
        };
        return std::str::from_utf8(code).is_ok().then(|| Script {
            path,
            text: code.clone(),
            handler,
        });
    }
    let files = scripts(code)?;
    let (path, handler) = find(&files, handler)?;
    let (_, text) = files.iter().find(|(file, _)| *file == path)?;
    Some(Script {
        text: text.clone(),
        path,
        handler,
    })
}

/// The JavaScript files of a tar that are no packages', without the only folder.
pub(crate) fn scripts(code: &Bytes) -> Option<Vec<(String, Bytes)>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(&code[..])
        .entries()
        .ok()?
        .take(ENTRIES_MAX)
    {
        let mut entry = entry.ok()?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        let ours = entry.header().entry_type().is_file()
            && ENDINGS.iter().any(|ending| path.ends_with(ending))
            && !parts.contains(&"node_modules");
        if ours {
            let mut text = String::new();
            entry.read_to_string(&mut text).ok()?;
            files.push((parts.join("/"), Bytes::from(text)));
        }
    }
    let folder = files
        .first()
        .and_then(|(path, _)| path.split_once('/'))
        .map(|(folder, _)| format!("{folder}/"));
    if let Some(folder) = folder.filter(|folder| {
        files
            .iter()
            .all(|(path, _)| path.starts_with(folder.as_str()))
    }) {
        files
            .iter_mut()
            .for_each(|(path, _)| drop(path.drain(..folder.len())));
    }
    Some(files)
}

fn find(files: &[(String, Bytes)], handler: &str) -> Option<(String, String)> {
    let file_of = |name: &str| {
        let is_it = |path: &str| {
            path == name
                || ENDINGS
                    .iter()
                    .any(|ending| path == format!("{name}{ending}"))
        };
        files
            .iter()
            .map(|(path, _)| path)
            .find(|path| is_it(path))
            .cloned()
    };
    if handler.is_empty() {
        let usual = USUAL.iter().find_map(|name| file_of(name));
        let only = || {
            if let [(path, _)] = files {
                Some(path.clone())
            } else {
                None
            }
        };
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

    fn check(files: &[(&str, &str)], handler: &str, expected: Option<(&str, &str)>) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        let code = Bytes::from(builder.into_inner().unwrap());
        let found = script(&code, handler);
        let found = found.as_ref().map(|found| {
            (
                std::str::from_utf8(&found.text).unwrap(),
                found.handler.as_str(),
            )
        });
        assert_eq!(found, expected, "{handler}");
    }

    #[test]
    fn the_handlers_file_is_found_as_the_runtime_finds_it() {
        let tree = [
            ("f/hello.js", "1"),
            ("f/lib/other.js", "2"),
            ("f/package.json", "{}"),
            ("f/node_modules/x.js", "3"),
        ];
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
        let found = |handler| {
            script(&bare, handler)
                .map(|found| (found.path, found.handler))
                .unwrap()
        };
        assert_eq!(found(""), ("index.js".to_owned(), String::new()));
        assert_eq!(
            found("hello.greet"),
            ("hello.js".to_owned(), "greet".to_owned())
        );
        assert_eq!(found("hello.mjs"), ("hello.mjs".to_owned(), String::new()));
        assert_eq!(script(&Bytes::from_static(b"\xff"), ""), None);
    }
}
