//! Holds `serverledge-conf.toml` and the table in `docs/configuration.md` to the table of keys.
//! `UPDATE_EXPECT=1 cargo test -p serverledge-node config` writes both anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::keys::{self, KEYS, Key};
use super::super::shipped::{default_of, shipped_file};
use super::{defaults, load_toml};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../serverledge-conf.toml");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
const TABLE_BEGIN: &str = "<!-- table of keys: begin -->\n";
const TABLE_END: &str = "<!-- table of keys: end -->\n";

fn table_row(key: &Key) -> String {
    let default = key.auto.as_ref().map_or_else(
        || format!("`{}`", default_of(key)),
        |auto| String::from(auto.said),
    );
    format!("| `{}` | {default} | {} |\n", key.name, key.doc)
}

fn table() -> String {
    let rows: String = KEYS
        .iter()
        .filter(|key| key.has_effect())
        .map(table_row)
        .collect();
    let inert: Vec<_> = KEYS
        .iter()
        .filter(|key| !key.has_effect())
        .map(|key| format!("`{}`", key.name))
        .collect();
    format!(
        "\n| key | default | meaning |\n|---|---|---|\n{rows}\nAccepted without effect in this version, with one warning \
         that lists those given: {}.\n\n",
        inert.join(", ")
    )
}

/// Compares, or writes if `UPDATE_EXPECT` is set.
fn hold(path: &str, actual: &str, expected: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(Path::new(path), expected).unwrap();
    } else {
        assert!(
            actual == expected,
            "{path} is not what the table of keys says; UPDATE_EXPECT=1 cargo test -p serverledge-node config writes it"
        );
    }
}

#[test]
fn the_shipped_file_is_made_from_the_table() {
    hold(
        SHIPPED,
        &fs::read_to_string(SHIPPED).unwrap_or_default(),
        &shipped_file(),
    );
}

#[test]
fn the_documentation_holds_the_table() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(TABLE_BEGIN).unwrap();
    let (_, after) = rest.split_once(TABLE_END).unwrap();
    let expected = [before, TABLE_BEGIN, &table(), TABLE_END, after].concat();
    hold(DOCUMENT, &document, &expected);
}

#[test]
fn the_shipped_file_uncommented_is_the_default() {
    let uncommented: Vec<_> = shipped_file().lines().map(uncomment).collect();
    let loaded = load_toml(&uncommented.join("\n"));
    assert_eq!(loaded.config, defaults().config);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(load_toml(&shipped_file()).settings, defaults().settings);
}

/// `#key = value` is a key; `# words` are words.
fn uncomment(line: &str) -> String {
    match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => String::from(key),
        _ => String::from(line),
    }
}

#[test]
fn names_of_keys_and_variables_are_unique_and_plain() {
    let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
    let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
    assert_eq!((names.len(), variables.len()), (KEYS.len(), KEYS.len()));
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b))
    };
    for key in KEYS {
        assert!(plain(key.name), "{}", key.name);
        assert!(
            key.doc.ends_with('.') && key.doc.lines().count() == 1,
            "{}",
            key.doc
        );
        assert!(
            key.was.iter().all(|old| !names.contains(old)),
            "{}",
            key.name
        );
        assert!(
            keys::by_variable(&key.variable()).is_some(),
            "{} is the client's variable",
            key.name
        );
    }
}
