//! Function names: parsed once at the edge, valid ever after.

use std::fmt;
use std::sync::Arc;

use crate::limits::NAME_BYTES_MAX;

/// Shows a type that is checked text in an `Arc<str>` as that text.
macro_rules! shared_text {
    ($name:ident) => {
        impl $name {
            /// The same as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use shared_text;

/// The name of a function inside its space.
///
/// 1 to [`NAME_BYTES_MAX`] bytes of ASCII letters, digits, `-`, `_` and `.`; the first is a letter, a digit or `_`.
/// So a name is a single path segment, a single registry key segment, and is never taken for a flag or a reserved
/// member (`$…`). Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName(Arc<str>);

/// The reason why a string is not a function name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The name is longer than [`NAME_BYTES_MAX`] bytes.
    #[error("the name has {0} bytes, {NAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("the name contains {0:?}; letters, digits, '-', '_' and '.' are allowed")]
    Character(char),
    /// The first character is allowed later in a name, but not there.
    #[error("the name begins with {0:?}; it must begin with a letter, a digit or '_'")]
    Start(char),
}

impl FunctionName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong(name.len()));
        }
        let first = name.chars().next().ok_or(NameError::Empty)?;
        if let Some(bad) = name
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        {
            return Err(NameError::Character(bad));
        }
        if !(first.is_ascii_alphanumeric() || first == '_') {
            return Err(NameError::Start(first));
        }
        Ok(Self(Arc::from(name)))
    }
}

shared_text!(FunctionName);

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_path_segments_only() {
        for good in [
            "f",
            "hello",
            "a.b-c_d",
            "0day",
            "_x",
            &"x".repeat(NAME_BYTES_MAX),
        ] {
            assert_eq!(
                FunctionName::parse(good).map(|n| n.to_string()),
                Ok(good.to_owned())
            );
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("a/b", NameError::Character('/')),
            ("$tags", NameError::Character('$')),
            ("..", NameError::Start('.')),
            ("-f", NameError::Start('-')),
            ("é", NameError::Character('é')),
            ("a\0", NameError::Character('\0')),
        ] {
            assert_eq!(FunctionName::parse(bad), Err(why), "{bad:?}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(
            FunctionName::parse(&long),
            Err(NameError::TooLong(NAME_BYTES_MAX + 1))
        );
    }
}
