//! Plural forms of numbers and of ranges.

use alloc::string::String;
use alloc::vec::Vec;
use fixed_decimal::{CompactDecimal, Decimal, Sign};
use icu_locale::Locale;
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules};

use super::pack::Piece;
use super::quantity::Quantity;
use crate::plurals::rules;

/// A plural form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Zero,
    One,
    Two,
    Few,
    Many,
    Other,
}

impl Form {
    pub const ALL: [Form; 6] = [
        Form::Zero,
        Form::One,
        Form::Two,
        Form::Few,
        Form::Many,
        Form::Other,
    ];

    /// The name in CLDR.
    pub fn name(self) -> &'static str {
        match self {
            Form::Zero => "zero",
            Form::One => "one",
            Form::Two => "two",
            Form::Few => "few",
            Form::Many => "many",
            Form::Other => "other",
        }
    }

    /// The form with a name.
    pub fn new(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }
}

/// The plural rules of a language.
#[derive(Debug)]
pub struct Plurals {
    rules: PluralRules,
    ranges: Vec<(String, Form)>,
}

impl Plurals {
    /// The rules of a locale; `numbers` is its piece.
    pub fn new(locale: &str, numbers: &Piece) -> Option<Self> {
        let locale = Locale::try_from_str(locale).ok()?;
        let rules = rules(&locale, PluralRuleType::Cardinal)?;
        let mut ranges = Vec::new();
        numbers.each("range.", &mut |key, value| {
            if let Some(form) = value.and_then(Form::new) {
                ranges.push((key.into(), form));
            }
        });
        Some(Self { rules, ranges })
    }

    /// The form for a number that is shown with an exponent (0: without).
    pub fn form(&self, quantity: &Quantity, exponent: i16) -> Form {
        let Some(finite) = quantity.finite() else {
            return Form::Other;
        };
        match u8::try_from(exponent) {
            Ok(exponent) if exponent > 0 => {
                let significand = Decimal::new(Sign::None, finite.clone());
                let compact = CompactDecimal::from_significand_and_exponent(significand, exponent);
                form(self.rules.category_for(&compact))
            }
            _ => form(
                self.rules
                    .category_for(&finite.clone().multiplied_pow10(exponent)),
            ),
        }
    }

    /// The form for a range from one form to another.
    pub fn range(&self, start: Form, end: Form) -> Form {
        let key = alloc::format!("{}.{}", start.name(), end.name());
        self.ranges
            .iter()
            .rev()
            .find(|(name, _)| *name == key)
            .map_or(Form::Other, |(_, form)| *form)
    }
}

fn form(category: PluralCategory) -> Form {
    match category {
        PluralCategory::Zero => Form::Zero,
        PluralCategory::One => Form::One,
        PluralCategory::Two => Form::Two,
        PluralCategory::Few => Form::Few,
        PluralCategory::Many => Form::Many,
        PluralCategory::Other => Form::Other,
    }
}
