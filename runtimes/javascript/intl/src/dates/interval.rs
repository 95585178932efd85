//! Ranges of times: UTS #35, part 4, "intervalFormats", in the order of ICU's DateIntervalFormat.

use alloc::format;
use alloc::string::{String, ToString};

use super::fields::{Skeleton, Token, push_field, tokens};
use super::format::Writer;
use super::generator::{Generator, glued};
use super::{DateFormat, Moment};
use crate::{Argument, push_json};

/// The fields that two times can differ in first, the largest first, and how large they are.
const ERA: usize = 0;
const YEAR: usize = 1;
const MONTH: usize = 2;
const DAY: usize = 3;
const HALF: usize = 4;
const HOUR: usize = 5;
const MINUTE: usize = 6;
const COUNT: usize = 9;
const LEVELS: [u8; COUNT] = [0, 10, 20, 30, 40, 50, 60, 70, 80];

const DIFFERENT: usize = 0x1000;
const OTHER_FORM: usize = 0x100;

/// The kinds of fit of an interval's skeleton to another.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fit {
    Same,
    /// Fields are longer or shorter.
    Lengths,
    /// Letters differ too, `z` for `v`.
    Letters,
    Fields,
}

/// A pattern for two times: the second one's begins where a field comes again. Without a first part, the second is the
/// pattern for both times.
#[derive(Debug, Default, Clone)]
struct Halves {
    first: String,
    second: String,
}

/// The patterns for two times, by the largest field that differs.
#[derive(Default)]
pub struct Plan {
    patterns: [Halves; COUNT],
    /// The pattern of a time by itself.
    single: String,
    date: Option<String>,
    time: Option<String>,
}

/// The skeleton of a date, that of the nearest interval, and both with more fields.
struct Names {
    skeleton: String,
    best: String,
    longer: Option<(String, String)>,
    /// The longer ones take the place of the others.
    follows: bool,
}

/// A range as parts. The parts from `first` to the second number are those of one time, those of `second` of the other.
pub struct Range {
    writer: Writer,
    first: Option<(usize, usize)>,
    second: Option<(usize, usize)>,
}

// === impl Range ===

impl Range {
    /// Types, values and sources, flat.
    pub fn json(&self) -> String {
        let mut json = String::from("[");
        let within = |span: Option<(usize, usize)>, at: usize| {
            span.is_some_and(|(from, to)| from <= at && at <= to)
        };
        for (at, (kind, value)) in self.writer.parts.0.iter().enumerate() {
            let source = if within(self.first, at) {
                "startRange"
            } else if within(self.second, at) {
                "endRange"
            } else {
                "shared"
            };
            for (number, text) in [*kind, value.as_str(), source].into_iter().enumerate() {
                if at + number > 0 {
                    json.push(',');
                }
                push_json(&mut json, text);
            }
        }
        json.push(']');
        json
    }
}

// === impl DateFormat ===

impl DateFormat {
    /// The range from one time to another. If the pattern does not tell them apart, the first one.
    pub fn range(&self, from: Argument<'_>, to: Argument<'_>) -> Option<Range> {
        let (from, to) = (self.moment(from.number()?)?, self.moment(to.number()?)?);
        self.ranged(&from, &to).or_else(|| {
            let mut writer = Writer::default();
            self.write(&mut writer, &self.pattern, &from);
            writer.end_literal();
            Some(Range {
                writer,
                first: None,
                second: None,
            })
        })
    }

    /// The text of a range. Without two times, V8 writes it as it does one.
    pub fn range_text(&self, from: Argument<'_>, to: Argument<'_>) -> Option<String> {
        let range = self.range(from, to)?;
        let text = range.writer.parts.text();
        Some(if range.first.is_none() {
            text.replace('\u{202f}', " ")
        } else {
            text
        })
    }

    fn ranged(&self, from: &Moment, to: &Moment) -> Option<Range> {
        let field = largest_difference(from, to)?;
        let plan = self.plan.get_or_init(|| self.planned());
        let halves = plan.patterns.get(field)?;
        let mut writer = Writer::default();
        if !halves.first.is_empty() {
            self.write(&mut writer, &halves.first, from);
            self.write(&mut writer, &halves.second, to);
        } else if !halves.second.is_empty() {
            self.write_both(&mut writer, &halves.second, from, to);
        } else if is_ignored(&plan.single, field) {
            return None;
        } else if let (Some(date), Some(time), true) = (&plan.date, &plan.time, field >= HALF) {
            let glue = self.data.text("glue-range");
            for (place, text) in places(glue) {
                match place {
                    Some('0') => self.write_both(&mut writer, time, from, to),
                    Some(_) => self.write(&mut writer, date, from),
                    None => writer.literal_pattern(text),
                }
            }
        } else {
            self.write_both(&mut writer, &plan.single, from, to);
        }
        writer.end_literal();
        spanned(writer)
    }

    /// Both times in the same pattern.
    fn write_both(&self, writer: &mut Writer, pattern: &str, from: &Moment, to: &Moment) {
        for (place, text) in places(self.data.text("interval")) {
            match place {
                Some('0') => self.write(writer, pattern, from),
                Some(_) => self.write(writer, pattern, to),
                None => writer.plain(text),
            }
        }
    }

    fn planned(&self) -> Plan {
        let cycle = self.cycle.unwrap_or(self.usual);
        let generator = Generator::for_intervals(&self.data, &self.decimal, cycle);
        let skeleton = Skeleton::of(&self.pattern).text();
        let mut plan = Plan {
            single: generator.best(&skeleton),
            ..Plan::default()
        };
        let (date, time) = split(&with_period(&generator, &skeleton));
        let (plain_date, plain_time) = (normalized_date(&date), normalized_time(&time));
        let is_found = self.set_separate(&mut plan, &generator, &plain_date, &plain_time);
        if time.is_empty() {
            return plan;
        }
        if date.is_empty() {
            let pattern = generator.best(&format!("yMd{time}"));
            for field in [DAY, MONTH, YEAR] {
                plan.set_fallback(field, pattern.clone());
            }
            plan.set_fallback(ERA, generator.best(&format!("GyMd{time}")));
            return plan;
        }
        if !is_found {
            return plan;
        }
        let mut longer = skeleton;
        for (field, letter) in [(DAY, 'd'), (MONTH, 'M'), (YEAR, 'y'), (ERA, 'G')] {
            if !date.contains(letter) {
                longer.insert(0, letter);
                plan.set_fallback(field, generator.best(&longer));
            }
        }
        let pattern = generator.best(&date);
        for field in [HALF, HOUR, MINUTE] {
            let Some(halves) = plan
                .patterns
                .get(field)
                .filter(|halves| !halves.first.is_empty())
            else {
                continue;
            };
            let time = format!("{}{}", halves.first, halves.second);
            plan.set(field, &glued(self.data.text("glue-range"), &time, &pattern));
        }
        plan
    }

    /// The patterns of a date alone, or of a time alone. False if no interval is near.
    fn set_separate(
        &self,
        plan: &mut Plan,
        generator: &Generator<'_>,
        date: &str,
        time: &str,
    ) -> bool {
        let skeleton = if time.is_empty() { date } else { time };
        let Some((best, fit)) = self.nearest_interval(skeleton) else {
            return false;
        };
        if !date.is_empty() {
            plan.date = Some(generator.best(date));
        }
        if !time.is_empty() {
            plan.time = Some(generator.best(time));
        }
        if fit == Fit::Fields {
            return false;
        }
        if !time.is_empty() {
            for field in [MINUTE, HOUR, HALF] {
                self.set_interval(plan, field, skeleton, &best, fit);
            }
            return true;
        }
        let mut names = Names {
            skeleton: skeleton.to_string(),
            best,
            longer: None,
            follows: false,
        };
        self.set_date(plan, DAY, &mut names, fit);
        names.follows = self.set_date(plan, MONTH, &mut names, fit);
        self.set_date(plan, YEAR, &mut names, fit);
        self.set_date(plan, ERA, &mut names, fit);
        true
    }

    /// The pattern of a field of a date: of the skeleton, or of one with the field before it. True if a longer one was
    /// tried.
    fn set_date(&self, plan: &mut Plan, field: usize, names: &mut Names, mut fit: Fit) -> bool {
        if names.follows {
            if let Some((skeleton, best)) = names.longer.clone() {
                (names.skeleton, names.best) = (skeleton, best);
            }
        }
        let mut best = names.best.clone();
        let mut pattern = self.interval(&best, field);
        if pattern.is_none() {
            let Some(letter) = ["G", "y", "M", "d"]
                .get(field)
                .filter(|_| !is_ignored(&best, field))
            else {
                return false;
            };
            let longer = (
                format!("{letter}{}", names.skeleton),
                format!("{letter}{best}"),
            );
            pattern = self.interval(&longer.1, field);
            if pattern.is_none() && fit == Fit::Same {
                if let Some((other, other_fit)) = self.nearest_interval(&longer.1) {
                    fit = other_fit;
                    if fit != Fit::Fields {
                        pattern = self.interval(&other, field);
                        best = other;
                    }
                }
            }
            names.longer = Some(longer);
        }
        let Some(pattern) = pattern else { return false };
        plan.set(field, &adjusted(&names.skeleton, &best, pattern, fit));
        names.longer.is_some()
    }

    fn set_interval(&self, plan: &mut Plan, field: usize, skeleton: &str, best: &str, fit: Fit) {
        if let Some(pattern) = self.interval(best, field) {
            plan.set(field, &adjusted(skeleton, best, pattern, fit));
        } else if field == HALF && !is_ignored(best, field) {
            if let Some(pattern) = self.interval(best, HOUR) {
                let fit = if fit == Fit::Same { Fit::Lengths } else { fit };
                plan.set(field, &adjusted(skeleton, best, pattern, fit));
            }
        }
    }

    /// The pattern of a skeleton for two times that differ in a field.
    fn interval(&self, skeleton: &str, field: usize) -> Option<&str> {
        let letters: &[char] = match field {
            ERA => &['G'],
            YEAR => &['y'],
            MONTH => &['M'],
            DAY => &['d'],
            HALF => &['a', 'B'],
            HOUR => &['h', 'H'],
            MINUTE => &['m'],
            _ => &[],
        };
        letters
            .iter()
            .find_map(|letter| self.data.get(&format!("i{skeleton} {letter}")))
    }

    fn nearest_interval(&self, skeleton: &str) -> Option<(String, Fit)> {
        let wanted: String = skeleton
            .chars()
            .filter(|letter| !matches!(letter, 'a' | 'b'))
            .map(|letter| match letter {
                'z' => 'v',
                'k' => 'H',
                'K' => 'h',
                letter => letter,
            })
            .collect();
        let mut best: Option<(usize, &str, Fit)> = None;
        for (key, _) in self.data.formats() {
            let Some((other, _)) = key.strip_prefix('i').and_then(|key| key.split_once(' ')) else {
                continue;
            };
            let (distance, fit) = fit(&wanted, other);
            if best.is_none_or(|(least, ..)| distance < least) {
                best = Some((distance, other, if distance == 0 { Fit::Same } else { fit }));
            }
        }
        let (_, other, fit) = best?;
        let fit = if wanted != skeleton && fit != Fit::Fields {
            Fit::Letters
        } else {
            fit
        };
        Some((other.to_string(), fit))
    }
}

// === impl Plan ===

impl Plan {
    fn set(&mut self, field: usize, pattern: &str) {
        let (first, second) = pattern
            .split_at_checked(second_begins(pattern))
            .unwrap_or((pattern, ""));
        if let Some(halves) = self.patterns.get_mut(field) {
            *halves = Halves {
                first: first.to_string(),
                second: second.to_string(),
            };
        }
    }

    fn set_fallback(&mut self, field: usize, pattern: String) {
        if let Some(halves) = self.patterns.get_mut(field) {
            *halves = Halves {
                first: String::new(),
                second: pattern,
            };
        }
    }
}

fn largest_difference(from: &Moment, to: &Moment) -> Option<usize> {
    let list = |moment: &Moment| {
        let fields = &moment.fields;
        [
            i64::from(fields.era != 0),
            fields.year,
            fields.month,
            fields.day,
            fields.hour / 12,
            fields.hour % 12,
            fields.minute,
            fields.second,
            fields.millisecond,
        ]
    };
    list(from)
        .iter()
        .zip(list(to))
        .position(|(one, other)| *one != other)
}

/// A skeleton with its hours as the locale writes them, and the part of the day after them.
fn with_period(generator: &Generator<'_>, skeleton: &str) -> String {
    let fields = Skeleton::of(skeleton);
    let hour = fields.field(super::fields::HOUR);
    if hour.length == 0 {
        return skeleton.to_string();
    }
    let of_hour = generator.best(&char::from(hour.letter).to_string());
    let has = |wanted: u8| {
        tokens(&of_hour).any(|token| matches!(token, Token::Field(letter, _) if letter == wanted))
    };
    let letter = [b'h', b'K', b'k']
        .into_iter()
        .find(|letter| has(*letter))
        .unwrap_or(b'H');
    let own = skeleton
        .bytes()
        .find(|letter| matches!(letter, b'a' | b'b' | b'B'));
    let period = [b'b', b'B']
        .into_iter()
        .find(|letter| has(*letter))
        .or(own)
        .unwrap_or(b'a');
    let length = match own.map_or(0, |own| {
        skeleton.bytes().filter(|letter| *letter == own).count()
    }) {
        5.. => 5,
        3.. => 3,
        _ => 1,
    };
    let mut out = String::new();
    for token in tokens(skeleton) {
        match token {
            Token::Field(b'a' | b'b' | b'B', _) => {}
            Token::Field(b'h' | b'H' | b'k' | b'K', _) => {
                out.push(char::from(letter));
                if matches!(letter, b'h' | b'K') {
                    push_field(&mut out, period, length);
                }
            }
            Token::Field(letter, length) => push_field(&mut out, letter, length),
            Token::Text(_) => {}
        }
    }
    out
}

/// The fields of the date of a skeleton, and those of the time. ICU has no offsets in ranges.
fn split(skeleton: &str) -> (String, String) {
    skeleton
        .chars()
        .filter(|letter| *letter != 'O')
        .partition(|letter| "EdMyGYuQqLlWwDFgecUr".contains(*letter))
}

fn count(skeleton: &str, letter: char) -> usize {
    skeleton.chars().filter(|other| *other == letter).count()
}

fn push_times(out: &mut String, letter: char, times: usize) {
    out.extend(core::iter::repeat_n(letter, times));
}

/// The fields of a date as intervals have them.
fn normalized_date(date: &str) -> String {
    let mut out: String = date
        .chars()
        .filter(|letter| !"EdMy".contains(*letter))
        .collect();
    push_times(&mut out, 'y', count(date, 'y'));
    let months = count(date, 'M');
    push_times(
        &mut out,
        'M',
        if months < 3 {
            months.min(1)
        } else {
            months.min(5)
        },
    );
    let weekdays = count(date, 'E');
    push_times(
        &mut out,
        'E',
        if weekdays <= 3 {
            weekdays.min(1)
        } else {
            weekdays.min(5)
        },
    );
    push_times(&mut out, 'd', count(date, 'd').min(1));
    out
}

fn normalized_time(time: &str) -> String {
    let mut out: String = time
        .chars()
        .filter(|letter| "aVZjsSAbB".contains(*letter))
        .collect();
    out.extend(time.chars().find(|letter| "hHkK".contains(*letter)));
    push_times(&mut out, 'm', count(time, 'm').min(1));
    for letter in ['z', 'v'] {
        push_times(&mut out, letter, count(time, letter).min(1));
    }
    out
}

fn fit(wanted: &str, other: &str) -> (usize, Fit) {
    let (mut distance, mut fit) = (0, Fit::Lengths);
    for letter in ('A'..='Z').chain('a'..='z') {
        let (mine, its) = (count(wanted, letter), count(other, letter));
        if mine == its {
            continue;
        }
        if mine == 0 || its == 0 {
            fit = Fit::Fields;
            distance += DIFFERENT;
        } else if letter == 'M' && (mine <= 2) != (its <= 2) {
            distance += OTHER_FORM;
        } else {
            distance += mine.abs_diff(its);
        }
    }
    (distance, fit)
}

/// Whether no field of a pattern is as small as another one, or smaller.
fn is_ignored(pattern: &str, field: usize) -> bool {
    let level = LEVELS.get(field).copied().unwrap_or(0);
    !tokens(pattern).any(|token| {
        let Token::Field(letter, _) = token else {
            return false;
        };
        let own = match letter {
            b'y' | b'Y' | b'u' => 10,
            b'M' | b'L' | b'Q' | b'q' | b'w' | b'D' => 20,
            b'd' | b'E' | b'e' | b'c' | b'W' | b'F' => 30,
            b'a' | b'b' | b'B' => 40,
            b'h' | b'H' | b'k' | b'K' => 50,
            b'm' => 60,
            b's' => 70,
            b'S' => 80,
            _ => 0,
        };
        level <= own
    })
}

/// The pattern with fields as long as those of the skeleton.
fn adjusted(skeleton: &str, best: &str, pattern: &str, fit: Fit) -> String {
    if fit == Fit::Same {
        return pattern.to_string();
    }
    let has = |letter: char| fit == Fit::Letters && skeleton.contains(letter);
    let mut out = String::new();
    for token in tokens(pattern) {
        let (mut letter, length) = match token {
            Token::Text(text) => {
                out.push_str(text);
                continue;
            }
            Token::Field(letter, length) => (letter, length),
        };
        let mut own = count(best, char::from(if letter == b'L' { b'M' } else { letter }));
        letter = match letter {
            b'v' if has('z') => b'z',
            b'h' if has('K') => b'K',
            b'H' if has('k') => b'k',
            b'a' if has('b') => b'b',
            letter => letter,
        };
        if matches!(letter, b'a' | b'b') {
            own = own.max(1);
        } else if matches!(letter, b'K' | b'k') {
            own = count(best, char::from(letter));
        }
        let wanted = count(
            skeleton,
            char::from(if letter == b'L' { b'M' } else { letter }),
        );
        push_field(
            &mut out,
            letter,
            if own == length && wanted > own {
                wanted
            } else {
                length
            },
        );
    }
    out
}

/// The place of the first field that comes again.
fn second_begins(pattern: &str) -> usize {
    let mut seen: u64 = 0;
    let mut at = 0;
    for token in tokens(pattern) {
        match token {
            Token::Text(text) => at += text.len(),
            Token::Field(letter, length) => {
                let bit = 1 << (letter - b'A');
                if seen & bit != 0 {
                    return at;
                }
                seen |= bit;
                at += length;
            }
        }
    }
    at
}

/// The places and texts of a form such as `{0} – {1}`.
fn places(form: &str) -> impl Iterator<Item = (Option<char>, &str)> {
    form.split('{')
        .enumerate()
        .flat_map(|(at, text)| match text.split_once('}') {
            Some((place, rest)) if at > 0 => [(place.chars().next(), ""), (None, rest)],
            _ => [(None, text), (None, "")],
        })
}

/// The range with the spans of its two times: from the first to the last field that comes twice.
fn spanned(writer: Writer) -> Option<Range> {
    let letters = &writer.letters;
    let (mut first, mut second): (Option<(usize, usize)>, Option<(usize, usize)>) = (None, None);
    let grow = |span: Option<(usize, usize)>, at: usize| {
        Some(span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))))
    };
    for (index, (letter, at)) in letters.iter().enumerate() {
        if let Some((_, other)) = letters
            .iter()
            .skip(index + 1)
            .find(|(other, _)| other == letter)
        {
            first = grow(first, *at);
            second = grow(second, *other);
        }
    }
    first.is_some().then_some(Range {
        writer,
        first,
        second,
    })
}
