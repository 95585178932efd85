//! esbuild on this machine: found, run, and its complaints made an error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serverledge_wire::javascript::{ENGINE_MODULES, is_node_module};

use super::unreadable;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// The esbuild that npx fetches where none is installed.
const PINNED: &str = "esbuild@0.28.2";
/// Longest part of esbuild's complaints that is shown.
const TOLD_CHARS_MAX: usize = 4000;
/// Arguments of every run: the language level of the engine, and no more words than needed.
const COMMON: [&str; 4] = [
    "--target=es2023",
    "--legal-comments=none",
    "--charset=utf8",
    "--log-level=warning",
];
/// Arguments of every bundle. Functions and classes are still called what they were, which their authors may show.
const BUNDLED: [&str; 3] = ["--bundle", "--keep-names", "--external:serverledge"];
/// Packages as workers of browsers get them: their builds without Node.js. The variable stays one of the function's.
const WORKER: [&str; 3] = [
    "--platform=browser",
    "--conditions=worker,browser",
    "--define:process.env.NODE_ENV=process.env.NODE_ENV",
];

/// The form that a file is brought into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// The same without types.
    Stripped,
    /// One file for the engine in WebAssembly.
    Engine,
    /// One file for Node.js.
    Node,
    /// One file for Node.js, which finds its packages where it runs.
    NodeWithoutPackages,
}

/// The reason why a script was not brought into a form.
#[derive(Debug)]
pub(super) struct BundleError {
    pub(super) failure: Failure,
    /// A module of Node.js that esbuild did not find.
    pub(super) node_module: Option<String>,
}

impl From<Failure> for BundleError {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            node_module: None,
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        error.failure
    }
}

impl Output {
    fn arguments(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Stripped => return COMMON.to_vec(),
            Self::Engine => &WORKER,
            Self::Node => &["--platform=node"],
            Self::NodeWithoutPackages => &["--platform=node", "--packages=external"],
        };
        COMMON.iter().chain(&BUNDLED).chain(own).copied().collect()
    }
}

/// Runs esbuild on a file and gives its output. `why` it is needed is told where there is none.
pub(super) fn run(
    entry: &Path,
    output: Output,
    is_module: bool,
    why: &str,
) -> Result<Vec<u8>, BundleError> {
    let words = format!("{entry:?} {why}, and there is no esbuild to bundle it with");
    let entry = std::fs::canonicalize(entry).map_err(|fault| unreadable(entry, &fault))?;
    let folder = entry.parent().unwrap_or(Path::new("/"));
    let (program, first): (PathBuf, &[&str]) = match installed(folder) {
        Some(program) => (program, &[]),
        None => (PathBuf::from("npx"), &["--yes", PINNED]),
    };
    let mut command = Command::new(program);
    command
        .args(first)
        .arg(&entry)
        .args(output.arguments())
        .current_dir(folder)
        .stdin(Stdio::null());
    if output == Output::Engine {
        command.args(ENGINE_MODULES.iter().flat_map(|name| {
            [
                format!("--external:{name}"),
                format!("--external:node:{name}"),
            ]
        }));
    }
    if output != Output::Stripped {
        command.arg(if is_module {
            "--format=esm"
        } else {
            "--format=cjs"
        });
    }
    // Whatever is installed beside the script is somebody else's.
    command
        .env_remove("SERVERLEDGE_TOKEN")
        .env_remove("SERVERLEDGE_TOKEN_FILE");
    let ran = command.output().map_err(|_| {
        Failure::new(Exit::Source, words)
            .hint("`npm install --save-dev esbuild` beside the script, or --runtime nodejs")
    })?;
    if ran.status.success() {
        return Ok(ran.stdout);
    }
    Err(complaint(&entry, &String::from_utf8_lossy(&ran.stderr)))
}

fn complaint(path: &Path, told: &str) -> BundleError {
    let told = without_notices(told);
    let node_module = unresolved(&told)
        .find(|name| is_node_module(name))
        .map(str::to_owned);
    let shown: String = told.chars().take(TOLD_CHARS_MAX).collect();
    let failure = Failure::new(Exit::Source, format!("esbuild failed to bundle {path:?}"))
        .section("esbuild", &shown);
    let folder = path.parent().unwrap_or(Path::new(".")).display();
    let failure = match (&node_module, unresolved(&told).find_map(package_of)) {
        (Some(name), _) => failure.hint(format!(
            "{name:?} is an API of Node.js, which the runtime javascript does not have: --runtime nodejs"
        )),
        (None, Some(package)) => failure.hint(format!("`npm install {package}` in {folder} installs it")),
        (None, None) => failure,
    };
    BundleError {
        failure,
        node_module,
    }
}

/// The complaints without the lines that npm prints about itself.
fn without_notices(told: &str) -> String {
    let lines = told.trim().lines().filter(|line| {
        !line
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("npm notice")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The package that an import is of, unless it is of a file or of Node.js.
pub(super) fn package_of(import: &str) -> Option<String> {
    if import.starts_with(['.', '/', '#']) || is_node_module(import) {
        return None;
    }
    let names = if import.starts_with('@') { 2 } else { 1 };
    Some(import.split('/').take(names).collect::<Vec<_>>().join("/"))
}

/// The program beside the script or above it that is this user's own, else on the path.
fn installed(folder: &Path) -> Option<PathBuf> {
    let beside = folder
        .ancestors()
        .find_map(|folder| files::own_program_at(folder, Path::new("node_modules/.bin/esbuild")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside.or_else(|| files::on_path("esbuild", &path))
}

/// The names in `Could not resolve "name"`.
fn unresolved(told: &str) -> impl Iterator<Item = &str> {
    told.split("Could not resolve \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}
