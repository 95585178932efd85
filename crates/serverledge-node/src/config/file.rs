//! Finds the configuration file, and reads it, in any format, into names and raw values.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::faults::Fault;
use super::keys::{self, KeyLookup};
use super::raw::RawValue;

/// Name of the file without extension.
const STEM: &str = "serverledge-conf";
/// Extensions, in the order in which they are looked for.
const EXTENSIONS: [&str; 4] = ["toml", "yaml", "yml", "json"];
/// Largest file that is read. The shipped file has a few kilobytes; a larger one is no configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Finds the first file. Warns of another one beside it, and of folders that cannot be searched.
pub(super) fn find(directories: &[PathBuf], warnings: &mut Vec<String>) -> Option<PathBuf> {
    for directory in directories {
        let mut present = Vec::new();
        for path in EXTENSIONS.map(|extension| directory.join(format!("{STEM}.{extension}"))) {
            match path.try_exists() {
                Ok(true) => present.push(path),
                Ok(false) => {}
                Err(error) => warnings.push(format!("cannot look for {}: {error}", path.display())),
            }
        }
        if let Some((first, others)) = present.split_first() {
            warnings.extend(
                others.iter().map(|other| {
                    format!("{} is ignored beside {}", other.display(), first.display())
                }),
            );
            return Some(first.clone());
        }
    }
    None
}

/// Reads names (lower case, dotted) and values, in the file's order.
pub(super) fn read(path: &Path) -> Result<Vec<(String, RawValue)>, Fault> {
    let unreadable = |message: String| Fault::Unreadable {
        file: path.to_path_buf(),
        message,
    };
    let parse = parser(path).ok_or_else(|| {
        unreadable(String::from(
            "the name must end in .toml, .yaml, .yml or .json",
        ))
    })?;
    let bytes = bytes_of(path).map_err(|error| unreadable(error.to_string()))?;
    let malformed = |(line, column, message)| Fault::Malformed {
        file: path.to_path_buf(),
        line,
        column,
        message,
    };
    let text = text_of(&bytes).map_err(malformed)?;
    match parse(text).map_err(malformed)? {
        RawValue::Null => Ok(Vec::new()),
        RawValue::Table(members) => {
            let mut entries = Vec::new();
            flatten("", members, &mut entries);
            Ok(entries)
        }
        _ => Err(malformed((1, 1, String::from("expected keys with values")))),
    }
}

/// Line, column and message of a syntax error.
type Misfit = (usize, usize, String);

/// A parser of one format.
type Parser = fn(&str) -> Result<RawValue, Misfit>;

fn parser(path: &Path) -> Option<Parser> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "toml" => Some(parse_toml),
        "yaml" | "yml" => Some(parse_yaml),
        "json" => Some(parse_json),
        _ => None,
    }
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

fn text_of(bytes: &[u8]) -> Result<&str, Misfit> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let (line, column) = position(&before, before.len());
        (line, column, String::from("not valid UTF-8"))
    })
}

fn parse_toml(text: &str) -> Result<RawValue, Misfit> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        (line, column, error.message().replace('\n', ", "))
    })
}

fn parse_yaml(text: &str) -> Result<RawValue, Misfit> {
    serde_yaml_ng::from_str(text).map_err(|error| {
        let (line, column) = error
            .location()
            .map_or((1, 1), |at| (at.line(), at.column()));
        (
            line,
            column,
            without_place(&error.to_string(), line, column),
        )
    })
}

fn parse_json(text: &str) -> Result<RawValue, Misfit> {
    serde_json::from_str(text).map_err(|error| {
        let line = error.line();
        let column = error.column();
        (
            line,
            column,
            without_place(&error.to_string(), line, column),
        )
    })
}

/// Line and column, both from 1, of a byte of the text.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Removes the place from a message: the parsers repeat it there.
fn without_place(message: &str, line: usize, column: usize) -> String {
    message.replace(&format!(" at line {line} column {column}"), "")
}

/// Flattens nested tables into dotted names. A table that is a key's value stays one.
fn flatten(group: &str, members: Vec<(String, RawValue)>, entries: &mut Vec<(String, RawValue)>) {
    for (name, value) in members {
        let name = name.trim().to_lowercase();
        let name = if group.is_empty() {
            name
        } else {
            format!("{group}.{name}")
        };
        match value {
            RawValue::Table(members) if !takes_table(&name) => flatten(&name, members, entries),
            value => entries.push((name, value)),
        }
    }
}

fn takes_table(name: &str) -> bool {
    matches!(keys::by_name(name), KeyLookup::Known(key) if key.is_table())
}
