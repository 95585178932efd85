//! The JavaScript files of a function, and the one with its handler.

use bytes::Bytes;
use serverledge_wire::javascript::ENDINGS;
use serverledge_wire::upload::{self, UploadedFile};

/// The files in which an unnamed handler is looked for, as in the runtime nodejs.
const USUAL: [&str; 5] = ["index", "main", "handler", "function", "app"];

/// One file of a function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScriptFile {
    /// Its path in the source, without the only folder.
    pub(crate) path: String,
    /// UTF-8 if the source is an archive; as it was sent otherwise.
    pub(crate) text: Bytes,
    /// The name of the exported handler; empty: the file exports the handler alone.
    pub(crate) handler: String,
}

/// The file with the handler, as the runtime nodejs finds it. Other files of a tree are not read.
pub(crate) fn script(code: &Bytes, handler: &str) -> Option<ScriptFile> {
    if !upload::is_tar(code) {
        let (stem, name) = handler.split_once('.').unwrap_or((handler, ""));
        let ending = ENDINGS.iter().find(|ending| ending[1..] == *name);
        let stem = if stem.is_empty() { USUAL[0] } else { stem };
        let path = format!("{stem}{}", ending.unwrap_or(&ENDINGS[0]));
        let handler = if ending.is_some() {
            String::new()
        } else {
            name.to_owned()
        };
        return std::str::from_utf8(code).is_ok().then(|| ScriptFile {
            path,
            text: code.clone(),
            handler,
        });
    }
    find(&scripts(code)?, handler)
}

/// The JavaScript files of a tar except those of packages, without the only folder.
pub(crate) fn scripts(code: &[u8]) -> Option<Vec<(String, Bytes)>> {
    let is_ours = |file: &UploadedFile| {
        ENDINGS.iter().any(|ending| file.path.ends_with(ending))
            && !file.path.split('/').any(|it| it == "node_modules")
    };
    let files = upload::read_tar(code, code.len())
        .ok()?
        .into_iter()
        .filter(is_ours);
    let text =
        |file: UploadedFile| Some((file.path, String::from_utf8(file.contents).ok()?.into()));
    let mut scripts = files.map(text).collect::<Option<Vec<(String, Bytes)>>>()?;
    let folder = upload::only_folder(scripts.iter().map(|(path, _)| path.as_str()))
        .map_or(0, |folder| folder.len() + 1);
    scripts
        .iter_mut()
        .for_each(|(path, _)| drop(path.drain(..folder)));
    Some(scripts)
}

fn find(files: &[(String, Bytes)], handler: &str) -> Option<ScriptFile> {
    let file_of = |name: &str| {
        let names = [""]
            .iter()
            .chain(&ENDINGS)
            .map(|ending| format!("{name}{ending}"));
        names
            .into_iter()
            .find_map(|name| files.iter().find(|(path, _)| *path == name))
    };
    let (found, handler) = if handler.is_empty() {
        let only = || if let [only] = files { Some(only) } else { None };
        (
            USUAL.iter().find_map(|name| file_of(name)).or_else(only)?,
            "",
        )
    } else if let Some(found) = file_of(handler) {
        (found, "")
    } else {
        let (file, name) = handler.rsplit_once('.')?;
        (file_of(file)?, name)
    };
    let (path, text) = found.clone();
    Some(ScriptFile {
        path,
        text,
        handler: handler.to_owned(),
    })
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
