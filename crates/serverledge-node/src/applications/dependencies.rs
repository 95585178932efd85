//! An application's dependencies file joins the source of its functions, as if it had been uploaded with them: from there on
//! packages are installed as for any other function. A file of the function's own goes before it. The entry in the tar
//! says where it came from, so that a later file can take its place.

use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::{Application, Function, Progress, Runtime, SpaceId, Version};
use serverledge_registry::{Deployed, code_digest, version_digest};

use super::manage::text_for;
use crate::code::is_tar;
use crate::deploy::{registry_error, unix_ms};
use crate::node::Node;
use crate::versions::load_error;

/// The owner's name in the header of an entry that an application added.
const ADDED_BY: &[u8] = b"serverledge-application";
/// How often packages are installed for a function that others deploy meanwhile: each attempt may take minutes.
const ATTEMPTS_MAX: usize = 4;
/// Mode of the entries that are added.
const MODE: u32 = 0o644;

impl Node {
    /// The code of a deploy into this space, with the dependencies of the space's application.
    pub(crate) fn with_dependencies(
        &self,
        space: &SpaceId,
        code: Bytes,
        runtime: Runtime,
        handler: &str,
    ) -> Result<Bytes, DeployError> {
        let Some(application) = self.applications.by_space(space) else {
            return Ok(code);
        };
        let joined = join(&code, runtime, handler, text_for(&application, runtime))
            .map_err(|error| malformed(&error))?;
        Ok(joined.unwrap_or(code))
    }

    /// The code of a deployed function as it would be with the application's dependencies of now; `None` if it is that.
    pub(super) async fn code_with_dependencies(
        &self,
        application: &Application,
        function: &Function,
    ) -> Result<Option<Bytes>, DeployError> {
        let version = &function.version;
        if file_of(version.runtime).is_none() {
            return Ok(None);
        }
        let code = self
            .store
            .blobs()
            .get(&version.code)
            .await
            .map_err(|error| registry_error(error.into()))?;
        let Some(code) = code else { return Ok(None) };
        join(
            &code,
            version.runtime,
            &version.handler,
            text_for(application, version.runtime),
        )
        .map_err(|error| malformed(&error))
    }

    /// Gives a function the packages that its application asks for now: installs them, and deploys the function anew with
    /// the same source, whatever that is by then. `None` if it has them already, or if it was deleted. On error nothing has
    /// changed.
    pub(crate) async fn refresh_dependencies(
        &self,
        application: &Application,
        function: &Function,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<Function>>, DeployError> {
        if self
            .code_with_dependencies(application, function)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS_MAX {
            // What is stored, not what this node has heard of: that is what the new record is to replace.
            let read = self
                .store
                .get(&function.space, &function.name)
                .await
                .map_err(load_error)?;
            let Some(read) = read else { return Ok(None) };
            match self
                .replace_dependencies(application, &read, progress)
                .await
            {
                Err(DeployError::Contended(_)) => {}
                Ok(None) => {
                    self.rebound(read).await;
                    return Ok(None);
                }
                outcome => return outcome,
            }
        }
        Err(DeployError::Contended(function.name.clone()))
    }

    /// One attempt: `Contended` if the function was changed since it was read.
    async fn replace_dependencies(
        &self,
        application: &Application,
        read: &Deployed,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<Function>>, DeployError> {
        let function = &read.function;
        let Some(code) = self.code_with_dependencies(application, function).await? else {
            return Ok(None);
        };
        let mut version = Version {
            code: code_digest(&code),
            ..Version::clone(&function.version)
        };
        version.digest = version_digest(&version);
        let executor = self.executors.of(version.runtime);
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        let prepared = executor.prepare(&version, code.clone(), progress).await?;
        let new = Function {
            version: Arc::new(version),
            interface: prepared.interface,
            ..Function::clone(function)
        };
        let now = unix_ms();
        let revision = self
            .store
            .replace_read(read.revision, &new, &code, now)
            .await
            .map_err(registry_error)?;
        let (function, code_bytes) = (Arc::new(new), code.len() as u64);
        Ok(Some(
            self.rebound(Deployed {
                function,
                revision,
                code_bytes,
                deployed_unix_ms: now,
            })
            .await,
        ))
    }
}

fn malformed(error: &io::Error) -> DeployError {
    DeployError::Code {
        code: "malformed_tar",
        message: format!("the tar cannot be read: {error}"),
    }
}

/// The files that say what packages functions of a runtime need: the first is the one that an application has.
fn file_of(runtime: Runtime) -> Option<&'static [&'static str]> {
    match runtime {
        Runtime::Python => Some(&["requirements.txt"]),
        Runtime::NodeJs => Some(&["package.json", "package-lock.json"]),
        _ => None,
    }
}

/// The source with this dependencies file (none if it is empty) in place of one that was added before; `None` if it is so
/// already, or if the source has a file of its own.
fn join(code: &Bytes, runtime: Runtime, handler: &str, text: &str) -> io::Result<Option<Bytes>> {
    let Some(files) = file_of(runtime) else {
        return Ok(None);
    };
    if !is_tar(code) {
        if text.is_empty() {
            return Ok(None);
        }
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, &bare_name(runtime, handler), code, None)?;
        append(&mut tar, files[0], text.as_bytes(), Some(ADDED_BY))?;
        return Ok(Some(tar.into_inner()?.into()));
    }
    let found = look(code, files)?;
    if found.has_own || found.added.as_deref().unwrap_or_default() == text.as_bytes() {
        return Ok(None);
    }
    let mut tar = tar::Builder::new(Vec::with_capacity(code.len() + text.len()));
    for entry in tar::Archive::new(&**code).entries()?.raw(true) {
        let entry = entry?;
        if !is_added(entry.header()) {
            let header = entry.header().clone();
            tar.append(&header, entry)?;
        }
    }
    if !text.is_empty() {
        let path = found.folder.map_or_else(
            || files[0].to_owned(),
            |folder| format!("{folder}/{}", files[0]),
        );
        append(&mut tar, &path, text.as_bytes(), Some(ADDED_BY))?;
    }
    Ok(Some(tar.into_inner()?.into()))
}

/// What a tar says about dependencies.
#[derive(Debug, Default)]
struct Found {
    /// The source has such a file of its own.
    has_own: bool,
    /// What an application added.
    added: Option<Vec<u8>>,
    /// The only folder, if all files lie in one: its root is the source's.
    folder: Option<String>,
}

fn look(code: &[u8], files: &[&str]) -> io::Result<Found> {
    let mut found = Found::default();
    let mut paths = Vec::new();
    for entry in tar::Archive::new(code).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if is_added(entry.header()) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            found.added = Some(text);
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        paths.push(parts.join("/"));
    }
    let folder = paths
        .first()
        .and_then(|path| path.split_once('/'))
        .map(|(folder, _)| folder.to_owned());
    let root = folder.as_ref().map(|folder| format!("{folder}/"));
    let in_folder = |root: &String| paths.iter().all(|path| path.starts_with(root.as_str()));
    let root = root.filter(in_folder);
    found.has_own = paths.iter().any(|path| {
        let path = root
            .as_ref()
            .map_or(Some(path.as_str()), |root| path.strip_prefix(root.as_str()));
        path.is_some_and(|path| files.contains(&path))
    });
    found.folder = root.and(folder);
    Ok(found)
}

fn is_added(header: &tar::Header) -> bool {
    header.username_bytes() == Some(ADDED_BY)
}

/// A source file by itself is named as the handler expects, which the executor does likewise.
fn bare_name(runtime: Runtime, handler: &str) -> String {
    let ending = if runtime == Runtime::Python {
        "py"
    } else {
        "js"
    };
    let stem = handler
        .split('.')
        .next()
        .filter(|stem| !stem.is_empty())
        .unwrap_or("main");
    format!("{stem}.{ending}")
}

/// Always the same bytes for the same file, so that equal sources are one version.
fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    bytes: &[u8],
    by: Option<&[u8]>,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(MODE);
    header.set_mtime(0);
    if let Some(by) = by {
        header.set_username(&String::from_utf8_lossy(by))?;
    }
    tar.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, &str)]) -> Bytes {
        let mut builder = tar::Builder::new(Vec::new());
        files
            .iter()
            .for_each(|(name, text)| append(&mut builder, name, text.as_bytes(), None).unwrap());
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
    }
}
