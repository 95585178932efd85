//! Values of options: spans of time and amounts of memory, with and without a unit.

use std::time::Duration;

/// Some are parts of others: the longer ones come first.
const TIME_UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// The unit of spans that may be long.
const DAY: (&str, f64) = ("d", 86_400.0);

/// A span of time above 0.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let wanted = || "a number of seconds above 0 is needed, or one with ms, s, m or h".to_owned();
    span(text, &TIME_UNITS).ok_or_else(wanted)
}

/// A lifetime: a span of time above 0, days included.
pub(super) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let units: Vec<_> = TIME_UNITS.into_iter().chain([DAY]).collect();
    let wanted =
        || "a number of seconds above 0 is needed, or one with ms, s, m, h or d".to_owned();
    span(text, &units).ok_or_else(wanted)
}

fn span(text: &str, units: &[(&str, f64)]) -> Option<Duration> {
    let (number, unit) = split_unit(text, units);
    let seconds = number.parse::<f64>().ok()? * unit;
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    Some(span).filter(|span| !span.is_zero())
}

/// The summand of an increment.
pub(super) fn parse_summand(text: &str) -> Result<i64, String> {
    let wanted = "a whole number of 64 bits is needed, such as 5 or -3";
    text.parse().map_err(|_| wanted.to_owned())
}

/// The version of an entry in a store.
pub(super) fn parse_entry_version(text: &str) -> Result<u64, String> {
    let wanted = "a version is needed: the whole number that `kv get KEY --json` shows";
    text.parse().map_err(|_| wanted.to_owned())
}

/// A span of time with its unit, days included.
pub(super) fn parse_age(text: &str) -> Option<Duration> {
    let units = TIME_UNITS.into_iter().chain([DAY]);
    let (number, unit) = units
        .into_iter()
        .find_map(|(unit, worth)| Some((text.strip_suffix(unit)?.trim_end(), worth)))?;
    let number = number.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// Seconds as they are sent; which of them a function may have is for the node to say.
pub(super) fn parse_seconds(text: &str) -> Result<f64, String> {
    let (number, unit) = split_unit(text, &TIME_UNITS);
    let seconds = number
        .parse::<f64>()
        .ok()
        .map(|number| number * unit)
        .filter(|seconds| seconds.is_finite());
    seconds.ok_or_else(|| "a number of seconds is needed, or one with ms, s, m or h".to_owned())
}

/// MiB as they are sent; MB and GB mean the same as MiB and GiB, as in the memory of containers.
pub(super) fn parse_memory(text: &str) -> Result<i64, String> {
    let units = [
        ("mib", 1),
        ("mb", 1),
        ("m", 1),
        ("gib", 1024),
        ("gb", 1024),
        ("g", 1024),
    ];
    let text = text.to_ascii_lowercase();
    let (number, unit) = split_unit(&text, &units);
    let mib = number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    mib.ok_or_else(|| "a whole number of MiB is needed, or one with MiB or GiB".to_owned())
}

/// A number and what its unit is worth; without a unit, one.
fn split_unit<'a, T: Copy + From<u8>>(text: &'a str, units: &[(&str, T)]) -> (&'a str, T) {
    let suffixed = units
        .iter()
        .find_map(|(unit, worth)| Some((text.strip_suffix(unit)?.trim_end(), *worth)));
    suffixed.unwrap_or((text, T::from(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_unless_they_have_a_unit() {
        let read = |text| parse_span(text).ok().map(|span| span.as_millis());
        for (text, millis) in [
            ("2", 2_000),
            ("0.5", 500),
            ("30s", 30_000),
            ("250ms", 250),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(read(text), Some(millis), "{text}");
        }
        for text in [
            "", "s", "0", "0s", "-1", "1 day", "inf", "nan", "1e300h", "m30",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn lifetimes_have_days() {
        let read = |text| parse_ttl(text).ok().map(|span| span.as_secs());
        assert_eq!(read("7d"), Some(7 * 86_400));
        assert_eq!(read("0.5d"), Some(43_200));
        assert_eq!(read("90"), Some(90));
        assert_eq!(read("2h"), Some(7200));
        for text in ["d", "0d", "-1d", "7 days", "7w"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn limits_have_units() {
        let memory = |text| parse_memory(text).ok();
        for (text, mib) in [
            ("64", 64),
            ("128MB", 128),
            ("128MiB", 128),
            ("128 m", 128),
            ("2GiB", 2048),
            ("-1", -1),
        ] {
            assert_eq!(memory(text), Some(mib), "{text}");
        }
        for text in ["", "MB", "128kB", "1.5GiB", "9223372036854775807GiB"] {
            assert_eq!(memory(text), None, "{text}");
        }
        let seconds = |text| parse_seconds(text).ok();
        for (text, count) in [
            ("2s", 2.0),
            ("2", 2.0),
            ("500ms", 0.5),
            ("1.5m", 90.0),
            ("0", 0.0),
            ("-1", -1.0),
        ] {
            assert_eq!(seconds(text), Some(count), "{text}");
        }
    }
}
