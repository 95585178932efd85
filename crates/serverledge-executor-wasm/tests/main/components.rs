//! `wasi:http` components that misbehave in the middle of an answer, put together from text: whatever they do, a reply
//! that is not whole never looks whole, and nothing of ours breaks.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use serverledge_core::{FailureKind, FunctionLimits, HttpBody, InvokeError, Outcome, Payload};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call, call_with, failure, kind, settled, time_limit};

/// The imports of the component, as `wasi:http` 0.2 has them; the functions that it uses, and all types of those.
const IMPORTS: &str = r#"
  (import "wasi:io/error@0.2.0" (instance $io-error (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (alias outer 1 $error (type $e))
    (export "error" (type $own-error (eq $e)))
    (type $stream-error-def (variant (case "last-operation-failed" (own $own-error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error-def)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/exit@0.2.0" (instance $exits (export "exit" (func (param "status" (result))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output-stream (type $os))
    (export "output-stream" (type $output (eq $os)))
    (export "get-stderr" (func (result (own $output))))))
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $output-stream (type $os))
    (export "output-stream" (type $output (eq $os)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type (sub resource)))
    (export "outgoing-response" (type $response (sub resource)))
    (export "outgoing-body" (type $body (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (type $dns-def (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns-def)))
    (type $tls-def (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls-def)))
    (type $field-def (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $field (eq $field-def)))
    (type $code-def (variant
      (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found") (case "destination-unavailable")
      (case "destination-IP-prohibited") (case "destination-IP-unroutable") (case "connection-refused")
      (case "connection-terminated") (case "connection-timeout") (case "connection-read-timeout")
      (case "connection-write-timeout") (case "connection-limit-reached") (case "TLS-protocol-error")
      (case "TLS-certificate-error") (case "TLS-alert-received" $tls) (case "HTTP-request-denied")
      (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $field))
      (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $field)
      (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $field) (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $field)
      (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $code (eq $code-def)))
    (type $header-error-def (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error-def)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string)
      (param "value" (list u8)) (result (result (error $header-error)))))
    (export "[method]outgoing-response.set-status-code"
      (func (param "self" (borrow $response)) (param "status-code" u16) (result (result))))
    (export "[constructor]outgoing-response" (func (param "headers" (own $fields)) (result (own $response))))
    (export "[method]outgoing-response.body" (func (param "self" (borrow $response)) (result (result (own $body)))))
    (export "[method]outgoing-body.write" (func (param "self" (borrow $body)) (result (result (own $output)))))
    (export "[static]outgoing-body.finish"
      (func (param "this" (own $body)) (param "trailers" (option (own $fields))) (result (result (error $code)))))
    (export "[static]response-outparam.set"
      (func (param "param" (own $outparam)) (param "response" (result (own $response) (error $code)))))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
"#;

/// The memory, apart from the code so that host functions can be given it; and those functions.
const LOWERED: &str = r#"
  (core module $store-module
    (memory (export "memory") 1)
    (data (i32.const 0x100) "hello")
    (data (i32.const 0x200) "content-lengthx-large")
    (data (i32.const 0x300) "setting DB_URL is missing\n")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x8000)))
  (core instance $store (instantiate $store-module))
  (alias core export $store "memory" (core memory $memory))
  (alias core export $store "realloc" (core func $realloc))
  (core func $fields (canon lower (func $types "[constructor]fields")))
  (core func $response (canon lower (func $types "[constructor]outgoing-response")))
  (core func $body (canon lower (func $types "[method]outgoing-response.body") (memory $memory)))
  (core func $stream (canon lower (func $types "[method]outgoing-body.write") (memory $memory)))
  (core func $finish (canon lower (func $types "[static]outgoing-body.finish") (memory $memory) (realloc $realloc)))
  (core func $set (canon lower (func $types "[static]response-outparam.set") (memory $memory)))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
  (core func $append (canon lower (func $types "[method]fields.append") (memory $memory)))
  (core func $status (canon lower (func $types "[method]outgoing-response.set-status-code")))
  (core func $exit (canon lower (func $exits "exit")))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $drop-outparam (canon resource.drop $outparam))
  (core func $drop-stream (canon resource.drop $output-stream))
"#;

/// The guest's helpers: `$answer` sets a response and opens its body, `$say` writes "hello", `$finish-body` ends the
/// body as it should be, `$compute` is busy for many ticks. `$length` adds a Content-Length of one digit to the response to
/// come, `$large` a header of 4,000 bytes, `$many-headers` 40 of them, `$answer-with` has a status. `$log` writes a line to stderr.
const HELPERS: &str = r#"
  (import "" "memory" (memory 1))
  (import "" "fields" (func $fields (result i32)))
  (import "" "response" (func $response (param i32) (result i32)))
  (import "" "body" (func $body (param i32 i32)))
  (import "" "stream" (func $stream (param i32 i32)))
  (import "" "finish" (func $finish (param i32 i32 i32 i32)))
  (import "" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "" "write" (func $write (param i32 i32 i32 i32)))
  (import "" "drop-outparam" (func $drop-outparam (param i32)))
  (import "" "drop-stream" (func $drop-stream (param i32)))
  (import "" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "" "status" (func $status (param i32 i32) (result i32)))
  (import "" "exit" (func $exit (param i32)))
  (import "" "get-stderr" (func $get-stderr (result i32)))
  (global $b (mut i32) (i32.const 0))
  (global $s (mut i32) (i32.const 0))
  (global $f (mut i32) (i32.const 0))
  (func $headers (if (i32.eqz (global.get $f)) (then (global.set $f (call $fields)))))
  (func $length (param $digit i32)
    (call $headers)
    (i32.store8 (i32.const 32) (i32.add (local.get $digit) (i32.const 48)))
    (call $append (global.get $f) (i32.const 0x200) (i32.const 14) (i32.const 32) (i32.const 1) (i32.const 16)))
  (func $large
    (call $headers)
    (memory.fill (i32.const 0x4000) (i32.const 97) (i32.const 4000))
    (call $append (global.get $f) (i32.const 0x20e) (i32.const 7) (i32.const 0x4000) (i32.const 4000) (i32.const 16)))
  (func $many-headers (local $n i32)
    (loop $again
      (call $large)
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 40)))))
  (func $log (call $write (call $get-stderr) (i32.const 0x300) (i32.const 26) (i32.const 16)))
  (func $answer (param $out i32) (call $answer-with (local.get $out) (i32.const 200)))
  (func $answer-with (param $out i32) (param $code i32) (local $r i32)
    (call $headers)
    (local.set $r (call $response (global.get $f)))
    (drop (call $status (local.get $r) (local.get $code)))
    (call $body (local.get $r) (i32.const 0))
    (global.set $b (i32.load (i32.const 4)))
    (call $stream (global.get $b) (i32.const 0))
    (global.set $s (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $r) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0)))
  (func $say (call $write (global.get $s) (i32.const 0x100) (i32.const 5) (i32.const 0)))
  (func $finish-body
    (call $drop-stream (global.get $s))
    (call $finish (global.get $b) (i32.const 0) (i32.const 0) (i32.const 16)))
  (func $compute (local $n i32)
    (loop $again
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 200000000)))))
"#;

/// A component whose handler has this body; `$out` is where the answer goes.
pub(crate) fn component(body: &str) -> String {
    let names = "fields response body stream finish set write drop-outparam drop-stream append status exit get-stderr";
    let names = names.split(' ');
    let given: String = names
        .map(|name| format!("(export \"{name}\" (func ${name}))"))
        .collect();
    format!(
        r#"(component {IMPORTS} {LOWERED}
          (core module $guest {HELPERS} (func (export "handle") (param $request i32) (param $out i32) {body}))
          (core instance $instance (instantiate $guest (with "" (instance (export "memory" (memory $memory)) {given}))))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $instance "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    )
}

pub(crate) async fn ask(
    lab: &Lab,
    body: &str,
    limits: FunctionLimits,
) -> Result<Outcome, InvokeError> {
    ask_as(Method::GET, lab, body, limits).await
}

pub(crate) async fn ask_as(
    method: Method,
    lab: &Lab,
    body: &str,
    limits: FunctionLimits,
) -> Result<Outcome, InvokeError> {
    let version = lab.version(component(body), limits).await;
    let sent: HttpBody = Box::pin(Empty::<Bytes>::new().map_err(|never| match never {}));
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "localhost")
        .body(sent)
        .unwrap();
    let sandbox = lab.start(&version).await.unwrap();
    sandbox
        .invoke(
            call_with(Payload::Http(Box::new(request))),
            FakeHost::new().0,
        )
        .await
}

/// The whole body, or why it broke off.
async fn read(outcome: Outcome) -> Result<String, String> {
    let (response, _) = settled(outcome);
    let whole = response
        .into_body()
        .collect()
        .await
        .map_err(|fault| fault.to_string())?;
    Ok(String::from_utf8(whole.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_whole_answer_is_whole() {
    let lab = Lab::new();
    for (body, expected) in [
        ("(call $answer (local.get $out)) (call $finish-body)", ""),
        (
            "(call $answer (local.get $out)) (call $say) (call $finish-body)",
            "hello",
        ),
        (
            "(call $answer (local.get $out)) (call $say) (call $compute) (call $say) (call $finish-body)",
            "hellohello",
        ),
    ] {
        let outcome = ask(&lab, body, FunctionLimits::default()).await.unwrap();
        assert_eq!(read(outcome).await.as_deref(), Ok(expected), "{body}");
    }
}

#[tokio::test]
async fn a_handler_without_an_answer_fails() {
    let lab = Lab::new();
    for (body, expected) in [
        ("unreachable", FailureKind::Trap),
        ("(call $compute) unreachable", FailureKind::Trap),
        ("", FailureKind::BadOutput),
        (
            "(call $drop-outparam (local.get $out))",
            FailureKind::BadOutput,
        ),
        (
            "(call $drop-outparam (local.get $out)) unreachable",
            FailureKind::Trap,
        ),
        // The answer is given up long before the guest ends: it is waited for across many turns.
        (
            "(call $drop-outparam (local.get $out)) (call $compute)",
            FailureKind::BadOutput,
        ),
        (
            "(call $drop-outparam (local.get $out)) (call $compute) unreachable",
            FailureKind::Trap,
        ),
    ] {
        assert_eq!(
            kind(ask(&lab, body, FunctionLimits::default()).await),
            expected,
            "{body}"
        );
    }
}

/// Failing after the answer was set, at any point, never gives a reply that looks whole.
#[tokio::test]
async fn a_broken_answer_never_looks_whole() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for rest in [
        "unreachable",
        "(call $compute) unreachable",
        "(call $say) unreachable",
        "(call $say) (call $compute) unreachable",
        "(call $say) (call $compute) (call $say) unreachable",
        // Without its end a body is not whole, however well the handler returned (`outgoing-body.finish`).
        "(call $say)",
        "(call $say) (call $compute)",
        "(call $say) (call $drop-stream (global.get $s))",
    ] {
        let body = format!("(call $answer (local.get $out)) {rest}");
        match ask(&lab, &body, FunctionLimits::default()).await {
            Err(InvokeError::Function(_)) => {}
            Err(other) => wrong.push(format!("{rest}: {other:?}")),
            Ok(outcome) => {
                let read = read(outcome).await;
                if read.is_ok() {
                    wrong.push(format!("{rest}: {read:?}"));
                }
            }
        }
        let version = lab
            .version(component(&body), FunctionLimits::default())
            .await;
        let invoked = lab
            .start(&version)
            .await
            .unwrap()
            .invoke(call("{}"), FakeHost::new().0)
            .await;
        if !matches!(invoked, Err(InvokeError::Function(_))) {
            wrong.push(format!("{rest}, as an invocation: {invoked:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "broken replies that look whole:\n{}",
        wrong.join("\n")
    );
}

/// The first byte is out and the guest computes for ever: the time limit ends the stream, and a reader that leaves ends
/// the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_guest_behind_a_reply_ends() {
    let lab = Lab::with(|config| config.slots = 1);
    let body = "(call $answer (local.get $out)) (call $say) (loop $again (br $again))";
    let outcome = ask(&lab, body, time_limit(Duration::from_millis(300)))
        .await
        .unwrap();
    let fault = read(outcome).await.unwrap_err();
    assert!(fault.contains("300ms"), "{fault}");
    // What computes stops at its next tick; until then its slot is taken.
    let outcome = ask_until_free(&lab, body, time_limit(Duration::from_secs(600))).await;
    let mut stream = settled(outcome).0.into_body();
    assert_eq!(
        stream.frame().await.unwrap().unwrap().into_data().unwrap(),
        "hello"
    );
    drop(stream);
    let next = "(call $answer (local.get $out)) (call $say) (call $finish-body)";
    let outcome = ask_until_free(&lab, next, FunctionLimits::default()).await;
    assert_eq!(read(outcome).await.as_deref(), Ok("hello"));
}

async fn ask_until_free(lab: &Lab, body: &str, limits: FunctionLimits) -> Outcome {
    let asking = async {
        loop {
            match ask(lab, body, limits).await {
                Err(InvokeError::Exhausted) => tokio::time::sleep(Duration::from_millis(5)).await,
                other => return other.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("the slot did not come free")
}

/// Computing behind a reply costs processor time as computing before it does.
#[tokio::test]
async fn the_processor_limit_covers_the_streamed_reply() {
    let lab = Lab::new();
    let limits = FunctionLimits {
        cpu_time: Some(Duration::from_millis(50)),
        ..FunctionLimits::default()
    };
    let body = "(call $answer (local.get $out)) (call $say) (loop $again (br $again))";
    match ask(&lab, body, limits).await {
        Ok(outcome) => assert!(read(outcome).await.is_err(), "the stream should break off"),
        Err(error) => assert_eq!(failure(Err(error)).kind, FailureKind::CpuLimit),
    }
}
