//! `invocation`: an invocation's state and its runs; the end of an asynchronous one, and putting an end to it.

use std::fmt::Write as _;

use serverledge_client::{ClientError, is_function_failure};
use serverledge_wire::invocations::{
    CallbackInfo, HistoryEntry, InvocationInfo, InvocationProblem,
};
use serverledge_wire::records::InvocationState;
use tokio::time;

use super::poll::{PAUSE_MAX, PAUSE_MIN, within};
use super::session::Session;
use super::{invocation_list, run_report};
use crate::arguments::{IdArgs, InvocationCommand, WaitArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Steps;
use crate::{json, text};

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &InvocationCommand) -> Result<(), Failure> {
    match command {
        InvocationCommand::List(args) => invocation_list::list(session, args).await,
        InvocationCommand::Show(args) => show(session, args).await,
        InvocationCommand::Cancel(args) => cancel(session, args).await,
        InvocationCommand::Wait(args) => wait(session, args).await,
    }
}

async fn show(session: &Session, IdArgs { id }: &IdArgs) -> Result<(), Failure> {
    session
        .answer(
            &format!("asking for {id}"),
            session.client.invocation(id),
            failed("show", id),
            report,
        )
        .await
}

async fn cancel(session: &Session, IdArgs { id }: &IdArgs) -> Result<(), Failure> {
    let told =
        |info: &InvocationInfo| format!("{} is {}", text::one_line(&info.id), word(info.state));
    session
        .answer(
            &format!("cancelling {id}"),
            session.client.cancel(id),
            failed("cancel", id),
            told,
        )
        .await
}

async fn wait(session: &Session, args: &WaitArgs) -> Result<(), Failure> {
    let id = &args.invocation.id;
    let steps = Steps::new(format!("waiting for {id}"));
    let Some(answer) = steps
        .during(within(args.timeout, until_ended(session, id, &steps)))
        .await
    else {
        let failure = Failure::new(
            Exit::Pending,
            format!("invocation {id:?} has not ended yet"),
        );
        return Err(failure.hint("`--timeout` waits longer; without it there is no limit"));
    };
    let info = answer.map_err(failed("wait for", id))?;
    session.show(&info, report)?;
    outcome(&info)
}

async fn until_ended(
    session: &Session,
    id: &str,
    steps: &Steps,
) -> Result<InvocationInfo, ClientError> {
    let mut pause = PAUSE_MIN;
    loop {
        let info = session.client.invocation(id).await?;
        if !matches!(
            info.state,
            InvocationState::Queued | InvocationState::Running
        ) {
            return Ok(info);
        }
        steps.describe(&match info.attempts {
            0 | 1 => format!("waiting for {id}: {}", word(info.state)),
            attempts => format!("waiting for {id}: {}, attempt {attempts}", word(info.state)),
        });
        time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The exit code for the state in which an invocation ended: everything but a result is a failure.
fn outcome(info: &InvocationInfo) -> Result<(), Failure> {
    let words = match info.state {
        InvocationState::Done => return Ok(()),
        InvocationState::Cancelled => "the invocation was cancelled",
        InvocationState::Expired => "the invocation expired",
        _ if is_of_function(info) => "the function failed",
        _ => "the invocation failed",
    };
    let exit = if is_of_function(info) {
        Exit::Function
    } else {
        Exit::Request
    };
    let why = info
        .error
        .as_ref()
        .map(|error| format!(": {}", why(error)))
        .unwrap_or_default();
    Err(Failure::new(exit, format!("{words}{why}")))
}

fn is_of_function(info: &InvocationInfo) -> bool {
    let code = info.error.as_ref().map_or("", |error| &error.code);
    info.state == InvocationState::Failed && is_function_failure(code)
}

fn failed(action: &str, id: &str) -> impl FnOnce(ClientError) -> Failure {
    move |error| {
        Failure::of_call(&format!("{action} invocation {id:?}"), error)
            .hint_for(
                &["invocation_unknown"],
                "what has ended is forgotten after a while; was it another cluster?",
            )
            .hint_for(
                &["invocation_ended"],
                format!("`serverledge-cli invocation show {id}` shows how it ended"),
            )
    }
}

// === for people ===

/// Facts, history, runs and result of an invocation, or of a dead letter, which is one.
pub(super) fn report(info: &InvocationInfo) -> String {
    let time = |unix_ms: Option<u64>| unix_ms.map(text::time).unwrap_or_default();
    let facts = [
        ("id", info.id.clone()),
        ("function", info.function.clone()),
        ("version", text::version(&info.version)),
        ("state", word(info.state).to_owned()),
        ("error", info.error.as_ref().map(why).unwrap_or_default()),
        ("attempts", info.attempts.to_string()),
        ("accepted", text::time(info.accepted_unix_ms)),
        ("begun", time(info.started_unix_ms)),
        ("ended", time(info.finished_unix_ms)),
        ("node", info.node.clone().unwrap_or_default()),
        (
            "dead letter",
            if info.dead_letter { "yes" } else { "" }.to_owned(),
        ),
        ("redrive of", info.redrive_of.clone().unwrap_or_default()),
        (
            "callback",
            info.callback.as_ref().map(callback).unwrap_or_default(),
        ),
    ];
    let mut shown = text::known_facts(facts);
    if !info.history.is_empty() {
        let _ = write!(shown, "\nhistory:\n{}", history(&info.history));
    }
    if !info.runs.is_empty() {
        let _ = write!(shown, "\nruns:\n{}", run_report::runs(&info.runs));
    }
    if let Some(result) = &info.result {
        let result = json::pretty(result.get()).unwrap_or_else(|| text::printable(result.get()));
        let _ = write!(shown, "\nresult:\n{result}");
    }
    shown
}

fn history(entries: &[HistoryEntry]) -> String {
    let row = |entry: &HistoryEntry| {
        vec![
            format!("  {}", text::time(entry.unix_ms)),
            text::one_line(&entry.event),
            text::one_line(&entry.node),
        ]
    };
    text::table(&entries.iter().map(row).collect::<Vec<_>>())
}

fn callback(callback: &CallbackInfo) -> String {
    let attempts = match callback.attempts {
        1 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    };
    let why = callback
        .last_error
        .as_ref()
        .map(|error| format!(", the last failed: {error}"))
        .unwrap_or_default();
    format!(
        "{} to {} after {attempts}{why}",
        callback.state, callback.url
    )
}

/// The error and its code, in one line.
pub(super) fn why(error: &InvocationProblem) -> String {
    format!("{} ({})", error.message, error.code)
}

const fn word(state: InvocationState) -> &'static str {
    match state {
        InvocationState::Queued => "queued",
        InvocationState::Running => "running",
        InvocationState::Done => "done",
        InvocationState::Failed => "failed",
        InvocationState::Cancelled => "cancelled",
        InvocationState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn info(members: &str) -> InvocationInfo {
        let text = format!(
            r#"{{"id":"01890000-0000-7000-8000-00000000000a","function":"f","version":"0123456789abcdef","attempts":1,
            "accepted_unix_ms":1772323200000,{members}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn reports_are_readable_and_tame() {
        let done = info(
            r#""state":"done","started_unix_ms":1772323200001,"finished_unix_ms":1772323201002,"node":"n1\u001b[2J",
            "result":{"a":[1]},"history":[{"unix_ms":1772323200000,"event":"accepted","node":"n1"},
            {"unix_ms":1772323200001,"event":"begun","node":"n2"}]"#,
        );
        expect![[r#"
            id        01890000-0000-7000-8000-00000000000a
            function  f
            version   0123456789ab
            state     done
            attempts  1
            accepted  2026-03-01T00:00:00.000Z
            begun     2026-03-01T00:00:00.001Z
            ended     2026-03-01T00:00:01.002Z
            node      n1\u{1b}[2J
            history:
              2026-03-01T00:00:00.000Z  accepted  n1
              2026-03-01T00:00:00.001Z  begun     n2
            result:
            {
              "a": [
                1
              ]
            }"#]]
        .assert_eq(&report(&done));
        let dead = info(
            r#""state":"failed","error":{"code":"attempts_exhausted","message":"three\nnodes died"},"dead_letter":true,
            "redrive_of":"b","callback":{"url":"https://a.example/","state":"pending","attempts":2,"last_error":"refused"},
            "history":[]"#,
        );
        expect![[r#"
            id           01890000-0000-7000-8000-00000000000a
            function     f
            version      0123456789ab
            state        failed
            error        three\nnodes died (attempts_exhausted)
            attempts     1
            accepted     2026-03-01T00:00:00.000Z
            dead letter  yes
            redrive of   b
            callback     pending to https://a.example/ after 2 attempts, the last failed: refused"#]]
        .assert_eq(&report(&dead));
    }

    fn check(members: &str, exit: Exit, expected: &Expect) {
        let shown = match outcome(&info(members)) {
            Ok(()) => {
                assert_eq!(exit, Exit::Ok);
                String::new()
            }
            Err(failure) => {
                assert_eq!(failure.exit(), exit);
                failure.render(false)
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn ends_lead_to_exit_codes() {
        check(
            r#""state":"done","result":null,"history":[]"#,
            Exit::Ok,
            &expect![],
        );
        check(
            r#""state":"failed","error":{"code":"function_trap","message":"unreachable"},"history":[]"#,
            Exit::Function,
            &expect!["error: the function failed: unreachable (function_trap)"],
        );
        check(
            r#""state":"failed","error":{"code":"attempts_exhausted","message":"three nodes died"},"history":[]"#,
            Exit::Request,
            &expect!["error: the invocation failed: three nodes died (attempts_exhausted)"],
        );
        check(
            r#""state":"cancelled","history":[]"#,
            Exit::Request,
            &expect!["error: the invocation was cancelled"],
        );
        check(
            r#""state":"expired","error":{"code":"expired","message":"too old"},"history":[]"#,
            Exit::Request,
            &expect!["error: the invocation expired: too old (expired)"],
        );
    }
}
