//! A value as a file or a variable gives it, before anything is known about its key. One type for all formats, so
//! that TOML, YAML and JSON cannot differ in what they mean. Tables keep repeated keys, which serde_json would drop.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// Values shown in messages end here.
const SHOWN_CHARS_MAX: usize = 80;
/// toml hands a date over as a table with one such member.
const TOML_DATE_MEMBER: &str = "$__toml_private_datetime";

/// A value of any format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    Null,
    Switch(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
}

impl Raw {
    /// True or false; as text too, which is all that a variable can hold.
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

    /// Text without the blanks around it. A number is no text: whoever means one writes quotes.
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

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Switch(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond the range of every key, only shown"
        )]
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(String::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Raw::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Raw>()? {
            if key == TOML_DATE_MEMBER {
                return Ok(value);
            }
            members.push((key, value));
        }
        Ok(Raw::Table(members))
    }
}

/// As TOML would write it, cut to what fits into a message.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.to_toml();
        match full.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &full[..end]),
            None => f.write_str(&full),
        }
    }
}

impl Raw {
    /// As TOML writes it (which has no null: the word stands for it).
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
