//! Durations and sizes with their units: parsing and display.

use std::time::Duration;

use super::raw::RawValue;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// A number of seconds, or a text such as `30s`, `500ms`, `1.5 h`. Never negative.
pub(super) fn duration(raw: &RawValue) -> Option<Duration> {
    let seconds = match raw {
        RawValue::Text(text) => {
            let (number, unit) = split(text);
            // Division keeps 100 ms exact, multiplication by 0.001 would not.
            let number: f64 = number.parse().ok()?;
            match unit.as_str() {
                "ms" => number / 1000.0,
                "" | "s" => number,
                "m" | "min" => number * 60.0,
                "h" => number * 3600.0,
                "d" => number * 86_400.0,
                _ => return None,
            }
        }
        other => other.as_number()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// A number of `unit` bytes, or a text such as `64 MiB`. `MB` is read as `MiB`, as Serverledge does.
pub(super) fn bytes(raw: &RawValue, unit: u64) -> Option<u64> {
    let (number, unit) = match raw {
        RawValue::Text(text) => {
            let (number, name) = split(text);
            (number.parse().ok()?, bytes_of_unit(&name, unit)?)
        }
        other => (u64::try_from(other.as_integer()?).ok()?, unit),
    };
    unit.checked_mul(number)
}

fn bytes_of_unit(name: &str, default: u64) -> Option<u64> {
    match name {
        "" => Some(default),
        "b" => Some(1),
        "kib" | "kb" => Some(KIB),
        "mib" | "mb" => Some(MIB),
        "gib" | "gb" => Some(GIB),
        _ => None,
    }
}

/// Number and unit (lower case) of a text such as `64 MiB`.
fn split(text: &str) -> (&str, String) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start().to_ascii_lowercase())
}

/// The duration in the largest unit that divides it; [`duration`] reads it back.
pub(super) fn show_duration(duration: Duration) -> String {
    match duration.as_secs() {
        _ if duration.subsec_nanos() != 0 => format!("{}ms", duration.as_secs_f64() * 1000.0),
        0 => String::from("0s"),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// The size in the largest unit that divides it; [`bytes`] reads it back.
pub(super) fn show_bytes(bytes: u64) -> String {
    match bytes {
        0 => String::from("0 B"),
        _ if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        _ if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> RawValue {
        RawValue::Text(String::from(text))
    }

    #[test]
    fn durations_are_read() {
        for (raw, millis) in [
            (RawValue::Integer(30), Some(30_000)),
            (RawValue::Float(0.25), Some(250)),
            (text("30"), Some(30_000)),
            (text(" 30 s "), Some(30_000)),
            (text("100ms"), Some(100)),
            (text("1.5M"), Some(90_000)),
            (text("2h"), Some(7_200_000)),
            (text("1d"), Some(86_400_000)),
            (RawValue::Integer(-1), None),
            (RawValue::Float(f64::NAN), None),
            (text("-1s"), None),
            (text("s"), None),
            (text("1 week"), None),
            (text("1.2.3s"), None),
            (text("inf"), None),
            (RawValue::Switch(true), None),
        ] {
            assert_eq!(duration(&raw), millis.map(Duration::from_millis), "{raw}");
        }
    }

    #[test]
    fn sizes_are_read_in_the_unit_of_their_key() {
        for (raw, unit, expected) in [
            (RawValue::Integer(128), MIB, Some(128 * MIB)),
            (RawValue::Integer(128), 1, Some(128)),
            (text("128"), MIB, Some(128 * MIB)),
            (text("64 KiB"), MIB, Some(64 * KIB)),
            (text("600MB"), 1, Some(600 * MIB)),
            (text("2 gib"), 1, Some(2 * GIB)),
            (text("7b"), MIB, Some(7)),
            (RawValue::Integer(-1), 1, None),
            (RawValue::Integer(i64::MAX), MIB, None),
            (text("1.5 GiB"), 1, None),
            (text("MiB"), 1, None),
            (text("1 TB or so"), 1, None),
            (RawValue::Float(1.0), 1, None),
        ] {
            assert_eq!(bytes(&raw, unit), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for millis in [0, 1, 500, 1_500, 30_000, 900_000, 7_200_000] {
            let shown = show_duration(Duration::from_millis(millis));
            assert_eq!(
                duration(&text(&shown)),
                Some(Duration::from_millis(millis)),
                "{shown}"
            );
        }
        for size in [0, 1, 1023, 64 * KIB, 6 * MIB, 2 * GIB] {
            let shown = show_bytes(size);
            assert_eq!(bytes(&text(&shown), MIB), Some(size), "{shown}");
        }
    }
}
