//! A common mistake with the runtime's own module: its default export is taken for one of its names.

use super::tokens::Token;

/// The note on a file that takes the whole module for `kv` or `call`, with the line.
pub(super) fn note(file: &str, source: &str, tokens: &[Token<'_>]) -> Option<String> {
    let (at, name) = (0..tokens.len()).find_map(|at| whole_as(tokens.get(at..)?))?;
    let offset = (at.as_ptr() as usize).saturating_sub(source.as_ptr() as usize);
    let line = source.get(..offset)?.matches('\n').count() + 1;
    Some(format!(
        "{file}:{line}: {name} is the whole module here, which has {name} as a member: write import {{ {name} }} from \
         'serverledge'"
    ))
}

/// `import kv from 'serverledge'` or `const kv = require('serverledge')` at the begin: the first word, and the name.
fn whole_as<'a>(tokens: &[Token<'a>]) -> Option<(&'a str, &'a str)> {
    use Token::{Mark, Text, Word};
    let (first, name) = match tokens {
        [
            Word(first @ "import"),
            Word(name),
            Word("from"),
            Text("serverledge"),
            ..,
        ] => (first, name),
        [
            Word(first @ ("const" | "let" | "var")),
            Word(name),
            Mark('='),
            Word("require"),
            Mark('('),
            Text("serverledge"),
            Mark(')'),
            rest @ ..,
        ] if !matches!(rest, [Mark('.' | '?'), ..]) => (first, name),
        _ => return None,
    };
    matches!(*name, "kv" | "call").then_some((*first, *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::javascript::tokens::tokens;

    #[test]
    fn the_whole_module_is_not_one_of_its_names() {
        let told = |source: &str| note("f.js", source, &tokens(source));
        for (source, line) in [
            ("import kv from 'serverledge'; kv.get('k')", 1),
            ("// stores\nimport kv from \"serverledge\"", 2),
            ("\n\nconst call = require('serverledge');", 3),
            ("let kv = require('serverledge')\nkv.get('k')", 1),
        ] {
            let note = told(source).unwrap();
            assert!(note.starts_with(&format!("f.js:{line}: ")), "{note}");
        }
        assert_eq!(
            told("import kv from 'serverledge'").unwrap(),
            "f.js:1: kv is the whole module here, which has kv as a member: write import { kv } from 'serverledge'"
        );
        for source in [
            "import { kv } from 'serverledge'",
            "import serverledge from 'serverledge'; serverledge.kv.get('k')",
            "const kv = require('serverledge').kv",
            "const { kv } = require('serverledge')",
            "import kv from 'other'",
            "// import kv from 'serverledge'",
        ] {
            assert_eq!(told(source), None, "{source}");
        }
    }
}
