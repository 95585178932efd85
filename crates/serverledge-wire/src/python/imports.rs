//! The imports of a Python file, and their places in it.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Line, PythonToken};

/// The place of an import, as far as it says when the import is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ImportPlace {
    /// It is run when the file is loaded.
    Always,
    /// Perhaps then: behind an `if`.
    Branch,
    /// Later, in a function.
    Later,
    /// The file can do without.
    Optional,
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import<'a> {
    /// The dots before the name: 0 for a name that counts from the root.
    pub(super) level: usize,
    /// The parts of the module's name.
    pub(super) module: Vec<&'a str>,
    /// The names behind `from … import`.
    pub(super) names: Vec<&'a str>,
    /// The name that the module gets, where it is another.
    pub(super) alias: Option<&'a str>,
    pub(super) place: ImportPlace,
}

/// The kind of the lines that stand below a header with a larger indent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Of a function.
    Function,
    /// Behind an `if`.
    Branch,
    /// Not run here: for type checkers, for other systems, for the command line.
    Unlikely,
    /// Of a `try`, by its number.
    Attempt(usize),
    /// Of an `except`: done instead.
    Handler,
    /// Run like the lines around it.
    Plain,
}

/// The state of a walk through the lines.
#[derive(Debug, Default)]
struct Walk {
    /// The blocks around the present line, with the indents of their headers.
    blocks: Vec<(usize, Block)>,
    /// The number of the last `try` at each indent.
    attempts: BTreeMap<usize, usize>,
    attempt_count: usize,
    /// The numbers of those that live with an import that fails.
    caught: BTreeSet<usize>,
}

/// The imports of a file, in their order.
pub(super) fn imports<'a>(lines: &[Line<'a>]) -> Vec<Import<'a>> {
    let mut walk = Walk::default();
    let mut found: Vec<(Import<'a>, Vec<usize>)> = Vec::new();
    for line in lines {
        walk.enter(line);
        if walk.is_unlikely() {
            continue;
        }
        for import in of_line(&line.tokens, walk.place()) {
            found.push((import, walk.attempts_around()));
        }
    }
    let caught = &walk.caught;
    found
        .into_iter()
        .map(|(mut import, attempts)| {
            if attempts.iter().any(|attempt| caught.contains(attempt)) {
                import.place = ImportPlace::Optional;
            }
            import
        })
        .collect()
}

// === impl Walk ===

impl Walk {
    /// Leaves the blocks that end before a line, and enters the one that it begins.
    fn enter(&mut self, line: &Line<'_>) {
        while self
            .blocks
            .last()
            .is_some_and(|(indent, _)| *indent >= line.indent)
        {
            self.blocks.pop();
        }
        if let Some(block) = self.begun_by(line) {
            self.blocks.push((line.indent, block));
        }
    }

    fn begun_by(&mut self, line: &Line<'_>) -> Option<Block> {
        let words = line.tokens.as_slice();
        let (first, words) = match words {
            [
                PythonToken::Word("async"),
                PythonToken::Word(first),
                rest @ ..,
            ] => (*first, rest),
            [PythonToken::Word(first), rest @ ..] => (*first, rest),
            _ => return None,
        };
        // A header has a colon; one without is a line like others, as that of `match = 1`.
        if !words.contains(&PythonToken::Mark(':')) {
            return None;
        }
        Some(match first {
            "def" => Block::Function,
            "if" | "elif" if is_unlikely(words) => Block::Unlikely,
            "if" | "elif" | "else" | "case" => Block::Branch,
            "try" => Block::Attempt(self.attempt(line.indent)),
            "with" if names_import_errors(words) => {
                let attempt = self.attempt(line.indent);
                self.caught.insert(attempt);
                Block::Attempt(attempt)
            }
            "except" => {
                let is_bare = matches!(words, [PythonToken::Mark(':'), ..]);
                let attempt = self.attempts.get(&line.indent);
                if let Some(attempt) = attempt.filter(|_| is_bare || names_import_errors(words)) {
                    self.caught.insert(*attempt);
                }
                Block::Handler
            }
            "class" | "finally" | "for" | "while" | "with" => Block::Plain,
            _ => return None,
        })
    }

    fn attempt(&mut self, indent: usize) -> usize {
        self.attempt_count += 1;
        self.attempts.insert(indent, self.attempt_count);
        self.attempt_count
    }

    fn is_unlikely(&self) -> bool {
        self.has(|block| *block == Block::Unlikely)
    }

    fn place(&self) -> ImportPlace {
        if self.has(|block| *block == Block::Handler) {
            ImportPlace::Optional
        } else if self.has(|block| *block == Block::Function) {
            ImportPlace::Later
        } else if self.has(|block| *block == Block::Branch) {
            ImportPlace::Branch
        } else {
            ImportPlace::Always
        }
    }

    fn attempts_around(&self) -> Vec<usize> {
        let number = |(_, block): &(usize, Block)| match block {
            Block::Attempt(number) => Some(*number),
            _ => None,
        };
        self.blocks.iter().filter_map(number).collect()
    }

    fn has(&self, is: impl Fn(&Block) -> bool) -> bool {
        self.blocks.iter().any(|(_, block)| is(block))
    }
}

/// Whether the words behind an `if` are about what is not so here.
fn is_unlikely(words: &[PythonToken<'_>]) -> bool {
    words.iter().any(|token| match token {
        PythonToken::Word(word) => matches!(*word, "TYPE_CHECKING" | "version_info" | "platform"),
        PythonToken::Text(text) => *text == "__main__",
        PythonToken::Mark(_) => false,
    })
}

/// Whether a header names exceptions, of which a failed import is one.
fn names_import_errors(words: &[PythonToken<'_>]) -> bool {
    words.iter().any(|token| {
        matches!(
            token,
            PythonToken::Word(
                "ImportError" | "ModuleNotFoundError" | "Exception" | "BaseException"
            )
        )
    })
}

// === the words of an import ===

fn of_line<'a>(tokens: &[PythonToken<'a>], place: ImportPlace) -> Vec<Import<'a>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut begins = true;
    for (at, token) in tokens.iter().enumerate() {
        let behind = &tokens[at + 1..];
        match token {
            PythonToken::Word("import") if begins => plain(behind, place, &mut found),
            PythonToken::Word("from") if begins => found.extend(from(behind, place)),
            PythonToken::Word("import_module" | "__import__") => {
                found.extend(called(behind, place))
            }
            PythonToken::Mark('(' | '[' | '{') => depth += 1,
            PythonToken::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        begins = depth == 0 && matches!(token, PythonToken::Mark(';' | ':'));
    }
    found
}

/// `import a.b as c, d`
fn plain<'a>(mut tokens: &[PythonToken<'a>], place: ImportPlace, found: &mut Vec<Import<'a>>) {
    loop {
        let (module, behind) = dotted(tokens);
        if module.is_empty() {
            return;
        }
        let (alias, behind) = match behind {
            [PythonToken::Word("as"), PythonToken::Word(alias), rest @ ..] => (Some(*alias), rest),
            _ => (None, behind),
        };
        found.push(Import {
            level: 0,
            module,
            names: Vec::new(),
            alias,
            place,
        });
        match behind {
            [PythonToken::Mark(','), rest @ ..] => tokens = rest,
            _ => return,
        }
    }
}

/// `from ..a.b import (c as d, e)`
fn from<'a>(tokens: &[PythonToken<'a>], place: ImportPlace) -> Option<Import<'a>> {
    let level = tokens
        .iter()
        .take_while(|token| **token == PythonToken::Mark('.'))
        .count();
    let behind = &tokens[level..];
    // The word `import` follows the dots where they are all there is.
    let (module, behind) = match behind {
        [PythonToken::Word("import"), ..] => (Vec::new(), behind),
        _ => dotted(behind),
    };
    let [PythonToken::Word("import"), behind @ ..] = behind else {
        return None;
    };
    let mut names = Vec::new();
    let mut is_alias = false;
    for token in behind {
        match token {
            PythonToken::Word("as") => is_alias = true,
            PythonToken::Word(_) if is_alias => is_alias = false,
            PythonToken::Word(name) => names.push(*name),
            PythonToken::Mark(',' | '(' | '*') => {}
            _ => break,
        }
    }
    (level > 0 || !module.is_empty()).then_some(Import {
        level,
        module,
        names,
        alias: None,
        place,
    })
}

/// `import_module("a.b")`, where the name is written there.
fn called<'a>(tokens: &[PythonToken<'a>], place: ImportPlace) -> Option<Import<'a>> {
    let [
        PythonToken::Mark('('),
        PythonToken::Text(name),
        PythonToken::Mark(')' | ','),
        ..,
    ] = tokens
    else {
        return None;
    };
    let is_name = |part: &str| {
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        !part.is_empty() && part.chars().all(is_letter)
    };
    name.split('.').all(is_name).then(|| Import {
        level: 0,
        module: name.split('.').collect(),
        names: Vec::new(),
        alias: None,
        place,
    })
}

/// The parts of a name with dots, and what follows it.
fn dotted<'a, 't>(tokens: &'t [PythonToken<'a>]) -> (Vec<&'a str>, &'t [PythonToken<'a>]) {
    let mut parts = Vec::new();
    let mut behind = tokens;
    while let [PythonToken::Word(part), rest @ ..] = behind {
        parts.push(*part);
        behind = rest;
        match behind {
            [PythonToken::Mark('.'), rest @ ..] => behind = rest,
            _ => break,
        }
    }
    (parts, behind)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::tokens::lines;
    use super::*;

    fn check(source: &str, expected: &Expect) {
        let shown = imports(&lines(source)).into_iter().map(|import| {
            let names = import.names.join(" ");
            let alias = import.alias.map(|alias| format!(" as {alias}"));
            format!(
                "{:?} {}{}{} {names}",
                import.place,
                ".".repeat(import.level),
                import.module.join("."),
                alias.unwrap_or_default(),
            )
            .trim_end()
            .to_owned()
        });
        expected.assert_eq(&shown.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn all_forms_are_seen() {
        check(
            "import a\nimport a.b as c, d\nfrom x import y\nfrom x.y import (\n  z as w,  # comment\n  v,\n)\n\
             from . import s\nfrom ..t.u import *\nx = 1; import e\nif True: import f\n\
             importlib.import_module('g.h')\n__import__(\"i\")\nimport_module('.j', 'k')\nfrom l import m; import n",
            &expect![[r#"
                Always a
                Always a.b as c
                Always d
                Always x y
                Always x.y z v
                Always . s
                Always ..t.u
                Always e
                Branch f
                Always g.h
                Always i
                Always l m
                Always n"#]],
        );
    }

    #[test]
    fn other_words_are_none() {
        check(
            "# import a\n'''\nimport b\n'''\nx = \"import c\"\nyield from d\nraise E from e\nimportant = 1\n\
             f(import_module(name))\nd = {'from': 1, 'import': 2}\nimport_module(f'{x}.y')\nimport\nfrom x\n",
            &expect![[""]],
        );
    }

    #[test]
    fn the_place_says_when_it_is_run() {
        check(
            "def f():\n    import a\n    class B:\n        import b\nimport c\nclass D:\n    import d\n\
             if x:\n    import e\nelse:\n    import f\nasync def g():\n    import h\n\
             if TYPE_CHECKING:\n    import i\nif sys.platform == 'win32':\n    import j\n\
             if __name__ == '__main__':\n    import k\nwith open(x) as y:\n    import l\n",
            &expect![[r#"
                Later a
                Later b
                Always c
                Always d
                Branch e
                Branch f
                Later h
                Always l"#]],
        );
    }

    #[test]
    fn attempts_are_optional() {
        check(
            "try:\n    import a\nexcept ImportError:\n    import b\n\
             try: import c\nexcept: c = None\n\
             try:\n    import d\nexcept KeyError:\n    pass\n\
             try:\n    try:\n        import e\n    finally:\n        pass\nexcept (ValueError, ModuleNotFoundError):\n    e = 1\n\
             with suppress(ImportError):\n    import f\nimport g\n",
            &expect![[r#"
                Optional a
                Optional b
                Optional c
                Always d
                Optional e
                Optional f
                Always g"#]],
        );
    }
}
