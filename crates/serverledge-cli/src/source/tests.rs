//! Sources of every kind, good and bad.

use std::io::Read as _;

use super::*;

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = folder(&[(name, bytes)]);
    let path = folder.path().join(name);
    (folder, path)
}

/// Reads a source whose handler has no name.
pub(super) fn read(
    path: &Path,
    runtime: Option<Runtime>,
    deps: &[PathBuf],
) -> Result<Code, Failure> {
    super::read(path, runtime, deps, "")
}

fn failure(read: Result<Code, Failure>) -> (Exit, String) {
    let failure = read.unwrap_err();
    (failure.exit(), failure.render(false))
}

fn check(name: &str, bytes: &[u8], exit: Exit, words: &str) {
    let (_folder, path) = write(name, bytes);
    let (found, shown) = failure(read(&path, None, &[]));
    assert_eq!(found, exit, "{name}");
    assert!(shown.contains(words), "{name}: {shown}");
}

fn tar(names: &[&str]) -> Vec<u8> {
    let mut files = Files::default();
    names.iter().for_each(|name| {
        files
            .put(PathBuf::from(name), b"x".to_vec(), false)
            .unwrap()
    });
    files.pack().unwrap()
}

fn paths(code: &Code) -> Vec<String> {
    archive::paths_in(&code.tar)
        .unwrap()
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

#[test]
fn single_files_are_packed_under_their_names() {
    for (name, bytes, runtime) in [
        ("hello.wat", &b"(module)"[..], "wasm"),
        ("hello.wasm", b"\0asm\x01\0\0\0", "wasm"),
        ("module", b"\0asm\x01\0\0\0", "wasm"),
        ("hello.py", b"def handler(p): return p", "python-wasm"),
        ("hello.py", b"import numpy", "python"),
        ("hello.js", b"module.exports = p => p", "javascript"),
        ("hello.mjs", b"export default p => p", "javascript"),
        ("hello.cjs", b"require('fs')", "nodejs"),
    ] {
        let (_folder, path) = write(name, bytes);
        let code = read(&path, None, &[]).unwrap();
        assert_eq!(
            (code.runtime, paths(&code)),
            (Some(runtime), vec![name.to_owned()])
        );
        assert_eq!(
            code,
            read(&path, None, &[]).unwrap(),
            "the same file, the same bytes"
        );
        let mut archive = tar::Archive::new(code.tar.as_slice());
        let mut content = Vec::new();
        archive
            .entries()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        assert_eq!(content, bytes);
    }
}

#[test]
fn it_is_said_why_a_script_runs_where() {
    let why = |text: &[u8], said| {
        let (_folder, path) = write("hello.js", text);
        read(&path, said, &[]).unwrap().remarks.join("\n")
    };
    assert!(why(b"module.exports = p => p", None).contains("--runtime nodejs"));
    assert!(why(b"import 'node:fs'", None).ends_with("imports \"node:fs\" of Node.js"));
    assert!(why(b"new Worker('')", None).ends_with("it uses Worker"));
    assert!(why(b"\xff", None).ends_with("hello.js is not UTF-8"));
    assert_eq!(
        why(b"new Worker('')", Some(Runtime::JavaScript)),
        "",
        "what is said counts"
    );
}

#[test]
fn sources_suggest_names() {
    let (folder, path) = write("hello.world.py", b"x");
    assert_eq!(suggested_name(&path).as_deref(), Some("hello.world"));
    let inner = folder.path().join("my.function");
    std::fs::create_dir(&inner).unwrap();
    assert_eq!(suggested_name(&inner).as_deref(), Some("my.function"));
    assert_eq!(
        suggested_name(&inner.join(".")).as_deref(),
        Some("my.function")
    );
}

#[test]
fn folders_are_of_the_runtime_of_their_code() {
    let found = |files: &[&str]| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"{}"[..])).collect();
        read(folder(&files).path(), None, &[])
            .map(|code| code.runtime.unwrap())
            .map_err(|error| error.render(false))
    };
    assert_eq!(
        found(&["main.py", "pkg/a.py", "data.csv"]),
        Ok("python-wasm")
    );
    assert_eq!(found(&["index.js", "package.json"]), Ok("nodejs"));
    assert_eq!(found(&["index.js", "data.csv"]), Ok("javascript"));
    assert_eq!(found(&["index.js", "lib/other.js"]), Ok("nodejs"));
    assert_eq!(found(&["f.wat", "readme.md"]), Ok("wasm"));
    let listed = folder(&[
        ("main.py", b"x"),
        ("static/page.js", b"x"),
        ("requirements.txt", b"# none"),
    ]);
    assert_eq!(
        read(listed.path(), None, &[]).unwrap().runtime,
        Some("python-wasm"),
        "the list decides"
    );
    assert!(
        found(&["main.py", "index.js"])
            .unwrap_err()
            .contains("of the runtimes python and nodejs\n")
    );
    assert!(
        found(&["readme.md"])
            .unwrap_err()
            .contains("holds no code that is known")
    );
    assert!(
        found(&["node_modules/a.js"])
            .unwrap_err()
            .ends_with("is empty")
    );
    let both = folder(&[("main.py", b"x"), ("index.js", b"x")]);
    let said = read(both.path(), Some(Runtime::NodeJs), &[]).unwrap();
    assert_eq!(
        (said.runtime, paths(&said).len()),
        (Some("nodejs"), 2),
        "what is said counts"
    );
    let odd = folder(&[("handler", b"x")]);
    assert_eq!(
        read(odd.path(), Some(Runtime::Python), &[])
            .unwrap()
            .runtime,
        Some("python")
    );
    let with_modules = folder(&[("main.py", b"x"), (".git/config", b"x")]);
    assert_eq!(
        read(with_modules.path(), None, &[]).unwrap().remarks[0],
        ".git is left out"
    );
}

#[test]
fn archives_pass_unchanged() {
    for (inside, runtime) in [
        ("f.wasm", "wasm"),
        ("dir/f.py", "python-wasm"),
        ("./f.js", "javascript"),
    ] {
        let (_folder, path) = write("code.tar", &tar(&[inside]));
        let code = read(&path, None, &[]).unwrap();
        assert_eq!((code.tar, code.runtime), (tar(&[inside]), Some(runtime)));
    }
    check(
        "code.tar",
        &tar(&["f.txt"]),
        Exit::Usage,
        "holds no code that is known",
    );
    check(
        "code.tar",
        &[1; 600],
        Exit::Source,
        "failed to read the source",
    );
}

#[test]
fn lists_of_packages_go_to_the_root() {
    let lists = folder(&[
        ("reqs-prod.txt", b"six==1.16"),
        ("package.json", b"{\"dependencies\":{}}"),
        ("locked.json", b"{\"lockfileVersion\":3}"),
        ("list.json", b"[1]"),
        ("list.yaml", b"x"),
    ]);
    let list = |name: &str| lists.path().join(name);
    let (_python, python) = write("f.py", b"x");
    // Their packages are installed by the node.
    let said = Some(Runtime::Python);
    let code = read(&python, said, &[list("reqs-prod.txt")]).unwrap();
    assert_eq!(paths(&code), ["f.py", "requirements.txt"]);
    let (_node, node) = write("f.js", b"x");
    let code = read(&node, None, &[list("package.json"), list("locked.json")]).unwrap();
    assert_eq!(paths(&code), ["f.js", "package-lock.json", "package.json"]);

    let own = folder(&[("f.py", b"x"), ("requirements.txt", b"old")]);
    let code = read(own.path(), said, &[list("reqs-prod.txt")]).unwrap();
    assert_eq!(paths(&code), ["f.py", "requirements.txt"]);
    assert!(
        code.remarks[0].starts_with("requirements.txt of ")
            && code.tar.windows(9).any(|w| w == b"six==1.16")
    );

    let (_tar, archived) = write("code.tar", &tar(&["f.py"]));
    assert_eq!(
        paths(&read(&archived, said, &[list("reqs-prod.txt")]).unwrap()),
        ["f.py", "requirements.txt"]
    );
    let (_tar, archived) = write("code.tar", &tar(&["f.py", "./requirements.txt"]));
    let (exit, shown) = failure(read(&archived, said, &[list("reqs-prod.txt")]));
    assert!(
        exit == Exit::Usage && shown.contains("holds a requirements.txt already"),
        "{shown}"
    );

    for (source, deps, exit, words) in [
        (
            &node,
            "reqs-prod.txt",
            Exit::Usage,
            "lists packages of the runtime python, and the function's is nodejs",
        ),
        (
            &python,
            "package.json",
            Exit::Usage,
            "lists packages of the runtime nodejs, and the function's is python",
        ),
        (&python, "list.json", Exit::Usage, "is no list of packages"),
        (&python, "list.yaml", Exit::Usage, "is no list of packages"),
        (
            &python,
            "missing.txt",
            Exit::Source,
            "failed to read the source",
        ),
    ] {
        let (found, shown) = failure(read(source, None, &[list(deps)]));
        assert!(found == exit && shown.contains(words), "{deps}: {shown}");
    }
    let (_bare, bare) = write("module", b"\0asm\x01\0\0\0");
    assert!(
        failure(read(&bare, None, &[list("reqs-prod.txt")]))
            .1
            .contains("the function's is wasm")
    );
}

#[test]
fn other_sources_say_why_not() {
    check(
        "hello.rs",
        b"fn main() {}",
        Exit::Usage,
        "holds no code that is known",
    );
    check("hello.wasm", b"", Exit::Usage, "is empty");
    let empty = tempfile::tempdir().unwrap();
    assert!(
        failure(read(empty.path(), None, &[]))
            .1
            .ends_with("is empty")
    );
    assert!(
        failure(read(Path::new("https://example.org/f.wasm"), None, &[]))
            .1
            .contains("is a URL")
    );
    assert_eq!(
        failure(read(&empty.path().join("f.wasm"), None, &[])).0,
        Exit::Source
    );
}

#[test]
fn too_large_sources_are_not_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.wasm");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(CODE_BYTES_MAX as u64 + 1).unwrap();
    assert!(
        failure(read(&path, None, &[]))
            .1
            .ends_with("is larger than 64.0 MiB")
    );
    let (exit, shown) = failure(read(folder.path(), None, &[]));
    assert!(
        exit == Exit::Usage && shown.contains("the files are larger than 64.0 MiB together"),
        "{shown}"
    );
}

#[test]
fn a_main_module_makes_the_rest_its_files() {
    let files: [(&str, &[u8]); 5] = [
        ("main.wasm", b"\0asm\x01\0\0\0"),
        ("index.ts", b"const x: number = 1"),
        ("tool.py", b"x"),
        ("data/words.txt", b"x"),
        ("other.wasm", b"\0asm"),
    ];
    let folder = folder(&files);
    let code = read(folder.path(), None, &[]).unwrap();
    assert_eq!(code.runtime, Some("wasm"));
    let expected = [
        "data/words.txt",
        "index.ts",
        "main.wasm",
        "other.wasm",
        "tool.py",
    ];
    assert_eq!(paths(&code), expected);
    assert!(is_of_another(folder.path(), Runtime::Python));
    assert!(!is_of_another(folder.path(), Runtime::Wasm));
    let (_folder, path) = write("program.tar", &tar(&["./main.wat", "tool.py"]));
    assert_eq!(read(&path, None, &[]).unwrap().runtime, Some("wasm"));
    assert!(is_of_another(&path, Runtime::Python));
    let (_folder, path) = write("program.tar", &tar(&["lib/main.wasm", "tool.py"]));
    let (exit, words) = failure(read(&path, None, &[]));
    assert!(
        exit == Exit::Usage && words.contains("--runtime"),
        "{words}"
    );
}
