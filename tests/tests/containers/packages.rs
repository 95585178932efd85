//! Dependencies: installed by the node at deploy, with progress on the client's stderr; a failure is the tool's own words.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::support::{Lab, Setup};

/// Installers know nothing of this machine's settings: they are told by variables, which `scripts/test.sh` sets.
fn registries(mut setup: Setup) -> Setup {
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    if Path::new(authorities).exists() {
        setup = setup.with("container.install.ca_file", authorities);
    }
    for (variable, key) in [
        ("SERVERLEDGE_TEST_CA_FILE", "container.install.ca_file"),
        ("SERVERLEDGE_TEST_PIP_INDEX", "container.install.pip_index"),
        (
            "SERVERLEDGE_TEST_NPM_REGISTRY",
            "container.install.npm_registry",
        ),
        ("SERVERLEDGE_TEST_PROXY", "container.install.proxy"),
    ] {
        if let Some(value) = std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
        {
            setup = setup.with(key, value);
        }
    }
    setup
}

#[test]
fn packages_are_installed_at_deploy() -> Result<()> {
    let mut lab = Lab::with(registries)?;
    lab.write(
        "py/main.py",
        "import six\ndef handler(params): return six.ensure_str(params['text'])\n",
    )?;
    lab.write("py/requirements.txt", "# one\nsix==1.16.0\n")?;
    lab.write(
        "main.js",
        "const ms = require('ms');\nexports.handler = params => ms(params.text);\n",
    )?;
    lab.write(
        "package.json",
        r#"{"name":"f","version":"1.0.0","dependencies":{"ms":"2.1.3"}}"#,
    )?;

    let created = lab.cli(&["create", "-f", "py", "--src", "py", "--runtime", "python"])?;
    let said = created.assert_code(0).stderr.to_lowercase();
    assert!(
        said.lines().count() >= 2 && said.contains("install"),
        "progress comes line by line: {said}"
    );
    assert_eq!(lab.call("py", &json!({"text": "six"}))?, "six");
    lab.cli(&[
        "create",
        "-f",
        "js",
        "--src",
        "main.js",
        "--deps",
        "package.json",
    ])?
    .assert_code(0);
    assert_eq!(lab.call("js", &json!({"text": "2 days"}))?, 172_800_000);

    // Equal lists are installed once.
    let again = lab.cli(&[
        "create",
        "-f",
        "again",
        "--src",
        "py",
        "--runtime",
        "python",
    ])?;
    assert!(
        !again
            .assert_code(0)
            .stderr
            .to_lowercase()
            .contains("collecting"),
        "{again:?}"
    );
    assert_eq!(lab.call("again", &json!({"text": "six"}))?, "six");
    assert!(
        lab.engine
            .containers_of_kind(&lab.id, "install")?
            .is_empty()
    );

    // They are still there for the next node.
    let ended = lab.take()?.stop()?;
    lab.check_nothing_left()?;
    lab.restart(ended)?;
    assert_eq!(lab.call("py", &json!({"text": "kept"}))?, "kept");
    Ok(())
}

#[test]
fn an_installation_that_fails_fails_the_deploy() -> Result<()> {
    let lab = Lab::with(registries)?;
    lab.write("py/main.py", "def handler(params): return 1\n")?;
    lab.write(
        "py/requirements.txt",
        "serverledge-e2e-there-is-no-such-package==9.9\n",
    )?;
    lab.write("js/main.js", "exports.handler = () => 1;\n")?;
    lab.write("js/package.json", "{\"dependencies\": {")?;
    for (folder, runtime, words) in [
        ("py", "python", "serverledge-e2e-there-is-no-such-package"),
        ("js", "nodejs", "package.json"),
    ] {
        let ran = lab.cli(&["create", "--src", folder, "--runtime", runtime, "--json"])?;
        assert!(
            ran.assert_code(2).stderr.contains(words),
            "the tool's last words: {ran:?}"
        );
        assert!(ran.stderr.contains("install_failed"), "{ran:?}");
    }
    assert!(lab.names()?.is_empty());
    lab.wait_for_containers(0)?;
    lab.python("good", "def handler(params): return 'good'\n")?;
    assert_eq!(lab.call("good", &json!({}))?, "good");
    lab.wait_until_free()
}
