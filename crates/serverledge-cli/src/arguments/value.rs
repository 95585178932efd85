//! Values of options: spans of time and amounts of memory, with and without a unit.

use std::time::Duration;

/// Some are parts of others: the longer ones come first.
const TIME_UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// A span of time above 0.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text, &TIME_UNITS);
    let span = number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok());
    let wanted = || "a number of seconds above 0 is needed, or one with ms, s, m or h".to_owned();
    span.filter(|span| !span.is_zero()).ok_or_else(wanted)
}

/// A span of time with its unit, days included.
pub(super) fn parse_age(text: &str) -> Option<Duration> {
    let units = TIME_UNITS.into_iter().chain([("d", 86_400.0)]);
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
