//! Where a call runs: the choice that differs between nodes. The books are not a policy's business.

use std::fmt::Debug;
use std::time::Instant;

use serverledge_core::OverloadReason;

use crate::arrival::Arrival;

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

/// This node as a policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalView {
    /// Whether there is room for the call in question.
    pub fit: Fit,
}

/// The other nodes as a policy sees them: none, until nodes tell each other how they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerView;

/// Where a call goes. Offloading to a peer will be a variant of its own (design §5), so matches name every variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Here: at once where it fits, else after waiting. What can never fit is turned away all the same.
    Local,
    /// Nowhere.
    Reject(OverloadReason),
}

/// Chooses where calls run. It may keep what it learns; it must not block.
pub trait Policy: Debug + Send {
    /// Called once for each call that may still run (the node is not draining and the deadline not past), under the
    /// scheduler's lock. Waiting calls are not placed again.
    fn place(&mut self, now: Instant, call: &Arrival, local: &LocalView, peers: &PeerView) -> Placement;
}

/// Everything runs here or nowhere (Serverledge's `localonly`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalOnly;

impl Policy for LocalOnly {
    fn place(&mut self, _now: Instant, _call: &Arrival, local: &LocalView, _peers: &PeerView) -> Placement {
        match local.fit {
            Fit::Now | Fit::Later => Placement::Local,
            Fit::Never => Placement::Reject(OverloadReason::NeverFits),
        }
    }
}
