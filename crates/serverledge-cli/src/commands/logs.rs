//! `logs`: what functions wrote.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serverledge_client::{EventUpdate, LogStream, NodeEvent, WantedEvents, WantedLog};
use serverledge_wire::events::{LogEvent, Missed, kind};
use serverledge_wire::stream::LogLine;

use super::run_report;
use super::session::{Session, function_name};
use crate::arguments::LogsArgs;
use crate::failure::Failure;
use crate::{output, progress, text};

/// Runs the command: line by line, as they come, until the end or until the reader has gone.
pub(super) async fn logs(session: &Session, args: &LogsArgs) -> Result<(), Failure> {
    match (args.function.given(), &args.invocation, args.follow) {
        (Some(name), ..) => of_function(session, name, args).await,
        (None, Some(id), false) => of_invocation(session, id, args.tail).await,
        (None, Some(_), true) => {
            Err(
                Failure::usage("to follow one invocation, its function must be named")
                    .hint("without --follow, --invocation ID needs no function"),
            )
        }
        (None, None, true) if args.tail.is_some_and(|tail| tail > 0) => Err(Failure::usage(
            "--tail needs a function or an invocation",
        )
        .hint("without them, --follow shows what comes from now on")),
        (None, None, true) => of_all(session).await,
        (None, None, false) => Err(Failure::usage("no function is named").hint(
            "name one with --function; --invocation ID shows the log of one invocation, --follow that of all functions",
        )),
    }
}

async fn of_function(session: &Session, name: &str, args: &LogsArgs) -> Result<(), Failure> {
    let name = function_name(name)?;
    let action = if args.follow { "follow" } else { "read" };
    let failed = |error| Failure::of_call(&format!("{action} the log of {name:?}"), error);
    let wanted = WantedLog {
        tail: args.tail,
        follow: args.follow,
        invocation: args.invocation.as_deref(),
    };
    let call = session.client.logs(&name, &wanted);
    let mut log = progress::during(&format!("reading the log of {name}"), call)
        .await
        .map_err(failed)?;
    while let Some(line) = log.next().await.map_err(failed)? {
        if !show(session, &line)? {
            break;
        }
    }
    Ok(())
}

/// The log of one invocation from all nodes.
async fn of_invocation(session: &Session, id: &str, tail: Option<usize>) -> Result<(), Failure> {
    let read = async {
        let log = session.client.invocation_logs(id).await?;
        collect(log, tail.unwrap_or(usize::MAX)).await
    };
    let lines = progress::during(&format!("reading the log of {id}"), read).await;
    let lines = lines.map_err(|error| {
        Failure::of_call(&format!("read the log of invocation {id:?}"), error).hint_for(
            &["invocation_unknown"],
            "its log is forgotten after a while; the end of an id is not enough without the function's name",
        )
    })?;
    for line in &lines {
        if !show(session, line)? {
            break;
        }
    }
    Ok(())
}

/// The last lines of a log.
async fn collect(
    mut log: LogStream,
    tail: usize,
) -> Result<VecDeque<LogLine>, serverledge_client::ClientError> {
    let mut lines = VecDeque::new();
    while let Some(line) = log.next().await? {
        lines.push_back(line);
        if lines.len() > tail {
            lines.pop_front();
        }
    }
    Ok(lines)
}

/// Shows a line; says whether somebody still reads.
pub(super) fn show(session: &Session, line: &LogLine) -> Result<bool, Failure> {
    match line.skipped {
        _ if session.json => output::line(&serde_json::to_string(line).unwrap_or_default()),
        Some(count) => {
            output::note(&format!(
                "{count} pieces of the log were skipped: they came too fast"
            ));
            Ok(true)
        }
        None => output::line(&rendered(line)),
    }
}

// === of all functions ===

/// Prints the lines that all functions write from now on, until the reader has gone.
async fn of_all(session: &Session) -> Result<(), Failure> {
    let failed = |error| {
        Failure::of_call("follow the log of all functions", error).hint_for(
            &["", "route_unknown"],
            "this node has no events: name a function",
        )
    };
    let mut events = session.client.events(WantedEvents {
        kinds: vec![kind::LOG],
        ..WantedEvents::default()
    });
    let mut was_connected = false;
    let mut is_lost = false;
    loop {
        let received = match events.next().await.map_err(failed)? {
            EventUpdate::Event(received) => received,
            EventUpdate::Lost { error, .. } if !was_connected => return Err(failed(error)),
            EventUpdate::Lost { .. } => {
                if !std::mem::replace(&mut is_lost, true) {
                    output::note("the node does not answer; trying again");
                }
                continue;
            }
        };
        was_connected = true;
        is_lost = false;
        let reader_stays = match &received.event {
            NodeEvent::Log(log) => show_event(session, log)?,
            NodeEvent::Missed(missed) => show_missed(session, *missed)?,
            _ => true,
        };
        if !reader_stays {
            return Ok(());
        }
    }
}

fn show_event(session: &Session, event: &LogEvent) -> Result<bool, Failure> {
    if session.json {
        return output::line(&serde_json::to_string(event).unwrap_or_default());
    }
    for line in event.text.lines() {
        if !output::line(&rendered_event(event, line))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn show_missed(session: &Session, missed: Missed) -> Result<bool, Failure> {
    if session.json {
        return output::line(&serde_json::to_string(&missed).unwrap_or_default());
    }
    output::note(&match missed.missed {
        0 => "the node was started anew: lines may be missing".to_owned(),
        count => format!("{count} events were skipped: they came too fast"),
    });
    Ok(true)
}

/// Time, function, end of the invocation's id, text.
fn rendered_event(event: &LogEvent, line: &str) -> String {
    let id = event.invocation.as_deref().unwrap_or_default();
    let head = format!(
        "{} {} {}",
        text::time(event.unix_ms),
        run_report::named(event.app.as_deref(), &event.function),
        run_report::end_of_id(id)
    );
    with_text(&head, line)
}

/// Time, end of the invocation's id, text; control characters cannot steer the terminal.
fn rendered(line: &LogLine) -> String {
    let head = format!("{} {}", line.time, run_report::end_of_id(&line.invocation));
    with_text(&head, line.text.as_deref().unwrap_or_default())
}

fn with_text(head: &str, words: &str) -> String {
    let mut shown = output::dim(&text::one_line(head));
    let _ = write!(shown, " {}", text::one_line(words));
    shown.truncate(shown.trim_end().len());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_and_tame() {
        let line = |invocation: &str, text: &str| LogLine {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            invocation: invocation.to_owned(),
            text: Some(text.to_owned()),
            ..LogLine::default()
        };
        let id = "01890000-0000-7000-8000-00000000000a";
        assert_eq!(
            rendered(&line(id, "a\u{1b}[2J")),
            "2026-01-02T03:04:05.678Z 00000000000a a\\u{1b}[2J"
        );
        assert_eq!(
            rendered(&line("", "loading")),
            "2026-01-02T03:04:05.678Z - loading"
        );
        assert_eq!(rendered(&line("é", "")), "2026-01-02T03:04:05.678Z é");
    }

    #[test]
    fn events_name_their_function() {
        let event = |app: Option<&str>, invocation: Option<&str>| LogEvent {
            unix_ms: 1_772_323_200_000,
            function: "f\u{7}".to_owned(),
            app: app.map(str::to_owned),
            invocation: invocation.map(str::to_owned),
            text: String::new(),
        };
        assert_eq!(
            rendered_event(&event(Some("shop"), Some("0189-00000000000a")), "hi"),
            "2026-03-01T00:00:00.000Z shop/f\\u{7} 00000000000a hi"
        );
        assert_eq!(
            rendered_event(&event(None, None), ""),
            "2026-03-01T00:00:00.000Z f\\u{7} -"
        );
    }
}
