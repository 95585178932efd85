//! Requests and responses of endpoints: a worked example, tags, and malformed bodies.

use super::*;

fn parse(body: &str) -> Result<EndpointBody, EndpointBodyError> {
    EndpointBody::parse(&Bytes::copy_from_slice(body.as_bytes()))
}

fn name(name: &str) -> FunctionName {
    FunctionName::parse(name).unwrap()
}

fn entry(function: &str, params: &'static str, result: &'static str, tag: &str) -> CacheEntry {
    let params = Bytes::from_static(params.as_bytes());
    let result = Bytes::from_static(result.as_bytes());
    CacheEntry {
        function: name(function),
        params,
        result,
        tag: tag.to_owned(),
        nested: false,
    }
}

#[test]
fn the_worked_example() {
    let request =
        parse(r#"{"args":{"a":4,"b":5,"c":6},"edgeResults":{"inner-function":{"eyJhIjo0LCJiIjo1fQ==":{"result":9}}}}"#)
            .unwrap();
    assert_eq!(request.args, r#"{"a":4,"b":5,"c":6}"#);
    let client_cache = request.client_cache.unwrap();
    assert_eq!(
        client_cache.edge[&name("inner-function")][&br#"{"a":4,"b":5}"#[..]].result,
        r#"{"result":9}"#
    );
    assert!(client_cache.cache.is_empty());
    let outer = entry(
        "outer-function",
        r#"{"a":4,"b":5,"c":6}"#,
        r#"{"out":54}"#,
        "t",
    );
    expect_test::expect![[r#"{"result":{"out":54},"cache":{"outer-function":{"eyJhIjo0LCJiIjo1LCJjIjo2fQ==":{"out":54}},"$tags":{"outer-function":{"eyJhIjo0LCJiIjo1LCJjIjo2fQ==":"t"}}}}"#]]
        .assert_eq(&String::from_utf8(response(br#"{"out":54}"#, &[outer])).unwrap());
    assert_eq!(response(b"1", &[]), br#"{"result":1,"cache":{}}"#);
}

#[test]
fn a_cache_that_is_passed_back_unread_has_its_tags() {
    let entries = [
        entry("f", r#"{"n":1}"#, "10", "t1"),
        entry("f", r#"{"n":"?>"}"#, "[]", "t2"),
        entry("g", "[]", "{}", "t3"),
    ];
    let answer: serde_json::Value = serde_json::from_slice(&response(b"0", &entries)).unwrap();
    let client_cache = parse(&serde_json::json!({"cache": answer["cache"]}).to_string())
        .unwrap()
        .client_cache
        .unwrap();
    for entry in entries {
        let answer = &client_cache.cache[&entry.function][&entry.params];
        assert_eq!(
            (&answer.result, answer.tag.as_ref()),
            (&entry.result, Some(&entry.tag))
        );
    }
    assert_eq!(client_cache.cache.len(), 2);
}

#[test]
fn keys_are_compared_by_value() {
    // {"b": 5, "a": 4.0}, padded or not, with either alphabet.
    for key in [
        "eyJiIjogNSwgImEiOiA0LjB9",
        "IHsiYSI6IDQsICJiIjogNX0",
        "IHsiYSI6IDQsICJiIjogNX0=",
    ] {
        let client_cache = parse(&format!(r#"{{"edgeResults":{{"f":{{"{key}":1}}}}}}"#))
            .unwrap()
            .client_cache
            .unwrap();
        assert!(
            client_cache.edge[&name("f")].contains_key(&br#"{"a":4,"b":5}"#[..]),
            "{key}"
        );
    }
    for key in ["Ij8/PiI=", "Ij8_PiI=", "Ij8_PiI"] {
        let client_cache = parse(&format!(r#"{{"cache":{{"f":{{"{key}":1}}}}}}"#))
            .unwrap()
            .client_cache
            .unwrap();
        assert!(
            client_cache.cache[&name("f")].contains_key(&br#""??>""#[..]),
            "{key}"
        );
    }
}

#[test]
fn little_is_enough() {
    for body in [
        "",
        " \n",
        "{}",
        r#"{"args":{},"edgeResults":null,"cache":null}"#,
        r#"{"cache":{"f":{}}}"#,
    ] {
        assert_eq!(
            parse(body).unwrap(),
            EndpointBody {
                args: EMPTY,
                client_cache: None
            },
            "{body}"
        );
    }
}

#[test]
fn names_like_those_of_prototypes_are_names() {
    let body = r#"{"args":{"__proto__":{"x":1}},"edgeResults":{"__proto__":{"e30=":1},"constructor":{"e30=":2}},
        "cache":{"$tags":{"toString":{"e30=":"t"}},"__proto__":{"e30=":3}}}"#;
    let request = parse(body).unwrap();
    let client_cache = request.client_cache.unwrap();
    assert_eq!(
        client_cache.edge[&name("__proto__")][&b"{}"[..]].result,
        "1"
    );
    assert_eq!(
        client_cache.edge[&name("constructor")][&b"{}"[..]].result,
        "2"
    );
    assert_eq!(
        client_cache.cache[&name("__proto__")][&b"{}"[..]],
        ClientResult {
            result: "3".into(),
            tag: None
        }
    );
}

#[test]
fn what_no_call_can_ask_for_is_passed_over() {
    // 9007199254740993, and {"a":1,"a":1}
    let request =
        parse(r#"{"cache":{"f":{"OTAwNzE5OTI1NDc0MDk5Mw==":1,"eyJhIjoxLCJhIjoxfQ==":2}}}"#)
            .unwrap();
    assert_eq!(request.client_cache, None);
}

#[test]
fn malformed_bodies_are_told_apart() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let deep_key = base64::engine::general_purpose::STANDARD.encode(&deep);
    let many: Vec<String> = (0..=CARRIED_MAX)
        .map(|n| {
            format!(
                "\"{}\":0",
                base64::engine::general_purpose::STANDARD.encode(n.to_string())
            )
        })
        .collect();
    let (half, rest) = many.split_at(CARRIED_MAX / 2);
    for (body, code) in [
        ("[]".to_owned(), "malformed_json"),
        ("{".to_owned(), "malformed_json"),
        ("[[{},{},{}]]".to_owned(), "malformed_json"),
        (r#"{"edgeResults":[]}"#.to_owned(), "malformed_json"),
        (r#"{"edgeResults":{"f":1}}"#.to_owned(), "malformed_json"),
        (r#"{"cache":"x"}"#.to_owned(), "malformed_json"),
        (
            r#"{"cache":{"f":{"e30=":1},"$tags":{"f":{"e30=":1}}}}"#.to_owned(),
            "malformed_json",
        ),
        (r#"{"cache":{"$tags":7}}"#.to_owned(), "malformed_json"),
        (
            r#"{"edgeResults":{"$tags":{}}}"#.to_owned(),
            "carried_name_malformed",
        ),
        (
            r#"{"cache":{"../f":{}}}"#.to_owned(),
            "carried_name_malformed",
        ),
        (
            r#"{"cache":{"f":{"%%":1}}}"#.to_owned(),
            "carried_key_not_base64",
        ),
        (
            r#"{"cache":{"f":{"e30=x":1}}}"#.to_owned(),
            "carried_key_not_base64",
        ),
        (
            r#"{"cache":{"f":{"e3s=":1}}}"#.to_owned(),
            "carried_key_not_json",
        ),
        (format!(r#"{{"args":{deep}}}"#), "json_too_deep"),
        (format!(r#"{{"args":{deep_object}}}"#), "json_too_deep"),
        (
            format!(r#"{{"edgeResults":{{"f":{{"e30=":{deep}}}}}}}"#),
            "json_too_deep",
        ),
        (format!(r#"{{"cache":{deep}}}"#), "json_too_deep"),
        (
            format!(r#"{{"cache":{{"f":{{"{deep_key}":1}}}}}}"#),
            "json_too_deep",
        ),
        (
            format!(r#"{{"cache":{{"f":{{{}}}}}}}"#, many.join(",")),
            "carried_too_many",
        ),
        (
            format!(
                r#"{{"cache":{{"f":{{{}}}}},"edgeResults":{{"f":{{{}}}}}}}"#,
                half.join(","),
                rest.join(",")
            ),
            "carried_too_many",
        ),
    ] {
        let told = parse(&body).map_err(|error| error.code());
        assert_eq!(
            told,
            Err(code),
            "{}",
            body.chars().take(80).collect::<String>()
        );
    }
    assert!(
        parse(&format!(
            r#"{{"cache":{{"f":{{{}}}}}}}"#,
            many[1..].join(",")
        ))
        .is_ok()
    );
    assert!(parse(r#"{"args":"[[[[\\\"{{{{"}"#).is_ok());
}

#[test]
fn an_unknown_member_is_named_however_deep_it_is() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in [
        format!(r#"{{"else":{deep}}}"#),
        r#"{"args":{},"else":1,"more":2}"#.to_owned(),
    ] {
        let told = parse(&body).unwrap_err();
        assert_eq!(
            (
                told.code(),
                told.to_string().contains("unknown member \"else\"")
            ),
            ("unknown_member", true)
        );
    }
    let (beside, other) =
        EndpointBody::parse_beside(&Bytes::from_static(br#"{"args":1,"Name":"f"}"#)).unwrap();
    assert_eq!(
        (&beside.args[..], other.as_deref()),
        (&b"1"[..], Some("Name"))
    );
    assert!(parse(r#"{"args":1,"args":2}"#).is_err());
}
