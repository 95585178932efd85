//! Promises of the coordinates.

use proptest::prelude::*;
use serverledge_core::SplitMix64;

use super::*;

/// Nodes on a plane of 100 by 100 ms, each with an access link of up to 10 ms.
struct Plane {
    places: Vec<[f64; 3]>,
    nodes: Vec<Vivaldi>,
    random: SplitMix64,
}

impl Plane {
    fn new(count: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut upto = |most: f64| random.unit() * most;
        let places = (0..count)
            .map(|_| [upto(0.1), upto(0.1), upto(0.01)])
            .collect();
        let nodes = (0..count as u64).map(|n| Vivaldi::new(seed ^ n)).collect();
        Self {
            places,
            nodes,
            random,
        }
    }

    fn truth(&self, one: usize, other: usize) -> f64 {
        let ([ax, ay, up], [bx, by, down]) = (self.places[one], self.places[other]);
        (ax - bx).hypot(ay - by) + up + down
    }

    /// Every node measures a random other one, with a tenth of jitter and now and then a stall.
    fn round(&mut self) {
        for one in 0..self.nodes.len() {
            let other = (one + 1 + self.random.below(self.nodes.len() - 1)) % self.nodes.len();
            let jitter = 1.0 + 0.1 * self.random.unit();
            let stall = if self.random.below(50) == 0 { 0.5 } else { 0.0 };
            let took = Duration::from_secs_f64(self.truth(one, other) * jitter + stall);
            let there = self.nodes[other].coordinate();
            self.nodes[one]
                .observe(other as u64, &there, took)
                .expect("a good measurement");
        }
    }

    fn median_error(&self) -> f64 {
        let pairs = (0..self.nodes.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        let mut errors: Vec<f64> = pairs
            .map(|(one, other)| {
                let expected = self.nodes[one]
                    .coordinate()
                    .distance(&self.nodes[other].coordinate())
                    .as_secs_f64();
                (expected - self.truth(one, other)).abs() / self.truth(one, other)
            })
            .collect();
        errors.sort_unstable_by(f64::total_cmp);
        errors[errors.len() / 2]
    }
}

/// With 200 measurements each, half of all distances are known to within a tenth.
#[test]
fn converges_on_a_plane() {
    for seed in 1..=5 {
        let mut plane = Plane::new(50, seed);
        let before = plane.median_error();
        (0..200).for_each(|_| plane.round());
        let after = plane.median_error();
        assert!(
            before > 0.9 && after < 0.1,
            "seed {seed}: from {before:.3} to {after:.3}"
        );
    }
}

#[test]
fn one_stall_moves_nothing() {
    let mut node = Vivaldi::new(1);
    let other = Coordinate {
        vec: [0.02, 0.0, 0.0],
        error: 0.2,
        adjustment: 0.0,
        height: 0.001,
    };
    let usual = Duration::from_millis(30);
    let stall = Duration::from_secs(8);
    (0..100).for_each(|_| node.observe(7, &other, usual).expect("good"));
    let before = node.coordinate().distance(&other);
    node.observe(7, &other, stall).expect("good");
    let after = node.coordinate().distance(&other);
    assert!(
        before.abs_diff(after) < Duration::from_millis(1),
        "{before:?} to {after:?}"
    );
    assert!(
        before.abs_diff(usual) < Duration::from_millis(3),
        "{before:?}"
    );
}

#[test]
fn forgotten_peers_begin_again() {
    let mut node = Vivaldi::new(1);
    let second = Duration::from_secs(1);
    (0..3).for_each(|_| node.observe(7, &Coordinate::ORIGIN, second).expect("good"));
    assert_eq!(node.latencies.peek(&7).map(|one| one.count), Some(3));
    node.forget(7);
    node.forget(8);
    assert!(node.latencies.is_empty());
    for peer in 0..2 * PEERS_MAX as u64 {
        node.observe(peer, &Coordinate::ORIGIN, second)
            .expect("good");
    }
    assert!(node.latencies.peek(&0).is_none(), "memory is bounded");
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut node = Vivaldi::new(1);
    let good = Coordinate {
        vec: [0.01; 3],
        error: 0.5,
        adjustment: 0.0,
        height: 0.001,
    };
    node.observe(1, &good, Duration::from_millis(20))
        .expect("good");
    let before = node.coordinate();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -101.0] {
        let with_vec = Coordinate {
            vec: [0.0, bad, 0.0],
            ..good
        };
        for other in [
            with_vec,
            Coordinate { error: bad, ..good },
            Coordinate {
                adjustment: bad,
                ..good
            },
            Coordinate {
                height: bad,
                ..good
            },
        ] {
            assert_eq!(
                node.observe(1, &other, Duration::from_millis(20)),
                Err(ObserveError::Coordinate),
                "{other:?}"
            );
            assert_eq!(before.distance(&other), Duration::ZERO);
            assert_eq!(other.distance(&before), Duration::ZERO);
        }
    }
    for round_trip in [Duration::from_secs(11), Duration::MAX] {
        assert_eq!(
            node.observe(1, &good, round_trip),
            Err(ObserveError::RoundTrip)
        );
    }
    assert_eq!(node.coordinate(), before);
    assert_eq!(node.latencies.peek(&1).map(|one| one.count), Some(1));
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -200.0..200.0_f64, Just(0.0), Just(ERROR_MAX)]
}

fn any_coordinate() -> impl Strategy<Value = Coordinate> {
    let near = (
        -REACH..REACH,
        -0.1..0.1_f64,
        0.0..ERROR_MAX,
        -REACH..REACH,
        0.0..REACH,
    );
    let near = near.prop_map(|(x, y, error, adjustment, height)| Coordinate {
        vec: [x, y, 0.0],
        error,
        adjustment,
        height,
    });
    let wild = (
        any_number(),
        any_number(),
        any_number(),
        any_number(),
        any_number(),
    );
    let wild = wild.prop_map(|(x, y, error, adjustment, height)| Coordinate {
        vec: [x, y, 0.0],
        error,
        adjustment,
        height,
    });
    prop_oneof![near, wild, Just(Coordinate::ORIGIN)]
}

proptest! {
    /// Whatever peers say, this node's coordinate stays one that others can use; and honest peers mend it.
    #[test]
    fn liars_do_not_poison_the_state(
        lies in proptest::collection::vec((0..4_u64, any_coordinate(), 0..12_000_u64), 0..200),
    ) {
        let mut node = Vivaldi::new(3);
        for (peer, lie, ms) in lies {
            let _ = node.observe(peer, &lie, Duration::from_millis(ms));
            prop_assert!(node.coordinate().is_valid());
        }
        let anchors = [[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.0, 0.05]];
        for _ in 0..2_000 {
            for (peer, vec) in (10..).zip(anchors) {
                let other = Coordinate { vec, error: 0.1, adjustment: 0.0, height: 0.001 };
                node.observe(peer, &other, Duration::from_millis(40)).expect("good");
            }
        }
        let home = Coordinate { vec: anchors[0], error: 0.1, adjustment: 0.0, height: 0.001 };
        let expected = node.coordinate().distance(&home).as_secs_f64();
        prop_assert!((0.02..0.08).contains(&expected), "40 ms, but {expected}");
    }
}
