//! Text in the making: each letter with the field that it belongs to.

use alloc::string::String;
use alloc::vec::Vec;

/// A kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Literal,
    Integer,
    Fraction,
    Group,
    Decimal,
    Minus,
    Plus,
    Approximately,
    Percent,
    Currency,
    Unit,
    Compact,
    ExponentSeparator,
    ExponentMinus,
    ExponentInteger,
    Nan,
    Infinity,
}

impl Field {
    /// The type in `formatToParts`.
    pub fn name(self) -> &'static str {
        match self {
            Field::Literal => "literal",
            Field::Integer => "integer",
            Field::Fraction => "fraction",
            Field::Group => "group",
            Field::Decimal => "decimal",
            Field::Minus => "minusSign",
            Field::Plus => "plusSign",
            Field::Approximately => "approximatelySign",
            Field::Percent => "percentSign",
            Field::Currency => "currency",
            Field::Unit => "unit",
            Field::Compact => "compact",
            Field::ExponentSeparator => "exponentSeparator",
            Field::ExponentMinus => "exponentMinusSign",
            Field::ExponentInteger => "exponentInteger",
            Field::Nan => "nan",
            Field::Infinity => "infinity",
        }
    }
}

/// Letters with their fields.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Text(Vec<(char, Field)>);

impl Text {
    pub fn new(text: &str, field: Field) -> Self {
        let mut made = Self::default();
        made.push_str(text, field);
        made
    }

    pub fn push_str(&mut self, text: &str, field: Field) {
        self.0.extend(text.chars().map(|letter| (letter, field)));
    }

    pub fn push(&mut self, letter: char, field: Field) {
        self.0.push((letter, field));
    }

    pub fn append(&mut self, other: &Text) {
        self.0.extend_from_slice(&other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn first(&self) -> Option<(char, Field)> {
        self.0.first().copied()
    }

    pub fn last(&self) -> Option<(char, Field)> {
        self.0.last().copied()
    }

    /// Puts letters in the place of a range of them.
    pub fn splice(&mut self, start: usize, end: usize, other: &Text) {
        let end = end.min(self.0.len());
        if start <= end {
            self.0.splice(start..end, other.0.iter().copied());
        }
    }

    /// The letters alone.
    pub fn plain(&self) -> String {
        self.0.iter().map(|(letter, _)| *letter).collect()
    }

    /// The parts of a range of letters. Spaces and invisible marks at the ends of a part belong to the literals
    /// around it.
    pub fn parts(&self, start: usize, end: usize) -> Vec<(Field, String)> {
        let letters = self.0.get(start..end.min(self.0.len())).unwrap_or_default();
        let mut parts: Vec<(Field, String)> = Vec::new();
        for run in letters.chunk_by(|a, b| a.1 == b.1) {
            let field = run.first().map_or(Field::Literal, |(_, field)| *field);
            let is_edge =
                |(letter, _): &(char, Field)| field != Field::Group && is_ignorable(*letter);
            let before = run.iter().take_while(|one| is_edge(one)).count();
            let after = run.len() - run.iter().rev().take_while(|one| is_edge(one)).count();
            for (at, (letter, _)) in run.iter().enumerate() {
                let field = if at < before || at >= after {
                    Field::Literal
                } else {
                    field
                };
                match parts.last_mut() {
                    Some((last, value)) if *last == field => value.push(*letter),
                    _ => parts.push((field, String::from(*letter))),
                }
            }
        }
        parts
    }
}

/// Spaces, controls of direction, and variation selectors.
fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}
