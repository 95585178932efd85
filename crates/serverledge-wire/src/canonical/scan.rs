//! One pass over JSON: whether it is canonical already, and whether its numbers and its depth allow a canonical form.

use super::{DEPTH_MAX, NotCanonical};

/// The largest whole number that every reader of JSON keeps.
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// From here on canonical numbers are written with an exponent (RFC 8785 §3.2.2.3, ECMAScript's rule).
const EXPONENT_FROM: f64 = 1e21;

/// The difference between a JSON text and its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// Nothing.
    Nothing,
    /// It has space between its tokens, as many writers put it there, and is canonical without.
    Space,
    /// More; of its syntax this says nothing.
    More,
}

/// Finds the difference between a JSON text and its canonical form.
pub(super) fn scan(json: &[u8]) -> Result<Lacks, NotCanonical> {
    let text = std::str::from_utf8(json).map_err(|_| NotCanonical::NotJson)?;
    let mut scan = Scan {
        text,
        at: 0,
        canonical: true,
        spaces: 0,
    };
    scan.value(0)?;
    scan.space();
    match (scan.at == json.len(), scan.canonical, scan.spaces) {
        (false, ..) => Err(NotCanonical::NotJson),
        (true, true, 0) => Ok(Lacks::Nothing),
        (true, true, _) => Ok(Lacks::Space),
        (true, false, _) => Ok(Lacks::More),
    }
}

/// JSON without the space between its tokens.
pub(super) fn without_space(json: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            kept.push(*byte);
        }
        in_string ^= *byte == b'"' && !escaped;
        escaped = in_string && *byte == b'\\' && !escaped;
    }
    kept
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// But for space.
    canonical: bool,
    spaces: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.spaces += 1;
            self.at += 1;
        }
    }

    /// Steps over this byte, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotCanonical> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(NotCanonical::NotJson)
        }
    }

    /// `depth`: how many arrays and objects it is in. Recursion ends at [`DEPTH_MAX`].
    fn value(&mut self, depth: usize) -> Result<(), NotCanonical> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(NotCanonical::TooDeep),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<(), NotCanonical> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let known = ["null", "true", "false"]
            .into_iter()
            .find(|literal| rest.starts_with(literal));
        self.at += known.ok_or(NotCanonical::NotJson)?.len();
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), NotCanonical> {
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), NotCanonical> {
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        let mut last: Option<&str> = None;
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(NotCanonical::NotJson);
            }
            let (name, escaped) = self.string()?;
            // The order of names with escapes is left to the writer.
            if escaped || last.is_some_and(|last| !precedes(last, name)) {
                self.canonical = false;
            }
            last = Some(name);
            self.space();
            self.expect(b':')?;
            self.value(depth)?;
            self.space();
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Returns the text between the quotes, and whether there are escapes in it.
    fn string(&mut self) -> Result<(&'a str, bool), NotCanonical> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let (from, mut escaped) = (self.at, false);
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(byte) if *byte >= 0x20 => self.at += 1,
                _ => return Err(NotCanonical::NotJson),
            }
        }
        let text = self.text.get(from..self.at).unwrap_or_default();
        self.at += 1;
        Ok((text, escaped))
    }

    /// Canonical escapes are the short ones, and `\u00xx` in lower case where there is none (RFC 8785 §3.2.2.2).
    fn escape(&mut self) -> Result<(), NotCanonical> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'b' | b't' | b'n' | b'f' | b'r' | b'"' | b'\\') => self.at += 2,
            Some(b'u') => {
                let digits = bytes
                    .get(self.at + 2..self.at + 6)
                    .ok_or(NotCanonical::NotJson)?;
                let short = matches!(digits, b"0008" | b"0009" | b"000a" | b"000c" | b"000d");
                if short || !matches!(digits, [b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f'])
                {
                    self.canonical = false;
                }
                self.at += 2;
            }
            Some(_) => {
                self.canonical = false;
                self.at += 2;
            }
            None => return Err(NotCanonical::NotJson),
        }
        // An escape may stand before a character of several bytes only in what is no JSON.
        if self.text.is_char_boundary(self.at) {
            Ok(())
        } else {
            Err(NotCanonical::NotJson)
        }
    }

    fn number(&mut self) -> Result<(), NotCanonical> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = bytes.get(self.at) {
            self.at += 1;
        }
        let token = self.text.get(from..self.at).unwrap_or_default();
        let digits = token.strip_prefix('-').unwrap_or(token);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.integer(token, digits);
        }
        let value: f64 = token.parse().map_err(|_| NotCanonical::NotJson)?;
        #[expect(clippy::cast_precision_loss, reason = "it has 53 bits")]
        let whole_max = INTEGER_MAX as f64;
        let vanished = value == 0.0
            && !digits
                .bytes()
                .take_while(|byte| !matches!(byte, b'e' | b'E'))
                .all(is_zero);
        if !value.is_finite() || vanished {
            return Err(NotCanonical::Range);
        }
        if value.abs() > whole_max && value.abs() < EXPONENT_FROM {
            return Err(NotCanonical::Integer);
        }
        let written = serde_json_canonicalizer::to_vec(&value);
        self.canonical &= written.is_ok_and(|written| written == token.as_bytes());
        Ok(())
    }

    fn integer(&mut self, token: &str, digits: &str) -> Result<(), NotCanonical> {
        match digits.as_bytes() {
            [] | [b'0', _, ..] => return Err(NotCanonical::NotJson),
            [b'0'] if digits.len() < token.len() => self.canonical = false,
            _ => {}
        }
        // As long as any that is allowed.
        let value = if digits.len() <= 16 {
            digits.parse().unwrap_or(u64::MAX)
        } else {
            u64::MAX
        };
        if value > INTEGER_MAX {
            Err(NotCanonical::Integer)
        } else {
            Ok(())
        }
    }
}

fn is_zero(byte: u8) -> bool {
    matches!(byte, b'0' | b'.')
}

/// The order of names: by UTF-16 code units (RFC 8785 §3.2.3). Equal names do not precede each other.
fn precedes(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        one < other
    } else {
        one.encode_utf16().lt(other.encode_utf16())
    }
}
