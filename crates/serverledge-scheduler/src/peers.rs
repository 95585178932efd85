//! The other nodes, as last heard of.

use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, MemoryMib};

/// Names another node. The node gives the numbers; each means the same node as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

/// Another node as last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The peer's id.
    pub id: PeerId,
    /// Whether it is in the area that this node uses as its cloud; else it is a neighbour.
    pub cloud: bool,
    /// Whether it can run the call in question: not if it lacks the architecture or the runtime, or is draining.
    pub runs: bool,
    /// To there and back, without anything being done there.
    pub round_trip: Duration,
    /// The speed at which parameters travel there; zero if that is not known, which counts as
    /// [`crate::BYTES_PER_SECOND_PRIOR`].
    pub bytes_per_second: u64,
    /// Memory that a new call may take there, idle sandboxes counted as free.
    pub free_memory: MemoryMib,
    /// Processor share that a new call may take there.
    pub free_cpu: CpuMilli,
    /// The expected wait of a new call there, by the peer's own estimate ([`crate::Scheduler::wait_estimate`]).
    pub wait: Duration,
    /// The time, by this node's clock, at which all this was true.
    pub seen: Instant,
}

/// The peers that may be considered for one call.
#[derive(Debug, Clone, Copy)]
pub struct PeerView<'a> {
    /// All that are known.
    pub peers: &'a [Peer],
    /// Those that were asked in vain for this call; none of them is chosen again.
    pub tried: &'a [PeerId],
    /// The age beyond which news of a peer is not used.
    pub age_max: Duration,
}

// === impl PeerView ===

impl PeerView<'_> {
    /// No other node is known.
    pub const NONE: Self = Self {
        peers: &[],
        tried: &[],
        age_max: Duration::ZERO,
    };

    /// Whether a peer may be asked at all, of which the news has this age: it can run the call, was not tried, and the
    /// news is fresh.
    pub(crate) fn allows(&self, age: Duration, peer: &Peer) -> bool {
        age <= self.age_max && peer.runs && !self.tried.contains(&peer.id)
    }
}
