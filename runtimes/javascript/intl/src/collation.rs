//! Sorting: the comparison of two texts by a language's rules, and upper and lower case where a language has rules of its own.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use core::cmp::Ordering;

use icu_casemap::CaseMapper;
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering, CollationType};
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use icu_locale::extensions::unicode::Value;
use icu_locale::{LanguageIdentifier, Locale};

use crate::{Argument, Options, Reply, Service};

struct Sorting(CollatorBorrowed<'static>);

impl Service for Sorting {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        match (what, arguments) {
            ("compare", [Argument::Text(left), Argument::Text(right), ..]) => {
                Reply::Number(match self.0.compare(left, right) {
                    Ordering::Less => -1.0,
                    Ordering::Equal => 0.0,
                    Ordering::Greater => 1.0,
                })
            }
            ("caseFirst", _) => {
                Reply::Text(self.0.resolved_options().case_first.as_str().to_owned())
            }
            ("ignorePunctuation", _) => Reply::Bool(
                self.0.resolved_options().alternate_handling == AlternateHandling::Shifted,
            ),
            _ => Reply::Nothing,
        }
    }
}

/// A collator. Its options are `sensitivity`, `ignorePunctuation`, `numeric`, `caseFirst` and `collation`, as ECMA-402 names them.
pub(crate) fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    let mut preferences = CollatorPreferences::from(&Locale::try_from_str(locale).ok()?);
    preferences.numeric_ordering = options.get("numeric").map(|value| match value {
        "true" => CollationNumericOrdering::True,
        _ => CollationNumericOrdering::False,
    });
    preferences.case_first = options.get("caseFirst").map(|value| match value {
        "upper" => CollationCaseFirst::Upper,
        "lower" => CollationCaseFirst::Lower,
        _ => CollationCaseFirst::False,
    });
    preferences.collation_type = options.get("collation").and_then(collation_type);
    let mut given = CollatorOptions::default();
    (given.strength, given.case_level) = match options.get("sensitivity") {
        Some("base") => (Some(Strength::Primary), None),
        Some("accent") => (Some(Strength::Secondary), None),
        Some("case") => (Some(Strength::Primary), Some(CaseLevel::On)),
        _ => (Some(Strength::Tertiary), None),
    };
    given.alternate_handling = options.get("ignorePunctuation").map(|value| match value {
        "true" => AlternateHandling::Shifted,
        _ => AlternateHandling::NonIgnorable,
    });
    Some(Box::new(Sorting(
        Collator::try_new(preferences, given).ok()?,
    )))
}

fn collation_type(name: &str) -> Option<CollationType> {
    CollationType::try_from(&Value::try_from_str(name).ok()?).ok()
}

/// A text in upper or lower case: `what` is `upper` or `lower` and the language, such as `upper-tr`.
pub(crate) fn change_case(what: &str, text: &str) -> Reply {
    let Some((case, language)) = what.split_once('-') else {
        return Reply::Nothing;
    };
    let Ok(language) = LanguageIdentifier::try_from_str(language) else {
        return Reply::Nothing;
    };
    let mapper = CaseMapper::new();
    let changed = match case {
        "upper" => mapper.uppercase_to_string(text, &language),
        "lower" => mapper.lowercase_to_string(text, &language),
        _ => return Reply::Nothing,
    };
    Reply::Text(changed.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(locale: &str, options: &str, texts: &str) -> String {
        let collator = make(locale, &Options::new(options)).expect("a collator");
        let mut list: Vec<&str> = texts.split(' ').collect();
        list.sort_by(|left, right| {
            match collator.call("compare", &[Argument::Text(left), Argument::Text(right)]) {
                Reply::Number(order) => order.total_cmp(&0.0),
                other => panic!("{other:?}"),
            }
        });
        list.join(" ")
    }

    #[test]
    fn languages_sort_in_their_own_ways() {
        assert_eq!(sorted("de", "", "z ä a Z"), "a ä z Z");
        assert_eq!(sorted("sv", "", "z ä a"), "a z ä");
        assert_eq!(sorted("en", "numeric=true\n", "a10 a9 a1"), "a1 a9 a10");
        assert_eq!(sorted("da", "", "a A b B"), "A a B b");
        assert_eq!(sorted("de", "collation=phonebk\n", "ad äb af"), "ad äb af");
    }

    #[test]
    fn cases_follow_the_language() {
        assert_eq!(change_case("upper-tr", "ı i"), Reply::Text("I İ".into()));
        assert_eq!(change_case("lower-tr", "I İ"), Reply::Text("ı i".into()));
        assert_eq!(change_case("upper-el", "άλφα"), Reply::Text("ΑΛΦΑ".into()));
        assert_eq!(change_case("sideways-el", "a"), Reply::Nothing);
    }
}
