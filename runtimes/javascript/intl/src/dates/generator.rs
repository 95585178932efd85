//! The best pattern for a skeleton: the algorithm of UTS #35, part 4, "Matching Skeletons", with the weights and the
//! order of ICU's DateTimePatternGenerator.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::fields::{
    self, COUNT, DAY_PERIOD, FRACTION, HOUR, MONTH, SECOND, Skeleton, Token, WEEKDAY, YEAR,
    kind_of, push_field, tokens,
};
use super::pack::Data;

const MISSING: i32 = 0x1000;
const EXTRA: i32 = 0x10000;
const DATE_MASK: u32 = (1 << DAY_PERIOD) - 1;
const ALL: u32 = u32::MAX;

struct Entry<'a> {
    skeleton: Skeleton,
    pattern: &'a str,
    /// The skeleton is that of an available format, not made from a pattern.
    specified: bool,
}

/// The patterns of a locale and calendar.
pub struct Generator<'a> {
    data: &'a Data,
    entries: Vec<Entry<'a>>,
    /// The sign before fractions of seconds.
    decimal: &'a str,
    /// The letter of the locale's usual hours.
    cycle: u8,
    /// Hours are as long as in the skeleton, not as in the pattern.
    keeps_hours: bool,
}

struct Best<'a> {
    pattern: &'a str,
    specified: Option<Skeleton>,
    missing: u32,
    extra: u32,
}

impl<'a> Generator<'a> {
    pub fn new(data: &'a Data, decimal: &'a str, cycle: u8) -> Self {
        let entries = data
            .formats()
            .filter_map(|(key, pattern)| {
                let specified = key.starts_with('P');
                let skeleton = key.strip_prefix(['P', 'p'])?;
                // Other keys of data begin so too: `period3-am`.
                if skeleton.contains('-') {
                    return None;
                }
                Some(Entry {
                    skeleton: Skeleton::of(skeleton),
                    pattern,
                    specified,
                })
            })
            .collect();
        Self {
            data,
            entries,
            decimal,
            cycle,
            keeps_hours: true,
        }
    }

    /// The patterns that ranges are made of.
    pub fn for_intervals(data: &'a Data, decimal: &'a str, cycle: u8) -> Self {
        Self {
            keeps_hours: false,
            ..Self::new(data, decimal, cycle)
        }
    }

    /// The pattern for a skeleton.
    pub fn best(&self, skeleton: &str) -> String {
        let wanted = Skeleton::of(skeleton);
        let Some(best) = self.nearest(&wanted, ALL) else {
            return String::new();
        };
        if best.missing == 0 && best.extra == 0 {
            return self.adjusted(best.pattern, best.specified.as_ref(), &wanted, false);
        }
        let needed = wanted.mask();
        let date = self.appended(&wanted, needed & DATE_MASK);
        let time = self.appended(&wanted, needed & !DATE_MASK);
        if date.is_empty() {
            return time;
        }
        if time.is_empty() {
            return date;
        }
        let style = match wanted.field(MONTH).base {
            4 if wanted.has(WEEKDAY) => "full",
            4 => "long",
            3 => "medium",
            _ => "short",
        };
        glued(self.data.text(&format!("glue-{style}")), &time, &date)
    }

    /// The entry with the smallest distance. Of those with the same one, that which lacks the smaller fields.
    fn nearest(&self, wanted: &Skeleton, include: u32) -> Option<Best<'a>> {
        let mut best: Option<(i32, u32, u32, &Entry<'a>)> = None;
        for entry in &self.entries {
            let (distance, missing, extra) = distance(wanted, &entry.skeleton, include);
            let is_better = best.is_none_or(|(least, lacks, ..)| {
                distance < least || (distance == least && lacks < missing)
            });
            if is_better {
                best = Some((distance, missing, extra, entry));
                if distance == 0 {
                    break;
                }
            }
        }
        let (_, missing, extra, entry) = best?;
        let specified = entry.specified.then(|| entry.skeleton.clone());
        Some(Best {
            pattern: entry.pattern,
            specified,
            missing,
            extra,
        })
    }

    /// The pattern for some of the fields: what the nearest one lacks is appended.
    fn appended(&self, wanted: &Skeleton, needed: u32) -> String {
        let nearest = if needed == 0 {
            None
        } else {
            self.nearest(wanted, needed)
        };
        let Some(mut best) = nearest else {
            return String::new();
        };
        let mut pattern = self.adjusted(best.pattern, best.specified.as_ref(), wanted, false);
        let with_fraction = 1 << SECOND | 1 << FRACTION;
        let mut before = 0;
        while best.missing != 0 && best.missing != before {
            if best.missing & with_fraction == 1 << FRACTION
                && needed & with_fraction == with_fraction
            {
                pattern = self.adjusted(&pattern, best.specified.as_ref(), wanted, true);
                best.missing &= !(1 << FRACTION);
                continue;
            }
            let starting = best.missing;
            let Some(next) = self.nearest(wanted, starting) else {
                break;
            };
            best = next;
            let more = self.adjusted(best.pattern, best.specified.as_ref(), wanted, false);
            let found = starting & !best.missing;
            let top = found.checked_ilog2().unwrap_or(0);
            let append = self.data.text(&format!("append-{top}"));
            pattern = append
                .replacen("{0}", "\u{0}", 1)
                .replacen("{1}", &more, 1)
                .replacen('\u{0}', &pattern, 1);
            before = best.missing;
        }
        pattern
    }

    /// The pattern with its fields as long as those of the skeleton, where that does not change what they are.
    fn adjusted(
        &self,
        pattern: &str,
        specified: Option<&Skeleton>,
        wanted: &Skeleton,
        with_fraction: bool,
    ) -> String {
        let mut out = String::new();
        for token in tokens(pattern) {
            let (letter, length) = match token {
                Token::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Token::Field(letter, length) => (letter, length),
            };
            let Some(kind) = kind_of(letter, length) else {
                push_field(&mut out, letter, length);
                continue;
            };
            if with_fraction && kind.field == SECOND {
                push_field(&mut out, letter, length);
                out.push_str(self.decimal);
                let fraction = wanted.field(FRACTION);
                push_field(&mut out, fraction.letter, fraction.length);
            } else if wanted.has(kind.field) {
                let (letter, length) =
                    self.adjusted_field(letter, length, *kind, specified, wanted);
                push_field(&mut out, letter, length);
            } else {
                push_field(&mut out, letter, length);
            }
        }
        out
    }

    fn adjusted_field(
        &self,
        letter: u8,
        length: usize,
        kind: fields::Kind,
        specified: Option<&Skeleton>,
        wanted: &Skeleton,
    ) -> (u8, usize) {
        let request = wanted.field(kind.field);
        let request_length = if request.letter == b'E' && request.length < 3 {
            3
        } else {
            request.length
        };
        let mut adjusted = request_length;
        if matches!(kind.field, fields::MINUTE | SECOND)
            || (kind.field == HOUR && !self.keeps_hours)
        {
            adjusted = length;
        } else if let Some(specified) =
            specified.filter(|_| request.letter != b'c' && request.letter != b'e')
        {
            let own = specified.field(kind.field);
            if own.length == request_length || (kind.kind > 0) != (own.kind > 0) {
                adjusted = length;
            }
        }
        let from_request = !matches!(kind.field, HOUR | MONTH | WEEKDAY)
            && (kind.field != YEAR || request.letter == b'Y');
        let mut out = if from_request { request.letter } else { letter };
        if out == b'E' && adjusted < 3 {
            out = b'e';
        }
        if kind.field == HOUR {
            out = match (request.letter, self.cycle) {
                (asked, usual) if asked == usual => usual,
                (b'h', b'K') => b'K',
                (b'H', b'k') => b'k',
                (b'k', b'H') => b'H',
                (b'K', b'h') => b'h',
                _ => out,
            };
        }
        (out, adjusted)
    }
}

/// A time and a date in one pattern.
pub fn glued(glue: &str, time: &str, date: &str) -> String {
    glue.replacen("{0}", "\u{0}", 1)
        .replacen("{1}", date, 1)
        .replacen('\u{0}', time, 1)
}

/// The distance of a skeleton from that of an entry, the fields that the entry lacks, and those that it has beyond.
fn distance(wanted: &Skeleton, other: &Skeleton, include: u32) -> (i32, u32, u32) {
    let (mut distance, mut missing, mut extra) = (0, 0, 0);
    for at in 0..COUNT {
        let bit = 1 << at;
        let mine = if include & bit == 0 {
            0
        } else {
            wanted.field(at).kind
        };
        let its = other.field(at).kind;
        if mine == its {
            continue;
        }
        if mine == 0 {
            distance += EXTRA;
            extra |= bit;
        } else if its == 0 {
            distance += MISSING;
            missing |= bit;
        } else {
            distance += (mine - its).abs();
        }
    }
    (distance, missing, extra)
}
