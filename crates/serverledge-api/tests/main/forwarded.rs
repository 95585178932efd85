//! The context that a load balancer gives of the requests that it forwards: believed if it is proved, and only of that
//! request.

use axum::body::Body;
use http::{Method, Request};
use serverledge_api::{Access, App, OriginPolicy};
use serverledge_wire::peer::{Cookies, PASSED, PROOF, Passed, Proved};

use crate::backend::{FakeBackend, cluster_key, report};
use crate::http_function::seen;
use crate::running_apps::application;
use crate::support::{LIMITS, app, app_over_tls, outcome, request, with};

/// A request whose sender asked the balancer for this host, with the proof of it.
fn passed(method: &Method, target: &str, host: &str, application: Option<&str>) -> Request<Body> {
    passed_with(method, target, host, application, Cookies::default())
}

fn passed_with(
    method: &Method,
    target: &str,
    host: &str,
    application: Option<&str>,
    cookies: Cookies,
) -> Request<Body> {
    let said = Passed {
        method: method.to_string(),
        target: target.to_owned(),
        host: host.to_owned(),
        application: application.map(str::to_owned),
        client: Some("192.0.2.7".parse().unwrap()),
        cookies,
    };
    let said = serde_json::to_string(&said).unwrap();
    let path = target.split('?').next().unwrap();
    let what = Proved {
        to: "ROME/n1",
        path,
        call: said.as_bytes(),
        body: &[],
    };
    let proof = cluster_key().prove(1, [1; 12], &what).to_text();
    let mut request = request(method, target, "{}");
    request
        .headers_mut()
        .insert("host", "10.1.2.3:1323".parse().unwrap());
    with(request, &[(PROOF, proof.as_str()), (PASSED, said.as_str())])
}

#[tokio::test]
async fn the_host_that_was_asked_for_is_the_balancers_to_know() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let get = Method::GET;
    assert_eq!(
        outcome(
            app.handle(passed(&get, "/function?a=%20b", "lb.example", None))
                .await
        )
        .await,
        "200"
    );
    assert_eq!(
        outcome(
            app.handle(passed(&get, "/app/shop/up", "lb.example", None))
                .await
        )
        .await,
        "200"
    );
    assert_eq!(
        outcome(
            app.handle(passed(&get, "/up", "shop.apps.example", Some("shop")))
                .await
        )
        .await,
        "200"
    );
    let own = app
        .handle(passed(&get, "/function", "shop.apps.example", Some("shop")))
        .await;
    assert_eq!(
        outcome(own).await,
        "404 endpoint_unknown",
        "there are no routes of the node"
    );
    let other = app
        .handle(passed(&get, "/up", "shop.localhost", None))
        .await;
    assert_eq!(
        outcome(other).await,
        "404 route_unknown",
        "the balancer has not said that it is an application's"
    );
}

#[tokio::test]
async fn a_page_is_judged_by_the_host_that_it_knows() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (origin, expected) in [
        ("http://shop.apps.example", "200"),
        ("http://10.1.2.3:1323", "403 cross_origin"),
    ] {
        handle.invoke(Ok(report("1", "")));
        let request = passed(&Method::POST, "/call", "shop.apps.example", Some("shop"));
        let answer = app.handle(with(request, &[("origin", origin)])).await;
        assert_eq!(outcome(answer).await, expected, "{origin}");
    }
}

/// The browser has the balancer's cookies; by its own names, this node would give every origin back.
#[tokio::test]
async fn whether_an_origin_is_given_back_is_judged_by_the_balancers_names() {
    for (unshared, bound, secure_cookies, trusted) in [
        (false, false, false, false),
        (false, false, true, false),
        // The node would read a cookie that any page can set.
        (false, true, false, false),
        (false, true, true, true),
        (true, false, false, true),
    ] {
        let (backend, handle) = FakeBackend::node();
        let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
        let access = Access {
            secure_cookies,
            ..Access::open()
        };
        let app = App::new(backend, guard, access, LIMITS);
        handle.hosting().run(serverledge_core::Application {
            own_origin: true,
            ..application("shop")
        });
        handle.invoke(Ok(report("1", "")));
        let cookies = Cookies { unshared, bound };
        let request = passed_with(
            &Method::GET,
            "/up",
            "shop.apps.example",
            Some("shop"),
            cookies,
        );
        let response = app.handle(request).await;
        let hostile = response.headers().contains_key("content-security-policy");
        assert_eq!(hostile, !trusted, "{cookies:?} {secure_cookies}");
    }
}

/// The balancer says what its own client spoke; between it and the node there may be another scheme.
#[tokio::test]
async fn the_scheme_is_that_of_the_balancers_client() {
    for (said, expected) in [("https", Some(http::uri::Scheme::HTTPS)), ("http", None)] {
        for (app, handle) in [app(), app_over_tls()] {
            let request = passed(&Method::GET, "/fn/http/where", "lb.example", None);
            app.handle(with(request, &[("x-forwarded-proto", said)]))
                .await;
            assert_eq!(
                seen(&handle).extensions().get::<http::uri::Scheme>(),
                expected.as_ref(),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_proved_of_the_request_is_refused() {
    let (app, _) = app();
    let sent = || passed(&Method::GET, "/function", "lb.example", None);
    let mut unproved = sent();
    unproved.headers_mut().remove(PROOF);
    let mut other_target = sent();
    *other_target.uri_mut() = "/function?a".parse().unwrap();
    let mut other_path = sent();
    *other_path.uri_mut() = "/status".parse().unwrap();
    let mut other_method = sent();
    *other_method.method_mut() = Method::POST;
    let mut other_host = sent();
    let said = other_host.headers()[PASSED]
        .to_str()
        .unwrap()
        .replace("lb.example", "evil.example");
    other_host
        .headers_mut()
        .insert(PASSED, said.parse().unwrap());
    for request in [unproved, other_target, other_path, other_method, other_host] {
        assert_eq!(
            outcome(app.handle(request).await).await,
            "401 peer_proof_false"
        );
    }
    let mut unsaid = sent();
    unsaid.headers_mut().remove(PASSED);
    assert_eq!(outcome(app.handle(unsaid).await).await, "421 host_unknown");
}
