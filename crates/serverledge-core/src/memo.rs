//! What answers know of caches: what a client carries in, and what an answer brings with it (design §8).

use std::collections::HashMap;

use bytes::Bytes;

use crate::name::FunctionName;

/// What a client carries: it shapes that client's response and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// Results that the client computed itself; believed for functions whose owner set `edge`.
    pub edge: CarriedAnswers,
    /// Entries that a node handed out before; believed with their tags.
    pub cache: CarriedAnswers,
}

/// Carried answers by function and canonical parameters (RFC 8785).
pub type CarriedAnswers = HashMap<FunctionName, HashMap<Bytes, CarriedAnswer>>;

/// One carried answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedAnswer {
    /// The result: JSON.
    pub result: Bytes,
    /// The tag it was handed out with, as the client gave it back.
    pub tag: Option<String>,
}

/// Which look-up answered an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Source {
    /// None: it ran.
    #[default]
    Ran,
    /// An edge result that the client carried.
    Edge,
    /// A cache entry that the client carried.
    Carried,
    /// The node's own cache.
    Cache,
    /// A run for an identical call that was under way.
    Joined,
}

impl Source {
    /// Its name in headers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ran => "run",
            Self::Edge => "edge",
            Self::Carried => "carried",
            Self::Cache => "cache",
            Self::Joined => "joined",
        }
    }
}

/// An answer that the client may carry back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// Whose answer.
    pub function: FunctionName,
    /// To which parameters: canonical JSON.
    pub params: Bytes,
    /// The answer: JSON.
    pub result: Bytes,
    /// What proves it.
    pub tag: String,
    /// It answers a nested call: it reveals arguments that the client did not send.
    pub nested: bool,
}

/// How many carried answers were not believed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Edge results of functions that do not take them.
    pub not_edge: u32,
    /// Entries without a tag, or with a false one.
    pub untrue: u32,
    /// Entries whose time is over.
    pub expired: u32,
    /// Entries of another version or generation.
    pub outdated: u32,
}

/// What an answer brings with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memo {
    /// Which look-up answered.
    pub source: Source,
    /// What may be carried back: this answer's, where its function is idempotent, and those of its nested calls.
    pub entries: Vec<CacheEntry>,
    /// Some answer, at some depth and on some node, came from what the client carried.
    pub shaped: bool,
    /// The run made a call.
    pub called: bool,
    /// It is kept by no cache, for it may be another next time: a part of it ran, on another node, in another generation than
    /// it began in, or a call that it made failed for want of time or room, or for where it was made.
    pub stale: bool,
    /// What was not believed.
    pub ignored: Ignored,
}

impl Ignored {
    /// What was not believed, by name; those of which there were any.
    pub fn counts(self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("not-edge", self.not_edge),
            ("untrue", self.untrue),
            ("expired", self.expired),
            ("outdated", self.outdated),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }

    fn add(&mut self, other: Self) {
        self.not_edge += other.not_edge;
        self.untrue += other.untrue;
        self.expired += other.expired;
        self.outdated += other.outdated;
    }
}

impl Memo {
    /// Takes over what a nested call of this run has brought.
    pub fn gather(&mut self, nested: Self) {
        self.called = true;
        self.shaped |= nested.shaped;
        self.stale |= nested.stale;
        self.ignored.add(nested.ignored);
        self.entries
            .extend(nested.entries.into_iter().map(|entry| CacheEntry {
                nested: true,
                ..entry
            }));
    }

    /// Puts what a look-up did not believe to the rest.
    pub fn ignore(&mut self, ignored: Ignored) {
        self.ignored.add(ignored);
    }
}
