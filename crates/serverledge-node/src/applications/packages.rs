//! Adds an application's dependencies file to the source of its functions, as if it had been uploaded with them: from
//! there on packages are installed as for any other function. A function's own file takes precedence. The entry in the
//! tar says where it came from, so that a later file can replace it.

use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::{Application, Runtime};
use serverledge_wire::upload::{self, UploadError, UploadedFile};

use crate::functions::source::refused;

/// The owner's name in the header of an entry that an application added.
const ADDED_BY: &str = "serverledge-application";
/// Mode of the entries that are written.
const MODE: u32 = 0o644;

/// The source with the application's current dependencies; `None` if it has them already.
pub(super) fn refreshed(
    application: &Application,
    code: &[u8],
    runtime: Runtime,
    handler: &str,
) -> Result<Option<Bytes>, DeployError> {
    join(
        code,
        runtime,
        handler,
        application.dependencies.of_runtime(runtime),
    )
    .map_err(|error| refused(&error))
}

/// The names of the files that list the packages of a runtime's functions; the first is the one that an application
/// has.
pub(super) fn file_of(runtime: Runtime) -> Option<&'static [&'static str]> {
    match runtime {
        Runtime::Python => Some(&["requirements.txt"]),
        Runtime::NodeJs => Some(&["package.json", "package-lock.json"]),
        _ => None,
    }
}

/// The source with this dependencies file (none if it is empty) instead of the one added before; `None` if it has this
/// file already, or has a file of its own.
fn join(
    code: &[u8],
    runtime: Runtime,
    handler: &str,
    text: &str,
) -> Result<Option<Bytes>, UploadError> {
    let Some(names) = file_of(runtime) else {
        return Ok(None);
    };
    let files = upload::read(code, runtime, handler, code.len())?;
    let (added, own): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.owner == ADDED_BY);
    let folder = upload::only_folder(own.iter().map(|file| file.path.as_str()));
    let root = folder
        .map(|folder| format!("{folder}/"))
        .unwrap_or_default();
    let is_one = |file: &UploadedFile| {
        file.path
            .strip_prefix(&root)
            .is_some_and(|path| names.contains(&path))
    };
    let present = added
        .first()
        .map(|file| &*file.contents)
        .unwrap_or_default();
    if own.iter().any(is_one) || present == text.as_bytes() {
        return Ok(None);
    }
    let mut tar = if upload::is_tar(code) {
        tar::Builder::new(upload::entries_without(code, ADDED_BY)?)
    } else {
        let mut tar = tar::Builder::new(Vec::new());
        own.iter()
            .try_for_each(|file| append(&mut tar, &file.path, code, ""))
            .map_err(UploadError::Tar)?;
        tar
    };
    if !text.is_empty() {
        append(
            &mut tar,
            &format!("{root}{}", names[0]),
            text.as_bytes(),
            ADDED_BY,
        )
        .map_err(UploadError::Tar)?;
    }
    Ok(Some(tar.into_inner().map_err(UploadError::Tar)?.into()))
}

/// Appends a file, added by somebody or (empty) by nobody. The bytes are always the same for the same file, so that equal sources are one version.
pub(super) fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    bytes: &[u8],
    by: &str,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(MODE);
    header.set_mtime(0);
    header.set_username(by)?;
    tar.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn tar(files: &[(&str, &str)]) -> Bytes {
        let mut builder = tar::Builder::new(Vec::new());
        files
            .iter()
            .for_each(|(name, text)| append(&mut builder, name, text.as_bytes(), "").unwrap());
        builder.into_inner().unwrap().into()
    }

    fn shown(code: &Bytes) -> String {
        let mut shown = Vec::new();
        for entry in tar::Archive::new(&**code).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            shown.push(format!("{}={text}", entry.path().unwrap().display()));
        }
        shown.join(" ")
    }

    fn check(code: &Bytes, runtime: Runtime, text: &str, expected: Option<&str>) -> Bytes {
        let joined = join(code, runtime, "hello.handler", text).unwrap();
        assert_eq!(joined.as_ref().map(shown).as_deref(), expected);
        joined.unwrap_or_else(|| code.clone())
    }

    #[test]
    fn a_file_is_added_replaced_and_taken_away() {
        let source = tar(&[("hello.py", "x"), ("lib/a.py", "y")]);
        check(&source, Runtime::Python, "", None);
        let one = check(
            &source,
            Runtime::Python,
            "a",
            Some("hello.py=x lib/a.py=y requirements.txt=a"),
        );
        check(&one, Runtime::Python, "a", None);
        let two = check(
            &one,
            Runtime::Python,
            "b",
            Some("hello.py=x lib/a.py=y requirements.txt=b"),
        );
        let none = check(&two, Runtime::Python, "", Some("hello.py=x lib/a.py=y"));
        assert_eq!(none, source, "the source is as it was");
        assert_eq!(
            check(
                &none,
                Runtime::Python,
                "a",
                Some("hello.py=x lib/a.py=y requirements.txt=a")
            ),
            one
        );
    }

    #[test]
    fn a_file_of_its_own_goes_before() {
        let own = tar(&[("hello.py", "x"), ("requirements.txt", "own")]);
        check(&own, Runtime::Python, "a", None);
        check(
            &tar(&[("f/hello.py", "x"), ("f/requirements.txt", "own")]),
            Runtime::Python,
            "a",
            None,
        );
        check(
            &tar(&[("hello.js", "x"), ("package-lock.json", "{}")]),
            Runtime::NodeJs,
            "{}",
            None,
        );
        // Elsewhere it is a file like others.
        let deep = tar(&[("hello.js", "x"), ("lib/package.json", "{}")]);
        check(
            &deep,
            Runtime::NodeJs,
            "{1}",
            Some("hello.js=x lib/package.json={} package.json={1}"),
        );
    }

    #[test]
    fn the_only_folder_is_the_root() {
        let source = tar(&[("f/hello.py", "x"), ("f/lib/a.py", "y")]);
        let one = check(
            &source,
            Runtime::Python,
            "a",
            Some("f/hello.py=x f/lib/a.py=y f/requirements.txt=a"),
        );
        check(
            &one,
            Runtime::Python,
            "b",
            Some("f/hello.py=x f/lib/a.py=y f/requirements.txt=b"),
        );
    }

    #[test]
    fn a_source_file_by_itself_becomes_a_tree() {
        let one = check(
            &Bytes::from_static(b"x"),
            Runtime::Python,
            "a",
            Some("hello.py=x requirements.txt=a"),
        );
        check(&one, Runtime::Python, "", Some("hello.py=x"));
        check(&Bytes::from_static(b"x"), Runtime::Wasm, "a", None);
    }

    #[test]
    fn long_paths_survive() {
        let long = format!("{}/hello.py", "x".repeat(200));
        let source = tar(&[(&long, "x"), ("main.py", "y")]);
        check(
            &source,
            Runtime::Python,
            "a",
            Some(&format!("{long}=x main.py=y requirements.txt=a")),
        );
        let folder = "x".repeat(200);
        let file = format!("{folder}/hello.py");
        let list = format!("{folder}/requirements.txt");
        let source = tar(&[(&file, "x")]);
        let one = check(
            &source,
            Runtime::Python,
            "a",
            Some(&format!("{file}=x {list}=a")),
        );
        let two = check(
            &one,
            Runtime::Python,
            "b",
            Some(&format!("{file}=x {list}=b")),
        );
        assert_eq!(
            check(&two, Runtime::Python, "", Some(&format!("{file}=x"))),
            source,
            "without its long path, too"
        );
    }
}
