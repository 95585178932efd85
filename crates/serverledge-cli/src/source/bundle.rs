//! Scripts for the runtime `javascript` that import something: bundled into one file with esbuild, on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serverledge_client::Runtime;
use serverledge_wire::javascript::{ENDINGS, imports, is_node_module, needs_node};

use super::{Code, SourceError, whole_file};
use crate::archive::Files;

/// The esbuild that npx fetches where none is installed.
const PINNED: &str = "esbuild@0.28.2";
/// What the runtime itself offers for import.
const OWN_MODULE: &str = "serverledge";
/// Where the handler of a folder is looked for, as nodes do.
const USUAL: [&str; 5] = ["index", "main", "handler", "function", "app"];
/// The language level of the engine, and packages for no platform in particular.
const ARGUMENTS: [&str; 8] = [
    "--bundle",
    "--platform=neutral",
    "--main-fields=module,main",
    "--target=es2023",
    "--external:serverledge",
    "--legal-comments=none",
    "--charset=utf8",
    "--log-level=warning",
];
/// What is shown of esbuild's complaints.
const TOLD_CHARS_MAX: usize = 4000;

/// The bundled script; `None` if it imports nothing, or is no script.
pub(super) fn read(path: &Path) -> Result<Option<Code>, SourceError> {
    let Some(entry) = entry(path) else {
        return Ok(None);
    };
    let bytes = whole_file(&entry)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Ok(None);
    };
    let Some(import) = imports(text).into_iter().find(|name| name != OWN_MODULE) else {
        return Ok(None);
    };
    let bundled = bundle(&entry, &import, is_module(&entry, text))?;
    let mut remarks = vec![format!(
        "{} is bundled with what it imports",
        entry.display()
    )];
    let lacking = std::str::from_utf8(&bundled).ok().and_then(needs_node);
    remarks.extend(
        lacking.map(|why| format!("the bundle {why}, which the runtime javascript does not have")),
    );
    let packed = |fault| SourceError::Pack {
        path: entry.clone(),
        fault,
    };
    let tar = Files::of_file(&entry, bundled)
        .and_then(|files| files.pack())
        .map_err(packed)?;
    Ok(Some(Code {
        tar,
        runtime: Some(Runtime::JavaScript.name()),
        remarks,
    }))
}

/// The script itself, or that of a folder with the handler.
fn entry(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return (super::runtime_of(path) == Some(Runtime::NodeJs)).then(|| path.to_owned());
    }
    let names = USUAL
        .iter()
        .flat_map(|stem| ENDINGS.iter().map(move |ending| format!("{stem}{ending}")));
    names
        .map(|name| path.join(name))
        .find(|path| path.is_file())
}

/// ES modules stay what they are, since what they export is how they are called.
fn is_module(path: &Path, text: &str) -> bool {
    let exports = |line: &str| {
        line.trim_start().starts_with("export ") || line.trim_start().starts_with("import ")
    };
    super::has_extension(path, &["mjs"])
        || !super::has_extension(path, &["cjs"]) && text.lines().any(exports)
}

fn bundle(entry: &Path, import: &str, is_module: bool) -> Result<Vec<u8>, SourceError> {
    let missing = || SourceError::NoBundler {
        path: entry.to_owned(),
        import: import.to_owned(),
    };
    let entry = std::fs::canonicalize(entry).map_err(|fault| SourceError::Read {
        path: entry.to_owned(),
        fault,
    })?;
    let folder = entry.parent().unwrap_or(Path::new("/"));
    let (program, first): (PathBuf, &[&str]) = match installed(folder) {
        Some(program) => (program, &[]),
        None => (PathBuf::from("npx"), &["--yes", PINNED]),
    };
    let format = if is_module {
        "--format=esm"
    } else {
        "--format=cjs"
    };
    let mut command = Command::new(program);
    command
        .args(first)
        .arg(&entry)
        .args(ARGUMENTS)
        .arg(format)
        .current_dir(folder)
        .stdin(Stdio::null());
    // Whatever is installed beside the script is somebody else's.
    command
        .env_remove("SERVERLEDGE_TOKEN")
        .env_remove("SERVERLEDGE_TOKEN_FILE");
    let ran = command.output().map_err(|_| missing())?;
    if ran.status.success() {
        return Ok(ran.stdout);
    }
    let told = without_notices(&String::from_utf8_lossy(&ran.stderr));
    let node_module = unresolved(&told)
        .find(|name| is_node_module(name))
        .map(str::to_owned);
    let package = unresolved(&told).find_map(package_of);
    let told = told.chars().take(TOLD_CHARS_MAX).collect();
    Err(SourceError::Bundle {
        path: entry,
        told,
        node_module,
        package,
    })
}

/// What was printed, without what npm has to say about itself.
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
fn package_of(import: &str) -> Option<String> {
    if import.starts_with(['.', '/', '#']) || is_node_module(import) {
        return None;
    }
    let names = if import.starts_with('@') { 2 } else { 1 };
    Some(import.split('/').take(names).collect::<Vec<_>>().join("/"))
}

/// What is installed beside the script or above it, else on the path.
fn installed(folder: &Path) -> Option<PathBuf> {
    let beside = folder
        .ancestors()
        .map(|folder| folder.join("node_modules/.bin/esbuild"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("esbuild"));
    beside.chain(on_path).find(|program| program.is_file())
}

/// The names in `Could not resolve "name"`.
fn unresolved(told: &str) -> impl Iterator<Item = &str> {
    told.split("Could not resolve \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::folder;
    use super::*;
    use crate::failure::Failure;

    /// A folder with scripts and an esbuild that does this.
    fn lab(files: &[(&str, &str)], esbuild: &str) -> tempfile::TempDir {
        let mut all: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (*name, text.as_bytes()))
            .collect();
        let program = format!("#!/bin/sh\n{esbuild}\n");
        all.push(("node_modules/.bin/esbuild", program.as_bytes()));
        let lab = folder(&all);
        let path = lab.path().join("node_modules/.bin/esbuild");
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        lab
    }

    fn sent(code: &Code) -> Vec<(String, String)> {
        let files = crate::archive::files_in(&code.tar).unwrap();
        files
            .into_iter()
            .map(|(path, bytes)| {
                (
                    path.display().to_string(),
                    String::from_utf8(bytes).unwrap(),
                )
            })
            .collect()
    }

    /// One after the other: a program that was just written cannot be started while another thread starts one.
    #[test]
    fn scripts_are_bundled() {
        what_imports_is_bundled();
        what_imports_nothing_is_sent_as_it_is();
        the_script_of_a_folder_is_found();
        complaints_are_shown();
    }

    fn what_imports_is_bundled() {
        let scripts = [
            ("f.js", "import { a } from './a.js';\nexport default a"),
            ("g.cjs", "require('./a.js')"),
        ];
        let lab = lab(&scripts, "echo \"$@\"");
        for (name, format) in [("f.js", "esm"), ("g.cjs", "cjs")] {
            let code = read(&lab.path().join(name)).unwrap().unwrap();
            let [(path, arguments)] = &sent(&code)[..] else {
                panic!("one file")
            };
            assert_eq!((path.as_str(), code.runtime), (name, Some("javascript")));
            assert!(
                arguments.contains(name) && arguments.contains(&format!("--format={format}")),
                "{arguments}"
            );
            assert_eq!(code.remarks.len(), 1, "{:?}", code.remarks);
        }
    }

    fn what_imports_nothing_is_sent_as_it_is() {
        let scripts = [
            (
                "f.js",
                "import { call } from 'serverledge'; export default 1",
            ),
            ("f.wat", "(module)"),
        ];
        let lab = lab(&scripts, "exit 1");
        assert_eq!(read(&lab.path().join("f.js")).unwrap(), None);
        assert_eq!(read(&lab.path().join("f.wat")).unwrap(), None);
    }

    fn the_script_of_a_folder_is_found() {
        let lab = lab(
            &[("lib.js", ""), ("main.mjs", "import './lib.js'")],
            "echo 'Buffer.from(1)'",
        );
        let code = read(lab.path()).unwrap().unwrap();
        assert_eq!(
            sent(&code),
            [("main.mjs".to_owned(), "Buffer.from(1)\n".to_owned())]
        );
        assert!(
            code.remarks[1].contains("uses Buffer"),
            "{:?}",
            code.remarks
        );
    }

    fn complaints_are_shown() {
        let complains = |text: &str| {
            let lab = lab(
                &[("f.js", "import 'x'")],
                &format!("echo '{text}' >&2; exit 1"),
            );
            Failure::from(read(&lab.path().join("f.js")).unwrap_err()).render(false)
        };
        let told = complains("ERROR Could not resolve \"node:fs\"");
        assert!(
            told.contains("ERROR") && told.contains("\"node:fs\" is an API of Node.js"),
            "{told}"
        );
        let told = complains(
            "ERROR Could not resolve \"@a/b/c\"\n\n    f.js:1:7:\nnpm notice New version of npm available!",
        );
        assert!(
            told.contains("f.js\"\nesbuild:\n  ERROR Could not resolve \"@a/b/c\"\n  \n      f.js:1:7:\nhint: "),
            "{told}"
        );
        assert!(
            told.contains("`npm install @a/b` in ") && !told.contains("notice"),
            "{told}"
        );
        let told = complains("ERROR Could not resolve \"./left\"");
        assert!(!told.contains("hint"), "{told}");
    }
}
