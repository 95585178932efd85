//! The screen of `top` for states that nodes lead to.

use expect_test::{Expect, expect};
use serverledge_wire::events::{LoadEvent, PeerEvent, SandboxCounts};
use serverledge_wire::runs::{RunFigures, Stats};
use serverledge_wire::status::StatusInformation;

use super::super::keys::TopKey;
use super::*;

fn function(name: &str, per_second: f64, failures: u64) -> FunctionStats {
    FunctionStats {
        function: name.to_owned(),
        app: None,
        per_second,
        figures: RunFigures {
            calls: 600,
            failures,
            rejected: 0,
            cold: 2,
            cache_hits: 30,
            p50_us: Some(1_200),
            p99_us: Some(if failures > 0 { 2_500_000 } else { 48_000 }),
        },
    }
}

fn run(status: &str, code: Option<&str>) -> RunInfo {
    let text = format!(
        r#"{{"id":"01890000-0000-7000-8000-00000000000a","function":"hello","version":"0123","trigger":"http",
        "status":"{status}","started_unix_ms":1772323200250,"queue_us":200,"start_us":0,"execution_us":1500,"total_us":1820,
        "warm":true,"cache":"run","node":"ROME/n1","ran_on":"ROME/n1","params_bytes":1,"result_bytes":2,"root":"r","depth":0,
        "trace_id":"t","span_id":"s"}}"#
    );
    RunInfo {
        code: code.map(str::to_owned),
        ..serde_json::from_str(&text).unwrap()
    }
}

fn status() -> StatusInformation {
    StatusInformation {
        total_memory: 1024,
        available_memory: 896,
        total_cpu: 8.0,
        used_cpu: 0.5,
        running: 1,
        version: "0.1.0".to_owned(),
        node: "n1".to_owned(),
        area: "ROME".to_owned(),
        uptime: 3_725.0,
        load_avg: [0.5, 0.25, 0.125],
        ..StatusInformation::default()
    }
}

fn state() -> TopState {
    let mut shop = function("order\u{1b}[2J", 0.25, 3);
    shop.app = Some("shop".to_owned());
    let mut silent = function("silent", 0.0, 0);
    silent.figures.p50_us = None;
    silent.figures.p99_us = None;
    TopState {
        stats: Some(Stats {
            step_ms: 10_000,
            window_ms: 600_000,
            unix_ms: 1,
            functions: vec![silent, shop, function("hello", 123.4, 0)],
            points: None,
        }),
        runs: vec![
            run("completed", None),
            run("failed", Some("function_trap")),
            run("rejected", Some("queue_full")),
        ],
        status: Some(status()),
        load: Some(LoadEvent {
            unix_ms: 1,
            running: 3,
            waiting: 1,
            memory_used_mib: 512,
            memory_mib: 1024,
            cpu_used_milli: 1_500,
            cpu_milli: 8_000,
            sandboxes: SandboxCounts {
                starting: 1,
                idle: 4,
                busy: 2,
            },
            calls: 124,
            failures: 1,
            rejected: 0,
        }),
        ..TopState::default()
    }
}

/// The screen as text, with a letter for the look of each line that has one.
fn shown(state: &TopState, width: usize, height: usize) -> String {
    let lines = screen(state, width, height);
    assert_eq!(lines.len(), height);
    let line = |line: &ScreenLine| {
        assert!(line.text.chars().count() <= width, "{}", line.text);
        let look = match line.look {
            LineLook::Plain => ' ',
            LineLook::Head => 'H',
            LineLook::Faint => '.',
            LineLook::Bad => '!',
        };
        format!("{look}{}", line.text).trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check(state: &TopState, width: usize, height: usize, expected: &Expect) {
    expected.assert_eq(&shown(state, width, height));
}

#[test]
fn operators_see_all() {
    check(
        &state(),
        120,
        18,
        &expect![[r#"
         ROME/n1  version 0.1.0  up 1 h 2 min  load 0.50 0.25 0.12
         memory 512 of 1024 MiB  cpu 1.50 of 8.00  running 3  waiting 1  sandboxes 2 busy, 4 idle, 1 starting
         calls 124/s  failures 1/s  rejected 0/s
        .
        HFUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS
         hello                 123        1.2 ms   48.0 ms  600     0           0         2     30
        !shop/order\u{1b}[2J   0.25       1.2 ms   2.50 s   600     3           0         2     30
         silent                0.00       -        -        600     0           0         2     30




        .last runs
        HTIME          FUNCTION              TRIGGER   STATUS                  TOTAL    WARM  CACHE    RAN ON    ID
         00:00:00.250  hello                 http      completed               1.8 ms   yes   run      ROME/n1   00000000000a
        !00:00:00.250  hello                 http      failed (function_trap)  1.8 ms   yes   run      ROME/n1   00000000000a
        !00:00:00.250  hello                 http      rejected (queue_full)   1.8 ms   yes   run      ROME/n1   00000000000a
        .q quit  s sort  ↑↓ scroll  p pause  f failures  (functions 1 to 3 of 3)"#]],
    );
}

#[test]
fn a_low_or_narrow_screen_shows_less() {
    check(
        &state(),
        60,
        9,
        &expect![[r#"
         ROME/n1  version 0.1.0  up 1 h 2 min  load 0.50 0.25 0.12
         memory 512 of 1024 MiB  cpu 1.50 of 8.00  running 3  waiting
         calls 124/s  failures 1/s  rejected 0/s
        .
        HFUNCTION              CALLS/S ▾  P50      P99      CALLS   F
         hello                 123        1.2 ms   48.0 ms  600     0
        !shop/order\u{1b}[2J   0.25       1.2 ms   2.50 s   600     3
         silent                0.00       -        -        600     0
        .q quit  s sort  ↑↓ scroll  p pause  f failures  (functions 1"#]],
    );
    for (width, height) in [(1, 1), (0, 0), (3, 2), (200, 5), (20, 60)] {
        shown(&state(), width, height);
        shown(&TopState::default(), width, height);
    }
}

#[test]
fn others_see_their_functions() {
    let mut state = TopState {
        load: None,
        peer: Some(PeerEvent {
            unix_ms: 1_772_323_200_000,
            node: "ROME/n2".to_owned(),
            action: "unreachable".to_owned(),
        }),
        ..state()
    };
    check(
        &state,
        100,
        12,
        &expect![[r#"
         ROME/n1  version 0.1.0  up 1 h 2 min  load 0.50 0.25 0.12
         memory 128 of 1024 MiB  cpu 0.50 of 8.00  running 1  waiting 0
         calls 124/s
        .ROME/n2 is unreachable since 00:00:00.000
        HFUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS
         hello                 123        1.2 ms   48.0 ms  600     0           0         2     30
        !shop/order\u{1b}[2J   0.25       1.2 ms   2.50 s   600     3           0         2     30
         silent                0.00       -        -        600     0           0         2     30



        .q quit  s sort  ↑↓ scroll  p pause  f failures  (functions 1 to 3 of 3)"#]],
    );
    state.is_lost = true;
    state.status = None;
    state.stats = None;
    state.runs.clear();
    check(
        &state,
        100,
        8,
        &expect![[r#"
         waiting for the node


        !the node does not answer; trying again
        HFUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS


        .q quit  s sort  ↑↓ scroll  p pause  f failures  (no functions)"#]],
    );
}

#[test]
fn keys_sort_scroll_and_filter() {
    let mut state = state();
    let names = |state: &TopState| {
        let functions = state.functions();
        functions
            .iter()
            .map(|one| one.function.chars().next().unwrap())
            .collect::<String>()
    };
    let mut orders = vec![names(&state)];
    for _ in 0..4 {
        state.press(TopKey::Sort, 1);
        orders.push(names(&state));
    }
    assert_eq!(orders, ["hos", "ohs", "ohs", "hso", "hos"]);
    let mut scrolled = Vec::new();
    for key in [
        TopKey::Down,
        TopKey::Down,
        TopKey::Down,
        TopKey::Up,
        TopKey::First,
        TopKey::Up,
        TopKey::PageDown,
        TopKey::Last,
        TopKey::PageUp,
    ] {
        state.press(key, 1);
        scrolled.push(state.scroll);
    }
    assert_eq!(scrolled, [1, 2, 2, 1, 0, 0, 1, 2, 1]);
    state.press(TopKey::Pause, 1);
    state.press(TopKey::Failures, 1);
    assert_eq!(names(&state), "o");
    check(
        &state,
        100,
        16,
        &expect![[r#"
         ROME/n1  version 0.1.0  up 1 h 2 min  load 0.50 0.25 0.12
         memory 512 of 1024 MiB  cpu 1.50 of 8.00  running 3  waiting 1  sandboxes 2 busy, 4 idle, 1 starting
         calls 124/s  failures 1/s  rejected 0/s
        .paused; p goes on
        HFUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS
        !shop/order\u{1b}[2J   0.25       1.2 ms   2.50 s   600     3           0         2     30





        .last failures
        HTIME          FUNCTION              TRIGGER   STATUS                  TOTAL    WARM  CACHE    RAN ON
        !00:00:00.250  hello                 http      failed (function_trap)  1.8 ms   yes   run      ROME/n
        !00:00:00.250  hello                 http      rejected (queue_full)   1.8 ms   yes   run      ROME/n
        .q quit  s sort  ↑↓ scroll  p pause  f failures  (functions 1 to 1 of 1)"#]],
    );
}

#[test]
fn one_look_has_everything() {
    expect![[r#"
        ROME/n1  version 0.1.0  up 1 h 2 min  load 0.50 0.25 0.12
        memory 512 of 1024 MiB  cpu 1.50 of 8.00  running 3  waiting 1  sandboxes 2 busy, 4 idle, 1 starting
        calls 124/s  failures 1/s  rejected 0/s

        FUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS
        hello                 123        1.2 ms   48.0 ms  600     0           0         2     30
        shop/order\u{1b}[2J   0.25       1.2 ms   2.50 s   600     3           0         2     30
        silent                0.00       -        -        600     0           0         2     30

        last runs
        TIME          FUNCTION              TRIGGER   STATUS                  TOTAL    WARM  CACHE    RAN ON    ID
        00:00:00.250  hello                 http      completed               1.8 ms   yes   run      ROME/n1   00000000000a
        00:00:00.250  hello                 http      failed (function_trap)  1.8 ms   yes   run      ROME/n1   00000000000a
        00:00:00.250  hello                 http      rejected (queue_full)   1.8 ms   yes   run      ROME/n1   00000000000a"#]].assert_eq(&once(&state()).join("\n"));
    expect![[r#"
        waiting for the node



        FUNCTION              CALLS/S ▾  P50      P99      CALLS   FAILURES    REJECTED  COLD  CACHE HITS
        no function was called in the last minutes"#]].assert_eq(&once(&TopState::default()).join("\n"));
}
