//! The results that a client carries and the cache entries returned to it, as nodes send them to each other. The carried
//! results have the form of an endpoint's request ([`crate::endpoint_body`]); the entries are a list.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serverledge_core::{CacheEntry, ClientCache, ClientResult, FunctionName};

use crate::endpoint_body::{TAGS, push_tables, push_tag};

/// Bytes that [`carried_text`] has at most.
#[must_use]
pub fn carried_bytes(carried: &ClientCache) -> usize {
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

/// As a body that [`crate::endpoint_body::EndpointBody`] reads.
#[must_use]
pub fn carried_text(carried: &ClientCache) -> Vec<u8> {
    let mut text = Vec::with_capacity(carried_bytes(carried));
    text.extend_from_slice(b"{\"edgeResults\":{");
    let push = |text: &mut Vec<u8>, answer: &ClientResult| text.extend_from_slice(&answer.result);
    push_tables(&mut text, &carried.edge, push);
    text.extend_from_slice(b"},\"cache\":{");
    push_tables(&mut text, &carried.cache, push);
    if !carried.cache.is_empty() {
        text.push(b',');
    }
    text.extend_from_slice(format!("\"{TAGS}\":{{").as_bytes());
    let tags = carried.cache.iter().map(|(name, table)| {
        (
            name,
            table
                .iter()
                .filter_map(|(params, answer)| Some((params, answer.tag.as_deref()?))),
        )
    });
    push_tables(&mut text, tags, push_tag);
    text.extend_from_slice(b"}}}");
    text
}

#[derive(Serialize, Deserialize)]
struct CacheEntryJson<'a> {
    function: String,
    #[serde(borrow)]
    params: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
    tag: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    nested: bool,
}

impl<'a> CacheEntryJson<'a> {
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
    let list: Vec<_> = entries.iter().filter_map(CacheEntryJson::of).collect();
    // Names, texts and JSON: nothing that cannot be written.
    serde_json::to_vec(&list).unwrap_or_default()
}

/// Entries from their text; what is none is left out.
#[must_use]
pub fn entries_of(text: &Bytes) -> Vec<CacheEntry> {
    if text.is_empty() {
        return Vec::new();
    }
    let list: Vec<CacheEntryJson<'_>> = serde_json::from_slice(text).unwrap_or_default();
    let entry = |entry: &CacheEntryJson<'_>| {
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
    use crate::endpoint_body::EndpointBody;

    #[test]
    fn what_is_carried_arrives_as_it_was_sent() {
        for body in [
            r#"{"edgeResults":{"f":{"e30=":1,"WzFd":{"a":[2]}},"g":{"e30=":null}},"cache":{"f":{"e30=":"x"},"$tags":{"f":{"e30=":"v1.\"t"}}}}"#,
            r#"{"edgeResults":{"__proto__":{"Mg==":1}}}"#,
            r#"{"cache":{"f":{"e30=":1},"h":{"MQ==":2}}}"#,
        ] {
            let client_cache = EndpointBody::parse(&Bytes::from_static(body.as_bytes()))
                .unwrap()
                .client_cache;
            let text = carried_text(client_cache.as_ref().unwrap());
            assert!(text.len() <= carried_bytes(client_cache.as_ref().unwrap()));
            assert_eq!(
                EndpointBody::parse(&text.into()).unwrap().client_cache,
                client_cache
            );
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
