//! Dates: what `Intl.DateTimeFormat` needs of a locale.

mod calendar;
mod fields;
mod format;
mod generator;
mod interval;
pub(crate) mod pack;
mod zone_names;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::zones::Zone;
use crate::{Argument, Options, Reply, Service};

use calendar::{Calendar, Fields};
use fields::{Skeleton, Token, push_field, tokens};
use format::Writer;
use generator::{Generator, glued};
use interval::Plan;
use pack::{Data, Piece};
use zone_names::ZoneNames;

/// The last moment of a Date, in milliseconds.
const MOST: f64 = 8.64e15;

/// The digits of a numbering system.
#[derive(Debug, Clone)]
pub(crate) struct Digits(Vec<char>);

impl Digits {
    fn new(shared: &Piece, system: &str) -> Self {
        let digits = shared
            .get(&format!("digits-{system}"))
            .unwrap_or("0123456789");
        Self(digits.chars().collect())
    }

    /// Appends a number with at least so many digits.
    fn push(&self, out: &mut String, value: i64, length: usize) {
        for digit in format!("{value:0length$}").chars() {
            let own = digit
                .to_digit(10)
                .and_then(|at| self.0.get(usize::try_from(at).ok()?));
            out.push(own.copied().unwrap_or(digit));
        }
    }
}

/// A time in a zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Since 1970, in UTC.
    seconds: i64,
    fields: Fields,
}

/// A pattern of a locale, ready to write times with.
pub(crate) struct DateFormat {
    data: Data,
    calendar: Calendar,
    digits: Digits,
    zone: Zone,
    zone_names: Option<ZoneNames>,
    pattern: String,
    /// The letter of the hours, if the pattern has them.
    cycle: Option<u8>,
    /// The sign before fractions of seconds.
    decimal: String,
    /// The sign before negative years.
    minus: String,
    /// The letter of the locale's usual hours.
    usual: u8,
    has_styles: bool,
    /// The patterns of ranges, made when they are first needed.
    plan: OnceCell<Plan>,
}

/// A service of the kind `date`. Options:
///
/// - `tag`: the resolved locale, which may have another region than its data; `ca`, `nu`, `timeZone`
/// - `hc`, the hours of the tag or of an option; `hour12`, which goes before it
/// - the components of ECMA-402, or `dateStyle` and `timeStyle`
pub fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    DateFormat::new(locale, options).map(|format| Box::new(format) as Box<dyn Service>)
}

/// `numbers`: the numbering system of a locale; `calendar`: the calendar of a locale.
pub fn ask(what: &str, argument: &str) -> Reply {
    match what {
        "numbers" => Piece::named(argument)
            .and_then(|piece| {
                piece
                    .get("numbers")
                    .map(|system| Reply::Text(system.to_string()))
            })
            .unwrap_or(Reply::Nothing),
        _ => Reply::Nothing,
    }
}

// === impl DateFormat ===

impl DateFormat {
    fn new(locale: &str, options: &Options<'_>) -> Option<Self> {
        let calendar = options.get("ca").unwrap_or("gregory");
        let data = Data::new(locale, calendar)?;
        let shared = Piece::named("shared")?;
        let tag = options.get("tag").unwrap_or(locale);
        let usual = usual_cycle(&shared, tag, data.text("region"));
        let system = options.get("nu").unwrap_or("latn");
        let digits = Digits::new(&shared, system);
        let decimal = decimal(&data, system).to_string();
        let minus = data
            .get(&format!("minus-{system}"))
            .unwrap_or("-")
            .to_string();
        let zone_name = options.get("timeZone").unwrap_or("UTC");
        let zone = Zone::named(zone_name)?;
        let mut format = Self {
            data,
            calendar: Calendar::named(calendar),
            digits,
            zone,
            zone_names: None,
            pattern: String::new(),
            cycle: None,
            decimal,
            minus,
            usual,
            has_styles: options
                .get("dateStyle")
                .or(options.get("timeStyle"))
                .is_some(),
            plan: OnceCell::new(),
        };
        let wanted = wanted_cycle(options, usual);
        let generator = Generator::new(&format.data, &format.decimal, usual);
        let (pattern, has_hours) = if format.has_styles {
            (
                styled(&generator, &format.data, options, wanted),
                options.get("timeStyle").is_some(),
            )
        } else {
            let pattern = generator.best(&skeleton_of(options, wanted));
            let has_hours = options.get("hour").is_some();
            (
                if has_hours {
                    with_cycle(&pattern, wanted)
                } else {
                    pattern
                },
                has_hours,
            )
        };
        format.pattern = pattern;
        format.cycle = has_hours.then_some(wanted);
        if tokens(&format.pattern).any(|token| matches!(token, Token::Field(b'z' | b'v' | b'O', _)))
        {
            let region = region_of(tag).unwrap_or(format.data.text("region"));
            format.zone_names = ZoneNames::new(locale, zone_name, region, format.digits.clone());
        }
        Some(format)
    }

    fn moment(&self, milliseconds: f64) -> Option<Moment> {
        if !(milliseconds.abs() <= MOST) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the number is whole, and within 54 bits"
        )]
        let at = milliseconds as i64;
        let seconds = at.div_euclid(1000);
        let local = at + i64::from(self.zone.offset(seconds).seconds) * 1000;
        Some(Moment {
            seconds,
            fields: self.calendar.fields(local),
        })
    }

    fn formatted(&self, argument: Argument<'_>) -> Option<Writer> {
        let moment = self.moment(argument.number()?)?;
        let mut writer = Writer::default();
        self.write(&mut writer, &self.pattern, &moment);
        writer.end_literal();
        Some(writer)
    }

    /// The options that the pattern is that of, `name=value` in each line.
    fn resolved(&self) -> String {
        let mut lines = Vec::new();
        if let Some(cycle) = self.cycle {
            let (name, is_12) = match cycle {
                b'K' => ("h11", true),
                b'h' => ("h12", true),
                b'H' => ("h23", false),
                _ => ("h24", false),
            };
            lines.push(format!("hourCycle={name}\nhour12={is_12}"));
        }
        if !self.has_styles {
            for (name, values) in COMPONENTS {
                let letters = values
                    .iter()
                    .find(|(letters, _)| self.pattern.contains(letters));
                lines.extend(letters.map(|(_, value)| format!("{name}={value}")));
                if *name == "second" {
                    let digits = self
                        .pattern
                        .bytes()
                        .filter(|byte| *byte == b'S')
                        .count()
                        .min(3);
                    lines.extend((digits > 0).then(|| format!("fractionalSecondDigits={digits}")));
                }
            }
        }
        lines.join("\n")
    }
}

impl Service for DateFormat {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        let argument = |at: usize| arguments.get(at).copied().unwrap_or(Argument::Nothing);
        let reply = match what {
            // V8 writes plain spaces here, but not in parts.
            "format" => self
                .formatted(argument(0))
                .map(|writer| writer.parts.text().replace('\u{202f}', " ")),
            "parts" => self
                .formatted(argument(0))
                .map(|writer| writer.parts.json()),
            "range" => self.range_text(argument(0), argument(1)),
            "rangeParts" => self
                .range(argument(0), argument(1))
                .map(|range| range.json()),
            "resolved" => Some(self.resolved()),
            _ => None,
        };
        reply.map_or(Reply::Nothing, Reply::Text)
    }
}

// === options ===

type Component = (&'static str, &'static [(&'static str, &'static str)]);

/// The letters of the values of components, as V8 looks for them in a pattern.
const COMPONENTS: &[Component] = &[
    (
        "weekday",
        &[
            ("EEEEE", "narrow"),
            ("EEEE", "long"),
            ("EEE", "short"),
            ("ccccc", "narrow"),
            ("cccc", "long"),
            ("ccc", "short"),
        ],
    ),
    (
        "era",
        &[("GGGGG", "narrow"), ("GGGG", "long"), ("GGG", "short")],
    ),
    ("year", &[("yy", "2-digit"), ("y", "numeric")]),
    (
        "month",
        &[
            ("MMMMM", "narrow"),
            ("MMMM", "long"),
            ("MMM", "short"),
            ("MM", "2-digit"),
            ("M", "numeric"),
            ("LLLLL", "narrow"),
            ("LLLL", "long"),
            ("LLL", "short"),
            ("LL", "2-digit"),
            ("L", "numeric"),
        ],
    ),
    ("day", &[("dd", "2-digit"), ("d", "numeric")]),
    (
        "dayPeriod",
        &[
            ("BBBBB", "narrow"),
            ("bbbbb", "narrow"),
            ("BBBB", "long"),
            ("bbbb", "long"),
            ("B", "short"),
            ("b", "short"),
        ],
    ),
    (
        "hour",
        &[
            ("HH", "2-digit"),
            ("H", "numeric"),
            ("hh", "2-digit"),
            ("h", "numeric"),
            ("kk", "2-digit"),
            ("k", "numeric"),
            ("KK", "2-digit"),
            ("K", "numeric"),
        ],
    ),
    ("minute", &[("mm", "2-digit"), ("m", "numeric")]),
    ("second", &[("ss", "2-digit"), ("s", "numeric")]),
    (
        "timeZoneName",
        &[
            ("zzzz", "long"),
            ("z", "short"),
            ("OOOO", "longOffset"),
            ("O", "shortOffset"),
            ("vvvv", "longGeneric"),
            ("v", "shortGeneric"),
        ],
    ),
];

/// The skeleton of the components that are asked for.
fn skeleton_of(options: &Options<'_>, cycle: u8) -> String {
    let mut skeleton = String::new();
    for (name, values) in COMPONENTS {
        if *name == "timeZoneName" {
            let digits = options.number("fractionalSecondDigits").unwrap_or(0).min(3);
            push_field(&mut skeleton, b'S', usize::try_from(digits).unwrap_or(0));
        }
        let Some(wanted) = options.get(name) else {
            continue;
        };
        if *name == "hour" {
            push_field(
                &mut skeleton,
                cycle,
                if wanted == "2-digit" { 2 } else { 1 },
            );
        } else if let Some((letters, _)) = values.iter().find(|(_, value)| *value == wanted) {
            skeleton.push_str(letters);
        }
    }
    skeleton
}

/// The pattern of `dateStyle` and `timeStyle`.
fn styled(generator: &Generator<'_>, data: &Data, options: &Options<'_>, wanted: u8) -> String {
    let date = options
        .get("dateStyle")
        .map(|style| data.text(&format!("date-{style}")));
    let time = options
        .get("timeStyle")
        .map(|style| data.text(&format!("time-{style}")));
    let pattern = match (date, time) {
        (Some(date), None) => return date.to_string(),
        (None, time) => time.unwrap_or_default().to_string(),
        (Some(date), Some(time)) => {
            let glue = data.text(&format!(
                "glue-{}",
                options.get("dateStyle").unwrap_or_default()
            ));
            glued(glue, time, date)
        }
    };
    if cycle_of(&pattern) == Some(wanted) {
        return pattern;
    }
    let mut skeleton = String::new();
    for letter in Skeleton::of(&pattern).text().bytes() {
        match letter {
            b'a' | b'b' | b'B' => {}
            b'h' | b'H' | b'K' | b'k' => skeleton.push(char::from(wanted)),
            letter => skeleton.push(char::from(letter)),
        }
    }
    with_cycle(&generator.best(&skeleton), wanted)
}

/// The letter of the first hours of a pattern.
fn cycle_of(pattern: &str) -> Option<u8> {
    tokens(pattern).find_map(|token| match token {
        Token::Field(letter @ (b'h' | b'H' | b'K' | b'k'), _) => Some(letter),
        _ => None,
    })
}

/// The pattern with other hours.
fn with_cycle(pattern: &str, cycle: u8) -> String {
    let mut out = String::new();
    let mut last = 0;
    for token in tokens(pattern) {
        match token {
            Token::Field(letter, length) => {
                let is_hour = matches!(letter, b'h' | b'H' | b'K' | b'k');
                if is_hour && last == b'd' {
                    out.push(' ');
                }
                push_field(&mut out, if is_hour { cycle } else { letter }, length);
                last = letter;
            }
            Token::Text(text) => {
                out.push_str(text);
                last = 0;
            }
        }
    }
    out
}

/// The hours that the options ask for, else the usual ones. With `hour12`, those that begin with 0 if the usual ones
/// do, as ECMA-402 had it until 2023 and V8 has it.
fn wanted_cycle(options: &Options<'_>, usual: u8) -> u8 {
    let own = match options.get("hc") {
        Some("h11") => b'K',
        Some("h12") => b'h',
        Some("h23") => b'H',
        Some("h24") => b'k',
        _ => usual,
    };
    match (options.get("hour12"), own) {
        (Some("true"), b'K' | b'H') => b'K',
        (Some("true"), _) => b'h',
        (Some(_), b'K' | b'H') => b'H',
        (Some(_), _) => b'k',
        (None, own) => own,
    }
}

/// The region of a tag: `US` of `en-Latn-US`.
fn region_of(tag: &str) -> Option<&str> {
    tag.split('-')
        .skip(1)
        .take_while(|part| part.len() > 1)
        .find(|part| {
            let is_letters = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_uppercase());
            is_letters || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

fn usual_cycle(shared: &Piece, tag: &str, likely_region: &str) -> u8 {
    let region = region_of(tag).unwrap_or(likely_region);
    let language = tag.split('-').next().unwrap_or_default();
    let with_language = format!("{language}-{region}");
    let of = |name: &str| {
        shared.lines().find_map(|(key, regions)| {
            let letter = key.strip_prefix("cycle-")?.bytes().next()?;
            regions
                .split(' ')
                .any(|region| region == name)
                .then_some(letter)
        })
    };
    of(&with_language).or_else(|| of(region)).unwrap_or(b'H')
}

fn decimal<'a>(data: &'a Data, system: &str) -> &'a str {
    data.get(&format!("decimal-{system}"))
        .or(match system {
            "arab" | "arabext" => Some("\u{66b}"),
            _ => data.get("decimal-latn"),
        })
        .unwrap_or(".")
}

#[cfg(test)]
mod tests {
    use crate::{Argument, Reply, make};

    fn said(locale: &str, options: &str, what: &str, arguments: &[Argument<'_>]) -> Reply {
        make("date", locale, options)
            .map_or(Reply::Nothing, |service| service.call(what, arguments))
    }

    #[test]
    fn a_time_is_written() {
        let options = "dateStyle=long\ntimeStyle=short\ntimeZone=Europe/Berlin";
        let time = [Argument::Number(1_720_152_182_001.0)];
        assert_eq!(
            said("de", options, "format", &time),
            Reply::Text("5. Juli 2024 um 06:03".into())
        );
    }

    #[test]
    fn what_the_prelude_never_sends_is_answered_with_nothing() {
        assert_eq!(
            said("xx", "", "format", &[Argument::Number(0.0)]),
            Reply::Nothing
        );
        assert_eq!(
            said("de", "timeZone=Nowhere", "format", &[Argument::Number(0.0)]),
            Reply::Nothing
        );
        for arguments in [
            &[][..],
            &[Argument::Text("0")],
            &[Argument::Number(f64::NAN)],
            &[Argument::Number(1e300)],
        ] {
            for what in ["format", "parts", "range", "rangeParts", "other"] {
                assert_eq!(
                    said("de", "year=numeric", what, arguments),
                    Reply::Nothing,
                    "{what} {arguments:?}"
                );
            }
        }
    }

    #[test]
    fn all_options_of_all_locales_are_written_without_a_fault() {
        for locale in crate::locales::LOCALES {
            for calendar in ["gregory", "iso8601", "persian", "buddhist"] {
                for options in [
                    "era=long\nyear=2-digit\nweekday=narrow",
                    "hour=numeric\ndayPeriod=long\ntimeZoneName=longGeneric",
                ] {
                    let options = format!("ca={calendar}\n{options}\ntimeZone=Asia/Tokyo");
                    for time in [-8.64e15, -1.0, 0.0, 8.64e15] {
                        let times = [Argument::Number(time), Argument::Number(0.0)];
                        assert!(
                            matches!(said(locale, &options, "format", &times), Reply::Text(text) if !text.is_empty())
                        );
                        assert!(
                            matches!(said(locale, &options, "range", &times), Reply::Text(text) if !text.is_empty())
                        );
                    }
                }
            }
        }
    }
}
