//! Dependencies files: which of the two it is, and whether it can be one. What is in it is the package tool's to judge.

use serde_json::Value;
use serverledge_core::{DEPENDENCIES_BYTES_MAX, DependenciesFile};

use crate::backend::applications::AppError;

/// Longest line of a requirements file.
const LINE_BYTES_MAX: usize = 2048;
/// Characters of a bad line that are shown.
const SHOWN_CHARS_MAX: usize = 40;

/// The file that somebody names.
///
/// # Errors
/// [`AppError::Invalid`] for any other than the two.
pub(crate) fn file_of_name(name: &str) -> Result<DependenciesFile, AppError> {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let refused = || {
        invalid(format!(
            "{shown:?} is neither package.json nor requirements.txt"
        ))
    };
    DependenciesFile::of_name(name).ok_or_else(refused)
}

/// Checks a dependencies file. Blank text is none at all.
///
/// # Errors
/// [`AppError::Invalid`] says what is wrong with it.
pub fn check(named: Option<DependenciesFile>, text: &str) -> Result<(), AppError> {
    if text.len() > DEPENDENCIES_BYTES_MAX {
        return fault(format!(
            "the dependencies file has {} bytes, {DEPENDENCIES_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    let Some(found) = DependenciesFile::of_text(text) else {
        return Ok(());
    };
    if let Some(named) = named.filter(|named| *named != found) {
        return fault(format!(
            "this is no {}: it reads like a {}",
            named.name(),
            found.name()
        ));
    }
    match found {
        DependenciesFile::Package => check_package(text),
        DependenciesFile::Requirements => text
            .lines()
            .enumerate()
            .try_for_each(|(at, line)| check_requirement(at + 1, line)),
    }
}

fn check_package(text: &str) -> Result<(), AppError> {
    let package: Value = match serde_json::from_str(text) {
        Ok(package) => package,
        Err(error) => return fault(format!("package.json is not JSON: {error}")),
    };
    if package.get("lockfileVersion").is_some() {
        return fault(
            "this is a package-lock.json, which is neither package.json nor requirements.txt"
                .to_owned(),
        );
    }
    for member in ["dependencies", "optionalDependencies"] {
        let versions = match package.get(member) {
            None => continue,
            Some(Value::Object(versions)) => versions,
            Some(_) => return fault(format!("package.json: {member} is no object")),
        };
        if let Some((name, _)) = versions.iter().find(|(_, version)| !version.is_string()) {
            return fault(format!("package.json: the version of {name:?} is no text"));
        }
        let is_local = |version: &Value| version.as_str().is_some_and(is_local_version);
        if let Some((name, _)) = versions.iter().find(|(_, version)| is_local(version)) {
            return fault(format!(
                "package.json: {name:?} lies in a folder, which an application has not; put the file into the function's upload"
            ));
        }
    }
    Ok(())
}

fn is_local_version(version: &str) -> bool {
    ["file:", "link:", "./", "../", "/", "~/"]
        .iter()
        .any(|start| version.starts_with(start))
}

/// A requirement begins with a package's name (PEP 508). Of pip's options only hashes are taken: the others name files that are not
/// there, or change where all packages come from.
fn check_requirement(number: usize, line: &str) -> Result<(), AppError> {
    let text = line.trim();
    if text.len() > LINE_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\t') {
        return fault(format!(
            "requirements.txt, line {number}: too long, or with characters that are no text"
        ));
    }
    if text.is_empty()
        || text.starts_with('#')
        || text.starts_with("--hash=")
        || is_requirement(text)
    {
        return Ok(());
    }
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if text.starts_with('-') {
        return fault(format!(
            "requirements.txt, line {number}: {shown:?} is an option of pip, which an application's file cannot have; \
             put the file into the function's upload"
        ));
    }
    fault(format!(
        "the file is neither package.json nor requirements.txt: in line {number} {shown:?} is no requirement"
    ))
}

/// A name, extras, and then a version, an address, a marker, a comment or nothing.
fn is_requirement(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return false;
    }
    let rest = text.trim_start_matches(is_of_name).trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras
            .split_once(']')
            .map_or("", |(_, rest)| rest)
            .trim_start(),
        None => rest,
    };
    match rest.chars().next() {
        None => true,
        Some('@') => rest.contains("://"),
        Some(next) => matches!(
            next,
            '=' | '<' | '>' | '~' | '!' | ';' | '(' | '#' | '\\' | '-'
        ),
    }
}

fn invalid(message: String) -> AppError {
    AppError::Invalid {
        code: "invalid_dependencies",
        message,
    }
}

fn fault<T>(message: String) -> Result<T, AppError> {
    Err(invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIREMENTS: DependenciesFile = DependenciesFile::Requirements;
    const PACKAGE_JSON: DependenciesFile = DependenciesFile::Package;

    #[test]
    fn files_are_told_apart_and_checked() {
        for (text, file, good) in [
            ("", None, true),
            (" \n", None, true),
            (
                "left-pad@^1.3.0:\n  version \"1.3.0\"\n",
                Some(REQUIREMENTS),
                false,
            ),
            ("[project]\nname = \"x\"\n", Some(REQUIREMENTS), false),
            ("name: env\ndependencies:\n", Some(REQUIREMENTS), false),
            ("x @ https://example.org/x.whl", Some(REQUIREMENTS), true),
            (
                r#"{"lockfileVersion":3,"packages":{}}"#,
                Some(PACKAGE_JSON),
                false,
            ),
            (
                r#"{"dependencies":{"a":"file:lib/a"}}"#,
                Some(PACKAGE_JSON),
                false,
            ),
            (
                "requests==2.32.3\n# why\n\nflask[async] >= 3 ; python_version > '3.8'\n",
                Some(REQUIREMENTS),
                true,
            ),
            ("a==1 \\\n    --hash=sha256:00\n", Some(REQUIREMENTS), true),
            ("-r other.txt", Some(REQUIREMENTS), false),
            (
                "--index-url https://evil.example",
                Some(REQUIREMENTS),
                false,
            ),
            ("../../etc/passwd", Some(REQUIREMENTS), false),
            ("a\u{0}b", Some(REQUIREMENTS), false),
            (
                r#"{"dependencies":{"left-pad":"^1"}}"#,
                Some(PACKAGE_JSON),
                true,
            ),
            (r#" {"name":"x"}"#, Some(PACKAGE_JSON), true),
            (
                r#"{"dependencies":["left-pad"]}"#,
                Some(PACKAGE_JSON),
                false,
            ),
            (r#"{"dependencies":{"a":1}}"#, Some(PACKAGE_JSON), false),
            (r#"{"dependencies":"#, Some(PACKAGE_JSON), false),
        ] {
            assert_eq!(DependenciesFile::of_text(text), file, "{text:?}");
            assert_eq!(check(None, text).is_ok(), good, "{text:?}");
        }
        assert!(
            check(Some(DependenciesFile::Package), "six").is_err()
                && check(Some(REQUIREMENTS), "{}").is_err()
        );
        let told = file_of_name("Pipfile").unwrap_err().to_string();
        assert!(
            told.contains("\"Pipfile\" is neither package.json nor requirements.txt"),
            "{told}"
        );
        assert!(check(None, &"a\n".repeat(DEPENDENCIES_BYTES_MAX)).is_err());
        assert!(check(None, &r#"{"a":"#.repeat(10_000)).is_err());
    }
}
