//! Which runtime a JavaScript file is for, where nobody says so: the rule that node and client share. It looks at the words
//! of the file, without comments and strings, and not at what they would do.

/// The files that are JavaScript.
pub const ENDINGS: [&str; 3] = [".js", ".mjs", ".cjs"];

/// How the reason ends that bundling does away with.
pub const NOT_IN_THE_FILE: &str = "which is not in the file";

/// The module that the runtime itself offers, everywhere.
const OWN_MODULE: &str = "serverledge";

/// The modules of Node.js, by the first part of their names.
const NODE_MODULES: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// Names that Node.js has everywhere and the runtime `javascript` has not.
const NODE_GLOBALS: [&str; 11] = [
    "AbortController",
    "Buffer",
    "EventSource",
    "FormData",
    "Intl",
    "WebSocket",
    "XMLHttpRequest",
    "fetch",
    "global",
    "SharedArrayBuffer",
    "Worker",
];

/// Why a file needs Node.js, in words that follow "it"; `None`: the runtime `javascript` has all that it names.
///
/// It needs Node.js if it requires or imports anything but `serverledge`, or uses a member of `process` other than
/// `env`, or one of a few other names of Node.js that it does not declare itself.
#[must_use]
pub fn needs_node(source: &str) -> Option<String> {
    let tokens = tokens(source);
    imported(&tokens)
        .find_map(why_of_import)
        .or_else(|| used_global(&tokens))
}

/// Whether a module of this name is part of Node.js.
#[must_use]
pub fn is_node_module(name: &str) -> bool {
    let bare = name.strip_prefix("node:");
    bare.is_some() || NODE_MODULES.contains(&name.split('/').next().unwrap_or(name))
}

/// The names of the modules that a file requires or imports.
#[must_use]
pub fn imports(source: &str) -> Vec<String> {
    imported(&tokens(source)).map(str::to_owned).collect()
}

fn why_of_import(name: &str) -> Option<String> {
    match name {
        OWN_MODULE => None,
        _ if is_node_module(name) => Some(format!("imports {name:?} of Node.js")),
        _ => Some(format!("imports {name:?}, {NOT_IN_THE_FILE}")),
    }
}

fn imported<'a>(tokens: &'a [Token<'a>]) -> impl Iterator<Item = &'a str> {
    (0..tokens.len()).filter_map(|at| {
        let Token::Word(word) = tokens[at] else {
            return None;
        };
        if at > 0 && tokens[at - 1] == Token::Mark('.') {
            return None;
        }
        let after = |offset: usize| tokens.get(at + offset).copied();
        match (word, after(1), after(2)) {
            ("require" | "import", Some(Token::Mark('(')), Some(Token::Text(name)))
            | ("import" | "from", Some(Token::Text(name)), _) => Some(name),
            _ => None,
        }
    })
}

fn used_global(tokens: &[Token<'_>]) -> Option<String> {
    let declared = |name: &str| {
        tokens.windows(2).any(|pair| {
            let declares = Token::Word(name) == pair[1];
            declares
                && matches!(
                    pair[0],
                    Token::Word("const" | "let" | "var" | "function" | "class" | "import")
                )
        })
    };
    (0..tokens.len()).find_map(|at| {
        let Token::Word(word) = tokens[at] else {
            return None;
        };
        let is_member = at > 0 && tokens[at - 1] == Token::Mark('.');
        let is_key = tokens.get(at + 1) == Some(&Token::Mark(':'));
        // Only Node.js heeds a language, which is what an argument names.
        if is_member && word == "toLocaleString" && has_argument(tokens, at) {
            return Some("uses toLocaleString with an argument".to_owned());
        }
        if is_member || is_key || is_method(tokens, at) {
            return None;
        }
        if word == "process" {
            let member =
                (tokens.get(at + 1) == Some(&Token::Mark('.'))).then(|| tokens.get(at + 2));
            return match member {
                Some(Some(Token::Word(member))) if *member != "env" && !declared(word) => {
                    Some(format!("uses process.{member} of Node.js"))
                }
                _ => None,
            };
        }
        (NODE_GLOBALS.contains(&word) && !declared(word)).then(|| format!("uses {word}"))
    })
}

fn has_argument(tokens: &[Token<'_>], at: usize) -> bool {
    tokens.get(at + 1) == Some(&Token::Mark('(')) && tokens.get(at + 2) != Some(&Token::Mark(')'))
}

/// Whether a name is that of a method where it is written: `NAME(…) {`, not behind a keyword that takes a value.
fn is_method(tokens: &[Token<'_>], at: usize) -> bool {
    if tokens.get(at + 1) != Some(&Token::Mark('(')) {
        return false;
    }
    let mut depth = 0_usize;
    for (offset, token) in tokens[at + 1..].iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            // Behind a call there is no brace: that of `if (fetch(a)) {` follows the outer parenthesis.
            return tokens.get(at + 2 + offset) == Some(&Token::Mark('{'));
        }
    }
    false
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// The contents of a string in quotes.
    Text(&'a str),
    /// Any other character, and `'/'` for a whole regular expression.
    Mark(char),
}

/// Splits a source. Comments are left out; of a template, only what is written between `${` and `}` remains.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    // The depth of braces at which each template goes on.
    let (mut templates, mut depth) = (Vec::new(), 0_usize);
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
    let (mut escaped, mut in_class) = (false, false);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(source: &str, expected: Option<&str>) {
        assert_eq!(needs_node(source).as_deref(), expected, "{source}");
    }

    #[test]
    fn what_the_engine_has_needs_no_node() {
        for source in [
            "module.exports = (params, context) => params.a + 1;",
            "export default async (args) => (await call('f', args)).fetch",
            "import { call } from 'serverledge'; export const handler = () => process.env.KEY;",
            "const { call } = require(\"serverledge\");",
            "// require('fs')\n/* Buffer */ const a = 'fetch(1)', b = `Buffer ${a} require('fs')`;",
            "const o = { Buffer: 1 }; o.fetch(); o?.global; this.process.exit(1)",
            "function fetch() { return 1 } fetch()",
            "const x = a / b / c, y = /require('fs')/.test(x)",
            "const t = `${ { a: `${1}` }.a } Buffer`; console.log(t)",
            "typeof process === 'object' && process",
            "setImmediate(() => {}); module.exports = () => 1",
            "export default { async fetch(req) { return f(req) } }",
            "class A { fetch({ a }, b = (1)) { return 1 } }",
            "(1).toLocaleString(); o.Intl",
        ] {
            check(source, None);
        }
    }

    #[test]
    fn what_only_node_has_does() {
        check(
            "const fs = require('fs')",
            Some("imports \"fs\" of Node.js"),
        );
        check(
            "import { readFile } from 'node:fs/promises';",
            Some("imports \"node:fs/promises\" of Node.js"),
        );
        check(
            "import 'fs/promises';",
            Some("imports \"fs/promises\" of Node.js"),
        );
        check(
            "export * from \"path\"",
            Some("imports \"path\" of Node.js"),
        );
        check(
            "const p = await import('os')",
            Some("imports \"os\" of Node.js"),
        );
        check(
            "const m = require('marked')",
            Some("imports \"marked\", which is not in the file"),
        );
        check(
            "const m = require('./lib.js')",
            Some("imports \"./lib.js\", which is not in the file"),
        );
        check("process.exit(1)", Some("uses process.exit of Node.js"));
        check("return Buffer.from('a')", Some("uses Buffer"));
        check("await fetch(`http://x/${id}`)", Some("uses fetch"));
        check("new Intl.NumberFormat('de')", Some("uses Intl"));
        check(
            "n.toLocaleString('de-DE')",
            Some("uses toLocaleString with an argument"),
        );
        check(
            "const o = { async f() { if (fetch('x')) { return 1 } } }",
            Some("uses fetch"),
        );
        check("const t = `${ Buffer.from('a') }`", Some("uses Buffer"));
        check("const r = /[/]'/; global.x = 1", Some("uses global"));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(source in "\\PC{0,60}", tail in "[`'\"/\\\\${}a(.\n*]{0,30}") {
            let source = source + &tail;
            let _ = needs_node(&source);
        }
    }
}
