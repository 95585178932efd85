//! A time in a pattern.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::calendar::Fields;
use super::fields::{Token, push_unquoted, tokens};
use super::{DateFormat, Moment};
use crate::Parts;

/// Writes parts: adjacent texts are one.
#[derive(Default)]
pub struct Writer {
    pub parts: Parts,
    literal: String,
    /// The letters of the fields, each with the number of its part.
    pub letters: Vec<(u8, usize)>,
}

impl Writer {
    /// A text of a pattern, with its quotes.
    fn literal(&mut self, text: &str) {
        push_unquoted(&mut self.literal, text);
    }

    pub fn plain(&mut self, text: &str) {
        self.literal.push_str(text);
    }

    /// A pattern without fields.
    pub fn literal_pattern(&mut self, pattern: &str) {
        for token in tokens(pattern) {
            if let Token::Text(text) = token {
                self.literal(text);
            }
        }
    }

    fn field(&mut self, letter: u8, kind: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.end_literal();
        self.letters.push((letter, self.parts.0.len()));
        self.parts.push(kind, text);
    }

    pub fn end_literal(&mut self) {
        let literal = core::mem::take(&mut self.literal);
        self.parts.push("literal", &literal);
    }
}

impl DateFormat {
    /// Writes a moment in a pattern.
    pub fn write(&self, writer: &mut Writer, pattern: &str, moment: &Moment) {
        let has = |wanted: u8| {
            tokens(pattern)
                .any(|token| matches!(token, Token::Field(letter, _) if letter == wanted))
        };
        let (minutes, seconds) = (has(b'm'), has(b's'));
        for token in tokens(pattern) {
            match token {
                Token::Text(text) => writer.literal(text),
                Token::Field(letter, length) => {
                    let mut fields = moment.fields;
                    // Noon and midnight are exact as far as the pattern shows.
                    if matches!(letter, b'b' | b'B') {
                        fields.minute = if minutes { fields.minute } else { 0 };
                        fields.second = if seconds { fields.second } else { 0 };
                    }
                    let (kind, text) = self.field(letter, length, &fields, moment);
                    writer.field(letter, kind, &text);
                }
            }
        }
    }

    fn field(
        &self,
        letter: u8,
        length: usize,
        fields: &Fields,
        moment: &Moment,
    ) -> (&'static str, String) {
        let half = fields.hour % 12;
        match letter {
            b'G' => ("era", self.name("era", length, fields.era)),
            b'y' | b'Y' | b'u' if length == 2 => ("year", self.number(fields.year % 100, 2)),
            b'y' | b'Y' | b'u' => ("year", self.number(fields.year, length)),
            b'M' | b'L' if length < 3 => ("month", self.number(fields.month, length)),
            b'M' => (
                "month",
                self.name("month-f", length, index(fields.month - 1)),
            ),
            b'L' => (
                "month",
                self.name("month-s", length, index(fields.month - 1)),
            ),
            b'd' => ("day", self.number(fields.day, length)),
            b'c' => (
                "weekday",
                self.name("day-s", length.max(3), index(fields.weekday)),
            ),
            b'E' | b'e' => (
                "weekday",
                self.name("day-f", length.max(3), index(fields.weekday)),
            ),
            b'H' => ("hour", self.number(fields.hour, length)),
            b'k' => (
                "hour",
                self.number(if fields.hour == 0 { 24 } else { fields.hour }, length),
            ),
            b'h' => (
                "hour",
                self.number(if half == 0 { 12 } else { half }, length),
            ),
            b'K' => ("hour", self.number(half, length)),
            b'm' => ("minute", self.number(fields.minute, length)),
            b's' => ("second", self.number(fields.second, length)),
            b'S' => {
                let value = match length {
                    1 => fields.millisecond / 100,
                    2 => fields.millisecond / 10,
                    _ => fields.millisecond,
                };
                ("fractionalSecond", self.number(value, length))
            }
            b'a' => ("dayPeriod", self.half_name(length, fields)),
            b'b' => ("dayPeriod", self.noon_name(length, fields)),
            b'B' => ("dayPeriod", self.period_name(length, fields)),
            b'z' | b'v' | b'O' => ("timeZoneName", self.zone_name(letter, length, moment)),
            _ => ("literal", String::new()),
        }
    }

    fn number(&self, value: i64, length: usize) -> String {
        let mut out = String::new();
        if value < 0 {
            out.push_str(&self.minus);
        }
        self.digits.push(&mut out, value.abs(), length);
        out
    }

    fn name(&self, kind: &str, length: usize, at: usize) -> String {
        let separator = if kind == "era" { "-" } else { "" };
        let width = if kind == "era" { length.max(3) } else { length };
        let key = format!("{kind}{separator}{}", width.min(6));
        self.data.item(&key, at).unwrap_or_default().into()
    }

    fn period(&self, length: usize, period: &str) -> Option<&str> {
        let width = match length {
            4 => 4,
            5 => 5,
            _ => 3,
        };
        self.data.get(&format!("period{width}-{period}"))
    }

    fn half_name(&self, length: usize, fields: &Fields) -> String {
        let period = if fields.hour < 12 { "am" } else { "pm" };
        self.period(length, period).unwrap_or_default().into()
    }

    fn noon_name(&self, length: usize, fields: &Fields) -> String {
        let is_noon = fields.hour == 12 && fields.minute == 0 && fields.second == 0;
        let noon = if is_noon {
            self.period(length, "noon")
        } else {
            None
        };
        noon.map_or_else(|| self.half_name(length, fields), String::from)
    }

    /// The part of the day in the locale: `in the morning`.
    fn period_name(&self, length: usize, fields: &Fields) -> String {
        let is_exact = fields.minute == 0 && fields.second == 0;
        let is_noon = is_exact && fields.hour == 12 && self.data.get("at-noon").is_some();
        let exact = if is_noon {
            self.period(length, "noon")
        } else {
            None
        };
        let flexible = || {
            self.data
                .item("hours", index(fields.hour))
                .and_then(|period| self.period(length, period))
        };
        exact
            .or_else(flexible)
            .map_or_else(|| self.half_name(length, fields), String::from)
    }

    fn zone_name(&self, letter: u8, length: usize, moment: &Moment) -> String {
        self.zone_names.as_ref().map_or_else(String::new, |names| {
            names.text(&self.zone, letter, length, moment.seconds)
        })
    }
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
