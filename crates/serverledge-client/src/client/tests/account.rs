//! Tokens and sessions: what is sent, and what is not sent where others could read it.

use serverledge_wire::account::{LogIn, Secret, TokenRequest};

use super::*;

const LOGGED_IN: &str = answer!(
    "200 OK",
    r#"{"user":"u","lifetime_s":60}"#,
    "set-cookie: a=1\r\nset-cookie: serverledge_session=S; Path=/; HttpOnly\r\n"
);
const CREATED: &str = answer!(
    "201 Created",
    r#"{"token":"slt_new","info":{"id":"t1","name":"n","scopes":["invoke"],"created_unix_ms":1}}"#
);

fn shown() -> LogIn {
    LogIn {
        email: "ada@example.org".to_owned(),
        password: Secret("hunter2".to_owned()),
    }
}

#[tokio::test]
async fn a_session_makes_a_token_and_ends() {
    let script = Script::new(&[LOGGED_IN, CREATED, answer!("204 No Content", "")]);
    let (_, session) = script.client.log_in(&shown()).await.unwrap();
    let wanted = TokenRequest {
        name: "n".to_owned(),
        scopes: vec!["invoke".to_owned()],
        lifetime_s: None,
    };
    let made = script
        .client
        .create_token_in(&session, &wanted)
        .await
        .unwrap();
    assert_eq!(made.token.reveal(), "slt_new");
    script.client.end(&session).await.unwrap();
    let requests = script.requests();
    assert!(
        requests[0].starts_with("POST /account/log-in HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(!requests[0].contains("cookie:"));
    for (request, line) in requests[1..].iter().zip([
        "POST /account/tokens HTTP/1.1",
        "POST /account/log-out HTTP/1.1",
    ]) {
        assert!(request.starts_with(line), "{request}");
        assert!(
            request.contains("\r\ncookie: serverledge_session=S\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn the_token_goes_with_each_request() {
    let script = Script::new(&[answer!("200 OK", "[]"), answer!("204 No Content", "")]);
    let config = ClientConfig {
        token: Some(Token::parse("slt_own").unwrap()),
        ..ClientConfig::default()
    };
    assert!(!format!("{config:?}").contains("slt_own"), "{config:?}");
    let client = Client::new(script.client.endpoint().clone(), &config).unwrap();
    assert!(!format!("{client:?}").contains("slt_own"), "{client:?}");
    client.list().await.unwrap();
    client.revoke_token("t1").await.unwrap();
    let requests = script.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.contains("\r\nauthorization: Bearer slt_own\r\n")),
        "{requests:?}"
    );
    assert!(
        requests[1].starts_with("DELETE /account/tokens/t1 HTTP/1.1\r\n"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn secrets_leave_the_machine_over_tls_only() {
    let token = || Some(Token::parse("slt_own").unwrap());
    let far = || Endpoint::new("192.0.2.1", 1).unwrap();
    let config = ClientConfig {
        token: token(),
        ..ClientConfig::default()
    };
    let refused = Client::new(far(), &config).unwrap_err();
    assert!(
        matches!(&refused, ClientError::InClear { .. }) && !refused.to_string().contains("slt_own"),
        "{refused}"
    );
    for near in ["localhost", "127.0.0.1", "::1"] {
        Client::new(Endpoint::new(near, 1).unwrap(), &config).unwrap();
    }
    Client::new(far().over_tls(true), &config).unwrap();
    Client::new(
        far(),
        &ClientConfig {
            secrets_in_clear: true,
            ..config
        },
    )
    .unwrap();
    // Passwords are no different.
    let plain = Client::new(far(), &ClientConfig::default()).unwrap();
    assert!(matches!(
        plain.log_in(&shown()).await,
        Err(ClientError::InClear { .. })
    ));
}

#[tokio::test]
async fn ids_name_one_token() {
    let client = client(1, None);
    for id in ["", "..", "a/b", "a?b"] {
        assert!(
            matches!(
                client.revoke_token(id).await,
                Err(ClientError::Request { .. })
            ),
            "{id}"
        );
    }
}
