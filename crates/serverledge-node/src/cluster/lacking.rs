//! The peers that lack a version for now: remembered for a moment, so that not every call asks them again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::Digest;
use serverledge_scheduler::PeerId;
use tokio::time::Instant;

/// Time for which a peer is not asked again for a version that it did not have: about the time of one compilation.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// The peers that lack versions; see the module.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// Whether the table has an entry: almost every call reads this alone.
    any: AtomicBool,
    table: Mutex<HashMap<(PeerId, Digest), Instant>>,
}

impl Lacking {
    /// Notes that a peer does not have a version.
    pub(crate) fn note(&self, peer: PeerId, version: &Digest) {
        let mut table = self.table.lock();
        table.insert((peer, *version), Instant::now() + BELIEVED_FOR);
        self.any.store(true, Ordering::Release);
    }

    /// The peers that lack a version.
    pub(crate) fn of(&self, version: &Digest) -> Vec<PeerId> {
        let mut peers = Vec::new();
        self.add_to(&mut peers, version);
        peers
    }

    /// Adds the peers that lack a version, each once; returns whether there are any.
    pub(crate) fn add_to(&self, peers: &mut Vec<PeerId>, version: &Digest) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let now = Instant::now();
        let mut table = self.table.lock();
        table.retain(|_, until| *until > now);
        self.any.store(!table.is_empty(), Ordering::Release);
        let mut found = false;
        for (peer, _) in table.keys().filter(|(_, of)| of == version) {
            found = true;
            if !peers.contains(peer) {
                peers.push(*peer);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_peer_lacks_is_believed_for_a_moment() {
        let lacking = Lacking::default();
        let one = Digest::new([1; 32]);
        let other = Digest::new([2; 32]);
        lacking.note(PeerId(7), &one);
        let mut peers = vec![PeerId(7), PeerId(8)];
        assert!(lacking.add_to(&mut peers, &one) && !lacking.add_to(&mut Vec::new(), &other));
        assert_eq!(
            (lacking.of(&one), lacking.of(&other)),
            (vec![PeerId(7)], Vec::new())
        );
        assert_eq!(peers, [PeerId(7), PeerId(8)]);
        tokio::time::advance(BELIEVED_FOR).await;
        assert!(lacking.of(&one).is_empty() && !lacking.any.load(Ordering::Acquire));
    }
}
