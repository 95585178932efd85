//! A function's folder without a description: what its files say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serverledge_client::FunctionName;
use serverledge_wire::python::imported_modules;

use super::build::{BuildCommand, BuildWords};
use super::{FILE, Project, fallback_name};
use crate::arguments::CreateArgs;
use crate::failure::Failure;
use crate::{files, source};

/// Longest manifest of a package that is read.
const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Names of scripts with a handler, in the order in which they are looked for.
const STEMS: [&str; 5] = ["index", "main", "handler", "function", "app"];
/// Endings of scripts for the JavaScript runtimes.
const SCRIPTS: [&str; 5] = ["js", "mjs", "cjs", "ts", "mts"];
/// The list of packages that makes a folder of a Python script.
const REQUIREMENTS: &str = "requirements.txt";
/// The module that the guessed builds of C, Go and Zig make.
const MODULE: &str = "function.wasm";

/// The source of a function, and its build if it needs one.
struct Guess {
    source: PathBuf,
    handler: Option<String>,
    build: Option<(BuildWords, &'static str, &'static str)>,
}

/// Looks at the files of a folder.
///
/// # Errors
/// A failure that says what is looked for, if there is nothing of it.
pub(super) fn guess(folder: &Path) -> Result<Project, Failure> {
    let nothing = || {
        Failure::usage(format!("{folder:?} has no {FILE}, and no file that tells what to build")).hint(
            "`serverledge-cli new NAME` makes a folder; Cargo.toml, go.mod, main.js, main.py, main.c, main.zig and a single \
             .wasm are recognised",
        )
    };
    let kinds: [fn(&Path) -> Option<Guess>; 4] = [compiled, script, python, module];
    let guess = kinds
        .iter()
        .find_map(|kind| kind(folder))
        .ok_or_else(nothing)?;
    let function = source::suggested_name(folder).and_then(|name| FunctionName::parse(&name).ok());
    let create = CreateArgs {
        handler: guess.handler.unwrap_or_default(),
        ..CreateArgs::none()
    };
    let source = folder.join(guess.source);
    let project = Project::new(
        folder,
        function.unwrap_or_else(fallback_name),
        source,
        create,
    );
    let build = guess.build.map(|(words, tool, way)| {
        let needs = BTreeMap::from([(tool.to_owned(), way.to_owned())]);
        BuildCommand::new(words, needs).expect("guessed builds are not empty")
    });
    let told = match &build {
        Some(build) => format!(
            "there is no {FILE}: guessing that `{build}` makes {:?}",
            project.source()
        ),
        None => format!(
            "there is no {FILE}: guessing that the function is {:?}",
            project.source()
        ),
    };
    Ok(Project {
        build,
        guess: Some(told),
        ..project
    })
}

fn shell(text: &str) -> BuildWords {
    BuildWords::Shell(text.to_owned())
}

/// A program in a language with a compiler.
fn compiled(folder: &Path) -> Option<Guess> {
    let has = |name: &str| folder.join(name).is_file();
    let (build, source) = if has("Cargo.toml") {
        let binary = binary(&folder.join("Cargo.toml"))?;
        let command = shell("cargo build --release --target wasm32-wasip1");
        let way = "install Rust with rustup, then: rustup target add wasm32-wasip1";
        let source = format!("target/wasm32-wasip1/release/{binary}.wasm");
        ((command, "cargo", way), PathBuf::from(source))
    } else if has("go.mod") {
        let command = shell(&format!("GOOS=wasip1 GOARCH=wasm go build -o {MODULE} ."));
        (
            (command, "go", "install Go 1.21 or later"),
            PathBuf::from(MODULE),
        )
    } else if has("main.c") {
        let command = shell(&format!(
            "clang --target=wasm32-wasi -Os main.c -o {MODULE}"
        ));
        let way = "apt-get install clang lld wasi-libc, and libclang-rt-N-dev-wasm32 of clang's version N";
        ((command, "clang", way), PathBuf::from(MODULE))
    } else if has("main.zig") {
        let command = format!(
            "zig build-exe main.zig -target wasm32-wasi -O ReleaseSmall -femit-bin={MODULE}"
        );
        (
            (shell(&command), "zig", "install Zig"),
            PathBuf::from(MODULE),
        )
    } else {
        return None;
    };
    Some(Guess {
        source,
        handler: None,
        build: Some(build),
    })
}

/// The name of the program that cargo builds: the first of its own, else the package's.
fn binary(manifest: &Path) -> Option<String> {
    let bytes = files::read(manifest, MANIFEST_BYTES_MAX).ok()?;
    let table: toml::Table = std::str::from_utf8(&bytes).ok()?.parse().ok()?;
    let name_of = |value: &toml::Value| value.get("name")?.as_str().map(str::to_owned);
    let first = table
        .get("bin")
        .and_then(|bins| name_of(bins.get(0_usize)?));
    first.or_else(|| name_of(table.get("package")?))
}

fn script(folder: &Path) -> Option<Guess> {
    let mut names = STEMS
        .iter()
        .flat_map(|stem| SCRIPTS.iter().map(move |ending| format!("{stem}.{ending}")));
    let name = names.find(|name| folder.join(name).is_file())?;
    Some(Guess {
        source: PathBuf::from(name),
        handler: None,
        build: None,
    })
}

fn python(folder: &Path) -> Option<Guess> {
    let stem = STEMS
        .iter()
        .find(|stem| folder.join(format!("{stem}.py")).is_file())?;
    let source = match folder.join(REQUIREMENTS).is_file() || imports_files(folder, stem) {
        true => ".".to_owned(),
        false => format!("{stem}.py"),
    };
    Some(Guess {
        source: PathBuf::from(source),
        handler: Some(format!("{stem}.handler")),
        build: None,
    })
}

/// Whether a script in Python imports a file or a folder beside it.
fn imports_files(folder: &Path, stem: &str) -> bool {
    let script = folder.join(format!("{stem}.py"));
    let text = files::read(&script, MANIFEST_BYTES_MAX).unwrap_or_default();
    let names = imported_modules(&String::from_utf8_lossy(&text));
    names
        .iter()
        .any(|name| folder.join(format!("{name}.py")).is_file() || folder.join(name).is_dir())
}

/// The only module in the folder.
fn module(folder: &Path) -> Option<Guess> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut modules = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| {
            name.extension()
                .is_some_and(|ending| ending == "wasm" || ending == "wat")
        });
    let (Some(source), None) = (modules.next(), modules.next()) else {
        return None;
    };
    Some(Guess {
        source,
        handler: None,
        build: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The guess for a folder called `hey` with these files.
    fn guessed(files: &[(&str, &str)]) -> Result<(tempfile::TempDir, Project), Failure> {
        let lab = tempfile::tempdir().unwrap();
        let folder = lab.path().join("hey");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        guess(&folder).map(|project| (lab, project))
    }

    #[test]
    fn files_tell_source_and_build() {
        let cargo = "[package]\nname = \"my-fn\"\n";
        let bins = "[package]\nname = \"my-fn\"\n[[bin]]\nname = \"other\"\n";
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
        let cases: [Case<'_>; 10] = [
            (&[("main.js", "")], "main.js", "", ""),
            (&[("app.ts", ""), ("main.mjs", "")], "main.mjs", "", ""),
            (&[("main.py", "")], "main.py", "main.handler", ""),
            (&[("app.py", ""), (REQUIREMENTS, "")], "", "app.handler", ""),
            (&[("a.wat", "")], "a.wat", "", ""),
            (
                &[("go.mod", ""), ("main.go", "")],
                MODULE,
                "",
                "GOOS=wasip1",
            ),
            (&[("main.c", ""), (MODULE, "")], MODULE, "", "clang"),
            (&[("main.zig", "")], MODULE, "", "zig"),
            (
                &[("Cargo.toml", cargo)],
                "target/wasm32-wasip1/release/my-fn.wasm",
                "",
                "cargo",
            ),
            (
                &[("Cargo.toml", bins)],
                "target/wasm32-wasip1/release/other.wasm",
                "",
                "cargo",
            ),
        ];
        for (files, source, handler, build) in cases {
            let (_lab, project) =
                guessed(files).unwrap_or_else(|fault| panic!("{files:?}: {fault:?}"));
            let told = project.guess.as_deref().unwrap_or_default();
            assert!(project.source().ends_with(source), "{:?}", project.source());
            assert_eq!(project.create.handler, handler, "{files:?}");
            assert_eq!(project.function.as_str(), "hey");
            assert!(told.contains(FILE) && told.contains(build), "{told}");
            assert_eq!(project.build.is_some(), !build.is_empty(), "{files:?}");
        }
    }

    #[test]
    fn python_goes_with_the_files_that_it_imports() {
        for (files, is_folder) in [
            (&[("main.py", "import a"), ("a.py", "")][..], true),
            (&[("main.py", "import json"), ("a.py", "")], false),
            (&[("main.py", ""), (REQUIREMENTS, "")], true),
        ] {
            let (_lab, project) = guessed(files).unwrap();
            assert_eq!(project.source().is_dir(), is_folder, "{files:?}");
        }
    }

    #[test]
    fn nothing_known_is_said() {
        let cases: [&[(&str, &str)]; 4] = [
            &[],
            &[("notes.txt", "")],
            &[("a.wasm", ""), ("b.wasm", "")],
            &[("Cargo.toml", "[workspace]\n")],
        ];
        for files in cases {
            let told = guessed(files).map(drop).unwrap_err().render(false);
            assert!(
                told.contains("has no serverledge.json") && told.contains("hint: "),
                "{told}"
            );
        }
    }
}
