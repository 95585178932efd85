//! The real programs, built once for a test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};

/// The paths of the programs.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) node: PathBuf,
    pub(crate) cli: PathBuf,
}

/// The programs of this build.
///
/// A test cannot depend on another package's programs, so they are built here, with the profile of the test itself.
pub(crate) fn programs() -> Result<&'static Programs> {
    static PROGRAMS: LazyLock<Result<Programs>> = LazyLock::new(build);
    PROGRAMS
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn build() -> Result<Programs> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let folder = test
        .ancestors()
        .nth(2)
        .context("the test lies in no build folder")?;
    let profile = folder
        .file_name()
        .and_then(|name| name.to_str())
        .context("the build folder has a name")?;
    let target = folder
        .parent()
        .context("the build folder lies in target/")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // All packages, with the features of the scripts' own build and of tests (which examples have), so that nothing is built
    // twice.
    let features = std::env::var("SERVERLEDGE_TEST_FEATURES").unwrap_or_default();
    let output = without_package(&mut Command::new(cargo))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--examples",
            "--features",
            &features,
            "--target-dir",
        ])
        .arg(target)
        .args([
            "--profile",
            if profile == "debug" { "dev" } else { profile },
        ])
        .current_dir(root())
        .output()
        .context("failed to start cargo")?;
    ensure!(
        output.status.success(),
        "the programs do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Programs {
        node: own(&folder.join("serverledge"))?,
        cli: own(&folder.join("serverledge-cli"))?,
    })
}

/// The same command without the variables that cargo gives a test of its package. Some build scripts ask for them (that of
/// ring does): with others than at the build before, they and all above them would be compiled again.
fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "OUT_DIR"
            || ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// A second name of the file. Another build may replace the first at any time, and a node starts its own file again to compile.
fn own(built: &Path) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-programs");
    std::fs::create_dir_all(&folder)?;
    let name = built.file_name().context("a program has a name")?;
    let fresh = folder.join(format!("{}.{}", name.display(), std::process::id()));
    let kept = folder.join(name);
    let _ = std::fs::remove_file(&fresh);
    if std::fs::hard_link(built, &fresh).is_err() {
        std::fs::copy(built, &fresh)
            .with_context(|| format!("failed to copy {}", built.display()))?;
    }
    std::fs::rename(&fresh, &kept)?;
    // Renaming one name of a file to another of the same file does nothing.
    let _ = std::fs::remove_file(&fresh);
    Ok(kept)
}
