//! Plural forms of numbers and of ranges.

use fixed_decimal::{CompactDecimal, Decimal, Sign};
use icu_locale::Locale;
/// A plural form.
pub use icu_plurals::PluralCategory as Form;
use icu_plurals::{PluralRuleType, PluralRules};

use super::quantity::Quantity;
use crate::plurals::{RangeRules, rules};

/// The plural rules of a language.
#[derive(Debug)]
pub struct Plurals {
    rules: PluralRules,
    ranges: RangeRules,
}

impl Plurals {
    /// The rules of a locale.
    pub fn new(locale: &str, kind: PluralRuleType) -> Option<Self> {
        let locale = Locale::try_from_str(locale).ok()?;
        Some(Self {
            rules: rules(&locale, kind)?,
            ranges: RangeRules::of(&locale),
        })
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
                self.rules.category_for(&compact)
            }
            _ => self
                .rules
                .category_for(&finite.clone().multiplied_pow10(exponent)),
        }
    }

    /// The form for a range from one form to another.
    pub fn range(&self, start: Form, end: Form) -> Form {
        self.ranges.category(start, end)
    }
}
