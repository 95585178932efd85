//! Asking back before something is gone for good.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Longest answer that is read: a person types a word.
const ANSWER_BYTES_MAX: u64 = 256;

/// The option of commands that ask back.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask back; without a terminal nothing is asked anyway
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

impl ConfirmArgs {
    /// Asks the person at the terminal whether this shall happen. Scripts, which have none, have said so already.
    ///
    /// # Errors
    /// A failure unless the answer is yes.
    pub(crate) fn ask(&self, question: &str) -> Result<(), Failure> {
        let is_attended = io::stdin().is_terminal() && io::stderr().is_terminal();
        if self.yes || !is_attended {
            return Ok(());
        }
        output::ask(&format!("{question} [y/N] "));
        let mut answer = String::new();
        let read = io::stdin()
            .lock()
            .take(ANSWER_BYTES_MAX)
            .read_line(&mut answer);
        read.map_err(|fault| {
            Failure::new(Exit::Source, format!("failed to read the answer: {fault}"))
        })?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err(declined(&answer))
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn declined(answer: &str) -> Failure {
    if answer.is_empty() {
        // The cursor still stands behind the question.
        output::warn("");
    }
    Failure::usage("nothing was done: the answer was not yes")
        .hint("--yes does it without asking back")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in [
            ("y\n", true),
            (" YES \n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yep\n", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
