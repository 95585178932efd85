//! Segments of a text: the characters, words or sentences that readers see.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;

use icu_locale::LanguageIdentifier;
use icu_segmenter::options::{SentenceBreakOptions, WordBreakOptions};
use icu_segmenter::{
    GraphemeClusterSegmenter, GraphemeClusterSegmenterBorrowed, SentenceSegmenter, WordSegmenter,
};

use crate::{Argument, Options, Reply, Service};

enum Segments {
    Graphemes(GraphemeClusterSegmenterBorrowed<'static>),
    Words(WordSegmenter),
    Sentences(SentenceSegmenter),
}

/// The lengths of segments, as JSON: code units of UTF-16, less than zero for words, in contrast to space and punctuation.
struct Lengths<'a> {
    text: &'a str,
    from: usize,
    json: String,
}

impl<'a> Lengths<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            from: 0,
            json: String::from("["),
        }
    }

    fn push(&mut self, to: usize, is_word: bool) {
        let length = self
            .text
            .get(self.from..to)
            .map_or(0, |segment| segment.encode_utf16().count());
        self.from = to;
        if length == 0 {
            return;
        }
        if self.json.len() > 1 {
            self.json.push(',');
        }
        let sign = if is_word { "-" } else { "" };
        let _ = write!(self.json, "{sign}{length}");
    }

    /// A segment, of which the words are those that Node.js finds: letters make a word whatever marks follow them, and a word of
    /// Hangul ends where another script begins.
    fn push_words(&mut self, to: usize, is_word: bool) {
        let segment = self.text.get(self.from..to).unwrap_or_default();
        let is_word = is_word || segment.chars().any(char::is_alphabetic);
        let start = self.from;
        let mut before = None;
        for (at, letter) in segment
            .char_indices()
            .filter(|(_, letter)| letter.is_alphanumeric())
        {
            let is_hangul = ('\u{ac00}'..='\u{d7a3}').contains(&letter);
            if before.is_some_and(|before| before != is_hangul) {
                self.push(start + at, is_word);
            }
            before = Some(is_hangul);
        }
        self.push(to, is_word);
    }

    fn end(mut self) -> Reply {
        self.json.push(']');
        Reply::Text(self.json)
    }
}

impl Service for Segments {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        let ("lengths", [Argument::Text(text), ..]) = (what, arguments) else {
            return Reply::Nothing;
        };
        let mut lengths = Lengths::new(text);
        match self {
            Self::Graphemes(segmenter) => segmenter
                .segment_str(text)
                .for_each(|to| lengths.push(to, false)),
            Self::Words(segmenter) => {
                for (to, kind) in segmenter
                    .as_borrowed()
                    .segment_str(text)
                    .iter_with_word_type()
                {
                    lengths.push_words(to, kind.is_word_like());
                }
            }
            Self::Sentences(segmenter) => {
                segmenter
                    .as_borrowed()
                    .segment_str(text)
                    .for_each(|to| lengths.push(to, false));
            }
        }
        lengths.end()
    }
}

/// A segmenter. The option is `granularity`, as ECMA-402 names it. Its call `lengths` answers with the lengths of all segments.
pub(crate) fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    let language = LanguageIdentifier::try_from_str(locale).ok()?;
    Some(Box::new(match options.get("granularity") {
        Some("word") => {
            let mut given = WordBreakOptions::default();
            given.content_locale = Some(&language);
            Segments::Words(WordSegmenter::try_new_dictionary(given).ok()?)
        }
        Some("sentence") => {
            let mut given = SentenceBreakOptions::default();
            given.content_locale = Some(&language);
            Segments::Sentences(SentenceSegmenter::try_new(given).ok()?)
        }
        _ => Segments::Graphemes(GraphemeClusterSegmenter::new()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(locale: &str, granularity: &str, text: &str) -> String {
        let options = format!("granularity={granularity}\n");
        match make(locale, &Options::new(&options))
            .expect("a segmenter")
            .call("lengths", &[Argument::Text(text)])
        {
            Reply::Text(json) => json,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_fall_into_segments() {
        assert_eq!(lengths("en", "grapheme", "a\u{301}👩‍🚀b"), "[2,5,1]");
        assert_eq!(lengths("en", "word", "Hello, world!"), "[-5,1,1,-5,1]");
        assert_eq!(lengths("en", "sentence", "One. Two."), "[5,4]");
        assert_eq!(lengths("ja", "word", "私は猫です"), "[-1,-1,-1,-2]");
        assert_eq!(lengths("en", "word", ""), "[]");
    }
}
