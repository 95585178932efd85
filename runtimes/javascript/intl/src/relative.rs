//! `Intl.RelativeTimeFormat`: times such as "in 3 days" and "yesterday".

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::numbers::{Form, NumberFormat, Piece, Quantity};
use crate::plurals;
use crate::{Argument, Options, Parts, Reply, Service};

/// A format of relative times for a locale and options.
struct RelativeTimeFormat {
    times: Piece,
    numbers: NumberFormat,
    width: char,
    is_always_numeric: bool,
}

/// Makes a service of the kind `relative`.
pub fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    let width = match options.get("style") {
        Some("short") => 's',
        Some("narrow") => 'n',
        _ => 'l',
    };
    Some(Box::new(RelativeTimeFormat {
        times: Piece::new("r", locale)?,
        numbers: NumberFormat::plain(locale, options.get("numberingSystem"))?,
        width,
        is_always_numeric: options.get("numeric") != Some("auto"),
    }))
}

impl RelativeTimeFormat {
    /// The name of a time near now, such as "tomorrow".
    fn name(&self, value: f64, unit: &str) -> Option<&str> {
        if self.is_always_numeric || !(-2.1..=2.1).contains(&value) {
            return None;
        }
        // A hundredth is as good as nothing.
        let near = (-2..=2).find(|near| (value * 100.0 - f64::from(*near) * 100.0).abs() < 0.5)?;
        self.times.get(&format!("{}.{unit}.{near}", self.width))
    }

    fn parts(&self, value: f64, unit: &str) -> Option<Parts> {
        if let Some(name) = self.name(value, unit) {
            return Some(Parts([("literal", name.into())].to_vec()));
        }
        let (form, number) = self
            .numbers
            .decimal(Quantity::new(Argument::Number(value.abs()))?);
        let sign = if value.is_sign_negative() { '-' } else { '+' };
        let pattern = |form: Form| {
            self.times.get(&format!(
                "{}.{unit}.{sign}{}",
                self.width,
                plurals::name(form)
            ))
        };
        let pattern = pattern(form).or_else(|| pattern(Form::Other))?;
        let mut parts = Parts(Vec::new());
        match pattern.split_once("{0}") {
            Some((before, after)) => {
                parts.push("literal", before);
                parts.0.extend(number);
                parts.push("literal", after);
            }
            None => parts.push("literal", pattern),
        }
        Some(parts)
    }
}

impl Service for RelativeTimeFormat {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        let (Some(Argument::Number(value)), Some(Argument::Text(unit))) =
            (arguments.first(), arguments.get(1))
        else {
            return Reply::Nothing;
        };
        let text = |parts: Parts| -> String {
            if what == "parts" {
                parts.json()
            } else {
                parts.text()
            }
        };
        self.parts(*value, unit)
            .map_or(Reply::Nothing, |parts| Reply::Text(text(parts)))
    }
}
