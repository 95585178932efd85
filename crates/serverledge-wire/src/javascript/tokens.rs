//! The words of a JavaScript file: no parser, just enough to tell names from comments, strings and patterns.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// The contents of a string in quotes.
    Text(&'a str),
    /// Any other character, and `'/'` for a whole regular expression.
    Mark(char),
}

/// Splits a source. Comments are left out; of a template, only what is written between `${` and `}` remains.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    // The depth of braces at which each template goes on.
    let mut templates = Vec::new();
    let mut depth = 0_usize;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '/' if begins_regex(tokens.last()) => {
                tokens.push(Token::Mark('/'));
                regex_length(rest)
            }
            '\'' | '"' => {
                let length = quoted_length(rest, first);
                tokens.push(Token::Text(rest[..length].trim_matches(first)));
                length
            }
            '}' if templates.last() == Some(&depth) => {
                templates.pop();
                template_length(rest, &mut templates, depth)
            }
            '`' => template_length(rest, &mut templates, depth),
            _ if is_word(first) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..length]));
                length
            }
            _ => {
                match first {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !first.is_whitespace() {
                    tokens.push(Token::Mark(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length.max(1)..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// A slash divides behind a value, and begins a regular expression elsewhere.
fn begins_regex(before: Option<&Token<'_>>) -> bool {
    match before {
        None => true,
        Some(Token::Word(word)) => matches!(
            *word,
            "return"
                | "typeof"
                | "case"
                | "in"
                | "of"
                | "delete"
                | "void"
                | "throw"
                | "new"
                | "else"
                | "do"
                | "await"
                | "yield"
        ),
        Some(Token::Text(_)) => false,
        Some(Token::Mark(mark)) => !matches!(mark, ')' | ']' | '}' | '/'),
    }
}

fn regex_length(rest: &str) -> usize {
    let mut escaped = false;
    let mut in_class = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// From a backtick, or the brace that ends a substitution, to the end or to the next substitution.
fn template_length(rest: &str, templates: &mut Vec<usize>, depth: usize) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '`' => return at + 1,
            '$' if rest[at + 1..].starts_with('{') => {
                templates.push(depth);
                return at + 2;
            }
            _ => {}
        }
    }
    rest.len()
}
