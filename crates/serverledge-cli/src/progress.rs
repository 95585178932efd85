//! A spinner for what takes longer than about a second; steps of long work where there is no terminal.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{output, text};

/// Nothing is shown before: most calls are over by then.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Runs `work`; once it has taken a second, shows `message` and the time on stderr, if that is a terminal.
/// Dropping the future drops `work` and removes the line.
pub(crate) async fn during<T>(message: &str, work: impl Future<Output = T>) -> T {
    Steps::new(message.to_owned()).during(work).await
}

/// The same for work whose message is written to stderr at once where it is no terminal: a log tells what was waited for.
pub(crate) async fn announced<T>(message: &str, work: impl Future<Output = T>) -> T {
    let steps = Steps::new(message.to_owned());
    if !steps.is_terminal {
        output::warn(&text::one_line(message));
    }
    steps.during(work).await
}

/// Shows what long work is doing: in a spinner if stderr is a terminal, as plain lines on it otherwise.
pub(crate) struct Steps {
    /// Hidden until it turns.
    bar: ProgressBar,
    is_terminal: bool,
}

impl Steps {
    /// For work that this message describes until its first step.
    pub(crate) fn new(message: String) -> Self {
        let took = |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&took(state.elapsed()));
        };
        let style = ProgressStyle::with_template("{spinner} {msg}{took}")
            .expect("the template is well-formed");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let bar = bar
            .with_style(style.with_key("took", took))
            .with_message(message);
        Self {
            bar,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// A step has begun, or a tool has said something.
    pub(crate) fn step(&self, step: &str) {
        let step = text::one_line(step);
        if !self.is_terminal {
            return output::warn(&step);
        }
        self.bar.set_message(step);
        self.turn();
    }

    /// The spinner turns from now on.
    fn turn(&self) {
        if self.is_terminal && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Sets the text of the spinner; without a terminal it changes nothing.
    pub(crate) fn describe(&self, message: &str) {
        self.bar.set_message(text::one_line(message));
    }

    /// Runs `work`; once it has taken a second, or has told a step, the spinner turns until its end. Dropping the future
    /// drops `work`.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            () = tokio::time::sleep(PATIENCE) => {
                self.turn();
                work.await
            }
        };
        self.bar.finish_and_clear();
        done
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The time that it has taken, in whole seconds; nothing before the first.
fn took(span: Duration) -> String {
    if span < PATIENCE {
        String::new()
    } else {
        format!(" ({})", text::age(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_shown_once_they_have_passed() {
        let shown =
            [18, 999, 1_000, 2_900, 61_000].map(|millis| took(Duration::from_millis(millis)));
        assert_eq!(shown, ["", "", " (1 s)", " (2 s)", " (1 min 1 s)"]);
    }
}
