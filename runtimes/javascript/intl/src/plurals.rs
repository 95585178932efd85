//! Rules of plurals: the category of a number as it is written, and of a range of two numbers.

use alloc::boxed::Box;

use fixed_decimal::{Decimal, FloatPrecision, SignedRoundingMode, UnsignedRoundingMode};
use icu_locale::Locale;
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules, PluralRulesOptions};

use crate::{Argument, Options, Reply, Service};

/// The ranges whose category is not "other", from CLDR's pluralRanges.json (48): languages, and for each range the categories of
/// its start, its end and itself. The categories are `z`ero, `o`ne, `t`wo, `f`ew, `m`any and other, `x`.
const RANGES: &[(&str, &str)] = &[
    ("de it nl hu el tr fa", "xoo"),
    ("fr pt hi bn", "ooo"),
    ("da", "ooo xoo"),
    ("pl cs sk", "fff fmm mff mmm moo off omm xff xmm xoo"),
    ("ro", "fff fof off xff"),
    ("hr sr", "fff foo off ooo xff xoo"),
    ("sl", "fff fof ftt off oof ott tff tof ttt xff xof xtt"),
    (
        "uk ru lt",
        "fff fmm foo mff mmm moo off omm ooo xff xmm xoo",
    ),
    (
        "ar",
        "fff fmm mff mmm off omm tff tmm xff xmm zff zmm zoz ztz",
    ),
    ("lv", "ooo xoo zoo"),
];

/// The digits with which a number is written before it is looked at: those behind the point, or significant ones.
enum Digits {
    Fraction(i16, i16),
    Significant(i16, i16),
}

impl Digits {
    fn of(options: &Options<'_>) -> Self {
        let of = |name, default| {
            options
                .number(name)
                .and_then(|number| i16::try_from(number).ok())
                .unwrap_or(default)
        };
        match options.get("maximumSignificantDigits") {
            Some(_) => Self::Significant(
                of("minimumSignificantDigits", 1),
                of("maximumSignificantDigits", 21),
            ),
            None => Self::Fraction(
                of("minimumFractionDigits", 0),
                of("maximumFractionDigits", 3),
            ),
        }
    }

    fn write(&self, number: f64) -> Option<Decimal> {
        let mut decimal = Decimal::try_from_f64(number, FloatPrecision::RoundTrip).ok()?;
        let mode = SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand);
        match *self {
            Self::Fraction(least, most) => {
                decimal.round_with_mode(most.saturating_neg(), mode);
                decimal.absolute.trim_end();
                decimal.absolute.pad_end(least.saturating_neg());
            }
            Self::Significant(least, most) => {
                let first = decimal.absolute.nonzero_magnitude_start();
                decimal.round_with_mode(first.saturating_add(1).saturating_sub(most), mode);
                decimal.absolute.trim_end();
                let first = decimal.absolute.nonzero_magnitude_start();
                decimal
                    .absolute
                    .pad_end(first.saturating_add(1).saturating_sub(least).min(0));
            }
        }
        Some(decimal)
    }
}

struct Plurals {
    rules: PluralRules,
    digits: Digits,
    ranges: RangeRules,
}

impl Plurals {
    fn category(&self, number: f64) -> PluralCategory {
        self.digits
            .write(number)
            .map_or(PluralCategory::Other, |decimal| {
                self.rules.category_for(&decimal)
            })
    }
}

/// The ranges of a language whose category is not "other".
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeRules(&'static str);

impl RangeRules {
    pub(crate) fn of(locale: &Locale) -> Self {
        let language = locale.id.language.as_str();
        let own = RANGES
            .iter()
            .find(|(languages, _)| languages.split(' ').any(|one| one == language));
        Self(own.map_or("", |(_, ranges)| ranges))
    }

    /// The category of a range from one category to another.
    pub(crate) fn category(self, start: PluralCategory, end: PluralCategory) -> PluralCategory {
        let letters = |range: &&str| {
            range.chars().eq([
                letter(start),
                letter(end),
                range.chars().last().unwrap_or('x'),
            ])
        };
        let own = self
            .0
            .split(' ')
            .find(letters)
            .and_then(|range| range.chars().last());
        PluralCategory::all()
            .find(|category| own == Some(letter(*category)))
            .unwrap_or(PluralCategory::Other)
    }
}

fn letter(category: PluralCategory) -> char {
    match category {
        PluralCategory::Zero => 'z',
        PluralCategory::One => 'o',
        PluralCategory::Two => 't',
        PluralCategory::Few => 'f',
        PluralCategory::Many => 'm',
        PluralCategory::Other => 'x',
    }
}

/// The name in CLDR.
pub(crate) fn name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

impl Service for Plurals {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        match (what, arguments) {
            ("select", [Argument::Number(number), ..]) => {
                Reply::Text(name(self.category(*number)).into())
            }
            ("selectRange", [Argument::Number(start), Argument::Number(end), ..]) => {
                let category = self
                    .ranges
                    .category(self.category(*start), self.category(*end));
                Reply::Text(name(category).into())
            }
            // Sorted as Node.js has them: by name, and "other" at the end, where the rules have it.
            ("categories", _) => {
                let mut names: alloc::vec::Vec<_> = self.rules.categories().map(name).collect();
                names.sort_unstable_by_key(|name| (*name == "other", *name));
                Reply::Text(names.join(" "))
            }
            _ => Reply::Nothing,
        }
    }
}

/// Rules that CLDR 49 has and CLDR 48, which texts are from, does not: there all numbers are "other".
const NEWER: &[(&str, PluralRuleType)] = &[
    ("bg", PluralRuleType::Ordinal),
    ("es", PluralRuleType::Ordinal),
    ("vi", PluralRuleType::Cardinal),
];

/// The rules of a locale as they are in CLDR 48.
pub(crate) fn rules(locale: &Locale, kind: PluralRuleType) -> Option<PluralRules> {
    let is_newer = |(language, newer): &(&str, PluralRuleType)| {
        *language == locale.id.language.as_str() && *newer == kind
    };
    let preferences = if NEWER.iter().any(is_newer) {
        (&Locale::UNKNOWN).into()
    } else {
        locale.into()
    };
    PluralRules::try_new(preferences, PluralRulesOptions::default().with_type(kind)).ok()
}

/// The kind of rules that options name.
pub(crate) fn kind(options: &Options<'_>) -> PluralRuleType {
    match options.get("type") {
        Some("ordinal") => PluralRuleType::Ordinal,
        _ => PluralRuleType::Cardinal,
    }
}

/// Rules of plurals. The options are `type`, and digits as ECMA-402 names them.
pub(crate) fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    let locale = Locale::try_from_str(locale).ok()?;
    let rules = rules(&locale, kind(options))?;
    Some(Box::new(Plurals {
        rules,
        digits: Digits::of(options),
        ranges: RangeRules::of(&locale),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(locale: &str, options: &str, what: &str, numbers: &[f64]) -> String {
        let arguments: Vec<_> = numbers
            .iter()
            .map(|number| Argument::Number(*number))
            .collect();
        match make(locale, &Options::new(options))
            .expect("rules")
            .call(what, &arguments)
        {
            Reply::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_have_categories() {
        assert_eq!(asked("en", "", "select", &[1.0]), "one");
        assert_eq!(
            asked("en", "minimumFractionDigits=1\n", "select", &[1.0]),
            "other"
        );
        assert_eq!(
            asked("en", "maximumFractionDigits=0\n", "select", &[1.4]),
            "one"
        );
        assert_eq!(
            asked(
                "en",
                "minimumSignificantDigits=2\nmaximumSignificantDigits=3\n",
                "select",
                &[1.0]
            ),
            "other"
        );
        assert_eq!(asked("en", "type=ordinal\n", "select", &[22.0]), "two");
        assert_eq!(asked("en", "", "select", &[f64::NAN]), "other");
        assert_eq!(
            asked("ar", "", "categories", &[]),
            "few many one two zero other"
        );
    }

    #[test]
    fn ranges_have_categories() {
        assert_eq!(asked("en", "", "selectRange", &[0.0, 1.0]), "other");
        assert_eq!(asked("fr", "", "selectRange", &[0.0, 1.0]), "one");
        assert_eq!(asked("sl", "", "selectRange", &[101.0, 201.0]), "few");
    }
}
