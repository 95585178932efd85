//! The keys of `top`.

use std::io::{ErrorKind, Read as _};

use tokio::sync::mpsc;

/// Keys that were pressed and not looked at yet; more are dropped.
const KEYS_WAITING: usize = 64;
/// Longest escape sequence.
const SEQUENCE_BYTES_MAX: usize = 8;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopKey {
    Quit,
    Sort,
    Pause,
    Failures,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// The keys as they are pressed.
pub(super) struct Keys(mpsc::Receiver<TopKey>);

impl Keys {
    /// Reads them from stdin, in a thread of its own: a terminal can be read by waiting only. The thread ends with the program.
    pub(super) fn read() -> Self {
        let (sender, receiver) = mpsc::channel(KEYS_WAITING);
        std::thread::spawn(move || {
            let mut parser = KeyParser::default();
            let mut bytes = [0; 64];
            loop {
                let count = match std::io::stdin().lock().read(&mut bytes) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
                for key in bytes[..count].iter().filter_map(|byte| parser.push(*byte)) {
                    if matches!(
                        sender.try_send(key),
                        Err(mpsc::error::TrySendError::Closed(_))
                    ) {
                        return;
                    }
                }
            }
        });
        Self(receiver)
    }

    /// The next key; `None` when the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<TopKey> {
        self.0.recv().await
    }
}

/// The reader of the bytes that terminals send for keys.
#[derive(Debug, Default)]
struct KeyParser {
    /// The escape sequence that has begun.
    sequence: Vec<u8>,
}

impl KeyParser {
    fn push(&mut self, byte: u8) -> Option<TopKey> {
        if byte == 0x1b {
            self.sequence = vec![byte];
            return None;
        }
        match self.sequence.len() {
            0 => plain(byte),
            1 if matches!(byte, b'[' | b'O') => {
                self.sequence.push(byte);
                None
            }
            // A lone escape, and a key after it.
            1 => {
                self.sequence.clear();
                plain(byte)
            }
            _ => {
                self.sequence.push(byte);
                let ends = matches!(byte, 0x40..=0x7e);
                let key = ends.then(|| of_sequence(&self.sequence[2..])).flatten();
                if ends || self.sequence.len() > SEQUENCE_BYTES_MAX {
                    self.sequence.clear();
                }
                key
            }
        }
    }
}

const fn plain(byte: u8) -> Option<TopKey> {
    Some(match byte {
        // Control-C and control-D.
        b'q' | b'Q' | 0x03 | 0x04 => TopKey::Quit,
        b's' | b'S' => TopKey::Sort,
        b'p' | b'P' => TopKey::Pause,
        b'f' | b'F' => TopKey::Failures,
        b'k' => TopKey::Up,
        b'j' => TopKey::Down,
        b' ' => TopKey::PageDown,
        b'g' => TopKey::First,
        b'G' => TopKey::Last,
        _ => return None,
    })
}

fn of_sequence(sequence: &[u8]) -> Option<TopKey> {
    Some(match sequence {
        b"A" => TopKey::Up,
        b"B" => TopKey::Down,
        b"5~" => TopKey::PageUp,
        b"6~" => TopKey::PageDown,
        b"H" | b"1~" | b"7~" => TopKey::First,
        b"F" | b"4~" | b"8~" => TopKey::Last,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes_and_sequences() {
        let read = |bytes: &[u8]| {
            let mut parser = KeyParser::default();
            bytes
                .iter()
                .filter_map(|byte| parser.push(*byte))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            read(b"spfq\x03"),
            [
                TopKey::Sort,
                TopKey::Pause,
                TopKey::Failures,
                TopKey::Quit,
                TopKey::Quit
            ]
        );
        assert_eq!(
            read(b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~"),
            [
                TopKey::Up,
                TopKey::Down,
                TopKey::PageUp,
                TopKey::PageDown,
                TopKey::First,
                TopKey::Last
            ]
        );
        // Others say nothing, and swallow nothing.
        assert_eq!(read(b"x\x1b[1;5Cq"), [TopKey::Quit]);
        assert_eq!(
            read(b"\x1bq\x1b\x1b[Aq"),
            [TopKey::Quit, TopKey::Up, TopKey::Quit]
        );
        assert_eq!(read(b"\x1b[0000000000q"), [TopKey::Quit]);
    }
}
