//! Patterns of compact numbers, such as `0K` for thousands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::pack::Piece;
use super::plurals::{Form, Plurals};
use super::quantity::Quantity;

/// The patterns for a locale, each at the place of the first digit.
#[derive(Debug)]
pub struct Compact(Vec<Entry>);

/// The patterns for one place of the first digit.
#[derive(Debug, Default)]
struct Entry {
    /// The power of ten that a number is multiplied by.
    power: i16,
    forms: Vec<(Form, String)>,
    /// Patterns for exactly 0 and exactly 1.
    exact: Vec<(u8, String)>,
}

impl Compact {
    /// The patterns of a piece `n`: `s` short, `l` long, `c` short with a currency.
    pub fn new(numbers: &Piece, system: &str, kind: char) -> Self {
        let tries = [(system, kind), ("latn", kind), (system, 's'), ("latn", 's')];
        for (system, kind) in tries {
            let found = Self::read(numbers, &format!("{system}.{kind}."));
            if !found.0.is_empty() {
                return found;
            }
        }
        Self(Vec::new())
    }

    fn read(numbers: &Piece, start: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        numbers.each(start, &mut |key, pattern| {
            let Some((place, form)) = key.split_once('.') else {
                return;
            };
            let Ok(place) = place.parse::<usize>() else {
                return;
            };
            if place > 40 {
                return;
            }
            if entries.len() <= place {
                entries.resize_with(place + 1, Entry::default);
            }
            if let Some(entry) = entries.get_mut(place) {
                entry.put(form, pattern);
            }
        });
        for (place, entry) in entries.iter_mut().enumerate() {
            let patterns = entry.forms.iter().map(|(_, pattern)| pattern);
            let zeros = patterns
                .filter(|pattern| *pattern != "0")
                .map(|pattern| zeros(pattern))
                .max()
                .unwrap_or(0);
            if zeros > 0 {
                entry.power = zeros - i16::try_from(place).unwrap_or(0) - 1;
            }
        }
        Self(entries)
    }

    /// The power of ten that a number with its first digit at a place is multiplied by.
    pub fn power(&self, place: i16) -> i16 {
        self.entry(place).map_or(0, |entry| entry.power)
    }

    /// The pattern for a rounded number that had its first digit at a place. `None`: the pattern without compact
    /// notation.
    pub fn pattern(&self, place: i16, quantity: &Quantity, plurals: &Plurals) -> Option<&str> {
        let entry = self.entry(place)?;
        let finite = quantity.finite()?;
        if finite.is_zero() || finite.nonzero_magnitude_end() >= 0 {
            let is_one = finite.nonzero_magnitude_start() == 0 && finite.digit_at(0) == 1;
            let value = if finite.is_zero() { 0 } else { 1 };
            let exact = entry
                .exact
                .iter()
                .find(|(exact, _)| *exact == value && (value == 0 || is_one));
            if let Some((_, pattern)) = exact {
                return Some(pattern.as_str()).filter(|pattern| *pattern != "0");
            }
        }
        let form = plurals.form(quantity, 0);
        let pattern = entry.of(form).or_else(|| entry.of(Form::Other))?;
        Some(pattern).filter(|pattern| *pattern != "0")
    }

    fn entry(&self, place: i16) -> Option<&Entry> {
        let place = usize::try_from(place).ok()?;
        self.0.get(place.min(self.0.len().checked_sub(1)?))
    }
}

impl Entry {
    fn put(&mut self, form: &str, pattern: Option<&str>) {
        match (form, Form::get_for_cldr_string(form)) {
            ("0" | "1", _) => {
                let value = u8::from(form == "1");
                self.exact.retain(|(exact, _)| *exact != value);
                self.exact
                    .extend(pattern.map(|pattern| (value, pattern.into())));
            }
            (_, Some(form)) => {
                self.forms.retain(|(other, _)| *other != form);
                self.forms
                    .extend(pattern.map(|pattern| (form, pattern.into())));
            }
            (_, None) => {}
        }
    }

    fn of(&self, form: Form) -> Option<&str> {
        self.forms
            .iter()
            .find(|(other, _)| *other == form)
            .map(|(_, pattern)| pattern.as_str())
    }
}

/// The number of zeros in the first run of them.
fn zeros(pattern: &str) -> i16 {
    let run = pattern.trim_start_matches(|letter| letter != '0');
    let rest = run.trim_start_matches('0');
    i16::try_from(run.len() - rest.len()).unwrap_or(0)
}
