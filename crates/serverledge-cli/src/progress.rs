//! A spinner for what takes longer than about a second; steps of long work where there is no terminal.

use std::cell::{RefCell, RefMut};
use std::fmt::Write;
use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::Instant;

use crate::{output, text};

/// Nothing is shown before: most calls are over by then.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Runs `work`; once it has taken a second, shows `message` and the time on stderr, if that is a terminal.
/// Dropping the future drops `work` and removes the line.
pub(crate) async fn during<T>(message: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let spinner = Spinner::start(message, begun);
    let done = work.await;
    drop(spinner);
    done
}

/// Shows what long work is doing: in a spinner if stderr is a terminal, as plain lines on it otherwise.
pub(crate) struct Steps {
    message: RefCell<String>,
    is_terminal: bool,
    begun: Instant,
    spinner: RefCell<Option<Spinner>>,
}

impl Steps {
    /// For work that this message describes until its first step.
    pub(crate) fn new(message: String) -> Self {
        let message = RefCell::new(message);
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            message,
            is_terminal,
            begun: Instant::now(),
            spinner: RefCell::new(None),
        }
    }

    /// A step has begun, or a tool has said something.
    pub(crate) fn step(&self, step: &str) {
        let step = text::one_line(step);
        if !self.is_terminal {
            return output::warn(&step);
        }
        self.turn().show(&step);
    }

    /// The spinner, which turns from now on.
    fn turn(&self) -> RefMut<'_, Spinner> {
        let start = || Spinner::start(&self.message.borrow(), self.begun);
        RefMut::map(self.spinner.borrow_mut(), |spinner| {
            spinner.get_or_insert_with(start)
        })
    }

    /// What the spinner says from now on; without a terminal it changes nothing.
    pub(crate) fn describe(&self, message: &str) {
        let message = text::one_line(message);
        if let Some(spinner) = &*self.spinner.borrow() {
            spinner.show(&message);
        }
        self.message.replace(message);
    }

    /// Runs `work`; once it has taken a second, or has told a step, the spinner turns until its end. Dropping the future
    /// drops `work`.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = tokio::time::sleep(PATIENCE) => None,
        };
        let done = match done {
            Some(done) => done,
            None => {
                if self.is_terminal {
                    drop(self.turn());
                }
                work.await
            }
        };
        self.spinner.take();
        done
    }
}

/// How long it has taken, in whole seconds; nothing before the first.
fn took(span: Duration) -> String {
    if span < PATIENCE {
        String::new()
    } else {
        format!(" ({})", text::age(span))
    }
}

struct Spinner(ProgressBar);

impl Spinner {
    fn start(message: &str, begun: Instant) -> Self {
        let took = |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&took(state.elapsed()));
        };
        let style = ProgressStyle::with_template("{spinner} {msg}{took}")
            .expect("the template is well-formed");
        let style = style.with_key("took", took);
        let bar = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(message.to_owned());
        let bar = bar.with_elapsed(begun.elapsed());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    fn show(&self, step: &str) {
        self.0.set_message(step.to_owned());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
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
