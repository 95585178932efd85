//! The data of dates, as `../../data/make-dates.mjs` packs them.

use alloc::string::String;
use alloc::vec::Vec;

use miniz_oxide::inflate::decompress_to_vec_with_limit;

static PACK: &[u8] = include_bytes!("../../data/dates.bin");

/// A piece of the pack: lines of a key, a tab and a value.
#[derive(Debug, Default, Clone)]
pub struct Piece(String);

impl Piece {
    /// The piece of a name: that of a locale, or another part of the data.
    pub fn named(name: &str) -> Option<Self> {
        let (length, rest) = PACK.split_first_chunk::<4>()?;
        let (list, pieces) =
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let line = core::str::from_utf8(list).ok()?.lines().find_map(|line| {
            let (key, rest) = line.split_once(' ')?;
            (key == name).then_some(rest)
        })?;
        let mut numbers = line.split(' ').map(|number| number.parse::<usize>().ok());
        let (offset, packed, inflated) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let bytes = pieces.get(offset..offset.checked_add(packed)?)?;
        let text = decompress_to_vec_with_limit(bytes, inflated).ok()?;
        String::from_utf8(text).ok().map(Self)
    }

    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once('\t'))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// One of the values of a list.
    pub fn item(&self, key: &str, at: usize) -> Option<&str> {
        self.get(key)?.split('|').nth(at)
    }
}

/// The pieces that a locale's dates are written with. What the calendar's lacks, the locale's has.
#[derive(Debug, Default, Clone)]
pub struct Data {
    pieces: Vec<Piece>,
    /// The calendar's piece has patterns of dates, the locale's those of times.
    is_shared: bool,
}

impl Data {
    pub fn new(locale: &str, calendar: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let is_shared = calendar == "iso8601";
        let own = if is_shared {
            calendar.into()
        } else {
            alloc::format!("{locale}+{calendar}")
        };
        pieces.extend(Piece::named(&own));
        pieces.push(Piece::named(locale)?);
        Some(Self { pieces, is_shared })
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.pieces.iter().find_map(|piece| piece.get(key))
    }

    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    pub fn item(&self, key: &str, at: usize) -> Option<&str> {
        self.get(key)?.split('|').nth(at)
    }

    /// The lines of the pieces that have the patterns.
    pub fn formats(&self) -> impl Iterator<Item = (&str, &str)> {
        let times = self.pieces.get(1).filter(|_| self.is_shared);
        let times = times
            .into_iter()
            .flat_map(Piece::lines)
            .filter(|(key, _)| is_of_time(key));
        self.pieces
            .first()
            .into_iter()
            .flat_map(Piece::lines)
            .chain(times)
    }
}

/// Whether the key of a pattern has no fields of dates.
fn is_of_time(key: &str) -> bool {
    key.strip_prefix(['P', 'p']).is_some_and(|skeleton| {
        skeleton
            .bytes()
            .all(|letter| b"abBhHkKmsSvzO".contains(&letter))
    })
}
