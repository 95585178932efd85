//! Preferences of a region and language: calendars, hours, weeks, time zones, collations and digits.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use icu_locale::extensions::unicode::{Key, key};
use icu_locale::{Locale, LocaleExpander};

use crate::locales::canonical;
use crate::push_json;

/// Lines of a kind, a value and the regions that have it; see data/make-world.mjs.
const WORLD: &str = include_str!("../data/world.txt");

/// The region for what a region does not have.
const WHOLE_WORLD: &str = "001";

/// Regions where Arabic is written with its own digits.
const ARABIC_DIGITS: &str = "BH DJ EG ER IL IQ JO KM KW LB MR OM PS QA SA SD SO SS SY TD YE";

/// Scripts that are written from right to left.
const RIGHT_TO_LEFT: &str = "Adlm Arab Aran Armi Avst Chrs Cprt Elym Garay Gara Hatr Hebr Hung Khar Lydi Mand Mani Mend Merc Mero Narb \
    Nbat Nkoo Orkh Ougr Palm Phli Phlp Phnx Prti Rohg Samr Sarb Sogd Sogo Syrc Thaa Yezi";

/// Collations of languages besides those that all have.
const COLLATIONS: &[(&str, &str)] = &[
    ("ar", "compat"),
    ("bn", "trad"),
    ("de", "phonebk"),
    ("es", "trad"),
    ("fi", "trad"),
    ("ja", "unihan"),
    ("kn", "trad"),
    ("ko", "searchjl unihan"),
    ("ln", "phonetic"),
    ("si", "dict"),
    ("sv", "trad"),
    ("vi", "trad"),
    ("yue", "pinyin stroke unihan zhuyin"),
    ("zh", "pinyin stroke unihan zhuyin"),
];

/// A locale with its likely script and region.
struct Place {
    locale: Locale,
    language: String,
    script: String,
    region: String,
}

impl Place {
    fn of(tag: &str) -> Option<Self> {
        let locale = canonical(tag)?;
        let mut likely = locale.id.clone();
        LocaleExpander::new_extended().maximize(&mut likely);
        let keyword = |key| {
            let value = format!("{}", locale.extensions.unicode.keywords.get(&key)?);
            value.get(..2).map(str::to_ascii_uppercase)
        };
        // Another region's preferences; the tag's own region; that of a subdivision; the likely one.
        let region = keyword(key!("rg"))
            .or_else(|| locale.id.region.map(|region| region.as_str().into()))
            .or_else(|| keyword(key!("sd")))
            .or_else(|| likely.region.map(|region| region.as_str().into()))
            .unwrap_or_else(|| WHOLE_WORLD.into());
        Some(Self {
            language: likely.language.as_str().into(),
            script: likely
                .script
                .map_or_else(String::new, |script| script.as_str().into()),
            region,
            locale,
        })
    }

    /// The value of a kind for the region.
    fn value(&self, kind: &str) -> &'static str {
        let of_language = format!("{}-{}", self.language, self.region);
        value_of(kind, &of_language)
            .or_else(|| value_of(kind, &self.region))
            .or_else(|| value_of(kind, WHOLE_WORLD))
            .unwrap_or_default()
    }

    fn keyword(&self, key: Key) -> Option<String> {
        let value = self.locale.extensions.unicode.keywords.get(&key)?;
        (!value.is_empty()).then(|| format!("{value}"))
    }

    /// The keyword's value alone, or else what the locale has.
    fn list(&self, key: Key, of_locale: impl FnOnce() -> Vec<String>) -> String {
        json(
            &self
                .keyword(key)
                .map_or_else(of_locale, |value| alloc::vec![value]),
        )
    }

    fn collations(&self) -> Vec<String> {
        let own = COLLATIONS
            .iter()
            .find(|(language, _)| *language == self.language);
        let mut all: Vec<String> = own
            .map_or("", |(_, names)| names)
            .split(' ')
            .map(String::from)
            .collect();
        all.extend(["emoji", "eor"].map(String::from));
        all.retain(|name| !name.is_empty());
        all.sort_unstable();
        all
    }

    fn digits(&self) -> &'static str {
        match self.language.as_str() {
            "ar" if self.locale.id.region.is_some() && has(ARABIC_DIGITS, &self.region) => "arab",
            "bn" => "beng",
            "fa" => "arabext",
            _ => "latn",
        }
    }

    /// The time zones of the region, if the tag has one.
    fn zones(&self) -> Option<String> {
        let region = self.locale.id.region?;
        let zones = WORLD
            .lines()
            .filter_map(|line| line.strip_prefix("zones "))
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == region.as_str())
            .map_or("", |(_, zones)| zones);
        Some(json(
            &zones
                .split(' ')
                .filter(|zone| !zone.is_empty())
                .map(String::from)
                .collect::<Vec<_>>(),
        ))
    }

    fn week(&self) -> String {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let named = self
            .keyword(key!("fw"))
            .and_then(|day| days.iter().position(|name| *name == day));
        let first = named.map_or_else(|| self.value("first").into(), |at| format!("{}", at + 1));
        let (weekend, minimal) = (self.value("weekend"), self.value("minimal"));
        format!("{{\"firstDay\":{first},\"weekend\":[{weekend}],\"minimalDays\":{minimal}}}")
    }
}

fn has(list: &str, name: &str) -> bool {
    list.split(' ').any(|one| one == name)
}

fn value_of(kind: &str, region: &str) -> Option<&'static str> {
    WORLD
        .lines()
        .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')?.split_once(' '))
        .find(|(_, regions)| has(regions, region))
        .map(|(value, _)| value)
}

fn json(list: &[String]) -> String {
    let mut json = String::from("[");
    for (at, text) in list.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push_json(&mut json, text);
    }
    json.push(']');
    json
}

/// Preferences of a locale, as JSON: `what` is a getter of `Intl.Locale`.
pub(crate) fn tell(what: &str, tag: &str) -> Option<String> {
    let place = Place::of(tag)?;
    Some(match what {
        "calendars" => place.list(key!("ca"), || {
            place
                .value("calendars")
                .split(',')
                .map(String::from)
                .collect()
        }),
        "collations" => place.list(key!("co"), || place.collations()),
        "hourCycles" => place.list(key!("hc"), || alloc::vec![place.value("hours").into()]),
        "numberingSystems" => place.list(key!("nu"), || alloc::vec![place.digits().into()]),
        "textInfo" => {
            let direction = if has(RIGHT_TO_LEFT, &place.script) {
                "rtl"
            } else {
                "ltr"
            };
            format!("{{\"direction\":\"{direction}\"}}")
        }
        "timeZones" => place.zones()?,
        "weekInfo" => place.week(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_weeks_and_calendars() {
        let told = |what, tag| tell(what, tag).expect("an answer");
        assert_eq!(
            told("weekInfo", "de"),
            r#"{"firstDay":1,"weekend":[6,7],"minimalDays":4}"#
        );
        assert_eq!(told("calendars", "th"), r#"["buddhist","gregory"]"#);
        assert_eq!(told("hourCycles", "en-u-sd-gbeng"), r#"["h23"]"#);
        assert_eq!(told("hourCycles", "en-US-u-sd-gbeng"), r#"["h12"]"#);
        assert_eq!(
            told("hourCycles", "en-US-u-rg-dezzzz-sd-usca"),
            r#"["h23"]"#
        );
        assert_eq!(told("calendars", "th-u-ca-iso8601"), r#"["iso8601"]"#);
        assert_eq!(told("hourCycles", "en-US"), r#"["h12"]"#);
        assert_eq!(told("numberingSystems", "ar-EG"), r#"["arab"]"#);
        assert_eq!(told("textInfo", "he"), r#"{"direction":"rtl"}"#);
        assert_eq!(told("timeZones", "de-AT"), r#"["Europe/Vienna"]"#);
        assert_eq!(tell("timeZones", "de"), None);
    }
}
