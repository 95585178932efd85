//! Lists of packages that name other files of the upload: found as pip and npm find them in that folder.

use std::sync::Arc;

use serde_json::{Value, json};
use serverledge_core::Version;

use crate::install::{of, prepare, tar};
use crate::support::{Lab, invoke, json_of, nodejs, python, refusal};

async fn told(lab: &Lab, like: fn(&str) -> Version, code: &[u8]) -> Value {
    let version = of(like, code);
    let (outcome, steps) = prepare(lab, &version, code).await;
    outcome.unwrap_or_else(|error| panic!("{error:?}\n{steps}"));
    let sandbox = lab.start(&Arc::new(version)).await;
    let told = json_of(&invoke(sandbox.as_ref(), json!({})).await.unwrap());
    sandbox.stop().await.unwrap();
    told
}

/// A project that needs nothing to be built but what pip brings along.
const PROJECT: &str = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n[project]\nname = 'own'\nversion = '1.2'\n[tool.setuptools]\npy-modules = ['own']\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_requirements_name_others() {
    let lab = Lab::new().await;
    let source = "import six, own\ndef handler(p): return [six.__version__, own.NAME]\n";
    let with = |base: &'static str| {
        tar(&[
            ("main.py", source),
            ("requirements.txt", "-r lists/base.txt\n-e ./own\n"),
            ("lists/base.txt", "-c limits.txt\nsix\n"),
            ("lists/limits.txt", base),
            ("own/pyproject.toml", PROJECT),
            ("own/own.py", "NAME = 'own'\n"),
        ])
    };
    assert_eq!(
        told(&lab, python, &with("six==1.16.0\n")).await,
        json!(["1.16.0", "own"])
    );
    // A change of what is included is another layer; one of the code is not.
    assert_eq!(
        told(&lab, python, &with("six==1.17.0\n")).await,
        json!(["1.17.0", "own"])
    );
    assert_eq!(lab.files("layers").len(), 2);
    let code = tar(&[
        ("main.py", source),
        ("requirements.txt", "-r ../base.txt\n"),
    ]);
    let (code, message) = refusal(prepare(&lab, &of(python, &code), &code).await.0);
    assert_eq!(
        (code, message.as_str()),
        (
            "invalid_dependencies",
            "requirements.txt, line 1: \"../base.txt\" lies outside of the upload"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_lie_in_folders_of_the_upload() {
    let lab = Lab::new().await;
    let source = "const [own, other] = [require('own'), require('@o/other')];\nmodule.exports.handler = () => [own, other, require.resolve('own')];\n";
    let own = (
        "lib/own/package.json",
        r#"{"name":"own","version":"1.0.0","dependencies":{"is-odd":"3.0.1","@o/other":"file:../other"}}"#,
    );
    let files = [
        ("main.js", source),
        own,
        (
            "lib/own/index.js",
            "module.exports = [require('is-odd')(3), require('@o/other')];\n",
        ),
        (
            "lib/other/package.json",
            r#"{"name":"@o/other","version":"1.0.0"}"#,
        ),
        ("lib/other/index.js", "module.exports = 'other';\n"),
    ];
    for package in [
        r#"{"name":"f","version":"1.0.0","dependencies":{"own":"file:lib/own","@o/other":"file:./lib/other"}}"#,
        r#"{"name":"f","version":"1.0.0","workspaces":["lib/*"]}"#,
    ] {
        let mut all = files.to_vec();
        all.push(("package.json", package));
        let expected = json!([[true, "other"], "other", "/app/node_modules/own/index.js"]);
        assert_eq!(told(&lab, nodejs, &tar(&all)).await, expected, "{package}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_npm_are_read_but_for_credentials_and_programs() {
    let lab = Lab::new().await;
    let package = r#"{"name":"clash","version":"1.0.0","dependencies":{"react":"17.0.2","react-dom":"18.2.0"}}"#;
    let source = "module.exports.handler = () => require('react').version;\n";
    let without = tar(&[("main.js", source), ("package.json", package)]);
    let (code, message) = refusal(prepare(&lab, &of(nodejs, &without), &without).await.0);
    assert!(
        code == "install_failed" && message.contains("ERESOLVE"),
        "{message}"
    );
    let npmrc =
        "legacy-peer-deps=true\n//example.org/:_authToken=s3cret\nscript-shell=/nowhere/sh\n";
    let code = tar(&[
        ("main.js", source),
        ("package.json", package),
        (".npmrc", npmrc),
    ]);
    let version = of(nodejs, &code);
    let prepared = serverledge_core::Executor::prepare(&lab.executor, &version, code.into(), &())
        .await
        .unwrap();
    let remarks = prepared.remarks.join("\n");
    assert!(
        remarks.contains("_authToken")
            && remarks.contains("script-shell")
            && !remarks.contains("s3cret"),
        "{remarks}"
    );
    let sandbox = lab.start(&Arc::new(version)).await;
    assert_eq!(
        json_of(&invoke(sandbox.as_ref(), json!({})).await.unwrap()),
        json!("17.0.2")
    );
}
