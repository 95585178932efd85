//! Golden files of the records.

use expect_test::{Expect, expect};

use super::*;

mod account;
mod application;

fn check<R: Record>(record: &R, expected: &Expect) {
    let value = record.to_value();
    let pretty: serde_json::Value = serde_json::from_slice(&value).unwrap();
    expected.assert_eq(&serde_json::to_string_pretty(&pretty).unwrap());
    assert_eq!(
        R::from_value(&value).unwrap().to_value(),
        value,
        "reading and writing changes nothing"
    );
}

fn function() -> Function {
    Function {
        space: SpaceId::default_space(),
        name: FunctionName::parse("hello").unwrap(),
        version: Arc::new(Version {
            digest: Digest::new([1; 32]),
            runtime: Runtime::Wasm,
            code: Digest::new([2; 32]),
            handler: "main.handler".to_owned(),
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            secrets: Secrets::default(),
            network: Network::None,
            outbound: BTreeSet::new(),
            image: String::new(),
            io: ProgramIo::default(),
            limits: FunctionLimits {
                cpu: CpuMilli::new(250),
                cpu_time: Some(Duration::from_secs(1)),
                ..FunctionLimits::default()
            },
        }),
        interface: Interface::Http,
        flags: Flags {
            idempotent: true,
            ..Flags::default()
        },
        signature: Some(Signature {
            inputs: vec![Parameter {
                name: "n".to_owned(),
                kind: "Int".to_owned(),
            }],
            outputs: Vec::new(),
        }),
    }
}

#[test]
fn results_that_depend_on_hosts_are_in_the_record_if_they_are_kept() {
    let mut function = function();
    let member = |function: &Function| {
        let value = FunctionRecord::from_function(function).to_value();
        String::from_utf8_lossy(&value).contains(r#""keeps_outbound":true"#)
    };
    assert!(!member(&function));
    function.flags.keeps_outbound = true;
    assert!(member(&function));
    let back = FunctionRecord::from_function(&function)
        .into_function(function.space.clone(), function.name.clone())
        .unwrap();
    assert_eq!(back.flags, function.flags);
}

#[test]
fn function_record() {
    let function = function();
    let record = FunctionRecord::from_function(&function);
    check(
        &record,
        &expect![[r#"
        {
          "code": "0202020202020202020202020202020202020202020202020202020202020202",
          "cpu_milli": 250,
          "cpu_time_ms": 1000,
          "edge": false,
          "env": {
            "A": "1"
          },
          "handler": "main.handler",
          "idempotent": true,
          "interface": "http",
          "max_concurrency": 1,
          "memory_mib": 128,
          "runtime": "wasm",
          "schema": 1,
          "signature": {
            "inputs": [
              {
                "name": "n",
                "type": "Int"
              }
            ],
            "outputs": []
          },
          "timeout_ms": 30000,
          "version": "0101010101010101010101010101010101010101010101010101010101010101"
        }"#]],
    );
    assert_eq!(
        record
            .into_function(function.space.clone(), function.name.clone())
            .unwrap(),
        function
    );
}

/// The default is not written, so that the records of before and of older nodes are the same.
#[test]
fn isolation_is_recorded_unless_it_is_the_default() {
    let kept = FunctionRecord::from_function(&function());
    let text = String::from_utf8(kept.to_value().to_vec()).unwrap();
    assert!(!text.contains("isolation"), "{text}");
    let mut function = function();
    function.flags.isolation = Isolation::Fresh;
    let fresh = FunctionRecord::from_function(&function);
    let value = fresh.to_value();
    assert_eq!(fresh.isolation.as_deref(), Some("fresh"));
    let read = |record: FunctionRecord| {
        record.into_function(function.space.clone(), function.name.clone())
    };
    assert_eq!(
        read(FunctionRecord::from_value(&value).unwrap()).unwrap(),
        function
    );
    let explicit = FunctionRecord {
        isolation: Some("kept".to_owned()),
        ..kept.clone()
    };
    assert_eq!(read(explicit).unwrap().flags.isolation, Isolation::Kept);
    let unknown = FunctionRecord {
        isolation: Some("shared".to_owned()),
        ..kept
    };
    let fault = read(unknown).unwrap_err().to_string();
    assert_eq!(fault, "the record's isolation is \"shared\"");
}

/// The defaults are not written, so that the records of before and of older nodes are the same.
#[test]
fn arguments_and_streams_are_recorded_unless_they_are_the_default() {
    let plain = FunctionRecord::from_function(&function());
    let text = String::from_utf8(plain.to_value().to_vec()).unwrap();
    assert!(!text.contains("args") && !text.contains("std"), "{text}");
    let mut function = function();
    let io = ProgramIo {
        args: vec!["--width".to_owned(), "{width}".to_owned()],
        stdin: Stdin::Body,
        stdout: Stdout::Raw("image/svg+xml".to_owned()),
    };
    function.version = Arc::new(Version {
        io,
        ..Version::clone(&function.version)
    });
    let record = FunctionRecord::from_function(&function);
    let read = |record: FunctionRecord| {
        record.into_function(function.space.clone(), function.name.clone())
    };
    let value = record.to_value();
    assert_eq!(
        read(FunctionRecord::from_value(&value).unwrap()).unwrap(),
        function
    );
    let unknown = FunctionRecord {
        stdin: Some("file".to_owned()),
        ..plain.clone()
    };
    assert_eq!(
        read(unknown).unwrap_err().to_string(),
        "the record's stdin is \"file\""
    );
    let unknown = FunctionRecord {
        stdout: Some("svg".to_owned()),
        ..plain
    };
    assert_eq!(
        read(unknown).unwrap_err().to_string(),
        "the record's stdout is \"svg\""
    );
}

/// Functions that send no requests have the records of before.
#[test]
fn hosts_are_recorded_if_there_are_any() {
    let plain = FunctionRecord::from_function(&function());
    let text = String::from_utf8(plain.to_value().to_vec()).unwrap();
    assert!(!text.contains("outbound"), "{text}");
    let mut function = function();
    let hosts = ["*.example.org", "http://localhost:8080"];
    function.version = Arc::new(Version {
        outbound: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        ..Version::clone(&function.version)
    });
    let record = FunctionRecord::from_function(&function);
    assert_eq!(
        record.outbound,
        ["http://localhost:8080", "https://*.example.org"]
    );
    let read = |record: FunctionRecord| {
        record.into_function(function.space.clone(), function.name.clone())
    };
    let value = record.to_value();
    assert_eq!(
        read(FunctionRecord::from_value(&value).unwrap()).unwrap(),
        function
    );
    let unknown = FunctionRecord {
        outbound: vec!["a.example".to_owned(), "b/c".to_owned()],
        ..plain
    };
    assert_eq!(
        read(unknown).unwrap_err().to_string(),
        "the record's outbound is \"b/c\""
    );
}

#[test]
fn manifest_record() {
    check(
        &ManifestRecord::begun(1_000_000, 2, 1_700_000_000_000),
        &expect![[r#"
        {
          "bytes": 1000000,
          "chunks": 2,
          "complete": false,
          "schema": 1,
          "touched_unix_ms": 1700000000000
        }"#]],
    );
}

fn accepted(params: StoredJson) -> InvocationRecord {
    InvocationRecord::accepted(&function(), params, 1_700_000_000_000)
}

#[test]
fn queued_invocation() {
    let params = r#"{ "n":1e400, "n":[] }"#;
    let record = accepted(StoredJson::Inline(Arc::from(
        RawValue::from_string(params.to_owned()).unwrap(),
    )));
    let value = String::from_utf8(record.to_value().to_vec()).unwrap();
    assert!(value.contains(params), "parameters stay as they were sent");
    let record = accepted(StoredJson::Blob(Digest::new([3; 32]).to_string()));
    check(
        &record,
        &expect![[r#"
            {
              "accepted_unix_ms": 1700000000000,
              "attempt": 0,
              "function": "hello",
              "params": {
                "blob": "0303030303030303030303030303030303030303030303030303030303030303"
              },
              "pinned": {
                "code": "0202020202020202020202020202020202020202020202020202020202020202",
                "cpu_milli": 250,
                "cpu_time_ms": 1000,
                "edge": false,
                "env": {
                  "A": "1"
                },
                "handler": "main.handler",
                "idempotent": true,
                "interface": "http",
                "max_concurrency": 1,
                "memory_mib": 128,
                "runtime": "wasm",
                "schema": 1,
                "signature": {
                  "inputs": [
                    {
                      "name": "n",
                      "type": "Int"
                    }
                  ],
                  "outputs": []
                },
                "timeout_ms": 30000,
                "version": "0101010101010101010101010101010101010101010101010101010101010101"
              },
              "schema": 1,
              "space": "default",
              "state": "queued"
            }"#]],
    );
}

#[test]
fn finished_invocation() {
    let result = RawValue::from_string("[1,2]".to_owned()).unwrap();
    let record = InvocationRecord {
        state: InvocationState::Done,
        attempt: 1,
        started_unix_ms: Some(1_700_000_000_001),
        finished_unix_ms: Some(1_700_000_000_002),
        result: Some(StoredJson::Inline(Arc::from(result))),
        error: Some(ErrorRecord {
            code: "function_error".to_owned(),
            message: "boom".to_owned(),
            stack: None,
        }),
        log: Some("a line\n".to_owned()),
        report: Some(ReportRecord {
            response_time: 0.25,
            is_warm_start: true,
            ..ReportRecord::default()
        }),
        ..accepted(StoredJson::Blob(Digest::new([3; 32]).to_string()))
    };
    check(
        &record,
        &expect![[r#"
            {
              "accepted_unix_ms": 1700000000000,
              "attempt": 1,
              "error": {
                "code": "function_error",
                "message": "boom"
              },
              "finished_unix_ms": 1700000000002,
              "function": "hello",
              "log": "a line\n",
              "params": {
                "blob": "0303030303030303030303030303030303030303030303030303030303030303"
              },
              "pinned": {
                "code": "0202020202020202020202020202020202020202020202020202020202020202",
                "cpu_milli": 250,
                "cpu_time_ms": 1000,
                "edge": false,
                "env": {
                  "A": "1"
                },
                "handler": "main.handler",
                "idempotent": true,
                "interface": "http",
                "max_concurrency": 1,
                "memory_mib": 128,
                "runtime": "wasm",
                "schema": 1,
                "signature": {
                  "inputs": [
                    {
                      "name": "n",
                      "type": "Int"
                    }
                  ],
                  "outputs": []
                },
                "timeout_ms": 30000,
                "version": "0101010101010101010101010101010101010101010101010101010101010101"
              },
              "report": {
                "duration": 0.0,
                "execution_area": "",
                "execution_node": "",
                "init_time": 0.0,
                "is_warm_start": true,
                "offload_latency": 0.0,
                "queueing_time": 0.0,
                "response_time": 0.25
              },
              "result": {
                "inline": [
                  1,
                  2
                ]
              },
              "schema": 1,
              "space": "default",
              "started_unix_ms": 1700000000001,
              "state": "done"
            }"#]],
    );
}

#[test]
fn foreign_records_are_refused() {
    let value = |value: &str| FunctionRecord::from_value(value.as_bytes()).unwrap_err();
    assert!(matches!(
        value(r#"{"schema":2,"new":true}"#),
        RecordError::Schema { found: 2, known: 1 }
    ));
    assert!(matches!(
        value(r#"{"Name":"from Serverledge in Go"}"#),
        RecordError::Schema { found: 0, .. }
    ));
    assert!(matches!(value(r#"{"schema":1}"#), RecordError::Json(_)));
    assert!(matches!(value("x"), RecordError::Json(_)));
    let mut record = FunctionRecord::from_function(&function());
    record.runtime = "cobol".to_owned();
    let error = record
        .into_function(SpaceId::default_space(), FunctionName::parse("f").unwrap())
        .unwrap_err();
    assert_eq!(error.to_string(), r#"the record's runtime is "cobol""#);
}

#[test]
fn function_record_of_a_container() {
    let mut function = function();
    function.version = Arc::new(Version {
        runtime: Runtime::Custom,
        secrets: Secrets {
            nonce: std::array::from_fn(|i| u8::try_from(i * 16 + 1).unwrap()),
            values: BTreeMap::from([("KEY".to_owned(), "hidden".to_owned())]),
            ..Secrets::default()
        },
        network: Network::Bridge,
        image: "registry.example/team/image:1".to_owned(),
        ..Version::clone(&function.version)
    });
    let record = FunctionRecord::from_function(&function);
    check(
        &record,
        &expect![[r#"
        {
          "code": "0202020202020202020202020202020202020202020202020202020202020202",
          "cpu_milli": 250,
          "cpu_time_ms": 1000,
          "edge": false,
          "env": {
            "A": "1"
          },
          "handler": "main.handler",
          "idempotent": true,
          "image": "registry.example/team/image:1",
          "interface": "http",
          "max_concurrency": 1,
          "memory_mib": 128,
          "network": "bridge",
          "runtime": "custom",
          "schema": 1,
          "secrets": {
            "nonce": "01112131415161718191a1b1c1d1e1f1",
            "values": {
              "KEY": "hidden"
            }
          },
          "signature": {
            "inputs": [
              {
                "name": "n",
                "type": "Int"
              }
            ],
            "outputs": []
          },
          "timeout_ms": 30000,
          "version": "0101010101010101010101010101010101010101010101010101010101010101"
        }"#]],
    );
    assert!(!format!("{record:?}").contains("hidden"), "{record:?}");
    let space = function.space.clone();
    let name = function.name.clone();
    assert_eq!(
        record
            .clone()
            .into_function(space.clone(), name.clone())
            .unwrap(),
        function
    );
    for nonce in ["", "01", &"g".repeat(32), &"+1".repeat(16), &"é".repeat(16)] {
        let secrets = Some(SecretsRecord {
            nonce: nonce.to_owned(),
            values: BTreeMap::new(),
            sealed: BTreeMap::new(),
            seal: String::new(),
        });
        let damaged = FunctionRecord {
            secrets,
            ..record.clone()
        };
        let error = damaged
            .into_function(space.clone(), name.clone())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the record's nonce is {nonce:?}")
        );
    }
    let unknown = FunctionRecord {
        network: Some("moon".to_owned()),
        ..record
    };
    assert!(unknown.into_function(space, name).is_err());
}

#[test]
fn secrets_for_hosts_are_kept_with_the_random_part_of_placeholders() {
    let mut function = function();
    let rules = ["https://a.example", "http://b.example:8080"].map(|rule| rule.parse().unwrap());
    let secrets = Secrets {
        values: BTreeMap::from([("KEY".to_owned(), "hidden".to_owned())]),
        hosts: BTreeMap::from([("KEY".to_owned(), rules.into())]),
        seal: [6; 16],
        ..Secrets::default()
    };
    function.version = Arc::new(Version {
        secrets,
        ..Version::clone(&function.version)
    });
    let record = FunctionRecord::from_function(&function);
    let (space, name) = (function.space.clone(), function.name.clone());
    let read = record.clone().into_function(space.clone(), name.clone());
    assert_eq!(read.unwrap(), function);
    let values = record.secrets.as_ref().map(|secrets| &secrets.values);
    assert_eq!(
        values,
        Some(&BTreeMap::new()),
        "nothing for a node that does not know them"
    );
    assert!(!format!("{record:?}").contains("hidden"), "{record:?}");
    for (seal, host, told) in [
        ("06", "https://a.example", "the record's seal is \"06\""),
        (
            "",
            "a.example/path",
            "the record's secret hosts is \"a.example/path\"",
        ),
    ] {
        let mut damaged = record.clone();
        if let Some(secrets) = &mut damaged.secrets {
            seal.clone_into(&mut secrets.seal);
            let sealed = SealedRecord {
                value: "hidden".to_owned(),
                hosts: vec![host.to_owned()],
            };
            secrets.sealed = BTreeMap::from([("KEY".to_owned(), sealed)]);
        }
        let error = damaged
            .into_function(space.clone(), name.clone())
            .unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn invocation_with_everything() {
    let mut record = InvocationRecord {
        state: InvocationState::Failed,
        error: Some(ErrorRecord {
            code: "function_error".to_owned(),
            message: "boom".to_owned(),
            stack: Some("at f".to_owned()),
        }),
        qos_class: 2,
        deadline_unix_ms: Some(1_700_000_000_500),
        local_only: true,
        return_output: true,
        node: Some("n1".to_owned()),
        dead_letter: true,
        idempotency: Some("04".repeat(32)),
        kept_until_unix_ms: Some(1_700_000_001_000),
        redrive_of: Some("018bcfe5-6800-7000-8000-000000000001".to_owned()),
        redriven_as: Some("018bcfe5-6800-7000-8000-000000000002".to_owned()),
        callback: Some(CallbackRecord {
            attempts: 1,
            next_unix_ms: Some(1_700_000_000_600),
            last_error: Some("busy".to_owned()),
            ..CallbackRecord::new("https://receiver.example/".to_owned())
        }),
        ..accepted(StoredJson::Blob(Digest::new([3; 32]).to_string()))
    };
    record.note("accepted", "n1", 1_700_000_000_000);
    let value: serde_json::Value = serde_json::from_slice(&record.to_value()).unwrap();
    let mut members = value.as_object().unwrap().clone();
    members.retain(|name, _| {
        ![
            "pinned",
            "params",
            "schema",
            "space",
            "function",
            "accepted_unix_ms",
        ]
        .contains(&&**name)
    });
    expect![[r#"
        {
          "attempt": 0,
          "callback": {
            "attempts": 1,
            "last_error": "busy",
            "next_unix_ms": 1700000000600,
            "state": "pending",
            "url": "https://receiver.example/"
          },
          "dead_letter": true,
          "deadline_unix_ms": 1700000000500,
          "error": {
            "code": "function_error",
            "message": "boom",
            "stack": "at f"
          },
          "history": [
            {
              "event": "accepted",
              "node": "n1",
              "unix_ms": 1700000000000
            }
          ],
          "idempotency": "0404040404040404040404040404040404040404040404040404040404040404",
          "kept_until_unix_ms": 1700000001000,
          "local_only": true,
          "node": "n1",
          "qos_class": 2,
          "redrive_of": "018bcfe5-6800-7000-8000-000000000001",
          "redriven_as": "018bcfe5-6800-7000-8000-000000000002",
          "return_output": true,
          "state": "failed"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&members).unwrap());
    let read = InvocationRecord::from_value(&record.to_value()).unwrap();
    assert_eq!(read.to_value(), record.to_value());
}

#[test]
fn histories_keep_the_latest() {
    let mut record = accepted(StoredJson::Blob(String::new()));
    for number in 0..20 {
        record.note(&number.to_string(), "n1", number);
    }
    let events: Vec<&str> = record
        .history
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(
        (events.len(), events[0], events[HISTORY_MAX - 1]),
        (HISTORY_MAX, "4", "19")
    );
}

/// A claim is there as long as something is owed.
#[test]
fn pending_work() {
    let mut record = accepted(StoredJson::Blob(String::new()));
    assert!(record.has_pending_work());
    record.state = InvocationState::Cancelled;
    assert!(!record.has_pending_work());
    for (state, owed) in [
        (CallbackState::Pending, true),
        (CallbackState::Delivered, false),
        (CallbackState::Failed, false),
    ] {
        record.callback = Some(CallbackRecord {
            state,
            ..CallbackRecord::new(String::new())
        });
        assert_eq!(record.has_pending_work(), owed, "{state:?}");
    }
}

#[test]
fn claims_and_keys() {
    let owner = OwnerRecord {
        area: "ROME".to_owned(),
        node: "n1".to_owned(),
        epoch: "e".to_owned(),
    };
    check(
        &ClaimRecord {
            schema: ClaimRecord::SCHEMA,
            owner,
            code: "02".repeat(32),
        },
        &expect![[r#"
        {
          "code": "0202020202020202020202020202020202020202020202020202020202020202",
          "owner": {
            "area": "ROME",
            "epoch": "e",
            "node": "n1"
          },
          "schema": 1
        }"#]],
    );
    let key = IdempotencyRecord {
        schema: IdempotencyRecord::SCHEMA,
        id: "018bcfe5-6800-7000-8000-000000000001".to_owned(),
        payload: "03".repeat(32),
        created_unix_ms: 1_700_000_000_000,
        expires_unix_ms: 1_700_086_400_000,
    };
    check(
        &key,
        &expect![[r#"
        {
          "created_unix_ms": 1700000000000,
          "expires_unix_ms": 1700086400000,
          "id": "018bcfe5-6800-7000-8000-000000000001",
          "payload": "0303030303030303030303030303030303030303030303030303030303030303",
          "schema": 1
        }"#]],
    );
}

/// An outcome is read, and written again when its callback is delivered.
#[test]
fn times_do_not_change_by_reading_them() {
    for nanoseconds in (1..3_000_000_000_u64).step_by(1_234_567) {
        let response_time = Duration::from_nanos(nanoseconds).as_secs_f64();
        let report = Some(ReportRecord {
            response_time,
            ..ReportRecord::default()
        });
        let record = InvocationRecord {
            report,
            ..accepted(StoredJson::Blob(String::new()))
        };
        let read = InvocationRecord::from_value(&record.to_value()).unwrap();
        assert_eq!(
            read.report.unwrap().response_time.to_bits(),
            response_time.to_bits()
        );
    }
}
