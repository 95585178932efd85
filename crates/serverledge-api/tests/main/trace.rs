//! W3C Trace Context: the cases of its validation harness, as tables, and what the called function is given then.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serverledge_core::{Call, CallError, FunctionName, HostCalls, SAMPLED, TraceId, TraceParent};

use crate::backend::report;
use crate::support::{app, post};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

/// A node that records no traces.
struct Untraced(FunctionName);

#[async_trait]
impl HostCalls for Untraced {
    async fn call(&self, _function: &str, _params: Bytes) -> Result<Bytes, CallError> {
        Err(CallError::NotJson)
    }

    fn caller(&self) -> &FunctionName {
        &self.0
    }
}

/// A node that records traces.
struct Traced(FunctionName);

#[async_trait]
impl HostCalls for Traced {
    async fn call(&self, _function: &str, _params: Bytes) -> Result<Bytes, CallError> {
        Err(CallError::NotJson)
    }

    fn caller(&self) -> &FunctionName {
        &self.0
    }

    fn trace_flags(&self, _trace: TraceId) -> Option<u8> {
        Some(SAMPLED)
    }
}

/// The call that a request with these headers becomes.
async fn call(headers: &[(&str, &str)]) -> Call {
    let (app, handle) = app();
    handle.invoke(Ok(report("1", "")));
    let mut request = post("/invoke/json", "{}");
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(name, value);
    }
    assert!(
        app.handle(request).await.status().is_success(),
        "{headers:?}"
    );
    handle.calls().remove(0).call
}

/// The `traceparent` and the `tracestate` that the function is given.
async fn given(headers: &[(&str, &str)]) -> Option<(TraceParent, String)> {
    let call = call(headers).await;
    let trace = call.guest_trace(&Untraced(call.function.clone()))?;
    let state = trace.state().unwrap_or_default().to_owned();
    Some((trace.parent, state))
}

fn parent(version: &str, rest: &str) -> String {
    format!("{version}-{TRACE}-{SPAN}-{rest}")
}

#[tokio::test]
async fn well_formed_parents_are_gone_on_with() {
    let whole = parent("00", "01");
    for (name, value) in [
        ("traceparent", whole.as_str()),
        ("TraceParent", &whole),
        ("TRACEPARENT", &whole),
        ("traceparent", &parent("cc", "01")),
        (
            "traceparent",
            &parent("cc", "01-what-the-future-will-be-like"),
        ),
    ] {
        let (trace, state) = given(&[(name, value)]).await.expect(value);
        assert_eq!(trace.trace.to_string(), TRACE, "{value}");
        assert_ne!(
            trace.span.to_string(),
            SPAN,
            "the run has a span of its own"
        );
        assert_eq!((trace.flags, state.as_str()), (1, ""), "{value}");
    }
    let (unsampled, _) = given(&[("traceparent", &parent("00", "00"))])
        .await
        .unwrap();
    assert_eq!(unsampled.flags, 0);
    let (strange, _) = given(&[("traceparent", &parent("00", "fe"))])
        .await
        .unwrap();
    assert_eq!(
        strange.flags, 0,
        "flags that nobody knows are not passed on"
    );
}

#[tokio::test]
async fn malformed_parents_begin_a_new_trace() {
    let state = ("tracestate", "a=1");
    for value in [
        String::new(),
        parent("00", "01."),
        parent("00", "01-what-the-future-will-be-like"),
        parent("cc", "01.what-the-future-will-be-like"),
        parent("ff", "01"),
        parent(".0", "01"),
        parent("0.", "01"),
        parent("000", "01"),
        parent("0000", "01"),
        parent("0", "01"),
        parent("00", ".0"),
        parent("00", "0."),
        parent("00", "001"),
        parent("00", "1"),
        parent("00", ""),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-.{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{}.-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}3-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{}-{SPAN}-01", "A".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-.{}-01", &SPAN[1..]),
        format!("00-{TRACE}-{}.-01", &SPAN[1..]),
        format!("00-{TRACE}-{SPAN}7-01"),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!("00-{TRACE}-{}-01", "B".repeat(16)),
        format!("00-{TRACE}-{SPAN}"),
        format!("{0},{0}", parent("00", "01")),
        "00-\u{e9}".to_owned(),
    ] {
        let headers = [("traceparent", value.as_str()), state];
        assert_eq!(given(&headers).await, None, "{value}");
        let call = call(&headers).await;
        let node = Traced(call.function.clone());
        let trace = call
            .guest_trace(&node)
            .expect("a node that records traces begins one");
        assert_eq!(trace.parent.trace.0, *call.id.as_bytes());
        assert_eq!(
            (trace.parent.flags, trace.state()),
            (SAMPLED, None),
            "{value}"
        );
    }
    let whole = parent("00", "01");
    for headers in [
        &[][..],
        &[state],
        &[("traceparent", &whole), ("traceparent", &whole), state],
        &[("trace-parent", &whole), ("trace.parent", &whole)],
    ] {
        assert_eq!(given(headers).await, None, "{headers:?}");
    }
}

#[tokio::test]
async fn states_go_with_their_parent() {
    let members = |count: usize| {
        let members: Vec<_> = (1..=count).map(|n| format!("k{n:02}=1")).collect();
        members.join(",")
    };
    let long =
        |tenant: usize, system: usize| format!("{}@{}=1", "t".repeat(tenant), "v".repeat(system));
    let (z256, z257) = (
        format!("{}=1", "z".repeat(256)),
        format!("{}=1", "z".repeat(257)),
    );
    let vs = "v".repeat(200);
    let three = [format!("a={vs}"), format!("b={vs}"), format!("c={vs}")];
    let two = format!("a={vs},b={vs}");
    let cases: &[(&[&str], &str)] = &[
        (&["foo=1,bar=2"], "foo=1,bar=2"),
        (&[""], ""),
        (&["foo=1", ""], "foo=1"),
        (&["", "foo=1"], "foo=1"),
        (
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            "foo=1,bar=2,rojo=1,congo=2,baz=3",
        ),
        (&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        (
            &["a_-*/0@a-z_*/9=!\"#$%&'()*+-./0:;<>?@A[\\]^_`a{|}~"],
            "a_-*/0@a-z_*/9=!\"#$%&'()*+-./0:;<>?@A[\\]^_`a{|}~",
        ),
        (&[&members(32)], &members(32)),
        (&[&z256], &z256),
        (&[&long(241, 14)], &long(241, 14)),
        // Malformed: the state is dropped, the parent is kept.
        (&["foo=1,foo=1"], ""),
        (&["foo=1", "foo=2"], ""),
        (&["foo =1"], ""),
        (&["FOO=1"], ""),
        (&["foo.bar=1"], ""),
        (&["foo@=1,bar=2"], ""),
        (&["@foo=1,bar=2"], ""),
        (&["foo@@bar=1,bar=2"], ""),
        (&["foo@bar@baz=1,bar=2"], ""),
        (&["foo=bar=baz"], ""),
        (&["foo=,bar=3"], ""),
        (&["foo=1", "\u{e9}=1"], ""),
        (&[&members(33)], ""),
        (&[&z257], ""),
        (&[&long(242, 14)], ""),
        (&[&long(241, 15)], ""),
        // Too long: whole members are left out at the end.
        (&[&three[0], &three[1], &three[2]], &two),
    ];
    let whole = parent("00", "01");
    for (states, expected) in cases {
        let mut headers = vec![("traceparent", whole.as_str())];
        headers.extend(states.iter().map(|state| ("tracestate", *state)));
        let (trace, state) = given(&headers).await.expect("the parent is kept");
        assert_eq!(trace.trace.to_string(), TRACE);
        assert_eq!(state, *expected, "{states:?}");
    }
    for name in ["trace-state", "trace.state"] {
        let (_, state) = given(&[("traceparent", &whole), (name, "a=1")])
            .await
            .unwrap();
        assert_eq!(state, "", "{name}");
    }
    let (_, state) = given(&[("traceparent", &whole), ("TraceState", "a=1")])
        .await
        .unwrap();
    assert_eq!(state, "a=1");
}

#[tokio::test]
async fn each_call_of_one_trace_has_a_span_of_its_own() {
    let whole = parent("00", "01");
    let (first, _) = given(&[("traceparent", &whole)]).await.unwrap();
    let (second, _) = given(&[("traceparent", &whole)]).await.unwrap();
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.span, second.span);
}
