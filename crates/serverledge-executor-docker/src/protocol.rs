//! The messages of `docs/container-protocol.md`.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serverledge_core::{FailureKind, FunctionFailure, LogLines, Version, unix_ms};

use crate::bundle::FileEntry;
use crate::config::DockerConfig;
use crate::exchange::ExchangeError;
use crate::prepared::PreparedCode;

/// The JSON part of `POST /bind`.
#[derive(Serialize)]
struct Bind<'a> {
    handler: &'a str,
    env: &'a BTreeMap<String, String>,
    secrets: &'a BTreeMap<String, String>,
    files: &'a [FileEntry],
    log_bytes_max: usize,
    output_bytes_max: usize,
    concurrency: u16,
    memory_mb: u64,
    /// The node reads frames that say when their text was written.
    log_times: bool,
    /// The function may send requests to hosts outside, through the node's socket for them.
    outbound: bool,
}

/// The answer to `POST /bind`; on success only the log is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BindReply {
    pub(crate) code: String,
    pub(crate) error: String,
    pub(crate) message: String,
    pub(crate) stack: String,
    pub(crate) log: String,
}

/// The error that a handler raised.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Raised {
    pub(crate) error: String,
    pub(crate) message: String,
    pub(crate) stack: String,
}

impl Raised {
    pub(crate) fn line(&self) -> String {
        match (self.error.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (error, "") => error.to_owned(),
            (error, message) => format!("{error}: {message}"),
        }
    }
}

/// The body of `POST /bind`.
pub(crate) fn bind_body(
    version: &Version,
    code: &PreparedCode,
    config: &DockerConfig,
) -> serde_json::Result<Bytes> {
    let json = serde_json::to_vec(&Bind {
        handler: &version.handler,
        env: &version.env,
        secrets: &version.secrets.values,
        files: &code.files,
        log_bytes_max: config.log_bytes_max,
        output_bytes_max: config.output_bytes_max,
        concurrency: version.limits.max_concurrency,
        memory_mb: version.limits.memory.get(),
        log_times: true,
        outbound: !version.outbound.is_empty(),
    })?;
    let mut body = BytesMut::with_capacity(4 + json.len() + code.contents.len());
    body.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(&json);
    body.extend_from_slice(&code.contents);
    Ok(body.freeze())
}

pub(crate) fn failure(
    kind: FailureKind,
    message: String,
    stack: Option<String>,
    log: Bytes,
) -> FunctionFailure {
    FunctionFailure {
        kind,
        message,
        stack,
        log,
        stale: false,
    }
}

/// The end of an invocation, as the agent reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Result,
    Failed(FailureKind),
}

/// Reads the frames of an answer to `POST /invoke` as they come; keeps the end of the log.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    log: LogTail,
    lines: LogLines,
    last: Option<(Ending, Bytes)>,
    frame_bytes_max: usize,
}

impl Frames {
    /// Lines go to the function's log as they come.
    pub(crate) fn new(log_bytes_max: usize, output_bytes_max: usize, lines: LogLines) -> Self {
        // An error's message and stack may come where a result would.
        let frame_bytes_max = output_bytes_max.max(1 << 20).max(log_bytes_max);
        Self {
            buffer: BytesMut::new(),
            log: LogTail::new(log_bytes_max),
            lines,
            last: None,
            frame_bytes_max,
        }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), ExchangeError> {
        self.buffer.extend_from_slice(piece);
        while self.buffer.len() >= 5 {
            let length = u32::from_be_bytes([
                self.buffer[1],
                self.buffer[2],
                self.buffer[3],
                self.buffer[4],
            ]) as usize;
            if length > self.frame_bytes_max {
                return Err(ExchangeError::TooLarge(self.frame_bytes_max));
            }
            if self.buffer.len() < 5 + length {
                return Ok(());
            }
            let kind = self.buffer[0];
            self.buffer.advance(5);
            let bytes = self.buffer.split_to(length).freeze();
            self.take(kind, bytes)?;
        }
        Ok(())
    }

    fn take(&mut self, kind: u8, bytes: Bytes) -> Result<(), ExchangeError> {
        if self.last.is_some() {
            return Err(ExchangeError::Broken(None));
        }
        let ending = match kind {
            b'l' => {
                self.write(unix_ms(), &bytes);
                return Ok(());
            }
            b'L' => {
                let (time, text) = bytes
                    .split_first_chunk()
                    .ok_or(ExchangeError::Broken(None))?;
                // The function shares its process with the agent: no line comes from the future.
                self.write(u64::from_be_bytes(*time).min(unix_ms()), text);
                return Ok(());
            }
            b'r' => Ending::Result,
            b'e' => Ending::Failed(FailureKind::Error),
            b'b' => Ending::Failed(FailureKind::BadOutput),
            b't' => Ending::Failed(FailureKind::OutputLimit),
            _ => return Err(ExchangeError::Broken(None)),
        };
        self.last = Some((ending, bytes));
        Ok(())
    }

    fn write(&mut self, time: u64, text: &[u8]) {
        self.log.push(text);
        self.lines.push(time, text);
    }

    /// The end of the log so far.
    pub(crate) fn log(&mut self) -> Bytes {
        self.log.take()
    }

    /// Takes the invocation's end, if the last frame came.
    pub(crate) fn ending(&mut self) -> Option<(Ending, Bytes)> {
        self.last.take()
    }
}

/// The last bytes of a log.
#[derive(Debug)]
pub(crate) struct LogTail {
    bytes: Vec<u8>,
    max: usize,
}

impl LogTail {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            max,
        }
    }

    /// Keeps up to twice as much as needed, so that cutting is rare.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > self.max.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let mut from = self.bytes.len().saturating_sub(self.max);
        // Not within a character.
        while from < self.bytes.len() && self.bytes[from] & 0b1100_0000 == 0b1000_0000 {
            from += 1;
        }
        self.bytes.drain(..from);
    }

    pub(crate) fn take(&mut self) -> Bytes {
        self.cut();
        std::mem::take(&mut self.bytes).into()
    }
}

/// A request of the executor protocol of `custom` images.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExecutorRequest<'a> {
    pub(crate) params: &'a RawValue,
    pub(crate) return_output: bool,
}

/// Its answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExecutorReply {
    pub(crate) success: bool,
    #[serde(default)]
    pub(crate) result: Option<String>,
    #[serde(default)]
    pub(crate) output: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let mut stream = Vec::new();
        for (kind, text) in [
            (b'l', "one "),
            (b'L', "\0\0\0\0\0\0\0\x07two"),
            (b'r', "{\"a\":1}"),
        ] {
            stream.push(kind);
            stream.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(text.as_bytes());
        }
        for step in 1..=stream.len() {
            let mut frames = Frames::new(100, 100, LogLines::new(None, None));
            stream
                .chunks(step)
                .for_each(|piece| frames.push(piece).unwrap());
            assert_eq!(frames.log(), "one two");
            assert_eq!(
                frames.ending(),
                Some((Ending::Result, Bytes::from_static(b"{\"a\":1}")))
            );
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bad in [
            &b"x\0\0\0\0"[..],
            b"r\xff\xff\xff\xff",
            b"r\0\0\0\0r\0\0\0\0",
            b"L\0\0\0\x03abc",
        ] {
            assert!(
                Frames::new(10, 10, LogLines::new(None, None))
                    .push(bad)
                    .is_err(),
                "{bad:?}"
            );
        }
        let mut unfinished = Frames::new(10, 10, LogLines::new(None, None));
        unfinished.push(b"r\0\0\0\x05ab").unwrap();
        assert!(unfinished.ending().is_none());
    }

    #[test]
    fn the_log_keeps_its_end_at_a_character() {
        let mut tail = LogTail::new(4);
        for _ in 0..100 {
            tail.push("aö".as_bytes());
        }
        assert_eq!(
            tail.take(),
            "öaö".as_bytes()[1..].strip_prefix(&[0xb6]).unwrap()
        );
    }
}
