//! Scripts that are not sent as they are: those that import something, bundled into one file, and TypeScript.

use std::path::{Path, PathBuf};

use serverledge_client::Runtime;
use serverledge_wire::javascript::{
    ENDINGS, answers_requests, imports, is_engine_module, is_node_module, uses_node,
};

use super::esbuild::{self, BundleError, Output};
use super::script::{IN_NODE, IN_WASM};
use super::{List, unpacked, whole_file};
use crate::archive::Files;
use crate::failure::Failure;

/// The module that the runtime itself offers for import.
const OWN_MODULE: &str = "serverledge";
/// Names of files that may hold the handler of a folder, in the order in which nodes look.
const USUAL: [&str; 5] = ["index", "main", "handler", "function", "app"];
/// Files that are JavaScript once esbuild has seen them.
const TYPED: [&str; 5] = [".ts", ".mts", ".cts", ".tsx", ".jsx"];
/// Ends that an import may leave away.
const LEFT_AWAY: [&str; 12] = [
    "",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".mts",
    ".cts",
    ".tsx",
    ".jsx",
    ".json",
    "/index.js",
    "/index.ts",
];

/// The files that are sent instead of the source.
#[derive(Debug)]
pub(super) struct Bundled {
    pub(super) files: Files,
    pub(super) runtime: Runtime,
    pub(super) remarks: Vec<String>,
}

/// The file with the handler.
#[derive(Debug)]
struct Script {
    path: PathBuf,
    /// The folder that is deployed, if it is one.
    folder: Option<PathBuf>,
    /// Without types.
    text: String,
    is_typed: bool,
    imports: Vec<String>,
}

/// The files to send instead of a source; `None`: the source itself.
///
/// `said` is the runtime that the caller named, and `has_lists` says whether lists of packages go with the source.
pub(super) fn read(
    path: &Path,
    said: Option<Runtime>,
    has_lists: bool,
) -> Result<Option<Bundled>, Failure> {
    let only_typed = said != Some(Runtime::JavaScript) && path.is_dir();
    let is_ours = matches!(said, None | Some(Runtime::JavaScript | Runtime::NodeJs));
    let Some(entry) = entry(path, only_typed).filter(|_| is_ours) else {
        return Ok(None);
    };
    let Some(script) = Script::read(entry, path.is_dir().then(|| path.to_owned()))? else {
        return Ok(None);
    };
    // Only one runtime has handlers that answer requests: it is chosen though there is a list of packages.
    let is_listed = said.is_some() || !answers_requests(&script.text);
    let has_lists = has_lists || (is_listed && script.has_list());
    match said {
        Some(Runtime::JavaScript) if script.is_typed || !script.imports.is_empty() => {
            Ok(Some(script.for_engine()?))
        }
        Some(Runtime::JavaScript) => Ok(None),
        Some(_) => script.for_node(has_lists),
        None => script.for_either(has_lists),
    }
}

impl Script {
    fn read(path: PathBuf, folder: Option<PathBuf>) -> Result<Option<Self>, Failure> {
        let bytes = whole_file(&path)?;
        let is_typed = ends(&path, &TYPED);
        let bytes = if is_typed {
            esbuild::run(&path, Output::Stripped, true, "is TypeScript")?
        } else {
            bytes
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return Ok(None);
        };
        let imports = imports(&text)
            .into_iter()
            .filter(|name| name != OWN_MODULE && !is_engine_module(name))
            .collect();
        Ok(Some(Self {
            path,
            folder,
            text,
            is_typed,
            imports,
        }))
    }

    /// By what the file names itself; packages are what they are made for.
    fn for_either(self, has_lists: bool) -> Result<Option<Bundled>, Failure> {
        if !self.is_typed && (has_lists || !self.finds_imports()) {
            return Ok(None);
        }
        if has_lists {
            return self.for_node_because(true, "it has a list of packages");
        }
        let named = self.imports.iter().find(|name| is_node_module(name));
        let why = named.map(|name| format!("it imports {name:?} of Node.js"));
        if let Some(why) = why.or_else(|| uses_node(&self.text).map(|why| format!("it {why}"))) {
            return self.for_node_because(false, &why);
        }
        match self.for_engine() {
            Ok(mut bundled) => {
                bundled.remarks.push(IN_WASM.to_owned());
                Ok(Some(bundled))
            }
            Err(BundleError {
                failure,
                node_module: Some(name),
            }) => {
                let in_node = self
                    .for_node_because(false, &format!("what it imports needs {name:?} of Node.js"));
                in_node.ok().flatten().map(Some).ok_or(failure)
            }
            Err(other) => Err(other.failure),
        }
    }

    fn for_node_because(&self, has_lists: bool, why: &str) -> Result<Option<Bundled>, Failure> {
        let bundled = self.for_node(has_lists)?;
        Ok(bundled.map(|mut bundled| {
            bundled.remarks.push(format!("{IN_NODE}: {why}"));
            bundled
        }))
    }

    /// One file for the engine in WebAssembly.
    fn for_engine(&self) -> Result<Bundled, BundleError> {
        let bytes = esbuild::run(&self.path, Output::Engine, self.is_module(), &self.why())?;
        let ending = if ends(&self.path, &[".mjs", ".mts"]) {
            ".mjs"
        } else if ends(&self.path, &[".cjs", ".cts"]) {
            ".cjs"
        } else {
            ".js"
        };
        Ok(self.bundled(Files::default(), bytes, ending, Runtime::JavaScript)?)
    }

    /// For Node.js: with its packages in it, unless they are listed. `None`: the source will do.
    fn for_node(&self, has_lists: bool) -> Result<Option<Bundled>, Failure> {
        if !self.is_typed {
            if has_lists || self.folder.is_some() || !self.finds_imports() {
                return Ok(None);
            }
            // A package may have parts that are no JavaScript: then Node.js has to find it by itself.
            let bundled = esbuild::run(&self.path, Output::Node, false, &self.why()).ok();
            let bundled =
                bundled.map(|bytes| self.bundled(Files::default(), bytes, ".cjs", Runtime::NodeJs));
            return bundled.transpose();
        }
        let output = if has_lists {
            Output::NodeWithoutPackages
        } else {
            Output::Node
        };
        let is_module = has_lists && self.is_module();
        let bytes = esbuild::run(&self.path, output, is_module, &self.why())?;
        let ending = if is_module { ".mjs" } else { ".cjs" };
        self.bundled(self.other_files()?, bytes, ending, Runtime::NodeJs)
            .map(Some)
    }

    fn bundled(
        &self,
        mut files: Files,
        bytes: Vec<u8>,
        ending: &str,
        runtime: Runtime,
    ) -> Result<Bundled, Failure> {
        let stem = self
            .path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or(USUAL[0]);
        files
            .put(PathBuf::from(format!("{stem}{ending}")), bytes, false)
            .map_err(unpacked(&self.path))?;
        let mut remarks = std::mem::take(&mut files.remarks);
        let shown = self.path.display();
        remarks.push(match self.imports.is_empty() {
            true => format!("{shown} is sent without its types"),
            false => format!("{shown} is bundled with what it imports"),
        });
        Ok(Bundled {
            files,
            runtime,
            remarks,
        })
    }

    /// The files beside a script in a folder that are not in the bundle.
    fn other_files(&self) -> Result<Files, Failure> {
        let Some(folder) = &self.folder else {
            return Ok(Files::default());
        };
        let mut files = Files::of_folder(folder).map_err(unpacked(folder))?;
        let is_declaration = |path: &Path| path.to_string_lossy().ends_with(".d.ts");
        files.retain(|path| !ends(path, &TYPED) && !is_declaration(path));
        Ok(files)
    }

    fn has_list(&self) -> bool {
        let lists = self
            .folder
            .as_ref()
            .and_then(|folder| std::fs::read_dir(folder).ok());
        lists
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_str().and_then(List::kind) == Some(Runtime::NodeJs))
    }

    /// Whether something that it imports is here: a file beside it, or a package that was installed.
    fn finds_imports(&self) -> bool {
        let folder = std::fs::canonicalize(&self.path).ok();
        let Some(folder) = folder.as_deref().and_then(Path::parent) else {
            return false;
        };
        self.imports
            .iter()
            .any(|import| match esbuild::package_of(import) {
                Some(package) => folder
                    .ancestors()
                    .any(|above| above.join("node_modules").join(&package).is_dir()),
                None if import.starts_with('.') => LEFT_AWAY
                    .iter()
                    .any(|end| folder.join(format!("{import}{end}")).is_file()),
                None => false,
            })
    }

    /// ES modules stay what they are, since what they export is how they are called.
    fn is_module(&self) -> bool {
        let exports = |line: &str| {
            line.trim_start().starts_with("export ") || line.trim_start().starts_with("import ")
        };
        ends(&self.path, &[".mjs", ".mts"])
            || !ends(&self.path, &[".cjs", ".cts"]) && self.text.lines().any(exports)
    }

    /// In words that follow its path.
    fn why(&self) -> String {
        self.imports.first().map_or_else(
            || "is TypeScript".to_owned(),
            |import| format!("imports {import:?}"),
        )
    }
}

/// The script itself, or that of a folder with the handler.
fn entry(path: &Path, only_typed: bool) -> Option<PathBuf> {
    if !path.is_dir() {
        return (ends(path, &ENDINGS) || ends(path, &TYPED)).then(|| path.to_owned());
    }
    let endings = || ENDINGS.iter().filter(|_| !only_typed).chain(&TYPED);
    let names = USUAL
        .iter()
        .flat_map(|stem| endings().map(move |ending| format!("{stem}{ending}")));
    names
        .map(|name| path.join(name))
        .find(|path| path.is_file())
}

fn ends(path: &Path, endings: &[&str]) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    // Declarations are nothing to run.
    !name.ends_with(".d.ts") && endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::folder;
    use super::*;

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

    /// The runtime, the only file and its text: what the fake esbuild printed.
    fn sent(bundled: Option<Bundled>) -> Option<(&'static str, String, String)> {
        let bundled = bundled?;
        let files = bundled.files.all();
        let [(path, bytes)] = &files[..] else {
            panic!("one file: {files:?}")
        };
        let text = String::from_utf8_lossy(bytes).trim().to_owned();
        Some((bundled.runtime.name(), path.display().to_string(), text))
    }

    const ENGINE: Option<Runtime> = Some(Runtime::JavaScript);

    /// One after the other: a program that was just written cannot be started while another thread starts one.
    #[test]
    fn scripts_are_bundled() {
        what_imports_is_bundled();
        what_imports_nothing_is_sent_as_it_is();
        the_script_of_a_folder_is_found();
        what_is_installed_is_bundled_unasked();
        what_names_node_is_bundled_for_it();
        types_are_taken_out();
        what_answers_requests_is_for_the_engine();
        complaints_are_shown();
    }

    fn what_imports_is_bundled() {
        let scripts = [
            ("f.js", "import { a } from './a.js';\nexport default a"),
            ("g.cjs", "require('./a.js')"),
        ];
        let lab = lab(&scripts, "echo \"$@\"");
        for (name, format) in [("f.js", "esm"), ("g.cjs", "cjs")] {
            let (runtime, path, arguments) =
                sent(read(&lab.path().join(name), ENGINE, false).unwrap()).unwrap();
            assert_eq!((runtime, path.as_str()), ("javascript", name));
            for expected in [
                name,
                "--platform=browser",
                "--conditions=worker,browser",
                "--keep-names",
                "--external:buffer --external:node:buffer",
            ] {
                assert!(arguments.contains(expected), "{expected}: {arguments}");
            }
            assert!(
                arguments.contains(&format!("--format={format}"))
                    && !arguments.contains("main-fields")
            );
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
        for said in [None, ENGINE, Some(Runtime::NodeJs)] {
            assert!(
                read(&lab.path().join("f.js"), said, false)
                    .unwrap()
                    .is_none()
            );
            assert!(
                read(&lab.path().join("f.wat"), said, false)
                    .unwrap()
                    .is_none()
            );
        }
    }

    fn the_script_of_a_folder_is_found() {
        let lab = lab(
            &[("lib.js", ""), ("main.mjs", "import './lib.js'")],
            "echo 'Buffer.from(1)'",
        );
        let found = sent(read(lab.path(), ENGINE, false).unwrap()).unwrap();
        assert_eq!(
            found,
            (
                "javascript",
                "main.mjs".to_owned(),
                "Buffer.from(1)".to_owned()
            )
        );
        assert!(
            read(lab.path(), None, false).unwrap().is_none(),
            "a folder of JavaScript goes as it is"
        );
    }

    fn what_is_installed_is_bundled_unasked() {
        let files = [
            ("f.js", "import zod from 'zod'; export default zod"),
            ("node_modules/zod/index.js", ""),
        ];
        let lab = lab(&files, "echo \"$@\"");
        let path = lab.path().join("f.js");
        let (runtime, _, arguments) = sent(read(&path, None, false).unwrap()).unwrap();
        assert!(
            runtime == "javascript" && arguments.contains("--platform=browser"),
            "{arguments}"
        );
        assert!(
            read(&path, None, true).unwrap().is_none(),
            "a list of packages is for Node.js"
        );
        let missing = folder(&[("f.js", b"import 'zod'")]);
        assert!(
            read(&missing.path().join("f.js"), None, false)
                .unwrap()
                .is_none()
        );
        let (runtime, name, arguments) =
            sent(read(&path, Some(Runtime::NodeJs), false).unwrap()).unwrap();
        assert_eq!((runtime, name.as_str()), ("nodejs", "f.cjs"));
        assert!(
            arguments.contains("--platform=node") && arguments.contains("--format=cjs"),
            "{arguments}"
        );
    }

    fn what_names_node_is_bundled_for_it() {
        let fails = "case \"$*\" in *browser*) echo 'Could not resolve \"fs\"' >&2; exit 1;; *) echo \"$@\";; esac";
        let files = [
            (
                "f.js",
                "import a from './a.js'; export default () => new Intl.DisplayNames(a)",
            ),
            ("g.js", "import a from './a.js'; export default a"),
            ("a.js", ""),
        ];
        let lab = lab(&files, fails);
        for (name, why) in [
            ("f.js", "it uses Intl.DisplayNames"),
            ("g.js", "needs \"fs\" of Node.js"),
        ] {
            let bundled = read(&lab.path().join(name), None, false).unwrap().unwrap();
            assert!(
                bundled.runtime == Runtime::NodeJs && bundled.remarks[1].contains(why),
                "{:?}",
                bundled.remarks
            );
        }
    }

    fn types_are_taken_out() {
        let files = [
            ("f.ts", "export default (a: Response) => 1"),
            ("app/index.ts", "import x from 'zod'"),
            ("app/package.json", "{}"),
            ("app/types.d.ts", ""),
            ("app/data.csv", "1"),
        ];
        let lab = lab(
            &files,
            "case \"$*\" in *bundle*) echo \"$@\";; *) echo 'export default (a) => 1';; esac",
        );
        let path = lab.path().join("f.ts");
        let (runtime, name, arguments) = sent(read(&path, None, false).unwrap()).unwrap();
        assert_eq!((runtime, name.as_str()), ("javascript", "f.js"));
        assert!(arguments.contains("--format=esm"), "{arguments}");
        let (runtime, name, _) = sent(read(&path, Some(Runtime::NodeJs), false).unwrap()).unwrap();
        assert_eq!((runtime, name.as_str()), ("nodejs", "f.cjs"));
        let app = read(&lab.path().join("app"), None, false).unwrap().unwrap();
        let paths: Vec<String> = app
            .files
            .paths()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            (app.runtime, paths.join(" ").as_str()),
            (Runtime::NodeJs, "data.csv index.mjs package.json")
        );
    }

    fn what_answers_requests_is_for_the_engine() {
        let files = [
            ("app/index.ts", "import x from 'zod'"),
            ("app/package.json", "{}"),
        ];
        let stripped = "import x from \"zod\"; export default { fetch(a) { return x(a) } }";
        let lab = lab(
            &files,
            &format!("case \"$*\" in *bundle*) echo \"$@\";; *) echo '{stripped}';; esac"),
        );
        let app = read(&lab.path().join("app"), None, false).unwrap();
        let (runtime, name, _) = sent(app).unwrap();
        assert_eq!((runtime, name.as_str()), ("javascript", "index.js"));
    }

    fn complaints_are_shown() {
        let complains = |text: &str| {
            let lab = lab(
                &[("f.js", "import 'x'")],
                &format!("echo '{text}' >&2; exit 1"),
            );
            read(&lab.path().join("f.js"), ENGINE, false)
                .unwrap_err()
                .render(false)
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
