//! The routes over a load balancer that is made up: what it hands over, what it passes on, and what it says itself.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serverledge_api::{
    Access, App, Balancer, ClientCall, Destination, Identity, OriginPolicy, ProxyError,
    ProxyRequest, ProxyRequestBody,
};
use serverledge_core::{
    BodyError, CacheMetadata, HttpBody, InvocationError, Payload, Phases, Remote, Reply, Report,
};
use serverledge_wire::peer::Cookies;
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;

use crate::support::{LIMITS, get, post, with};

/// The requests that came to the balancer, one line each.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

struct Fake {
    identity: Identity,
    seen: Seen,
}

#[async_trait]
impl Balancer for Fake {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn invoke(&self, call: ClientCall) -> Result<Report, InvocationError> {
        let Payload::Json(params) = call.call.payload else {
            panic!("parameters are JSON")
        };
        self.seen.lock().unwrap().push(format!(
            "call {} {params:?} {}",
            call.call.function, call.call.context.may_offload
        ));
        let remote = Remote {
            node: "n1".to_owned(),
            area: "EDGE".to_owned(),
            latency: std::time::Duration::ZERO,
        };
        let reply = Reply::Json(params);
        let phases = Phases::default();
        Ok(Report {
            reply,
            log: Bytes::new(),
            warm: true,
            phases,
            remote: Some(Box::new(remote)),
            memo: CacheMetadata::default(),
        })
    }

    async fn pass(&self, passage: ProxyRequest) -> Result<Response<HttpBody>, ProxyError> {
        let ProxyRequest {
            head,
            body,
            to,
            client,
            address,
            application,
            cookies,
        } = passage;
        assert_eq!(
            cookies,
            Cookies {
                unshared: true,
                bound: false
            },
            "below localhost, without TLS"
        );
        assert_eq!(
            client.map(|client| client.ip()),
            address,
            "no proxy is trusted"
        );
        let mut headers: Vec<String> = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        headers.retain(|header| !header.starts_with("x-request-id"));
        let body = match body {
            ProxyRequestBody::Stream(body) => body.collect().await.unwrap().to_bytes(),
            ProxyRequestBody::Whole(bytes) => [b"whole ", bytes.as_ref()].concat().into(),
        };
        let to = match to {
            Destination::Any => {
                application.map_or_else(|| "any".to_owned(), |name| format!("any for {name}"))
            }
            Destination::Function(space, name) => {
                assert!(space.is_default());
                name.to_string()
            }
        };
        if to == "gone" {
            return Err(ProxyError::NoNode);
        }
        self.seen.lock().unwrap().push(format!(
            "{to} {} {} {} {body:?}",
            head.method,
            head.uri,
            headers.join(" ")
        ));
        let body = Full::new(Bytes::from_static(b"answer"))
            .map_err(|never| -> BodyError { match never {} });
        let response = Response::builder()
            .status(201)
            .header("connection", "close, x-once")
            .header("x-once", "1")
            .header("serverledge-free-mem", "7")
            .header("x-own", "kept");
        Ok(response.body(Box::pin(body) as HttpBody).unwrap())
    }

    fn peers(&self) -> Vec<PeerInfo> {
        Vec::new()
    }

    fn status(&self) -> StatusInformation {
        StatusInformation {
            node: self.identity.node.clone(),
            ..StatusInformation::default()
        }
    }

    fn metrics(&self) -> Option<String> {
        None
    }

    fn ready(&self) -> bool {
        false
    }
}

pub(crate) fn app() -> (App, Seen) {
    let seen = Seen::default();
    let identity = Identity {
        node: "lb".to_owned(),
        area: "EDGE".to_owned(),
    };
    let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
    (
        App::balancing(
            Arc::new(Fake {
                identity,
                seen: Arc::clone(&seen),
            }),
            guard,
            Access::open(),
            LIMITS,
        ),
        seen,
    )
}

/// A request that waits has no place among those that are served. So only few may wait, and only with a credential that
/// could still become known.
#[tokio::test(start_paused = true)]
async fn few_wait_for_a_credential_to_become_known() {
    let (app, seen) = app();
    let ask = async |credential: &str| {
        let began = tokio::time::Instant::now();
        let request = with(
            get("/functions"),
            &[("authorization", &format!("Bearer {credential}"))],
        );
        let response = app.handle(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        !began.elapsed().is_zero()
    };
    assert!(!ask("no token of ours").await);
    assert!(ask("slt_unknown").await);
    let asked: Vec<bool> =
        futures_util::future::join_all((0..80).map(|_| ask("slt_unknown"))).await;
    assert_eq!(asked.iter().filter(|waited| **waited).count(), 64);
    assert!(ask("slt_unknown").await, "the places are free again");
    assert!(seen.lock().unwrap().is_empty());
}

async fn ask(request: Request<Body>) -> (Response<Body>, Vec<String>) {
    let (app, seen) = app();
    let response = app.handle(request).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (response, seen)
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .into(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_call_is_handed_over_and_its_reply_names_the_node() {
    let (response, seen) = ask(post(
        "/invoke/f",
        r#"{"Params":[1],"CanDoOffloading":false}"#,
    ))
    .await;
    assert_eq!(seen, [r#"call f b"[1]" false"#]);
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        (&body["ExecutionNode"], &body["Result"]),
        (&"n1".into(), &"[1]".into())
    );
}

#[tokio::test]
async fn what_may_be_sent_again_is_passed_on_whole() {
    let (response, seen) = ask(post("/invoke/f", r#"{"Async":true}"#)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(
        seen,
        [r#"f POST /invoke/f host="localhost:1323" b"whole {\"Async\":true}""#]
    );
    let keyed = with(post("/invoke/f", "{}"), &[("idempotency-key", "k")]);
    let (_, seen) = ask(keyed).await;
    assert!(
        seen[0].contains("whole {}") && seen[0].contains("idempotency-key"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn headers_of_one_connection_and_of_a_page_stay_behind() {
    let request = with(
        post("/fn/f/a?b=c", "body"),
        &[
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("origin", "http://localhost:1323"),
            ("sec-fetch-site", "same-origin"),
            ("expect", "100-continue"),
            ("x-own", "kept"),
        ],
    );
    let (response, seen) = ask(request).await;
    assert_eq!(
        seen,
        [r#"f POST /fn/f/a?b=c host="localhost:1323" x-own="kept" b"body""#]
    );
    let mut names: Vec<_> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["x-own", "x-request-id"]);
    assert_eq!(text(response).await, "answer");
}

/// The node decides by the application's setting which pages may use it, so the browser's headers go on with the
/// request. The balancer names the application too, so that the node need not guess it.
#[tokio::test]
async fn applications_are_passed_on_with_what_a_browser_says() {
    let page = [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let (response, seen) = ask(with(post("/app/shop/logs", "1"), &page)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let headers = r#"origin="http://evil.example" sec-fetch-site="cross-site""#;
    assert_eq!(
        seen,
        [format!(
            r#"any POST /app/shop/logs host="localhost:1323" {headers} b"1""#
        )]
    );
    let mut request = with(post("/status", "1"), &page);
    request
        .headers_mut()
        .insert("host", "shop.localhost".parse().unwrap());
    let (_, seen) = ask(request).await;
    assert_eq!(
        seen,
        [format!(
            r#"any for shop POST /status host="shop.localhost" {headers} b"1""#
        )]
    );
}

#[tokio::test]
async fn it_answers_for_itself_and_refuses_what_a_node_refuses() {
    for (request, status, expected) in [
        (get("/healthz"), 200, "ok"),
        (get("/readyz"), 503, "not ready"),
        (get("/status"), 200, r#""Node":"lb""#),
        (get("/peers"), 200, "[]"),
        (get("/metrics"), 404, "metrics_disabled"),
        (post("/status", ""), 405, "method_not_allowed"),
        (post("/peer/load", ""), 404, "route_unknown"),
        (get("/invoke/f"), 405, "method_not_allowed"),
        (post("/invoke/f", "no JSON"), 400, "malformed_json"),
        (post("/fn/f", vec![b'x'; 1001]), 413, "body_too_large"),
        (post("/create", vec![b'x'; 2001]), 413, "body_too_large"),
        (get("/fn/gone"), 503, "no_node"),
        (
            with(get("/functions"), &[("sec-fetch-site", "cross-site")]),
            403,
            "cross_origin",
        ),
        (
            Request::get("/functions")
                .header("host", "evil.example")
                .body(Body::empty())
                .unwrap(),
            421,
            "host_unknown",
        ),
    ] {
        let uri = request.uri().clone();
        let (response, seen) = ask(request).await;
        let sandboxed = response.headers().contains_key("content-security-policy");
        assert_eq!(sandboxed, uri.path().starts_with("/fn/"), "{uri}");
        assert_eq!(response.status().as_u16(), status, "{uri}");
        let text = text(response).await;
        assert!(
            text.contains(expected) && seen.is_empty(),
            "{uri}: {text} {seen:?}"
        );
    }
}

/// Each answer keeps its request's place until its body has ended.
#[tokio::test]
async fn requests_at_once_are_limited() {
    let (app, _) = app();
    let mut answers = Vec::new();
    for _ in 0..LIMITS.concurrency_max {
        answers.push(app.handle(get("/functions")).await);
    }
    let refused = app.handle(get("/functions")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    answers.pop();
    assert_eq!(
        app.handle(get("/functions")).await.status(),
        StatusCode::CREATED
    );
}
