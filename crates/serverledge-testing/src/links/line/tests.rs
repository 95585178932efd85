//! Tests of a line, with made-up clocks.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn line(condition: Condition) -> LinkDirection {
    let mut line = LinkDirection::new(7);
    line.set(condition);
    line
}

fn due(line: &mut LinkDirection, now: Instant) -> Instant {
    match line.send(now) {
        Fate::Due(due) => due,
        Fate::Gone => panic!("gone: {line:?}"),
    }
}

#[test]
fn a_packet_takes_its_delay() {
    let now = start();
    assert_eq!(due(&mut line(Condition::PERFECT), now), now);
    assert_eq!(
        due(&mut line(Condition::round_trip(100 * MS)), now),
        now + 50 * MS
    );
}

#[test]
fn a_shorter_delay_lets_nothing_overtake() {
    let now = start();
    let mut line = line(Condition::round_trip(100 * MS));
    let first = due(&mut line, now);
    line.set(Condition::PERFECT);
    assert_eq!(due(&mut line, now + MS), first);
    assert_eq!(due(&mut line, now + 60 * MS), now + 60 * MS);
}

#[test]
fn a_cut_takes_what_is_on_its_way() {
    let mut line = line(Condition::round_trip(100 * MS));
    due(&mut line, start());
    line.set(Condition::CUT);
    assert!(!line.arrive());
    assert_eq!(line.send(start()), Fate::Gone);
    assert_eq!(
        line.counts(),
        Counts {
            sent: 2,
            cut: 2,
            ..Counts::default()
        }
    );
}

#[test]
fn a_flood_overflows() {
    let now = start();
    let mut line = line(Condition::round_trip(100 * MS));
    for _ in 0..WAITING_MAX {
        due(&mut line, now);
    }
    assert_eq!(line.send(now), Fate::Gone);
    assert!(line.arrive());
    line.arrived(true, now, now);
    due(&mut line, now);
    let counts = line.counts();
    assert_eq!(
        (counts.overflowed, counts.carried, counts.waiting),
        (1, 1, WAITING_MAX)
    );
}

#[test]
fn late_is_more_than_a_millisecond() {
    let now = start();
    let mut line = line(Condition::PERFECT);
    for lateness in [Duration::ZERO, MS, 2 * MS] {
        let due = due(&mut line, now);
        assert!(line.arrive());
        line.arrived(true, due, due + lateness);
    }
    assert_eq!((line.counts().carried, line.counts().late), (3, 1));
}

/// Six standard deviations of a binomial distribution: fewer than one seed in a hundred million is outside.
#[test]
fn loss_is_as_probable_as_it_says() {
    let now = start();
    for loss in [0.001, 0.1, 0.5, 0.99] {
        let mut line = line(Condition::PERFECT.with_loss(loss));
        let packets = 100_000;
        for _ in 0..packets {
            if let Fate::Due(_) = line.send(now) {
                line.arrive();
            }
        }
        let expected = f64::from(packets) * loss;
        let lost = u32::try_from(line.counts().lost).unwrap();
        let deviation = (expected * (1.0 - loss)).sqrt();
        assert!(
            (f64::from(lost) - expected).abs() < 6.0 * deviation,
            "{lost} of {packets} at {loss}"
        );
    }
}

proptest! {
    #[test]
    fn times_are_within_the_jitter_and_in_order(
        seed: u64, delay in 0_u32..200, jitter in 0_u32..200, gaps in prop::collection::vec(0_u32..300, 1..50),
    ) {
        let condition = Condition { delay: delay * MS, jitter: jitter * MS, ..Condition::PERFECT };
        let mut line = LinkDirection::new(seed);
        line.set(condition);
        let mut now = start();
        let mut last = None;
        for gap in gaps {
            now += gap * MS;
            let due = due(&mut line, now);
            let earliest = now + condition.delay.saturating_sub(condition.jitter);
            prop_assert!(due >= earliest && last.is_none_or(|last| due >= last));
            prop_assert!(due <= now.max(last.unwrap_or(now)) + condition.delay + condition.jitter);
            last = Some(due);
        }
    }

    #[test]
    fn every_packet_is_counted_once(
        seed: u64, steps in prop::collection::vec((0.0_f64..1.0, any::<bool>(), 0_u8..8, 0_u8..8), 1..40),
    ) {
        let now = start();
        let mut line = LinkDirection::new(seed);
        for (loss, cut, sent, arriving) in steps {
            line.set(Condition { loss, cut, ..Condition::PERFECT });
            for _ in 0..sent {
                line.send(now);
            }
            for _ in 0..u64::from(arriving).min(line.counts().waiting) {
                if line.arrive() {
                    line.arrived(sent % 2 == 0, now, now);
                }
            }
            let Counts { sent, carried, lost, cut, overflowed, waiting, .. } = line.counts();
            prop_assert_eq!(sent, carried + lost + cut + overflowed + waiting);
        }
    }

    /// A test that fails can be run again.
    #[test]
    fn a_seed_decides(seed: u64) {
        let fates = || {
            let now = start();
            let mut line = LinkDirection::new(seed);
            line.set(Condition::PERFECT.with_loss(0.5));
            (0..64).map(|_| matches!(line.send(now), Fate::Gone)).collect::<Vec<_>>()
        };
        prop_assert_eq!(fates(), fates());
    }
}
