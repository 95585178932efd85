//! Texts before and after a number, and the patterns of CLDR that have them.
//!
//! The rules are those of UTS #35, part 3 (Number Formats).

use alloc::string::String;

use super::quantity::Signum;
use super::text::{Field, Text};

/// A prefix and a suffix.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Modifier {
    pub prefix: Text,
    pub suffix: Text,
    /// The number itself is replaced by the prefix: a name such as "an hour" has no place for it.
    pub overwrites: bool,
    /// A currency in letters is kept apart from digits.
    pub is_spaced: bool,
}

impl Modifier {
    /// A pattern such as `{0} km`, with all its letters in one field.
    pub fn from_pattern(pattern: &str, field: Field) -> Self {
        match pattern.split_once("{0}") {
            Some((prefix, suffix)) => Self {
                prefix: Text::new(prefix, field),
                suffix: Text::new(suffix, field),
                ..Self::default()
            },
            None => Self {
                prefix: Text::new(pattern, field),
                overwrites: true,
                ..Self::default()
            },
        }
    }

    /// The number of letters.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Puts prefix and suffix around a text. Returns the number of letters before what the text was.
    pub fn apply(&self, text: &mut Text) -> usize {
        if self.overwrites {
            text.splice(0, text.len(), &self.prefix);
            return 0;
        }
        let mut before = self.prefix.len();
        if self.is_spaced {
            let space = Text::new("\u{a0}", Field::Literal);
            let is_after_digit = text.last().is_some_and(is_digit);
            if is_worded(self.prefix.last()) && text.first().is_some_and(is_digit) {
                text.splice(0, 0, &space);
                before += 1;
            }
            if is_worded(self.suffix.first()) && is_after_digit {
                text.append(&space);
            }
        }
        text.splice(0, 0, &self.prefix);
        text.append(&self.suffix);
        before
    }
}

/// A letter of a currency that is neither a symbol nor a space: `[[:^S:]&[:^Z:]]`.
fn is_worded(letter: Option<(char, Field)>) -> bool {
    let Some((letter, Field::Currency)) = letter else {
        return false;
    };
    !matches!(letter,
        '$' | '+' | '<'..='>' | '^' | '`' | '|' | '~' | '\u{a2}'..='\u{a6}' | '\u{a8}' | '\u{a9}' | '\u{ac}'
        | '\u{ae}'..='\u{b1}' | '\u{b4}' | '\u{b8}' | '\u{d7}' | '\u{f7}' | '\u{58f}' | '\u{60b}' | '\u{7fe}' | '\u{7ff}'
        | '\u{9f2}' | '\u{9f3}' | '\u{9fb}' | '\u{af1}' | '\u{bf9}' | '\u{e3f}' | '\u{17db}' | '\u{20a0}'..='\u{20cf}'
        | '\u{a838}' | '\u{fdfc}' | '\u{fe69}' | '\u{ff04}' | '\u{ffe0}' | '\u{ffe1}' | '\u{ffe5}' | '\u{ffe6}')
        && !letter.is_whitespace()
}

/// A decimal digit of Unicode; those of `hanidec` are none.
fn is_digit((letter, field): (char, Field)) -> bool {
    matches!(field, Field::Integer | Field::Fraction) && letter.is_numeric() && letter != '〇'
}

/// The texts that take the places of the symbols of a pattern.
#[derive(Debug, Clone)]
pub struct Affixes<'a> {
    pub minus: &'a str,
    pub plus: &'a str,
    pub approximately: &'a str,
    pub percent: &'a str,
    pub currency: &'a str,
    /// The field of all other letters.
    pub literal: Field,
}

/// The sign that a number is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    None,
    Minus,
    Plus,
}

impl Sign {
    /// The sign for `signDisplay`.
    pub fn new(display: &str, signum: Signum) -> Self {
        let is_negative = matches!(signum, Signum::Negative | Signum::NegativeZero);
        match display {
            "never" => Sign::None,
            "always" if is_negative => Sign::Minus,
            "always" => Sign::Plus,
            "exceptZero" | "negative" if signum == Signum::Negative => Sign::Minus,
            "exceptZero" if signum == Signum::Positive => Sign::Plus,
            "exceptZero" | "negative" => Sign::None,
            _ if is_negative => Sign::Minus,
            _ => Sign::None,
        }
    }
}

/// A pattern such as `#,##0.00 ¤;(#,##0.00 ¤)`: the affixes, and the sizes of the groups.
#[derive(Debug, Clone)]
pub struct Pattern {
    positive: (String, String),
    negative: Option<(String, String)>,
    /// There is a place for the number: a compact pattern may be a word alone.
    has_number: bool,
    /// The sizes of the last group and of the others.
    pub groups: Option<(i16, i16)>,
}

impl Pattern {
    pub fn new(pattern: &str) -> Self {
        let mut halves = split_unquoted(pattern, |letter| letter == ';');
        let (prefix, body, suffix) = split_affixes(halves.0);
        let negative = halves.1.take().map(|half| {
            let (prefix, _, suffix) = split_affixes(half);
            (prefix.into(), suffix.into())
        });
        Self {
            positive: (prefix.into(), suffix.into()),
            negative,
            has_number: !body.is_empty(),
            groups: groups(body),
        }
    }

    /// The prefix and suffix with a sign, and with the sign of approximate numbers.
    pub fn modifier(&self, sign: Sign, is_approximate: bool, affixes: &Affixes<'_>) -> Modifier {
        let has_plus = [&self.positive.0, &self.positive.1]
            .into_iter()
            .any(|affix| has_symbol(affix, '+'));
        let plus_for_minus = sign == Sign::Plus && !has_plus;
        let negative = self.negative.as_ref().filter(|(prefix, suffix)| {
            let has_minus = has_symbol(prefix, '-') || has_symbol(suffix, '-');
            sign == Sign::Minus || (has_minus && (plus_for_minus || is_approximate))
        });
        let is_prepended =
            negative.is_none() && (sign == Sign::Minus || plus_for_minus || is_approximate);
        let signs = match (is_approximate, plus_for_minus, sign == Sign::Minus) {
            (true, true, _) => "~+",
            (true, false, true) => "~-",
            (true, false, false) => "~",
            (false, true, _) => "+",
            (false, false, _) => "-",
        };
        let (before, after) = negative.unwrap_or(&self.positive);
        let mut modifier = Modifier {
            is_spaced: true,
            overwrites: !self.has_number,
            ..Modifier::default()
        };
        if is_prepended {
            push_signs(&mut modifier.prefix, signs, affixes);
        }
        push_affix(&mut modifier.prefix, before, signs, affixes);
        push_affix(&mut modifier.suffix, after, signs, affixes);
        modifier
    }
}

fn push_signs(text: &mut Text, signs: &str, affixes: &Affixes<'_>) {
    for sign in signs.chars() {
        match sign {
            '~' => text.push_str(affixes.approximately, Field::Approximately),
            '+' => text.push_str(affixes.plus, Field::Plus),
            _ => text.push_str(affixes.minus, Field::Minus),
        }
    }
}

fn push_affix(text: &mut Text, affix: &str, signs: &str, affixes: &Affixes<'_>) {
    each_letter(affix, |letter, is_quoted| match letter {
        '-' if !is_quoted => push_signs(text, signs, affixes),
        '+' if !is_quoted => text.push_str(affixes.plus, Field::Plus),
        '%' if !is_quoted => text.push_str(affixes.percent, Field::Percent),
        '¤' if !is_quoted => text.push_str(affixes.currency, Field::Currency),
        letter => text.push(letter, affixes.literal),
    });
}

fn has_symbol(affix: &str, symbol: char) -> bool {
    let mut has = false;
    each_letter(affix, |letter, is_quoted| {
        has |= letter == symbol && !is_quoted
    });
    has
}

/// Visits the letters of an affix without its quotes.
fn each_letter(affix: &str, mut visit: impl FnMut(char, bool)) {
    let mut letters = affix.chars().peekable();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        if letter != '\'' {
            visit(letter, is_quoted);
        } else if letters.next_if_eq(&'\'').is_some() {
            visit('\'', true);
        } else {
            is_quoted = !is_quoted;
        }
    }
}

/// The text before and after the first letter outside of quotes for which `is` holds.
fn split_unquoted(text: &str, is: impl Fn(char) -> bool) -> (&str, Option<&str>) {
    let mut is_quoted = false;
    for (at, letter) in text.char_indices() {
        if letter == '\'' {
            is_quoted = !is_quoted;
        } else if !is_quoted && is(letter) {
            let (before, after) = text.split_at(at);
            return (before, Some(after.trim_start_matches(letter)));
        }
    }
    (text, None)
}

/// The prefix, the digits and the suffix of a pattern.
fn split_affixes(pattern: &str) -> (&str, &str, &str) {
    let is_body = |letter: char| matches!(letter, '#' | '0'..='9' | '@' | ',' | '.');
    let prefix = split_unquoted(pattern, is_body).0;
    let rest = pattern.get(prefix.len()..).unwrap_or_default();
    let suffix = rest.trim_start_matches(is_body);
    (
        prefix,
        rest.get(..rest.len() - suffix.len()).unwrap_or_default(),
        suffix,
    )
}

/// The sizes of groups in `#,##,##0.00`.
fn groups(body: &str) -> Option<(i16, i16)> {
    let whole = body.split('.').next().unwrap_or_default();
    let mut sizes = whole
        .rsplit(',')
        .map(|digits| i16::try_from(digits.len()).unwrap_or(0));
    let first = sizes.next()?;
    let second = sizes.next()?;
    // The digits before the first comma are no group of their own.
    let is_group = sizes.next().is_some();
    Some((first, if is_group { second } else { first }))
}
