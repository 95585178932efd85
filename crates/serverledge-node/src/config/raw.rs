//! A value as a file or a variable gives it, before its key is known. One type for all formats, so that TOML, YAML and
//! JSON cannot differ in meaning. Tables keep repeated keys, which serde_json would drop.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// Longest value that messages show; the rest is cut.
const SHOWN_CHARS_MAX: usize = 80;
/// The member of the table as which toml returns a date.
const TOML_DATE_MEMBER: &str = "$__toml_private_datetime";

/// A value of any format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawValue {
    Null,
    Switch(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

impl RawValue {
    /// True or false; also as text, the only form that a variable can hold.
    pub(super) fn as_switch(&self) -> Option<bool> {
        match self {
            Self::Switch(value) => Some(*value),
            Self::Text(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        }
    }

    /// A whole number.
    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A finite number.
    pub(super) fn as_number(&self) -> Option<f64> {
        let number = match self {
            #[expect(clippy::cast_precision_loss, reason = "no key needs more than 53 bits")]
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// Text without the blanks around it. A number is no text: a text of digits needs quotes.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()),
            _ => None,
        }
    }

    /// A list of texts, or one text with commas between the elements.
    pub(super) fn as_list(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(elements) => elements.iter().map(Self::as_text).collect(),
            Self::Text(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|element| !element.is_empty())
                    .collect(),
            ),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawValueVisitor)
    }
}

struct RawValueVisitor;

impl<'de> Visitor<'de> for RawValueVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Switch(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond the range of every key, only shown"
        )]
        Ok(i64::try_from(value).map_or(RawValue::Float(value as f64), RawValue::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(String::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(RawValue::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, RawValue>()? {
            if key == TOML_DATE_MEMBER {
                return Ok(value);
            }
            members.push((key, value));
        }
        Ok(RawValue::Table(members))
    }
}

/// Shown as TOML, cut to the length that fits into a message.
impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.to_toml();
        match full.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &full[..end]),
            None => f.write_str(&full),
        }
    }
}

impl RawValue {
    /// The value as TOML (which has no null: the word stands for it).
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Null => String::from("null"),
            Self::Switch(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::Text(text) => quoted(text),
            Self::List(elements) => format!("[{}]", joined(elements.iter().map(Self::to_toml))),
            Self::Table(members) => {
                let members = members
                    .iter()
                    .map(|(key, value)| format!("{} = {}", quoted(key), value.to_toml()));
                format!("{{{}}}", joined(members))
            }
        }
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A TOML basic string. JSON's escapes are a subset of TOML's.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
