//! The fields of date patterns and their skeletons: UTS #35, part 4.

use alloc::string::String;

pub const ERA: usize = 0;
pub const YEAR: usize = 1;
pub const MONTH: usize = 3;
pub const WEEKDAY: usize = 6;
pub const DAY: usize = 9;
pub const DAY_PERIOD: usize = 10;
pub const HOUR: usize = 11;
pub const MINUTE: usize = 12;
pub const SECOND: usize = 13;
pub const FRACTION: usize = 14;
pub const ZONE: usize = 15;
pub const COUNT: usize = 16;

const NARROW: i32 = -0x101;
const SHORTER: i32 = -0x102;
const SHORT: i32 = -0x103;
const LONG: i32 = -0x104;
const NUMERIC: i32 = 0x100;
const STEP: i32 = 0x10;

/// A kind of field: how far two of them are from each other is the distance of their types.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    letter: u8,
    pub field: usize,
    pub kind: i32,
    least: usize,
}

const fn kind(letter: u8, field: usize, kind: i32, least: usize) -> Kind {
    Kind {
        letter,
        field,
        kind,
        least,
    }
}

const KINDS: &[Kind] = &[
    kind(b'G', ERA, SHORT, 1),
    kind(b'G', ERA, LONG, 4),
    kind(b'G', ERA, NARROW, 5),
    kind(b'y', YEAR, NUMERIC, 1),
    kind(b'Y', YEAR, NUMERIC + STEP, 1),
    kind(b'Q', 2, NUMERIC, 1),
    kind(b'Q', 2, SHORT, 3),
    kind(b'Q', 2, LONG, 4),
    kind(b'Q', 2, NARROW, 5),
    kind(b'M', MONTH, NUMERIC, 1),
    kind(b'M', MONTH, SHORT, 3),
    kind(b'M', MONTH, LONG, 4),
    kind(b'M', MONTH, NARROW, 5),
    kind(b'L', MONTH, NUMERIC + STEP, 1),
    kind(b'L', MONTH, SHORT - STEP, 3),
    kind(b'L', MONTH, LONG - STEP, 4),
    kind(b'L', MONTH, NARROW - STEP, 5),
    kind(b'w', 4, NUMERIC, 1),
    kind(b'W', 5, NUMERIC, 1),
    kind(b'E', WEEKDAY, SHORT, 1),
    kind(b'E', WEEKDAY, LONG, 4),
    kind(b'E', WEEKDAY, NARROW, 5),
    kind(b'E', WEEKDAY, SHORTER, 6),
    kind(b'c', WEEKDAY, NUMERIC + 2 * STEP, 1),
    kind(b'c', WEEKDAY, SHORT - 2 * STEP, 3),
    kind(b'c', WEEKDAY, LONG - 2 * STEP, 4),
    kind(b'c', WEEKDAY, NARROW - 2 * STEP, 5),
    kind(b'c', WEEKDAY, SHORTER - 2 * STEP, 6),
    kind(b'e', WEEKDAY, NUMERIC + STEP, 1),
    kind(b'e', WEEKDAY, SHORT - STEP, 3),
    kind(b'e', WEEKDAY, LONG - STEP, 4),
    kind(b'e', WEEKDAY, NARROW - STEP, 5),
    kind(b'e', WEEKDAY, SHORTER - STEP, 6),
    kind(b'D', 7, NUMERIC, 1),
    kind(b'F', 8, NUMERIC, 1),
    kind(b'd', DAY, NUMERIC, 1),
    kind(b'a', DAY_PERIOD, SHORT, 1),
    kind(b'a', DAY_PERIOD, LONG, 4),
    kind(b'a', DAY_PERIOD, NARROW, 5),
    kind(b'b', DAY_PERIOD, SHORT - STEP, 1),
    kind(b'b', DAY_PERIOD, LONG - STEP, 4),
    kind(b'b', DAY_PERIOD, NARROW - STEP, 5),
    kind(b'B', DAY_PERIOD, SHORT - 3 * STEP, 1),
    kind(b'B', DAY_PERIOD, LONG - 3 * STEP, 4),
    kind(b'B', DAY_PERIOD, NARROW - 3 * STEP, 5),
    kind(b'H', HOUR, NUMERIC + 10 * STEP, 1),
    kind(b'k', HOUR, NUMERIC + 11 * STEP, 1),
    kind(b'h', HOUR, NUMERIC, 1),
    kind(b'K', HOUR, NUMERIC + STEP, 1),
    kind(b'm', MINUTE, NUMERIC, 1),
    kind(b's', SECOND, NUMERIC, 1),
    kind(b'S', FRACTION, NUMERIC, 1),
    kind(b'v', ZONE, SHORT - 2 * STEP, 1),
    kind(b'v', ZONE, LONG - 2 * STEP, 4),
    kind(b'z', ZONE, SHORT, 1),
    kind(b'z', ZONE, LONG, 4),
    kind(b'Z', ZONE, NARROW - STEP, 1),
    kind(b'Z', ZONE, LONG - STEP, 4),
    kind(b'Z', ZONE, SHORT - STEP, 5),
    kind(b'O', ZONE, SHORT - STEP, 1),
    kind(b'O', ZONE, LONG - STEP, 4),
];

/// The kind of a run of one letter.
pub fn kind_of(letter: u8, length: usize) -> Option<&'static Kind> {
    KINDS
        .iter()
        .rev()
        .find(|kind| kind.letter == letter && kind.least <= length)
}

/// A field of a skeleton. `kind` is 0 if it is not there.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Field {
    pub letter: u8,
    pub length: usize,
    pub kind: i32,
    /// The length that stands for all lengths of the kind.
    pub base: usize,
}

/// The fields that a pattern has, in a fixed order.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Skeleton {
    fields: [Field; COUNT],
    /// The field of AM and PM was not asked for: the hour brought it.
    period_added: bool,
}

impl Skeleton {
    pub fn of(pattern: &str) -> Self {
        let mut skeleton = Self::default();
        for token in tokens(pattern) {
            if let Token::Field(letter, length) = token {
                skeleton.set(letter, length);
            }
        }
        // Minutes and fractions need seconds.
        if skeleton.has(MINUTE) && skeleton.has(FRACTION) && !skeleton.has(SECOND) {
            skeleton.set(b's', 1);
        }
        match skeleton.field(HOUR).letter {
            b'h' | b'K' if !skeleton.has(DAY_PERIOD) => {
                skeleton.set(b'a', 1);
                skeleton.period_added = true;
            }
            b'H' | b'k' => skeleton.put(DAY_PERIOD, Field::default()),
            _ => {}
        }
        skeleton
    }

    fn put(&mut self, at: usize, field: Field) {
        if let Some(place) = self.fields.get_mut(at) {
            *place = field;
        }
    }

    fn set(&mut self, letter: u8, length: usize) {
        let Some(found) = kind_of(letter, length) else {
            return;
        };
        let kind = if found.kind > 0 {
            found.kind + i32::try_from(length).unwrap_or(0)
        } else {
            found.kind
        };
        self.put(
            found.field,
            Field {
                letter,
                length,
                kind,
                base: found.least,
            },
        );
    }

    pub fn field(&self, at: usize) -> Field {
        self.fields.get(at).copied().unwrap_or_default()
    }

    pub fn has(&self, at: usize) -> bool {
        self.field(at).kind != 0
    }

    /// A bit for each field that is there.
    pub fn mask(&self) -> u32 {
        (0..COUNT)
            .filter(|at| self.has(*at))
            .map(|at| 1 << at)
            .sum()
    }

    /// The skeleton as text, without the AM and PM that the hour brought.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, field) in self.fields.iter().enumerate() {
            if at == DAY_PERIOD && self.period_added {
                continue;
            }
            push_field(&mut text, field.letter, field.length);
        }
        text
    }
}

/// Appends a field to a pattern.
pub fn push_field(pattern: &mut String, letter: u8, length: usize) {
    for _ in 0..length {
        pattern.push(char::from(letter));
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    Field(u8, usize),
    /// Text, with its quotes.
    Text(&'a str),
}

/// The parts of a pattern.
pub fn tokens(pattern: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = pattern;
    core::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let bytes = rest.as_bytes();
        let (length, is_field) = if first.is_ascii_alphabetic() {
            (
                bytes
                    .iter()
                    .take_while(|byte| char::from(**byte) == first)
                    .count(),
                true,
            )
        } else if first == '\'' {
            (quoted_length(rest), false)
        } else {
            let end = rest.find(|letter: char| letter == '\'' || letter.is_ascii_alphabetic());
            (end.unwrap_or(rest.len()), false)
        };
        let (token, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(if is_field {
            Token::Field(u8::try_from(first).ok()?, length)
        } else {
            Token::Text(token)
        })
    })
}

/// The length of the text in quotes that begins a pattern: two quotes in it are one.
fn quoted_length(pattern: &str) -> usize {
    let bytes = pattern.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if *byte == b'\'' {
            if at == 2 || bytes.get(at) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
    }
    at
}

/// Appends the text of a token without its quotes.
pub fn push_unquoted(out: &mut String, text: &str) {
    let Some(inner) = text.strip_prefix('\'') else {
        out.push_str(text);
        return;
    };
    if inner == "'" {
        out.push('\'');
        return;
    }
    out.push_str(&inner.strip_suffix('\'').unwrap_or(inner).replace("''", "'"));
}
