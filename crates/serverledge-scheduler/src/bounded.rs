//! A map that never grows beyond its capacity: what was not used for long makes way, by the clock algorithm (Corbató:
//! A Paging Experiment with the Multics System, 1968).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::random::mix;

/// See the module. Lookups and insertions cost a constant on average.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    capacity: usize,
    index: HashMap<K, usize, BuildHasherDefault<KeyHasher>>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    used: bool,
}

/// For keys that are numbers given by the node itself: quick, and without a defence that they do not need.
#[derive(Debug, Default)]
pub(crate) struct KeyHasher(u64);

// === impl Bounded ===

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// Room for `capacity` entries, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            index: HashMap::default(),
            slots: Vec::new(),
            hand: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Looks without using.
    #[cfg(test)]
    pub(crate) fn peek(&self, key: K) -> Option<&V> {
        self.index.get(&key).map(|at| &self.slots[*at].value)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let slot = &mut self.slots[*self.index.get(&key)?];
        slot.used = true;
        Some(&mut slot.value)
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => self.insert(key, value()),
        };
        let slot = &mut self.slots[at];
        slot.used = true;
        &mut slot.value
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.index.remove(&key)?;
        let slot = self.slots.swap_remove(at);
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key, at);
        }
        Some(slot.value)
    }

    fn insert(&mut self, key: K, value: V) -> usize {
        let slot = Slot {
            key,
            value,
            used: true,
        };
        let at = if self.slots.len() < self.capacity {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let at = self.victim();
            self.index.remove(&self.slots[at].key);
            self.slots[at] = slot;
            at
        };
        self.index.insert(key, at);
        at
    }

    /// The next that was not used since the hand passed it last; at most one round.
    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand % self.slots.len();
            self.hand = at + 1;
            if !std::mem::take(&mut self.slots[at].used) {
                return at;
            }
        }
    }
}

// === impl KeyHasher ===

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_was_not_used_for_long() {
        let mut map = Bounded::new(3);
        for key in 0..3_u32 {
            map.get_or_insert_with(key, || key * 10);
        }
        map.get_or_insert_with(3, || 30);
        assert_eq!(map.peek(0), None, "all were used alike: the first goes");
        *map.get_mut(1).expect("it is there") += 1;
        map.get_or_insert_with(4, || 40);
        assert_eq!(
            [1, 2, 3, 4].map(|key| map.peek(key).copied()),
            [Some(11), None, Some(30), Some(40)]
        );
        assert_eq!((map.remove(1), map.remove(1)), (Some(11), None));
        assert_eq!(
            [3, 4].map(|key| map.peek(key).copied()),
            [Some(30), Some(40)]
        );
        for key in 0..1_000_u32 {
            map.get_or_insert_with(key, || key);
            assert!(map.slots.len() <= 3 && map.index.len() == map.slots.len());
            assert_eq!(map.peek(key), Some(&key));
        }
    }
}
