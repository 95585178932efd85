//! Texts that must stand in no file: paths of somebody's machine, hosts of package registries. And the documents'
//! numbering.

use anyhow::{Context, Result};

use crate::repository::{files, files_ending, none, read, root};

/// Folders in which people and machines keep their work. Assembled here, so that this file does not name them.
fn machine_folders() -> Vec<String> {
    ["root", "home", "work", "Users", "tmp/bash_jobs"]
        .iter()
        .map(|name| format!("/{name}/"))
        .collect()
}

/// Hosts of registries and mirrors of packages.
fn registry_hosts() -> Vec<String> {
    [
        &["crates", "io"][..],
        &["pypi", "org"],
        &["pythonhosted", "org"],
        &["registry", "npmjs"],
        &["npmjs", "com"],
        &["proxy", "golang", "org"],
        &["deb", "debian", "org"],
        &["security", "debian", "org"],
        &["archive", "ubuntu"],
    ]
    .iter()
    .map(|parts| parts.join("."))
    .collect()
}

/// Whether `text` has the path of something below the folder: the folder at the beginning of a path, then a name.
fn names_below(text: &[u8], folder: &str) -> bool {
    let folder = folder.as_bytes();
    text.windows(folder.len() + 1)
        .enumerate()
        .any(|(at, window)| {
            let starts = at == 0
                || !(text[at - 1].is_ascii_alphanumeric() || b"._-}".contains(&text[at - 1]));
            window.starts_with(folder) && window[folder.len()].is_ascii_alphanumeric() && starts
        })
}

#[test]
fn no_file_names_a_machine() -> Result<()> {
    let mut faults = Vec::new();
    for file in files()? {
        let bytes =
            std::fs::read(root().join(&file)).with_context(|| format!("failed to read {file}"))?;
        faults.extend(
            machine_folders()
                .iter()
                .filter(|folder| names_below(&bytes, folder))
                .map(|folder| format!("{file}: {folder}…")),
        );
    }
    none(
        "no file, and no module, tells whose machine it was made on",
        &faults,
    );
    Ok(())
}

#[test]
fn no_file_names_a_registry() -> Result<()> {
    let mut faults = Vec::new();
    // The URL that cargo itself writes into every lock file.
    let index = ["https://github.com/rust-lang/crates", "io-index"].join(".");
    for file in files()? {
        let bytes =
            std::fs::read(root().join(&file)).with_context(|| format!("failed to read {file}"))?;
        let text = String::from_utf8_lossy(&bytes).replace(&index, "");
        faults.extend(
            registry_hosts()
                .iter()
                .filter(|host| text.contains(host.as_str()))
                .map(|host| format!("{file}: {host}")),
        );
    }
    none(
        "packages are named, never the host that they come from",
        &faults,
    );
    Ok(())
}

#[test]
fn decisions_are_numbered_without_gaps() -> Result<()> {
    let decisions: Vec<_> = files_ending(".md")?
        .into_iter()
        .filter(|file| file.starts_with("docs/decisions/"))
        .collect();
    let mut faults = Vec::new();
    for (index, file) in decisions.iter().enumerate() {
        let name = file.trim_start_matches("docs/decisions/");
        let number = format!("{:04}-", index + 1);
        if !name.starts_with(&number) {
            faults.push(format!("{name} should begin with {number}"));
        }
        let title = read(file)?.lines().next().unwrap_or_default().to_owned();
        if !title.starts_with("# ") {
            faults.push(format!("{name} has no title"));
        }
    }
    none(
        "docs/decisions are numbered from 0001 without gaps",
        &faults,
    );
    Ok(())
}

#[test]
fn the_configuration_is_documented() -> Result<()> {
    let shipped = read("serverledge-conf.toml")?;
    assert!(
        shipped.contains("#api.port"),
        "the shipped configuration lists the keys"
    );
    let document = read("docs/configuration.md")?;
    assert!(
        document.contains("serverledge-conf.toml"),
        "docs/configuration.md names the shipped file"
    );
    let keys = shipped
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once(" = "))
        .map(|(key, _)| key.trim_matches('"'));
    let section = shipped
        .split("# Keys of Serverledge's")
        .next()
        .unwrap_or_default();
    let missing: Vec<_> = keys
        .filter(|key| section.contains(&format!("#{key} =")) && !document.contains(*key))
        .map(str::to_owned)
        .collect();
    none("docs/configuration.md lacks these keys", &missing);
    Ok(())
}

#[test]
fn texts_end_well() -> Result<()> {
    let mut faults = Vec::new();
    // Rust is left to rustfmt: a snapshot may hold lines that end with a blank.
    for ending in [".md", ".toml", ".sh", ".json", ".wat", ".c"] {
        for file in files_ending(ending)? {
            let text = read(&file)?;
            if text.contains('\r')
                || !text.ends_with('\n')
                || text.lines().any(|line| line.ends_with([' ', '\t']))
            {
                faults.push(file);
            }
        }
    }
    none(
        "texts end with a line break, and no line ends with white space or carriage return",
        &faults,
    );
    Ok(())
}

#[test]
fn paths_are_told_from_words() {
    let folder = machine_folders().remove(0);
    let inside = |text: String| names_below(text.as_bytes(), &folder);
    assert!(
        inside(format!("at {folder}x")) && inside(format!("\0{folder}.cargo").replace('.', "c"))
    );
    assert!(
        !inside(format!("a{folder}x")) && !inside(format!("{folder}\"")) && !inside(folder.clone())
    );
}
