//! Lists of packages for pip: whether all that they name are packages of an index. Everything else (folders, archives,
//! addresses, options that allow it) pip may build, which runs code of the package on the user's machine.

use std::fs;
use std::io;
use std::path::Path;

/// Options of a list that build nothing, and read no other list (pip's documentation, "Requirements File Format").
const HARMLESS: [&str; 11] = [
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-index",
    "--trusted-host",
    "--only-binary",
    "--pre",
    "--prefer-binary",
    "--require-hashes",
];
/// Options that name another list.
const NESTING: [&str; 4] = ["-r", "--requirement", "-c", "--constraint"];
/// Parts of the names of archives: a requirement with one may be a file.
const ARCHIVES: [&str; 7] = [".zip", ".whl", ".tar", ".tgz", ".tbz", ".txz", ".tlz"];
/// Most lists within lists.
const DEPTH_MAX: usize = 8;

/// The first line that does not name a package of an index, of a list or of those that it names.
pub(super) fn unfit(list: &Path) -> io::Result<Option<String>> {
    unfit_within(list, 0)
}

fn unfit_within(list: &Path, depth: usize) -> io::Result<Option<String>> {
    let bytes = fs::read(list)?;
    let Some(text) = decoded(&bytes) else {
        return Ok(Some("text that is not UTF-8".to_owned()));
    };
    for line in logical_lines(text) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('-') {
            if !is_of_an_index(line) {
                return Ok(Some(line.to_owned()));
            }
            continue;
        }
        let Some(nested) = options(line) else {
            return Ok(Some(line.to_owned()));
        };
        for name in nested {
            let path = list.parent().unwrap_or(Path::new("")).join(name);
            let is_file = depth < DEPTH_MAX && path.is_file();
            if !is_file {
                return Ok(Some(line.to_owned()));
            }
            if let Some(unfit) = unfit_within(&path, depth + 1)? {
                return Ok(Some(unfit));
            }
        }
    }
    Ok(None)
}

/// The text as pip reads it too: without a mark or a comment that names another encoding.
fn decoded(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let names_encoding = text.split(is_line_end).take(2).any(|line| {
        let line = line.to_ascii_lowercase();
        let declares = line.contains("coding:") || line.contains("coding=");
        line.starts_with('#') && declares && !line.contains("utf-8")
    });
    let is_plain = !text.starts_with('\u{feff}') && !text.contains('\0');
    (is_plain && !names_encoding).then_some(text)
}

/// Python's `str.splitlines` ends lines at these.
const fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Lines without comments, those that end in a backslash joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.split(is_line_end) {
        let is_comment = line.trim_start().starts_with('#');
        if let Some(begun) = line.strip_suffix('\\').filter(|_| !is_comment) {
            open.push_str(begun.trim_end_matches('\\'));
            continue;
        }
        if is_comment {
            open.push(' ');
        }
        open.push_str(line);
        lines.push(without_comment(&open).to_owned());
        open.clear();
    }
    lines.push(without_comment(&open).to_owned());
    lines
}

fn without_comment(line: &str) -> &str {
    let begins = |(at, c): (usize, char)| {
        let before = line[..at].chars().next_back();
        (c == '#' && before.is_none_or(char::is_whitespace)).then_some(at)
    };
    let at = line.char_indices().find_map(begins);
    &line[..at.unwrap_or(line.len())]
}

/// The lists that a line of options names; `None` if it has options that are not harmless.
fn options(line: &str) -> Option<Vec<&str>> {
    let mut nested = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if NESTING.contains(&name) {
            nested.push(value.or_else(|| words.next())?);
        } else if word.starts_with('-') && !HARMLESS.contains(&name) {
            return None;
        }
    }
    Some(nested)
}

/// Whether a requirement is a name with versions, extras, a marker and hashes.
fn is_of_an_index(requirement: &str) -> bool {
    let named = requirement.split(';').next().unwrap_or_default();
    let named = named
        .split_once(" --hash")
        .map_or(named, |(named, _)| named)
        .trim();
    let other_options = requirement
        .split_whitespace()
        .any(|word| word.starts_with('-') && !word.starts_with("--hash"));
    let is_plain = named.starts_with(|c: char| c.is_ascii_alphanumeric())
        && named
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ._-[],<>=!~()*+".contains(c));
    let lower = named.to_ascii_lowercase();
    let may_be_file = ARCHIVES.iter().any(|part| lower.contains(part));
    is_plain && !may_be_file && !other_options
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;

    fn of(text: &str) -> Option<String> {
        let lab = folder(&[
            ("list.txt", text.as_bytes()),
            ("fine.txt", b"six"),
            ("unfit.txt", b"six\n-e ."),
            ("round.txt", b"-r round.txt"),
        ]);
        unfit(&lab.path().join("list.txt")).unwrap()
    }

    #[test]
    fn packages_of_an_index_are_fetched() {
        for text in [
            "",
            "# a comment with ./folder\n\nsix\n",
            "six==1.17.0\nPyYAML>=6,<7  # as elsewhere\nzope.interface[test,more] ~= 1.2",
            "tomli>=2; python_version < \"3.11\"",
            "six==1.17.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11",
            "--index-url https://pypi.example.org/simple\n--pre\nsix",
            "-r fine.txt\n--constraint=fine.txt\nsix",
            "a==1!2.0.post1+local.1",
            "# -*- coding: utf-8 -*-\nsix",
            "# Packages for the encoding of videos\nsix",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_pip_may_build_is_found() {
        for (text, expected) in [
            ("six\n./folder", "./folder"),
            ("folder/", "folder/"),
            ("-e .", "-e ."),
            ("--editable=.", "--editable=."),
            ("--edit .", "--edit ."),
            ("a @ file:///a.tar.gz", "a @ file:///a.tar.gz"),
            ("git+https://example.org/a", "git+https://example.org/a"),
            ("a.zip", "a.zip"),
            ("a.tar.gz[more]", "a.tar.gz[more]"),
            ("a.z\\\nip", "a.zip"),
            ("--no-binary six\nsix", "--no-binary six"),
            ("-i x --no-binary=:all:", "-i x --no-binary=:all:"),
            ("six --config-settings=x=y", "six --config-settings=x=y"),
            ("${FOLDER}", "${FOLDER}"),
            ("six # \u{2028}-e .", "-e ."),
            ("-r unfit.txt", "-e ."),
            ("-r missing.txt", "-r missing.txt"),
            (
                "-r https://example.org/list.txt",
                "-r https://example.org/list.txt",
            ),
            ("-r round.txt", "-r round.txt"),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["\u{feff}six", "# coding: utf-7\nsix"] {
            assert_eq!(
                of(text).as_deref(),
                Some("text that is not UTF-8"),
                "{text}"
            );
        }
    }
}
