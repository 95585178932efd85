//! Notes for whoever deploys a file for the runtime `javascript`, on the names in it.

use std::collections::HashSet;

use super::tokens::{Token, tokens};
use super::{Use, asked_for, own_module, uses};

/// Notes about one file.
const NOTES_MAX: usize = 8;
/// Names that are looked at: for each, the part of the file before it is read.
const LOOKED_AT_MAX: usize = 500;
/// Mark of bundlers before the path of the file that a part comes from.
const ORIGIN: &str = "\n// ";
/// Between a file and its packages.
const PACKAGES: &str = "node_modules/";

/// The role of a file's handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes parameters and gives a result.
    Json,
    /// It is called `fetch`, takes requests and gives responses.
    Http,
}

/// Notes on what a file will get that it does not get in Node.js: each begins with `FILE:LINE`. One for each name. Where the
/// handler itself is called `fetch`, there is one on that name only where it is called.
#[must_use]
pub fn notes(file: &str, source: &str, role: Role) -> Vec<String> {
    let tokens = tokens(source);
    let mut seen = HashSet::new();
    let mut notes = Vec::new();
    let asked_for = asked_for(&tokens);
    let mut looked_at = 0;
    for (at, used) in uses(&tokens) {
        // A call of it is none of the handler.
        let is_called = tokens.get(at + 1) == Some(&Token::Mark('('));
        let is_handler = role == Role::Http && used == Use::Fetch && !is_called;
        if is_handler || seen.contains(kind(used)) {
            continue;
        }
        looked_at += 1;
        if looked_at > LOOKED_AT_MAX {
            break;
        }
        let asked = used.is_among(&asked_for);
        let Token::Word(word) = tokens[at] else {
            continue;
        };
        let offset = (word.as_ptr() as usize).saturating_sub(source.as_ptr() as usize);
        let origin = origin(source, offset);
        // Packages ask for many things, and read the clock and send requests as they do in Node.js.
        if origin.is_some() && (asked || matches!(used, Use::Clock(_) | Use::Fetch)) {
            continue;
        }
        seen.insert(kind(used));
        let line = source[..offset].matches('\n').count() + 1;
        let from = origin.map_or_else(String::new, |origin| format!(" (of {origin})"));
        notes.push(format!("{file}:{line}{from}: {}", told(used, asked)));
    }
    notes.extend(own_module::note(file, source, &tokens));
    let more = notes.len().saturating_sub(NOTES_MAX);
    notes.truncate(NOTES_MAX);
    if more > 0 {
        notes.push(format!("and {more} more names like these"));
    }
    notes
}

/// Those that are told once together are equal.
fn kind<'a>(used: Use<'a>) -> &'a str {
    match used {
        Use::Global(name) | Use::Intl(name) => name,
        Use::Process(member) => member,
        Use::Clock(_) => "the clock",
        Use::Fetch => "fetch",
    }
}

fn told(used: Use<'_>, asked: bool) -> String {
    match used {
        Use::Fetch => {
            "fetch reaches the hosts that the deployment names (--allow-host), and no others".to_owned()
        }
        Use::Global(name) if asked => format!("{name} is not there in the runtime javascript, as the file asks"),
        Use::Global(name) => {
            format!("the runtime javascript does not have {name}: using it fails. The runtime nodejs has it")
        }
        Use::Process(member) => format!("the runtime javascript has no process.{member}: it is undefined"),
        Use::Intl(member) if asked => {
            format!("Intl.{member} is not there in the runtime javascript, as the file asks")
        }
        Use::Intl(member) => {
            format!(
                "the runtime javascript does not have Intl.{member}: using it fails. A new Node.js has it"
            )
        }
        Use::Clock(_) => {
            "the clock is the machine's in calls, in whole milliseconds, with dates in UTC; while the file is \
             loaded it stands at 1970-01-01T00:00:00Z"
                .to_owned()
        }
    }
}

/// The package file that a part of a bundle comes from.
fn origin(source: &str, offset: usize) -> Option<&str> {
    let at = source[..offset].rfind(ORIGIN)? + ORIGIN.len();
    let line = source[at..].lines().next()?;
    line[line.rfind(PACKAGES)?..]
        .strip_prefix(PACKAGES)
        .filter(|path| !path.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let notes = notes("f.js", source, Role::Json);
        let begin = |note: &String| {
            note.split_inclusive(' ')
                .take(4)
                .collect::<String>()
                .trim_end()
                .to_owned()
        };
        assert_eq!(
            notes.iter().map(begin).collect::<Vec<_>>(),
            expected,
            "{source}: {notes:?}"
        );
    }

    #[test]
    fn names_are_told_with_their_lines() {
        check("module.exports = () => 1", &[]);
        check("module.exports = () => new Date(0)", &[]);
        check(
            "\nmodule.exports = () => Date.now() + Date.now()",
            &["f.js:2: the clock is"],
        );
        check(
            "let a = new Date\nlet b = new Date()",
            &["f.js:1: the clock is"],
        );
        check("const t = performance.now()", &["f.js:1: the clock is"]);
        check(
            "async () => {\n await fetch('x')\n}",
            &["f.js:2: fetch reaches the"],
        );
        check("globalThis.fetch('x')", &["f.js:1: fetch reaches the"]);
        check("function fetch() {} fetch('x')", &[]);
        check("export default { fetch(request) { return 1 } }", &[]);
        check(
            "a.sort((a, b) => a.localeCompare(b)); n.toLocaleString()",
            &[],
        );
        check("new Intl.NumberFormat()", &[]);
        check(
            "\nnew Intl.DurationFormat('de')",
            &["f.js:2: the runtime javascript"],
        );
        check("process.exit()", &["f.js:1: the runtime javascript"]);
    }

    #[test]
    fn a_handler_called_fetch_sends_nothing() {
        let source = "const fetch2 = 1; export default { fetch };\nDate.now()";
        let told = notes("f.js", source, Role::Http);
        assert!(
            told.len() == 1 && told[0].starts_with("f.js:2: the clock"),
            "{told:?}"
        );
        assert_eq!(notes("f.js", source, Role::Json).len(), 2);
        let calling =
            "export default {\n async fetch(request) {\n return fetch('https://a.example') } };";
        let told = notes("f.js", calling, Role::Http);
        assert!(
            told.len() == 1 && told[0].starts_with("f.js:3: fetch reaches the hosts"),
            "{told:?}"
        );
    }

    #[test]
    fn parts_of_a_bundle_are_told_with_their_package() {
        let source = "\n// node_modules/luxon/src/x.js\nconst f = new Worker();\nconst d = Date.now();\n// f.js\nDate.now()";
        check(
            source,
            &["f.js:3 (of luxon/src/x.js): the", "f.js:6: the clock is"],
        );
        check(
            "// node_modules/a/a.js\ntypeof Worker",
            &["f.js:2: Worker is not"],
        );
        check("\n// node_modules/a/a.js\ntypeof Worker", &[]);
    }

    #[test]
    fn many_names_are_cut_short() {
        let source = "Atomics; BroadcastChannel; EventSource; Intl.DisplayNames; SharedArrayBuffer; WebAssembly; WebSocket; \
             Worker; XMLHttpRequest; fetch";
        assert_eq!(
            notes("f.js", source, Role::Json).last().unwrap(),
            "and 2 more names like these"
        );
    }
}
