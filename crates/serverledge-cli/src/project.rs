//! A function's folder: how it is built, and how the outcome is deployed.

mod build;
mod guess;
mod manifest;

use std::path::{Path, PathBuf};

use serverledge_client::{CODE_BYTES_MAX, FunctionName};
use serverledge_wire::javascript::imports;

use build::BuildCommand;

use crate::arguments::CreateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, source};

/// The file that describes a folder.
pub(crate) const FILE: &str = "serverledge.json";
/// Endings of scripts, which may import files beside them.
const SCRIPTS: [&str; 8] = ["js", "mjs", "cjs", "ts", "mts", "cts", "tsx", "jsx"];
/// The name of a function whose file suggests none.
const FALLBACK_NAME: &str = "function";

/// A function's code with everything that is needed to build and deploy it.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder in which it is built.
    pub(crate) folder: PathBuf,
    /// The folder or file whose changes matter.
    pub(crate) watched: PathBuf,
    pub(crate) function: FunctionName,
    pub(crate) build: Option<BuildCommand>,
    /// The options of its deploy: its name, its source, and that it replaces what is there.
    pub(crate) create: CreateArgs,
    /// The guess that was made where nothing describes the folder.
    pub(crate) guess: Option<String>,
}

impl Project {
    /// Reads a folder, by its description or by its files; or takes a single file as it is.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let about = std::fs::metadata(path).map_err(|fault| {
            Failure::new(Exit::Source, format!("failed to read {path:?}: {fault}"))
                .hint("name a function's folder, or its only file")
        })?;
        if !about.is_dir() {
            return Ok(Self::of_file(path));
        }
        if path.join(FILE).is_file() {
            return manifest::read(path);
        }
        guess::guess(path)
    }

    /// The function of a file that needs no build.
    fn of_file(path: &Path) -> Self {
        let function =
            source::suggested_name(path).and_then(|name| FunctionName::parse(&name).ok());
        let parent = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let project = Self::new(
            parent,
            function.unwrap_or_else(fallback_name),
            path.to_owned(),
            CreateArgs::none(),
        );
        if imports_files(path) {
            return project;
        }
        Self {
            watched: path.to_owned(),
            ..project
        }
    }

    /// A function without a build; `source` is a path as the working directory sees it.
    fn new(folder: &Path, function: FunctionName, source: PathBuf, create: CreateArgs) -> Self {
        let create = CreateArgs {
            function: Some(function.to_string()),
            src: Some(source),
            update: true,
            ..create
        };
        Self {
            folder: folder.to_owned(),
            watched: folder.to_owned(),
            function,
            build: None,
            create,
            guess: None,
        }
    }

    /// The file or folder that is deployed.
    pub(crate) fn source(&self) -> &Path {
        self.create.src.as_deref().unwrap_or(&self.folder)
    }

    /// Builds it, if there is something to build.
    pub(crate) async fn build(&self) -> Result<(), Failure> {
        let Some(build) = &self.build else {
            return Ok(());
        };
        build.run(&self.folder).await?;
        if self.source().exists() {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Source,
            format!("the build made no {:?}", self.source()),
        )
        .hint(format!("`src` in {FILE} names the file that is built")))
    }
}

/// Whether a file is a script that imports another one.
fn imports_files(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    if !ending.is_some_and(|ending| SCRIPTS.contains(&ending)) {
        return false;
    }
    let bytes = files::read(path, CODE_BYTES_MAX).unwrap_or_default();
    let names = imports(&String::from_utf8_lossy(&bytes));
    names.iter().any(|name| name.starts_with('.'))
}

fn fallback_name() -> FunctionName {
    FunctionName::parse(FALLBACK_NAME).expect("the name is a function's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_file_needs_no_description() {
        let lab = tempfile::tempdir().unwrap();
        let path = lab.path().join("hey.js");
        std::fs::write(&path, "export default () => 1").unwrap();
        let project = Project::read(&path).unwrap();
        assert_eq!(project.function.as_str(), "hey");
        assert_eq!(
            (project.source(), project.folder.as_path()),
            (&*path, lab.path())
        );
        assert!(project.build.is_none() && project.create.update);
        assert_eq!(project.watched, path, "nothing beside it matters");
        let odd = lab.path().join("hey there.js");
        std::fs::write(&odd, "import { a } from './a.js'; export default a").unwrap();
        assert_eq!(Project::read(&odd).unwrap().watched, lab.path());
        assert_eq!(Project::read(&odd).unwrap().function.as_str(), "function");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let told = Project::read(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(told.exit(), Exit::Source);
        let told = told.render(false);
        assert!(
            told.contains("\"/nowhere/at/all\"") && told.contains("hint: "),
            "{told}"
        );
    }
}
