//! The symbols and the patterns of a locale and a numbering system.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::pack::Piece;

/// Symbols, digits and patterns.
#[derive(Debug)]
pub struct Symbols {
    pub digits: Vec<char>,
    pub decimal: String,
    pub group: String,
    pub percent: String,
    pub plus: String,
    pub minus: String,
    pub approximately: String,
    pub exponential: String,
    pub infinity: String,
    pub nan: String,
    /// The separators of amounts of money.
    pub money: (String, String),
    pub decimal_pattern: String,
    pub percent_pattern: String,
    pub currency_pattern: String,
    pub accounting_pattern: String,
    pub range_pattern: String,
    /// The least number of digits before the first separator of groups.
    pub grouping_min: i16,
}

impl Symbols {
    /// The symbols of a piece `n` for a numbering system, or for the locale's own if it is not known.
    pub fn new(numbers: &Piece, system: Option<&str>) -> Option<Self> {
        let root = Piece::root()?;
        let own = numbers.get("ns")?;
        let digits_of = |system: &str| {
            root.get(&format!("digits.{system}"))
                .map(|digits| digits.chars().collect())
        };
        let (system, digits) = match system.and_then(|system| Some((system, digits_of(system)?))) {
            Some(found) => found,
            None => (own, digits_of(own)?),
        };
        let fields = |kind: &str| {
            let key = format!("{system}.{kind}");
            let own = numbers
                .get(&key)
                .or_else(|| root.get(&key))
                .unwrap_or_default();
            let mut own = own
                .split('\t')
                .map(|field| Some(field).filter(|field| !field.is_empty()));
            let plain = numbers
                .get(&format!("latn.{kind}"))
                .unwrap_or_default()
                .split('\t');
            let fields = plain.map(|plain| String::from(own.next().flatten().unwrap_or(plain)));
            fields.collect::<Vec<String>>().into_iter()
        };
        let (mut symbols, mut patterns) = (fields("sym"), fields("pat"));
        let mut symbol = || symbols.next().unwrap_or_default();
        let mut pattern = || patterns.next().unwrap_or_default();
        let (decimal, group) = (symbol(), symbol());
        let mut made = Self {
            digits,
            percent: symbol(),
            plus: symbol(),
            minus: symbol(),
            approximately: symbol(),
            exponential: symbol(),
            infinity: symbol(),
            nan: symbol(),
            money: (symbol(), symbol()),
            decimal,
            group,
            decimal_pattern: pattern(),
            percent_pattern: pattern(),
            currency_pattern: pattern(),
            accounting_pattern: pattern(),
            range_pattern: pattern(),
            grouping_min: numbers.get("min")?.parse().ok()?,
        };
        if made.money.0.is_empty() {
            made.money.0.clone_from(&made.decimal);
        }
        if made.money.1.is_empty() {
            made.money.1.clone_from(&made.group);
        }
        Some(made)
    }

    /// A digit of the numbering system.
    pub fn digit(&self, digit: u8) -> char {
        self.digits
            .get(usize::from(digit))
            .copied()
            .unwrap_or(char::from(b'0' + digit % 10))
    }
}
