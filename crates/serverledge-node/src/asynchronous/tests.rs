//! Whole nodes over one store, on fake executors: an accepted invocation ends once, whichever node dies and whatever
//! the registry does.

use std::sync::Arc;

use serde_json::{Value, json};
use serverledge_api::{
    AsyncInvocations as _, ChangeError, DeadLetterQueue as _, Invocations as _, NodeStatus as _,
    OnceError, Polled, SubmitError,
};
use serverledge_core::limits::OUTPUT_BYTES_MAX;
use serverledge_core::{Caller, FailureKind, InvocationError, OverloadReason, StartError};
use serverledge_testing::fake_executor::Behaviour;

use super::NotifyError;

mod faulty;
mod lab;

use lab::{AsyncLab, TestNode, call, once, read};

const CALLBACK: &str = "http://receiver.example/hook";

fn events(info: &serverledge_wire::invocations::InvocationInfo) -> Vec<&str> {
    info.history
        .iter()
        .map(|entry| entry.event.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_kept_with_its_history() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Log { log: "line".into() })
        .await;
    let id = node.submit(call("f", "[1]")).await;
    let info = node.ended(id).await;
    assert_eq!(
        (info.state.name(), info.attempts, info.node.as_deref()),
        ("done", 1, Some("n1"))
    );
    assert_eq!(info.result.as_ref().map(|json| json.get()), Some("[1]"));
    assert_eq!(events(&info), ["accepted", "begun", "done"]);
    let Polled::Done(body) = node
        .backend()
        .async_worker
        .poll(&Caller::anonymous().space, id)
        .await
        .unwrap()
    else {
        panic!("it has ended")
    };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&body["Success"], &body["Output"]),
        (&json!(true), &json!("")),
        "the log was not asked for"
    );
    let mut asking = call("f", "[2]");
    asking.stored.return_output = true;
    let id = node.submit(asking).await;
    node.ended(id).await;
    let Polled::Done(body) = node
        .backend()
        .async_worker
        .poll(&Caller::anonymous().space, id)
        .await
        .unwrap()
    else {
        panic!("it has ended")
    };
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["Output"],
        "line\n"
    );
    node.is_idle().await;
    let metrics = node.backend().status.metrics().unwrap();
    assert!(
        metrics.contains("serverledge_async_accepted_total 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("serverledge_async_finished_total{state=\"done\"} 2"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_left_is_taken_over() {
    let lab = AsyncLab::new();
    let first = lab.start("n1").await;
    let second = lab.start("n2").await;
    first.deploy("f", &Behaviour::Echo).await;
    first.fake.hold();
    let ids = [
        first.submit(call("f", "1")).await,
        first.submit(call("f", "2")).await,
    ];
    first
        .fake
        .wait_for("two calls", |counts| counts.running == 2)
        .await;
    // As long as its node lives, nobody else touches it.
    assert_eq!(second.node.async_worker.look_for_work().await.unwrap(), 0);
    first.kill().await;
    for (id, result) in ids.into_iter().zip(["1", "2"]) {
        let info = second.ended(id).await;
        assert_eq!((info.attempts, info.node.as_deref()), (2, Some("n2")));
        assert_eq!(info.result.as_ref().map(|json| json.get()), Some(result));
        assert_eq!(
            events(&info),
            ["accepted", "begun", "taken_over", "begun", "done"]
        );
    }
    second.is_idle().await;
    let metrics = second.backend().status.metrics().unwrap();
    assert!(
        metrics.contains("serverledge_async_taken_over_total 2"),
        "{metrics}"
    );
}

/// Several nodes see another one go: each of its calls is run by one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_left_share_the_work() {
    let lab = AsyncLab::new();
    let dying = lab.start("n0").await;
    let others = [lab.start("n1").await, lab.start("n2").await];
    dying.deploy("f", &Behaviour::Echo).await;
    dying.fake.hold();
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(dying.submit(call("f", &number.to_string())).await);
    }
    dying.kill().await;
    for id in &ids {
        assert_eq!(others[0].ended(*id).await.state.name(), "done");
    }
    let runs: usize = others.iter().map(|node| node.fake.calls().len()).sum();
    assert_eq!(runs, ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_kills_its_nodes_becomes_a_dead_letter() {
    let lab = AsyncLab::new();
    let mut node = lab.start("n0").await;
    node.deploy("f", &Behaviour::Echo).await;
    node.fake.hold();
    let id = node.submit(call("f", "1")).await;
    for life in 1..=3 {
        node.fake
            .wait_for("the call", |counts| counts.running == 1)
            .await;
        let next = lab.start(&format!("n{life}")).await;
        next.fake.hold();
        node.kill().await;
        node = next;
    }
    let info = node.ended(id).await;
    assert_eq!((info.attempts, info.dead_letter), (3, true));
    assert_eq!(
        info.error.as_ref().map(|error| error.code.as_str()),
        Some("attempts_exhausted")
    );
    node.is_idle().await;
}

/// Neither overload nor a registry that is away loses a result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_outlives_the_registrys_absence() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    node.fake.hold();
    let id = node.submit(call("f", "1")).await;
    node.fake
        .wait_for("the call", |counts| counts.running == 1)
        .await;
    lab.registry.go_away();
    let refused = node.backend().async_worker.submit(call("f", "2")).await;
    let away = |error: &InvocationError| {
        matches!(
            error,
            InvocationError::Dependency {
                code: "registry_unavailable",
                ..
            }
        )
    };
    assert!(
        matches!(&refused, Err(SubmitError::Invocation(error)) if away(error)),
        "{refused:?}"
    );
    node.fake.release();
    lab.registry.wait_for_refusals(5).await;
    lab.registry.come_back();
    assert_eq!(node.ended(id).await.attempts, 1);
    assert_eq!(
        node.fake.calls().len(),
        1,
        "it ran once, and what was refused did not run"
    );
    node.is_idle().await;
}

/// A write that was made although its response got lost is neither repeated nor taken for another node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_change_nothing() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    // Of begin and finish; the acceptance is left to the look for open work.
    for lost in [1, 2] {
        let before = node.fake.calls().len();
        node.fake.hold_starts();
        let id = {
            lab.registry.lose_the_answer_of(lost);
            let id = node.submit(call("f", "1")).await;
            node.fake.release_starts();
            id
        };
        let info = node.ended(id).await;
        assert_eq!(
            (info.attempts, info.result.as_ref().map(|json| json.get())),
            (1, Some("1")),
            "lost {lost}"
        );
        assert_eq!(node.fake.calls().len(), before + 1, "lost {lost}");
    }
    lab.registry.lose_the_answer_of(0);
    let wanted = call("f", "1");
    let id = wanted.call.id;
    node.backend()
        .async_worker
        .submit(wanted)
        .await
        .unwrap_err();
    node.node.async_worker.look_for_work().await.unwrap();
    assert_eq!(node.ended(id).await.attempts, 1);
    node.is_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_stops_what_runs_here_and_elsewhere() {
    let lab = AsyncLab::new();
    let here = lab.start("n1").await;
    let elsewhere = lab.start("n2").await;
    here.deploy(
        "f",
        &Behaviour::Endless {
            log: "on and on".into(),
        },
    )
    .await;
    for (round, canceller) in [&here, &elsewhere].into_iter().enumerate() {
        let id = here.submit(call("f", "1")).await;
        here.fake
            .wait_for("the call", |counts| counts.running == 1)
            .await;
        let info = canceller
            .backend()
            .async_worker
            .cancel(&Caller::anonymous().space, id)
            .await
            .unwrap();
        assert_eq!(
            (info.state.name(), info.error.unwrap().code.as_str()),
            ("cancelled", "cancelled")
        );
        here.fake
            .wait_for("its end", |counts| {
                counts.running == 0 && counts.dropped == round + 1
            })
            .await;
        let again = canceller
            .backend()
            .async_worker
            .cancel(&Caller::anonymous().space, id)
            .await;
        assert!(
            matches!(again, Err(ChangeError::Ended { state: "cancelled" })),
            "{again:?}"
        );
        assert!(!info.dead_letter);
    }
    let unknown = here
        .backend()
        .async_worker
        .cancel(
            &Caller::anonymous().space,
            serverledge_core::InvocationId::new(),
        )
        .await;
    assert!(matches!(unknown, Err(ChangeError::Unknown)));
    here.is_idle().await;
    lab.is_empty("cancels/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_keys_run_once_wherever_they_are_asked() {
    let lab = AsyncLab::new();
    let first = lab.start("n1").await;
    let second = lab.start("n2").await;
    first.deploy("f", &Behaviour::Echo).await;
    second.knows("f").await;
    first.fake.hold();
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(once(&first, read("f", "[1]", "k")));
    first
        .fake
        .wait_for("the first", |counts| counts.running == 1)
        .await;
    for node in [&first, &second, &first, &second] {
        calls.spawn(once(node, read("f", "[1]", "k")));
    }
    let other = second
        .backend()
        .async_worker
        .invoke_once(read("f", "[2]", "k"))
        .await;
    assert!(
        matches!(other, Err(OnceError::Submit(SubmitError::KeyReused { .. }))),
        "{other:?}"
    );
    first.fake.release();
    let answers: Vec<_> = calls
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    let body: Value = serde_json::from_slice(&answers[0].body).unwrap();
    assert_eq!(
        (&body["Success"], &body["Result"], &body["ExecutionNode"]),
        (&json!(true), &json!("[1]"), &json!("n1"))
    );
    // Asynchronously as well, and after its end.
    let later = second
        .backend()
        .async_worker
        .submit(read("f", "[1]", "k"))
        .await
        .unwrap();
    assert!(later.repeated);
    assert_eq!(second.ended(later.id).await.attempts, 1);
    assert_eq!(
        (first.fake.calls().len(), second.fake.calls().len()),
        (1, 0)
    );
}

/// The first caller's node dies: a duplicate elsewhere gets the outcome all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_outlives_the_firsts_node() {
    let lab = AsyncLab::new();
    let first = lab.start("n1").await;
    let second = lab.start("n2").await;
    first.deploy("f", &Behaviour::Echo).await;
    second.knows("f").await;
    first.fake.hold();
    let gone = tokio::task::JoinSet::from_iter([once(&first, read("f", "1", "k"))]);
    first
        .fake
        .wait_for("the first", |counts| counts.running == 1)
        .await;
    let mut duplicate = tokio::task::JoinSet::from_iter([once(&second, read("f", "1", "k"))]);
    drop(gone);
    first.kill().await;
    let answer = duplicate.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap()["ExecutionNode"],
        "n2"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_failure_is_answered_as_a_plain_one() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy(
        "f",
        &Behaviour::Fail {
            log: "last words".into(),
            message: "broke".into(),
        },
    )
    .await;
    let plain = node
        .backend()
        .invoker
        .call(call("f", "1"))
        .await
        .unwrap_err();
    for _ in 0..2 {
        let kept = node
            .backend()
            .async_worker
            .invoke_once(read("f", "1", "k"))
            .await
            .unwrap_err();
        let (
            InvocationError::Function(plain),
            OnceError::Invocation(InvocationError::Function(kept)),
        ) = (&plain, &kept)
        else {
            panic!("{plain:?} {kept:?}")
        };
        assert_eq!((plain, plain.kind), (kept, FailureKind::Error));
    }
    assert_eq!(node.fake.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_wait_is_told_and_stops_nothing() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    node.fake.hold();
    let mut hasty = read("f", "1", "k");
    hasty.call.deadline = Some(crate::clock::now() + std::time::Duration::from_secs(5));
    let told = node.backend().async_worker.invoke_once(hasty).await;
    let Err(OnceError::NotFinished { id, .. }) = told else {
        panic!("{told:?}")
    };
    node.fake.release();
    node.ended(id).await;
    assert!(
        node.backend()
            .async_worker
            .invoke_once(read("f", "1", "k"))
            .await
            .is_ok()
    );
    assert_eq!(node.fake.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_are_refused_but_repetitions_are_not() {
    let lab = AsyncLab::with(|config| {
        (
            config.asynchronous.queued_max,
            config.asynchronous.concurrency_max,
        ) = (2, 1)
    });
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    node.fake.hold();
    let first = node
        .backend()
        .async_worker
        .submit(read("f", "1", "k"))
        .await
        .unwrap();
    node.submit(call("f", "2")).await;
    let refused = node.backend().async_worker.submit(call("f", "3")).await;
    assert!(
        matches!(refused, Err(SubmitError::Full { waiting: 2 })),
        "{refused:?}"
    );
    assert!(matches!(
        node.backend()
            .async_worker
            .submit(read("f", "3", "l"))
            .await,
        Err(SubmitError::Full { .. })
    ));
    let again = node
        .backend()
        .async_worker
        .submit(read("f", "1", "k"))
        .await
        .unwrap();
    assert_eq!((again.id, again.repeated), (first.id, true));
    node.fake.release();
    node.is_idle().await;
    assert!(
        !node
            .backend()
            .async_worker
            .submit(read("f", "3", "l"))
            .await
            .unwrap()
            .repeated,
        "a refusal left no key"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grows_too_old_expires() {
    let lab = AsyncLab::with(|config| {
        config.asynchronous.age_max = std::time::Duration::from_millis(300)
    });
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    for _ in 0..100 {
        node.fake.fail_start(StartError::Unavailable {
            code: "docker_unavailable",
            what: "it",
            source: "x".into(),
        });
    }
    let info = node.ended(node.submit(call("f", "1")).await).await;
    assert_eq!(
        (
            info.state.name(),
            info.error.unwrap().code.as_str(),
            info.dead_letter
        ),
        ("expired", "expired", true)
    );
    let mut late = read("f", "2", "k");
    late.call.deadline = Some(crate::clock::now());
    let info = node
        .ended(node.backend().async_worker.submit(late).await.unwrap().id)
        .await;
    assert_eq!(
        (info.state.name(), info.error.unwrap().code.as_str()),
        ("expired", "deadline_unreachable")
    );
    let told = node
        .backend()
        .async_worker
        .invoke_once(read("f", "2", "k"))
        .await;
    let is_late = |error: &InvocationError| {
        matches!(
            error,
            InvocationError::Overloaded {
                reason: OverloadReason::Deadline,
                ..
            }
        )
    };
    assert!(
        matches!(&told, Err(OnceError::Invocation(error)) if is_late(error)),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_tended() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy(
        "f",
        &Behaviour::Large {
            bytes: OUTPUT_BYTES_MAX + 1,
        },
    )
    .await;
    let first = node.submit(call("f", "1")).await;
    let second = node.submit(call("f", "2")).await;
    for id in [first, second] {
        let info = node.ended(id).await;
        assert_eq!(
            (info.state.name(), info.error.unwrap().code.as_str()),
            ("failed", "result_too_large")
        );
        assert_eq!(info.attempts, 1, "never tried again");
    }
    let space = &Caller::anonymous().space;
    let worker = &node.backend().async_worker;
    let listed = worker.dead_letters(space, None, 10).await.unwrap();
    assert_eq!(listed.dead_letters.len(), 2);
    assert!(
        worker
            .dead_letter(space, first)
            .await
            .unwrap()
            .unwrap()
            .dead_letter
    );
    let made = Arc::clone(worker).redrive(space, first).await.unwrap();
    assert!(
        !made.repeated
            && Arc::clone(worker)
                .redrive(space, first)
                .await
                .unwrap()
                .repeated
    );
    assert_eq!(
        node.ended(made.id).await.redrive_of,
        Some(first.to_string())
    );
    assert_eq!(
        Arc::clone(worker).redrive(space, first).await.unwrap().id,
        made.id
    );
    assert!(
        worker.dead_letter(space, first).await.unwrap().is_none(),
        "it was driven anew"
    );
    worker.purge(space, second).await.unwrap();
    for gone in [second, first] {
        assert!(matches!(
            worker.purge(space, gone).await,
            Err(ChangeError::NotDead)
        ));
    }
    assert!(matches!(
        Arc::clone(worker).redrive(space, second).await,
        Err(ChangeError::NotDead)
    ));
    assert_eq!(worker.purge_all(space).await.unwrap(), 1);
    assert!(worker.invocation(space, made.id).await.unwrap().is_none());
    lab.is_empty("deadletters/").await;
}

fn calling_back(params: &str) -> serverledge_api::ClientCall {
    let mut call = call("f", params);
    call.stored.callback = Some(CALLBACK.to_owned());
    call
}

async fn notified(node: &TestNode, id: serverledge_core::InvocationId) -> Value {
    let (url, told, body) = node.notifier.next().await;
    assert_eq!((url.as_str(), told), (CALLBACK, id));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_tells_the_end_once_it_is_stored() {
    let lab = AsyncLab::new();
    let node = lab.start("n1").await;
    node.deploy("f", &Behaviour::Echo).await;
    let mut refused = call("f", "1");
    refused.stored.callback = Some("ftp://receiver.example/".to_owned());
    assert!(matches!(
        node.backend().async_worker.submit(refused).await,
        Err(SubmitError::Callback { .. })
    ));

    node.notifier.fail(NotifyError {
        is_final: false,
        message: "busy".to_owned(),
    });
    let id = node.submit(calling_back("[1]")).await;
    notified(&node, id).await;
    let body = notified(&node, id).await;
    assert_eq!(
        (&body["state"], &body["result"], &body["history"]),
        (&json!("done"), &json!([1]), &json!([]))
    );
    let info = node.told(id).await;
    let callback = info.callback.clone().unwrap();
    assert_eq!(
        (
            callback.state.as_str(),
            callback.attempts,
            callback.last_error
        ),
        ("delivered", 2, None)
    );
    assert_eq!(
        events(&info),
        ["accepted", "begun", "done", "callback_delivered"]
    );

    node.notifier.fail(NotifyError {
        is_final: true,
        message: "gone".to_owned(),
    });
    let id = node.submit(calling_back("[2]")).await;
    let callback = node.told(id).await.callback.unwrap();
    assert_eq!((callback.state.as_str(), callback.attempts), ("failed", 1));
    assert_eq!(callback.last_error.as_deref(), Some("gone"));
    node.is_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_outlives_its_node_and_follows_a_cancel() {
    let lab = AsyncLab::new();
    let first = lab.start("n1").await;
    let second = lab.start("n2").await;
    first.deploy("f", &Behaviour::Echo).await;
    first.notifier.hold();
    let id = first.submit(calling_back("1")).await;
    first.notifier.wait_for_sends(1).await;
    first.kill().await;
    assert_eq!(notified(&second, id).await["result"], json!(1));
    assert_eq!(second.told(id).await.callback.unwrap().state, "delivered");
    assert_eq!(second.fake.calls().len(), 0, "only the callback was left");

    second.fake.hold();
    let id = second.submit(calling_back("2")).await;
    second
        .backend()
        .async_worker
        .cancel(&Caller::anonymous().space, id)
        .await
        .unwrap();
    assert_eq!(notified(&second, id).await["state"], "cancelled");
    second.is_idle().await;
    let third = lab.start("n3").await;
    let id = second.submit(calling_back("3")).await;
    third
        .backend()
        .async_worker
        .cancel(&Caller::anonymous().space, id)
        .await
        .unwrap();
    assert_eq!(notified(&second, id).await["state"], "cancelled");
    second.is_idle().await;
}

/// A node that stops ends running invocations and leaves waiting ones to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_node_leaves_what_waits() {
    let lab = AsyncLab::with(|config| config.pool.memory = serverledge_core::MemoryMib::new(128));
    let first = lab.start("n1").await;
    first.deploy("f", &Behaviour::Echo).await;
    first.fake.hold();
    let runs = first.submit(call("f", "1")).await;
    first
        .fake
        .wait_for("the first", |counts| counts.running == 1)
        .await;
    let waits = first.submit(call("f", "2")).await;
    let second = lab.start("n2").await;
    first.node.base.resources.admissions.drain();
    assert!(
        first
            .backend()
            .async_worker
            .submit(call("f", "3"))
            .await
            .is_err()
    );
    first.works_on(1).await;
    first.fake.release();
    assert_eq!(
        first.ended(runs).await.node.as_deref(),
        Some("n1"),
        "what ran has ended here"
    );
    first.is_idle_here().await;
    first.kill().await;
    assert_eq!(second.ended(waits).await.node.as_deref(), Some("n2"));
}
