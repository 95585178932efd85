//! The words of a Python file, by its lines: no parser, just enough to tell names from comments and strings.

/// Columns between the stops of a tab, as Python counts them.
const TAB_COLUMNS: usize = 8;
/// The letters before the quotes of a string.
const PREFIX_LETTERS: &str = "rbuftRBUFT";
/// Most letters before the quotes of a string.
const PREFIX_BYTES_MAX: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PythonToken<'a> {
    /// A name, a keyword or a part of a number.
    Word(&'a str),
    /// The contents of a string in quotes.
    Text(&'a str),
    /// Any other character.
    Mark(char),
}

/// A line with those that continue it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The column in which it begins.
    pub(super) indent: usize,
    pub(super) tokens: Vec<PythonToken<'a>>,
}

/// Splits a source into its lines. Comments and lines without anything are left out.
pub(super) fn lines(source: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let (indent, length) = indent_of(rest);
        rest = &rest[length..];
        let (tokens, length) = line(rest);
        rest = &rest[length..];
        if !tokens.is_empty() {
            lines.push(Line { indent, tokens });
        }
    }
    lines
}

/// The column of a line's first character, and the bytes before it.
fn indent_of(rest: &str) -> (usize, usize) {
    let mut column = 0;
    for (at, c) in rest.char_indices() {
        match c {
            ' ' => column += 1,
            '\t' => column = (column / TAB_COLUMNS + 1) * TAB_COLUMNS,
            '\u{c}' | '\u{feff}' => column = 0,
            _ => return (column, at),
        }
    }
    (column, rest.len())
}

/// The tokens up to the end of a line that nothing continues, and its bytes.
fn line(source: &str) -> (Vec<PythonToken<'_>>, usize) {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' if depth == 0 => return (tokens, source.len() - rest.len() + 1),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '\\' => continued_length(rest),
            '\'' | '"' => text(rest, first, &mut tokens),
            _ if is_word(first) => word(rest, &mut tokens),
            _ => {
                match first {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !first.is_whitespace() {
                    tokens.push(PythonToken::Mark(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    (tokens, source.len())
}

/// A backslash, with the line end behind it.
fn continued_length(rest: &str) -> usize {
    if rest.starts_with("\\\r\n") {
        3
    } else if rest.starts_with("\\\n") {
        2
    } else {
        1
    }
}

/// Adds a word, unless it belongs to the quotes behind it. Gives its bytes.
fn word<'a>(rest: &'a str, tokens: &mut Vec<PythonToken<'a>>) -> usize {
    let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let word = &rest[..length];
    let is_prefix = length <= PREFIX_BYTES_MAX
        && word.chars().all(|c| PREFIX_LETTERS.contains(c))
        && rest[length..].starts_with(['\'', '"']);
    if !is_prefix {
        tokens.push(PythonToken::Word(word));
    }
    length
}

/// Adds the contents of a string. Gives its bytes, with the quotes.
fn text<'a>(rest: &'a str, quote: char, tokens: &mut Vec<PythonToken<'a>>) -> usize {
    let three = if quote == '"' { "\"\"\"" } else { "'''" };
    let is_long = rest.starts_with(three);
    let begin = if is_long { 3 } else { 1 };
    let mut escaped = false;
    for (at, c) in rest[begin..].char_indices() {
        let at = begin + at;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // A quote that nothing ends: the rest of the line is its contents.
            '\n' if !is_long => {
                tokens.push(PythonToken::Text(&rest[begin..at]));
                return at;
            }
            _ if c == quote && (!is_long || rest[at..].starts_with(three)) => {
                tokens.push(PythonToken::Text(&rest[begin..at]));
                return at + begin;
            }
            _ => {}
        }
    }
    tokens.push(PythonToken::Text(&rest[begin..]));
    rest.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(source: &str, expected: &Expect) {
        let shown = lines(source).into_iter().map(|line| {
            let tokens = line.tokens.iter().map(|token| match token {
                PythonToken::Word(word) => (*word).to_owned(),
                PythonToken::Text(text) => format!("{text:?}"),
                PythonToken::Mark(mark) => mark.to_string(),
            });
            let tokens: Vec<_> = tokens.collect();
            format!("{} {}", line.indent, tokens.join(" "))
        });
        expected.assert_eq(&shown.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn lines_are_those_of_python() {
        check(
            "import a  # b\n\n  # c\nif x:\n\ty(\n1,\n2)\n    z = 1 + \\\n  2; w\r\n",
            &expect![[r#"
                0 import a
                0 if x :
                8 y ( 1 , 2 )
                4 z = 1 + 2 ; w"#]],
        );
    }

    #[test]
    fn strings_are_no_words() {
        check(
            "a = 'import b' + r\"\\\"c\" + Rb'd'\nb = \"\"\"\nimport e\n'\"'\n\"\"\"; c\nd = 'open\nimport f",
            &expect![[r#"
                0 a = "import b" + "\\\"c" + "d"
                0 b = "\nimport e\n'\"'\n" ; c
                0 d = "open"
                0 import f"#]],
        );
    }
}
