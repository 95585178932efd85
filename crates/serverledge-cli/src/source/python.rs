//! Sources in Python: the runtime that they need, and their packages where that runtime installs none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serverledge_client::Runtime;
use serverledge_wire::python::{NOT_IN_THE_FILES, PythonFile, needs_container};
use serverledge_wire::upload::only_folder;

use super::pip::{self, Packages};
use super::{List, REQUIREMENTS, unpacked};
use crate::archive::Files;
use crate::exit::Exit;
use crate::failure::Failure;

/// The remark on files for a container, before the reason.
pub(crate) const IN_CONTAINER: &str = "it runs in a container, with the runtime python";
/// The remark on files for WebAssembly.
const IN_WASM: &str =
    "it runs in WebAssembly, with the runtime python-wasm; --runtime python runs it in a container";
/// The way out where a module is not in the files.
const WAY_TO_SEND: &str =
    "a requirements.txt lists packages, and a folder is sent with all its files";

/// Files whose runtime is settled.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) files: Files,
    pub(super) runtime: Runtime,
    pub(super) remarks: Vec<String>,
    /// Whether the files are others than those of the source.
    pub(super) has_packages: bool,
}

/// A list of packages.
struct PackageList {
    /// Its path on this machine.
    path: PathBuf,
    /// Whether it names a package.
    names_any: bool,
    /// The folder of a list that came out of an archive, for as long as it is needed.
    _folder: Option<tempfile::TempDir>,
}

/// Whether it is to be found out which of the two runtimes for Python a source gets, or whether its packages are
/// fetched here.
pub(super) fn is_open(found: Option<&str>, said: Option<Runtime>) -> bool {
    match said {
        Some(said) => said == Runtime::PythonWasm,
        None => found == Some(Runtime::Python.name()),
    }
}

/// Settles the runtime, where nobody named it, and fetches the packages for the runtime `python-wasm`.
pub(super) fn settle(
    source: &Path,
    mut files: Files,
    said: Option<Runtime>,
    handler: &str,
    lists: &[List],
) -> Result<Settled, Failure> {
    let remarks = std::mem::take(&mut files.remarks);
    let why = match said {
        Some(_) => None,
        None => reason(&files, None, handler),
    };
    let list = PackageList::find(source, &files, lists)?;
    let is_list_due = list.as_ref().is_some_and(|list| list.names_any);
    // What the files lack may be in the list.
    if let Some(why) = why.filter(|why| !is_list_due || !why.ends_with(NOT_IN_THE_FILES)) {
        let way_out = match why.ends_with(NOT_IN_THE_FILES) {
            true => format!("; {WAY_TO_SEND}"),
            false => String::new(),
        };
        return Ok(in_container(files, remarks, &format!("{why}{way_out}")));
    }
    let mut packages = None;
    if let Some(list) = list.as_ref().filter(|list| list.names_any) {
        match pip::fetch(&list.path) {
            Ok(fetched) => packages = Some(fetched),
            Err(fault) if said.is_some() => return Err(fault.failure(&list.path)),
            Err(fault) => return Ok(in_container(files, remarks, &fault.why())),
        }
        let why = reason(&files, packages.as_ref(), handler);
        if let Some(why) = why.filter(|_| said.is_none()) {
            return Ok(in_container(files, remarks, &why));
        }
    }
    let has_packages = list.is_some();
    let mut settled = Settled {
        files,
        runtime: Runtime::PythonWasm,
        remarks,
        has_packages,
    };
    settled.take_in(source, packages)?;
    if said.is_none() {
        settled.remarks.push(IN_WASM.to_owned());
    }
    Ok(settled)
}

fn in_container(files: Files, mut remarks: Vec<String>, why: &str) -> Settled {
    remarks.push(format!("{IN_CONTAINER}: {why}"));
    Settled {
        files,
        runtime: Runtime::Python,
        remarks,
        has_packages: false,
    }
}

// === impl Settled ===

impl Settled {
    /// Puts packages beside the files, in place of the list that names them. Files of the source stay.
    fn take_in(&mut self, source: &Path, packages: Option<Packages>) -> Result<(), Failure> {
        let root = root(&self.files);
        self.files.retain(|path| !is_list(path, &root));
        let Some(packages) = packages else {
            return Ok(());
        };
        for (path, bytes) in packages.files.all() {
            let place = root.join(path);
            if !self.files.has(&place) {
                self.files
                    .put(place, bytes.to_vec(), false)
                    .map_err(unpacked(source))?;
            }
        }
        self.remarks
            .push(format!("sent with it: {}", packages.names.join(", ")));
        Ok(())
    }
}

// === impl PackageList ===

impl PackageList {
    /// The list that was named, else that of the files.
    fn find(source: &Path, files: &Files, lists: &[List]) -> Result<Option<Self>, Failure> {
        if let Some(list) = lists.iter().find(|list| list.name == REQUIREMENTS) {
            return Ok(Some(Self {
                path: list.path.clone(),
                names_any: names_any(&list.bytes),
                _folder: None,
            }));
        }
        let root = root(files);
        let all = files.all();
        let Some((path, bytes)) = all.iter().find(|(path, _)| is_list(path, &root)) else {
            return Ok(None);
        };
        let names_any = names_any(bytes);
        if source.is_dir() {
            return Ok(Some(Self {
                path: source.join(path),
                names_any,
                _folder: None,
            }));
        }
        let unwritten = |fault: std::io::Error| {
            Failure::new(
                Exit::Source,
                format!("failed to write the {REQUIREMENTS} of {source:?}: {fault}"),
            )
        };
        let folder = tempfile::tempdir().map_err(unwritten)?;
        let path = folder.path().join(REQUIREMENTS);
        std::fs::write(&path, bytes).map_err(unwritten)?;
        Ok(Some(Self {
            path,
            names_any,
            _folder: Some(folder),
        }))
    }
}

/// Whether a file is a list of packages, at the top or where the function's modules are.
fn is_list(path: &Path, root: &Path) -> bool {
    let path = plain(path);
    path == Path::new(REQUIREMENTS) || path == root.join(REQUIREMENTS)
}

/// Whether a list has more than comments.
fn names_any(list: &[u8]) -> bool {
    let text = String::from_utf8_lossy(list);
    text.lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The path of a file in an archive without the dot before it.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// The folder in which the function's modules are looked for: the only one, if all modules lie in it.
fn root(files: &Files) -> PathBuf {
    let modules = files
        .paths()
        .filter(|path| path.extension().is_some_and(|end| end == "py"));
    let paths: Vec<String> = modules
        .map(|path| plain(path).to_string_lossy().into_owned())
        .collect();
    let only = only_folder(paths.iter().map(String::as_str));
    only.map(PathBuf::from).unwrap_or_default()
}

/// The reason why files need a container.
fn reason(files: &Files, packages: Option<&Packages>, handler: &str) -> Option<String> {
    let root = root(files);
    let installed = installed(files);
    let own = files.all();
    let fetched = packages.map(|packages| packages.files.all());
    let own = own.iter().map(|(path, bytes)| {
        let path = plain(path);
        let is_package = installed.contains(path);
        (path.to_string_lossy().into_owned(), *bytes, is_package)
    });
    let fetched = fetched.iter().flatten().map(|(path, bytes)| {
        let path = root.join(path).to_string_lossy().into_owned();
        (path, *bytes, true)
    });
    let all: Vec<(String, &[u8], bool)> = own.chain(fetched).collect();
    let all: Vec<PythonFile<'_>> = all
        .iter()
        .map(|(path, bytes, is_package)| PythonFile {
            path,
            bytes,
            is_package: *is_package,
        })
        .collect();
    needs_container(&all, handler)
}

/// The files that an installer put beside the function's, by its records.
fn installed(files: &Files) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for (path, bytes) in files.all() {
        let folder = plain(path).parent().filter(|folder| {
            let is_about = folder.extension().is_some_and(|end| end == "dist-info");
            is_about && path.file_name().is_some_and(|name| name == "RECORD")
        });
        let Some(beside) = folder.and_then(Path::parent) else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let paths = text.lines().filter_map(|line| line.split(',').next());
        found.extend(paths.map(|path| beside.join(path)));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::{folder, read};
    use super::*;
    use crate::archive;

    /// The acts of a fake pip: it writes down its command line, fetches a wheel, and installs two packages.
    const INSTALLS: &str = r#"
        echo "$@" >>"$0.log"
        while [ $# -gt 0 ]; do
            case $1 in --target) target=$2 ;; --dest) dest=$2 ;; esac
            shift
        done
        if [ -n "$dest" ]; then touch "$dest/tool-1.0-py3-none-any.whl"; exit; fi
        mkdir -p "$target/tool-1.0.dist-info" "$target/tool"
        echo 'import json' >"$target/tool/__init__.py"
        echo 'x = 1' >"$target/single.py"
        echo about >"$target/tool-1.0.dist-info/METADATA"
    "#;

    /// A folder with files below `app`, and a pip that does this.
    fn lab(files: &[(&str, &str)], pip: &str) -> tempfile::TempDir {
        let program = format!("#!/bin/sh\n{pip}\n");
        let named: Vec<(String, &[u8])> = files
            .iter()
            .map(|(name, text)| (format!("app/{name}"), text.as_bytes()))
            .collect();
        let mut all: Vec<(&str, &[u8])> = named
            .iter()
            .map(|(name, bytes)| (name.as_str(), *bytes))
            .collect();
        all.push((".venv/bin/pip", program.as_bytes()));
        let lab = folder(&all);
        let path = lab.path().join(".venv/bin/pip");
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        lab
    }

    /// The runtime, the paths and the last remark.
    fn sent(source: &Path, said: Option<Runtime>) -> Result<(String, String, String), String> {
        let code = read(source, said, &[]).map_err(|failure| failure.render(false))?;
        let paths = archive::paths_in(&code.tar).unwrap();
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Ok((
            code.runtime.unwrap().to_owned(),
            paths.join(" "),
            code.remarks.last().cloned().unwrap_or_default(),
        ))
    }

    const WASM: Option<Runtime> = Some(Runtime::PythonWasm);

    /// One after the other: a program that was just written cannot be started while another thread starts one.
    #[test]
    fn packages_are_fetched() {
        packages_are_sent_with_the_function();
        what_no_wheel_in_python_has_is_for_a_container();
        what_does_without_compiled_parts_is_fetched_all_the_same();
        what_a_package_needs_counts();
        lists_in_archives_are_read();
    }

    fn packages_are_sent_with_the_function() {
        let files = [
            ("main.py", "import tool, single"),
            ("requirements.txt", "tool\n"),
            ("data.csv", "1"),
        ];
        let lab = lab(&files, INSTALLS);
        let app = lab.path().join("app");
        let expected =
            "data.csv main.py single/__init__.py tool/__init__.py tool-1.0.dist-info/METADATA";
        for said in [None, WASM] {
            let (runtime, paths, remark) = sent(&app, said).unwrap();
            assert_eq!(
                (runtime.as_str(), paths.as_str()),
                ("python-wasm", expected)
            );
            assert!(said.is_some() || remark == IN_WASM, "{remark}");
        }
        let arguments = std::fs::read_to_string(lab.path().join(".venv/bin/pip.log")).unwrap();
        for expected in [
            "download --only-binary=:all:",
            "--no-deps --no-index --ignore-requires-python",
            "tool-1.0-py3-none-any.whl",
            "--platform=any --implementation=py --abi=none",
            "app/requirements.txt",
        ] {
            assert!(arguments.contains(expected), "{arguments}");
        }
        let (runtime, paths, _) = sent(&app, Some(Runtime::Python)).unwrap();
        assert_eq!(
            (runtime.as_str(), paths.as_str()),
            ("python", "data.csv main.py requirements.txt")
        );
        assert!(read(&app, None, &[]).unwrap().remarks[0].ends_with("tool 1.0"));
    }

    fn what_no_wheel_in_python_has_is_for_a_container() {
        let files = [("main.py", "import num"), ("requirements.txt", "num==1")];
        let complaint = "ERROR: Could not find a version that satisfies the requirement num==1 (from versions: none)";
        let lab = lab(&files, &format!("echo '{complaint}' >&2; exit 1"));
        let app = lab.path().join("app");
        let (runtime, paths, remark) = sent(&app, None).unwrap();
        assert_eq!(
            (runtime.as_str(), paths.as_str()),
            ("python", "main.py requirements.txt")
        );
        assert_eq!(
            remark,
            format!("{IN_CONTAINER}: its package \"num\" has compiled parts")
        );
        let told = sent(&app, WASM).unwrap_err();
        assert!(
            told.contains("the package \"num\" of ") && told.contains("hint: --runtime python"),
            "{told}"
        );
        let files = [("main.py", "import num"), ("requirements.txt", "./num")];
        let unfit = self::lab(&files, "touch \"$0.log\"");
        let (runtime, _, remark) = sent(&unfit.path().join("app"), None).unwrap();
        assert!(
            runtime == "python" && remark.ends_with("\"./num\", which is no package of an index"),
            "{remark}"
        );
        let told = sent(&unfit.path().join("app"), WASM).unwrap_err();
        assert!(told.contains("only packages of an index"), "{told}");
        assert!(!unfit.path().join(".venv/bin/pip.log").exists());
        let files = [("main.py", "import num"), ("requirements.txt", "num==1")];
        let broken = self::lab(&files, "echo 'ERROR: no network' >&2; exit 1");
        let (runtime, _, remark) = sent(&broken.path().join("app"), None).unwrap();
        assert!(
            runtime == "python" && remark.ends_with("pip fetched no packages: ERROR: no network"),
            "{remark}"
        );
        let told = sent(&broken.path().join("app"), WASM).unwrap_err();
        assert!(told.contains("\npip:\n  ERROR: no network\n"), "{told}");
    }

    fn what_does_without_compiled_parts_is_fetched_all_the_same() {
        let pip = format!(
            "log=$0.log\ncase \"$*\" in\n*--no-deps*--dest*) touch \"$(dirname \"$log\")/has\"\n\
             while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && wheels=$2; shift; done\n\
             touch \"$wheels/pyyaml-6.0-cp313-cp313-manylinux2014_x86_64.whl\"; exit;;\nesac\n\
             if ! [ -e \"$(dirname \"$log\")/has\" ]; then\n\
             echo 'ERROR: satisfies the requirement PyYAML>=6 (from x) (from versions: none)' >&2; exit 1; fi\n\
             for each; do [ \"$last\" = --find-links ] && ls \"$each\" >>\"$log\"; last=$each; done\n{INSTALLS}"
        );
        let files = [("main.py", "import tool"), ("requirements.txt", "x")];
        let lab = lab(&files, &pip);
        let (runtime, ..) = sent(&lab.path().join("app"), None).unwrap();
        let log = std::fs::read_to_string(lab.path().join(".venv/bin/pip.log")).unwrap();
        assert_eq!(runtime, "python-wasm");
        assert!(log.starts_with("pyyaml-6.0-py3-none-any.whl\n"), "{log}");
    }

    fn what_a_package_needs_counts() {
        let files = [("main.py", "import tool"), ("requirements.txt", "tool")];
        let pip = INSTALLS.replace("import json", "import dbm");
        let lab = lab(&files, &pip);
        let (runtime, paths, remark) = sent(&lab.path().join("app"), None).unwrap();
        assert_eq!(
            (runtime.as_str(), paths.as_str()),
            ("python", "main.py requirements.txt")
        );
        assert!(
            remark.contains("tool/__init__.py imports \"dbm\""),
            "{remark}"
        );
        let (runtime, ..) = sent(&lab.path().join("app"), WASM).unwrap();
        assert_eq!(runtime, "python-wasm", "what is said counts");
    }

    fn lists_in_archives_are_read() {
        let nothing = [
            ("main.py", "import json"),
            ("requirements.txt", "# nothing\n"),
        ];
        let lab = lab(&nothing, "exit 1");
        let app = lab.path().join("app");
        let (runtime, paths, _) = sent(&app, None).unwrap();
        assert_eq!(
            (runtime.as_str(), paths.as_str()),
            ("python-wasm", "main.py")
        );
        let tar = Files::of_folder(&app).unwrap().pack().unwrap();
        let path = lab.path().join("code.tar");
        std::fs::write(&path, tar).unwrap();
        let (runtime, paths, _) = sent(&path, None).unwrap();
        assert_eq!(
            (runtime.as_str(), paths.as_str()),
            ("python-wasm", "main.py")
        );
    }

    #[test]
    fn files_say_what_they_need() {
        for (files, expected, why) in [
            (
                &[("main.py", "import json")][..],
                "python-wasm",
                "--runtime python runs it",
            ),
            (
                &[("main.py", "import helper"), ("helper.py", "import numpy")],
                "python",
                "helper.py imports \"numpy\", which has compiled parts",
            ),
            (
                &[("main.py", "import yaml")],
                "python",
                "it imports \"yaml\", which is not in the files; a requirements.txt lists packages",
            ),
            (
                &[
                    ("main.py", "import click"),
                    ("click/__init__.py", "import threading\nthreading.Thread()"),
                    ("click-8.dist-info/RECORD", "click/__init__.py,,\n"),
                ],
                "python-wasm",
                "",
            ),
        ] {
            let files: Vec<(&str, &[u8])> = files
                .iter()
                .map(|(name, text)| (*name, text.as_bytes()))
                .collect();
            let (runtime, _, remark) = sent(folder(&files).path(), None).unwrap();
            assert!(
                runtime == expected && remark.contains(why),
                "{runtime}: {remark}"
            );
        }
    }

    #[test]
    fn packages_go_where_the_modules_are() {
        let mut files = Files::default();
        for path in ["f/main.py", "./f/lib/a.py"] {
            files.put(PathBuf::from(path), Vec::new(), false).unwrap();
        }
        assert_eq!(root(&files), Path::new("f"));
        files.put(PathBuf::from("g.py"), Vec::new(), false).unwrap();
        assert_eq!(root(&files), Path::new(""));
    }
}
