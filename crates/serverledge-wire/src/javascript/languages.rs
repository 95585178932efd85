//! The choice of a script's engine: one has `Intl` and knows languages, the other has not and is smaller.

/// The names that need languages: those in the first line of `runtimes/javascript/prelude/intl.js`.
const NAMES: [&str; 7] = [
    "Intl",
    "localeCompare",
    "toLocaleString",
    "toLocaleDateString",
    "toLocaleTimeString",
    "toLocaleUpperCase",
    "toLocaleLowerCase",
];

/// Whether a text has a name that needs languages, as a whole word, wherever it stands: comments and strings count.
///
/// The engine looks for the names of its own files in the same way. So a script whose files it would load gets them.
#[must_use]
pub fn names_languages(text: &str) -> bool {
    text.split(|c| !is_word(c))
        .any(|word| NAMES.contains(&word))
}

/// A character of the engine's words.
const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_count_wherever_they_stand() {
        for text in [
            "new Intl.NumberFormat('de')",
            "a.localeCompare(b)",
            "x\nIntl",
            "// toLocaleString\n",
            "o['toLocaleUpperCase']()",
            "toLocaleLowerCase",
        ] {
            assert!(names_languages(text), "{text}");
        }
        for text in [
            "",
            "IntlX",
            "$Intl",
            "myIntl",
            "Intl2",
            "éIntl",
            "to + 'LocaleString'",
            "intl localecompare",
        ] {
            assert!(!names_languages(text), "{text}");
        }
    }

    /// Otherwise a script would get an engine without the files that its words load.
    #[test]
    fn the_files_of_the_engine_have_these_names() {
        let prelude = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../runtimes/javascript/prelude"
        );
        let header = format!("// names: {}", NAMES.join(" "));
        for file in ["", "-collator", "-date", "-number", "-text"] {
            let path = format!("{prelude}/intl{file}.js");
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().next(), Some(header.as_str()), "{path}");
        }
    }
}
