//! Compares `serverledge-conf.toml` and the table in `docs/configuration.md` with the table of keys. `UPDATE_EXPECT=1
//! cargo test -p serverledge-node config` writes both anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::keys::{self, INERT};
use super::super::kind::Key;
use super::super::parts::KEYS;
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
    let rows: String = KEYS.iter().map(table_row).collect();
    let inert: Vec<_> = INERT.iter().map(|key| format!("`{}`", key.name)).collect();
    format!(
        "\n| key | default | meaning |\n|---|---|---|\n{rows}\nAccepted without effect in this version, with one warning \
         that lists those given:\n\n{}\n",
        wrapped(&inert)
    )
}

/// The names in lines that fit, with commas between and a full stop at the end.
fn wrapped(names: &[String]) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (number, name) in names.iter().enumerate() {
        let mark = if number + 1 == names.len() { "." } else { "," };
        if column > 0 && column + name.len() + 2 > 110 {
            text.push('\n');
            column = 0;
        }
        if column > 0 {
            text.push(' ');
        }
        text.push_str(name);
        text.push_str(mark);
        column += name.len() + 2;
    }
    text + "\n"
}

/// Compares the file with the text, or writes it if `UPDATE_EXPECT` is set.
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

/// Removes the comment sign from a key: `#key = value` is a key; `# words` are words.
fn uncomment(line: &str) -> String {
    match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => String::from(key),
        _ => String::from(line),
    }
}

#[test]
fn names_of_keys_and_variables_are_unique_and_plain() {
    let names: BTreeSet<_> = keys::all().map(|key| key.name).collect();
    let variables: BTreeSet<_> = keys::all().map(Key::variable).collect();
    assert_eq!(
        (names.len(), variables.len()),
        (keys::all().count(), keys::all().count())
    );
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b))
    };
    for key in keys::all() {
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
