//! The cache data of requests and results: the results that a client carries in, and the entries that a response
//! returns to it.

use std::collections::HashMap;

use bytes::Bytes;

use crate::name::FunctionName;

/// The results that a client carries with its request. They influence that client's response and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientCache {
    /// Results that the client computed itself; believed for functions whose owner set `edge`.
    pub edge: ClientResults,
    /// Entries that a node handed out before; believed with their tags.
    pub cache: ClientResults,
}

/// Results by function and canonical parameters (RFC 8785).
pub type ClientResults = HashMap<FunctionName, HashMap<Bytes, ClientResult>>;

/// One carried answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientResult {
    /// The result: JSON.
    pub result: Bytes,
    /// The tag it was handed out with, as the client gave it back.
    pub tag: Option<String>,
}

/// The look-up that answered an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Source {
    /// None: it ran.
    #[default]
    Ran,
    /// An edge result that the client carried.
    Edge,
    /// A cache entry that the client carried.
    ClientCache,
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
            Self::ClientCache => "carried",
            Self::Cache => "cache",
            Self::Joined => "joined",
        }
    }
}

/// An answer that the client may carry back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The function that gave the result.
    pub function: FunctionName,
    /// To which parameters: canonical JSON.
    pub params: Bytes,
    /// The answer: JSON.
    pub result: Bytes,
    /// The tag that proves it.
    pub tag: String,
    /// It answers a nested call: it reveals arguments that the client did not send.
    pub nested: bool,
}

/// The number of carried results that were not believed, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Edge results of functions that do not take them.
    pub not_edge: u32,
    /// Entries without a tag, or with a false one.
    pub forged: u32,
    /// Entries whose time is over.
    pub expired: u32,
    /// Entries of another version or generation.
    pub outdated: u32,
}

/// The cache data of a result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheMetadata {
    /// The look-up that answered.
    pub source: Source,
    /// The entries that the client may carry back: that of this result, if its function is idempotent, and those of its
    /// nested calls.
    pub entries: Vec<CacheEntry>,
    /// Some answer, at some depth and on some node, came from what the client carried.
    pub client_influenced: bool,
    /// The run made a call.
    pub called: bool,
    /// It is kept by no cache, for it may be another next time: a part of it ran, on another node, in another generation than
    /// it began in, or a call that it made failed for want of time or room, or for where it was made.
    pub uncacheable: bool,
    /// The carried results that were not believed.
    pub ignored: Ignored,
}

impl Ignored {
    /// The numbers of carried results that were not believed, by the name of the reason; without zeros.
    pub fn counts(self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("not-edge", self.not_edge),
            ("untrue", self.forged),
            ("expired", self.expired),
            ("outdated", self.outdated),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }

    fn add(&mut self, other: Self) {
        self.not_edge += other.not_edge;
        self.forged += other.forged;
        self.expired += other.expired;
        self.outdated += other.outdated;
    }
}

impl CacheMetadata {
    /// Takes over what a nested call of this run has brought.
    pub fn gather(&mut self, nested: Self) {
        self.called = true;
        self.client_influenced |= nested.client_influenced;
        self.uncacheable |= nested.uncacheable;
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
