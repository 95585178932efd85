//! The signals that end a command which has something to clean up.

use rustix::process::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::failure::Failure;

/// The state of this process, as Linux shows it.
const STATUS: &str = "/proc/self/status";

/// The signals by which people, terminals and supervisors end a program. From its making on they no longer end it by
/// themselves: whoever makes it must not block before it awaits them.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupted: Signal,
    terminated: Signal,
    /// `None` if it is ignored, as `nohup` asks for.
    hung_up: Option<Signal>,
}

impl Interrupts {
    /// Takes the signals over.
    pub(crate) fn new() -> Result<Self, Failure> {
        let of = |kind| {
            signal(kind).map_err(|fault| {
                Failure::new(
                    Exit::Request,
                    format!("failed to wait for signals: {fault}"),
                )
            })
        };
        let status = std::fs::read_to_string(STATUS).unwrap_or_default();
        let hung_up = match ignores(&status, SignalNumber::HUP) {
            true => None,
            false => Some(of(SignalKind::hangup())?),
        };
        Ok(Self {
            interrupted: of(SignalKind::interrupt())?,
            terminated: of(SignalKind::terminate())?,
            hung_up,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        let Self {
            interrupted,
            terminated,
            hung_up,
        } = self;
        let hung_up = async {
            match hung_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether a process of this state ignores a signal.
fn ignores(status: &str, signal: SignalNumber) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (signal.as_raw() - 1)) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_in_the_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        for (mask, ignored) in [
            ("0000000000000001", true),
            ("0000000000001001", true),
            ("0000000000001000", false),
            ("0000000000000000", false),
            ("", false),
        ] {
            assert_eq!(ignores(&status(mask), SignalNumber::HUP), ignored, "{mask}");
        }
        assert!(ignores(&status("0000000000004000"), SignalNumber::TERM));
        assert!(!ignores("", SignalNumber::HUP));
    }
}
