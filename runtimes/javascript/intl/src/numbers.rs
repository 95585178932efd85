//! `Intl.NumberFormat`: numbers as text.
//!
//! The steps and their order are those of ECMA-402, and of UTS #35, part 3, where it leaves them to the implementation:
//! scale, exponent or compact form, rounding; then digits, and around them exponent, affixes and names.

mod compact;
mod modifier;
mod names;
mod pack;
mod plurals;
mod quantity;
mod range;
mod symbols;
mod text;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::{Argument, Options, Parts, Reply, Service};
use compact::Compact;
use modifier::{Affixes, Modifier, Pattern, Sign};
use names::{Currency, Names};
use quantity::Magnitude;
use symbols::Symbols;
use text::{Field, Text};

use pack::{currencies, currency_digits, numbering_systems};

pub use pack::Piece;
pub use plurals::{Form, Plurals};
pub use quantity::{Quantity, Rounding};

/// The answers about numbers that need no service.
pub fn ask(what: &str, argument: &str) -> Reply {
    match what {
        "systems" => Reply::Text(numbering_systems()),
        "system" => Piece::new("n", argument)
            .and_then(|numbers| numbers.get("ns").map(String::from))
            .map_or(Reply::Nothing, Reply::Text),
        "currencies" => Reply::Text(currencies()),
        "currencyDigits" => Reply::Number(f64::from(currency_digits(argument))),
        _ => Reply::Nothing,
    }
}

/// A format of numbers for a locale and options.
pub struct NumberFormat {
    symbols: Symbols,
    plurals: Plurals,
    rounding: Rounding,
    pattern: Pattern,
    grouping: Option<Grouping>,
    notation: Notation,
    names: Option<Names>,
    /// The symbol of the currency.
    currency: String,
    is_money: bool,
    is_unit: bool,
    is_percent: bool,
    sign_display: String,
}

#[derive(Debug)]
enum Notation {
    Standard,
    Scientific,
    Engineering,
    Compact(Compact),
}

/// The sizes of the last group and of the others, and the least number of digits before them.
#[derive(Debug, Clone, Copy)]
struct Grouping {
    first: i16,
    other: i16,
    least: i16,
}

/// A number with all that stands around it, before they are put together.
struct Formatted {
    quantity: Quantity,
    digits: Text,
    exponent: Modifier,
    affixes: Modifier,
    names: Modifier,
    form: Form,
}

impl Formatted {
    /// The number with all that stands around it.
    fn whole(self) -> Text {
        let mut text = self.digits;
        for modifier in [&self.exponent, &self.affixes, &self.names] {
            modifier.apply(&mut text);
        }
        text
    }
}

/// Makes a [`NumberFormat`].
pub fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    Some(Box::new(NumberFormat::new(locale, options)?))
}

// === impl NumberFormat ===

impl NumberFormat {
    /// A format for options that the prelude has checked.
    pub fn new(locale: &str, options: &Options<'_>) -> Option<Self> {
        let numbers = Piece::new("n", locale)?;
        let system = options.get("numberingSystem");
        let mut symbols = Symbols::new(&numbers, system)?;
        let style = options.get("style").unwrap_or("decimal");
        let is_compact = options.get("notation") == Some("compact");
        let width = match (style, options.get("unitDisplay")) {
            ("unit", Some("long")) => 'l',
            ("unit", Some("narrow")) => 'n',
            _ => 's',
        };
        let unit = options.get("unit").filter(|_| style == "unit");
        let is_percent = style == "percent" || unit == Some("percent");
        let display = options.get("currencyDisplay").unwrap_or("symbol");
        let currency = options
            .get("currency")
            .filter(|_| style == "currency")
            .and_then(|code| Currency::new(locale, code));
        let is_named = currency.is_some() && display == "name";
        let names = match (&currency, unit) {
            (Some(currency), _) if is_named => Some(Names::of_currency(&numbers, currency)?),
            (None, Some(unit)) if !is_percent || is_compact || width == 'l' => {
                Some(Names::of_unit(locale, unit, width)?)
            }
            (None, None) if is_percent && is_compact => {
                Some(Names::of_unit(locale, "percent", width)?)
            }
            _ => None,
        };
        let pattern = match &currency {
            Some(currency) if !is_named => own_pattern(&mut symbols, currency, options),
            _ if is_percent && names.is_none() => symbols.percent_pattern.clone(),
            _ => symbols.decimal_pattern.clone(),
        };
        let pattern = Pattern::new(&pattern);
        let notation = match options.get("notation").unwrap_or("standard") {
            "scientific" => Notation::Scientific,
            "engineering" => Notation::Engineering,
            "compact" => {
                let kind = match options.get("compactDisplay") {
                    _ if currency.is_some() && !is_named => 'c',
                    Some("long") => 'l',
                    _ => 's',
                };
                Notation::Compact(Compact::new(
                    &numbers,
                    system.or_else(|| numbers.get("ns"))?,
                    kind,
                ))
            }
            _ => Notation::Standard,
        };
        Some(Self {
            plurals: Plurals::new(locale, crate::plurals::kind(options))?,
            rounding: Rounding::new(options)?,
            grouping: grouping(options, &pattern, &symbols, is_compact),
            symbols,
            pattern,
            notation,
            names,
            is_money: currency.is_some(),
            currency: currency
                .map(|currency| currency.symbol(display).to_string())
                .unwrap_or_default(),
            is_unit: style == "unit",
            is_percent: style == "percent",
            sign_display: options.get("signDisplay").unwrap_or("auto").into(),
        })
    }

    /// A format of plain decimal numbers in a locale.
    pub fn plain(locale: &str, system: Option<&str>) -> Option<Self> {
        let mut options = String::new();
        if let Some(system) = system {
            options.push_str("numberingSystem=");
            options.push_str(system);
        }
        Self::new(locale, &Options::new(&options))
    }

    /// The text of a number.
    fn text(&self, quantity: Quantity) -> Text {
        self.process(quantity, false).whole()
    }

    /// The text of a number that is rounded to decimals, in parts, and its plural form.
    pub fn decimal(&self, quantity: Quantity) -> (Form, Vec<(&'static str, String)>) {
        let formatted = self.process(quantity.clone(), false);
        let form = self.plurals.form(&formatted.quantity, 0);
        let text = self.text(quantity);
        (form, self.named(text.parts(0, text.len())))
    }

    /// All that is to be put together for a number.
    fn process(&self, mut quantity: Quantity, is_approximate: bool) -> Formatted {
        if self.is_percent {
            quantity.scale(2);
        }
        let mut exponent = Modifier::default();
        let mut form = Form::Other;
        let mut compact_pattern = None;
        match &self.notation {
            Notation::Standard => {
                self.rounding.apply(&mut quantity);
                form = self.plurals.form(&quantity, 0);
            }
            Notation::Scientific | Notation::Engineering => {
                let power = self
                    .rounding
                    .apply_with_power(&mut quantity, |place| self.exponent(place));
                if quantity.finite().is_some() {
                    form = self.plurals.form(&quantity, -power);
                    exponent.suffix = self.exponent_text(-power);
                }
            }
            Notation::Compact(compact) => {
                if self.names.is_some() {
                    let mut whole = quantity.clone();
                    self.rounding.apply(&mut whole);
                    form = self.plurals.form(&whole, 0);
                }
                compact_pattern = self.shorten(compact, &mut quantity);
            }
        }
        let affixes = self.affixes(&quantity, compact_pattern, is_approximate);
        let names = self
            .names
            .as_ref()
            .map(|names| names.modifier(form))
            .unwrap_or_default();
        Formatted {
            digits: self.digits(&quantity),
            quantity,
            exponent,
            affixes,
            names,
            form,
        }
    }

    /// Rounds a number for compact notation, and gives the power of ten that it is multiplied by.
    fn scale(&self, compact: &Compact, quantity: &mut Quantity) -> i16 {
        if quantity.finite().is_some_and(|finite| !finite.is_zero()) {
            return self
                .rounding
                .apply_with_power(quantity, |place| compact.power(place));
        }
        self.rounding.apply(quantity);
        0
    }

    /// The plural form of a number in the format's notation.
    fn plural(&self, mut quantity: Quantity) -> Form {
        let power = match &self.notation {
            Notation::Standard => {
                self.rounding.apply(&mut quantity);
                0
            }
            Notation::Scientific | Notation::Engineering => self
                .rounding
                .apply_with_power(&mut quantity, |place| self.exponent(place)),
            Notation::Compact(compact) => self.scale(compact, &mut quantity),
        };
        self.plurals.form(&quantity, -power)
    }

    /// Makes a number compact, and gives its pattern.
    fn shorten<'a>(&self, compact: &'a Compact, quantity: &mut Quantity) -> Option<&'a str> {
        let power = self.scale(compact, quantity);
        let place = match quantity.finite() {
            Some(finite) if !finite.is_zero() => finite.nonzero_magnitude_start(),
            _ => 0,
        };
        let finite_pattern = compact.pattern(place.saturating_sub(power), quantity, &self.plurals);
        finite_pattern.filter(|_| quantity.finite().is_some())
    }

    /// The power of ten for scientific and engineering notation.
    fn exponent(&self, place: i16) -> i16 {
        let shown = if matches!(self.notation, Notation::Engineering) {
            place.rem_euclid(3) + 1
        } else {
            1
        };
        shown.saturating_sub(place).saturating_sub(1)
    }

    fn exponent_text(&self, exponent: i16) -> Text {
        let mut text = Text::new(&self.symbols.exponential, Field::ExponentSeparator);
        if exponent < 0 {
            text.push_str(&self.symbols.minus, Field::ExponentMinus);
        }
        for digit in exponent.unsigned_abs().to_string().bytes() {
            text.push(self.symbols.digit(digit - b'0'), Field::ExponentInteger);
        }
        text
    }

    fn affixes(
        &self,
        quantity: &Quantity,
        compact_pattern: Option<&str>,
        is_approximate: bool,
    ) -> Modifier {
        let affixes = Affixes {
            minus: &self.symbols.minus,
            plus: &self.symbols.plus,
            approximately: &self.symbols.approximately,
            percent: &self.symbols.percent,
            currency: &self.currency,
            literal: if compact_pattern.is_some() {
                Field::Compact
            } else {
                Field::Literal
            },
        };
        let sign = Sign::new(&self.sign_display, quantity.signum());
        match compact_pattern {
            Some(pattern) => Pattern::new(pattern).modifier(sign, is_approximate, &affixes),
            None => self.pattern.modifier(sign, is_approximate, &affixes),
        }
    }

    /// The digits with separators.
    fn digits(&self, quantity: &Quantity) -> Text {
        let finite = match &quantity.magnitude {
            Magnitude::Finite(finite) => finite,
            Magnitude::Infinite => return Text::new(&self.symbols.infinity, Field::Infinity),
            Magnitude::Nan => return Text::new(&self.symbols.nan, Field::Nan),
        };
        let (decimal, group) = if self.is_money {
            (&self.symbols.money.0, &self.symbols.money.1)
        } else {
            (&self.symbols.decimal, &self.symbols.group)
        };
        let mut text = Text::default();
        let places = finite.magnitude_range();
        let highest = *places.end();
        for place in (0..=highest).rev() {
            text.push(self.symbols.digit(finite.digit_at(place)), Field::Integer);
            if place > 0
                && self
                    .grouping
                    .is_some_and(|grouping| grouping.is_at(place, highest))
            {
                text.push_str(group, Field::Group);
            }
        }
        if *places.start() < 0 {
            text.push_str(decimal, Field::Decimal);
            for place in (*places.start()..0).rev() {
                text.push(self.symbols.digit(finite.digit_at(place)), Field::Fraction);
            }
        }
        text
    }

    /// The parts with the names of their types.
    fn named(&self, parts: Vec<(Field, String)>) -> Vec<(&'static str, String)> {
        let name = |field: Field| {
            if self.is_unit && field == Field::Percent {
                "unit"
            } else {
                field.name()
            }
        };
        parts
            .into_iter()
            .map(|(field, value)| (name(field), value))
            .collect()
    }
}

impl Service for NumberFormat {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        let quantity = |at: usize| arguments.get(at).copied().and_then(Quantity::new);
        let Some(first) = quantity(0) else {
            return Reply::Nothing;
        };
        match what {
            "format" => Reply::Text(self.text(first).plain()),
            "parts" => {
                let text = self.text(first);
                Reply::Text(Parts(self.named(text.parts(0, text.len()))).json())
            }
            "plural" => Reply::Text(crate::plurals::name(self.plural(first)).into()),
            "pluralRange" => quantity(1).map_or(Reply::Nothing, |second| {
                let form = self.plurals.range(self.plural(first), self.plural(second));
                Reply::Text(crate::plurals::name(form).into())
            }),
            "range" | "rangeParts" => match quantity(1) {
                Some(second) if what == "range" => {
                    Reply::Text(self.range(first, second).text.plain())
                }
                Some(second) => Reply::Text(self.range_json(first, second)),
                None => Reply::Nothing,
            },
            _ => Reply::Nothing,
        }
    }
}

/// The pattern for amounts of a currency, whose own separators are put into the symbols.
fn own_pattern(symbols: &mut Symbols, currency: &Currency, options: &Options<'_>) -> String {
    if let (Some(decimal), Some(group)) = (currency.field("d"), currency.field("g")) {
        symbols.money = (decimal.into(), group.into());
    }
    if let Some(pattern) = currency.field("p") {
        return pattern.into();
    }
    // Brackets stand for a sign: without signs there are none.
    if options.get("currencySign") == Some("accounting")
        && options.get("signDisplay") != Some("never")
    {
        symbols.accounting_pattern.clone()
    } else {
        symbols.currency_pattern.clone()
    }
}

fn grouping(
    options: &Options<'_>,
    pattern: &Pattern,
    symbols: &Symbols,
    is_compact: bool,
) -> Option<Grouping> {
    let use_grouping =
        options
            .get("useGrouping")
            .unwrap_or(if is_compact { "min2" } else { "auto" });
    let (first, other) = match (use_grouping, pattern.groups) {
        ("false", _) => return None,
        ("always", None) => (3, 3),
        (_, groups) => groups?,
    };
    let least = match use_grouping {
        "always" => 1,
        "min2" => symbols.grouping_min.max(2),
        _ => symbols.grouping_min,
    };
    (first > 0 && other > 0).then_some(Grouping {
        first,
        other,
        least,
    })
}

impl Grouping {
    /// A separator stands after the digit at a place.
    fn is_at(self, place: i16, highest: i16) -> bool {
        let beyond = place - self.first;
        beyond >= 0 && beyond % self.other == 0 && highest - self.first + 1 >= self.least
    }
}
