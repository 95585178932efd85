//! Reading answers that come line by line.

use bytes::{Bytes, BytesMut};

use crate::call::Answer;
use crate::error::ClientError;

/// Longest line: a problem with the end of a function's log, in which every byte is escaped.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The lines of an answer's body.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) answer: Answer,
    /// Bytes that were received and not yet returned.
    buffer: BytesMut,
    /// Bytes of the buffer in which there is no end of a line.
    searched: usize,
}

impl Lines {
    pub(crate) fn new(answer: Answer) -> Self {
        Self {
            answer,
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    /// The next line without its end, `None` at the end of the answer. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(self.answer.misread(&"one of its lines is too long"));
            }
            match self.answer.chunk().await? {
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
