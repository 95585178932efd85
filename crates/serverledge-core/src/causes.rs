//! Errors with their causes.

use std::error::Error;
use std::iter::successors;

/// The error, its cause, the cause of that, and so on.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The error and its causes in words, separated by colons.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let words: Vec<_> = causes(error).map(ToString::to_string).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(&'static str, #[source] Option<Box<Level>>);

    #[test]
    fn causes_come_from_the_outside_in() {
        let error = Level(
            "a",
            Some(Box::new(Level("b", Some(Box::new(Level("c", None)))))),
        );
        assert_eq!(
            (error_chain(&error).as_str(), causes(&error).count()),
            ("a: b: c", 3)
        );
    }
}
