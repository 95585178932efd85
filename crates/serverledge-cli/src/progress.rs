//! A spinner for what takes longer than about a second.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

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
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let spinner = Spinner::start(message);
    let done = work.await;
    drop(spinner);
    done
}

struct Spinner(ProgressBar);

impl Spinner {
    fn start(message: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is well-formed");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(message.to_owned()).with_elapsed(PATIENCE);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
