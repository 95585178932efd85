//! Types of stored invocations, shared by the routes and the node: of asynchronous ones, and of those with an
//! idempotency key.

use std::time::Duration;

use serverledge_core::{InvocationError, InvocationId, Phases};

use crate::backend::errors::SubmitError;

/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// A caller's word for "the same request again": 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The options of an invocation that hold if it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InvocationOptions {
    /// The log is wanted with the result.
    pub return_output: bool,
    /// The caller's key.
    pub key: Option<IdempotencyKey>,
    /// The URL that is told of the end.
    pub callback: Option<String>,
}

/// An accepted invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub id: InvocationId,
    /// It was accepted before.
    pub repeated: bool,
}

/// The stored outcome of an invocation that gave a result.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptReply {
    /// The body that Serverledge's clients read.
    pub body: Vec<u8>,
    /// The time that each phase took.
    pub phases: Phases,
}

/// The reason why a call with an idempotency key has no result.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// It was not accepted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It ended as a call without a key might have ended.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// It ended otherwise: expired, cancelled, given up.
    #[error("{message}")]
    Ended {
        /// The stable code.
        code: String,
        /// One line for people.
        message: String,
    },
    /// It had not ended at this caller's deadline; it goes on.
    #[error("invocation {id}, which this idempotency key stands for, has not ended yet")]
    NotFinished {
        /// The invocation.
        id: InvocationId,
        /// The pause before another try makes sense.
        retry_after: Duration,
    },
}

/// The reason why an asynchronous invocation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is none (any more).
    #[error("no such invocation, or its result was kept long enough")]
    Unknown,
    /// There is no such dead letter (any more).
    #[error("no such dead letter")]
    NotDead,
    /// It has an outcome already.
    #[error("the invocation has ended already: it is {state}")]
    Ended {
        /// The state in which it ended.
        state: &'static str,
    },
    /// The node takes nothing new, or the registry did not do its part.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
}

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// `None` for what is no key.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let visible = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
            && text.iter().all(u8::is_ascii_graphic);
        String::from_utf8(text.to_vec())
            .ok()
            .filter(|_| visible)
            .map(Self)
    }

    /// The key as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_and_short() {
        assert_eq!(
            IdempotencyKey::parse(b"order-7/a").unwrap().as_str(),
            "order-7/a"
        );
        assert!(IdempotencyKey::parse(&[b'x'; 128]).is_some());
        for bad in [
            &b""[..],
            &[b'x'; 129],
            b"a b",
            b"a\t",
            b"\x7f",
            "é".as_bytes(),
        ] {
            assert_eq!(IdempotencyKey::parse(bad), None, "{bad:?}");
        }
    }
}
