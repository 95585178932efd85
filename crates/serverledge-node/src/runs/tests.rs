//! Tests of the kept runs.

use std::time::Duration;

use proptest::prelude::*;
use serverledge_core::{Digest, SpaceId, Trigger};

use super::record::MESSAGE_BYTES_MAX;
use super::*;

fn function() -> Arc<RunFunction> {
    Arc::new(RunFunction {
        space: SpaceId::default_space(),
        name: FunctionName::parse("f").unwrap(),
        version: Digest::new([1; 32]),
        memory_mib: 128,
        series: Arc::default(),
    })
}

fn run(function: &Arc<RunFunction>, status: RunStatus, started_unix_ms: u64) -> Arc<Run> {
    let id = InvocationId::new();
    Arc::new(Run {
        id,
        root: id,
        origin: CallOrigin::of(Trigger::Invoke),
        depth: 0,
        function: Arc::clone(function),
        status,
        code: if status == RunStatus::Completed {
            ""
        } else {
            "code"
        },
        message: None,
        started_unix_ms,
        phases: Phases::default(),
        warm: true,
        cache: Source::Ran,
        ran_on: None,
        params_bytes: 0,
        result_bytes: 0,
        streamed: None,
        propagated: None,
        requests: None,
    })
}

fn config(capacity: usize, full_rate: usize) -> RunsConfig {
    RunsConfig {
        capacity,
        memory: 1024 * 1024,
        full_rate,
    }
}

#[test]
fn failures_and_results_do_not_take_each_others_room() {
    let function = function();
    let mut history = RunHistory::new(&config(8, 1000));
    let failed = run(&function, RunStatus::Failed, 1);
    assert!(history.add(&failed));
    for at in 2..100 {
        history.add(&run(&function, RunStatus::Completed, at));
    }
    let (kept, since) = history.kept();
    assert_eq!(kept.len(), 6 + 1);
    assert!(kept.iter().any(|run| run.id == failed.id));
    assert_eq!(since, 93, "those that began later are all there");
    for at in 100..200 {
        history.add(&run(&function, RunStatus::Rejected, at));
    }
    let (kept, _) = history.kept();
    let completed = kept.iter().filter(|run| run.status == RunStatus::Completed);
    assert_eq!((completed.count(), kept.len()), (6, 8));
}

#[test]
fn many_results_in_a_second_are_sampled() {
    let sample = RunSample::new(10);
    let taken = |second| (0..640).filter(|_| sample.takes(second)).count();
    assert_eq!(taken(7), 10 + 10);
    assert_eq!(taken(8), 10 + 10);
    let all = RunSample::new(640);
    assert!((0..640).all(|_| all.takes(7)));
}

#[test]
fn a_failure_after_the_reply_changes_the_record() {
    let function = function();
    let mut history = RunHistory::new(&config(8, 1000));
    let one = run(&function, RunStatus::Completed, 1);
    history.add(&one);
    let changed = history
        .change(one.id, |run| run.status = RunStatus::Failed)
        .unwrap();
    assert_eq!(changed.status, RunStatus::Failed);
    let (kept, _) = history.kept();
    assert_eq!((kept.len(), kept[0].status), (1, RunStatus::Failed));
    assert!(history.change(InvocationId::new(), |_| {}).is_none());
}

#[test]
fn messages_are_one_short_line() {
    let function = function();
    let mut one = Run::clone(&run(&function, RunStatus::Completed, 1));
    one.fail(&InvocationError::Request {
        code: "params_invalid",
        message: format!("{}\nsecond", "ü".repeat(200)),
    });
    let message = one.message.unwrap();
    assert!(message.len() <= MESSAGE_BYTES_MAX && message.starts_with("üü"));
    let mut one = Run::clone(&run(&function, RunStatus::Completed, 1));
    one.fail(&InvocationError::Internal {
        message: "secret".to_owned(),
    });
    assert!(!one.message.unwrap().contains("secret"));
}

proptest! {
    /// Whatever comes: neither count nor memory goes beyond its bound.
    #[test]
    fn the_kept_runs_are_bounded(
        capacity in 0_usize..50,
        memory in 0_usize..40_000,
        statuses in prop::collection::vec((0_usize..RunStatus::ALL.len(), 0_usize..300), 0..300),
    ) {
        let function = function();
        let mut history = RunHistory::new(&RunsConfig { capacity, memory, full_rate: 1000 });
        for (at, (status, message)) in statuses.into_iter().enumerate() {
            let mut one = Run::clone(&run(&function, RunStatus::ALL[status], at as u64));
            one.phases.total = Duration::from_millis(1);
            one.message = Some("x".repeat(message).into());
            history.add(&Arc::new(one));
            let (kept, _) = history.kept();
            prop_assert!(kept.len() <= capacity);
            prop_assert!(kept.iter().map(|run| run.bytes()).sum::<usize>() <= memory);
        }
    }
}
