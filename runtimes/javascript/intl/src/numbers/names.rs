//! Names around a number that depend on its plural form: those of units and currencies.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::modifier::Modifier;
use super::pack::Piece;
use super::plurals::Form;
use super::text::Field;
use crate::plurals;

/// A pattern such as `{0} kilometres` for each plural form that has its own.
#[derive(Debug)]
pub struct Names {
    field: Field,
    patterns: Vec<(Form, String)>,
}

impl Names {
    /// The prefix and suffix for a plural form.
    pub fn modifier(&self, form: Form) -> Modifier {
        let of = |form: Form| self.patterns.iter().find(|(other, _)| *other == form);
        let pattern = of(form).or_else(|| of(Form::Other));
        pattern.map_or_else(Modifier::default, |(_, pattern)| {
            Modifier::from_pattern(pattern, self.field)
        })
    }

    /// The names of a unit in a width: `l` long, `s` short or `n` narrow. It may be two simple units with `-per-`.
    pub fn of_unit(locale: &str, unit: &str, width: char) -> Option<Self> {
        let piece = Piece::new(&format!("u{width}"), locale)?;
        let patterns = patterns_of(&piece, &format!("{width}.{unit}."));
        if !patterns.is_empty() {
            return Some(Self {
                field: Field::Unit,
                patterns,
            });
        }
        let (first, second) = unit.split_once("-per-")?;
        let per = match piece.get(&format!("{width}.{second}.per")) {
            Some(per) => per.to_string(),
            None => {
                let after = patterns_of(&piece, &format!("{width}.{second}."));
                let of = |form: Form| after.iter().find(|(other, _)| *other == form);
                let (_, name) = of(Form::One).or_else(|| of(Form::Other))?;
                let name = name.replace("{0}", "");
                piece
                    .get(&format!("{width}.per"))?
                    .replace("{1}", name.trim())
            }
        };
        let mut patterns = patterns_of(&piece, &format!("{width}.{first}."));
        for (_, pattern) in &mut patterns {
            *pattern = per.replace("{0}", pattern);
        }
        Some(Self {
            field: Field::Unit,
            patterns,
        })
    }

    /// The names of a currency.
    pub fn of_currency(numbers: &Piece, currency: &Currency) -> Option<Self> {
        let other = numbers.get("un.other")?;
        let patterns = Form::all().map(|form| {
            let pattern = numbers
                .get(&format!("un.{}", plurals::name(form)))
                .unwrap_or(other);
            (form, pattern.replace("{1}", currency.name(form)))
        });
        Some(Self {
            field: Field::Currency,
            patterns: patterns.collect(),
        })
    }
}

fn patterns_of(piece: &Piece, start: &str) -> Vec<(Form, String)> {
    let mut patterns: Vec<(Form, String)> = Vec::new();
    piece.each(start, &mut |key, pattern| {
        if let Some(form) = Form::get_for_cldr_string(key) {
            patterns.retain(|(other, _)| *other != form);
            patterns.extend(pattern.map(|pattern| (form, pattern.into())));
        }
    });
    patterns
}

/// The names and symbols of a currency in a locale.
#[derive(Debug)]
pub struct Currency {
    pub code: String,
    fields: Vec<String>,
}

impl Currency {
    pub fn new(locale: &str, code: &str) -> Option<Self> {
        // The blocks of `make-numbers.mjs`.
        let block = code.bytes().next()?.checked_sub(b'A')? / 3;
        let piece = Piece::new(&format!("c{block}"), locale)?;
        let fields = piece
            .get(code)
            .unwrap_or_default()
            .split('\t')
            .map(String::from)
            .collect();
        Some(Self {
            code: code.into(),
            fields,
        })
    }

    /// The symbol for `currencyDisplay`.
    pub fn symbol(&self, display: &str) -> &str {
        let field = |at: usize| {
            self.fields
                .get(at)
                .map(String::as_str)
                .filter(|field| !field.is_empty())
        };
        let symbol = field(1).unwrap_or(&self.code);
        match display {
            "code" => &self.code,
            "narrowSymbol" => field(2).unwrap_or(symbol),
            _ => symbol,
        }
    }

    /// The name for a plural form.
    pub fn name(&self, form: Form) -> &str {
        self.field(plurals::name(form))
            .or_else(|| self.field(plurals::name(Form::Other)))
            .or_else(|| {
                self.fields
                    .first()
                    .map(String::as_str)
                    .filter(|name| !name.is_empty())
            })
            .unwrap_or(&self.code)
    }

    /// Settings of this currency alone: `p` a pattern, `d` and `g` separators.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().skip(3);
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }
}
