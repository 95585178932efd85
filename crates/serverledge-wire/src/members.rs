//! JSON objects read the way Go reads them: member names match without regard to case, unknown ones are passed over,
//! the last of two equal ones wins, and an empty body is an empty object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Most members of a request's object: our largest request has under thirty, and look-ups are linear.
const MEMBERS_MAX: usize = 128;

/// The members of one JSON object, values unparsed and borrowed from the body.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a body is not the object that was expected.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or not an object.
    #[error("the body is not a JSON object: {0}")]
    Syntax(serde_json::Error),
    /// A member of the wrong type.
    #[error("member {member:?}: {fault}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What is wrong with it.
        fault: serde_json::Error,
    },
}

impl<'a> Members<'a> {
    /// Splits a body into members; an empty one has none.
    ///
    /// # Errors
    /// [`BodyError::Syntax`] if the body is no JSON object, or one with more than 128 members.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(BodyError::Syntax)
    }

    /// The unparsed value of a member; `None` where it is absent or `null`.
    #[must_use]
    pub fn raw(&self, member: &str) -> Option<&'a RawValue> {
        let (_, value) = self
            .0
            .iter()
            .rev()
            .find(|(name, _)| name.eq_ignore_ascii_case(member))?;
        (value.get() != "null").then_some(value)
    }

    /// The parsed value of a member; `None` where it is absent or `null`.
    ///
    /// # Errors
    /// [`BodyError::Member`] if the value is of another type.
    pub fn get<T: Deserialize<'a>>(&self, member: &'static str) -> Result<Option<T>, BodyError> {
        self.raw(member)
            .map(|value| {
                serde_json::from_str(value.get())
                    .map_err(|fault| BodyError::Member { member, fault })
            })
            .transpose()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some((Name(name), value)) = map.next_entry()? {
            if members.len() == MEMBERS_MAX {
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

/// A member name, borrowed where it has no escapes (`Cow` alone would always own).
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(name))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(name.to_owned()))
            }
        }
        deserializer.deserialize_str(NameVisitor).map(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        let members = Members::parse(
            br#" {"params":{"a":1},"ASYNC":true,"Par\u0061ms":[2],"Nothing":null} "#,
        )
        .unwrap();
        assert_eq!(members.raw("Params").unwrap().get(), "[2]");
        assert_eq!(members.get::<bool>("Async").unwrap(), Some(true));
        assert_eq!(members.get::<bool>("Nothing").unwrap(), None);
        assert!(
            members
                .get::<i64>("Async")
                .unwrap_err()
                .to_string()
                .contains("Async")
        );
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert!(Members::parse(b" \n").unwrap().raw("Params").is_none());
        for bad in ["[]", "1", "{", "{}x", "\u{feff}{}"] {
            assert!(
                matches!(Members::parse(bad.as_bytes()), Err(BodyError::Syntax(_))),
                "{bad}"
            );
        }
    }
}
