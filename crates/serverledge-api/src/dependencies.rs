//! Dependencies files: which of the two it is, and whether it can be one. What is in it is the package tool's to judge.

use serde_json::Value;
use serverledge_core::{DEPENDENCIES_BYTES_MAX, Runtime};

use crate::applications::AppError;

/// The file of JavaScript packages.
const PACKAGE_JSON: &str = "package.json";
/// The file of Python packages.
const REQUIREMENTS: &str = "requirements.txt";
/// Longest line of a requirements file.
const LINE_BYTES_MAX: usize = 2048;

/// The name of a dependencies file with this text: an object is `package.json`, any other text `requirements.txt`; `None` if
/// there is none.
#[must_use]
pub fn dependencies_file(text: &str) -> Option<&'static str> {
    match text.trim_start().as_bytes().first()? {
        b'{' => Some(PACKAGE_JSON),
        _ => Some(REQUIREMENTS),
    }
}

/// The runtime whose functions a dependencies file is for; `None` if there is none.
#[must_use]
pub fn dependencies_runtime(text: &str) -> Option<Runtime> {
    let file = dependencies_file(text)?;
    Some(if file == PACKAGE_JSON {
        Runtime::NodeJs
    } else {
        Runtime::Python
    })
}

/// Checks a dependencies file. Blank text is none at all.
///
/// # Errors
/// [`AppError::Invalid`] says what is wrong with it.
pub fn check(text: &str) -> Result<(), AppError> {
    if text.len() > DEPENDENCIES_BYTES_MAX {
        return fault(format!(
            "the dependencies file has {} bytes, {DEPENDENCIES_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    match dependencies_file(text) {
        None => Ok(()),
        Some(PACKAGE_JSON) => check_package(text),
        Some(_) => text
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
    for member in ["dependencies", "optionalDependencies"] {
        let versions = match package.get(member) {
            None => continue,
            Some(Value::Object(versions)) => versions,
            Some(_) => return fault(format!("package.json: {member} is no object")),
        };
        if let Some((name, _)) = versions.iter().find(|(_, version)| !version.is_string()) {
            return fault(format!("package.json: the version of {name:?} is no text"));
        }
    }
    Ok(())
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
    let begins = text
        .bytes()
        .next()
        .is_none_or(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
    if begins || text.starts_with("--hash=") {
        return Ok(());
    }
    let shown: String = text.chars().take(40).collect();
    fault(format!(
        "requirements.txt, line {number}: {shown:?} is no requirement; options of pip are not taken"
    ))
}

fn fault<T>(message: String) -> Result<T, AppError> {
    Err(AppError::Invalid {
        code: "invalid_dependencies",
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_and_checked() {
        for (text, file, good) in [
            ("", None, true),
            (" \n", None, true),
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
            assert_eq!(dependencies_file(text), file, "{text:?}");
            assert_eq!(check(text).is_ok(), good, "{text:?}");
        }
        assert!(check(&"a\n".repeat(DEPENDENCIES_BYTES_MAX)).is_err());
        assert!(check(&r#"{"a":"#.repeat(10_000)).is_err());
    }
}
