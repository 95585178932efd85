//! `logs`: what a function wrote.

use std::fmt::Write as _;

use serverledge_client::WantedLog;
use serverledge_wire::stream::LogLine;

use super::session::{Session, function_name};
use crate::arguments::LogsArgs;
use crate::failure::Failure;
use crate::{output, progress, text};

/// Characters of an invocation's id that are shown.
const ID_CHARS: usize = 12;
/// In the place of an id where none is known.
const NO_ID: &str = "-";

/// Runs the command: line by line, as they come, until the end or until the reader has gone.
pub(super) async fn logs(session: &Session, args: &LogsArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
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
        let reader_stays = match line.skipped {
            _ if session.json => output::line(&serde_json::to_string(&line).unwrap_or_default())?,
            Some(count) => {
                output::note(&format!(
                    "{count} pieces of the log were skipped: they came too fast"
                ));
                true
            }
            None => output::line(&rendered(&line))?,
        };
        if !reader_stays {
            break;
        }
    }
    Ok(())
}

/// Time, end of the invocation's id, text; control characters cannot steer the terminal.
fn rendered(line: &LogLine) -> String {
    let id = &line.invocation;
    let end = id
        .char_indices()
        .rev()
        .nth(ID_CHARS - 1)
        .map_or(0, |(at, _)| at);
    let shown_id = if id.is_empty() { NO_ID } else { &id[end..] };
    let mut shown = output::dim(&text::one_line(&format!("{} {shown_id}", line.time)));
    let _ = write!(
        shown,
        " {}",
        text::one_line(line.text.as_deref().unwrap_or_default())
    );
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
}
