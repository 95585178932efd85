//! Numbers to be formatted, and their rounding.

use alloc::string::String;
use fixed_decimal::{FloatPrecision, RoundingIncrement, UnsignedDecimal, UnsignedRoundingMode};

use crate::{Argument, Options};

/// A number of ECMA-402: a decimal number of any length, an infinity or not a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    pub is_negative: bool,
    pub magnitude: Magnitude,
}

/// A number without its sign.
#[derive(Debug, Clone, PartialEq)]
pub enum Magnitude {
    Finite(UnsignedDecimal),
    Infinite,
    Nan,
}

/// The sign of a number that counts when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signum {
    Negative,
    NegativeZero,
    PositiveZero,
    Positive,
}

impl Quantity {
    /// The number in an argument: a JavaScript number, or a decimal literal.
    pub fn new(argument: Argument<'_>) -> Option<Self> {
        match argument {
            Argument::Number(number) if number.is_nan() => Some(Self {
                is_negative: false,
                magnitude: Magnitude::Nan,
            }),
            Argument::Number(number) => {
                let is_negative = number.is_sign_negative();
                let size = if is_negative { -number } else { number };
                let magnitude = if size.is_infinite() {
                    Magnitude::Infinite
                } else {
                    Magnitude::Finite(
                        UnsignedDecimal::try_from_f64(size, FloatPrecision::RoundTrip).ok()?,
                    )
                };
                Some(Self {
                    is_negative,
                    magnitude,
                })
            }
            Argument::Text(text) => {
                let is_negative = text.starts_with('-');
                let digits = text.trim_start_matches(['-', '+']);
                let finite = UnsignedDecimal::try_from_str(&with_digits(digits)).ok()?;
                Some(Self {
                    is_negative,
                    magnitude: Magnitude::Finite(finite),
                })
            }
            Argument::Nothing => None,
        }
    }

    pub fn finite(&self) -> Option<&UnsignedDecimal> {
        match &self.magnitude {
            Magnitude::Finite(finite) => Some(finite),
            _ => None,
        }
    }

    pub fn signum(&self) -> Signum {
        let is_zero = match &self.magnitude {
            Magnitude::Finite(finite) => finite.is_zero(),
            Magnitude::Infinite => false,
            Magnitude::Nan => true,
        };
        match (is_zero, self.is_negative) {
            (true, true) => Signum::NegativeZero,
            (true, false) => Signum::PositiveZero,
            (false, true) => Signum::Negative,
            (false, false) => Signum::Positive,
        }
    }

    /// Moves the decimal point.
    pub fn scale(&mut self, power: i16) {
        if let Magnitude::Finite(finite) = &mut self.magnitude {
            finite.multiply_pow10(power);
        }
    }
}

/// A literal such as `.5` or `5.` in the form that has digits on both sides of the point.
fn with_digits(text: &str) -> String {
    let (mantissa, exponent) = text
        .find(['e', 'E'])
        .map_or((text, ""), |at| text.split_at(at));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut made = String::with_capacity(text.len() + 1);
    made.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        made.push('.');
        made.push_str(fraction);
    }
    made.push_str(exponent);
    made
}

/// The digits that count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Precision {
    Fraction,
    Significant,
    More,
    Less,
}

/// The rounding of a format: digits, mode and increment.
#[derive(Debug, Clone)]
pub struct Rounding {
    precision: Precision,
    fraction: (i16, i16),
    significant: (i16, i16),
    increment: (RoundingIncrement, i16),
    mode: Mode,
    strips_zeros: bool,
    whole: i16,
}

/// A rounding mode with regard to the sign.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Unsigned(UnsignedRoundingMode),
    /// Towards positive infinity, ties only or all; or towards negative infinity.
    Signed {
        is_up: bool,
        is_half: bool,
    },
}

impl Mode {
    fn new(name: &str) -> Option<Self> {
        Some(match name {
            "ceil" => Mode::Signed {
                is_up: true,
                is_half: false,
            },
            "floor" => Mode::Signed {
                is_up: false,
                is_half: false,
            },
            "expand" => Mode::Unsigned(UnsignedRoundingMode::Expand),
            "trunc" => Mode::Unsigned(UnsignedRoundingMode::Trunc),
            "halfCeil" => Mode::Signed {
                is_up: true,
                is_half: true,
            },
            "halfFloor" => Mode::Signed {
                is_up: false,
                is_half: true,
            },
            "halfExpand" => Mode::Unsigned(UnsignedRoundingMode::HalfExpand),
            "halfTrunc" => Mode::Unsigned(UnsignedRoundingMode::HalfTrunc),
            "halfEven" => Mode::Unsigned(UnsignedRoundingMode::HalfEven),
            _ => return None,
        })
    }

    fn of(self, is_negative: bool) -> UnsignedRoundingMode {
        match self {
            Mode::Unsigned(mode) => mode,
            Mode::Signed { is_up, is_half } => match (is_up != is_negative, is_half) {
                (true, true) => UnsignedRoundingMode::HalfExpand,
                (true, false) => UnsignedRoundingMode::Expand,
                (false, true) => UnsignedRoundingMode::HalfTrunc,
                (false, false) => UnsignedRoundingMode::Trunc,
            },
        }
    }
}

/// The increment of the last digits, and the number of zeros after it.
fn increment(value: u32) -> Option<(RoundingIncrement, i16)> {
    let mut rest = value;
    let mut zeros = 0;
    while rest >= 10 && rest % 10 == 0 {
        rest /= 10;
        zeros += 1;
    }
    let increment = match rest {
        1 => RoundingIncrement::MultiplesOf1,
        2 => RoundingIncrement::MultiplesOf2,
        5 => RoundingIncrement::MultiplesOf5,
        25 => RoundingIncrement::MultiplesOf25,
        _ => return None,
    };
    Some((increment, zeros))
}

impl Rounding {
    /// The rounding that options ask for.
    pub fn new(options: &Options<'_>) -> Option<Self> {
        let number = |name: &str, fallback: i16| {
            options
                .number(name)
                .map_or(fallback, |value| i16::try_from(value).unwrap_or(fallback))
        };
        Some(Self {
            precision: match options.get("roundingType").unwrap_or("fractionDigits") {
                "fractionDigits" => Precision::Fraction,
                "significantDigits" => Precision::Significant,
                "morePrecision" => Precision::More,
                "lessPrecision" => Precision::Less,
                _ => return None,
            },
            fraction: (
                number("minimumFractionDigits", 0),
                number("maximumFractionDigits", 3),
            ),
            significant: (
                number("minimumSignificantDigits", 1),
                number("maximumSignificantDigits", 21),
            ),
            increment: increment(options.number("roundingIncrement").unwrap_or(1))?,
            mode: Mode::new(options.get("roundingMode").unwrap_or("halfExpand"))?,
            strips_zeros: options.get("trailingZeroDisplay") == Some("stripIfInteger"),
            whole: number("minimumIntegerDigits", 1),
        })
    }

    /// Rounds a number, and gives it the zeros that are to be shown.
    pub fn apply(&self, quantity: &mut Quantity) {
        let mode = self.mode.of(quantity.is_negative);
        let Magnitude::Finite(finite) = &mut quantity.magnitude else {
            return;
        };
        let lowest = match self.precision {
            Precision::Fraction => {
                let (increment, zeros) = self.increment;
                finite.round_with_mode_and_increment(zeros - self.fraction.1, mode, increment);
                -self.fraction.0
            }
            Precision::Significant => {
                finite.round_with_mode(last_digit(finite, self.significant.1), mode);
                last_digit(finite, self.significant.0)
            }
            Precision::More | Precision::Less => self.round_both(finite, mode),
        };
        let is_whole = finite.is_zero() || finite.nonzero_magnitude_end() >= 0;
        finite.pad_end(if self.strips_zeros && is_whole {
            0
        } else {
            lowest.min(0)
        });
        finite.trim_start();
        finite.pad_start(self.whole);
    }

    /// Rounds by digits of the fraction or by significant digits, whichever the priority says; gives the place of the
    /// last digit that is to be shown.
    fn round_both(&self, finite: &mut UnsignedDecimal, mode: UnsignedRoundingMode) -> i16 {
        let is_more = self.precision == Precision::More;
        let by_fraction = -self.fraction.1;
        let mut by_significant = last_digit(finite, self.significant.1);
        let place = if is_more {
            by_fraction.min(by_significant)
        } else {
            by_fraction.max(by_significant)
        };
        if !finite.is_zero() {
            let before = finite.nonzero_magnitude_start();
            finite.round_with_mode(place, mode);
            if !finite.is_zero()
                && finite.nonzero_magnitude_start() != before
                && by_fraction == by_significant
            {
                by_significant += 1;
            }
        }
        if (by_significant <= by_fraction) == is_more {
            last_digit(finite, self.significant.0)
        } else {
            -self.fraction.0
        }
    }

    /// Moves the decimal point as far as `power` says for the place of the first digit, and rounds. If rounding
    /// gives one more digit, as of 999.9 in thousands, the power is asked again. Returns the power.
    pub fn apply_with_power(&self, quantity: &mut Quantity, power: impl Fn(i16) -> i16) -> i16 {
        let Some(finite) = quantity.finite() else {
            return 0;
        };
        let before = finite.nonzero_magnitude_start();
        let first = power(before);
        quantity.scale(first);
        self.apply(quantity);
        let Some(rounded) = quantity.finite() else {
            return first;
        };
        if rounded.is_zero() || rounded.nonzero_magnitude_start() == before.saturating_add(first) {
            return first;
        }
        let second = power(before.saturating_add(1));
        if second == first {
            return first;
        }
        quantity.scale(second.saturating_sub(first));
        self.apply(quantity);
        second
    }
}

/// The place of the last of so many significant digits.
fn last_digit(finite: &UnsignedDecimal, digits: i16) -> i16 {
    finite
        .nonzero_magnitude_start()
        .saturating_sub(digits)
        .saturating_add(1)
}
