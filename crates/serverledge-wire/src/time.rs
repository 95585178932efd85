//! Times as text.

/// A time as RFC 3339 (section 5.6) in UTC with milliseconds. The calendar is Howard Hinnant's `civil_from_days`: years
/// begin in March, so that the leap day is their last, and repeat every 400 years of 146 097 days.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let millis = unix_ms % 1000;
    let days = seconds / 86_400 + 719_468;
    let second = seconds % 86_400;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let hour = second / 3600;
    let minute = second / 60 % 60;
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The Unix milliseconds of a time as RFC 3339, whatever its fraction and offset; `None` for anything else and for times before
/// 1970. The inverse of the calendar above.
#[must_use]
pub fn unix_ms(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let year = digits(&date[..4])?;
    let month = digits(date.get(5..7)?)?;
    let day = digits(date.get(8..)?)?;
    let shape_fits =
        date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-' && time.starts_with('T');
    let (clock, rest) = time.get(1..)?.split_at_checked(8)?;
    let hour = digits(clock.get(..2)?)?;
    let minute = digits(clock.get(3..5)?)?;
    let second = digits(clock.get(6..)?)?;
    let within = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !shape_fits || !within || clock.as_bytes()[2] != b':' || clock.as_bytes()[5] != b':' {
        return None;
    }
    let (millis, offset) = fraction_and_offset(rest)?;
    let seconds = days_since_1970(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds.checked_add_signed(-offset)? * 1000 + millis)
}

/// Days from 1970-01-01; the year begins in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    (era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year)
        .checked_sub(719_468)
}

/// Milliseconds, and the seconds by which the clock is ahead of UTC.
fn fraction_and_offset(rest: &str) -> Option<(u64, i64)> {
    let fraction = rest.strip_prefix('.').unwrap_or_default();
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let millis = fraction[..length]
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let offset = if length > 0 {
        &fraction[length..]
    } else {
        rest
    };
    if offset == "Z" {
        return Some((millis, 0));
    }
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset.strip_prefix(['+', '-'])?.split_once(':')?;
    let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
    Some((millis, sign * i64::try_from(seconds).ok()?))
}

/// A number of few digits.
fn digits(text: &str) -> Option<u64> {
    (text.len() <= 4 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for time in [
            0,
            1,
            951_782_399_999,
            951_782_400_000,
            951_868_800_001,
            1_767_323_045_678,
            253_402_300_799_999,
        ] {
            assert_eq!(unix_ms(&rfc3339(time)), Some(time), "{}", rfc3339(time));
        }
        for (text, expected) in [
            ("2026-01-02T03:04:05Z", Some(1_767_323_045_000)),
            ("2026-01-02T03:04:05.6Z", Some(1_767_323_045_600)),
            ("2026-01-02T03:04:05.678901234Z", Some(1_767_323_045_678)),
            ("2026-01-02T05:34:05.678+02:30", Some(1_767_323_045_678)),
            ("2026-01-01T23:04:05.678-04:00", Some(1_767_323_045_678)),
        ] {
            assert_eq!(unix_ms(text), expected, "{text}");
        }
        for bad in [
            "",
            "2026-01-02",
            "2026-01-02 03:04:05Z",
            "2026-13-02T03:04:05Z",
            "1969-12-31T23:59:59Z",
            "2026-01-02T03:04:05",
            "ö026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.Z",
        ] {
            assert_eq!(unix_ms(bad), None, "{bad}");
        }
    }
}
