//! Reading answers that come line by line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

/// Longest line: a problem with the end of a function's log, in which every byte is escaped.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no further line.
pub(crate) enum LineFault {
    /// A line is longer than allowed.
    TooLong,
    /// Nothing came for so long.
    Silence(Duration),
    /// The connection gave up.
    Transport(reqwest::Error),
}

/// The lines of an answer's body.
#[derive(Debug)]
pub(crate) struct Lines {
    response: reqwest::Response,
    /// What came and was not given out yet.
    buffer: BytesMut,
    /// Bytes of the buffer in which there is no end of a line.
    searched: usize,
    silence: Duration,
}

impl Lines {
    /// The lines of this answer, which must not be silent for longer.
    pub(crate) fn new(response: reqwest::Response, silence: Duration) -> Self {
        Self {
            response,
            buffer: BytesMut::new(),
            searched: 0,
            silence,
        }
    }

    /// The next line without its end, `None` at the end of the answer. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, LineFault> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(LineFault::TooLong);
            }
            let read = timeout(self.silence, self.response.chunk()).await;
            match read
                .map_err(|_| LineFault::Silence(self.silence))?
                .map_err(LineFault::Transport)?
            {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let Some(end) = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n')
        else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + end + 1);
        line.truncate(line.len() - 1);
        self.searched = 0;
        Some(line.freeze())
    }
}
