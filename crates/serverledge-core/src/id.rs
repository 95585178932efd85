//! Identifiers.

use std::fmt;
use std::sync::Arc;

use crate::name::shared_text;

/// The id of an invocation: a UUID version 7 (RFC 9562), so that ids sort by time and cannot be guessed (74 random bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvocationId(uuid::Uuid);

impl InvocationId {
    /// A new id, from the wall clock and the system's randomness.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// Parses the canonical form (36 characters, lower case); `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = uuid::Uuid::try_parse(text).ok().map(Self)?;
        (id.encode(&mut [0; 36]) == text).then_some(id)
    }

    /// Writes the canonical form (36 bytes) into `buffer`: no allocation on the request path.
    #[must_use]
    pub fn encode(self, buffer: &mut [u8; 36]) -> &str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// Its 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for InvocationId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// An opaque id of its own type; `or` names one more text that is one.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident $(or $word:literal)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new id: a UUID version 7 without hyphens.
            #[must_use]
            pub fn new() -> Self {
                Self(opaque())
            }

            /// Takes an id back from its text: 32 lower-case hexadecimal digits
            $(#[doc = concat!("or `", $word, "`")])?
            /// ; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                ($(text == $word ||)? is_opaque(text)).then(|| Self(Arc::from(text)))
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        shared_text!($name);
    };
}

opaque_id! {
    /// The immutable, opaque id of a user. Cloning is cheap.
    UserId
}

opaque_id! {
    /// The immutable, opaque id of an application. Cloning is cheap.
    AppId
}

opaque_id! {
    /// The immutable, opaque id of a space that owns functions: a user's or an application's. Cloning is cheap.
    SpaceId or "default"
}

impl SpaceId {
    /// The space of everybody while authentication is off.
    #[must_use]
    pub fn default_space() -> Self {
        Self(Arc::from("default"))
    }

    /// Whether it is everybody's.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == "default"
    }
}

/// An id that nobody can guess (74 random bits) and that says nothing but when it was made.
fn opaque() -> Arc<str> {
    let mut buffer = [0; 32];
    Arc::from(&*uuid::Uuid::now_v7().simple().encode_lower(&mut buffer))
}

/// Whether [`opaque`] may have made it.
fn is_opaque(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
