//! Crates: who may depend on what, and what all of them inherit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::repository::{none, read, root};

/// The directions of dependencies (`docs/decisions/0001-workspace.md`): each crate, and those of ours that it may
/// depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 13] = [
    ("serverledge-core", &[]),
    ("serverledge-wire", &["core"]),
    ("serverledge-scheduler", &["core"]),
    ("serverledge-executor-wasm", &["core", "wire"]),
    ("serverledge-executor-docker", &["core", "wire"]),
    ("serverledge-registry", &["core", "wire"]),
    ("serverledge-client", &["core", "wire"]),
    ("serverledge-platform", &["core", "wire", "registry"]),
    ("serverledge-api", &["core", "wire"]),
    (
        "serverledge-node",
        &[
            "core",
            "wire",
            "scheduler",
            "executor-wasm",
            "executor-docker",
            "registry",
            "client",
            "platform",
            "api",
        ],
    ),
    ("serverledge-cli", &["client", "wire"]),
    ("serverledge-simulator", &["core", "scheduler"]),
    ("serverledge-testing", &["core", "wire"]),
];

/// Foreign technologies, and the crates that know them.
const FOREIGN: [(&str, &[&str]); 25] = [
    ("axum", &["serverledge-api"]),
    ("utoipa-swagger-ui", &["serverledge-api"]),
    ("wasmtime", &["serverledge-executor-wasm"]),
    ("wasmtime-wasi", &["serverledge-executor-wasm"]),
    ("wasmtime-wasi-http", &["serverledge-executor-wasm"]),
    ("wasmtime-wizer", &["serverledge-executor-wasm"]),
    ("wat", &["serverledge-executor-wasm"]),
    ("bollard", &["serverledge-executor-docker"]),
    ("opentelemetry-proto", &["serverledge-node"]),
    ("prost", &["serverledge-registry", "serverledge-node"]),
    ("tonic", &["serverledge-registry"]),
    ("redb", &["serverledge-registry"]),
    ("reqwest", &["serverledge-client"]),
    (
        "clap",
        &[
            "serverledge-node",
            "serverledge-cli",
            "serverledge-simulator",
        ],
    ),
    ("clap_complete", &["serverledge-cli"]),
    ("prometheus", &["serverledge-node"]),
    ("argon2", &["serverledge-platform"]),
    ("email_address", &["serverledge-platform"]),
    ("governor", &["serverledge-node", "serverledge-platform"]),
    ("lettre", &["serverledge-platform"]),
    ("quick_cache", &["serverledge-node"]),
    ("ring", &["serverledge-node"]),
    ("tungstenite", &["serverledge-testing"]),
    ("serde_json_canonicalizer", &["serverledge-wire"]),
    // Binaries, and what tests stand on.
    (
        "anyhow",
        &["serverledge-node", "serverledge-cli", "serverledge-testing"],
    ),
];

/// The dependencies that the crates without I/O may have; everything else is a socket, a file, a clock or a format
/// until shown otherwise.
const PURE: [(&str, &[&str]); 2] = [
    (
        "serverledge-core",
        &[
            "async-trait",
            "bytes",
            "hex",
            "http",
            "http-body",
            "ipnet",
            "thiserror",
            "uuid",
        ],
    ),
    (
        "serverledge-scheduler",
        &["lru", "serverledge-core", "thiserror"],
    ),
];

const OWN_LINTS: &str = "serverledge-executor-wasm";
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

struct Manifest {
    folder: String,
    name: String,
    table: Table,
}

impl Manifest {
    fn dependencies(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let table = self.table.get(kind).and_then(Value::as_table);
        table
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }

    fn all_dependencies(&self) -> Vec<(&'static str, &str, &Value)> {
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        kinds
            .iter()
            .flat_map(|kind| {
                self.dependencies(kind)
                    .into_iter()
                    .map(|(name, value)| (*kind, name, value))
            })
            .collect()
    }
}

fn parse(file: &str) -> Result<Table> {
    read(file)?
        .parse::<Table>()
        .with_context(|| format!("{file} does not parse"))
}

/// The crates, without the package of these tests.
fn crates() -> Result<Vec<Manifest>> {
    let mut crates = Vec::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let folder = entry?.file_name().to_string_lossy().into_owned();
        let table = parse(&format!("crates/{folder}/Cargo.toml"))?;
        let name = table["package"]["name"]
            .as_str()
            .context("a package has a name")?
            .to_owned();
        crates.push(Manifest {
            folder,
            name,
            table,
        });
    }
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(crates)
}

/// The same with the package of these tests.
fn members() -> Result<Vec<Manifest>> {
    let mut members = crates()?;
    let table = parse("tests/Cargo.toml")?;
    members.push(Manifest {
        folder: "tests".to_owned(),
        name: "serverledge-tests".to_owned(),
        table,
    });
    Ok(members)
}

#[test]
fn crates_lie_flat_and_are_named_after_their_folders() -> Result<()> {
    let crates = crates()?;
    let faults: Vec<_> = crates
        .iter()
        .filter(|one| one.folder != one.name)
        .map(|one| one.folder.clone())
        .collect();
    none("a crate's folder has the crate's name", &faults);
    let workspace = parse("Cargo.toml")?;
    assert!(
        workspace.get("package").is_none(),
        "the root manifest is virtual"
    );
    let members = workspace["workspace"]["members"].clone();
    assert_eq!(
        members,
        Value::from(vec!["crates/*", "tests"]),
        "crates lie flat in crates/"
    );
    Ok(())
}

#[test]
fn directions_are_those_of_the_table() -> Result<()> {
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.into_iter().collect();
    let mut faults = Vec::new();
    for one in crates()? {
        let Some(allowed) = allowed.get(one.name.as_str()) else {
            faults.push(format!(
                "{} is not in the table; say there what it may depend on",
                one.name
            ));
            continue;
        };
        for (kind, name, _) in one.all_dependencies() {
            let Some(ours) = name.strip_prefix("serverledge-") else {
                continue;
            };
            let testing = ours == "testing" && kind == "dev-dependencies";
            if !testing && !allowed.contains(&ours) {
                faults.push(format!("{} may not depend on {name} ({kind})", one.name));
            }
        }
    }
    none(
        "crates depend on each other as docs/architecture.md says",
        &faults,
    );
    Ok(())
}

#[test]
fn each_foreign_technology_is_known_to_one_crate() -> Result<()> {
    let known: BTreeMap<_, _> = FOREIGN.into_iter().collect();
    let mut faults = Vec::new();
    for one in crates()? {
        for (kind, name, _) in one.all_dependencies() {
            let for_tests = kind == "dev-dependencies" && name == "anyhow";
            if !for_tests
                && known
                    .get(name)
                    .is_some_and(|crates| !crates.contains(&one.name.as_str()))
            {
                faults.push(format!("{} may not depend on {name} ({kind})", one.name));
            }
        }
    }
    none("a foreign technology stays in its crate", &faults);
    Ok(())
}

#[test]
fn what_is_pure_depends_on_nothing_else() -> Result<()> {
    let pure: BTreeMap<_, _> = PURE.into_iter().collect();
    let mut faults = Vec::new();
    for one in crates()? {
        let Some(allowed) = pure.get(one.name.as_str()) else {
            continue;
        };
        for name in one
            .dependencies("dependencies")
            .into_keys()
            .filter(|name| !allowed.contains(name))
        {
            faults.push(format!("{} may not depend on {name}", one.name));
        }
    }
    none(
        "core and scheduler know no socket, file, clock, runtime or format",
        &faults,
    );
    Ok(())
}

#[test]
fn versions_stand_in_the_workspace_only() -> Result<()> {
    let mut faults = Vec::new();
    for one in members()? {
        for (kind, name, value) in one.all_dependencies() {
            let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
            let own = ["version", "path", "git", "registry", "default-features"]
                .iter()
                .any(|key| value.get(key).is_some());
            if !inherited || own {
                faults.push(format!(
                    "{}: {name} ({kind}) must say `workspace = true` and no version",
                    one.folder
                ));
            }
        }
    }
    none("versions stand in [workspace.dependencies]", &faults);
    Ok(())
}

#[test]
fn every_version_of_the_workspace_is_used() -> Result<()> {
    let members = members()?;
    let used: BTreeSet<&str> = members
        .iter()
        .flat_map(|one| one.all_dependencies())
        .map(|(_, name, _)| name)
        .collect();
    let workspace = parse("Cargo.toml")?;
    let listed = workspace["workspace"]["dependencies"]
        .as_table()
        .context("a table")?;
    let unused: Vec<_> = listed
        .keys()
        .filter(|name| !used.contains(name.as_str()))
        .cloned()
        .collect();
    none("no crate uses these workspace dependencies", &unused);
    Ok(())
}

#[test]
fn crates_inherit_from_the_workspace() -> Result<()> {
    let mut faults = Vec::new();
    for one in members()? {
        let package = &one.table["package"];
        for key in INHERITED {
            if package
                .get(key)
                .and_then(|value| value.get("workspace"))
                .and_then(Value::as_bool)
                != Some(true)
            {
                faults.push(format!("{}: {key} must be inherited", one.folder));
            }
        }
        if package
            .get("description")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            faults.push(format!("{}: there is no description", one.folder));
        }
        let lints = one
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(Value::as_bool)
            == Some(true);
        if lints == (one.name == OWN_LINTS) {
            faults.push(format!(
                "{}: lints must be inherited (except in {OWN_LINTS})",
                one.folder
            ));
        }
    }
    none(
        "crates inherit version, edition, licence and lints",
        &faults,
    );
    Ok(())
}

/// The one crate with unsafe code: everything else of the table is the workspace's.
#[test]
fn the_crate_with_its_own_lints_has_all_others() -> Result<()> {
    let workspace = parse("Cargo.toml")?;
    let own = parse(&format!("crates/{OWN_LINTS}/Cargo.toml"))?;
    let table = |of: &Value, name: &str| {
        of.get(name)
            .and_then(Value::as_table)
            .cloned()
            .context("a table of lints")
    };
    let mut rust = table(&workspace["workspace"]["lints"], "rust")?;
    rust.insert("unsafe_code".to_owned(), "deny".into());
    assert_eq!(table(&own["lints"], "rust")?, rust);
    let mut clippy = table(&workspace["workspace"]["lints"], "clippy")?;
    clippy.insert("undocumented_unsafe_blocks".to_owned(), "warn".into());
    assert_eq!(table(&own["lints"], "clippy")?, clippy);
    assert_eq!(
        workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
    Ok(())
}

#[test]
fn the_toolchain_is_pinned() -> Result<()> {
    let toolchain = parse("rust-toolchain.toml")?;
    assert_eq!(toolchain["toolchain"]["channel"].as_str(), Some("1.95.0"));
    let workspace = parse("Cargo.toml")?;
    assert_eq!(
        workspace["workspace"]["package"]["rust-version"].as_str(),
        Some("1.95")
    );
    Ok(())
}

/// Packages come from the public index alone, and their digests are recorded.
#[test]
fn the_lock_files_name_one_source() -> Result<()> {
    let index = ["registry+https://github.com/rust-lang/crates", "io-index"].join(".");
    for file in ["Cargo.lock", "wasm-examples/Cargo.lock"] {
        let lock = parse(file)?;
        for package in lock["package"].as_array().context("a list of packages")? {
            let Some(source) = package.get("source").and_then(Value::as_str) else {
                continue;
            };
            assert_eq!(source, index, "{file}: {}", package["name"]);
            assert!(
                package.get("checksum").is_some(),
                "{file}: {} has no checksum",
                package["name"]
            );
        }
    }
    Ok(())
}
