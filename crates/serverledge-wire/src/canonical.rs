//! Canonical JSON (RFC 8785): equal values have equal bytes, so that bytes can be a key.
//!
//! Values that canonicalisation would change have no canonical form here: integers that not every reader of JSON keeps
//! (beyond ±(2^53 − 1)), numbers that overflow or vanish, members of the same name, and text that is no Unicode.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use self::scan::Lacks;

mod scan;
#[cfg(test)]
mod tests;

/// Deepest nesting that has a canonical form; below serde_json's own limit (128), whose stack use is known to be safe.
pub const DEPTH_MAX: usize = 100;

/// The canonical form of a JSON value, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canonical {
    /// The canonical bytes; the ones that were given, uncopied, where they are canonical already.
    Yes(Bytes),
    /// It has none.
    No(NotCanonical),
}

/// The reason why a JSON value has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// A whole number beyond ±(2^53 − 1).
    #[error("it holds a whole number beyond 2^53 - 1")]
    Integer,
    /// A number too large or too small for a double.
    #[error("it holds a number that no double comes near")]
    Range,
    /// Two members of one name.
    #[error("it holds an object with two members of one name")]
    Duplicate,
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("it is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// Not JSON, or with text that is no Unicode (a lone surrogate).
    #[error("it is not JSON, or holds text that is not Unicode")]
    NotJson,
}

/// The canonical form of one JSON value. One pass, and no copy, where it is canonical already; two, and a copy, where it is but
/// for space.
#[must_use]
pub fn canonical(json: &Bytes) -> Canonical {
    match scan::scan(json) {
        Ok(Lacks::Nothing) => Canonical::Yes(json.clone()),
        Ok(Lacks::Space) => Canonical::Yes(scan::without_space(json).into()),
        Ok(Lacks::More) => match rewritten(json) {
            Ok(written) => Canonical::Yes(written.into()),
            Err(why) => Canonical::No(why),
        },
        Err(why) => Canonical::No(why),
    }
}

/// The form of JSON that has been scanned: numbers and depth are in order.
fn rewritten(json: &[u8]) -> Result<Vec<u8>, NotCanonical> {
    let Unique(value) = serde_json::from_slice(json).map_err(|error| {
        if error.to_string().starts_with(DUPLICATE) {
            NotCanonical::Duplicate
        } else {
            NotCanonical::NotJson
        }
    })?;
    serde_json_canonicalizer::to_vec(&value).map_err(|_| NotCanonical::NotJson)
}

const DUPLICATE: &str = "two members of one name";

/// A value none of whose objects has two members of one name. [`Value`] itself takes the last of them, and takes a member
/// by which serde_json means raw JSON for that JSON.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(object))
    }
}
