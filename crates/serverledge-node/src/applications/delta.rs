//! Deltas between modules: the parts of a base that a target has as well, and what else there is in it. The form is
//! [`serverledge_wire::edge::EdgeDelta`]'s.

use bytes::Bytes;

/// Bytes of a block of the base that is found in a target. Any run of twice as many bytes, less one, is.
const BLOCK: usize = 16;
/// Bytes that have to agree for a copy to go on behind what was inserted, at the same distance as before. A record takes
/// twelve.
const RESUMED: usize = 8;
/// The mark of an empty place in the table.
const EMPTY: u32 = u32::MAX;

/// A base, with the places of its blocks.
pub(super) struct DeltaBase {
    base: Bytes,
    /// Positions of blocks, by the hash of their bytes; the next free place is taken. A power of two, at most half full.
    table: Vec<u32>,
}

impl std::fmt::Debug for DeltaBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaBase")
            .field("bytes", &self.base.len())
            .finish_non_exhaustive()
    }
}

/// Bytes that base and target have in common.
#[derive(Debug, Clone, Copy, Default)]
struct CommonRun {
    base_at: usize,
    target_at: usize,
    length: usize,
}

impl DeltaBase {
    pub(super) fn new(base: Bytes) -> Self {
        let blocks = base.len() / BLOCK;
        let mut made = Self {
            base,
            table: vec![EMPTY; (2 * blocks).next_power_of_two().max(2)],
        };
        for at in (0..blocks).map(|block| block * BLOCK) {
            let block = block_at(&made.base, at);
            let place = made.place_of(block);
            // The first of equal blocks: a run that goes on finds its next one there.
            if made.table[place] == EMPTY {
                made.table[place] = number(at);
            }
        }
        made
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.base
    }

    /// The delta that makes this target of the base.
    pub(super) fn delta(&self, target: &[u8]) -> Vec<u8> {
        let mut delta = Vec::new();
        let mut copied = CommonRun::default();
        let mut at = 0;
        while at + RESUMED <= target.len() {
            let begun = copied.target_at + copied.length;
            match self.run_at(target, at, begun, copied) {
                Some(found) => {
                    record(&mut delta, copied, &target[begun..found.target_at]);
                    at = found.target_at + found.length;
                    copied = found;
                }
                None => at += 1,
            }
        }
        record(
            &mut delta,
            copied,
            &target[copied.target_at + copied.length..],
        );
        delta
    }

    /// A run that covers this position of the target and begins at `begun` or later.
    fn run_at(
        &self,
        target: &[u8],
        at: usize,
        begun: usize,
        copied: CommonRun,
    ) -> Option<CommonRun> {
        // Where a copy ended, mostly some bytes were changed in place.
        let resumed = copied.base_at + copied.length + (at - begun);
        let agrees = self.base.get(resumed..resumed + RESUMED) == target.get(at..at + RESUMED);
        if agrees && copied.length > 0 {
            return Some(self.grown(target, at, resumed, begun));
        }
        if at + BLOCK > target.len() {
            return None;
        }
        let found = self.table[self.place_of(block_at(target, at))];
        (found != EMPTY).then(|| self.grown(target, at, found as usize, begun))
    }

    /// The run through these positions, as long as it gets both ways.
    fn grown(&self, target: &[u8], at: usize, base_at: usize, begun: usize) -> CommonRun {
        let back = target[begun..at]
            .iter()
            .rev()
            .zip(self.base[..base_at].iter().rev())
            .take_while(|(one, other)| one == other)
            .count();
        let forth = common(&target[at..], &self.base[base_at..]);
        CommonRun {
            base_at: base_at - back,
            target_at: at - back,
            length: back + forth,
        }
    }

    /// The place in the table of a block with these bytes, or the free one where it would be.
    fn place_of(&self, block: &[u8; BLOCK]) -> usize {
        let mask = self.table.len() - 1;
        let mut place = hash(block) & mask;
        loop {
            let at = self.table[place];
            if at == EMPTY || block_at(&self.base, at as usize) == block {
                return place;
            }
            place = (place + 1) & mask;
        }
    }
}

fn block_at(bytes: &[u8], at: usize) -> &[u8; BLOCK] {
    bytes[at..]
        .first_chunk()
        .expect("positions leave room for a block")
}

fn hash(block: &[u8; BLOCK]) -> usize {
    let number = u128::from_le_bytes(*block);
    // Odd constants without a pattern; the upper bits depend on all of the block.
    let folded = (number ^ (number >> 64)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is what is wanted"
    )]
    let upper = (folded >> 64) as usize;
    upper ^ (upper >> 29)
}

/// The length of the beginning that two slices have in common.
fn common(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 64;
    let steps = one
        .chunks_exact(STEP)
        .zip(other.chunks_exact(STEP))
        .take_while(|(one, other)| one == other)
        .count();
    let rest = one[steps * STEP..]
        .iter()
        .zip(&other[steps * STEP..])
        .take_while(|(one, other)| one == other)
        .count();
    steps * STEP + rest
}

fn record(delta: &mut Vec<u8>, copied: CommonRun, inserted: &[u8]) {
    if copied.length == 0 && inserted.is_empty() {
        return;
    }
    for value in [copied.base_at, copied.length, inserted.len()] {
        delta.extend_from_slice(&number(value).to_le_bytes());
    }
    delta.extend_from_slice(inserted);
}

fn number(value: usize) -> u32 {
    u32::try_from(value).expect("modules that are handed out have less than 4 GiB")
}

#[cfg(test)]
pub(super) fn applied(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut target = Vec::new();
    let mut rest = delta;
    while !rest.is_empty() {
        let mut number = || {
            let (head, tail) = rest.split_first_chunk()?;
            rest = tail;
            usize::try_from(u32::from_le_bytes(*head)).ok()
        };
        let (from, length, inserted) = (number()?, number()?, number()?);
        target.extend_from_slice(base.get(from..from.checked_add(length)?)?);
        let (insert, tail) = rest.split_at_checked(inserted)?;
        target.extend_from_slice(insert);
        rest = tail;
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A change to bytes: at a place, so many are replaced by these.
    type Edit = (prop::sample::Index, usize, Vec<u8>);

    /// Bytes of few values, so that blocks come again, and of many.
    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..most),
            prop::collection::vec(0..2_u8, 0..most),
        ]
    }

    fn edited(base: &[u8], edits: &[Edit]) -> Vec<u8> {
        let mut target = base.to_vec();
        for (place, removed, inserted) in edits {
            let from = place.index(target.len() + 1);
            let to = (from + removed).min(target.len());
            target.splice(from..to, inserted.iter().copied());
        }
        target
    }

    proptest! {
        #[test]
        fn a_delta_makes_its_target(
            base in bytes(3000),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..300_usize, bytes(100)), 0..12),
            moved in any::<prop::sample::Index>(),
        ) {
            let mut target = edited(&base, &edits);
            let at = moved.index(target.len() + 1);
            target.rotate_left(at);
            let delta = DeltaBase::new(base.clone().into()).delta(&target);
            prop_assert_eq!(applied(&base, &delta), Some(target));
        }

        #[test]
        fn a_delta_of_strangers_makes_its_target(base in bytes(500), target in bytes(500)) {
            let delta = DeltaBase::new(base.clone().into()).delta(&target);
            prop_assert_eq!(applied(&base, &delta), Some(target));
        }
    }

    fn varied(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn few_changes_make_a_short_delta() {
        let base = varied(100_000);
        let mut target = base.clone();
        target[5000] ^= 1;
        target.drain(20_000..20_100);
        target.splice(60_000..60_000, *b"inserted");
        let delta = DeltaBase::new(base.clone().into()).delta(&target);
        assert_eq!(applied(&base, &delta), Some(target.clone()));
        assert_eq!(delta.len(), 4 * 12 + 1 + 8);
        let same = DeltaBase::new(base.clone().into()).delta(&base);
        assert_eq!(same.len(), 12);
        assert!(DeltaBase::new(base.into()).delta(&[]).is_empty());
    }

    #[test]
    fn the_form_of_a_delta() {
        let base: Vec<u8> = (0..60).collect();
        let target = [&b"ab"[..], &base[3..40], b"c"].concat();
        let delta = DeltaBase::new(base.into()).delta(&target);
        let expected = [
            &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b'][..],
            &[3, 0, 0, 0, 37, 0, 0, 0, 1, 0, 0, 0, b'c'],
        ];
        assert_eq!(delta, expected.concat());
    }
}
