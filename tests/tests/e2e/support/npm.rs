//! npm, with what `scripts/test.sh` or its caller says of registries; else with the machine's own settings.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Installs packages into a folder.
pub(crate) fn install(folder: &Path, packages: &[&str]) -> Result<()> {
    std::fs::write(
        folder.join("package.json"),
        r#"{"name":"packages-of-a-test","version":"1.0.0","private":true}"#,
    )?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
        .args(packages)
        .current_dir(folder);
    for (variable, setting) in [
        ("SERVERLEDGE_TEST_NPM_REGISTRY", "npm_config_registry"),
        ("SERVERLEDGE_TEST_CA_FILE", "npm_config_cafile"),
        ("SERVERLEDGE_TEST_PROXY", "npm_config_https_proxy"),
    ] {
        if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
            npm.env(setting, value);
        }
    }
    let output = npm.output().context("failed to start npm")?;
    ensure!(
        output.status.success(),
        "npm: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
