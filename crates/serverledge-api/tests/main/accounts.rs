//! Routes below `/account`, over accounts in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use expect_test::expect;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use serverledge_api::App;
use serverledge_core::{AccountError, Role, Scopes};
use serverledge_testing::accounts::FakeAccounts;

use crate::support::{
    app_with_accounts, check, get, json as json_of, outcome, post, request, text, with,
};

const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "another horse battery";

fn app() -> (App, Arc<FakeAccounts>) {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add(EMAIL, PASSWORD, Role::User);
    (app, accounts)
}

fn sent(method: &Method, uri: &str, body: &Value) -> Request<Body> {
    request(method, uri, body.to_string())
}

fn log_in_request(password: &str) -> Request<Body> {
    sent(
        &Method::POST,
        "/account/log-in",
        &json!({"email": EMAIL, "password": password}),
    )
}

fn set_cookie(response: &Response<Body>) -> String {
    response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned()
}

/// The cookie as browsers send it back.
fn sent_back(response: &Response<Body>) -> String {
    set_cookie(response).split(';').next().unwrap().to_owned()
}

async fn log_in(app: &App) -> String {
    sent_back(&app.handle(log_in_request(PASSWORD)).await)
}

async fn told(app: &App, request: Request<Body>, cookie: &str) -> String {
    outcome(app.handle(with(request, &[("cookie", cookie)])).await).await
}

#[tokio::test]
async fn cookies_are_bound_to_the_host_and_hidden_from_scripts() {
    for (secure, expected) in [
        (
            false,
            "serverledge_session=S; Max-Age=3600; Path=/; HttpOnly; SameSite=Strict",
        ),
        (
            true,
            "__Host-serverledge_session=S; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Strict",
        ),
    ] {
        let (app, _, accounts) = app_with_accounts(true, secure);
        accounts.add(EMAIL, PASSWORD, Role::User);
        let response = app.handle(log_in_request(PASSWORD)).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let cookie = set_cookie(&response);
        let own = sent_back(&response);
        let (name, secret) = own.split_once('=').unwrap();
        assert_eq!(cookie.replace(secret, "S"), expected);
        let body = text(response).await;
        assert!(
            !body.contains(secret),
            "the session is in the cookie only: {body}"
        );
        assert_eq!(told(&app, get("/account"), &own).await, "200");
        // The name of the other kind of connection is not read: whoever is between could have set it.
        let other = if secure {
            "serverledge_session"
        } else {
            "__Host-serverledge_session"
        };
        let renamed = own.replace(name, other);
        assert_eq!(
            told(&app, get("/account"), &renamed).await,
            "401 authentication_required"
        );
        let response = app
            .handle(with(post("/account/log-out", ""), &[("cookie", &own)]))
            .await;
        let gone = expected
            .replace("=S;", "=;")
            .replace("Max-Age=3600", "Max-Age=0");
        assert_eq!(set_cookie(&response), gone);
        assert_eq!(outcome(response).await, "204");
    }
}

#[tokio::test]
async fn each_log_in_begins_a_session_of_its_own() {
    let (app, _) = app();
    let first = log_in(&app).await;
    let elsewhere = log_in(&app).await;
    assert_ne!(first, elsewhere);
    let response = app
        .handle(with(log_in_request(PASSWORD), &[("cookie", &first)]))
        .await;
    let second = sent_back(&response);
    assert_ne!(second, first);
    assert_eq!(told(&app, get("/account"), &second).await, "200");
    assert_eq!(told(&app, get("/account"), &elsewhere).await, "200");
    assert_eq!(
        told(&app, get("/account"), &first).await,
        "401 credential_invalid",
        "the one before is over"
    );
    // A session that somebody planted does not become one.
    let planted = app
        .handle(with(
            log_in_request(PASSWORD),
            &[("cookie", "serverledge_session=planted")],
        ))
        .await;
    assert_ne!(sent_back(&planted), "serverledge_session=planted");
    assert_eq!(
        told(&app, get("/account"), "serverledge_session=planted").await,
        "401 credential_invalid"
    );
}

#[tokio::test]
async fn logging_out_ends_one_session_or_all() {
    let (app, _) = app();
    let one = log_in(&app).await;
    let two = log_in(&app).await;
    let three = log_in(&app).await;
    assert_eq!(told(&app, post("/account/log-out", ""), &one).await, "204");
    assert_eq!(
        told(&app, get("/account"), &one).await,
        "401 credential_invalid"
    );
    assert_eq!(told(&app, get("/account"), &two).await, "200");
    assert_eq!(
        told(&app, post("/account/log-out-everywhere", ""), &two).await,
        "204"
    );
    for session in [&two, &three] {
        assert_eq!(
            told(&app, get("/account"), session).await,
            "401 credential_invalid"
        );
    }
}

#[tokio::test]
async fn logging_out_with_a_token_revokes_it() {
    let (app, accounts) = app();
    let token = accounts.add_token(
        EMAIL,
        Scopes {
            invoke: true,
            ..Scopes::default()
        },
    );
    let bearing = |request| with(request, &[("authorization", &format!("Bearer {token}"))]);
    assert_eq!(
        outcome(app.handle(bearing(post("/account/log-out", ""))).await).await,
        "204"
    );
    assert_eq!(
        outcome(app.handle(bearing(get("/functions"))).await).await,
        "401 credential_invalid"
    );
}

#[tokio::test]
async fn wrong_passwords_and_too_many_tries() {
    let (app, accounts) = app();
    check(app.handle(log_in_request(OTHER)).await, expect![[r#"
        403 Forbidden
        content-type: application/problem+json
        {"code":"wrong_credentials","detail":"e-mail and password do not fit","status":403,"title":"Forbidden","type":"about:blank"}"#]]).await;
    let nobody = json!({"email": "nobody@example.org", "password": PASSWORD});
    check(app.handle(sent(&Method::POST, "/account/log-in", &nobody)).await, expect![[r#"
        403 Forbidden
        content-type: application/problem+json
        {"code":"wrong_credentials","detail":"e-mail and password do not fit","status":403,"title":"Forbidden","type":"about:blank"}"#]]).await;
    accounts.refuse_next(AccountError::TooMany {
        retry_after: Duration::from_millis(1_001),
    });
    check(app.handle(log_in_request(PASSWORD)).await, expect![[r#"
        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 2
        {"code":"too_many_tries","detail":"too many tries; wait before the next one","status":429,"title":"Too Many Requests","type":"about:blank"}"#]]).await;
}

/// One row per kind of refusal.
#[tokio::test]
async fn refusals_have_codes() {
    let lost = || std::io::Error::other("etcd is away");
    for (error, expected) in [
        (
            AccountError::Invalid {
                code: "email_invalid",
                message: "no address".to_owned(),
            },
            "422 email_invalid",
        ),
        (AccountError::WrongCredentials, "403 wrong_credentials"),
        (AccountError::Taken, "409 email_taken"),
        (
            AccountError::SignUp("sign-up is closed"),
            "403 sign_up_refused",
        ),
        (AccountError::Link, "410 link_invalid"),
        (AccountError::Forbidden("not you"), "403 forbidden"),
        (
            AccountError::Unknown("this token"),
            "404 credential_unknown",
        ),
        (
            AccountError::TooMany {
                retry_after: Duration::ZERO,
            },
            "429 too_many_tries",
        ),
        (
            AccountError::Dependency {
                what: "the registry",
                code: "registry_unavailable",
                source: lost().into(),
            },
            "503 registry_unavailable",
        ),
        (
            AccountError::Internal {
                message: "a secret of the log".to_owned(),
            },
            "500 internal",
        ),
    ] {
        let (app, accounts) = app();
        accounts.refuse_next(error);
        let response = app.handle(log_in_request(PASSWORD)).await;
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(outcome(response).await, expected);
    }
}

#[tokio::test]
async fn malformed_bodies_are_not_repeated() {
    let (app, _) = app();
    for (body, expected) in [
        ("", "400 malformed_json"),
        ("{\"email\":\"a\"", "400 malformed_json"),
        ("[\"hunter2hunter2\"]", "400 malformed_member"),
        (
            "{\"email\":\"a\",\"password\":{\"hunter2\":1}}",
            "400 malformed_member",
        ),
        (
            "{\"email\":\"a\",\"password\":[\"hunter2\"]}",
            "400 malformed_member",
        ),
        (
            "{\"email\":\"a\",\"password\":null}",
            "400 malformed_member",
        ),
        (
            "{\"email\":\"a\",\"password\":\"hunter2\",\"hunter2\":1}",
            "400 malformed_member",
        ),
        ("{\"email\":\"a\"}", "400 malformed_member"),
    ] {
        let response = app.handle(post("/account/log-in", body)).await;
        let status = response.status().as_u16();
        let problem = text(response).await;
        let code = serde_json::from_str::<Value>(&problem).unwrap()["code"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(format!("{status} {code}"), expected, "{body}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let long = json!({"email": EMAIL, "password": "x".repeat(2_000)});
    assert_eq!(
        outcome(
            app.handle(sent(&Method::POST, "/account/log-in", &long))
                .await
        )
        .await,
        "413 body_too_large"
    );
}

#[tokio::test]
async fn signing_up_begins_a_session_or_sends_a_mail() {
    let (app, accounts) = app();
    let wanted = |email: &str| {
        sent(
            &Method::POST,
            "/account/sign-up",
            &json!({"email": email, "password": PASSWORD}),
        )
    };
    let response = app.handle(wanted("bob@example.org")).await;
    assert_eq!(response.status(), 201);
    let cookie = sent_back(&response);
    let bob = json_of(response).await["user"].clone();
    let shown = json_of(
        app.handle(with(get("/account"), &[("cookie", &cookie)]))
            .await,
    )
    .await;
    assert_eq!(
        (&shown["user"], &shown["email"], &shown["via"]),
        (&bob, &json!("bob@example.org"), &json!("session"))
    );
    assert_eq!(
        outcome(app.handle(wanted(EMAIL)).await).await,
        "409 email_taken"
    );
    accounts.send_mails();
    // Taken or free: the answers are equal.
    for email in [EMAIL, "eve@example.org"] {
        let response = app.handle(wanted(email)).await;
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(
            (response.status().as_u16(), text(response).await.as_str()),
            (202, "{\"confirmation_sent\":true}")
        );
    }
    let (to, secret) = accounts.mails().pop().unwrap();
    assert_eq!(to, "eve@example.org");
    let confirm = || {
        sent(
            &Method::POST,
            "/account/confirm",
            &json!({"secret": secret}),
        )
    };
    assert_eq!(outcome(app.handle(confirm()).await).await, "204");
    assert_eq!(
        outcome(app.handle(confirm()).await).await,
        "410 link_invalid"
    );
}

#[tokio::test]
async fn a_new_password_comes_by_mail() {
    let (app, accounts) = app();
    let session = log_in(&app).await;
    let ask = |email: &str| {
        sent(
            &Method::POST,
            "/account/request-reset",
            &json!({"email": email}),
        )
    };
    for email in [EMAIL, "nobody@example.org"] {
        let response = app.handle(ask(email)).await;
        assert_eq!(
            (response.status().as_u16(), text(response).await.as_str()),
            (202, "{\"delivery\":\"mail\"}"),
            "{email}"
        );
    }
    let mails = accounts.mails();
    assert_eq!(mails.len(), 1);
    let secret = &mails[0].1;
    let reset = |password: &str| {
        sent(
            &Method::POST,
            "/account/reset",
            &json!({"secret": secret, "password": password}),
        )
    };
    assert_eq!(
        outcome(app.handle(reset("short")).await).await,
        "422 password_too_short"
    );
    assert_eq!(outcome(app.handle(reset(OTHER)).await).await, "204");
    assert_eq!(
        outcome(app.handle(reset(OTHER)).await).await,
        "410 link_invalid"
    );
    assert_eq!(
        told(&app, get("/account"), &session).await,
        "401 credential_invalid"
    );
    assert_eq!(
        outcome(app.handle(log_in_request(PASSWORD)).await).await,
        "403 wrong_credentials"
    );
    assert_eq!(
        outcome(app.handle(log_in_request(OTHER)).await).await,
        "200"
    );
}

#[tokio::test]
async fn settings_change_with_the_password() {
    let (app, _) = app();
    let one = log_in(&app).await;
    let two = log_in(&app).await;
    let change = |old: &str| {
        sent(
            &Method::POST,
            "/account/password",
            &json!({"password": old, "new_password": OTHER}),
        )
    };
    assert_eq!(
        told(&app, change("wrong"), &one).await,
        "403 wrong_credentials"
    );
    assert_eq!(told(&app, change(PASSWORD), &one).await, "204");
    assert_eq!(told(&app, get("/account"), &one).await, "200");
    assert_eq!(
        told(&app, get("/account"), &two).await,
        "401 credential_invalid",
        "other sessions end"
    );
    let email = json!({"password": OTHER, "email": "ada@example.net"});
    let response = app
        .handle(with(
            sent(&Method::POST, "/account/email", &email),
            &[("cookie", &one)],
        ))
        .await;
    assert_eq!(text(response).await, "{\"confirmation_sent\":false}");
    let remove = |password: &str| sent(&Method::DELETE, "/account", &json!({"password": password}));
    assert_eq!(
        told(&app, remove(PASSWORD), &one).await,
        "403 wrong_credentials"
    );
    assert_eq!(told(&app, remove(OTHER), &one).await, "204");
    assert_eq!(
        told(&app, get("/account"), &one).await,
        "401 credential_invalid"
    );
}

#[tokio::test]
async fn tokens_are_made_shown_once_listed_and_revoked() {
    let (app, _) = app();
    let cookie = log_in(&app).await;
    let asking = |request| app.handle(with(request, &[("cookie", &cookie)]));
    let wanted = json!({"name": " laptop ", "scopes": ["deploy", "invoke"], "lifetime_s": 60});
    let response = asking(sent(&Method::POST, "/account/tokens", &wanted)).await;
    assert_eq!(response.status(), 201);
    let made = json_of(response).await;
    let token = made["token"].as_str().unwrap().to_owned();
    let id = made["info"]["id"].as_str().unwrap().to_owned();
    let listed = text(asking(get("/account/tokens")).await).await;
    assert!(!listed.contains(&token), "{listed}");
    assert_eq!(
        serde_json::from_str::<Value>(&listed).unwrap(),
        json!({"tokens": [{
            "id": id, "name": "laptop", "scopes": ["invoke", "deploy"],
            "created_unix_ms": 1_772_323_200_000_u64, "expires_unix_ms": 1_772_323_260_000_u64
        }]})
    );
    let bearing = || {
        with(
            get("/functions"),
            &[("authorization", &format!("Bearer {token}"))],
        )
    };
    assert_eq!(outcome(app.handle(bearing()).await).await, "200");
    let revoke = || request(&Method::DELETE, &format!("/account/tokens/{id}"), "");
    assert_eq!(outcome(asking(revoke()).await).await, "204");
    assert_eq!(
        outcome(app.handle(bearing()).await).await,
        "401 credential_invalid"
    );
    assert_eq!(
        outcome(asking(revoke()).await).await,
        "404 credential_unknown"
    );
    for id in ["%2e%2e", "%FF", "a%2Fb"] {
        let other = request(&Method::DELETE, &format!("/account/tokens/{id}"), "");
        assert_eq!(
            outcome(asking(other).await).await,
            "404 credential_unknown",
            "{id}"
        );
    }
}

#[tokio::test]
async fn malformed_tokens_and_more_than_ones_own_are_refused() {
    let (app, accounts) = app();
    let own = accounts.add_token(
        EMAIL,
        Scopes {
            admin: true,
            ..Scopes::default()
        },
    );
    let make = |body: Value| {
        let bearer = format!("Bearer {own}");
        app.handle(with(
            sent(&Method::POST, "/account/tokens", &body),
            &[("authorization", &bearer)],
        ))
    };
    for (body, expected) in [
        (json!({"name": "a", "scopes": ["admin"]}), "201"),
        (
            json!({"name": "a", "scopes": ["admin", "deploy"]}),
            "403 forbidden",
        ),
        (
            json!({"name": "a", "scopes": ["root"]}),
            "422 token_scopes_invalid",
        ),
        (
            json!({"name": "a", "scopes": []}),
            "422 token_scopes_invalid",
        ),
        (
            json!({"name": " ", "scopes": ["admin"]}),
            "422 token_name_invalid",
        ),
        (
            json!({"name": "a\u{1b}[2J", "scopes": ["admin"]}),
            "422 token_name_invalid",
        ),
        (
            json!({"name": "x".repeat(65), "scopes": ["admin"]}),
            "422 token_name_invalid",
        ),
        (
            json!({"name": "a", "scopes": ["admin"], "lifetime_s": 0}),
            "422 token_lifetime_invalid",
        ),
        (
            json!({"name": "a", "scopes": ["admin"], "lifetime_s": u64::MAX}),
            "422 token_lifetime_invalid",
        ),
    ] {
        assert_eq!(outcome(make(body.clone()).await).await, expected, "{body}");
    }
}

#[tokio::test]
async fn nobody_reaches_anothers_tokens_and_sessions() {
    let (app, accounts) = app();
    accounts.add("bob@example.org", PASSWORD, Role::User);
    let cookie = log_in(&app).await;
    accounts.add_token("bob@example.org", Scopes::ALL);
    let sessions = json_of(
        app.handle(with(get("/account/sessions"), &[("cookie", &cookie)]))
            .await,
    )
    .await;
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (
            sessions["sessions"].as_array().unwrap().len(),
            &sessions["sessions"][0]["current"]
        ),
        (1, &json!(true))
    );
    let bob = json!({"email": "bob@example.org", "password": PASSWORD});
    let bob = sent_back(
        &app.handle(sent(&Method::POST, "/account/log-in", &bob))
            .await,
    );
    let end = || request(&Method::DELETE, &format!("/account/sessions/{id}"), "");
    assert_eq!(told(&app, end(), &bob).await, "404 credential_unknown");
    for number in 0..9 {
        let revoke = request(&Method::DELETE, &format!("/account/tokens/t{number}"), "");
        assert_eq!(told(&app, revoke, &cookie).await, "404 credential_unknown");
    }
    let response = app.handle(with(end(), &[("cookie", &cookie)])).await;
    assert!(
        set_cookie(&response).contains("Max-Age=0"),
        "one's own session: the browser forgets it"
    );
    assert_eq!(outcome(response).await, "204");
    assert_eq!(
        told(&app, get("/account"), &cookie).await,
        "401 credential_invalid"
    );
}

#[tokio::test]
async fn operators_invite() {
    let (app, accounts) = app();
    let cookie = log_in(&app).await;
    assert_eq!(
        told(&app, post("/account/invitations", ""), &cookie).await,
        "403 forbidden"
    );
    accounts.add("root@example.org", PASSWORD, Role::Operator);
    let token = format!(
        "Bearer {}",
        accounts.add_token("root@example.org", Scopes::ALL)
    );
    let response = app
        .handle(with(
            post("/account/invitations", ""),
            &[("authorization", &token)],
        ))
        .await;
    assert_eq!(response.status(), 201);
    let invite = json_of(response).await["invite"].clone();
    let wanted = |email: &str| {
        sent(
            &Method::POST,
            "/account/sign-up",
            &json!({"email": email, "password": PASSWORD, "invite": invite}),
        )
    };
    assert_eq!(
        outcome(app.handle(wanted("eve@example.org")).await).await,
        "201"
    );
    assert_eq!(
        outcome(app.handle(wanted("mallory@example.org")).await).await,
        "410 link_invalid"
    );
}

/// The pages load nothing from elsewhere, run one script of the node's own, and say nothing of where they came from.
#[tokio::test]
async fn pages_of_links_stand_alone() {
    let (app, _) = app();
    for uri in ["/account/reset", "/account/confirm"] {
        let response = app
            .handle(with(get(uri), &[("sec-fetch-site", "cross-site")]))
            .await;
        let headers = response.headers().clone();
        assert_eq!(response.status(), 200, "a link in a mail leads here");
        assert_eq!(
            (&headers["referrer-policy"], &headers["x-frame-options"]),
            (&"no-referrer".parse().unwrap(), &"DENY".parse().unwrap())
        );
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'")
                && !policy.contains("unsafe"),
            "{policy}"
        );
        let page = text(response).await;
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains("onclick"),
            "{page}"
        );
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script src=\"page.js\"></script>"), "{page}");
    }
    assert!(
        text(app.handle(get("/account/page.js")).await)
            .await
            .contains("location.hash")
    );
}

/// A node without accounts refuses every question about them.
#[tokio::test]
async fn a_node_without_accounts_says_so() {
    let (app, _) = crate::support::app();
    assert_eq!(
        outcome(app.handle(log_in_request(PASSWORD)).await).await,
        "404 accounts_disabled"
    );
    assert_eq!(
        outcome(app.handle(get("/account")).await).await,
        "401 authentication_required"
    );
    let token = with(get("/functions"), &[("authorization", "Bearer slt_x")]);
    assert_eq!(
        outcome(app.handle(token).await).await,
        "401 credential_invalid"
    );
}
