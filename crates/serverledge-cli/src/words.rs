//! Words of a command line, split as a POSIX shell splits them. Nothing is expanded: `$`, `*` and `~` are letters.

use std::str::Chars;

/// Splits a text at its spaces, apart from those in quotes or behind a backslash.
///
/// # Errors
/// The fault in words, if a quote or a backslash is left open.
pub(crate) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    // `None` between words: quotes alone are an empty one.
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => single_quoted(&mut letters, word.get_or_insert_default())?,
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                // The line goes on.
                Some('\n') => {}
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err("a backslash at the end escapes nothing"),
            },
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes everything up to the quote as it is.
fn single_quoted(letters: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    for letter in letters {
        if letter == '\'' {
            return Ok(());
        }
        word.push(letter);
    }
    Err("a single quote is not closed")
}

/// Takes everything up to the quote; a backslash escapes what would mean something.
fn double_quoted(letters: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(letter @ ('"' | '\\' | '$' | '`')) => word.push(letter),
                Some(letter) => word.extend(['\\', letter]),
                None => break,
            },
            letter => word.push(letter),
        }
    }
    Err("a double quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, words) in [
            ("", &[][..]),
            (" \t\n", &[]),
            (
                "render --width {width} - -",
                &["render", "--width", "{width}", "-", "-"],
            ),
            ("  a\tb\n c ", &["a", "b", "c"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            ("a'b c'd\"e f\"g", &["ab cde fg"]),
            ("'' \"\" a''", &["", "", "a"]),
            (r"a\ b \' \\ \n", &["a b", "'", r"\", "n"]),
            (r#"'a\b"c' "d'e\"\\\$\`\n""#, &[r#"a\b"c"#, r#"d'e"\$`\n"#]),
            ("a\\\nb \"c\\\nd\"", &["ab", "cd"]),
            ("$HOME ~ * #a é", &["$HOME", "~", "*", "#a", "é"]),
            ("'{\"a\": 1}'", &["{\"a\": 1}"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn what_is_left_open_is_told() {
        for (text, fault) in [
            ("a 'b", "a single quote is not closed"),
            ("'a\\'b'", "a single quote is not closed"),
            ("a \"b", "a double quote is not closed"),
            ("\"a\\", "a double quote is not closed"),
            ("\"a\\\"", "a double quote is not closed"),
            ("a\\", "a backslash at the end escapes nothing"),
        ] {
            assert_eq!(split(text), Err(fault), "{text}");
        }
    }

    /// Words in single quotes come back as they are.
    #[test]
    fn quoted_words_come_back() {
        let words = ["", "a", " ", "it's", "\"", "\\", "{a}", "\n", "'"];
        let quoted = words.map(|word| format!("'{}'", word.replace('\'', r"'\''")));
        assert_eq!(split(&quoted.join(" ")).unwrap(), words);
    }
}
