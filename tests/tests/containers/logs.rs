//! `logs`: what functions printed and when, as it comes: of calls that failed, that were given up, that had been answered; and of
//! their child processes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::e2e::programs::programs;
use crate::support::{Lab, Request, deployed, wait_for};

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

/// Prints, waits so many seconds, and prints again.
const SLOW: &str = "import time
def handler(params):
    print('begun')
    time.sleep(params['seconds'])
    print('ended')
    return 'done'
";

/// The lines of a function's log as objects.
fn lines(lab: &Lab, function: &str) -> Result<Vec<Value>> {
    let shown = lab
        .cli(&["logs", function, "--json"])?
        .assert_code(0)
        .stdout
        .clone();
    Ok(shown
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

/// The line with this text, once it is there.
fn line(lab: &Lab, function: &str, text: &str) -> Result<Value> {
    wait_for(&format!("the line {text:?}"), || {
        Ok(lines(lab, function)?
            .into_iter()
            .find(|line| line["Text"].as_str().is_some_and(|it| it.contains(text))))
    })
}

/// Seconds of the hour at which it was written.
fn seconds(line: &Value) -> Result<f64> {
    let time = line["Time"].as_str().context("a line has a time")?;
    Ok(time[14..16].parse::<f64>()? * 60.0 + time[17..23].parse::<f64>()?)
}

#[test]
fn lines_come_while_the_call_runs_and_have_their_times() -> Result<()> {
    let lab = Lab::start()?;
    lab.python_with("f", SLOW, &json!({"Timeout": 120}))?;
    std::thread::scope(|scope| {
        let call = scope.spawn(|| lab.call("f", &json!({"seconds": 20})));
        line(&lab, "f", "begun")?;
        assert!(!call.is_finished(), "the line came with the answer");
        assert_eq!(call.join().expect("the call does not panic")?, "done");
        anyhow::Ok(())
    })?;
    let begun = line(&lab, "f", "begun")?;
    let ended = line(&lab, "f", "ended")?;
    let apart = (seconds(&ended)? - seconds(&begun)?).rem_euclid(3600.0);
    assert!((19.9..60.0).contains(&apart), "{apart} s lie between them");
    let id = begun["Invocation"]
        .as_str()
        .context("a line has its invocation")?;
    let shown = lab
        .cli(&["logs", "f", "--invocation", &id[24..]])?
        .assert_code(0)
        .stdout
        .clone();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert_eq!(
        lab.cli(&["logs", "f", "--invocation", "ffffffffffff"])?
            .assert_code(0)
            .stdout,
        ""
    );
    Ok(())
}

#[test]
fn a_call_whose_client_leaves_is_counted_and_has_its_log() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("f", SLOW)?;
    let mut client = lab.connect()?;
    client.send_only(&Request::json(
        "/invoke/f",
        &json!({"Params": {"seconds": 30}}),
    ))?;
    line(&lab, "f", "begun")?;
    drop(client);
    let counted = r#"serverledge_abandoned_total{function="f"} 1"#;
    wait_for("the count of the abandoned call", || {
        Ok(lab.get("/metrics")?.text().contains(counted).then_some(()))
    })?;
    line(&lab, "f", "begun")?;
    Ok(())
}

/// Prints in every way that goes past the language's own streams, and then outlasts the engine, which notes the time.
const PARENTS: [(&str, &str); 2] = [
    (
        "python",
        "import os, subprocess, time
print('at load')
def handler(params):
    subprocess.run(['/bin/sh', '-c', 'echo from a child; echo and its errors >&2'])
    os.system('echo from a shell')
    os.write(2, b'past the agent\\n')
    time.sleep(3)
",
    ),
    (
        "nodejs",
        "const { spawnSync } = require('child_process');
console.log('at load');
exports.handler = () => {
  spawnSync('/bin/sh', ['-c', 'echo from a child; echo and its errors >&2; echo from a shell'], { stdio: 'inherit' });
  require('fs').writeSync(2, 'past the agent\\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
};
",
    ),
];

#[test]
fn what_children_and_loading_print_is_there() -> Result<()> {
    let lab = Lab::start()?;
    for (runtime, code) in PARENTS {
        deployed(&lab.try_source(runtime, runtime, code, &json!({}))?)?;
        lab.call(runtime, &json!({}))?;
        for text in [
            "from a child",
            "and its errors",
            "from a shell",
            "past the agent",
        ] {
            assert_eq!(
                line(&lab, runtime, text)?["Invocation"]
                    .as_str()
                    .map(str::len),
                Some(36),
                "{runtime}: {text}"
            );
        }
        line(&lab, runtime, "at load")?;
    }
    Ok(())
}

/// The first call leaves a promise behind that fails after its answer.
const LATE: &str = "const { setTimeout: pause } = require('timers/promises');
async function report(who) {
  await pause(150);
  console.log('late line of', who);
  throw new Error(`late failure of ${who}`);
}
module.exports = async ({ who, forget, wait = 0 }) => {
  console.log('called by', who);
  if (forget) report(who);
  await pause(wait);
  return `done: ${who}`;
};
";

#[test]
fn a_late_failure_is_nobodys_answer() -> Result<()> {
    let lab = Lab::start()?;
    for (function, at_once) in [("one", 1), ("several", 4)] {
        deployed(&lab.try_source(
            function,
            "nodejs",
            LATE,
            &json!({"MaxConcurrency": at_once}),
        )?)?;
        assert_eq!(
            lab.call(function, &json!({"who": "Ada", "forget": true}))?,
            "done: Ada"
        );
        let bob = lab.invoke(function, &json!({"who": "Bob", "wait": 600}))?;
        assert_eq!(bob.result()?, "done: Bob");
        let own = line(&lab, function, "called by Ada")?;
        for text in ["late line of Ada", "late failure of Ada"] {
            assert_eq!(
                line(&lab, function, text)?["Invocation"],
                own["Invocation"],
                "{function}: {text}"
            );
        }
        // The container is spent; it was so before Bob's call if that was not warm.
        if bob.json()?["IsWarmStart"] == true {
            wait_for("a call in another container", || {
                Ok((!lab.call_is_warm(function)?).then_some(()))
            })?;
        }
    }
    Ok(())
}
