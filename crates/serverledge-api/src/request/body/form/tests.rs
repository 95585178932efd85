//! Forms: fields, files, numbers, and what is malformed.

use http::HeaderValue;

use super::*;

async fn read(content_type: &str, body: impl Into<Bytes>) -> Result<Option<String>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    let params = crate::request::body::form_params(&headers, &body.into(), 2_000)
        .await
        .map_err(|error| error.to_string())?;
    Ok(params.map(|params| String::from_utf8(params.to_vec()).unwrap()))
}

#[test]
fn a_query_is_an_object() {
    for (query, expected) in [
        ("", "{}"),
        (
            "n=100&deep=true&name=Ada+L%C3%B6we",
            r#"{"deep":true,"n":100,"name":"Ada Löwe"}"#,
        ),
        ("a=1&a=x&a=", r#"{"a":[1,"x",""]}"#),
        ("a=[1]&b=null&c", r#"{"a":"[1]","b":"null","c":""}"#),
        ("a=%+1&b=%zz&c=%", r#"{"a":"% 1","b":"%zz","c":"%"}"#),
    ] {
        assert_eq!(query_params(query), expected, "{query}");
    }
}

/// Numbers that a reader of JSON would round, or write in another way, stay as they were written.
#[test]
fn numbers_that_are_not_exact_stay_text() {
    for number in [
        "0",
        "-1",
        "9007199254740991",
        "9007199254740992",
        "-9007199254740992",
        "0.5",
        "-0.1",
        "true",
    ] {
        assert_eq!(
            query_params(&format!("id={number}")),
            format!("{{\"id\":{number}}}")
        );
    }
    for text in [
        "9007199254740993",
        "-9007199254740993",
        "1234567890123456789",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "-0",
        "007",
        "1.0e2",
        "0.10",
        "1e400",
        "9007199254740993.0",
        "NaN",
    ] {
        assert_eq!(
            query_params(&format!("id={text}")),
            format!("{{\"id\":\"{text}\"}}")
        );
    }
}

#[tokio::test]
async fn a_form_is_an_object_and_json_in_it_is_json() {
    const FORM: &str = "application/x-www-form-urlencoded";
    for (content_type, body, expected) in [
        (
            FORM,
            "name=Ada+L%C3%B6we&n=3&n=4",
            Some(r#"{"n":[3,4],"name":"Ada Löwe"}"#),
        ),
        (
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "id=1234567890123456789\r\n",
            Some(r#"{"id":"1234567890123456789"}"#),
        ),
        (
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            "name=L%F6we",
            Some(r#"{"name":"Löwe"}"#),
        ),
        (FORM, "flag", Some(r#"{"flag":""}"#)),
        (FORM, "%7B%22a%22%3A1%7D=", Some(r#"{"{\"a\":1}":""}"#)),
        (FORM, "{\"n\":3}", None),
        (FORM, " [1]", None),
        (FORM, "5", None),
        (FORM, "true", None),
        (FORM, "{\"n\":3", None),
        (FORM, " ", None),
        ("application/json", "n=3", None),
        ("text/plain", "n=3", None),
    ] {
        assert_eq!(
            read(content_type, body).await.unwrap().as_deref(),
            expected,
            "{content_type} {body}"
        );
    }
    let told = read("application/x-www-form-urlencoded; charset=klingon", "a=1")
        .await
        .unwrap_err();
    assert!(told.contains("charset \"klingon\""), "{told}");
}

fn multipart(parts: &[&str]) -> String {
    let parts: String = parts
        .iter()
        .map(|part| format!("--XX\r\nContent-Disposition: form-data; {part}\r\n"))
        .collect();
    format!("{parts}--XX--\r\n")
}

#[tokio::test]
async fn a_multipart_form_is_an_object_with_its_files() {
    const TYPE: &str = "multipart/form-data; boundary=XX";
    let body = multipart(&[
        "name=\"n\"\r\n\r\n3",
        "name=\"id\"\r\n\r\n1234567890123456789",
        "name=\"name\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nLöwe",
        "name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n",
        "name=\"file\"; filename=\"b\"\r\n\r\n",
    ]);
    let expected = concat!(
        r#"{"file":[{"base64":"aGVsbG8NCg==","name":"a.txt","type":"text/plain"},"#,
        r#"{"base64":"","name":"b","type":"application/octet-stream"}],"#,
        r#""id":"1234567890123456789","n":3,"name":"Löwe"}"#,
    );
    assert_eq!(
        read(TYPE, body.clone()).await.unwrap().as_deref(),
        Some(expected)
    );
    assert_eq!(
        read(TYPE, multipart(&[])).await.unwrap().as_deref(),
        Some("{}")
    );
    for (content_type, body, told) in [
        (
            "multipart/form-data",
            body.clone(),
            "no multipart/form-data",
        ),
        (
            "multipart/form-data; boundary=YY",
            body.clone(),
            "no multipart/form-data",
        ),
        (
            TYPE,
            body[..body.len() - 10].to_owned(),
            "no multipart/form-data",
        ),
        (
            TYPE,
            multipart(&["name=\"a\"\r\nContent-Type: text/plain; charset=klingon\r\n\r\nx"]),
            "part \"a\"",
        ),
        (
            TYPE,
            multipart(&vec!["name=\"a\"\r\n\r\n"; PARTS_MAX + 1]),
            "more than 1000 parts",
        ),
        (
            TYPE,
            multipart(&[&format!(
                "name=\"a\"; filename=\"f\"\r\n\r\n{}",
                "x".repeat(1_600)
            )]),
            "larger than 2000 bytes",
        ),
    ] {
        let error = read(content_type, body).await.unwrap_err();
        assert!(error.contains(told), "{content_type}: {error}");
    }
}
