//! Tests of the messages of stores.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};
use serverledge_core::StateEntry;

use super::*;

fn message(head: &[u8], value: &[u8]) -> Bytes {
    let length = u32::try_from(head.len()).unwrap();
    [&length.to_le_bytes()[..], head, value].concat().into()
}

fn read(head: &str, value: &[u8]) -> Result<(StoreName, StateOp), StateRequestError> {
    read_request(&message(head.as_bytes(), value))
}

fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

#[track_caller]
fn accepts(head: &str, value: &[u8], store: &str, op: &StateOp) {
    let (read_store, read_op) = read(head, value).unwrap();
    assert_eq!((read_store.as_str(), &read_op), (store, op));
}

#[track_caller]
fn refuses(message: &Bytes, code: &str, expected: &Expect) {
    let error = read_request(message).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    expected.assert_eq(&error.to_string());
}

#[track_caller]
fn refuses_head(head: &str, code: &str, expected: &Expect) {
    refuses(&message(head.as_bytes(), b""), code, expected);
}

#[test]
fn every_operation_is_read() {
    let get = StateOp::Get { key: key("k") };
    accepts(r#"{"op":"get","key":"k"}"#, b"", "default", &get);
    let named = r#"{"op":"get","key":"k","store":"carts"}"#;
    accepts(named, b"", "carts", &get);
    let null = r#"{"store":null,"key":"k","op":"get"}"#;
    accepts(null, b"", "default", &get);

    let set = |ttl| StateOp::Set {
        key: key("k"),
        value: Bytes::from_static(b"{}\0\xff"),
        ttl,
    };
    let plain = r#"{"op":"set","key":"k"}"#;
    accepts(plain, b"{}\0\xff", "default", &set(None));
    let timed = r#"{"op":"set","key":"k","ttl_ms":1500}"#;
    let ttl = Some(Duration::from_millis(1500));
    accepts(timed, b"{}\0\xff", "default", &set(ttl));

    let delete = StateOp::Delete { key: key("k") };
    accepts(r#"{"op":"delete","key":"k"}"#, b"", "default", &delete);

    let all = StateOp::List {
        prefix: String::new(),
        cursor: None,
        limit: 0,
    };
    accepts(r#"{"op":"list"}"#, b"", "default", &all);
    let page = StateOp::List {
        prefix: "a/".to_owned(),
        cursor: Some("YQ".to_owned()),
        limit: 7,
    };
    let asked = r#"{"op":"list","prefix":"a/","cursor":"YQ","limit":7}"#;
    accepts(asked, b"", "default", &page);

    let swap = |expected, ttl| StateOp::CompareAndSet {
        key: key("k"),
        expected,
        value: Bytes::from_static(b"v"),
        ttl,
    };
    for head in [
        r#"{"op":"compare_and_set","key":"k"}"#,
        r#"{"op":"compare_and_set","key":"k","expected":null}"#,
    ] {
        accepts(head, b"v", "default", &swap(None, None));
    }
    let head = r#"{"op":"compare_and_set","key":"k","expected":"18446744073709551615","ttl_ms":1}"#;
    let largest = Some(StateVersion::new(u64::MAX));
    let ttl = Some(Duration::from_millis(1));
    accepts(head, b"v", "default", &swap(largest, ttl));

    let add = |by| StateOp::Increment { key: key("k"), by };
    accepts(r#"{"op":"increment","key":"k"}"#, b"", "default", &add(1));
    let head = r#"{"op":"increment","key":"k","by":-9223372036854775808}"#;
    accepts(head, b"", "default", &add(i64::MIN));
}

#[test]
fn messages_that_end_early_are_refused() {
    let early = expect!["the request to a store is malformed: it ends within its head"];
    for bytes in [&b""[..], b"\x01\0\0", b"\x01\0\0\0", b"\x10\0\0\0{}"] {
        let message = Bytes::copy_from_slice(bytes);
        refuses(&message, "kv_request_invalid", &early);
    }
    let long = Bytes::from_static(b"\xff\xff\xff\xff{}");
    let expected =
        expect!["the request to a store is malformed: its head is longer than 65536 bytes"];
    refuses(&long, "kv_request_invalid", &expected);
}

#[test]
fn malformed_heads_are_refused() {
    for head in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"op":"get"}"#,
        r#"{"op":"drop","key":"k"}"#,
        r#"{"op":"get","key":7}"#,
        r#"{"op":"get","key":"k"} x"#,
        r#"{"op":"get","key":"k","key":"l"}"#,
        // Members that no operation has, or another one.
        r#"{"op":"get","key":"k","ttl_ms":5}"#,
        r#"{"op":"get","key":"k","Store":"a"}"#,
        r#"{"op":"set","key":"k","ttl":5}"#,
        r#"{"op":"set","key":"k","expected":"5"}"#,
        r#"{"op":"list","key":"k"}"#,
        // Numbers that are none, or do not fit.
        r#"{"op":"set","key":"k","ttl_ms":-1}"#,
        r#"{"op":"set","key":"k","ttl_ms":1.5}"#,
        r#"{"op":"set","key":"k","ttl_ms":"5"}"#,
        r#"{"op":"list","limit":-1}"#,
        r#"{"op":"increment","key":"k","by":1.5}"#,
        r#"{"op":"increment","key":"k","by":9223372036854775808}"#,
        r#"{"op":"increment","key":"k","by":"1"}"#,
        r#"{"op":"compare_and_set","key":"k","expected":5}"#,
        r#"{"op":"compare_and_set","key":"k","expected":""}"#,
        r#"{"op":"compare_and_set","key":"k","expected":"+5"}"#,
        r#"{"op":"compare_and_set","key":"k","expected":"05"}"#,
        r#"{"op":"compare_and_set","key":"k","expected":"18446744073709551616"}"#,
    ] {
        let error = read(head, b"").unwrap_err();
        assert_eq!(error.code(), "kv_request_invalid", "{head}: {error}");
    }
}

#[test]
fn a_value_belongs_to_a_write() {
    let message = message(br#"{"op":"get","key":"k"}"#, b"abc");
    let expected = expect![
        "the request to a store is malformed: get takes no value, but 3 bytes follow the head"
    ];
    refuses(&message, "kv_request_invalid", &expected);
}

#[test]
fn wrong_keys_and_stores_have_codes_of_their_own() {
    let empty = expect!["a key has at least one byte"];
    refuses_head(r#"{"op":"get","key":""}"#, "kv_key_invalid", &empty);
    let long = json!({ "op": "delete", "key": "k".repeat(10_240) }).to_string();
    let expected = expect!["a key may have 512 bytes, not 10240"];
    refuses_head(&long, "kv_key_invalid", &expected);
    let control = expect!["a key has no control characters"];
    refuses_head(
        r#"{"op":"increment","key":"a\n"}"#,
        "kv_key_invalid",
        &control,
    );
    let name =
        expect![[r#""Up" is no name of a store: 1 to 63 lower-case letters, digits, - and _"#]];
    let head = r#"{"op":"get","key":"k","store":"Up"}"#;
    refuses_head(head, "kv_store_invalid", &name);
    let head = r#"{"op":"list","store":""}"#;
    assert_eq!(read(head, b"").unwrap_err().code(), "kv_store_invalid");
}

#[track_caller]
fn writes(reply: &StateReply, value: &[u8], expected: &Expect) {
    let message = write_reply(reply);
    let (length, rest) = message.split_first_chunk::<4>().unwrap();
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
    let (head, behind) = rest.split_at(length);
    expected.assert_eq(std::str::from_utf8(head).unwrap());
    assert_eq!(behind, value);
}

#[test]
fn every_reply_is_written() {
    let version = StateVersion::new(12);
    let entry = StateEntry {
        value: Bytes::from_static(b"\0v\xff"),
        version,
    };
    writes(
        &StateReply::Entry(Some(entry)),
        b"\0v\xff",
        &expect![[r#"{"found":true,"version":"12"}"#]],
    );
    writes(
        &StateReply::Entry(None),
        b"",
        &expect![[r#"{"found":false}"#]],
    );
    writes(
        &StateReply::Written(version),
        b"",
        &expect![[r#"{"version":"12"}"#]],
    );
    writes(
        &StateReply::Deleted(true),
        b"",
        &expect![[r#"{"deleted":true}"#]],
    );
    let mut page = StatePage {
        keys: vec![key("a"), key("ü\"")],
        cursor: Some("YQ".to_owned()),
    };
    writes(
        &StateReply::Keys(page.clone()),
        b"",
        &expect![[r#"{"keys":["a","ü\""],"cursor":"YQ"}"#]],
    );
    page = StatePage::default();
    writes(&StateReply::Keys(page), b"", &expect![[r#"{"keys":[]}"#]]);
    writes(
        &StateReply::Swapped(Some(version)),
        b"",
        &expect![[r#"{"swapped":true,"version":"12"}"#]],
    );
    writes(
        &StateReply::Swapped(None),
        b"",
        &expect![[r#"{"swapped":false}"#]],
    );
    writes(
        &StateReply::Number(i64::MIN),
        b"",
        &expect![[r#"{"value":"-9223372036854775808"}"#]],
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        text in "[ -~äü€😀]{1,100}",
        value in proptest::collection::vec(any::<u8>(), 0..300),
        expected in any::<Option<u64>>(),
        ttl_ms in any::<Option<u64>>(),
    ) {
        let mut head = json!({ "op": "compare_and_set", "key": &text, "ttl_ms": ttl_ms });
        head["expected"] = expected.map_or(Value::Null, |version| version.to_string().into());
        let (_, op) = read(&head.to_string(), &value).unwrap();
        prop_assert_eq!(op, StateOp::CompareAndSet {
            key: key(&text),
            expected: expected.map(StateVersion::new),
            value: value.into(),
            ttl: ttl_ms.map(Duration::from_millis),
        });
    }

    #[test]
    fn no_message_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_request(&bytes.into());
    }
}
