//! Policies: they choose the node on which a call runs, which differs between nodes. They do not keep the books.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serverledge_core::OverloadReason;

use crate::arrival::{Arrival, FunctionKey};
use crate::peers::{PeerId, PeerView};

mod edge;
mod named;
mod outlook;
mod qos_aware;
pub(crate) mod statistics;

#[cfg(test)]
mod tests;

pub use named::{POLICY_NAMES, PolicyOptions, UnknownPolicy, policy_named};
pub use outlook::{
    BYTES_PER_SECOND_PRIOR, COLD_SHARE_PRIOR, COLD_START_PRIOR, EXECUTION_PRIOR, FUNCTIONS_MAX,
    PEERS_MAX,
};
pub use qos_aware::SHORT_WAIT;

/// Whether this node has room for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It can start at once.
    Now,
    /// It can start when others have ended.
    Later,
    /// It needs more than the whole node.
    Never,
}

/// In what a call would start here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In a sandbox of its own.
    Once,
    /// In a pooled sandbox that is up or coming up.
    Warm,
    /// In a pooled sandbox that it would start itself.
    Cold,
}

/// This node as a policy sees it, for the call in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalView {
    /// Whether there is room for it.
    pub fit: Fit,
    /// In what it would start.
    pub start: Start,
    /// The expected wait, as far as the recent past tells; zero if it can start at once, unless it would rather wait for
    /// a sandbox that others use than start one.
    pub wait: Duration,
    /// The longest time that it may wait.
    pub wait_max: Duration,
    /// Whether it would start as soon as idle sandboxes have made way for it.
    pub yields: bool,
    /// Whether it would get a place in the queue.
    pub may_wait: bool,
}

/// A policy's decision on one call. Matches name every variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Here: at once where it fits, else after waiting. What can never fit is turned away all the same.
    Local,
    /// To this peer.
    Peer(PeerId),
    /// Nowhere.
    Reject(OverloadReason),
}

/// Chooses where calls run. It may keep what it learns; it must not block.
pub trait Policy: Debug + Send {
    /// Called once for each call that may still run (the node is not draining and the deadline not past), under the
    /// scheduler's lock. Waiting calls are not placed again.
    fn place(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: PeerView<'_>,
    ) -> Placement;

    /// Whether it ever sends a call to a peer.
    fn offloads(&self) -> bool {
        true
    }

    /// A call has run here or on a peer; what it took may help to place others.
    fn learn(&mut self, _now: Instant, _sample: &Sample) {}
}

/// The place in which a call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// On this node.
    Here,
    /// On that one.
    On(PeerId),
}

/// The times that a call took that gave a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Of which function.
    pub function: FunctionKey,
    /// The place in which it ran.
    pub place: Ran,
    /// Whether a pooled sandbox was started for it.
    pub cold: bool,
    /// The time that its sandbox took to start, or to be made; zero in a warm one.
    pub start: Duration,
    /// The time for which it ran.
    pub execution: Duration,
    /// On a peer: the time beside start and execution, that is network, queue and handling. Means nothing here.
    pub overhead: Duration,
}

/// Everything runs here or nowhere (Serverledge's `localonly`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalOnly;

impl Policy for LocalOnly {
    fn place(
        &mut self,
        _now: Instant,
        _call: &Arrival,
        local: &LocalView,
        _peers: PeerView<'_>,
    ) -> Placement {
        match local.fit {
            Fit::Now | Fit::Later => Placement::Local,
            Fit::Never => Placement::Reject(OverloadReason::NeverFits),
        }
    }

    fn offloads(&self) -> bool {
        false
    }
}
