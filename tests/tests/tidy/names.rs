//! The functions that documents deploy: under names that nothing before them has taken, so that the commands work as typed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::repository::{files_ending, none, read};

const QUICKSTART: &str = "scripts/quickstart.sh";
const CREATE: &str = "serverledge-cli";

/// Names that the quick start deploys: those that it lists, and those that it gives.
fn quickstart() -> Result<Vec<String>> {
    let text = read(QUICKSTART)?;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("deploy ") {
            names.extend(
                rest.split_whitespace()
                    .next()
                    .map(|name| name.trim_matches('"').to_owned()),
            );
        }
        if let Some(list) = line
            .strip_prefix("for name in ")
            .and_then(|rest| rest.split_once(';'))
        {
            names.extend(list.0.split_whitespace().map(str::to_owned));
        }
    }
    names.retain(|name| !name.contains('$'));
    names.extend(["hello-py".to_owned(), "hello-js".to_owned()]);
    Ok(names)
}

/// The name under which a command deploys on the reader's own node, if it does, with the application before it.
fn deployed(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let create = words.iter().position(|word| *word == "create")?;
    let group = words[..create]
        .iter()
        .any(|word| matches!(*word, "app" | "token"));
    // One that may replace what is there takes no name from anybody.
    let replaces = words.iter().any(|word| matches!(*word, "--update" | "-u"));
    if words.first() != Some(&CREATE) || group || replaces || words.contains(&"--host") {
        return None;
    }
    let after = |options: &[&str]| {
        let at = words.iter().position(|word| options.contains(word))?;
        words.get(at + 1).copied()
    };
    let source = || {
        let file = after(&["--src"]).or_else(|| {
            words
                .get(create + 1)
                .copied()
                .filter(|word| !word.starts_with('-'))
        })?;
        Some(
            file.trim_end_matches('/')
                .rsplit('/')
                .next()?
                .split('.')
                .next()?
                .to_owned(),
        )
    };
    let name = after(&["-f", "--function"])
        .map(str::to_owned)
        .or_else(source)?;
    Some(after(&["--app"]).map_or_else(|| name.clone(), |app| format!("{app}/{name}")))
}

/// The commands of a document: lines of code blocks, and code in tables.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| line.starts_with(CREATE));
    let cells = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.chain(cells)
}

#[test]
fn documents_deploy_under_free_names() -> Result<()> {
    let mut taken: BTreeMap<String, String> = quickstart()?
        .into_iter()
        .map(|name| (name, QUICKSTART.to_owned()))
        .collect();
    anyhow::ensure!(
        taken.len() > 8,
        "the quick start deploys more than {taken:?}"
    );
    let mut faults = Vec::new();
    let mut found = 0;
    for file in files_ending(".md")?
        .into_iter()
        .filter(|file| file != "CHANGELOG.md")
    {
        let text = read(&file)?;
        for name in commands(&text).filter_map(deployed) {
            found += 1;
            if let Some(before) = taken.insert(name.clone(), file.clone()) {
                faults.push(format!(
                    "{file}: {name} is deployed by {before} already; take another name, or update"
                ));
            }
        }
    }
    (found > 8)
        .then_some(())
        .context("the documents deploy functions")?;
    none(
        "a command of a document works after the quick start, and after the other documents",
        &faults,
    );
    Ok(())
}

#[test]
fn names_are_found() {
    let cases = [
        ("serverledge-cli create --src a/hey.js", Some("hey")),
        ("serverledge-cli create -f own --src hey.js", Some("own")),
        (
            "serverledge-cli --app shop create order.js --idempotent",
            Some("shop/order"),
        ),
        ("serverledge-cli create folder/", Some("folder")),
        ("serverledge-cli app create shop", None),
        ("serverledge-cli token create ci --scope deploy", None),
        (
            "serverledge-cli create --update -f hello --src hello.wasm",
            None,
        ),
        ("serverledge-cli invoke hey", None),
    ];
    for (command, name) in cases {
        assert_eq!(deployed(command).as_deref(), name, "{command}");
    }
}
