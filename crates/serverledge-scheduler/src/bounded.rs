//! Maps that never grow beyond their capacity: the entry that was not used for longest makes way.

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

/// Room for `capacity` entries, at least one. It takes memory as it fills: a simulation has a thousand of them.
pub(crate) fn bounded<K: Hash + Eq, V>(capacity: usize) -> LruCache<K, V> {
    let mut map = LruCache::unbounded();
    map.resize(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_was_not_used_for_long() {
        let mut map = bounded(3);
        for key in 0..3_u32 {
            map.get_or_insert_mut(key, || key * 10);
        }
        map.get_or_insert_mut(3, || 30);
        assert_eq!(map.peek(&0), None, "all were used alike: the first goes");
        *map.get_mut(&1).expect("it is there") += 1;
        map.get_or_insert_mut(4, || 40);
        assert_eq!(
            [1, 2, 3, 4].map(|key| map.peek(&key).copied()),
            [Some(11), None, Some(30), Some(40)]
        );
        assert_eq!((map.pop(&1), map.pop(&1)), (Some(11), None));
        for key in 0..1_000_u32 {
            map.get_or_insert_mut(key, || key);
            assert!(map.len() <= 3 && map.peek(&key) == Some(&key));
        }
    }
}
