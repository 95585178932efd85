//! The result cache around the invoke path, on a fake executor: what is kept and for whom, what runs once, and which
//! entries are believed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use serverledge_api::{ClientCall, Deploy, Deployments as _, Invocations as _};
use serverledge_core::kv::Kv;
use serverledge_core::{
    Caller, ClientCache, Ignored, InvocationError, MemoryMib, OverloadReason, Reply, Report,
    Source, SpaceId,
};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::endpoint_body::{EndpointBody, response};
use serverledge_wire::function::FunctionBody;
use tempfile::TempDir;

use crate::config::{Machine, load};
use crate::executors::Executors;
use crate::invoke::request::call_of;
use crate::program::node::NodeServices;
use crate::program::node::build;

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};

struct CacheLab {
    node: Arc<NodeServices>,
    fake: FakeExecutorHandle,
    _dir: TempDir,
}

type Told = Result<Report, InvocationError>;

impl CacheLab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut config = load(
            None,
            &[("SERVERLEDGE_DATA_DIR", data.to_str().unwrap())],
            &MACHINE,
            &[],
        )
        .unwrap()
        .config;
        config.pool.memory = MemoryMib::new(4096);
        let registry: Arc<dyn Kv> = Arc::new(Embedded::open(&data, &Options::default()).unwrap());
        let (containers, fake) = FakeExecutor::pooled();
        let executors = Executors {
            wasm: Arc::new(FakeExecutor::new().0),
            snapshots: None,
            containers: Some(Arc::new(containers)),
        };
        Self {
            node: Arc::new(build(&config, &registry, executors).unwrap()),
            fake,
            _dir: dir,
        }
    }

    async fn deploy_in(
        &self,
        space: &SpaceId,
        name: &str,
        behaviour: &Behaviour,
        more: serde_json::Value,
    ) {
        let mut body = json!({"Name": name, "Runtime": "python", "TarFunctionCode": STANDARD.encode(behaviour.code())});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let body = body.to_string();
        let request = FunctionBody::parse(body.as_bytes()).unwrap();
        self.node
            .deployer
            .deploy(space, Deploy::Update, request, &())
            .await
            .unwrap();
    }

    /// An idempotent function.
    async fn deploy(&self, name: &str, behaviour: &Behaviour) {
        self.deploy_in(
            &SpaceId::default_space(),
            name,
            behaviour,
            json!({"Idempotent": true}),
        )
        .await;
    }

    async fn call(&self, name: &str, params: &str) -> Told {
        self.send(CacheLab::asked(name, params, None)).await
    }

    /// A call as an endpoint makes it, with its client's cache.
    fn asked(name: &str, params: &str, body: Option<serde_json::Value>) -> ClientCall {
        let client_cache = body.and_then(|body| {
            EndpointBody::parse(&body.to_string().into())
                .unwrap()
                .client_cache
        });
        let mut call = call_of(name, params);
        call.call.context.client_cache = client_cache.map(Arc::<ClientCache>::new);
        call.call.context.returns_cache = true;
        call
    }

    async fn send(&self, call: ClientCall) -> Told {
        Arc::clone(&self.node.invoker).call(call).await
    }

    async fn carry(&self, name: &str, params: &str, body: serde_json::Value) -> Report {
        self.send(CacheLab::asked(name, params, Some(body)))
            .await
            .unwrap()
    }

    /// Number of runs of a function.
    fn runs(&self, name: &str) -> usize {
        self.fake
            .calls()
            .iter()
            .filter(|call| call.function.as_str() == name)
            .count()
    }
}

fn result(report: &Report) -> &Bytes {
    let Reply::Json(result) = &report.reply else {
        panic!("JSON")
    };
    result
}

fn calls(function: &str) -> Behaviour {
    Behaviour::Call {
        function: function.to_owned(),
    }
}

fn key(params: &str) -> String {
    STANDARD.encode(params)
}

/// The member `cache` of an answer.
fn cache_of(report: &Report) -> serde_json::Value {
    let answer: serde_json::Value =
        serde_json::from_slice(&response(result(report), &report.memo.entries)).unwrap();
    answer["cache"].clone()
}

#[tokio::test]
async fn a_result_is_kept_by_the_value_of_its_parameters() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    assert_eq!(
        lab.call("f", r#"{"b": 1, "a": 2.0}"#)
            .await
            .unwrap()
            .memo
            .source,
        Source::Ran
    );
    let second = lab.call("f", r#"{"a":2,"b":1}"#).await.unwrap();
    assert_eq!(
        (second.memo.source, &result(&second)[..]),
        (Source::Cache, &br#"{"a":2,"b":1}"#[..])
    );
    assert_eq!(
        lab.fake.calls()[0].params,
        r#"{"a":2,"b":1}"#,
        "what is keyed is what ran"
    );
    assert_eq!(lab.call("f", "[]").await.unwrap().memo.source, Source::Ran);
    // What would change in value runs as it was sent, each time.
    for _ in 0..2 {
        let report = lab
            .call("f", r#"{"a":9007199254740993, "a":1}"#)
            .await
            .unwrap();
        assert_eq!(
            (report.memo.source, report.memo.entries.len()),
            (Source::Ran, 0)
        );
        assert_eq!(result(&report), r#"{"a":9007199254740993, "a":1}"#);
    }
    assert_eq!(lab.runs("f"), 4);
}

#[tokio::test]
async fn failures_and_functions_that_are_not_idempotent_are_not_kept() {
    let lab = CacheLab::new();
    lab.deploy(
        "bad",
        &Behaviour::Fail {
            log: "l".into(),
            message: "m".into(),
        },
    )
    .await;
    lab.deploy_in(
        &SpaceId::default_space(),
        "plain",
        &Behaviour::Echo,
        json!({}),
    )
    .await;
    for _ in 0..2 {
        assert!(matches!(
            lab.call("bad", "1").await,
            Err(InvocationError::Function(_))
        ));
        assert_eq!(
            lab.call("plain", "1").await.unwrap().memo.source,
            Source::Ran
        );
    }
    assert_eq!((lab.runs("bad"), lab.runs("plain")), (2, 2));
    lab.fake.hold();
    let plain = futures_util::future::join_all([lab.call("plain", "2"), lab.call("plain", "2")]);
    let release = async {
        lab.fake
            .wait_for("two runs", |counts| counts.running == 2)
            .await;
        lab.fake.release();
    };
    assert!(
        tokio::join!(plain, release)
            .0
            .iter()
            .all(|told| told.as_ref().unwrap().memo.source == Source::Ran)
    );
}

#[tokio::test]
async fn a_thousand_identical_calls_run_once() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    lab.fake.hold();
    let all = futures_util::future::join_all((0..1_000).map(|_| lab.call("f", "7")));
    let release = async {
        lab.fake
            .wait_for("the run", |counts| counts.running == 1)
            .await;
        lab.fake.release();
    };
    let (all, ()) = tokio::join!(all, release);
    let sources: Vec<_> = all
        .into_iter()
        .map(|told| told.unwrap().memo.source)
        .collect();
    assert_eq!(
        sources
            .iter()
            .filter(|source| **source == Source::Ran)
            .count(),
        1
    );
    assert_eq!(
        sources
            .iter()
            .filter(|source| **source == Source::Joined)
            .count(),
        999
    );
    assert_eq!(
        (lab.runs("f"), lab.node.invoker.result_cache.runs.len()),
        (1, 0)
    );
}

#[tokio::test]
async fn the_first_caller_may_leave_and_the_last_one_ends_the_run() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    lab.fake.hold();
    let mut second = Box::pin(lab.call("f", "7"));
    {
        let mut first = Box::pin(lab.call("f", "7"));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        lab.fake
            .wait_for("the run", |counts| counts.running == 1)
            .await;
    }
    lab.fake.release();
    assert_eq!(second.await.unwrap().memo.source, Source::Joined);
    assert_eq!(lab.runs("f"), 1);
    lab.fake.hold();
    {
        let mut alone = Box::pin(lab.call("f", "8"));
        assert!(futures_util::poll!(&mut alone).is_pending());
        lab.fake
            .wait_for("the run", |counts| counts.running == 1)
            .await;
    }
    lab.fake
        .wait_for("its end", |counts| {
            counts.running == 0 && counts.dropped == 1
        })
        .await;
    assert_eq!(lab.node.invoker.result_cache.runs.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_caller_waits_by_its_own_deadline() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    lab.fake.hold();
    let hasty = super::now() + std::time::Duration::from_secs(1);
    let mut first = CacheLab::asked("f", "7", None);
    first.call.deadline = Some(hasty);
    let first = lab.send(first);
    let second = lab.call("f", "7");
    let release = async {
        lab.fake
            .wait_for("the run", |counts| counts.running == 1)
            .await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        lab.fake.release();
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert!(matches!(
        first,
        Err(InvocationError::Overloaded {
            reason: OverloadReason::Deadline,
            ..
        })
    ));
    assert_eq!(second.unwrap().memo.source, Source::Joined);
    assert_eq!(lab.runs("f"), 1);
}

#[tokio::test]
async fn equal_code_in_two_spaces_is_two_functions() {
    let lab = CacheLab::new();
    let other = SpaceId::new();
    let idempotent = || json!({"Idempotent": true});
    lab.deploy("outer", &calls("inner")).await;
    lab.deploy("inner", &Behaviour::Large { bytes: 4 }).await;
    lab.deploy_in(&other, "outer", &calls("inner"), idempotent())
        .await;
    lab.deploy_in(
        &other,
        "inner",
        &Behaviour::Large { bytes: 9 },
        idempotent(),
    )
    .await;
    for _ in 0..2 {
        let ours = lab.call("outer", "1").await.unwrap();
        let caller = Caller {
            space: other.clone(),
            ..Caller::anonymous()
        };
        let theirs = lab
            .send(ClientCall {
                caller,
                ..CacheLab::asked("outer", "1", None)
            })
            .await
            .unwrap();
        assert_eq!((result(&ours).len(), result(&theirs).len()), (4, 9));
    }
    assert_eq!(lab.runs("outer"), 2);
}

#[tokio::test]
async fn a_result_that_calls_made_ends_with_its_generation() {
    let lab = CacheLab::new();
    lab.deploy("outer", &calls("inner")).await;
    lab.deploy("inner", &Behaviour::Large { bytes: 4 }).await;
    lab.deploy("leaf", &Behaviour::Echo).await;
    let first = lab.call("outer", "1").await.unwrap();
    assert!(first.memo.called);
    let nested: Vec<_> = first
        .memo
        .entries
        .iter()
        .map(|entry| (entry.function.as_str(), entry.nested))
        .collect();
    assert_eq!(nested, [("inner", true), ("outer", false)]);
    lab.call("leaf", "1").await.unwrap();
    let hit = lab.call("outer", "1").await.unwrap().memo;
    assert_eq!(
        (hit.source, hit.called),
        (Source::Cache, true),
        "whoever else keeps it has to know"
    );
    lab.deploy("inner", &Behaviour::Large { bytes: 9 }).await;
    let after = lab.call("outer", "1").await.unwrap();
    assert_eq!((after.memo.source, result(&after).len()), (Source::Ran, 9));
    assert_eq!(
        lab.call("leaf", "1").await.unwrap().memo.source,
        Source::Cache,
        "it calls nothing"
    );
    assert_eq!(
        lab.call("inner", "1").await.unwrap().memo.source,
        Source::Cache,
        "from the nested call"
    );
}

#[tokio::test]
async fn a_cycle_of_idempotent_functions_is_told() {
    let lab = CacheLab::new();
    for (name, callee) in [("a", "b"), ("b", "a"), ("own", "own")] {
        lab.deploy(name, &calls(callee)).await;
    }
    for (name, runs) in [("a", 1), ("own", 1)] {
        let Err(InvocationError::Function(failure)) = lab.call(name, "1").await else {
            panic!("it never ends")
        };
        assert!(
            failure
                .message
                .contains("calls itself with the same parameters"),
            "{}",
            failure.message
        );
        assert_eq!(lab.runs(name), runs);
    }
}

/// A result that a function gives in spite of a failed callee is not kept, unless the callee fails whenever it is
/// called.
#[tokio::test]
async fn what_is_made_do_with_is_not_kept() {
    let lab = CacheLab::new();
    let attempts = |function: &str| Behaviour::Attempt {
        function: function.to_owned(),
    };
    for (name, callee) in [
        ("a", "b"),
        ("b", "a"),
        ("beyond", "deep"),
        ("nobody", "none"),
    ] {
        lab.deploy(name, &attempts(callee)).await;
    }
    lab.deploy("above", &calls("a")).await;
    lab.deploy("fails", &attempts("fail")).await;
    lab.deploy(
        "fail",
        &Behaviour::Fail {
            message: "no".to_owned(),
            log: String::new(),
        },
    )
    .await;
    let default = SpaceId::default_space();
    lab.deploy_in(&default, "deep", &attempts("deep"), json!({}))
        .await;
    for (name, told, source) in [
        ("a", "\"call_cycle\"", Source::Ran),
        ("b", "\"call_cycle\"", Source::Ran),
        ("above", "\"call_cycle\"", Source::Ran),
        ("beyond", "\"call_too_deep\"", Source::Ran),
        ("fails", "\"function_error\"", Source::Cache),
        ("nobody", "\"function_unknown\"", Source::Cache),
    ] {
        let first = lab.call(name, "1").await.unwrap();
        assert_eq!(
            (first.memo.source, result(&first).as_ref()),
            (Source::Ran, told.as_bytes()),
            "{name}"
        );
        assert_eq!(
            first
                .memo
                .entries
                .iter()
                .any(|entry| entry.function.as_str() == name),
            source == Source::Cache
        );
        assert_eq!(
            lab.call(name, "1").await.unwrap().memo.source,
            source,
            "{name}"
        );
    }
}

/// A lab where `callee` needs all the memory that there is, so that it is refused to any caller that holds some.
async fn with_a_refused_callee(callers: &[(&str, Behaviour)]) -> CacheLab {
    let lab = CacheLab::new();
    let all = json!({"Idempotent": true, "MemoryMB": 4096});
    lab.deploy_in(&SpaceId::default_space(), "callee", &Behaviour::Echo, all)
        .await;
    for (name, behaviour) in callers {
        lab.deploy(name, behaviour).await;
    }
    lab
}

/// A result is not kept however far below a call was refused, and whether or not a function between failed because of
/// it.
#[tokio::test]
async fn no_result_stands_on_a_call_that_was_refused_further_down() {
    let attempts = |function: &str| Behaviour::Attempt {
        function: function.to_owned(),
    };
    let callers = [
        ("top", attempts("middle")),
        ("middle", calls("callee")),
        ("higher", attempts("between")),
        ("between", calls("middle")),
        ("highest", calls("higher")),
    ];
    let lab = with_a_refused_callee(&callers).await;
    for name in ["top", "higher", "highest"] {
        for _ in 0..2 {
            let report = lab.call(name, "1").await.unwrap();
            assert_eq!(
                (report.memo.source, &result(&report)[..]),
                (Source::Ran, &b"\"function_error\""[..]),
                "{name}"
            );
            assert!(
                report.memo.uncacheable && report.memo.entries.is_empty(),
                "{name}"
            );
        }
    }
    // Once the callee gets what it needs, so do they.
    lab.deploy("callee", &Behaviour::Echo).await;
    assert_eq!(result(&lab.call("top", "1").await.unwrap()), "1");
    assert_eq!(
        lab.call("top", "1").await.unwrap().memo.source,
        Source::Cache
    );
}

#[tokio::test]
async fn a_failure_for_a_refused_call_is_shared_with_nobody() {
    for (behaviour, runs) in [
        (calls("callee"), 2),
        (
            Behaviour::Fail {
                message: String::new(),
                log: String::new(),
            },
            1,
        ),
    ] {
        let lab = with_a_refused_callee(&[("f", behaviour)]).await;
        lab.fake.hold();
        let release = async {
            lab.fake
                .wait_for("the run", |counts| counts.running == 1)
                .await;
            lab.fake.release();
        };
        let (first, second, ()) = tokio::join!(lab.call("f", "1"), lab.call("f", "1"), release);
        for told in [first, second] {
            let Err(InvocationError::Function(failure)) = told else {
                panic!("it fails")
            };
            assert_eq!(failure.stale, runs == 2);
        }
        assert_eq!(lab.runs("f"), runs);
    }
}

/// A run adds to a store for one call only; and its reads may be older than a call that came later.
#[tokio::test]
async fn a_run_that_used_a_store_is_shared_with_nobody() {
    let lab = CacheLab::new();
    let count = Behaviour::Count {
        key: "calls".to_owned(),
        reads: 1,
    };
    lab.deploy("f", &count).await;
    lab.fake.hold();
    let all = futures_util::future::join_all((0..3).map(|_| lab.call("f", "1")));
    let release = async {
        lab.fake
            .wait_for("the run", |counts| counts.running == 1)
            .await;
        lab.fake.release();
    };
    let (all, ()) = tokio::join!(all, release);
    let reports: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(
        reports
            .iter()
            .all(|report| report.memo.source == Source::Ran && report.memo.uncacheable)
    );
    let mut sums: Vec<_> = reports.iter().map(result).collect();
    assert_eq!(sums[0], "1", "the first one's own run");
    sums.sort();
    assert_eq!(sums, ["1", "2", "3"]);
    assert_eq!(
        (lab.runs("f"), lab.node.invoker.result_cache.runs.len()),
        (3, 0)
    );
    assert_eq!(result(&lab.call("f", "1").await.unwrap()), "4");
}

#[tokio::test]
async fn what_a_client_carries_shapes_its_own_answer_alone() {
    let lab = CacheLab::new();
    let edge = json!({"Idempotent": true, "Edge": true});
    lab.deploy("outer", &calls("inner")).await;
    lab.deploy_in(&SpaceId::default_space(), "inner", &Behaviour::Echo, edge)
        .await;
    let forged = || json!({"edgeResults": {"inner": {key("1"): "forged"}}});
    let shaped = lab.carry("outer", "1", forged()).await;
    assert_eq!(
        (&result(&shaped)[..], shaped.memo.client_influenced),
        (&b"\"forged\""[..], true)
    );
    let entries: Vec<_> = shaped
        .memo
        .entries
        .iter()
        .map(|entry| entry.function.as_str())
        .collect();
    assert_eq!(entries, ["outer"], "inner was not run");
    let honest = lab.call("outer", "1").await.unwrap();
    assert_eq!(
        (&result(&honest)[..], honest.memo.source),
        (&b"1"[..], Source::Ran)
    );
    // The honest result is kept now, and is the answer to both.
    assert_eq!(
        lab.carry("outer", "1", forged()).await.memo.source,
        Source::Cache
    );
    // Its own entries, carried back, shape its answers again, and nobody else's.
    let again = lab
        .carry("outer", "1", json!({"cache": cache_of(&shaped)}))
        .await;
    assert_eq!(
        (&result(&again)[..], again.memo.source),
        (&b"\"forged\""[..], Source::ClientCache)
    );
    assert_eq!(cache_of(&again)["outer"], json!({key("1"): "forged"}));
    assert_eq!(result(&lab.call("outer", "1").await.unwrap()), "1");
}

#[tokio::test]
async fn edge_results_are_believed_where_the_owner_says_so() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    lab.deploy_in(
        &SpaceId::default_space(),
        "edge",
        &Behaviour::Echo,
        json!({"Edge": true}),
    )
    .await;
    let refused = lab
        .carry("f", "1", json!({"edgeResults": {"f": {key("1"): 2}}}))
        .await;
    assert_eq!(
        (&result(&refused)[..], refused.memo.source),
        (&b"1"[..], Source::Ran)
    );
    assert_eq!(
        refused.memo.ignored,
        Ignored {
            not_edge: 1,
            ..Ignored::default()
        }
    );
    assert!(!refused.memo.client_influenced);
    // An entry without a tag counts as one.
    for member in ["edgeResults", "cache"] {
        let believed = lab
            .carry("edge", " 1.0", json!({member: {"edge": {key("1"): 2}}}))
            .await;
        assert_eq!(
            (&result(&believed)[..], believed.memo.source),
            (&b"2"[..], Source::Edge),
            "{member}"
        );
        assert!(believed.memo.entries.is_empty());
    }
    assert_eq!(lab.runs("edge"), 0);
}

#[tokio::test]
async fn entries_are_believed_with_their_tags_only() {
    let lab = CacheLab::new();
    lab.deploy("f", &Behaviour::Echo).await;
    lab.deploy("g", &Behaviour::Echo).await;
    let cache = cache_of(&lab.call("f", "1").await.unwrap());
    let tag = &cache["$tags"]["f"][key("1")];
    let client_cache = lab.carry("f", "1", json!({"cache": cache})).await;
    assert_eq!(
        (client_cache.memo.source, client_cache.memo.ignored),
        (Source::ClientCache, Ignored::default())
    );
    for (name, body) in [
        ("f", json!({"f": {key("1"): 1}})),
        (
            "f",
            json!({"f": {key("1"): 2}, "$tags": {"f": {key("1"): tag}}}),
        ),
        (
            "f",
            json!({"f": {key("1"): 1}, "$tags": {"f": {key("1"): "v1.1.2.3.4.5"}}}),
        ),
        (
            "g",
            json!({"g": {key("1"): 1}, "$tags": {"g": {key("1"): tag}}}),
        ),
    ] {
        let report = lab.carry(name, "1", json!({"cache": body})).await;
        assert_eq!(result(&report), "1", "{body}");
        assert_ne!(report.memo.source, Source::ClientCache, "{body}");
        assert_eq!(
            report.memo.ignored,
            Ignored {
                forged: 1,
                ..Ignored::default()
            },
            "{body}"
        );
    }
    // Another generation.
    lab.deploy("g", &Behaviour::Large { bytes: 3 }).await;
    let report = lab.carry("f", "1", json!({"cache": cache})).await;
    assert_eq!(
        report.memo.ignored,
        Ignored {
            outdated: 1,
            ..Ignored::default()
        }
    );
    // Another application.
    let other = SpaceId::new();
    lab.deploy_in(&other, "f", &Behaviour::Echo, json!({"Idempotent": true}))
        .await;
    let caller = Caller {
        space: other,
        ..Caller::anonymous()
    };
    let call = ClientCall {
        caller,
        ..CacheLab::asked("f", "1", Some(json!({"cache": cache})))
    };
    assert_eq!(
        lab.send(call).await.unwrap().memo.ignored,
        Ignored {
            forged: 1,
            ..Ignored::default()
        }
    );
}
