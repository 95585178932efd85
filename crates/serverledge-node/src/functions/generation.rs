//! The generation of a space as this node sees it: the state of the space's functions in its snapshot.
//!
//! A cached result of a run that made calls is valid only in the state in which the run began. The registry's
//! generation identifies that state, but only for a node that has applied every change up to it, and none after it. The
//! watch brings changes in their order; this node's own deploys are applied at once, perhaps before an older change of
//! another node. As long as such a change is ahead of the watch, the state is one that no other node ever has, and gets
//! a number of its own with every further change. The same holds while a function runs an earlier version than the
//! deployed one, because that is not prepared here yet.

use std::hash::{BuildHasher, Hasher, RandomState};

use serverledge_core::kv::Revision;

/// Bit set in the numbers of states that no other node has. The registry's revisions never get so far.
const LOCAL: u64 = 1 << 63;

/// The generation of a space; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Generation {
    /// The last change that came in its order.
    followed: Revision,
    /// The last change that was applied at once.
    ahead: Revision,
    /// Whether some function runs an earlier version than the deployed one.
    behind: bool,
    /// The number of a state that is ahead or behind.
    local: u64,
}

impl Generation {
    /// The number of the state: equal for equal states, and for no others.
    pub(super) fn number(self) -> u64 {
        if self.is_ahead() || self.behind {
            LOCAL | self.local
        } else {
            self.followed.get()
        }
    }

    /// Whether a change was applied that has not yet come in its order.
    pub(super) fn is_ahead(self) -> bool {
        self.ahead > self.followed
    }

    /// Whether some function runs an earlier version than the deployed one.
    pub(super) fn is_behind(self) -> bool {
        self.behind
    }

    /// Sets whether some function runs an earlier version than the deployed one.
    pub(super) fn set_behind(&mut self, behind: bool, numbers: &mut LocalNumbers) {
        self.behind = behind;
        self.turn(numbers);
    }

    /// Notes that another version runs than before, although nothing was deployed.
    pub(super) fn turn(&mut self, numbers: &mut LocalNumbers) {
        self.local = numbers.next();
    }

    /// Notes that all changes up to this one are applied.
    pub(super) fn follow(&mut self, revision: Revision, numbers: &mut LocalNumbers) {
        self.followed = self.followed.max(revision);
        self.local = numbers.next();
    }

    /// Notes that this change is applied, those before it perhaps not.
    pub(super) fn skip_to(&mut self, revision: Revision, numbers: &mut LocalNumbers) {
        self.ahead = self.ahead.max(revision);
        self.local = numbers.next();
    }
}

/// Numbers of states that no other node has. They begin at random: another node, or another process of this one, has
/// others.
#[derive(Debug)]
pub(super) struct LocalNumbers(u64);

impl LocalNumbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

impl Default for LocalNumbers {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_ahead_of_the_watch_have_numbers_of_their_own() {
        let mut generation = Generation::default();
        let mut numbers = LocalNumbers::default();
        assert_eq!(generation.number(), 0);
        generation.follow(Revision::new(3), &mut numbers);
        assert_eq!(generation.number(), 3);
        generation.skip_to(Revision::new(7), &mut numbers);
        let ahead = generation.number();
        assert!(ahead > LOCAL);
        generation.follow(Revision::new(5), &mut numbers);
        let later = generation.number();
        assert!(
            later > LOCAL && later != ahead,
            "another state, still ahead"
        );
        generation.follow(Revision::new(7), &mut numbers);
        assert_eq!(generation.number(), 7);
        generation.skip_to(Revision::new(6), &mut numbers);
        assert_eq!(
            generation.number(),
            7,
            "what was followed already is nothing new"
        );
        generation.set_behind(true, &mut numbers);
        let behind = generation.number();
        generation.turn(&mut numbers);
        assert!(behind > LOCAL && generation.number() > LOCAL && generation.number() != behind);
        generation.set_behind(false, &mut numbers);
        assert_eq!(generation.number(), 7);
    }
}
