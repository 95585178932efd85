//! What a client carries and what it is handed out, on the way from node to node: the carried part has the thesis's shape
//! ([`crate::thesis`]), the entries are a list.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serverledge_core::{CacheEntry, Carried, CarriedAnswers, FunctionName};

use crate::thesis::TAGS;

/// Bytes that [`carried_text`] has at most.
#[must_use]
pub fn carried_bytes(carried: &Carried) -> usize {
    let answers = [&carried.edge, &carried.cache].into_iter().flatten();
    let bytes = answers.map(|(name, table)| {
        let answers = table.iter().map(|(params, answer)| {
            // The key stands beside the result and beside the tag.
            let key = params.len().div_ceil(3) * 4 + 6;
            2 * key + answer.result.len() + answer.tag.as_ref().map_or(0, |tag| 2 * tag.len() + 6)
        });
        2 * (name.as_str().len() + 8) + answers.sum::<usize>()
    });
    64 + bytes.sum::<usize>()
}

/// As a body that [`crate::thesis::ThesisRequest`] reads.
#[must_use]
pub fn carried_text(carried: &Carried) -> Vec<u8> {
    let mut text = Vec::with_capacity(carried_bytes(carried));
    text.extend_from_slice(b"{\"edgeResults\":{");
    push(&mut text, &carried.edge);
    text.extend_from_slice(b"},\"cache\":{");
    push(&mut text, &carried.cache);
    let tags = tags(&carried.cache);
    if !carried.cache.is_empty() {
        text.push(b',');
    }
    text.extend_from_slice(format!("\"{TAGS}\":{tags}").as_bytes());
    text.extend_from_slice(b"}}");
    text
}

fn push(text: &mut Vec<u8>, answers: &CarriedAnswers) {
    for (nth, (name, table)) in answers.iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        text.extend_from_slice(format!("{comma}\"{name}\":{{").as_bytes());
        for (nth, (params, answer)) in table.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            text.extend_from_slice(format!("{comma}\"{}\":", STANDARD.encode(params)).as_bytes());
            text.extend_from_slice(&answer.result);
        }
        text.push(b'}');
    }
}

fn tags(answers: &CarriedAnswers) -> serde_json::Value {
    let of_function =
        |table: &std::collections::HashMap<Bytes, serverledge_core::CarriedAnswer>| {
            let tags = table.iter().filter_map(|(params, answer)| {
                Some((
                    STANDARD.encode(params),
                    serde_json::Value::from(answer.tag.as_deref()?),
                ))
            });
            serde_json::Value::Object(tags.collect())
        };
    let tags = answers
        .iter()
        .map(|(name, table)| (name.to_string(), of_function(table)));
    serde_json::Value::Object(tags.collect())
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    function: String,
    #[serde(borrow)]
    params: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
    tag: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    nested: bool,
}

impl<'a> Entry<'a> {
    fn of(entry: &'a CacheEntry) -> Option<Self> {
        Some(Self {
            function: entry.function.to_string(),
            params: serde_json::from_slice(&entry.params).ok()?,
            result: serde_json::from_slice(&entry.result).ok()?,
            tag: entry.tag.clone(),
            nested: entry.nested,
        })
    }
}

/// Entries as text; entries that hold no JSON are left out.
#[must_use]
pub fn entries_text(entries: &[CacheEntry]) -> Vec<u8> {
    let list: Vec<_> = entries.iter().filter_map(Entry::of).collect();
    // Names, texts and JSON: nothing that cannot be written.
    serde_json::to_vec(&list).unwrap_or_default()
}

/// Entries from their text; what is none is left out.
#[must_use]
pub fn entries_of(text: &Bytes) -> Vec<CacheEntry> {
    if text.is_empty() {
        return Vec::new();
    }
    let list: Vec<Entry<'_>> = serde_json::from_slice(text).unwrap_or_default();
    let entry = |entry: &Entry<'_>| {
        Some(CacheEntry {
            function: FunctionName::parse(&entry.function).ok()?,
            params: text.slice_ref(entry.params.get().as_bytes()),
            result: text.slice_ref(entry.result.get().as_bytes()),
            tag: entry.tag.clone(),
            nested: entry.nested,
        })
    };
    list.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thesis::ThesisRequest;

    #[test]
    fn what_is_carried_arrives_as_it_was_sent() {
        for body in [
            r#"{"edgeResults":{"f":{"e30=":1,"WzFd":{"a":[2]}},"g":{"e30=":null}},"cache":{"f":{"e30=":"x"},"$tags":{"f":{"e30=":"v1.\"t"}}}}"#,
            r#"{"edgeResults":{"__proto__":{"Mg==":1}}}"#,
            r#"{"cache":{"f":{"e30=":1},"h":{"MQ==":2}}}"#,
        ] {
            let carried = ThesisRequest::parse(&Bytes::from_static(body.as_bytes()))
                .unwrap()
                .carried;
            let text = carried_text(carried.as_ref().unwrap());
            assert!(text.len() <= carried_bytes(carried.as_ref().unwrap()));
            assert_eq!(ThesisRequest::parse(&text.into()).unwrap().carried, carried);
        }
    }

    #[test]
    fn entries_arrive_as_they_were_sent() {
        let entry = |name: &str, nested| CacheEntry {
            function: FunctionName::parse(name).unwrap(),
            params: Bytes::from_static(br#"{"a":"\u001f"}"#),
            result: Bytes::from_static(b"[1, 2]"),
            tag: "t".to_owned(),
            nested,
        };
        let entries = vec![entry("f", false), entry("g", true)];
        assert_eq!(entries_of(&entries_text(&entries).into()), entries);
        assert_eq!(entries_of(&Bytes::from_static(b"nothing")), vec![]);
        assert_eq!(entries_of(&Bytes::new()), vec![]);
    }
}
