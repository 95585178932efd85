//! `.npmrc`: npm's settings as far as an upload may make them. Which are left out is said by name, their values never.

use super::has_credentials;

/// Keys that identify a user to a registry.
const CREDENTIALS: [&str; 10] = [
    "_auth",
    "_authtoken",
    "_password",
    "username",
    "email",
    "certfile",
    "keyfile",
    "cert",
    "key",
    "otp",
];
/// Keys that choose the programs that npm runs, and how, beside the packages' own scripts. `ignore-scripts`, which only
/// takes away, is not among them.
const PROGRAMS: [&str; 10] = [
    "script-shell",
    "shell",
    "node-options",
    "node-gyp",
    "git",
    "editor",
    "browser",
    "viewer",
    "unsafe-perm",
    "onload-script",
];
/// Keys for the places in which npm works, which the node sets.
const PLACES: [&str; 9] = [
    "prefix",
    "cache",
    "tmp",
    "userconfig",
    "globalconfig",
    "global",
    "location",
    "logs-dir",
    "dry-run",
];

/// The file without what an upload may not set, and remarks on what was left out.
pub(super) fn settle(text: &str, path: &str) -> (String, Vec<String>) {
    let mut settled = String::new();
    let mut remarks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match refusal(line) {
            None => settled.extend([line, "\n"]),
            Some((key, why)) => remarks.push(format!(
                "{path}, line {}: {key} is not taken: {why}",
                index + 1
            )),
        }
    }
    (settled, remarks)
}

fn refusal(line: &str) -> Option<(String, &'static str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    let key = key.trim().trim_matches(['"', '\'']).trim_end_matches("[]");
    // Of one registry: `//host/path/:name`.
    let name = key
        .rsplit(':')
        .next()
        .unwrap_or(key)
        .to_ascii_lowercase()
        .replace('_', "-");
    let is_one_of = |names: &[&str]| names.iter().any(|each| each.replace('_', "-") == name);
    let why = if is_one_of(&CREDENTIALS) || has_credentials(value.trim().trim_matches(['"', '\'']))
    {
        "an upload is no place for credentials: whoever sees the code has them"
    } else if is_one_of(&PROGRAMS) {
        "it says which programs run, or how"
    } else if is_one_of(&PLACES) {
        "the node says where and how npm works"
    } else {
        return None;
    };
    Some((key.to_owned(), why))
}
