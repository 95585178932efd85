//! The words of comments and documents: doc comments say what a thing is, type names name one thing, and sentences are
//! short.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::lexer::code_only;
use crate::repository::{files_ending, none, read};

/// Words that doc comments do not begin with: they begin a question, or a clause without its noun.
const REFUSED_OPENINGS: [&str; 4] = ["What", "Who", "Whose", "Whom"];
/// Words that few doc comments begin with. "Whether" is none of them: it is how a `bool` is described.
const RARE_OPENINGS: [&str; 5] = ["How", "Which", "Where", "When", "Why"];
/// One in so many doc comments at most begins with any of these words.
const OPENINGS_ONE_IN: usize = 33;

/// Source files that may define a type of one name.
const SAME_NAME_MAX: usize = 2;
/// Names that more files define, each with its reason.
const SAME_NAMES: [(&str, &str); 0] = [];

const COLUMNS_MAX: usize = 120;
const SENTENCE_WORDS_MAX: usize = 40;

/// The first lines of the doc comments of a source, with their numbers.
fn openings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let comment = |line: &'_ str| line.trim_start().starts_with("///") || line.starts_with("//!");
    let mut before = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let is = comment(line);
        let begins = is && !std::mem::replace(&mut before, is);
        before = is;
        begins.then(|| {
            (
                number + 1,
                line.trim_start()
                    .trim_start_matches(['/', '!'])
                    .trim_start(),
            )
        })
    })
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default()
}

#[test]
fn doc_comments_say_what_a_thing_is() -> Result<()> {
    let mut faults = Vec::new();
    let mut rare = Vec::new();
    let mut all = 0;
    for file in files_ending(".rs")? {
        let text = read(&file)?;
        for (number, opening) in openings(&text) {
            all += 1;
            let word = first_word(opening);
            if REFUSED_OPENINGS.contains(&word) {
                faults.push(format!("{file}:{number}: {opening}"));
            }
            if RARE_OPENINGS.contains(&word) {
                rare.push(format!("{file}:{number}: {opening}"));
            }
        }
    }
    none(
        "a doc comment begins with a noun or a verb in the third person, not with What, Who, Whose or Whom",
        &faults,
    );
    ensure!(
        rare.len() * OPENINGS_ONE_IN <= all,
        "{} of {all} doc comments begin with How, Which, Where, When or Why; more than one in {OPENINGS_ONE_IN}\n  {}",
        rare.len(),
        rare.join("\n  ")
    );
    Ok(())
}

/// Pointers to documents that are not here. Assembled, so that this file does not hold them.
fn pointers() -> [String; 2] {
    [["design", "§"].join(" "), ["the", "sis"].concat()]
}

#[test]
fn nothing_points_to_documents_that_are_not_here() -> Result<()> {
    let mut faults = Vec::new();
    for ending in [
        ".rs", ".md", ".toml", ".sh", ".py", ".js", ".c", ".h", ".yml", ".json",
    ] {
        for file in files_ending(ending)? {
            let text = read(&file)?;
            for (number, line) in text.lines().enumerate() {
                let lower = line.to_lowercase();
                let found = pointers()
                    .into_iter()
                    .find(|pointer| lower.contains(pointer.as_str()) && !hypo(&lower, pointer));
                faults.extend(found.map(|pointer| format!("{file}:{}: {pointer}", number + 1)));
            }
        }
    }
    none(
        "a decision of docs/decisions is named, or the reason said",
        &faults,
    );
    Ok(())
}

/// Whether the word is the end of another one (hypothesis, synthesis, parenthesis).
fn hypo(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .all(|(at, _)| line[..at].ends_with(|before: char| before.is_alphabetic()))
}

/// The types that code defines at the level of a file or of a module in it.
fn types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| word.starts_with("pub") || word.ends_with(')'));
        let keyword = words.next()?;
        let defines = matches!(keyword, "struct" | "enum" | "trait" | "union")
            || keyword == "type" && !line.starts_with(' ');
        let name = words
            .next()?
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        (defines && !name.is_empty()).then_some(name)
    })
}

/// Whether a file is a crate's own source, and no test.
fn is_source(file: &str) -> bool {
    file.starts_with("crates/")
        && file.contains("/src/")
        && !file.split(['/', '.']).any(|part| part.ends_with("tests"))
}

#[test]
fn a_type_name_names_one_thing() -> Result<()> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files_ending(".rs")?
        .into_iter()
        .filter(|file| is_source(file))
    {
        let code = code_only(&read(&file)?);
        let own = code
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for name in types(own) {
            let places = files.entry(name.to_owned()).or_default();
            if places.last() != Some(&file) {
                places.push(file.clone());
            }
        }
    }
    ensure!(files.len() > 500, "only {} types were found", files.len());
    let often = files
        .iter()
        .filter(|(_, places)| places.len() > SAME_NAME_MAX);
    let faults: Vec<_> = often
        .filter(|(name, _)| !SAME_NAMES.iter().any(|(allowed, _)| allowed == name))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    none(
        "a type name is defined in at most two files: more cannot be searched for",
        &faults,
    );
    Ok(())
}

/// A piece of a document that is read in one go: a paragraph, an item of a list, a cell of a table.
struct Passage {
    line: usize,
    text: String,
}

fn passages(text: &str) -> Vec<Passage> {
    let mut found = Vec::new();
    let mut code = false;
    let mut open: Option<Passage> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            code = !code;
            found.extend(open.take());
            continue;
        }
        let item = ["- ", "* ", "> "]
            .iter()
            .any(|mark| trimmed.starts_with(mark))
            || is_numbered(trimmed);
        if code
            || trimmed.is_empty()
            || trimmed.starts_with('#')
            || trimmed.starts_with('|')
            || item
        {
            found.extend(open.take());
        }
        // Code may be indented instead of fenced; in a list four blanks are text.
        let indented = open.is_none() && !item && line.starts_with("    ");
        if code || indented || trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if trimmed.starts_with('|') {
            let cells = trimmed.split('|').filter(|cell| !cell.trim().is_empty());
            found.extend(cells.map(|cell| Passage {
                line: number + 1,
                text: cell.to_owned(),
            }));
            continue;
        }
        let passage = open.get_or_insert_with(|| Passage {
            line: number + 1,
            text: String::new(),
        });
        passage.text.push(' ');
        passage.text.push_str(trimmed);
    }
    found.extend(open);
    found
}

fn is_numbered(line: &str) -> bool {
    line.split_once(". ")
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The number of words of a sentence; names of code in a row are a list, and count as one.
fn words(sentence: &str) -> usize {
    let mut words: Vec<&str> = sentence
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric))
        .collect();
    words.dedup_by_key(|word| {
        if word.starts_with("code") {
            "code"
        } else {
            *word
        }
    });
    words.len()
}

/// The sentences of a passage; what stands between backticks is one word.
fn sentences(text: &str) -> Vec<String> {
    let parts = text.split('`').enumerate();
    let plain: String = parts
        .map(|(index, part)| if index % 2 == 1 { "code" } else { part })
        .collect();
    let mut found = Vec::new();
    let mut sentence = Vec::new();
    for word in plain.split_whitespace() {
        sentence.push(word);
        let bare = word.trim_end_matches(['*', ')', '"', '”', '_']);
        if bare.ends_with(['.', '?', '!']) && !matches!(bare, "e.g." | "i.e." | "etc.") {
            found.push(std::mem::take(&mut sentence).join(" "));
        }
    }
    found.push(sentence.join(" "));
    found
}

#[test]
fn sentences_of_documents_are_short() -> Result<()> {
    let mut faults = Vec::new();
    for file in files_ending(".md")?
        .into_iter()
        .filter(|file| file == "README.md" || file.starts_with("docs/"))
    {
        for passage in passages(&read(&file)?) {
            for sentence in sentences(&passage.text) {
                let words = words(&sentence);
                if words > SENTENCE_WORDS_MAX {
                    faults.push(format!(
                        "{file}:{}: {words} words: {sentence}",
                        passage.line
                    ));
                }
            }
        }
    }
    none("a sentence has at most 40 words", &faults);
    Ok(())
}

#[test]
fn lines_of_documents_fit() -> Result<()> {
    let mut faults = Vec::new();
    for file in files_ending(".md")? {
        let mut code = false;
        for (number, line) in read(&file)?.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                code = !code;
            }
            // A place on the web cannot be broken.
            let long = line.chars().count() > COLUMNS_MAX && line.split_whitespace().count() > 2;
            if long && !code && !line.trim_start().starts_with('|') {
                faults.push(format!(
                    "{file}:{}: {} columns",
                    number + 1,
                    line.chars().count()
                ));
            }
        }
    }
    none(
        "a line of a document has at most 120 columns, outside code and tables",
        &faults,
    );
    Ok(())
}

#[test]
fn openings_types_and_sentences_are_found() {
    let source = "//! The file.\n//! More.\n\n/// What it is.\n/// More.\nstruct A;\n    /// Other.\n    b: u8,\n";
    let found: Vec<_> = openings(source).collect();
    assert_eq!(found, [(1, "The file."), (4, "What it is."), (7, "Other.")]);
    let code = "pub(crate) struct A<T>(T);\nenum B {}\n    type Error = C;\npub type D = E;\npub(in crate::x) trait F {}";
    assert_eq!(types(code).collect::<Vec<_>>(), ["A", "B", "D", "F"]);
    let document = "# T\n\nOne `a. b` two.\nThree four.\n\n- five\n  six\n- seven\n\n```\ncode code.\n```\n| a | b. c |\n";
    let found: Vec<_> = passages(document)
        .iter()
        .map(|passage| (passage.line, sentences(&passage.text)))
        .collect();
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    assert_eq!(found[0], (3, words(&["One code two.", "Three four.", ""])));
    assert_eq!(found[1], (6, words(&["- five six"])));
    assert_eq!(found.len(), 5);
    assert!(
        hypo("a hypothesis", &pointers()[1])
            && !hypo(&format!("the {}", pointers()[1]), &pointers()[1])
    );
}
