//! Tags of locales: their canonical form, likely subtags, and the locales that there are.

use alloc::format;
use alloc::string::String;

use icu_locale::extensions::transform;
use icu_locale::extensions::unicode::{Key, Value, key, value};
use icu_locale::subtags::{Variants, variant};
use icu_locale::{
    LanguageIdentifier, Locale, LocaleCanonicalizer, LocaleExpander, TransformResult,
};

use crate::Reply;

/// The locales that data are there for.
pub const LOCALES: &[&str] = &[
    "en",
    "en-AU",
    "en-CA",
    "en-GB",
    "en-IN",
    "de",
    "de-AT",
    "de-CH",
    "fr",
    "fr-CA",
    "fr-CH",
    "es",
    "es-MX",
    "es-419",
    "it",
    "pt",
    "pt-PT",
    "nl",
    "sv",
    "da",
    "nb",
    "fi",
    "pl",
    "cs",
    "sk",
    "hu",
    "ro",
    "bg",
    "hr",
    "sr",
    "sl",
    "el",
    "uk",
    "ru",
    "tr",
    "he",
    "ar",
    "fa",
    "hi",
    "bn",
    "th",
    "vi",
    "id",
    "ms",
    "ja",
    "ko",
    "zh",
    "zh-Hant",
    "zh-Hant-HK",
    "ca",
    "et",
    "lt",
    "lv",
];

/// The languages of [`LOCALES`] and what may follow them in the name of a locale of CLDR. A locale without data of its own has those
/// of another: [`data_locale`].
const AVAILABLE: &[(&str, &str)] = &[
    (
        "en",
        "001 150 AE AG AI AS AT AU BB BE BI BM BS BW BZ CA CC CH CK CM CX CY CZ DE DG DK DM EE ER ES FI FJ FK FM FR GB \
         GD GE GG GH GI GM GS GU GY HK HU ID IE IL IM IN IO IT JE JM JP KE KI KN KY LC LR LS LT LV MG MH MO MP MS MT \
         MU MV MW MY NA NF NG NL NO NR NU NZ PG PH PK PL PN PR PT PW RO RW SB SC SD SE SG SH SI SK SL SS SX SZ TC TK \
         TO TT TV TZ UA UG UM US VC VG VI VU WS ZA ZM ZW",
    ),
    ("de", "AT BE CH DE IT LI LU"),
    (
        "fr",
        "BE BF BI BJ BL CA CD CF CG CH CI CM DJ DZ FR GA GF GN GP GQ HT KM LU MA MC MF MG ML MQ MR MU NC NE PF PM RE \
         RW SC SN SY TD TG TN VU WF YT",
    ),
    (
        "es",
        "419 AR BO BR BZ CL CO CR CU DO EA EC ES GQ GT HN IC MX NI PA PE PH PR PY SV US UY VE",
    ),
    ("it", "CH IT SM VA"),
    ("pt", "AO BR CH CV GQ GW LU MO MZ PT ST TL"),
    ("nl", "AW BE BQ CW NL SR SX"),
    ("sv", "AX FI SE"),
    ("da", "DK GL"),
    ("nb", ""),
    ("no", "NO"),
    ("fi", "FI"),
    ("pl", "PL"),
    ("cs", "CZ"),
    ("sk", "SK"),
    ("hu", "HU"),
    ("ro", "MD RO"),
    ("bg", "BG"),
    ("hr", "BA HR"),
    ("sr", "BA RS XK Cyrl Cyrl-BA Cyrl-ME Cyrl-RS Cyrl-XK"),
    ("sl", "SI"),
    ("el", "CY GR"),
    ("uk", "UA"),
    ("ru", "BY KG KZ MD RU UA"),
    ("tr", "CY TR"),
    ("he", "IL"),
    (
        "ar",
        "001 AE BH DJ DZ EG EH ER IL IQ JO KM KW LB LY MA MR OM PS QA SA SD SO SS SY TD TN YE",
    ),
    ("fa", "AF IR"),
    ("hi", "IN"),
    ("bn", "BD IN"),
    ("th", "TH"),
    ("vi", "VN"),
    ("id", "ID"),
    ("ms", "BN ID MY SG"),
    ("ja", "JP"),
    ("ko", "CN KP KR"),
    (
        "zh",
        "CN HK MO MY SG TW Hans Hans-CN Hans-HK Hans-MO Hans-MY Hans-SG Hant Hant-HK Hant-MO Hant-MY Hant-TW",
    ),
    ("ca", "AD ES FR IT"),
    ("et", "EE"),
    ("lt", "LT"),
    ("lv", "LV"),
];

/// Those that sorting distinguishes; of the languages that are not here, it knows the language only.
const SORTED: &[(&str, &str)] = &[
    ("en", "US"),
    ("de", "AT"),
    ("fr", "CA"),
    ("nb", "NO"),
    (
        "sr",
        "BA ME RS Latn Latn-BA Latn-RS Cyrl Cyrl-BA Cyrl-ME Cyrl-RS",
    ),
    ("he", "IL"),
    ("ar", "SA"),
    ("fa", "AF"),
    ("id", "ID"),
    (
        "zh",
        "CN HK MO SG TW Hans Hans-CN Hans-SG Hant Hant-HK Hant-MO Hant-TW",
    ),
];

/// Those that rules of plurals distinguish.
const COUNTED: &[(&str, &str)] = &[("pt", "PT")];

/// Regions whose English follows en-001, so en-GB is nearer to it than en.
const WORLD_ENGLISH: &str = "001 150 AG AI AT BB BE BM BS BW BZ CC CH CK CM CX CY CZ DE DG DK DM EE ER ES FI FJ FK FM FR GB \
    GD GE GG GH GI GM GS GY HK HU ID IE IL IM IO IT JE JM KE KI KN KY LC LR LS LT LV MG MO MS MT MU MV MW MY NA NF NG \
    NL NO NR NU NZ PG PK PL PN PT PW RO RW SB SC SD SE SG SH SI SK SL SS SX SZ TC TK TO TT TV TZ UA UG VC VG VU WS ZA \
    ZM ZW";

/// Regions whose Spanish follows es-419.
const AMERICAN_SPANISH: &str = "419 AR BO BR BZ CL CO CR CU DO EC GT HN NI PA PE PR PY SV US UY VE";

/// Regions whose Portuguese follows pt-PT.
const EUROPEAN_PORTUGUESE: &str = "AO CH CV GQ GW LU MO MZ PT ST TL";

/// Values of keywords that have another name now.
const RENAMED: &[(Key, &str, &str)] = &[
    (key!("ca"), "islamicc", "islamic-civil"),
    (key!("ca"), "ethiopic-amete-alem", "ethioaa"),
    (key!("kb"), "yes", "true"),
    (key!("kc"), "yes", "true"),
    (key!("kh"), "yes", "true"),
    (key!("kk"), "yes", "true"),
    (key!("kn"), "yes", "true"),
    (key!("ks"), "primary", "level1"),
    (key!("ks"), "tertiary", "level3"),
    (key!("ms"), "imperial", "uksystem"),
    (key!("tz"), "cnckg", "cnsha"),
    (key!("tz"), "eire", "iedub"),
    (key!("tz"), "est", "papty"),
    (key!("tz"), "gmt0", "gmt"),
    (key!("tz"), "uct", "utc"),
    (key!("tz"), "zulu", "utc"),
];

/// The canonical form of a tag; `None` if it is none.
pub fn canonical(tag: &str) -> Option<Locale> {
    // The parser takes what Unicode's tags may have besides.
    if tag.contains('_') {
        return None;
    }
    let mut locale = Locale::try_from_str(tag).ok()?;
    LocaleCanonicalizer::new_extended().canonicalize(&mut locale);
    rename_keywords(&mut locale);
    Some(locale)
}

fn rename_keywords(locale: &mut Locale) {
    for (key, old, new) in RENAMED {
        let Some(value) = locale.extensions.unicode.keywords.get_mut(key) else {
            continue;
        };
        if value.to_string() == *old
            && let Ok(new) = Value::try_from_str(new)
        {
            *value = new;
        }
    }
    rename_transform(locale);
    let posix = variant!("posix");
    if locale.id.variants.contains(&posix)
        && locale
            .extensions
            .unicode
            .keywords
            .get(&key!("va"))
            .is_none()
    {
        let others = locale
            .id
            .variants
            .iter()
            .filter(|variant| **variant != posix)
            .copied()
            .collect();
        locale.id.variants = Variants::from_vec_unchecked(others);
        locale
            .extensions
            .unicode
            .keywords
            .set(key!("va"), value!("posix"));
    }
}

/// The one value of a transformed text's tag that has another name now.
fn rename_transform(locale: &mut Locale) {
    let fields = &mut locale.extensions.transform.fields;
    let rules = transform::key!("m0");
    let is_old = fields
        .get(&rules)
        .is_some_and(|value| value.to_string() == "names");
    if is_old && let Ok(new) = transform::Value::try_from_str("prprname") {
        fields.set(rules, new);
    }
}

fn names(list: &str, name: &str) -> bool {
    list.split(' ').any(|one| one == name)
}

/// Whether a table has a locale; of a language that it leaves out, it has the language.
fn stands_in(table: &[(&str, &str)], tag: &str) -> bool {
    let (language, rest) = tag.split_once('-').unwrap_or((tag, ""));
    if !AVAILABLE.iter().any(|(known, _)| *known == language) {
        return false;
    }
    let more = table
        .iter()
        .find(|(known, _)| *known == language)
        .map_or("", |(_, more)| more);
    rest.is_empty() || names(more, rest)
}

/// The script that a language is written in, unless its tag has another.
fn likely_script(tag: &str) -> Option<icu_locale::subtags::Script> {
    let mut language = LanguageIdentifier::try_from_str(tag).ok()?;
    LocaleExpander::new_extended().maximize(&mut language);
    language.script
}

/// The longest beginning of a tag that a table has.
fn best_available<'a>(table: &[(&str, &str)], tag: &'a str) -> Option<&'a str> {
    let mut candidate = tag;
    while !stands_in(table, candidate) {
        candidate = candidate.rsplit_once('-')?.0;
    }
    Some(candidate)
}

/// The locale that is there for a tag. Texts of the locale are in the script of the tag.
fn available(tag: &str) -> Option<&str> {
    best_available(AVAILABLE, tag)
        .filter(|locale| locale.len() == tag.len() || likely_script(locale) == likely_script(tag))
}

/// The locale whose data a locale has: one of [`LOCALES`].
pub fn data_locale(tag: &str) -> &'static str {
    let language = LanguageIdentifier::try_from_str(tag).unwrap_or(LanguageIdentifier::UNKNOWN);
    let region = language
        .region
        .map(|region| region.to_string())
        .unwrap_or_default();
    let name = match language.language.as_str() {
        "no" => "nb".into(),
        "en" if !stands_in_locales(&format!("en-{region}")) && names(WORLD_ENGLISH, &region) => {
            "en-GB".into()
        }
        "es" if region != "MX" && names(AMERICAN_SPANISH, &region) => "es-419".into(),
        "pt" if names(EUROPEAN_PORTUGUESE, &region) => "pt-PT".into(),
        "zh" if likely_script(tag).is_some_and(|script| script.as_str() == "Hant") => {
            String::from(if matches!(region.as_str(), "HK" | "MO") {
                "zh-Hant-HK"
            } else {
                "zh-Hant"
            })
        }
        other => format!("{other}-{region}"),
    };
    let of_language = || {
        LOCALES
            .iter()
            .find(|locale| **locale == language.language.as_str())
    };
    LOCALES
        .iter()
        .find(|locale| **locale == name)
        .or_else(of_language)
        .copied()
        .unwrap_or("en")
}

fn stands_in_locales(tag: &str) -> bool {
    LOCALES.contains(&tag)
}

/// The answer to a question about a tag.
pub fn ask(what: &str, tag: &str) -> Reply {
    let answer = match what {
        "canonicalize" => canonical(tag).map(|locale| locale.to_string()),
        "resolve" => with_data(available(tag)),
        "resolve-collator" => with_data(best_available(SORTED, tag)),
        "resolve-plurals" => with_data(best_available(COUNTED, tag)),
        // Segments need no texts, so scripts do not matter.
        "resolve-segments" => with_data(best_available(AVAILABLE, tag)),
        "maximize" => transformed(tag, |expander, language| expander.maximize(language)),
        "minimize" => transformed(tag, |expander, language| expander.minimize(language)),
        _ => crate::world::tell(what, tag),
    };
    answer.map_or(Reply::Nothing, Reply::Text)
}

/// A locale and that of its data.
fn with_data(locale: Option<&str>) -> Option<String> {
    let locale = locale?;
    Some(format!("{locale} {}", data_locale(locale)))
}

fn transformed(
    tag: &str,
    how: fn(&LocaleExpander, &mut LanguageIdentifier) -> TransformResult,
) -> Option<String> {
    let mut locale = canonical(tag)?;
    let expander = LocaleExpander::new_extended();
    let mut likely = locale.id.clone();
    expander.maximize(&mut likely);
    let says_nothing = locale.id.script.is_none() && locale.id.region.is_none();
    if likely.language.is_unknown() || (locale.id.language.is_unknown() && says_nothing) {
        // English is the likely language of what says nothing, and of where none is likely.
        locale.id.language = icu_locale::subtags::language!("en");
    }
    how(&expander, &mut locale.id);
    Some(locale.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_a_canonical_form() {
        let of = |tag| canonical(tag).map(|locale| locale.to_string());
        assert_eq!(of("EN-latn-us").as_deref(), Some("en-Latn-US"));
        assert_eq!(of("iw").as_deref(), Some("he"));
        assert_eq!(of("sh").as_deref(), Some("sr-Latn"));
        assert_eq!(of("de_DE"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("i-klingon"), None);
        assert_eq!(of("und-u-kn-yes").as_deref(), Some("und-u-kn"));
        assert_eq!(of("de-u-kf-yes").as_deref(), Some("de-u-kf-yes"));
        assert_eq!(
            of("en-t-de-m0-names").as_deref(),
            Some("en-t-de-m0-prprname")
        );
    }

    #[test]
    fn what_says_nothing_is_english() {
        for (tag, maximal, minimal) in [
            ("und", "en-Latn-US", "en"),
            ("und-fonipa", "en-Latn-US-fonipa", "en-fonipa"),
            ("und-150", "en-Latn-150", "en-150"),
            ("und-AT", "de-Latn-AT", "de-AT"),
        ] {
            let maximized = transformed(tag, |expander, language| expander.maximize(language));
            let minimized = transformed(tag, |expander, language| expander.minimize(language));
            assert_eq!(maximized.as_deref(), Some(maximal));
            assert_eq!(minimized.as_deref(), Some(minimal));
        }
    }

    #[test]
    fn each_locale_has_data() {
        for (tag, locale, data) in [
            ("zh-TW", "zh-TW", "zh-Hant"),
            ("zh-MO", "zh-MO", "zh-Hant-HK"),
            ("zh-Hans-HK", "zh-Hans-HK", "zh"),
            ("pt-BR", "pt-BR", "pt"),
            ("pt-AO", "pt-AO", "pt-PT"),
            ("no", "no", "nb"),
            ("de-LU", "de-LU", "de"),
            ("en-NZ", "en-NZ", "en-GB"),
            ("en-US", "en-US", "en"),
            ("en-XX", "en", "en"),
            ("es-AR", "es-AR", "es-419"),
            ("fr-CH-fonipa", "fr-CH", "fr-CH"),
        ] {
            assert_eq!(
                with_data(available(tag)),
                Some(format!("{locale} {data}")),
                "{tag}"
            );
        }
        assert_eq!(available("sr-Latn"), None);
        assert_eq!(available("xx"), None);
        assert_eq!(best_available(COUNTED, "zh-TW"), Some("zh"));
        for tag in LOCALES {
            assert_eq!(data_locale(tag), *tag);
        }
    }
}
