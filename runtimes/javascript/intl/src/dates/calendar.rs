//! Calendars: the fields of a time.

use crate::zones::{date_of, day_since_march};

const DAY: i64 = 86_400_000;
/// 15 October 1582: the Buddhist calendar is the Julian one before, as ICU has it.
const JULIAN_UNTIL: i64 = -141_427;

/// The calendars that there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Calendar {
    Gregorian,
    Buddhist,
    Persian,
}

/// A local time, in fields. The era is a place in the list of their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fields {
    pub era: usize,
    pub year: i64,
    pub month: i64,
    pub day: i64,
    /// From Sunday, 0.
    pub weekday: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
}

impl Calendar {
    pub fn named(name: &str) -> Self {
        match name {
            "buddhist" => Self::Buddhist,
            "persian" => Self::Persian,
            _ => Self::Gregorian,
        }
    }

    /// The fields of local milliseconds since 1970.
    pub fn fields(self, local: i64) -> Fields {
        let days = local.div_euclid(DAY);
        let time = local.rem_euclid(DAY);
        let (year, month, day) = match self {
            Self::Persian => persian(days),
            Self::Buddhist if days < JULIAN_UNTIL => julian(days),
            _ => date_of(days),
        };
        let (era, year) = match self {
            Self::Gregorian if year < 1 => (0, 1 - year),
            Self::Gregorian => (1, year),
            Self::Buddhist => (0, year + 543),
            Self::Persian => (0, year),
        };
        Fields {
            era,
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            hour: time / 3_600_000,
            minute: time / 60_000 % 60,
            second: time / 1000 % 60,
            millisecond: time % 1000,
        }
    }
}

/// The days from 1970 to the first day of a Persian year: 8 of 33 years are leap years, as ICU reckons.
fn persian_year(year: i64) -> i64 {
    365 * (year - 1) + (8 * year + 21).div_euclid(33) - 492_268
}

fn julian(days: i64) -> (i64, i64, i64) {
    // From 1 March of the year 0, in cycles of four years of which the last day is the 29th of February.
    let since = days + 719_470;
    let (cycle, day_of_cycle) = (since.div_euclid(1461), since.rem_euclid(1461));
    let year_of_cycle = (day_of_cycle / 365).min(3);
    let day_of_year = day_of_cycle - year_of_cycle * 365;
    let (month, day) = day_since_march(day_of_year);
    (
        cycle * 4 + year_of_cycle + i64::from(month <= 2),
        month,
        day,
    )
}

fn persian(days: i64) -> (i64, i64, i64) {
    let since = days + 492_268;
    let mut year = 1 + (33 * since + 3).div_euclid(12_053);
    while persian_year(year) > days {
        year -= 1;
    }
    while persian_year(year + 1) <= days {
        year += 1;
    }
    let day = days - persian_year(year);
    if day < 186 {
        (year, day / 31 + 1, day % 31 + 1)
    } else {
        (year, (day - 6) / 30 + 1, (day - 6) % 30 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Calendar;

    #[test]
    fn persian_dates() {
        let fields = Calendar::Persian.fields(1_709_647_629_045);
        assert_eq!((fields.year, fields.month, fields.day), (1402, 12, 15));
        // 20 March 2025 is the 30th of Esfand of a leap year.
        let fields = Calendar::Persian.fields(1_742_428_800_000);
        assert_eq!((fields.year, fields.month, fields.day), (1403, 12, 30));
    }
}
