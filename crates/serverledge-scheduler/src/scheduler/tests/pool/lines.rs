//! Waiting in line or starting a sandbox, step by step.

use super::*;

/// One busy sandbox of a MiB, which started in 400 ms and whose calls take 100 ms, at 500 ms: five calls may wait for
/// it, and a sixth makes another start pay.
fn busy(mut node: Warm) -> Warm {
    for (command, expected) in [
        ("call first=k", "start 0"),
        ("at 400", ""),
        ("up 0", ""),
        ("at 500", ""),
        ("end first", ""),
        ("call a=k", "reuse 0"),
    ] {
        assert_eq!(node.step(command), expected, "{command}");
    }
    node
}

#[track_caller]
fn steps(node: &mut Warm, history: &[(&'static str, &str)]) {
    for (command, expected) in history {
        assert_eq!(node.step(command), *expected, "{command}");
    }
}

const FIVE_WAIT: [(&str, &str); 5] = [
    ("call b=k", "wait"),
    ("call c=k", "wait"),
    ("call d=k", "wait"),
    ("call e=k", "wait"),
    ("call f=k", "wait"),
];

#[test]
fn a_start_that_pays_needs_no_place_in_the_queue() {
    let mut node = busy(Warm::new(100, 100, 100));
    steps(&mut node, &FIVE_WAIT);
    steps(&mut node, &[("call g=k", "wait b:granted")]);
    let mut node = busy(Warm::with_queue(100, 100, 100, 5));
    steps(&mut node, &FIVE_WAIT);
    steps(&mut node, &[("call g=k", "start 1")]);
}

/// Two idle sandboxes of other functions hold what starts would need. With five in line nobody needs them; with a
/// sixth one start pays, and beside it no other.
#[test]
fn room_is_made_for_the_starts_that_pay() {
    let mut node = Warm::new(3, 100, 100);
    steps(
        &mut node,
        &[
            ("call x=x", "start 0"),
            ("call y=y", "start 1"),
            ("end x", ""),
            ("end y", ""),
            ("call first=k", "start 2"),
            ("at 400", ""),
            ("up 2", ""),
            ("at 500", ""),
            ("end first", ""),
            ("call a=k", "reuse 2"),
        ],
    );
    steps(&mut node, &FIVE_WAIT);
    steps(
        &mut node,
        &[
            ("call g=k", "wait stop:0"),
            ("call h=k", "wait"),
            ("gone 0", "b:granted"),
        ],
    );
}

/// The same node without its sandbox: its times are known, and nothing is up.
fn cold() -> Warm {
    let mut node = busy(Warm::new(100, 100, 100));
    steps(
        &mut node,
        &[
            ("end a", ""),
            ("condemn 0", "stop:0"),
            ("gone 0", ""),
            ("at 10000", ""),
        ],
    );
    node
}

#[test]
fn a_failed_start_says_nothing_of_sandboxes_in_use() {
    let mut node = busy(Warm::new(100, 100, 100));
    steps(&mut node, &FIVE_WAIT);
    steps(
        &mut node,
        &[
            ("call g=k", "wait b:granted"),
            ("take b", "start 1"),
            ("fail b", ""),
        ],
    );
}

#[test]
fn a_start_is_late_from_its_own_begin_on() {
    let mut node = cold();
    steps(
        &mut node,
        &[
            ("call b=k", "start 1"),
            ("at 10001", ""),
            ("call c=k", "wait"),
        ],
    );
    let mut node = cold();
    steps(
        &mut node,
        &[
            ("prewarm k=1", "1"),
            ("call b=k", "wait"),
            ("call c=k", "wait"),
        ],
    );
}

#[test]
fn nobody_counts_on_a_start_that_is_late() {
    let mut node = cold();
    steps(
        &mut node,
        &[
            ("call b=k", "start 1"),
            ("leave b", ""),
            ("call c=k", "wait"),
            ("at 10800", ""),
            ("at 10801", "c:granted"),
            ("take c", "start 2"),
        ],
    );
}

#[test]
fn nobody_counts_on_a_start_that_takes_longer_than_the_longest_wait() {
    let mut node = Warm::new(100, 100, 100);
    steps(
        &mut node,
        &[
            ("call a=k*3", "start 0"),
            ("at 12000", ""),
            ("end a", ""),
            ("condemn 0", "stop:0"),
            ("call b=k*3", "start 1"),
            ("call c=k*3", "start 2"),
        ],
    );
}

#[test]
fn a_failed_start_is_over_although_its_call_has_moved() {
    let mut node = busy(Warm::new(100, 100, 100));
    steps(&mut node, &FIVE_WAIT);
    steps(
        &mut node,
        &[
            ("call g=k", "wait b:granted"),
            ("take b", "start 1"),
            ("end a", "b:moved"),
            ("fail b", "c:granted"),
        ],
    );
    assert_eq!(node.scheduler.snapshot().pooled.starting, 0);
}

/// A place that was left for a call counts as taken from the return on.
#[test]
fn a_call_that_returns_makes_progress() {
    let mut node = busy(Warm::new(100, 100, 100));
    let mut caller = node.leases.remove("a").expect("it runs");
    let (now, other) = (node.at(), pooled_call("x", 1));
    let Admission::Run(nested) =
        node.scheduler
            .admit_nested(now, &mut caller, other, PeerView::NONE, &mut node.effects)
    else {
        panic!("there is room")
    };
    node.now = 20_000;
    let now = node.at();
    node.scheduler
        .release(now, nested, SandboxCondition::Clean, &mut node.effects);
    node.scheduler
        .call_ended(now, &mut caller, None, &mut node.effects);
    node.effects.decided.clear();
    steps(&mut node, &[("at 20001", ""), ("call b=k", "wait")]);
}

#[test]
fn who_waits_for_room_looks_again_though_no_start_is_known() {
    let mut node = Warm::new(1, 100, 100);
    steps(&mut node, &[("call a=k", "start 0"), ("call b=x", "wait")]);
    let review = node.tickets["b"].review();
    assert_eq!(review, node.start + Duration::from_millis(500));
}

/// A call that rather waits in line takes nothing from others, as long as there is room for a start.
#[test]
fn a_line_does_not_make_a_node_full() {
    let mut node = busy(Warm::new(200, 200, 100));
    steps(&mut node, &FIVE_WAIT);
    let load = node.scheduler.load(node.at());
    assert_eq!(load.wait, Duration::ZERO);
    steps(&mut node, &[("once z=199", "once")]);
    let load = node.scheduler.load(node.at());
    assert!(load.wait > Duration::ZERO);
}

/// A big call that waits keeps a place that became free from one that starts a sandbox. With the node's drain nobody
/// waits any more.
#[test]
fn a_drain_lets_starters_have_the_places_that_were_kept_from_them() {
    let mut node = Warm::new(5, 100, 100);
    steps(
        &mut node,
        &[
            ("call a=k*2", "start 0"),
            ("call b=k*2", "wait"),
            ("call c=k*2", "wait b:granted"),
            ("take b", "start 1"),
            ("call d=k*2", "wait"),
            ("call e=k*2", "wait c:granted"),
            ("take c", "start 2"),
            ("cancel d", ""),
            ("cancel e", ""),
            ("up 0", "b:moved"),
            ("once z=5", "wait"),
            // The turn of the one that waits longest has come, and it claims.
            ("once p=1", "once"),
            ("at 3000", ""),
            ("end b", ""),
            ("drain", "z:draining c:moved"),
        ],
    );
}
