//! The exit codes. `docs/cli.md` and `--help` say the same; a test holds them together.

use std::process::ExitCode;

/// The exit code of the program. 1 to 4 are Serverledge's own, 5 to 7 are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked.
    Ok = 0,
    /// The command line, a parameter or a setting is wrong; nothing was sent.
    Usage = 1,
    /// The node is unreachable, or refused.
    Request = 2,
    /// The source cannot be read.
    Source = 3,
    /// The signature is wrong.
    Signature = 4,
    /// The function itself failed.
    Function = 5,
    /// The node is overloaded: another try later makes sense.
    Overload = 6,
    /// The asynchronous invocation has not ended yet.
    Pending = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The codes as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  wrong usage or parameters; nothing was sent
  2  the request failed: node unreachable, or it refused
  3  the source cannot be read
  4  the signature is wrong
  5  the function itself failed
  6  the node is overloaded; try again later
  7  the asynchronous invocation has not ended yet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_document_list_every_code() {
        let document = include_str!("../../../docs/cli.md");
        for line in HELP.lines().skip(1) {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            let row = format!("| {code} | {meaning} |");
            assert!(document.contains(&row), "docs/cli.md lacks {row}");
        }
        assert_eq!(HELP.lines().count() - 1, Exit::Pending as usize + 1);
    }
}
