//! The choice of a JavaScript file's runtime where nobody names one: the rule that node and client share. It looks at
//! the words of the file, without comments and strings, and not at what they would do.

mod languages;
mod notes;
mod own_module;
mod tokens;

use std::collections::HashSet;

pub use self::languages::names_languages;
pub use self::notes::{Role, notes};

use self::tokens::{Token, tokens};

/// The files that are JavaScript.
pub const ENDINGS: [&str; 3] = [".js", ".cjs", ".mjs"];

/// The end of the one reason that bundling removes.
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

/// Modules that the runtime `javascript` has: those of Node.js with `node:` before their names or without, and two packages in
/// whose place the engine has its own code.
pub const ENGINE_MODULES: [&str; 14] = [
    "assert",
    "assert/strict",
    "bcrypt",
    "bcryptjs",
    "buffer",
    "crypto",
    "events",
    "path",
    "path/posix",
    "querystring",
    "string_decoder",
    "url",
    "util",
    "util/types",
];

/// Members of these modules that the runtime `javascript` does not have.
const NODE_MEMBERS: [&str; 31] = [
    "CallTracker",
    "Certificate",
    "EventEmitterAsyncResource",
    "KeyObject",
    "MIMEType",
    "X509Certificate",
    "checkPrimeSync",
    "createCipheriv",
    "createDecipheriv",
    "createDiffieHellman",
    "createECDH",
    "createPrivateKey",
    "createPublicKey",
    "createSecretKey",
    "createSign",
    "createVerify",
    "diffieHellman",
    "generateKeyPair",
    "generateKeyPairSync",
    "generateKeySync",
    "generatePrimeSync",
    "getCiphers",
    "getCurves",
    "getSystemErrorName",
    "parseArgs",
    "privateDecrypt",
    "privateEncrypt",
    "publicDecrypt",
    "publicEncrypt",
    "styleText",
    "win32",
];

/// Names that Node.js has everywhere and the runtime `javascript` has not.
const NODE_GLOBALS: [&str; 8] = [
    "Atomics",
    "BroadcastChannel",
    "EventSource",
    "SharedArrayBuffer",
    "WebAssembly",
    "WebSocket",
    "Worker",
    "XMLHttpRequest",
];

/// The function that sends requests: it is there, and reaches the hosts that a deployment names.
const FETCH: &str = "fetch";

/// The object for languages, which the runtime `javascript` has.
const INTL: &str = "Intl";
/// Its members that are not there: a file that uses one fails.
const INTL_MEMBERS: [&str; 2] = ["DisplayNames", "DurationFormat"];
/// Most tokens of a method's parameters: of nested calls without an end, each is looked at only so far.
const PARAMETERS_MAX: usize = 1000;
/// Names of the global object, of which everything global is a member.
const GLOBAL_OBJECTS: [&str; 3] = ["global", "globalThis", "self"];

/// A name in a file that means something else than in Node.js, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use<'a> {
    /// A global that is not there.
    Global(&'a str),
    /// A member of `process` other than `env`.
    Process(&'a str),
    /// A member of `Intl` that is not there.
    Intl(&'a str),
    /// The clock.
    Clock(&'a str),
    /// The function that sends requests.
    Fetch,
}

impl Use<'_> {
    /// Whether it is of one of these names, where it can be asked for.
    fn is_among(self, names: &HashSet<&str>) -> bool {
        match self {
            Use::Global(name) => names.contains(name),
            Use::Process(_) => names.contains("process"),
            Use::Intl(member) => names.contains(member),
            Use::Clock(_) | Use::Fetch => false,
        }
    }

    /// In words that follow "it"; `None`: no reason to have Node.js.
    fn need(self) -> Option<String> {
        match self {
            Use::Global(name) => Some(format!("uses {name}")),
            Use::Process(member) => Some(format!("uses process.{member} of Node.js")),
            Use::Intl(member) => Some(format!(
                "uses Intl.{member}, which --runtime javascript does not have"
            )),
            Use::Clock(_) | Use::Fetch => None,
        }
    }
}

/// The reason why a file needs Node.js, in words that follow "it"; `None`: the runtime `javascript` has all that it
/// names.
///
/// It needs Node.js if it requires or imports anything but `serverledge` and the modules that the engine has, uses a
/// member of these that it lacks, a member of `process` other than `env`, a member of `Intl` that is not there, or one of
/// a few other names of Node.js that it does not declare itself.
/// A file can do without a name that it asks for with `typeof`.
#[must_use]
pub fn needs_node(source: &str) -> Option<String> {
    let tokens = tokens(source);
    imported(&tokens)
        .find_map(why_of_import)
        .or_else(|| used_of_node(&tokens))
}

/// As [`needs_node`], of all that a file names itself, whatever it imports.
#[must_use]
pub fn uses_node(source: &str) -> Option<String> {
    used_of_node(&tokens(source))
}

fn used_of_node(tokens: &[Token<'_>]) -> Option<String> {
    // No other runtime has handlers of this kind.
    if exports_fetch(tokens) {
        return None;
    }
    let asked = asked_for(tokens);
    uses(tokens)
        .filter(|(_, used)| !used.is_among(&asked))
        .find_map(|(_, used)| used.need())
        .or_else(|| lacking_member(tokens))
}

/// A member that the engine's modules of Node.js lack, where one of these is imported.
fn lacking_member(tokens: &[Token<'_>]) -> Option<String> {
    if !imported(tokens).any(is_engine_module) {
        return None;
    }
    let named = tokens.iter().find_map(|token| match token {
        Token::Word(word) if NODE_MEMBERS.contains(word) => Some(word),
        _ => None,
    })?;
    Some(format!("uses {named} of Node.js"))
}

/// Whether a file says that it answers requests: what it exports is written there as an object with a function `fetch`.
#[must_use]
pub fn answers_requests(source: &str) -> bool {
    exports_fetch(&tokens(source))
}

fn exports_fetch(tokens: &[Token<'_>]) -> bool {
    use Token::{Mark, Word};
    let inside = |at: usize| match tokens.get(at..)? {
        [Word("export"), Word("default"), Mark('{'), ..] => Some(at + 3),
        [
            Word("module"),
            Mark('.'),
            Word("exports"),
            Mark('='),
            Mark('{'),
            ..,
        ] => Some(at + 5),
        _ => None,
    };
    (0..tokens.len())
        .find_map(inside)
        .is_some_and(|begin| has_key(&tokens[begin..], FETCH))
}

/// Whether an object has a member of this name, by its tokens behind the brace.
fn has_key(tokens: &[Token<'_>], name: &str) -> bool {
    let mut depth = 1_usize;
    // Where a member may begin.
    let mut begins = true;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).copied();
        let is_key = begins
            && *token == Token::Word(name)
            && matches!(next, Some(Token::Mark('(' | ':' | ',' | '}')));
        if is_key {
            return true;
        }
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return false;
        }
        begins = depth == 1 && matches!(token, Token::Mark(',' | '}') | Token::Word("async"));
    }
    false
}

/// Whether a module of this name is part of Node.js.
#[must_use]
pub fn is_node_module(name: &str) -> bool {
    let bare = name.strip_prefix("node:");
    bare.is_some() || NODE_MODULES.contains(&name.split('/').next().unwrap_or(name))
}

/// Whether the runtime `javascript` has the module of Node.js of this name.
#[must_use]
pub fn is_engine_module(name: &str) -> bool {
    ENGINE_MODULES.contains(&name.strip_prefix("node:").unwrap_or(name))
}

/// The names of the modules that a file requires or imports.
#[must_use]
pub fn imports(source: &str) -> Vec<String> {
    imported(&tokens(source)).map(str::to_owned).collect()
}

fn is_below_own_module(name: &str) -> bool {
    let rest = name.strip_prefix(OWN_MODULE);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn why_of_import(name: &str) -> Option<String> {
    match name {
        OWN_MODULE => None,
        // There is none below it: the engine names the right one.
        _ if is_below_own_module(name) => None,
        _ if is_engine_module(name) => None,
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

/// Everything that is used, with the token where.
fn uses<'a>(tokens: &'a [Token<'a>]) -> impl Iterator<Item = (usize, Use<'a>)> {
    let declared = declared(tokens);
    (0..tokens.len()).filter_map(move |at| match tokens[at] {
        Token::Word(word) if !declared.contains(word) || is_member(tokens, at) => {
            used_at(tokens, at, word).map(|used| (at, used))
        }
        _ => None,
    })
}

fn used_at<'a>(tokens: &'a [Token<'a>], at: usize, word: &'a str) -> Option<Use<'a>> {
    if is_member(tokens, at) {
        let is_global = at > 1
            && matches!(tokens[at - 2], Token::Word(object) if GLOBAL_OBJECTS.contains(&object));
        return match word {
            _ if INTL_MEMBERS.contains(&word) && is_of_intl(tokens, at) => Some(Use::Intl(word)),
            FETCH if is_global => Some(Use::Fetch),
            _ if is_global && NODE_GLOBALS.contains(&word) => Some(Use::Global(word)),
            _ => None,
        };
    }
    let used = match word {
        "process" => process_member(tokens, at),
        FETCH => Some(Use::Fetch),
        "Date" | "performance" => reads_clock(tokens, at, word).then_some(Use::Clock(word)),
        _ => NODE_GLOBALS.contains(&word).then_some(Use::Global(word)),
    }?;
    let is_key = tokens.get(at + 1) == Some(&Token::Mark(':'));
    (!is_key && !is_method(tokens, at)).then_some(used)
}

fn is_member(tokens: &[Token<'_>], at: usize) -> bool {
    // Three dots are no member's.
    at > 0 && tokens[at - 1] == Token::Mark('.') && !(at > 1 && tokens[at - 2] == Token::Mark('.'))
}

/// Whether a member is one of `Intl`: `Intl.NAME` or `Intl?.NAME`.
fn is_of_intl(tokens: &[Token<'_>], at: usize) -> bool {
    matches!(
        tokens.get(..at),
        Some(
            [.., Token::Word(INTL), Token::Mark('.')]
                | [.., Token::Word(INTL), Token::Mark('?'), Token::Mark('.')]
        )
    )
}

fn process_member<'a>(tokens: &'a [Token<'a>], at: usize) -> Option<Use<'a>> {
    let dots = tokens[at + 1..]
        .iter()
        .take_while(|token| matches!(token, Token::Mark('.' | '?')))
        .count();
    match tokens.get(at + 1 + dots) {
        Some(Token::Word(member)) if dots > 0 && *member != "env" => Some(Use::Process(member)),
        _ => None,
    }
}

/// `Date.now`, `Date()`, `new Date` and `new Date()`, but not with arguments; `performance.now`.
fn reads_clock(tokens: &[Token<'_>], at: usize, word: &str) -> bool {
    let member = (tokens.get(at + 1) == Some(&Token::Mark('.')))
        .then(|| tokens.get(at + 2))
        .flatten();
    match (member, word) {
        (Some(Token::Word("now" | "timeOrigin")), _) => true,
        (Some(_), _) | (None, "performance") => false,
        (None, _) => {
            let is_made = at > 0 && tokens[at - 1] == Token::Word("new");
            let is_called = tokens.get(at + 1) == Some(&Token::Mark('('));
            !has_argument(tokens, at) && (is_called || is_made)
        }
    }
}

/// The names of which a file finds out by itself if there is such a thing.
fn asked_for<'a>(tokens: &[Token<'a>]) -> HashSet<&'a str> {
    let names = (0..tokens.len()).filter(|at| tokens[*at] == Token::Word("typeof"));
    names
        .filter_map(|at| match tokens.get(at + 1..)? {
            [
                Token::Word(object),
                Token::Mark('.'),
                Token::Word(member),
                ..,
            ] if GLOBAL_OBJECTS.contains(object) || *object == INTL => Some(*member),
            [Token::Word(name), ..] => Some(*name),
            _ => None,
        })
        .collect()
}

/// The names that a file declares.
fn declared<'a>(tokens: &[Token<'a>]) -> HashSet<&'a str> {
    let pairs = tokens.windows(2);
    pairs
        .filter_map(|pair| match pair {
            [
                Token::Word("const" | "let" | "var" | "function" | "class" | "import"),
                Token::Word(name),
            ] => Some(*name),
            _ => None,
        })
        .collect()
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
    for (offset, token) in tokens[at + 1..].iter().take(PARAMETERS_MAX).enumerate() {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(source: &str, expected: Option<&str>) {
        assert_eq!(needs_node(source).as_deref(), expected, "{source}");
    }

    /// Files of a million bytes, on which a look at all of the file for each word would take hours.
    #[test]
    fn large_files_are_read_once() {
        for piece in [
            "a;",
            "const a=1;",
            "process;",
            "process.a;",
            "fetch(",
            "typeof fetch;",
            "Date;",
            "x.Worker;",
        ] {
            let source = piece.repeat((1 << 20) / piece.len());
            let _ = (
                needs_node(&source),
                notes("f.js", &source, Role::Json),
                imports(&source),
            );
        }
    }

    #[test]
    fn what_the_engine_has_needs_no_node() {
        for source in [
            "module.exports = (params, context) => params.a + 1;",
            "export default async (args) => (await call('f', args)).fetch",
            "import { call } from 'serverledge'; export const handler = () => process.env.KEY;",
            "const { call } = require(\"serverledge\");",
            "import kv from 'serverledge/kv'",
            "// require('fs')\n/* Worker */ const a = 'fetch(1)', b = `Worker ${a} require('fs')`;",
            "const o = { Worker: 1 }; o.fetch(); o?.global; this.process.exit(1)",
            "function fetch() { return 1 } fetch()",
            "const x = a / b / c, y = /require('fs')/.test(x)",
            "const t = `${ { a: `${1}` }.a } Worker`; console.log(t)",
            "typeof process === 'object' && process",
            "setImmediate(() => {}); module.exports = () => Date.now()",
            "export default { async fetch(req) { return f(req) } }",
            "export default { fetch: (request) => new Response(names.sort((a, b) => a.localeCompare(b))) }",
            "const fetch = app.fetch; module.exports = { other(a) { return [a] }, fetch, more }; Worker",
            "class A { fetch({ a }, b = (1)) { return 1 } }",
            "o.Intl; global.x = 1; typeof global",
            "new Intl.NumberFormat('de').format(1) + globalThis.Intl.Collator",
            "n.toLocaleString('de-DE') + n.toLocaleString() + 'i'.toLocaleUpperCase('tr')",
            "a.sort((a, b) => a.localeCompare(b))",
            "o.DisplayNames; my.Intl2.DisplayNames; typeof Intl.DisplayNames",
            "typeof Worker !== 'undefined' ? Worker.from(a) : btoa(a)",
            "typeof process !== 'undefined' && process.versions?.node",
            "if (typeof globalThis.fetch === 'function') globalThis.fetch('x')",
            "await fetch(`http://x/${id}`)",
            "const o = { async f() { if (fetch('x')) { return new Response(new Headers()) } } }",
            "new Request('http://x')",
            "'I'.toLocaleLowerCase()",
            "import path from 'node:path'; const { createHash } = require(\"crypto\"); Buffer.from('a')",
            "const win32 = 1; Buffer.alloc(win32)",
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
        check("export * from \"net\"", Some("imports \"net\" of Node.js"));
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
        check(
            "const c = require('crypto'); c.createCipheriv('a', b, c)",
            Some("uses createCipheriv of Node.js"),
        );
        check("process.exit(1)", Some("uses process.exit of Node.js"));
        check("return Worker.from('a')", Some("uses Worker"));
        for source in ["new Intl.DisplayNames(['de'], o)", "Intl?.DisplayNames"] {
            check(
                source,
                Some("uses Intl.DisplayNames, which --runtime javascript does not have"),
            );
        }
        check(
            "new globalThis.Intl.DurationFormat()",
            Some("uses Intl.DurationFormat, which --runtime javascript does not have"),
        );
        check("process?.exit(1)", Some("uses process.exit of Node.js"));
        check(
            "const o = { async f() { if (Worker('x')) { return 1 } } }",
            Some("uses Worker"),
        );
        check("const t = `${ Worker.from('a') }`", Some("uses Worker"));
        check(
            "export default { a: { fetch() {} }, b: [fetch(x)] }; Worker",
            Some("uses Worker"),
        );
        check("const r = /[/]'/; WebSocket.x = 1", Some("uses WebSocket"));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(source in "\\PC{0,60}", tail in "[`'\"/\\\\${}a(.\n*]{0,30}") {
            let source = source + &tail;
            let _ = (needs_node(&source), notes("f.js", &source, Role::Json));
        }
    }
}
