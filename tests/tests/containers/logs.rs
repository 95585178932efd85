//! `logs`: what invocations printed, also those that failed; and as it comes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::e2e::programs::programs;
use crate::support::{Lab, wait_for};

const TALKER: &str = "def handler(params):
    print('says', params['word'])
    if params.get('fail'): raise ValueError('no')
    return 1
";

#[test]
fn logs_show_what_was_printed() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("f", TALKER)?;
    lab.python("quiet", crate::support::ECHO)?;
    lab.call("f", &json!({"word": "one"}))?;
    lab.invoke("f", &json!({"word": "two", "fail": true}))?
        .assert_problem(500, "function_error");
    let shown = lab.cli(&["logs", "f"])?.assert_code(0).stdout.clone();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines.len() >= 2 && lines[0].ends_with("says one"),
        "{shown}"
    );
    assert!(
        lines.iter().any(|line| line.ends_with("says two")),
        "of failed calls as well: {shown}"
    );
    let last = lab
        .cli(&["logs", "f", "--tail", "1"])?
        .assert_code(0)
        .stdout
        .clone();
    assert_eq!(last.lines().count(), 1, "{last}");
    let structured = lab
        .cli(&["logs", "f", "--json"])?
        .assert_code(0)
        .stdout
        .clone();
    let entries = structured
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    assert!(
        entries
            .iter()
            .any(|entry| entry.to_string().contains("says two")),
        "{structured}"
    );
    assert_eq!(lab.cli(&["logs", "quiet"])?.assert_code(0).stdout, "");
    lab.cli(&["logs", "nobody"])?.assert_code(2);
    Ok(())
}

#[test]
fn logs_can_be_followed() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("f", TALKER)?;
    lab.call("f", &json!({"word": "before"}))?;
    let mut client = Command::new(&programs()?.cli)
        .args([
            "logs",
            "f",
            "--follow",
            "-H",
            &lab.address.ip().to_string(),
            "-P",
            &lab.address.port().to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (sender, lines) = mpsc::channel();
    let stdout = client.stdout.take().context("stdout is piped")?;
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let next = |word: &str| {
        wait_for(&format!("the line {word:?}"), || {
            Ok(lines.try_iter().find(|line| line.ends_with(word)))
        })
    };
    next("says before")?;
    lab.call("f", &json!({"word": "after"}))?;
    next("says after")?;
    lab.invoke("f", &json!({"word": "failing", "fail": true}))?;
    next("says failing")?;
    // A follower ends with its function.
    lab.cli(&["delete", "f"])?.assert_code(0);
    let status = wait_for("the end of the client", || Ok(client.try_wait()?))?;
    assert!(status.success());
    Ok(())
}
