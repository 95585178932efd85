//! JSON objects read the way Go reads them: member names match without regard to case, the last of two equal ones wins,
//! and an empty body is an empty object. Unlike Go's, a request's members must be known: a parameter beside `Params`, or a
//! misspelt limit, would be dropped without a word.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Most members of a request's object: our largest request has under thirty, and look-ups are linear.
pub(crate) const MEMBERS_MAX: usize = 128;
/// Characters of an unknown member's name in an error.
const SHOWN_CHARACTERS: usize = 64;

/// The stable code of a member that a request does not have.
pub const UNKNOWN_MEMBER: &str = "unknown_member";

/// The members of one JSON object, values unparsed and borrowed from the body.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// The reason why a body is not the expected object.
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
        /// The fault of its value.
        fault: serde_json::Error,
    },
    /// A member that the request does not have.
    #[error("there is no member {member:?}; {hint}known are {known}")]
    Unknown {
        /// The beginning of the member's name.
        member: String,
        /// A likely remedy, as a clause of its own; may be empty.
        hint: &'static str,
        /// The members that there are.
        known: String,
    },
}

/// The change of one member: absent, it stays; `null` is its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update<T> {
    /// The member is absent.
    #[default]
    Keep,
    /// It is `null`.
    Reset,
    /// It has a value.
    Set(T),
}

impl<T> Update<T> {
    /// Whether nothing is said of the member.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value, if there is one.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Reset => None,
        }
    }

    /// The value after the change: `None` for the default.
    #[must_use]
    pub fn over(self, present: T) -> Option<T> {
        match self {
            Self::Keep => Some(present),
            Self::Reset => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Update<T> {
    /// `None` keeps.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

impl<T: Serialize> Serialize for Update<T> {
    /// `Keep` is for `skip_serializing_if`, and would be `null` like `Reset`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
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
        let Entries::<'_, MEMBERS_MAX>(members) =
            serde_json::from_slice(body).map_err(BodyError::Syntax)?;
        if members.len() > MEMBERS_MAX {
            return Err(BodyError::Syntax(serde::de::Error::custom(
                "too many members",
            )));
        }
        Ok(Self(members))
    }

    /// Refuses members that are not among these; `hint` is a likely remedy, or empty.
    ///
    /// # Errors
    /// [`BodyError::Unknown`] names the first of them.
    pub fn only(&self, known: &[&str], hint: &'static str) -> Result<(), BodyError> {
        let is_known = |name: &str| known.iter().any(|one| one.eq_ignore_ascii_case(name));
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let member = name.chars().take(SHOWN_CHARACTERS).collect();
                Err(BodyError::Unknown {
                    member,
                    hint,
                    known: known.join(", "),
                })
            }
        }
    }

    /// The unparsed value of a member; `None` where it is absent or `null`.
    #[must_use]
    pub fn raw(&self, member: &str) -> Option<&'a RawValue> {
        self.present(member).filter(|value| value.get() != "null")
    }

    /// The unparsed value of a member that is the only one, in its usual spelling, and not `null`: most requests are so.
    pub(crate) fn single(&self, member: &str) -> Option<&'a RawValue> {
        match self.0.as_slice() {
            [(name, value)] if name == member && value.get() != "null" => Some(value),
            _ => None,
        }
    }

    fn present(&self, member: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name.eq_ignore_ascii_case(member))
            .map(|(_, value)| *value)
    }

    /// The change of a member; tells absence and `null` apart.
    ///
    /// # Errors
    /// [`BodyError::Member`] if the value is of another type.
    pub fn update<T: Deserialize<'a>>(&self, member: &'static str) -> Result<Update<T>, BodyError> {
        match self.present(member) {
            None => Ok(Update::Keep),
            Some(_) => Ok(self.get(member)?.map_or(Update::Reset, Update::Set)),
        }
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

/// The members of an object, values unparsed: no more than one beyond `MAX`, whatever follows.
pub(crate) struct Entries<'a, const MAX: usize>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Entries<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for EntriesVisitor<MAX> {
    type Value = Entries<'de, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some((MemberName(name), value)) = map.next_entry()? {
            if members.len() <= MAX {
                members.push((name, value));
            }
        }
        Ok(Entries(members))
    }
}

/// A member name, borrowed where it has no escapes (`Cow` alone would always own).
struct MemberName<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for MemberName<'a> {
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
        deserializer.deserialize_str(NameVisitor).map(MemberName)
    }
}

/// Whether a member has the value that it has where it is absent.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
    fn an_unknown_member_is_named() {
        let known = ["Params", "Async"];
        let check = |body: &str| {
            Members::parse(body.as_bytes())
                .unwrap()
                .only(&known, "")
                .map_err(|why| why.to_string())
        };
        assert_eq!(check(r#"{"params":1,"ASYNC":true}"#), Ok(()));
        assert_eq!(check(""), Ok(()));
        let told = check(r#"{"Params":1,"n":2}"#).unwrap_err();
        assert_eq!(told, r#"there is no member "n"; known are Params, Async"#);
    }

    #[test]
    fn a_change_tells_absence_from_null() {
        let members = Members::parse(br#"{"A":1,"b":null}"#).unwrap();
        let update = |member| members.update::<i64>(member).unwrap();
        assert_eq!(
            (update("a"), update("B"), update("C")),
            (Update::Set(1), Update::Reset, Update::Keep)
        );
        assert!(members.update::<bool>("A").is_err());
        assert!(members.only(&["a", "B"], "").is_ok());
        let refused = members.only(&["A"], "").unwrap_err().to_string();
        assert_eq!(refused, "there is no member \"b\"; known are A");
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
