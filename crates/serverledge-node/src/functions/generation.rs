//! The generation of a space as this node sees it: which state of the space's functions its snapshot has.
//!
//! What is cached of a run that made calls is valid only in the state in which the run began. The registry's generation
//! names that state, but only for who has applied every change up to it, and none after it. The watch brings changes in
//! their order; what this node itself has just deployed is applied at once, perhaps before an older change of another
//! node. As long as such a change is ahead of the watch, the state is one that no other node ever has, and gets a
//! number of its own with every further change.

use std::hash::{BuildHasher, Hasher, RandomState};

use serverledge_core::kv::Revision;

/// Set in the numbers of states that no other node has. The registry's revisions never get so far.
const LOCAL: u64 = 1 << 63;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Generation {
    /// The last change that came in its order.
    followed: Revision,
    /// The last change that was applied at once.
    ahead: Revision,
    /// The number of a state with changes that are ahead.
    local: u64,
}

impl Generation {
    /// Equal for equal states, and for no others.
    pub(super) fn number(self) -> u64 {
        if self.is_ahead() {
            LOCAL | self.local
        } else {
            self.followed.get()
        }
    }

    /// Whether a change was applied that did not yet come in its order.
    pub(super) fn is_ahead(self) -> bool {
        self.ahead > self.followed
    }

    /// All changes up to this one are applied.
    pub(super) fn follow(&mut self, revision: Revision, numbers: &mut LocalNumbers) {
        self.followed = self.followed.max(revision);
        self.local = numbers.next();
    }

    /// This change is applied, those before it perhaps not.
    pub(super) fn skip_to(&mut self, revision: Revision, numbers: &mut LocalNumbers) {
        self.ahead = self.ahead.max(revision);
        self.local = numbers.next();
    }
}

/// Numbers of states that no other node has. They begin anywhere: another node, or another life of this one, has others.
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
        let (mut generation, mut numbers) = (Generation::default(), LocalNumbers::default());
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
    }
}
