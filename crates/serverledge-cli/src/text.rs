//! Text for people: what comes from functions and nodes is shown without letting it steer the terminal.

pub(crate) use serverledge_wire::time::rfc3339 as time;
use std::fmt::Write as _;
use std::time::Duration;

/// Control characters other than line feed and tab as visible escapes.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

/// The same, line feeds as escapes as well.
pub(crate) fn one_line(text: &str) -> String {
    escape(text, |c| c == '\t')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if !keep(c) => out.push_str("\\n"),
            c if c.is_control() && !keep(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A time span in the unit that suits it, with about three digits.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "?".to_owned(),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// The same of whole microseconds.
pub(crate) fn micros(micros: u64) -> String {
    seconds(Duration::from_micros(micros).as_secs_f64())
}

/// Renders the time that something has been up: the two largest units.
pub(crate) fn age(span: Duration) -> String {
    let total = span.as_secs();
    let days = total / 86_400;
    let hours = total / 3_600 % 24;
    let minutes = total / 60 % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{total} s"),
        (0, 0, m) => format!("{m} min {} s", total % 60),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// Bytes in the unit that suits them.
pub(crate) fn bytes(count: usize) -> String {
    const MIB: usize = 1024 * 1024;
    let tenths = |unit: usize| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1024 => format!("{count} bytes"),
        1024..MIB => format!("{} KiB", tenths(1024)),
        _ => format!("{} MiB", tenths(MIB)),
    }
}

/// A size that the node tells, as [`bytes`] has it.
pub(crate) fn size(count: u64) -> String {
    bytes(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The begin of a version's digest: enough to tell it from others.
pub(crate) fn version(digest: &str) -> String {
    one_line(digest.get(..12).unwrap_or(digest))
}

/// One line for each fact.
pub(crate) fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let row = |(fact, value): (&str, String)| vec![fact.to_owned(), one_line(&value)];
    table(&facts.into_iter().map(row).collect::<Vec<_>>())
}

/// The same; those without a value are left out.
pub(crate) fn known_facts(all: impl IntoIterator<Item = (&'static str, String)>) -> String {
    facts(all.into_iter().filter(|(_, value)| !value.is_empty()))
}

/// A table with a head.
pub(crate) fn listing<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let head = head.map(str::to_owned);
    table(
        &std::iter::once(head)
            .chain(rows)
            .map(Vec::from)
            .collect::<Vec<_>>(),
    )
}

/// Rows in columns as wide as their widest cell; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().map(|row| cell(row, c)).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(
            printable("a\tb\n\u{1b}[31m\u{9b}\r"),
            "a\tb\n\\u{1b}[31m\\u{9b}\\u{d}"
        );
        assert_eq!(one_line("a\nb"), "a\\nb");
    }

    #[test]
    fn spans_and_sizes_suit_people() {
        let shown: Vec<String> = [0.000_012, 0.001_25, 0.25, 1.5, -1.0].map(seconds).into();
        assert_eq!(shown, ["12 µs", "1.2 ms", "250 ms", "1.50 s", "?"]);
        let shown: Vec<String> = [5, 65, 3_700, 90_000]
            .map(|s| age(Duration::from_secs(s)))
            .into();
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
        let shown: Vec<String> = [12, 1_536, 67_108_864].map(bytes).into();
        assert_eq!(shown, ["12 bytes", "1.5 KiB", "64.0 MiB"]);
    }

    #[test]
    fn times_are_rfc_3339() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(unix_ms), expected);
        }
        assert!(!time(u64::MAX).is_empty(), "no time makes it panic");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["NAME", "X"], ["longer", "1"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME    X\nlonger  1");
        assert_eq!(table(&[]), "");
    }
}
