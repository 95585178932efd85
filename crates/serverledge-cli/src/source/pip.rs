//! pip on this machine: found, run, and what it fetched sorted out.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{REQUIREMENTS, requirements};
use crate::archive::{Files, PackError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::progress::Steps;

/// The Python for which packages are fetched: that of the runtime `python-wasm`.
const PYTHON_VERSION: &str = "3.13";
/// Arguments of every run: nothing is asked for, and nothing is built, for the list names packages of indexes only.
const COMMON: [&str; 6] = [
    "--only-binary=:all:",
    "--no-input",
    "--disable-pip-version-check",
    "--quiet",
    "--python-version",
    PYTHON_VERSION,
];
/// Wheels that are written in Python.
const PURE: [&str; 3] = ["--platform=any", "--implementation=py", "--abi=none"];
/// Wheels for some machine, of which the parts in Python are used.
const ANY_MACHINE: [&str; 4] = [
    "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_28_x86_64",
    "--implementation=cp",
    "--abi=cp313",
];
/// Packages that have wheels for machines only, and do without their compiled parts.
const OPTIONAL_PARTS: [&str; 2] = ["markupsafe", "pyyaml"];
/// The words of pip before a requirement that it finds no wheel for, and those behind it.
const LACKING: (&str, &str) = ("satisfies the requirement ", " (from ");
/// The end of the name of a wheel without compiled parts.
const PURE_WHEEL: &str = "-py3-none-any.whl";
/// Longest part of pip's complaints that is shown.
const TOLD_CHARS_MAX: usize = 4000;
/// Ends of the names of files that are of no use in WebAssembly.
const USELESS: [&str; 8] = ["so", "pyd", "dylib", "pyc", "pyi", "pyx", "pxd", "c"];
/// Files about a package that it may read itself.
const ABOUT: [&str; 3] = ["METADATA", "entry_points.txt", "top_level.txt"];

/// Packages that were fetched.
#[derive(Debug)]
pub(super) struct Packages {
    /// Their files, as they lie beside the function's.
    pub(super) files: Files,
    /// Their names and versions.
    pub(super) names: Vec<String>,
}

/// The reason why packages were not fetched.
#[derive(Debug)]
pub(super) enum PipError {
    /// There is no pip here.
    Missing,
    /// A package has no wheel that is written in Python.
    Compiled(String),
    /// This line of the list is none of an index: pip may build it, which runs its code.
    Unfit(String),
    /// pip said something else.
    Failed(String),
    /// The packages cannot be sent.
    Pack(PackError),
    /// The system did not let it be run, or its files be read.
    System(io::Error),
}

/// A pip, with the folders that it works in.
struct Pip<'a> {
    program: PathBuf,
    list: &'a Path,
    lab: &'a Path,
}

// === impl PipError ===

impl PipError {
    /// The reason, in words that follow `it runs in a container: `.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Missing => "there is no pip here to fetch its packages with; with pip, and packages written in Python, \
                 it needs no container"
                .to_owned(),
            Self::Compiled(name) => format!("its package {name:?} has compiled parts"),
            Self::Unfit(line) => {
                format!("its {REQUIREMENTS} has {line:?}, which is no package of an index")
            }
            Self::Failed(told) => {
                let last = told.trim().lines().last().unwrap_or_default();
                format!("pip fetched no packages: {}", last.trim())
            }
            Self::Pack(fault) => format!("its packages cannot be sent: {}", fault.words),
            Self::System(fault) => format!("pip fetched no packages: {fault}"),
        }
    }

    /// The failure, where the runtime `python-wasm` was named.
    pub(super) fn failure(self, list: &Path) -> Failure {
        let way_out =
            "--runtime python runs it in a container, in which the node installs the packages";
        let failure = match self {
            Self::Missing => Failure::new(
                Exit::Source,
                format!("{list:?} lists packages, and there is no pip to fetch them with"),
            ),
            Self::Compiled(name) => Failure::usage(format!(
                "the package {name:?} of {list:?} has no wheel that is written in Python, and the runtime python-wasm \
                 loads no compiled parts"
            )),
            Self::Unfit(line) => Failure::usage(format!(
                "{list:?} has {line:?}: for the runtime python-wasm only packages of an index are fetched, for pip may run \
                 the code of others"
            )),
            Self::Failed(told) => {
                let shown: String = told.chars().take(TOLD_CHARS_MAX).collect();
                let words = format!("pip failed to fetch the packages of {list:?}");
                Failure::new(Exit::Source, words).section("pip", &shown)
            }
            Self::Pack(fault) => Failure::new(
                fault.exit,
                format!("the packages of {list:?} cannot be sent: {}", fault.words),
            ),
            Self::System(fault) => Failure::new(
                Exit::Source,
                format!("failed to fetch the packages of {list:?}: {fault}"),
            ),
        };
        failure.hint(way_out)
    }
}

impl From<io::Error> for PipError {
    fn from(fault: io::Error) -> Self {
        Self::System(fault)
    }
}

impl From<PackError> for PipError {
    fn from(fault: PackError) -> Self {
        Self::Pack(fault)
    }
}

/// Fetches the packages of a list, with all that they need.
pub(super) fn fetch(list: &Path) -> Result<Packages, PipError> {
    let list = fs::canonicalize(list)?;
    if let Some(line) = requirements::unfit(&list)? {
        return Err(PipError::Unfit(line));
    }
    let folder = list.parent().unwrap_or(Path::new("/"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = installed(folder, &path).ok_or(PipError::Missing)?;
    let steps = Steps::new(String::new());
    let name = list.file_name().unwrap_or(list.as_os_str());
    steps.step(&format!(
        "fetching the packages of {} with pip",
        name.display()
    ));
    let lab = tempfile::tempdir()?;
    let pip = Pip {
        program,
        list: &list,
        lab: lab.path(),
    };
    pip.install_all()?;
    sorted_out(&Files::of_folder(&pip.target())?)
}

// === impl Pip ===

impl Pip<'_> {
    /// Fetches and unpacks all, of packages that do without compiled parts what is in Python.
    fn install_all(&self) -> Result<(), PipError> {
        for folder in [self.target(), self.wheels(), self.fetched()] {
            fs::create_dir_all(folder)?;
        }
        let mut known = BTreeSet::new();
        loop {
            let ran = self.download_all()?;
            if ran.status.success() {
                return self.unpack();
            }
            let told = String::from_utf8_lossy(&ran.stderr);
            let Some(wanted) = lacking(&told) else {
                return Err(PipError::Failed(told.into_owned()));
            };
            let name = name_of(wanted);
            let is_known = OPTIONAL_PARTS.contains(&name.as_str());
            if !is_known || !known.insert(name.clone()) || !self.download(wanted)? {
                return Err(PipError::Compiled(name));
            }
        }
    }

    /// Fetches all. `install` would do that too, but it compares what packages require with the Python that runs pip.
    fn download_all(&self) -> io::Result<Output> {
        let mut command = self.command("download");
        command
            .args(PURE)
            .arg("--dest")
            .arg(self.fetched())
            .arg("--find-links")
            .arg(self.wheels())
            .arg("--requirement")
            .arg(self.list);
        command.output()
    }

    /// Unpacks the wheels that were fetched, which fit together and fit the runtime's Python.
    fn unpack(&self) -> Result<(), PipError> {
        let fetched = fs::read_dir(self.fetched())?;
        let mut wheels = fetched
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        wheels.retain(|path| path.extension().is_some_and(|end| end == "whl"));
        if wheels.is_empty() {
            return Ok(());
        }
        let mut command = self.command("install");
        command
            .args(PURE)
            .args(["--no-deps", "--no-index", "--ignore-requires-python"])
            .args(["--no-compile", "--target"])
            .arg(self.target())
            .args(wheels);
        let ran = command.output()?;
        if ran.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&ran.stderr);
        Err(PipError::Failed(told.into_owned()))
    }

    /// Fetches one wheel for some machine, and names it as one without compiled parts. Says whether there is one.
    fn download(&self, wanted: &str) -> io::Result<bool> {
        let mut command = self.command("download");
        command
            .args(ANY_MACHINE)
            .args(["--no-deps", "--dest"])
            .arg(self.wheels())
            .arg(wanted);
        if !command.output()?.status.success() {
            return Ok(false);
        }
        for entry in fs::read_dir(self.wheels())? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let mut parts = name.splitn(3, '-');
            if let (Some(package), Some(version), Some(_)) =
                (parts.next(), parts.next(), parts.next())
                && !name.ends_with(PURE_WHEEL)
            {
                let pure = format!("{package}-{version}{PURE_WHEEL}");
                fs::rename(&path, self.wheels().join(pure))?;
            }
        }
        Ok(true)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(subcommand)
            .args(COMMON)
            .current_dir(self.list.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            // Packages go into a folder of their own, whatever is set.
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            // pip runs nothing of the packages, but it is somebody else's program.
            .env_remove("SERVERLEDGE_TOKEN")
            .env_remove("SERVERLEDGE_TOKEN_FILE");
        command
    }

    fn target(&self) -> PathBuf {
        self.lab.join("packages")
    }

    /// Wheels that lack their compiled parts.
    fn wheels(&self) -> PathBuf {
        self.lab.join("wheels")
    }

    fn fetched(&self) -> PathBuf {
        self.lab.join("fetched")
    }
}

/// The pip of a virtual environment above the list's folder that is this user's own, else that on the path. One in the
/// folder itself may have come with the source.
fn installed(folder: &Path, path: &OsStr) -> Option<PathBuf> {
    let above = folder.ancestors().skip(1).find_map(|folder| {
        let environments = [".venv/bin/pip", "venv/bin/pip"];
        environments
            .iter()
            .find_map(|pip| files::own_program_at(folder, Path::new(pip)))
    });
    let on_path = || {
        ["pip3", "pip"]
            .iter()
            .find_map(|name| files::on_path(name, path))
    };
    above.or_else(on_path)
}

/// The requirement for which pip found no wheel.
fn lacking(told: &str) -> Option<&str> {
    let (_, rest) = told.split_once(LACKING.0)?;
    let line = rest.lines().next()?;
    let wanted = line.split(LACKING.1).next()?.trim();
    // What begins with a letter is no option.
    wanted
        .starts_with(|c: char| c.is_ascii_alphanumeric())
        .then_some(wanted)
}

/// The name of a requirement's package, as indexes write it.
fn name_of(requirement: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = requirement
        .find(|c| !is_name(c))
        .unwrap_or(requirement.len());
    requirement[..end]
        .to_ascii_lowercase()
        .replace(['_', '.'], "-")
}

/// The files that are sent. Single modules become packages, for a function's file is found by being alone.
fn sorted_out(fetched: &Files) -> Result<Packages, PipError> {
    let mut files = Files::default();
    let mut names = BTreeSet::new();
    for (path, bytes) in fetched.all() {
        let top = path
            .iter()
            .next()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        let about = top.strip_suffix(".dist-info");
        if let Some((name, version)) = about.and_then(|about| about.rsplit_once('-')) {
            names.insert(format!("{name} {version}"));
        }
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let is_useful = match about {
            Some(_) => ABOUT.contains(&name) && path.iter().count() == 2,
            None => top != "bin" && !USELESS.contains(&ending),
        };
        if !is_useful {
            continue;
        }
        let is_module = top == name && ending == "py";
        let place = match is_module {
            true => path.with_extension("").join("__init__.py"),
            false => path.to_owned(),
        };
        files.put(place, bytes.to_vec(), false)?;
    }
    Ok(Packages {
        files,
        names: names.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;

    #[test]
    fn what_is_lacking_is_read_from_the_complaint() {
        for (told, expected) in [
            (
                "ERROR: Could not find a version that satisfies the requirement markupsafe>=2.0 (from jinja2) (from versions: \
                 none)\nERROR: No matching distribution found for markupsafe>=2.0",
                Some("markupsafe>=2.0"),
            ),
            (
                "ERROR: Could not find a version that satisfies the requirement numpy==2.1 (from versions: none)",
                Some("numpy==2.1"),
            ),
            (
                "ERROR: satisfies the requirement --index-url=x (from a)",
                None,
            ),
            ("ERROR: Invalid requirement: 'a b'", None),
        ] {
            assert_eq!(lacking(told), expected, "{told}");
        }
        for (requirement, name) in [
            ("markupsafe>=2.0", "markupsafe"),
            ("PyYAML", "pyyaml"),
            ("zope.interface[x]~=1", "zope-interface"),
        ] {
            assert_eq!(name_of(requirement), name);
        }
    }

    #[test]
    fn what_is_of_no_use_is_not_sent() {
        let lab = folder(&[
            ("six.py", b"x"),
            ("yaml/__init__.py", b"x"),
            ("yaml/_yaml.cpython-313-x86_64-linux-gnu.so", b"x"),
            ("yaml/py.typed", b""),
            ("yaml/data.json", b"{}"),
            ("bin/tool", b"x"),
            ("pyyaml-6.0.4.dist-info/METADATA", b"x"),
            ("pyyaml-6.0.4.dist-info/RECORD", b"x"),
            ("pyyaml-6.0.4.dist-info/licenses/METADATA", b"x"),
            ("six-1.17.0.dist-info/WHEEL", b"x"),
        ]);
        let packages = sorted_out(&Files::of_folder(lab.path()).unwrap()).unwrap();
        let paths: Vec<_> = packages
            .files
            .paths()
            .map(|path| path.display().to_string())
            .collect();
        let expected = [
            "pyyaml-6.0.4.dist-info/METADATA",
            "six/__init__.py",
            "yaml/__init__.py",
            "yaml/data.json",
            "yaml/py.typed",
        ];
        assert_eq!(paths, expected);
        assert_eq!(packages.names, ["pyyaml 6.0.4", "six 1.17.0"]);
    }

    #[test]
    fn the_pip_beside_the_list_is_first() {
        use std::os::unix::fs::PermissionsExt as _;
        let lab = folder(&[
            (".venv/bin/pip", b""),
            ("bin/pip3", b""),
            ("app/list.txt", b""),
        ]);
        for name in [".venv/bin/pip", "bin/pip3"] {
            fs::set_permissions(lab.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = lab.path().join("bin").into_os_string();
        let found = installed(&lab.path().join("app"), &path).unwrap();
        assert!(found.ends_with(".venv/bin/pip"), "{found:?}");
        fs::remove_file(found).unwrap();
        let found = installed(&lab.path().join("app"), &path).unwrap();
        assert!(found.ends_with("bin/pip3"), "{found:?}");
        assert_eq!(
            installed(&lab.path().join("app"), OsStr::new("/nowhere")),
            None
        );
    }
}
