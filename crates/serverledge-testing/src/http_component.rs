//! `wasi:http` components put together from text, which do what a test wants of them.

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
    (export "outgoing-request" (type $outgoing (sub resource)))
    (export "request-options" (type $options (sub resource)))
    (export "future-incoming-response" (type (sub resource)))
    (type $method-def (variant (case "get") (case "head") (case "post") (case "put") (case "delete") (case "connect")
      (case "options") (case "trace") (case "patch") (case "other" string)))
    (export "method" (type $method (eq $method-def)))
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
    (export "[method]fields.get" (func (param "self" (borrow $fields)) (param "name" string) (result (list (list u8)))))
    (export "[method]fields.has" (func (param "self" (borrow $fields)) (param "name" string) (result bool)))
    (export "[method]fields.entries" (func (param "self" (borrow $fields)) (result (list (tuple string (list u8))))))
    (export "[constructor]request-options" (func (result (own $options))))
    (export "[method]request-options.connect-timeout"
      (func (param "self" (borrow $options)) (result (option u64))))
    (export "[method]request-options.set-connect-timeout"
      (func (param "self" (borrow $options)) (param "duration" (option u64)) (result (result))))
    (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $outgoing))))
    (export "[method]outgoing-request.method" (func (param "self" (borrow $outgoing)) (result $method)))
    (export "[method]outgoing-request.set-method"
      (func (param "self" (borrow $outgoing)) (param "method" $method) (result (result))))
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

/// Imports of a component that tries other functions of WASI.
const MORE_IMPORTS: &str = r#"
  (alias export $types "outgoing-request" (type $outgoing))
  (alias export $types "request-options" (type $options))
  (alias export $types "future-incoming-response" (type $future))
  (alias export $types "error-code" (type $code))
  (import "wasi:http/outgoing-handler@0.2.0" (instance $sends
    (alias outer 1 $outgoing (type $outgoing))
    (export "outgoing-request" (type $own-outgoing (eq $outgoing)))
    (alias outer 1 $options (type $options))
    (export "request-options" (type $own-options (eq $options)))
    (alias outer 1 $future (type $future))
    (export "future-incoming-response" (type $own-future (eq $future)))
    (alias outer 1 $code (type $code))
    (export "error-code" (type $own-code (eq $code)))
    (export "handle" (func (param "request" (own $own-outgoing)) (param "options" (option (own $own-options)))
      (result (result (own $own-future) (error $own-code)))))))
  (import "wasi:io/poll@0.2.0" (instance $polls
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $polls "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $pollable))
    (export "pollable" (type $own-pollable (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $own-pollable))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))
    (export "initial-cwd" (func (result (option string))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
"#;

/// The memory, apart from the code so that host functions can be given it; and those functions.
const LOWERED: &str = r#"
  (core module $store-module
    (memory (export "memory") 1)
    (data (i32.const 0x100) "hello")
    (data (i32.const 0x200) "content-lengthx-large")
    (data (i32.const 0x300) "setting DB_URL is missing\n")
    (data (i32.const 0x400) "X-One\00\00\00first\00\00\00second\00\00PROPFINDhost\00\00\00\00a b")
    (global $next (mut i32) (i32.const 0x8000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
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

/// The functions that the guest imports.
const HELPERS_IMPORTS: &str = r#"
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
"#;

/// The guest's helpers: `$answer` sets a response and opens its body, `$say` writes "hello", `$finish-body` ends the
/// body as it should be, `$compute` is busy for many ticks. `$length` adds a Content-Length of one digit to the response to
/// come, `$large` a header of 4,000 bytes, `$many-headers` 40 of them, `$answer-with` has a status. `$log` writes a line to stderr.
const HELPERS: &str = r#"
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

/// More functions for it.
const MORE_LOWERED: &str = r#"
  (core func $get (canon lower (func $types "[method]fields.get") (memory $memory) (realloc $realloc)))
  (core func $has (canon lower (func $types "[method]fields.has") (memory $memory)))
  (core func $entries (canon lower (func $types "[method]fields.entries") (memory $memory) (realloc $realloc)))
  (core func $options (canon lower (func $types "[constructor]request-options")))
  (core func $timeout (canon lower (func $types "[method]request-options.connect-timeout") (memory $memory)))
  (core func $set-timeout (canon lower (func $types "[method]request-options.set-connect-timeout")))
  (core func $request (canon lower (func $types "[constructor]outgoing-request")))
  (core func $method (canon lower (func $types "[method]outgoing-request.method") (memory $memory) (realloc $realloc)))
  (core func $set-method (canon lower (func $types "[method]outgoing-request.set-method") (memory $memory)))
  (core func $send (canon lower (func $sends "handle") (memory $memory) (realloc $realloc)))
  (core func $poll (canon lower (func $polls "poll") (memory $memory) (realloc $realloc)))
  (core func $ready (canon lower (func $polls "[method]pollable.ready")))
  (core func $timer (canon lower (func $clock "subscribe-duration")))
  (core func $arguments (canon lower (func $environment "get-arguments") (memory $memory) (realloc $realloc)))
  (core func $cwd (canon lower (func $environment "initial-cwd") (memory $memory) (realloc $realloc)))
  (core func $random (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
"#;

const MORE_HELPERS: &str = r#"
  (import "" "get" (func $get (param i32 i32 i32 i32)))
  (import "" "has" (func $has (param i32 i32 i32) (result i32)))
  (import "" "entries" (func $entries (param i32 i32)))
  (import "" "options" (func $options (result i32)))
  (import "" "timeout" (func $timeout (param i32 i32)))
  (import "" "set-timeout" (func $set-timeout (param i32 i32 i64) (result i32)))
  (import "" "request" (func $request (param i32) (result i32)))
  (import "" "method" (func $method (param i32 i32)))
  (import "" "set-method" (func $set-method (param i32 i32 i32 i32) (result i32)))
  (import "" "send" (func $send (param i32 i32 i32 i32)))
  (import "" "poll" (func $poll (param i32 i32 i32)))
  (import "" "ready" (func $ready (param i32) (result i32)))
  (import "" "timer" (func $timer (param i64) (result i32)))
  (import "" "arguments" (func $arguments (param i32)))
  (import "" "cwd" (func $cwd (param i32)))
  (import "" "random" (func $random (param i64 i32)))
"#;

/// Puts results of all kinds of types into its memory, and answers with that: strings, lists, options, variants. Handles
/// and what differs from call to call are left out.
const TRIES: &str = r#"(local $g i32) (local $o i32) (local $r i32)
  (local.set $g (call $fields))
  (call $append (local.get $g) (i32.const 0x400) (i32.const 5) (i32.const 0x408) (i32.const 5) (i32.const 0x1000))
  (call $append (local.get $g) (i32.const 0x400) (i32.const 5) (i32.const 0x410) (i32.const 6) (i32.const 0x1010))
  (call $append (local.get $g) (i32.const 0x420) (i32.const 4) (i32.const 0x410) (i32.const 6) (i32.const 0x1020))
  (call $append (local.get $g) (i32.const 0x428) (i32.const 3) (i32.const 0x410) (i32.const 6) (i32.const 0x1030))
  (call $get (local.get $g) (i32.const 0x400) (i32.const 5) (i32.const 0x1040))
  (i32.store (i32.const 0x1048) (call $has (local.get $g) (i32.const 0x400) (i32.const 5)))
  (i32.store (i32.const 0x104c) (call $has (local.get $g) (i32.const 0x428) (i32.const 3)))
  (call $entries (local.get $g) (i32.const 0x1050))
  (local.set $o (call $options))
  (call $timeout (local.get $o) (i32.const 0x1060))
  (i32.store (i32.const 0x1070) (call $set-timeout (local.get $o) (i32.const 1) (i64.const 5000000000)))
  (call $timeout (local.get $o) (i32.const 0x1080))
  (local.set $r (call $request (local.get $g)))
  (call $method (local.get $r) (i32.const 0x10a0))
  (i32.store (i32.const 0x10b0) (call $set-method (local.get $r) (i32.const 9) (i32.const 0x418) (i32.const 8)))
  (call $method (local.get $r) (i32.const 0x10c0))
  (i32.store (i32.const 0x10d0) (call $set-method (local.get $r) (i32.const 9) (i32.const 0x428) (i32.const 3)))
  (call $send (local.get $r) (i32.const 1) (local.get $o) (i32.const 0x3000))
  (i32.store8 (i32.const 0x10d8) (i32.load8_u (i32.const 0x3000)))
  (i32.store8 (i32.const 0x10d9) (i32.load8_u (i32.const 0x3008)))
  (i32.store (i32.const 0x3100) (call $timer (i64.const 3600000000000)))
  (i32.store (i32.const 0x3104) (call $timer (i64.const 1000000)))
  (call $poll (i32.const 0x3100) (i32.const 2) (i32.const 0x10e0))
  (i32.store (i32.const 0x10f0) (call $ready (i32.load (i32.const 0x3100))))
  (call $arguments (i32.const 0x1100))
  (call $cwd (i32.const 0x1110))
  (call $random (i64.const 64) (i32.const 0x3200))
  (i32.store (i32.const 0x1120) (i32.load (i32.const 0x3204)))
  (call $answer (local.get $out))
  (call $write (global.get $s) (i32.const 0x1000) (i32.const 0x130) (i32.const 0))
  (call $write (global.get $s) (i32.const 0x8000) (i32.sub (i32.load (i32.const 0x3200)) (i32.const 0x8000)) (i32.const 0))
  (call $finish-body)"#;

/// A component whose handler has this body; `$out` is where the answer goes.
#[must_use]
pub fn component(body: &str) -> String {
    let names = "fields response body stream finish set write drop-outparam drop-stream append status exit get-stderr";
    assembled(["", "", ""], names, body)
}

/// A component that calls functions of WASI with parameters and results of many types, and answers with the memory that
/// these were put into.
#[must_use]
pub fn trying_types() -> String {
    let names = "fields response body stream finish set write drop-outparam drop-stream append status exit get-stderr \
        get has entries options timeout set-timeout request method set-method send poll ready timer arguments cwd random";
    assembled([MORE_IMPORTS, MORE_LOWERED, MORE_HELPERS], names, TRIES)
}

/// A component with these functions of these names.
fn assembled([imports, lowered, helpers]: [&str; 3], names: &str, body: &str) -> String {
    let given: String = names
        .split_ascii_whitespace()
        .map(|name| format!("(export \"{name}\" (func ${name}))"))
        .collect();
    format!(
        r#"(component {IMPORTS} {imports} {LOWERED} {lowered}
          (core module $guest {HELPERS_IMPORTS} {helpers} {HELPERS} (func (export "handle") (param $request i32) (param $out i32) {body}))
          (core instance $instance (instantiate $guest (with "" (instance (export "memory" (memory $memory)) {given}))))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $instance "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    )
}
