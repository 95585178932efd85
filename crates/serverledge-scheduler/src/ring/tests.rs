//! Promises of the ring.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KEYS: u64 = 20_000;

fn members(weights: &[u32]) -> Vec<(MemberId, u32, String)> {
    (0..)
        .zip(weights)
        .map(|(id, weight)| (MemberId(id), *weight, format!("node-{id}")))
        .collect()
}

fn ring_of(members: &[(MemberId, u32, String)]) -> Ring {
    let mut ring = Ring::new(REPLICAS_DEFAULT);
    let borrowed: Vec<_> = members
        .iter()
        .map(|(id, weight, key)| (*id, *weight, key.as_str()))
        .collect();
    ring.set_members(&borrowed);
    ring
}

fn all(_: MemberId) -> bool {
    true
}

fn idle(_: MemberId) -> u32 {
    0
}

/// The first choice where nothing is preferred.
fn pick(
    ring: &Ring,
    hash: u64,
    load: &dyn Fn(MemberId) -> u32,
    factor: f64,
    usable: &dyn Fn(MemberId) -> bool,
) -> Option<MemberId> {
    ring.choices(hash, load, factor, usable, &|_| false).next()
}

fn key(n: u64) -> u64 {
    hash(format!("function-{n}").as_bytes())
}

/// If this fails, nodes of two versions send the same function to different places.
#[test]
fn positions_never_change() {
    assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
    assert_eq!(hash(b"hello"), 0x16fe_05a1_c75b_cd0f);
    let ring = ring_of(&members(&[1; 5]));
    let walk: Vec<u32> = ring.walk(hash(b"hello")).map(|id| id.0).collect();
    assert_eq!(walk, [1, 4, 0, 2, 3]);
}

#[test]
fn a_member_that_leaves_moves_only_its_own_keys() {
    let before = members(&[1, 2, 1, 3, 1, 1, 1, 1]);
    let after: Vec<_> = before
        .iter()
        .filter(|(id, ..)| id.0 != 3)
        .cloned()
        .collect();
    let before = ring_of(&before);
    let after = ring_of(&after);
    let first = |ring: &Ring, n| pick(ring, key(n), &idle, 1.25, &all);
    let mut moved = 0;
    let mut stayed = 0;
    for n in 0..KEYS {
        let was = first(&before, n);
        let is = first(&after, n);
        if was == Some(MemberId(3)) {
            moved += 1;
            assert_eq!(is, before.walk(key(n)).nth(1), "to the next one clockwise");
        } else {
            stayed += 1;
            assert_eq!(was, is);
        }
    }
    assert!(moved > 0 && stayed > 0);
}

#[test]
fn keys_are_spread_by_weight() {
    for weights in [vec![1; 20], vec![1, 2, 4, 8], vec![3; 3]] {
        let ring = ring_of(&members(&weights));
        let mut counts: BTreeMap<MemberId, u32> = BTreeMap::new();
        (0..KEYS)
            .filter_map(|n| ring.walk(key(n)).next())
            .for_each(|id| *counts.entry(id).or_default() += 1);
        let total: u32 = weights.iter().sum();
        for (id, weight) in (0..).map(MemberId).zip(&weights) {
            let share =
                f64::from(counts[&id]) * f64::from(total) / (f64::from(*weight) * KEYS as f64);
            assert!(
                (0.7..1.3).contains(&share),
                "{id:?} of {weights:?} has {share:.2} of its share"
            );
        }
    }
}

#[test]
fn the_warm_go_first_within_their_bound() {
    let ring = ring_of(&members(&[1; 4]));
    let clockwise: Vec<_> = ring.walk(7).collect();
    let warm = clockwise[2];
    let prefer = |id: MemberId| id == warm;
    let first = |load: &dyn Fn(MemberId) -> u32| ring.choices(7, load, 1.25, &all, &prefer).next();
    assert_eq!(first(&idle), Some(warm));
    // Eight calls at the warm one and one more: the bound is 1.25 × 9 / 4, rounded up to 3.
    let full = |id: MemberId| if id == warm { 8 } else { 0 };
    assert_eq!(ring.bounds(&full, 1.25, &all).of(1), 3);
    assert_eq!(first(&full), Some(clockwise[0]));
    let choices: Vec<_> = ring.choices(7, &full, 1.25, &all, &prefer).collect();
    assert_eq!(choices, [clockwise[0], clockwise[1], clockwise[3], warm]);
    let choices: Vec<_> = ring
        .choices(7, &idle, 1.25, &|id| id != clockwise[0], &prefer)
        .collect();
    assert_eq!(choices, [warm, clockwise[1], clockwise[3]]);
}

#[test]
fn odd_members_and_factors_do_no_harm() {
    let mut ring = Ring::new(0);
    assert!(
        ring.is_empty()
            && pick(&ring, 1, &idle, 1.25, &all).is_none()
            && ring.walk(1).next().is_none()
    );
    ring.set_members(&[
        (MemberId(1), 0, "a"),
        (MemberId(2), u32::MAX, "b"),
        (MemberId(2), 1, "c"),
    ]);
    assert_eq!((ring.len(), ring.points.len()), (1, WEIGHT_MAX as usize));
    for factor in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        assert_eq!(
            pick(&ring, u64::MAX, &|_| u32::MAX - 1, factor, &all),
            Some(MemberId(2)),
            "{factor}"
        );
    }
    assert_eq!(pick(&ring, 1, &idle, 1.25, &|_| false), None);
}

proptest! {
    /// Calls come and go: nobody is ever given one beyond its bound, and whoever can serve is found.
    #[test]
    fn no_member_is_above_its_share(
        weights in vec(1..5_u32, 1..12),
        calls in vec((any::<u64>(), option_of_end()), 1..300),
        unusable in any::<u16>(),
        factor in 1.0..2.0_f64,
    ) {
        let ring = ring_of(&members(&weights));
        let mut loads: BTreeMap<MemberId, u32> = (0..).map(MemberId).zip(weights.iter().map(|_| 0)).collect();
        let usable = |id: MemberId| unusable >> id.0 & 1 == 0;
        for (hash, end) in calls {
            let load = |id: MemberId| loads[&id];
            let Some(id) = pick(&ring, hash, &load, factor, &usable) else {
                prop_assert!(loads.keys().all(|id| !usable(*id)));
                continue;
            };
            prop_assert!(usable(id));
            let usable_weight: u32 = (0..).zip(&weights).filter(|(n, _)| usable(MemberId(*n))).map(|(_, w)| *w).sum();
            let total = 1 + loads.iter().filter(|(id, _)| usable(**id)).map(|(_, load)| *load).sum::<u32>();
            let share = f64::from(total) * f64::from(weights[id.0 as usize]) / f64::from(usable_weight);
            prop_assert!(f64::from(load(id) + 1) <= (factor * share + 1e-9).ceil());
            prop_assert_eq!(ring.choices(hash, &load, factor, &usable, &|_| false).next(), Some(id));
            *loads.get_mut(&id).expect("a member") += 1;
            if let Some(end) = end {
                let ended = loads.values_mut().nth(end % weights.len()).expect("one");
                *ended = ended.saturating_sub(1);
            }
        }
    }
}

fn option_of_end() -> impl Strategy<Value = Option<usize>> {
    proptest::option::of(any::<usize>())
}
