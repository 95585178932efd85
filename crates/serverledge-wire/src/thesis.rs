//! What clients of a running application send and get: arguments, results that they carry, and the cache handed out
//! (the thesis's shapes, with a tag for each entry in the reserved member `$tags` of `cache`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serverledge_core::{CacheEntry, Carried, CarriedAnswer, CarriedAnswers, FunctionName};

use crate::canonical::{Canonical, DEPTH_MAX, NotCanonical, canonical};

#[cfg(test)]
mod tests;

/// Most answers that one request may carry, edge results and cache together: each costs a look at its arguments.
pub const CARRIED_MAX: usize = 1_000;
/// The member of `cache` that holds the tags. No function's name begins with `$`.
pub const TAGS: &str = "$tags";

const EMPTY: Bytes = Bytes::from_static(b"{}");
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The body of a request to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThesisRequest {
    /// The function's parameters: JSON, as they were sent; `{}` where they are absent.
    pub args: Bytes,
    /// What the client carries; `None` if that is nothing.
    pub carried: Option<Carried>,
}

/// Why a body is not such a request.
#[derive(Debug, thiserror::Error)]
pub enum ThesisError {
    /// Not JSON, or not of the shape.
    #[error("the body is not {{\"args\":…,\"edgeResults\":…,\"cache\":…}}: {0}")]
    Shape(String),
    /// Nested too deep.
    #[error("{member} is nested more than {DEPTH_MAX} deep")]
    TooDeep {
        /// Which member.
        member: &'static str,
    },
    /// A name that no function has.
    #[error("{member} names {name:?}, which cannot be a function: {fault}")]
    Name {
        /// Which member.
        member: &'static str,
        /// The name's beginning.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A key that is not base64.
    #[error("{member} has the key {key:?}, which is not base64")]
    NotBase64 {
        /// Which member.
        member: &'static str,
        /// The key's beginning.
        key: String,
    },
    /// A key whose bytes are not JSON.
    #[error("{member} has the key {key:?}, which is not the base64 of JSON")]
    NotJson {
        /// Which member.
        member: &'static str,
        /// The key's beginning.
        key: String,
    },
    /// Too many answers.
    #[error("the request carries more than {CARRIED_MAX} answers")]
    TooMany,
}

impl ThesisError {
    /// The stable code of this error in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "malformed_json",
            Self::TooDeep { .. } => "json_too_deep",
            Self::Name { .. } => "carried_name_malformed",
            Self::NotBase64 { .. } => "carried_key_not_base64",
            Self::NotJson { .. } => "carried_key_not_json",
            Self::TooMany => "carried_too_many",
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    edge_results: Option<&'a RawValue>,
    #[serde(borrow)]
    cache: Option<&'a RawValue>,
}

impl ThesisRequest {
    /// Reads a body; an empty one has no arguments and carries nothing. Other members are passed over. Names are only
    /// compared: `__proto__` and the like are names like others.
    ///
    /// # Errors
    /// [`ThesisError`] says what is malformed. A key that has no canonical form (see [`canonical`]) is no error: it
    /// matches no call.
    pub fn parse(body: &Bytes) -> Result<Self, ThesisError> {
        let Some(first) = body.iter().find(|byte| !byte.is_ascii_whitespace()) else {
            return Ok(Self {
                args: EMPTY,
                carried: None,
            });
        };
        if *first != b'{' {
            return Err(ThesisError::Shape("it is no object".to_owned()));
        }
        let read: Body<'_> =
            serde_json::from_slice(body).map_err(|error| ThesisError::Shape(error.to_string()))?;
        for (member, value) in [
            ("args", read.args),
            ("edgeResults", read.edge_results),
            ("cache", read.cache),
        ] {
            if value.is_some_and(|value| is_deep(value.get())) {
                return Err(ThesisError::TooDeep { member });
            }
        }
        let mut room = CARRIED_MAX;
        let edge = answers("edgeResults", read.edge_results, body, &mut room)?;
        let cache = answers("cache", read.cache, body, &mut room)?;
        let carried = Carried { edge, cache };
        let nothing = carried.edge.is_empty() && carried.cache.is_empty();
        Ok(Self {
            args: read
                .args
                .map_or(EMPTY, |args| body.slice_ref(args.get().as_bytes())),
            carried: (!nothing).then_some(carried),
        })
    }
}

/// The answers of one member; `room` is how many more there may be.
fn answers(
    member: &'static str,
    value: Option<&RawValue>,
    body: &Bytes,
    room: &mut usize,
) -> Result<CarriedAnswers, ThesisError> {
    let (mut answers, mut tags) = (CarriedAnswers::new(), None);
    let Some(value) = value else {
        return Ok(answers);
    };
    for (name, of_function) in pairs(member, value)? {
        if name == TAGS && member == "cache" {
            tags = Some(of_function);
            continue;
        }
        let function = FunctionName::parse(&name).map_err(|fault| ThesisError::Name {
            member,
            name: beginning(&name),
            fault: fault.to_string(),
        })?;
        let table: &mut HashMap<Bytes, CarriedAnswer> = answers.entry(function).or_default();
        for (text, result) in pairs(member, of_function)? {
            *room = room.checked_sub(1).ok_or(ThesisError::TooMany)?;
            if let Some(params) = key(member, &text)? {
                table.insert(
                    params,
                    CarriedAnswer {
                        result: body.slice_ref(result.get().as_bytes()),
                        tag: None,
                    },
                );
            }
        }
    }
    if let Some(tags) = tags {
        add_tags(&mut answers, tags)?;
    }
    answers.retain(|_, table| !table.is_empty());
    Ok(answers)
}

/// Puts each tag beside its answer; a tag of no answer is passed over.
fn add_tags(answers: &mut CarriedAnswers, tags: &RawValue) -> Result<(), ThesisError> {
    for (name, of_function) in pairs(TAGS, tags)? {
        let Some(table) = answers.get_mut(name.as_str()) else {
            continue;
        };
        for (text, tag) in pairs(TAGS, of_function)? {
            let tag: String = serde_json::from_str(tag.get())
                .map_err(|_| ThesisError::Shape("a tag in $tags is no text".to_owned()))?;
            if let Some(answer) = key(TAGS, &text)?.and_then(|params| table.get_mut(&params)) {
                answer.tag = Some(tag);
            }
        }
    }
    Ok(())
}

/// Canonical arguments from a key's text; `None` if they have no canonical form, and so match no call.
fn key(member: &'static str, text: &str) -> Result<Option<Bytes>, ThesisError> {
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let json = engine.decode(text).map_err(|_| ThesisError::NotBase64 {
        member,
        key: beginning(text),
    })?;
    match canonical(&Bytes::from(json)) {
        Canonical::Yes(params) => Ok(Some(params)),
        Canonical::No(NotCanonical::NotJson) => Err(ThesisError::NotJson {
            member,
            key: beginning(text),
        }),
        Canonical::No(NotCanonical::TooDeep) => Err(ThesisError::TooDeep { member }),
        Canonical::No(_) => Ok(None),
    }
}

/// Enough of a text to find it by.
fn beginning(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Whether JSON is nested deeper than [`DEPTH_MAX`]; looks without recursion.
fn is_deep(json: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The members of an object, unparsed, no more than there may be answers.
fn pairs<'a>(
    member: &'static str,
    json: &'a RawValue,
) -> Result<Vec<(String, &'a RawValue)>, ThesisError> {
    let Pairs(pairs) = serde_json::from_str(json.get())
        .map_err(|error| ThesisError::Shape(format!("{member}: {error}")))?;
    pairs.ok_or(ThesisError::TooMany)
}

/// `None`: there are too many.
struct Pairs<'a>(Option<Vec<(String, &'a RawValue)>>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Option<Vec<(String, &'de RawValue)>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Some(Vec::new());
                while let Some(pair) = map.next_entry()? {
                    pairs = pairs.filter(|pairs| pairs.len() <= CARRIED_MAX);
                    if let Some(pairs) = &mut pairs {
                        pairs.push(pair);
                    }
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(PairsVisitor).map(Self)
    }
}

/// The body of an endpoint's answer: `{"result":…,"cache":{…}}`. Keys are the base64 of canonical JSON. `result` and the
/// entries' results are JSON already.
#[must_use]
pub fn response(result: &[u8], entries: &[CacheEntry]) -> Vec<u8> {
    let mut tables: BTreeMap<&FunctionName, BTreeMap<&[u8], &CacheEntry>> = BTreeMap::new();
    for entry in entries {
        tables
            .entry(&entry.function)
            .or_default()
            .insert(&entry.params, entry);
    }
    let mut text =
        Vec::with_capacity(result.len() + 32 + entries.iter().map(room_for).sum::<usize>());
    text.extend_from_slice(b"{\"result\":");
    text.extend_from_slice(result);
    text.extend_from_slice(b",\"cache\":{");
    push_tables(&mut text, &tables, |text, entry| {
        text.extend_from_slice(&entry.result)
    });
    if !tables.is_empty() {
        text.extend_from_slice(b",\"");
        text.extend_from_slice(TAGS.as_bytes());
        text.extend_from_slice(b"\":{");
        push_tables(&mut text, &tables, |text, entry| {
            // A tag is letters, digits, dots and the like; a text in any case.
            text.extend_from_slice(&serde_json::to_vec(&entry.tag).unwrap_or_default());
        });
        text.push(b'}');
    }
    text.extend_from_slice(b"}}");
    text
}

fn room_for(entry: &CacheEntry) -> usize {
    entry.result.len()
        + 3 * entry.params.len()
        + 2 * entry.function.as_str().len()
        + entry.tag.len()
        + 32
}

/// `"function":{"key":…},…` for each.
fn push_tables(
    text: &mut Vec<u8>,
    tables: &BTreeMap<&FunctionName, BTreeMap<&[u8], &CacheEntry>>,
    push: impl Fn(&mut Vec<u8>, &CacheEntry),
) {
    for (nth, (function, table)) in tables.iter().enumerate() {
        text.extend_from_slice(if nth == 0 { b"\"" } else { b",\"" });
        text.extend_from_slice(function.as_str().as_bytes());
        text.extend_from_slice(b"\":{");
        for (nth, (params, entry)) in table.iter().enumerate() {
            text.extend_from_slice(if nth == 0 { b"\"" } else { b",\"" });
            text.extend_from_slice(
                base64::engine::general_purpose::STANDARD
                    .encode(params)
                    .as_bytes(),
            );
            text.extend_from_slice(b"\":");
            push(text, entry);
        }
        text.push(b'}');
    }
}
