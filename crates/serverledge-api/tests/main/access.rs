//! Authorisation: credentials, scopes and roles on every route, and pages of other origins that have a credential.

use std::collections::BTreeSet;

use axum::body::Body;
use expect_test::expect;
use http::header::HeaderValue;
use http::{Method, Request};
use serverledge_core::{Accounts as _, Role, Scopes, SpaceId};
use serverledge_testing::accounts::FakeAccounts;

use crate::routes::DOCUMENTED;
use crate::support::{app_with_accounts, check, get, outcome, post, request, with};

const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";

/// The requirement of each documented route, in the words of the tests; the table of the routes is not consulted.
const NEEDS: &[(&str, &str, &str)] = &[
    ("post", "/create", "deploy"),
    ("post", "/update", "deploy"),
    ("post", "/delete", "deploy"),
    ("get", "/functions", "invoke"),
    ("get", "/functions/{name}", "invoke"),
    ("patch", "/functions/{name}", "deploy"),
    ("get", "/functions/{name}/versions", "invoke"),
    ("get", "/functions/{name}/nodes", "invoke"),
    ("post", "/functions/{name}/rollback", "deploy"),
    ("post", "/functions/{name}/flags", "deploy"),
    ("get", "/functions/{name}/logs", "invoke"),
    ("post", "/prewarm", "operator"),
    ("post", "/invoke/{function}", "invoke"),
    ("get", "/poll/{id}", "invoke"),
    ("post", "/functions/{name}/invocations", "invoke"),
    ("get", "/invocations", "invoke"),
    ("get", "/invocations/{id}", "invoke"),
    ("get", "/invocations/{id}/logs", "invoke"),
    ("get", "/events", "invoke"),
    ("get", "/stats", "invoke"),
    ("get", "/stats/node", "operator"),
    ("get", "/sandboxes", "operator"),
    ("post", "/invocations/{id}/cancel", "invoke"),
    ("get", "/dead-letters", "invoke"),
    ("delete", "/dead-letters", "invoke"),
    ("get", "/dead-letters/{id}", "invoke"),
    ("delete", "/dead-letters/{id}", "invoke"),
    ("post", "/dead-letters/{id}/redrive", "invoke"),
    ("get", "/kv", "invoke"),
    ("get", "/kv/{store}", "invoke"),
    ("delete", "/kv/{store}", "deploy"),
    ("get", "/kv/{store}/{key}", "invoke"),
    ("put", "/kv/{store}/{key}", "deploy"),
    ("post", "/kv/{store}/{key}", "deploy"),
    ("delete", "/kv/{store}/{key}", "deploy"),
    ("post", "/fn/{name}", "invoke"),
    ("get", "/peers", "operator"),
    ("get", "/quotas", "invoke"),
    ("get", "/status", "operator"),
    ("get", "/metrics", "metrics"),
    ("get", "/healthz", "open"),
    ("get", "/readyz", "open"),
    ("get", "/apps", "invoke"),
    ("post", "/apps", "deploy"),
    ("get", "/apps/{app}", "invoke"),
    ("patch", "/apps/{app}", "deploy"),
    ("delete", "/apps/{app}", "deploy"),
    ("get", "/apps/{app}/endpoints", "invoke"),
    ("put", "/apps/{app}/endpoints", "deploy"),
    ("delete", "/apps/{app}/endpoints", "deploy"),
    ("get", "/apps/{app}/dependencies", "invoke"),
    ("put", "/apps/{app}/dependencies", "deploy"),
    ("post", "/apps/{app}/start", "deploy"),
    ("post", "/apps/{app}/stop", "deploy"),
    ("post", "/apps/{app}/test", "deploy"),
    ("get", "/apps/{app}/export", "deploy"),
    ("post", "/apps/import", "deploy"),
    ("get", "/app/{app}/up", "open"),
    ("post", "/app/{app}/edge", "open"),
    ("get", "/app/{app}/edge/manifest", "open"),
    ("get", "/app/{app}/edge/keys", "open"),
    ("get", "/app/{app}/edge/modules/{sha256}", "open"),
    ("get", "/app/{app}/edge/components/{sha256}", "open"),
    ("get", "/app/{app}/edge/deltas/{sha256}", "open"),
    ("post", "/app/{app}/edge/call/{function}", "open"),
    ("post", "/app/{app}/{endpoint}", "open"),
    ("get", "/sdk/edge-keys.json", "open"),
    ("post", "/account/sign-up", "public"),
    ("post", "/account/log-in", "public"),
    ("post", "/account/log-out", "known"),
    ("post", "/account/log-out-everywhere", "admin"),
    ("post", "/account/request-reset", "public"),
    ("post", "/account/reset", "public"),
    ("post", "/account/confirm", "public"),
    ("get", "/account", "known"),
    ("delete", "/account", "admin"),
    ("post", "/account/email", "admin"),
    ("post", "/account/password", "admin"),
    ("get", "/account/tokens", "admin"),
    ("post", "/account/tokens", "admin"),
    ("delete", "/account/tokens/{id}", "admin"),
    ("get", "/account/sessions", "admin"),
    ("delete", "/account/sessions/{id}", "admin"),
    ("post", "/account/invitations", "operator"),
];

/// Each documented route: method, a URI that it answers, what it needs.
fn routes() -> Vec<(Method, &'static str, &'static str)> {
    let one = |(method, path, uri): (&'static str, &'static str, &'static str)| {
        let &(_, _, need) = NEEDS
            .iter()
            .find(|need| (need.0, need.1) == (method, path))
            .unwrap();
        (
            Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
            uri,
            need,
        )
    };
    DOCUMENTED.into_iter().map(one).collect()
}

fn scoped(scope: &str) -> Scopes {
    Scopes::parse([scope]).unwrap()
}

fn bearing(request: Request<Body>, token: &str) -> Request<Body> {
    with(request, &[("authorization", &format!("Bearer {token}"))])
}

async fn session(accounts: &FakeAccounts) -> String {
    let session = accounts
        .log_in(EMAIL, PASSWORD, [127, 0, 0, 1].into())
        .await
        .unwrap();
    format!("serverledge_session={}", session.secret)
}

/// Whether the answer is one of the refusals of this layer.
fn is_refusal(outcome: &str) -> bool {
    [
        "401 authentication_required",
        "401 credential_invalid",
        "403 forbidden",
        "403 cross_origin",
    ]
    .contains(&outcome)
}

/// Quotas are of accounts; a caller without one is told that there are none.
#[tokio::test]
async fn quotas_are_of_accounts() {
    let (app, _, accounts) = app_with_accounts(false, false);
    assert_eq!(
        outcome(app.handle(get("/quotas")).await).await,
        "404 quotas_none"
    );
    accounts.add(EMAIL, PASSWORD, Role::User);
    let token = accounts.add_token(EMAIL, Scopes::ALL);
    check(
        app.handle(bearing(get("/quotas"), &token)).await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"applications":{"used":2,"limit":20},"functions":{"used":3,"limit":200},"code_bytes":{"used":1024,"limit":null},"concurrent":{"used":1,"limit":100},"per_minute":6000}"#]],
    )
    .await;
}

#[test]
fn each_route_says_what_it_needs() {
    let documented: BTreeSet<_> = DOCUMENTED
        .iter()
        .map(|(method, path, _)| (*method, *path))
        .collect();
    let listed: BTreeSet<_> = NEEDS
        .iter()
        .map(|(method, path, _)| (*method, *path))
        .collect();
    assert_eq!(documented, listed);
}

#[tokio::test]
async fn without_a_credential_only_public_routes_answer() {
    for required in [true, false] {
        let (app, handle, _) = app_with_accounts(required, false);
        for (method, uri, need) in routes() {
            let told = outcome(app.handle(request(&method, uri, "{}")).await).await;
            let open = matches!(need, "open" | "public");
            let refused = match need {
                "known" | "admin" => true,
                _ if uri == "/account/invitations" => true,
                _ => required && !open,
            };
            assert_eq!(
                told == "401 authentication_required",
                refused,
                "{method} {uri}: {told}"
            );
            assert!(refused || !is_refusal(&told), "{method} {uri}: {told}");
        }
        if required {
            assert_eq!(handle.counts().begun, 0);
            assert!(handle.deploys().is_empty() && handle.prewarms().is_empty());
        }
    }
    let (app, _, _) = app_with_accounts(true, false);
    for uri in [
        "/",
        "/docs/",
        "/openapi.json",
        "/account/reset",
        "/account/confirm",
        "/account/page.js",
    ] {
        assert_eq!(outcome(app.handle(get(uri)).await).await, "200", "{uri}");
    }
    // What there is is not told either.
    for uri in [
        "/nowhere",
        "/functions/nobody",
        "/%2e%2e/status",
        "//status",
        "/status/",
        "/Status",
    ] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "401 authentication_required",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn tokens_are_good_for_their_scopes_and_no_more() {
    for role in [Role::User, Role::Operator] {
        for scope in ["invoke", "deploy", "admin", "metrics"] {
            for (method, uri, need) in routes() {
                let (app, _, accounts) = app_with_accounts(true, false);
                accounts.add(EMAIL, PASSWORD, role);
                let token = accounts.add_token(EMAIL, scoped(scope));
                let told = outcome(
                    app.handle(bearing(request(&method, uri, "{}"), &token))
                        .await,
                )
                .await;
                let may = match need {
                    "open" | "public" | "known" => true,
                    "operator" => role == Role::Operator && scope == "admin",
                    "metrics" => role == Role::Operator && matches!(scope, "admin" | "metrics"),
                    needed => needed == scope,
                };
                assert_eq!(
                    told == "403 forbidden",
                    !may,
                    "{method} {uri} with {scope} of {role:?}: {told}"
                );
                assert!(
                    !may || !is_refusal(&told),
                    "{method} {uri} with {scope} of {role:?}: {told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn refusals_say_what_is_wanted() {
    let (app, _, accounts) = app_with_accounts(true, false);
    check(app.handle(get("/functions")).await, expect![[r#"
        401 Unauthorized
        content-type: application/problem+json
        www-authenticate: Bearer
        {"code":"authentication_required","detail":"this needs an account: log in, or send a token in Authorization: Bearer","status":401,"title":"Unauthorized","type":"about:blank"}"#]]).await;
    check(app.handle(bearing(get("/functions"), "slt_wrong")).await, expect![[r#"
        401 Unauthorized
        content-type: application/problem+json
        www-authenticate: Bearer
        {"code":"credential_invalid","detail":"the session or token is not valid (any more); log in again","status":401,"title":"Unauthorized","type":"about:blank"}"#]]).await;
    accounts.add(EMAIL, PASSWORD, Role::User);
    let token = accounts.add_token(EMAIL, scoped("invoke"));
    check(app.handle(bearing(post("/create", "{}"), &token)).await, expect![[r#"
        403 Forbidden
        content-type: application/problem+json
        {"code":"forbidden","detail":"the token is not good for this: it lacks the scope deploy","status":403,"title":"Forbidden","type":"about:blank"}"#]]).await;
    accounts.be_stale(true);
    check(app.handle(bearing(get("/functions"), &token)).await, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"credentials_unchecked","detail":"credentials cannot be checked: the registry has been unavailable for too long","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

/// A wrong credential is refused wherever one is looked at, also where none is needed.
#[tokio::test]
async fn wrong_credentials_never_act_as_anybody() {
    for required in [true, false] {
        let (app, handle, accounts) = app_with_accounts(required, false);
        accounts.add(EMAIL, PASSWORD, Role::Operator);
        let token = accounts.add_token(EMAIL, Scopes::ALL);
        let mut wrong: Vec<(&'static str, HeaderValue)> = vec![
            (
                "cookie",
                HeaderValue::from_static("serverledge_session=nobody"),
            ),
            ("cookie", HeaderValue::from_static("serverledge_session=")),
            (
                "cookie",
                HeaderValue::from_bytes(b"a=1; serverledge_session=\xff").unwrap(),
            ),
            (
                "cookie",
                format!("serverledge_session={}", "x".repeat(10 * 1024))
                    .parse()
                    .unwrap(),
            ),
            (
                "cookie",
                format!("serverledge_session={token}").parse().unwrap(),
            ),
        ];
        let tokens = [
            token[..token.len() - 1].to_owned(),
            format!("{token}0"),
            "slt_".to_owned(),
            "x".repeat(10_240),
        ];
        wrong.extend(tokens.map(|token| {
            (
                "authorization",
                format!("Bearer slt_{token}").parse().unwrap(),
            )
        }));
        wrong.push((
            "authorization",
            HeaderValue::from_bytes(b"Bearer slt_\xc3\xa9\xff").unwrap(),
        ));
        for (name, value) in wrong {
            for (method, uri) in [
                (Method::POST, "/invoke/json"),
                (Method::GET, "/fn/http"),
                (Method::GET, "/functions"),
            ] {
                let mut asked = request(&method, uri, "{}");
                asked.headers_mut().insert(name, value.clone());
                let response = app.handle(asked).await;
                let forgets = response.headers().contains_key("set-cookie");
                assert_eq!(
                    outcome(response).await,
                    "401 credential_invalid",
                    "{uri} {name} {value:?}"
                );
                assert_eq!(forgets, name == "cookie", "{uri} {name} {value:?}");
            }
        }
        // Two of which one may be somebody else's.
        let own = session(&accounts).await;
        for headers in [
            [
                ("cookie", own.as_str()),
                ("cookie", "serverledge_session=other"),
            ],
            [
                ("authorization", "Bearer slt_x"),
                ("authorization", "Bearer slt_y"),
            ],
        ] {
            let response = app.handle(with(get("/functions"), &headers)).await;
            assert_eq!(
                outcome(response).await,
                "401 credential_invalid",
                "{headers:?}"
            );
        }
        assert_eq!(handle.counts().begun, 0);
    }
}

/// A session that is over must not keep anybody from beginning another.
#[tokio::test]
async fn public_routes_look_at_no_credential() {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add(EMAIL, PASSWORD, Role::User);
    let body = format!("{{\"email\":\"{EMAIL}\",\"password\":\"{PASSWORD}\"}}");
    for header in [
        ("cookie", "serverledge_session=over"),
        ("authorization", "Bearer slt_over"),
    ] {
        assert_eq!(
            outcome(
                app.handle(with(post("/account/log-in", body.clone()), &[header]))
                    .await
            )
            .await,
            "200"
        );
        assert_eq!(
            outcome(app.handle(with(get("/healthz"), &[header])).await).await,
            "200"
        );
    }
}

#[tokio::test]
async fn whoever_is_known_acts_on_their_own_space() {
    let (app, handle, accounts) = app_with_accounts(false, false);
    accounts.add(EMAIL, PASSWORD, Role::User);
    accounts.add("bob@example.org", PASSWORD, Role::User);
    let ada = accounts.add_token(EMAIL, Scopes::ALL);
    let bob = accounts.add_token("bob@example.org", Scopes::ALL);
    let cookie = session(&accounts).await;
    let mut spaces = Vec::new();
    for asked in [
        bearing(post("/invoke/json", "{}"), &ada),
        with(post("/invoke/json", "{}"), &[("cookie", &cookie)]),
        bearing(post("/fn/json", "{}"), &bob),
        post("/invoke/json", "{}"),
    ] {
        assert_eq!(outcome(app.handle(asked).await).await, "200");
        spaces.push(handle.calls().pop().unwrap().caller.space);
    }
    assert_eq!(spaces[0], spaces[1]);
    assert_eq!(spaces[3], SpaceId::default_space());
    assert!(spaces[0] != spaces[2] && spaces[0] != spaces[3] && spaces[2] != spaces[3]);
}

/// The token counts, not the cookie that the browser adds.
#[tokio::test]
async fn a_token_goes_before_a_session() {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add(EMAIL, PASSWORD, Role::User);
    let cookie = session(&accounts).await;
    let token = accounts.add_token(EMAIL, scoped("invoke"));
    let both = with(
        bearing(post("/create", "{}"), &token),
        &[("cookie", &cookie)],
    );
    assert_eq!(outcome(app.handle(both).await).await, "403 forbidden");
    let wrong = with(
        bearing(get("/functions"), "slt_wrong"),
        &[("cookie", &cookie)],
    );
    assert_eq!(
        outcome(app.handle(wrong).await).await,
        "401 credential_invalid"
    );
}

/// A page of another origin has the browser's cookies at most; a program that shows a token may run anywhere.
#[tokio::test]
async fn pages_of_other_origins_need_a_token() {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add(EMAIL, PASSWORD, Role::Operator);
    let token = format!("Bearer {}", accounts.add_token(EMAIL, Scopes::ALL));
    let foreign: [&[(&'static str, &str)]; 5] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://app.localhost:1323"),
        ],
    ];
    for (method, uri, need) in routes() {
        for headers in foreign {
            let cookie = session(&accounts).await;
            let asked = || with(request(&method, uri, "{}"), headers);
            for asked in [asked(), with(asked(), &[("cookie", &cookie)])] {
                let told = outcome(app.handle(asked).await).await;
                assert_eq!(
                    told == "403 cross_origin",
                    need != "open",
                    "{method} {uri} {headers:?}: {told}"
                );
            }
            // These show nothing, and a wrong token is refused as such.
            if !matches!(need, "open" | "public") {
                let wrong = with(asked(), &[("authorization", "Bearer slt_wrong")]);
                assert_eq!(
                    outcome(app.handle(wrong).await).await,
                    "401 credential_invalid",
                    "{method} {uri}"
                );
            }
        }
    }
    for headers in foreign {
        let asked = with(
            with(post("/invoke/json", "{}"), headers),
            &[("authorization", &token)],
        );
        assert_eq!(outcome(app.handle(asked).await).await, "200", "{headers:?}");
        // Another service's token is none of ours.
        let asked = with(
            with(post("/fn/json", "{}"), headers),
            &[("authorization", "Bearer other")],
        );
        assert_eq!(
            outcome(app.handle(asked).await).await,
            "403 cross_origin",
            "{headers:?}"
        );
    }
    let cookie = session(&accounts).await;
    let own = [
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://localhost:1323"),
        ("cookie", cookie.as_str()),
    ];
    assert_eq!(
        outcome(app.handle(with(post("/invoke/json", "{}"), &own)).await).await,
        "200"
    );
}
