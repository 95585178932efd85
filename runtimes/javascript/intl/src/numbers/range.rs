//! Ranges of numbers.

use alloc::string::{String, ToString};
use core::ops::Range;

use super::text::{Field, Text};
use super::{Formatted, NumberFormat, Quantity};
use crate::push_json;

/// The text of a range, and where its two numbers are; none if they are the same.
pub struct RangeText {
    pub text: Text,
    pub numbers: Option<(Range<usize>, Range<usize>)>,
}

impl NumberFormat {
    /// The range from one number to another, or about the number if both look the same.
    pub(super) fn range(&self, first: Quantity, second: Quantity) -> RangeText {
        let start = self.process(first.clone(), false);
        let end = self.process(second, false);
        if start.exponent == end.exponent
            && start.affixes == end.affixes
            && start.quantity == end.quantity
        {
            return RangeText {
                text: self.process(first, true).whole(),
                numbers: None,
            };
        }
        self.between(start, end)
    }

    fn between(&self, start: Formatted, end: Formatted) -> RangeText {
        let shares_affixes = start.affixes == end.affixes && start.affixes.len() > 1;
        let is_repeated = start.exponent.len() > 0 || (!shares_affixes && start.affixes.len() > 0);
        let form = self.plurals.range(start.form, end.form);
        let affixes = start.affixes.clone();
        let pattern = &self.symbols.range_pattern;
        let (before, infix) = pattern.split_once("{0}").unwrap_or(("", "–"));
        let (infix, after) = infix.split_once("{1}").unwrap_or((infix, ""));
        let mut text = Text::new(before, Field::Literal);
        let start = push_number(&mut text, start, shares_affixes);
        if is_repeated && !infix.starts_with(is_pattern_space) {
            text.push(' ', Field::Literal);
        }
        text.push_str(infix, Field::Literal);
        if is_repeated && !infix.ends_with(is_pattern_space) {
            text.push(' ', Field::Literal);
        }
        let end = push_number(&mut text, end, shares_affixes);
        text.push_str(after, Field::Literal);
        let mut shift = 0;
        if shares_affixes {
            shift += affixes.apply(&mut text);
        }
        if let Some(names) = &self.names {
            shift += names.modifier(form).apply(&mut text);
        }
        let shifted = |range: Range<usize>| range.start + shift..range.end + shift;
        RangeText {
            text,
            numbers: Some((shifted(start), shifted(end))),
        }
    }

    /// The parts of a range as JSON: types, values and sources in turn.
    pub(super) fn range_json(&self, first: Quantity, second: Quantity) -> String {
        let RangeText { text, numbers } = self.range(first, second);
        let sections = match numbers {
            Some((start, end)) => [
                (0..start.start, "shared"),
                (start.clone(), "startRange"),
                (start.end..end.start, "shared"),
                (end.clone(), "endRange"),
                (end.end..text.len(), "shared"),
            ]
            .to_vec(),
            None => [(0..text.len(), "shared")].to_vec(),
        };
        let mut json = "[".to_string();
        for (range, source) in sections {
            for (name, value) in self.named(text.parts(range.start, range.end)) {
                for word in [name, &value, source] {
                    if json.len() > 1 {
                        json.push(',');
                    }
                    push_json(&mut json, word);
                }
            }
        }
        json.push(']');
        json
    }
}

/// Appends a number with its exponent, and with its affixes unless both numbers share them. Returns its range.
fn push_number(text: &mut Text, number: Formatted, shares_affixes: bool) -> Range<usize> {
    let mut written = number.digits;
    number.exponent.apply(&mut written);
    if !shares_affixes {
        number.affixes.apply(&mut written);
    }
    let start = text.len();
    text.append(&written);
    start..text.len()
}

/// White space in patterns, as Unicode defines it: no-break spaces are none.
fn is_pattern_space(letter: char) -> bool {
    matches!(
        letter,
        '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
    )
}
