//! The pack of `../../data/numbers.bin`: the texts of numbers in each language.
//!
//! A piece holds those of one kind for one locale; `make-numbers.mjs` describes the form.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::str::Split;

use miniz_oxide::inflate::decompress_to_vec_with_limit;

static PACK: &[u8] = include_bytes!("../../data/numbers.bin");

/// The largest piece is well below.
const PIECE_MAX: usize = 256 * 1024;

/// The lines of one kind for one locale: `n` numbers, `c0` and so on currencies, `ul`, `us`, `un` units, `r` relative
/// times.
#[derive(Debug)]
pub struct Piece {
    text: Cow<'static, str>,
    parent: Option<Box<Piece>>,
}

impl Piece {
    /// The piece of a kind for a locale; `None` if there is no such locale.
    pub fn new(kind: &str, locale: &str) -> Option<Self> {
        let (index, body) = sections()?;
        index.lines().find_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?.strip_prefix(kind)?.strip_prefix('.')?;
            (name == locale)
                .then(|| Self::read(kind, &mut words, body))
                .flatten()
        })
    }

    /// The piece that belongs to no locale: numbering systems and the digits of currencies.
    pub fn root() -> Option<Self> {
        let (index, body) = sections()?;
        let mut words = index.lines().next()?.split(' ').skip(1);
        let text = core::str::from_utf8(slice(&mut words, body)?).ok()?;
        Some(Self {
            text: Cow::Borrowed(text),
            parent: None,
        })
    }

    fn read(kind: &str, words: &mut Split<'_, char>, body: &'static [u8]) -> Option<Self> {
        let bytes = decompress_to_vec_with_limit(slice(words, body)?, PIECE_MAX).ok()?;
        let parent = words
            .next()
            .and_then(|parent| Self::new(kind, parent))
            .map(Box::new);
        Some(Self {
            text: Cow::Owned(String::from_utf8(bytes).ok()?),
            parent,
        })
    }

    /// The text of a key: fields with tabs between them.
    pub fn get(&self, key: &str) -> Option<&str> {
        for line in self.text.lines() {
            match line.strip_prefix(key) {
                Some("") => return None,
                Some(rest) => {
                    if let Some(value) = rest.strip_prefix('\t') {
                        return Some(value);
                    }
                }
                None => {}
            }
        }
        self.parent.as_ref()?.get(key)
    }

    /// The keys that begin with a text, as what follows in them, with their values. The parent's come first.
    pub fn each<'a>(&'a self, start: &str, visit: &mut dyn FnMut(&'a str, Option<&'a str>)) {
        if let Some(parent) = &self.parent {
            parent.each(start, visit);
        }
        for line in self.text.lines() {
            if let Some(rest) = line.strip_prefix(start) {
                match rest.split_once('\t') {
                    Some((key, value)) => visit(key, Some(value)),
                    None => visit(rest, None),
                }
            }
        }
    }
}

/// The bytes at the offset and of the length that come next.
fn slice<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    body: &'static [u8],
) -> Option<&'static [u8]> {
    let offset: usize = words.next()?.parse().ok()?;
    let length: usize = words.next()?.parse().ok()?;
    body.get(offset..offset.checked_add(length)?)
}

/// The index and the pieces.
fn sections() -> Option<(&'static str, &'static [u8])> {
    let (length, rest) = PACK.split_first_chunk::<4>()?;
    let (index, body) =
        rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((core::str::from_utf8(index).ok()?, body))
}

/// The names of the numbering systems with ten digits, in the order of the alphabet, with spaces between them.
pub fn numbering_systems() -> String {
    let mut names = String::new();
    if let Some(root) = Piece::root() {
        root.each("digits.", &mut |name, _| {
            if !names.is_empty() {
                names.push(' ');
            }
            names.push_str(name);
        });
    }
    names
}

/// The codes of the currencies that are common today, in the same form.
pub fn currencies() -> String {
    Piece::root()
        .and_then(|root| root.get("currencies").map(String::from))
        .unwrap_or_default()
}

/// The digits after the point of a currency.
pub fn currency_digits(code: &str) -> u32 {
    let root = Piece::root();
    let key = alloc::format!("fraction.{code}");
    root.as_ref()
        .and_then(|root| root.get(&key)?.parse().ok())
        .unwrap_or(2)
}
