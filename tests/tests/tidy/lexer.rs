//! Enough of Rust's lexis to look at code without its comments and literals.

/// The source with every comment and the inside of every literal blanked out; line breaks stay where they are.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        match end {
            Some(end) => {
                out.extend(
                    bytes[at..end]
                        .iter()
                        .map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }),
                );
                at = end;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of a comment or literal that begins here.
fn token_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(
            at + rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len()),
        );
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if !inside_word && let Some(length) = raw_string(rest) {
        return Some(at + length);
    }
    match rest[0] {
        b'"' => Some(at + quoted(rest, b'"')),
        b'\'' if is_character(rest) => Some(at + quoted(rest, b'\'')),
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`: the whole length.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = usize::from(matches!(rest[0], b'b' | b'c'));
    if rest.get(start) != Some(&b'r') {
        return None;
    }
    let hashes = rest[start + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = start + 1 + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
    let inside = rest[open + 1..]
        .windows(close.len())
        .position(|window| window == close)?;
    Some(open + 1 + inside + close.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character, not a lifetime.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(byte) if byte.is_ascii() => rest.get(2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}

/// A function and how many lines of code it has: comments, and what stands inside a literal, do not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The functions with bodies in code without comments and literals.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if !starts || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(bytes, at) {
            let line = 1 + code[..at].matches('\n').count();
            found.push(Function {
                name,
                line,
                lines: code[at..end]
                    .lines()
                    .filter(|line| !line.trim().is_empty())
                    .count(),
            });
        }
    }
    found
}

/// The end of the body that follows; none for a declaration.
fn body_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut around = 0_i32;
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if depth == 0 => around += 1,
            b')' | b']' if depth == 0 => around -= 1,
            b';' if depth == 0 && around == 0 => return None,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 && around == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn comments_and_literals_go() {
    for (source, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (
            "x(\"a\\\"}\", 'c', '\\'', 'é')",
            "x(      ,    ,     ,     )",
        ),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("r#\"a\"b\"# + br\"x\"", "         +      "),
        ("var\"x\"", "var   "),
    ] {
        assert_eq!(code_only(source), code, "{source}");
    }
}

#[test]
fn functions_are_measured() {
    let code = "trait T { fn a(x: [u8; 3]);\n fn b() {\n {}\n }\n}\nfn c() -> u8 { 1 }\n";
    let found: Vec<_> = functions(code)
        .into_iter()
        .map(|f| (f.name, f.line, f.lines))
        .collect();
    assert_eq!(found, [("b".to_owned(), 2, 3), ("c".to_owned(), 6, 1)]);
}
