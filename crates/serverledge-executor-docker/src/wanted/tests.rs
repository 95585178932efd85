//! Requests of uploads.

use super::*;
use crate::bundle::FileEntry;

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let entry = |(path, text): &(&str, &str)| FileEntry {
        path: (*path).to_owned(),
        bytes: text.len() as u64,
        executable: false,
    };
    Bundle {
        files: files.iter().map(entry).collect(),
        contents: files.iter().flat_map(|(_, text)| text.bytes()).collect(),
    }
}

fn request(files: &[(&str, &str)], runtime: Runtime) -> Result<InstallRequest, PrepareError> {
    InstallRequest::of(&bundle(files), runtime)
}

/// The paths that are installed from, or the refusal.
fn check(files: &[(&str, &str)], runtime: Runtime, expected: &str) {
    let told = match request(files, runtime) {
        Ok(InstallRequest { wanted: None, .. }) => "nothing".to_owned(),
        Ok(InstallRequest {
            wanted: Some(wanted),
            ..
        }) => wanted
            .files
            .into_iter()
            .map(|file| file.path)
            .collect::<Vec<_>>()
            .join(" "),
        Err(PrepareError::Invalid { code, message }) => format!("{code}: {message}"),
        Err(other) => other.to_string(),
    };
    assert_eq!(told, expected, "{files:?}");
}

fn layer(files: &[(&str, &str)], runtime: Runtime) -> String {
    request(files, runtime)
        .unwrap()
        .wanted
        .unwrap()
        .layer("image")
}

const LIST: &str = "requirements.txt";

#[test]
fn only_real_requests_are_installed() {
    let python = |files: &[(&str, &str)], expected: &str| check(files, Runtime::Python, expected);
    python(&[(LIST, "# none\nsix==1.16.0\n")], LIST);
    python(&[(LIST, "# none\n\n--no-binary six\n")], "nothing");
    python(&[("base.txt", "# none"), (LIST, "-r base.txt")], "nothing");
    python(
        &[("limits.txt", "six<2"), (LIST, "-c limits.txt")],
        "nothing",
    );
    let node = |files: &[(&str, &str)], expected: &str| check(files, Runtime::NodeJs, expected);
    node(&[(LIST, "six")], "nothing");
    node(
        &[
            ("f/package.json", r#"{"dependencies":{"a":"1"}}"#),
            ("f/x.js", ""),
        ],
        PACKAGE,
    );
    node(
        &[("package.json", r#"{"main":"x.js","dependencies":{}}"#)],
        "nothing",
    );
    node(&[("package-lock.json", "{}")], "nothing");
    node(&[("package.json", "{not"), ("x.js", "")], PACKAGE);
}

#[test]
fn a_list_of_requirements_finds_its_files() {
    let files = [
        ("base.txt", "six\n-r more/deep.txt\n"),
        ("limits.txt", "six<2"),
        ("main.py", "x"),
        ("more/deep.txt", "--requirement=../other.txt\n-f wheels"),
        ("more/wheels/w.whl", "W"),
        ("other.txt", "idna"),
        ("own/pyproject.toml", "P"),
        ("own/src/a.py", "A"),
        ("wheels/a b.whl", "B"),
        ("wheels/x-1-py3-none-any.whl", "X"),
    ];
    let with = |list: &'static str| {
        let mut all: Vec<(&str, &str)> = files.to_vec();
        all.push((LIST, list));
        all
    };
    let check = |list: &'static str, expected: &str| check(&with(list), Runtime::Python, expected);
    check("six", LIST);
    check(
        "-r base.txt",
        "requirements.txt base.txt more/deep.txt more/wheels/w.whl other.txt",
    );
    check(
        "-rbase.txt -c limits.txt",
        "invalid_dependencies: requirements.txt, line 1: \"base.txt -c limits.txt\" is not in the upload",
    );
    check(
        "-c limits.txt\nsix \\\n  # why\n",
        "requirements.txt limits.txt",
    );
    check(
        "./wheels/x-1-py3-none-any.whl",
        "requirements.txt wheels/x-1-py3-none-any.whl",
    );
    check(
        "x @ file:wheels/x-1-py3-none-any.whl ; python_version > '3'",
        "requirements.txt wheels/x-1-py3-none-any.whl",
    );
    check(
        "--find-links ./wheels\n--no-index\nx",
        "requirements.txt wheels/a b.whl wheels/x-1-py3-none-any.whl",
    );
    check("--find-links=https://example.org/x\nx", LIST);
    check(
        "./own[extra] --hash=sha256:00",
        "requirements.txt own/pyproject.toml own/src/a.py",
    );
    check("x @ https://example.org/x.whl", LIST);
    check("-r https://example.org/list.txt", LIST);
    check(
        "six\n\n-r none.txt",
        "invalid_dependencies: requirements.txt, line 3: \"none.txt\" is not in the upload",
    );
    check(
        "-r ../x.txt",
        "invalid_dependencies: requirements.txt, line 1: \"../x.txt\" lies outside of the upload",
    );
    check(
        "-r base.txt\n/etc/x.whl",
        "invalid_dependencies: requirements.txt, line 2: \"/etc/x.whl\" lies outside of the upload",
    );
    for secret in [
        "--index-url https://ada:pw@example.org/simple",
        "--extra-index-url=https://tok@example.org",
        "x @ git+https://t:x@e.org/r",
    ] {
        let Err(PrepareError::Invalid { message, .. }) = request(&with(secret), Runtime::Python)
        else {
            panic!("{secret} is taken")
        };
        assert!(
            message.contains("line 1") && !message.contains("pw") && !message.contains("tok"),
            "{message}"
        );
    }
    check("x @ git+ssh://git@example.org/r", LIST);
}

#[test]
fn a_folder_to_be_edited_is_installed_as_a_copy() {
    let found = request(
        &[
            ("own/setup.py", "S"),
            (
                LIST,
                "-e ./own\nsix\n--editable=own/.\n-e git+https://e.org/r#egg=r",
            ),
        ],
        Runtime::Python,
    );
    let text = String::from_utf8(found.unwrap().wanted.unwrap().files[0].contents.clone()).unwrap();
    assert_eq!(text, "./own\nsix\nown/.\n-e git+https://e.org/r#egg=r");
}

#[test]
fn a_package_finds_its_folders_and_archives() {
    let own = r#"{"name":"own","dependencies":{"other":"../other"}}"#;
    let files = [
        (".npmrc", "legacy-peer-deps=true\n"),
        ("lib/other/index.js", "O"),
        ("lib/own/node_modules/x/i.js", "X"),
        ("lib/own/package.json", own),
        ("main.js", "x"),
        ("vendor/a.tgz", "A"),
    ];
    let with = |package: &'static str| {
        let mut all: Vec<(&str, &str)> = files.to_vec();
        all.push((PACKAGE, package));
        all
    };
    let check =
        |package: &'static str, expected: &str| check(&with(package), Runtime::NodeJs, expected);
    check(r#"{"dependencies":{"a":"1"}}"#, "package.json .npmrc");
    check(
        r#"{"dependencies":{"a":"file:vendor/a.tgz"}}"#,
        "package.json .npmrc vendor/a.tgz",
    );
    check(
        r#"{"dependencies":{"own":"file:./lib/own"}}"#,
        "package.json .npmrc lib/other/index.js lib/own/package.json",
    );
    let all = "package.json .npmrc lib/other/index.js lib/own/package.json main.js vendor/a.tgz";
    check(r#"{"workspaces":["lib/*"]}"#, all);
    check(
        r#"{"dependencies":{"a":"1"},"scripts":{"postinstall":"node x"}}"#,
        all,
    );
    check(
        r#"{"dependencies":{"a":"1"},"scripts":{"test":"node x"}}"#,
        "package.json .npmrc",
    );
    check(
        r#"{"dependencies":{"a":"file:../a"}}"#,
        r#"invalid_dependencies: package.json: "../a" lies outside of the upload"#,
    );
    check(
        r#"{"dependencies":{"a":"1"},"overrides":{"b":{"c":"file:none"}}}"#,
        r#"invalid_dependencies: package.json: "none" is not in the upload"#,
    );
    let lock = r#"{"packages":{"":{},"lib/own":{},"node_modules/own":{"resolved":"lib/own","link":true},"node_modules/a":{"resolved":"file:vendor/a.tgz"}}}"#;
    let mut locked = with(r#"{"dependencies":{"a":"1"}}"#);
    locked.push(("package-lock.json", lock));
    super::tests::check(
        &locked,
        Runtime::NodeJs,
        "package.json package-lock.json .npmrc lib/other/index.js lib/own/package.json vendor/a.tgz",
    );
}

#[test]
fn settings_of_npm_are_taken_but_for_some() {
    let text = "; why\nregistry=https://example.org/\n//example.org/:_authToken=${T}\n_password = \"pw\"\nlegacy-peer-deps=true\nscript-shell=/x\nregistry=https://a:b@e.org/\nprefix=/x\n@o:registry=https://o.org\nignore-scripts=true\n";
    let files = [
        (".npmrc", text),
        (PACKAGE, r#"{"dependencies":{"a":"1"}}"#),
        ("yarn.lock", ""),
    ];
    let InstallRequest { wanted, remarks } = request(&files, Runtime::NodeJs).unwrap();
    let kept = String::from_utf8(wanted.unwrap().files[1].contents.clone()).unwrap();
    assert_eq!(
        kept,
        "; why\nregistry=https://example.org/\nlegacy-peer-deps=true\n@o:registry=https://o.org\nignore-scripts=true\n"
    );
    let told = remarks.join("\n");
    for name in [
        "line 3: //example.org/:_authToken",
        "line 4: _password",
        "line 6: script-shell",
        "line 7: registry",
        "line 8: prefix",
        "yarn.lock",
    ] {
        assert!(told.contains(name), "{name} is not in {told}");
    }
    assert!(!told.contains("pw") && !told.contains("a:b"), "{told}");
    let InstallRequest { remarks, .. } =
        request(&[("main.py", ""), ("pyproject.toml", "")], Runtime::Python).unwrap();
    assert_eq!(
        remarks,
        ["pyproject.toml is not read: packages are installed from requirements.txt"]
    );
}

#[test]
fn a_layer_is_named_by_all_that_counts() {
    let of = |files: &[(&str, &str)]| layer(files, Runtime::Python);
    let one = of(&[(LIST, "six")]);
    assert_eq!(one, of(&[("a.py", "x"), (LIST, "six")]));
    assert_ne!(one, of(&[(LIST, "six==1")]));
    let wanted = request(&[(LIST, "six")], Runtime::Python)
        .unwrap()
        .wanted
        .unwrap();
    assert_ne!(wanted.layer("image"), wanted.layer("another"));
    let included = |base: &'static str| of(&[("base.txt", base), (LIST, "-r base.txt")]);
    assert_ne!(included("six==1"), included("six==2"));
    let folder = |text: &'static str| {
        layer(
            &[
                ("own/i.js", text),
                (PACKAGE, r#"{"dependencies":{"own":"file:own"}}"#),
            ],
            Runtime::NodeJs,
        )
    };
    assert_ne!(folder("1"), folder("2"));
    // Kept from earlier versions of the node: what was installed is found again.
    assert!(one.starts_with("3964310dc84843a5"), "{one}");
}
