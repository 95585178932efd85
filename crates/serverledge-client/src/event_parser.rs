//! Server-sent events as they come in pieces (WHATWG HTML §9.2.6).

use std::collections::VecDeque;
use std::time::Duration;

/// Most bytes of a line, and of the data of one event. The longest event of a node is a piece of a function's log.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentEvent {
    /// The id that the stream goes on from; empty if none was sent yet.
    pub(crate) id: String,
    /// Its kind; `message` if it has none.
    pub(crate) kind: String,
    /// Its data, without the last line end.
    pub(crate) data: String,
}

/// A line or an event is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("one of its events is too long")]
pub(crate) struct EventTooLong;

/// The reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is of the same line end.
    after_return: bool,
    /// The first line has ended, which may have a byte order mark.
    is_begun: bool,
    id: String,
    kind: String,
    data: String,
    retry: Option<Duration>,
    events: VecDeque<SentEvent>,
}

impl EventParser {
    /// For a stream that goes on after this id.
    pub(crate) fn after(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    /// The next whole event.
    pub(crate) fn next(&mut self) -> Option<SentEvent> {
        self.events.pop_front()
    }

    /// The pause before a new connection that the stream asks for.
    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes the next piece of the stream.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            self.end_line()?;
            let is_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_return {
                self.after_return = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.line.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(EventTooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), EventTooLong> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = match std::mem::replace(&mut self.is_begun, true) {
            true => &*text,
            false => text.strip_prefix('\u{feff}').unwrap_or(&text),
        };
        if text.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value))
    }

    /// A line without a field's name is a comment; unknown fields say nothing.
    fn field(&mut self, name: &str, value: &str) -> Result<(), EventTooLong> {
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if self.data.len() + value.len() >= EVENT_BYTES_MAX {
                    return Err(EventTooLong);
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        if data.pop().is_none() {
            return;
        }
        self.events.push_back(SentEvent {
            id: self.id.clone(),
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            },
            data,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The events of a stream that comes in these pieces.
    fn events(pieces: &[&[u8]]) -> Result<Vec<SentEvent>, EventTooLong> {
        let mut parser = EventParser::default();
        for piece in pieces {
            parser.push(piece)?;
        }
        Ok(std::iter::from_fn(|| parser.next()).collect())
    }

    fn check(stream: &str, expected: &[(&str, &str, &str)]) {
        let read = events(&[stream.as_bytes()]).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|event| (&*event.id, &*event.kind, &*event.data))
            .collect();
        assert_eq!(shown, expected, "{stream:?}");
    }

    #[test]
    fn events_have_id_kind_and_data() {
        check("id: e-1\nevent: run\ndata: {}\n\n", &[("e-1", "run", "{}")]);
        check(
            ": sign of life\n\nid:7\r\nevent:log\r\ndata:a\r\ndata: b\r\ndata:  c\r\n\r\n",
            &[("7", "log", "a\nb\n c")],
        );
        // An id holds for the events after it, a kind for its own alone.
        check(
            "id: 1\nevent: run\ndata: a\n\ndata: b\n\nid\ndata\n\n",
            &[
                ("1", "run", "a"),
                ("1", "message", "b"),
                ("", "message", ""),
            ],
        );
        check("\u{feff}data: a\r\rdata: b", &[("", "message", "a")]);
        // Without data there is no event; an id with a NUL is none.
        check(
            "event: run\nid: 3\n\nid: a\0b\nfoo: x\ndata: y\n\n",
            &[("3", "message", "y")],
        );
    }

    #[test]
    fn pauses_are_numbers() {
        let retry = |line: &str| {
            let mut parser = EventParser::default();
            parser.push(line.as_bytes()).unwrap();
            parser.retry()
        };
        assert_eq!(retry("retry: 250\n"), Some(Duration::from_millis(250)));
        for bad in ["retry: x\n", "retry:\n", "retry: -1\n", "retry: 5"] {
            assert_eq!(retry(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let line = vec![b'x'; EVENT_BYTES_MAX];
        assert_eq!(events(&[&line]), Ok(Vec::new()));
        assert_eq!(events(&[&line, b"x"]), Err(EventTooLong));
        let half = format!("data:{}\n", "x".repeat(EVENT_BYTES_MAX / 2));
        assert_eq!(events(&[half.as_bytes()]), Ok(Vec::new()));
        assert_eq!(
            events(&[half.as_bytes(), half.as_bytes()]),
            Err(EventTooLong)
        );
    }

    proptest! {
        /// The pieces in which a stream comes say nothing.
        #[test]
        fn a_stream_may_be_split_anywhere(
            lines in vec(
                prop_oneof![
                    Just("\n".to_owned()), Just("\r".to_owned()), Just("\r\n".to_owned()),
                    "(data|event|id|retry|foo)?:? ?[a-c0-9é\u{feff}]{0,4}(\r\n|\n|\r)",
                ],
                0..24,
            ),
            cuts in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
            prop_assert_eq!(events(&pieces), events(&[&stream]));
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in vec(vec(any::<u8>(), 0..64), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = events(&pieces);
        }
    }
}
