//! Rust sources: purpose, size, statics, clocks, unfinished business.

use anyhow::Result;

use crate::lexer::{code_only, functions};
use crate::repository::{files_ending, none, read};

const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 100;

/// Longer functions, each with its reason: file, name, reason.
const LONG_FUNCTIONS: [(&str, &str, &str); 1] = [(
    "crates/serverledge-api/tests/main/errors.rs",
    "of_requests_to_deploy",
    "a table, one answer a paragraph",
)];

/// Statics that hold something with inner mutability, each with its reason: file, name, reason.
const STATICS: [(&str, &str, &str); 4] = [
    (
        "crates/serverledge-executor-wasm/src/outbound.rs",
        "FORBIDDEN",
        "written once, then read only: a filter of header names",
    ),
    (
        "crates/serverledge-executor-docker/tests/main/support.rs",
        "TESTS",
        "bounds the tests that use containers at once, which are threads of one process",
    ),
    (
        "tests/tests/containers/support/turn.rs",
        "TURNS",
        "the same",
    ),
    (
        "tests/tests/e2e/support/programs.rs",
        "PROGRAMS",
        "written once: the programs are built once for a test process",
    ),
];

/// Words that stand for a clock, a file, a socket, a runtime or a format.
const IMPURE: [&str; 10] = [
    "tokio",
    "serde",
    "std::net",
    "std::fs",
    "std::io",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant::now",
    "std::thread",
];

fn sources() -> Result<Vec<(String, String)>> {
    files_ending(".rs")?
        .into_iter()
        .map(|file| read(&file).map(|text| (file, text)))
        .collect()
}

#[test]
fn every_file_opens_with_its_purpose() -> Result<()> {
    let faults: Vec<_> = sources()?
        .into_iter()
        .filter(|(_, text)| {
            !text.starts_with("//! ") || text.lines().next().is_some_and(|line| line.len() < 12)
        })
        .map(|(file, _)| file)
        .collect();
    none("a file opens with `//!` and what it is for", &faults);
    Ok(())
}

#[test]
fn files_are_not_too_long() -> Result<()> {
    let faults: Vec<_> = sources()?
        .into_iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{file}: {lines}"))
        .collect();
    none("a file has at most 1000 lines", &faults);
    Ok(())
}

#[test]
fn functions_are_not_too_long() -> Result<()> {
    let mut faults = Vec::new();
    for (file, text) in sources()? {
        for function in functions(&code_only(&text)) {
            let allowed = LONG_FUNCTIONS
                .iter()
                .any(|(known, name, _)| *known == file && *name == function.name);
            if function.lines > FUNCTION_LINES_MAX && !allowed {
                faults.push(format!(
                    "{file}:{}: {} has {} lines",
                    function.line, function.name, function.lines
                ));
            }
        }
    }
    none("a function has at most 100 lines", &faults);
    Ok(())
}

#[test]
fn there_are_no_mutable_statics() -> Result<()> {
    let mut faults = Vec::new();
    for (file, text) in sources()? {
        let code = code_only(&text);
        if code.contains("thread_local!") {
            faults.push(format!("{file}: thread_local!"));
        }
        for declaration in statics(&code) {
            let inner = [
                "Mutex",
                "RwLock",
                "Atomic",
                "Once",
                "Lazy",
                "Cell",
                "ArcSwap",
                "Semaphore",
            ];
            let name = declaration
                .split(':')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            let mutable = declaration.starts_with("mut ")
                || inner.iter().any(|word| declaration.contains(word));
            let allowed = STATICS
                .iter()
                .any(|(known, allowed, _)| *known == file && *allowed == name);
            if mutable && !allowed {
                faults.push(format!("{file}: static {declaration}"));
            }
        }
    }
    none("nothing mutable is static", &faults);
    Ok(())
}

/// The text that follows the keyword in each declaration, up to its value.
fn statics(code: &str) -> Vec<String> {
    let begins = |at: usize| {
        code[..at]
            .chars()
            .next_back()
            .is_none_or(|before| before.is_whitespace())
    };
    let declarations = code.match_indices("static ").filter(|(at, _)| begins(*at));
    let upto_value = |rest: &str| {
        rest.split(['=', ';'])
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    declarations
        .map(|(at, word)| upto_value(&code[at + word.len()..]))
        .collect()
}

#[test]
fn core_and_scheduler_are_pure() -> Result<()> {
    let mut faults = Vec::new();
    for (file, text) in sources()? {
        let pure = [
            "crates/serverledge-core/src/",
            "crates/serverledge-scheduler/src/",
        ]
        .iter()
        .any(|at| file.starts_with(at));
        if !pure || file.ends_with("/tests.rs") {
            continue;
        }
        let code = code_only(&text);
        let own = code.split("#[cfg(test)]").next().unwrap_or_default();
        faults.extend(
            IMPURE
                .iter()
                .filter(|word| own.contains(**word))
                .map(|word| format!("{file}: {word}")),
        );
    }
    none(
        "core and scheduler know no socket, file, clock, runtime or format",
        &faults,
    );
    Ok(())
}

#[test]
fn nothing_is_left_unfinished() -> Result<()> {
    let mut faults = Vec::new();
    for (file, text) in sources()? {
        for (number, line) in code_only(&text).lines().enumerate() {
            let unfinished = ["todo!", "unimplemented!", "dbg!", "#[ignore]"]
                .iter()
                .find(|word| line.contains(**word));
            faults.extend(unfinished.map(|word| format!("{file}:{}: {word}", number + 1)));
        }
    }
    none(
        "nothing is unfinished, and a test that is ignored says why",
        &faults,
    );
    Ok(())
}

/// Only measurements may be left out of a usual run.
#[test]
fn ignored_tests_are_measurements() -> Result<()> {
    let mark = ["#[ignore", " = \""].concat();
    let mut faults = Vec::new();
    for (file, text) in sources()? {
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim_start().starts_with(&mark))
        {
            if !line.contains("measure") {
                faults.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none("only measurements are ignored", &faults);
    Ok(())
}

/// The modules beside the sources are what the sources give: their records say so.
#[test]
fn guests_are_as_recorded() -> Result<()> {
    let output = std::process::Command::new("bash")
        .args(["scripts/build-guests.sh", "--check"])
        .current_dir(crate::repository::root())
        .output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn statics_are_found() {
    let code = "pub static A: &str = x;\nstatic mut B: u8 = 0;\nfn f(x: &'static str) { static C:\n  Mutex<u8> = y; }";
    assert_eq!(statics(code), ["A: &str", "mut B: u8", "C: Mutex<u8>"]);
}
