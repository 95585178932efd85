//! Key-value stores: the requests, and what their answers mean.

use bytes::Bytes;
use serverledge_core::{AppName, StateKey, StoreName};

use super::*;
use crate::{KvExpected, KvValue, WantedKeys};

fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

const NOT_FOUND: &str = answer!(
    "404 Not Found",
    r#"{"code":"kv_not_found","detail":"there is none"}"#
);

#[tokio::test]
async fn entries_are_read_and_written() {
    let script = Script::new(&[
        answer!("200 OK", "\u{fc}\0", "etag: \"12\"\r\n"),
        answer!("204 No Content", "", "etag: \"13\"\r\n"),
        answer!("204 No Content", "", "etag: \"14\"\r\n"),
        answer!("204 No Content", "", "etag: \"15\"\r\n"),
        answer!("200 OK", r#"{"value":-4}"#),
        answer!("204 No Content", ""),
        answer!("200 OK", r#"{"cleared":3}"#),
    ]);
    let store = StoreName::default();
    let client = &script.client;
    let entry = key("a/b c%?#");
    assert_eq!(
        client.kv_get(&store, &entry).await.unwrap(),
        Some(KvValue {
            value: Bytes::from_static("\u{fc}\0".as_bytes()),
            version: 12
        })
    );
    let value = || Bytes::from_static(b"v");
    let ttl = Some(Duration::from_millis(1500));
    for (ttl, expected, version) in [
        (ttl, KvExpected::Any, 13),
        (None, KvExpected::Absent, 14),
        (None, KvExpected::Version(14), 15),
    ] {
        let written = client.kv_set(&store, &entry, value(), ttl, expected).await;
        assert_eq!(written.unwrap(), version);
    }
    let sum = client.kv_increment(&store, &key("n"), -10).await.unwrap();
    assert_eq!(sum.value, -4);
    assert!(client.kv_delete(&store, &key("n")).await.unwrap());
    assert_eq!(client.kv_clear(&store).await.unwrap().cleared, 3);
    let requests = script.requests();
    let lines: Vec<&str> = requests
        .iter()
        .filter_map(|one| one.lines().next())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /kv/default/a%2Fb%20c%25%3F%23 HTTP/1.1",
            "PUT /kv/default/a%2Fb%20c%25%3F%23?ttl=1.5 HTTP/1.1",
            "PUT /kv/default/a%2Fb%20c%25%3F%23 HTTP/1.1",
            "PUT /kv/default/a%2Fb%20c%25%3F%23 HTTP/1.1",
            "POST /kv/default/n?increment=-10 HTTP/1.1",
            "DELETE /kv/default/n HTTP/1.1",
            "DELETE /kv/default HTTP/1.1",
        ]
    );
    assert!(!requests[1].contains("if-"), "{}", requests[1]);
    assert!(requests[1].ends_with("\r\n\r\nv"), "{}", requests[1]);
    assert!(
        requests[2].contains("\r\nif-none-match: *\r\n"),
        "{}",
        requests[2]
    );
    assert!(
        requests[3].contains("\r\nif-match: \"14\"\r\n"),
        "{}",
        requests[3]
    );
}

#[tokio::test]
async fn what_is_not_there_is_no_error() {
    let script = Script::new(&[NOT_FOUND, NOT_FOUND, answer!("404 Not Found", "Not Found")]);
    let store = StoreName::default();
    assert_eq!(script.client.kv_get(&store, &key("k")).await.unwrap(), None);
    assert!(!script.client.kv_delete(&store, &key("k")).await.unwrap());
    // A node without stores has no such route.
    let missing = script.client.kv_get(&store, &key("k")).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing:?}");
    script.requests();
}

#[tokio::test]
async fn an_answer_without_a_version_is_none_of_a_node() {
    let script = Script::new(&[
        answer!("200 OK", "v"),
        answer!("200 OK", "v", "etag: \"x\"\r\n"),
    ]);
    for _ in 0..2 {
        let told = script.client.kv_get(&StoreName::default(), &key("k")).await;
        assert!(matches!(told, Err(ClientError::Answer { .. })), "{told:?}");
    }
    script.requests();
}

#[tokio::test]
async fn keys_and_stores_are_listed() {
    let stores = r#"{"stores":[{"name":"s","bytes":9,"keys":1}],"usage":{"bytes":9,"keys":1},"limits":{"bytes_max":10,"keys_max":2,"value_bytes_max":3}}"#;
    let script = Script::new(&[
        answer!("200 OK", r#"{"keys":["a/1"],"cursor":"c&d"}"#),
        answer!("200 OK", r#"{"keys":[]}"#),
        answer!(
            "200 OK",
            r#"{"stores":[{"name":"s","bytes":9,"keys":1}],"usage":{"bytes":9,"keys":1},"limits":{"bytes_max":10,"keys_max":2,"value_bytes_max":3}}"#
        ),
    ]);
    let client = script
        .client
        .clone()
        .in_app(AppName::parse("shop").unwrap());
    let store: StoreName = "s".parse().unwrap();
    let wanted = WantedKeys {
        prefix: "a/",
        cursor: None,
        limit: Some(1),
    };
    let page = client.kv_keys(&store, &wanted).await.unwrap();
    assert_eq!(page.keys, ["a/1"]);
    let wanted = WantedKeys {
        cursor: page.cursor.as_deref(),
        ..WantedKeys::default()
    };
    let last = client.kv_keys(&store, &wanted).await.unwrap();
    assert_eq!((last.keys.len(), last.cursor), (0, None));
    let told = client.kv_stores().await.unwrap();
    assert_eq!(serde_json::to_string(&told).unwrap(), stores);
    let requests = script.requests();
    let lines: Vec<&str> = requests
        .iter()
        .filter_map(|one| one.lines().next())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /apps/shop/kv/s?prefix=a%2F&limit=1 HTTP/1.1",
            "GET /apps/shop/kv/s?cursor=c%26d HTTP/1.1",
            "GET /apps/shop/kv HTTP/1.1",
        ]
    );
}

/// In a URL these would be the store itself, and the list of stores.
#[tokio::test]
async fn keys_that_are_ways_are_not_sent() {
    let client = client(1, None);
    for text in [".", ".."] {
        let told = client.kv_delete(&StoreName::default(), &key(text)).await;
        assert!(matches!(told, Err(ClientError::Request { .. })), "{told:?}");
    }
}
