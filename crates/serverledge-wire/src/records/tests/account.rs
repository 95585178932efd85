//! Golden files of the records of accounts.

use expect_test::expect;

use super::check;
use crate::records::{
    EmailRecord, LinkPurpose, LinkRecord, Record, SessionRecord, TokenRecord, UserRecord,
};

const NOW: u64 = 1_700_000_000_000;
const USER: &str = "018bcfe568007000800000000000000a";

fn user() -> UserRecord {
    UserRecord {
        schema: UserRecord::SCHEMA,
        email: "Ada@example.org".to_owned(),
        password: "$argon2id$…".to_owned(),
        role: "operator".to_owned(),
        space: "018bcfe568007000800000000000000b".to_owned(),
        created_unix_ms: NOW,
        epoch: 2,
        token_epoch: 1,
        deleted: false,
    }
}

#[test]
fn user_record() {
    check(
        &user(),
        &expect![[r#"
        {
          "created_unix_ms": 1700000000000,
          "email": "Ada@example.org",
          "epoch": 2,
          "password": "$argon2id$…",
          "role": "operator",
          "schema": 1,
          "space": "018bcfe568007000800000000000000b",
          "token_epoch": 1
        }"#]],
    );
    check(
        &UserRecord {
            deleted: true,
            ..user()
        },
        &expect![[r#"
        {
          "created_unix_ms": 1700000000000,
          "deleted": true,
          "email": "Ada@example.org",
          "epoch": 2,
          "password": "$argon2id$…",
          "role": "operator",
          "schema": 1,
          "space": "018bcfe568007000800000000000000b",
          "token_epoch": 1
        }"#]],
    );
    assert!(
        !format!("{:?}", user()).contains("argon2"),
        "hashes stay out of logs"
    );
}

#[test]
fn email_record() {
    check(
        &EmailRecord {
            schema: EmailRecord::SCHEMA,
            user: USER.to_owned(),
        },
        &expect![[r#"
        {
          "schema": 1,
          "user": "018bcfe568007000800000000000000a"
        }"#]],
    );
}

#[test]
fn session_record() {
    let record = SessionRecord {
        schema: SessionRecord::SCHEMA,
        user: USER.to_owned(),
        epoch: 2,
        created_unix_ms: NOW,
        used_unix_ms: NOW + 1,
        idle_unix_ms: NOW + 2,
        expires_unix_ms: NOW + 3,
    };
    check(
        &record,
        &expect![[r#"
        {
          "created_unix_ms": 1700000000000,
          "epoch": 2,
          "expires_unix_ms": 1700000000003,
          "idle_unix_ms": 1700000000002,
          "schema": 1,
          "used_unix_ms": 1700000000001,
          "user": "018bcfe568007000800000000000000a"
        }"#]],
    );
}

#[test]
fn token_record() {
    let record = TokenRecord {
        schema: TokenRecord::SCHEMA,
        user: USER.to_owned(),
        epoch: 1,
        name: "laptop".to_owned(),
        scopes: vec!["invoke".to_owned(), "deploy".to_owned()],
        created_unix_ms: NOW,
        expires_unix_ms: Some(NOW + 1),
        used_unix_ms: None,
    };
    check(
        &record,
        &expect![[r#"
        {
          "created_unix_ms": 1700000000000,
          "epoch": 1,
          "expires_unix_ms": 1700000000001,
          "name": "laptop",
          "schema": 1,
          "scopes": [
            "invoke",
            "deploy"
          ],
          "user": "018bcfe568007000800000000000000a"
        }"#]],
    );
}

#[test]
fn link_record() {
    let user = USER.to_owned();
    let link = |purpose| LinkRecord {
        schema: LinkRecord::SCHEMA,
        expires_unix_ms: NOW,
        purpose,
    };
    let email = "ada@example.org".to_owned();
    let password = "$argon2id$…".to_owned();
    check(
        &link(LinkPurpose::Reset {
            user: user.clone(),
            epoch: 2,
            email: email.clone(),
        }),
        &expect![[r#"
        {
          "email": "ada@example.org",
          "epoch": 2,
          "expires_unix_ms": 1700000000000,
          "kind": "reset",
          "schema": 1,
          "user": "018bcfe568007000800000000000000a"
        }"#]],
    );
    let sign_up = link(LinkPurpose::SignUp {
        email: email.clone(),
        password,
        invitation: Some("ab".to_owned()),
    });
    check(
        &sign_up,
        &expect![[r#"
        {
          "email": "ada@example.org",
          "expires_unix_ms": 1700000000000,
          "invitation": "ab",
          "kind": "sign_up",
          "password": "$argon2id$…",
          "schema": 1
        }"#]],
    );
    assert!(!format!("{sign_up:?}").contains("argon2"));
    check(
        &link(LinkPurpose::ChangeEmail {
            user: user.clone(),
            epoch: 2,
            email,
        }),
        &expect![[r#"
        {
          "email": "ada@example.org",
          "epoch": 2,
          "expires_unix_ms": 1700000000000,
          "kind": "change_email",
          "schema": 1,
          "user": "018bcfe568007000800000000000000a"
        }"#]],
    );
    check(
        &link(LinkPurpose::Invitation { by: user }),
        &expect![[r#"
        {
          "by": "018bcfe568007000800000000000000a",
          "expires_unix_ms": 1700000000000,
          "kind": "invitation",
          "schema": 1
        }"#]],
    );
}
