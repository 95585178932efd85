//! The requests and responses of a running application's endpoints: arguments, results that the client carries, and the
//! cache entries returned to it. The reserved member `$tags` of `cache` holds a tag for each entry.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_core::{CacheEntry, ClientCache, ClientResult, ClientResults, FunctionName};

use crate::canonical::{Canonical, DEPTH_MAX, NotCanonical, canonical};
use crate::members::{Entries, MEMBERS_MAX, UNKNOWN_MEMBER};

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
pub struct EndpointBody {
    /// The function's parameters: JSON, as they were sent; `{}` where they are absent.
    pub args: Bytes,
    /// The results that the client carries; `None` if there are none.
    pub client_cache: Option<ClientCache>,
}

/// The reason why a body is not such a request.
#[derive(Debug, thiserror::Error)]
pub enum EndpointBodyError {
    /// Not JSON, or not of the shape.
    #[error("the body is not {{\"args\":…,\"edgeResults\":…,\"cache\":…}}: {0}")]
    Shape(String),
    /// A member beside those.
    #[error(
        "the body has the unknown member {member:?}; it may have args, edgeResults and cache, and parameters are members of args"
    )]
    Unknown {
        /// The member's beginning.
        member: String,
    },
    /// Nested too deep.
    #[error("{member} is nested more than {DEPTH_MAX} deep")]
    TooDeep {
        /// The name of the member.
        member: &'static str,
    },
    /// A name that no function has.
    #[error("{member} names {name:?}, which cannot be a function: {fault}")]
    Name {
        /// The name of the member.
        member: &'static str,
        /// The name's beginning.
        name: String,
        /// The rule that the name breaks.
        fault: String,
    },
    /// A key that is not base64.
    #[error("{member} has the key {key:?}, which is not base64")]
    NotBase64 {
        /// The name of the member.
        member: &'static str,
        /// The key's beginning.
        key: String,
    },
    /// A key whose bytes are not JSON.
    #[error("{member} has the key {key:?}, which is not the base64 of JSON")]
    NotJson {
        /// The name of the member.
        member: &'static str,
        /// The key's beginning.
        key: String,
    },
    /// Too many answers.
    #[error("the request carries more than {CARRIED_MAX} answers")]
    TooMany,
}

impl EndpointBodyError {
    /// The stable code of this error in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "malformed_json",
            Self::Unknown { .. } => UNKNOWN_MEMBER,
            Self::TooDeep { .. } => "json_too_deep",
            Self::Name { .. } => "carried_name_malformed",
            Self::NotBase64 { .. } => "carried_key_not_base64",
            Self::NotJson { .. } => "carried_key_not_json",
            Self::TooMany => "carried_too_many",
        }
    }
}

/// The members of a request to an endpoint.
pub const REQUEST_MEMBERS: [&str; 3] = ["args", "edgeResults", "cache"];

impl EndpointBody {
    /// Reads a body; an empty one has no arguments and carries nothing. Other members are refused: a parameter beside
    /// `args` would be dropped without a word. Names are only compared: `__proto__` and the like are names like others.
    ///
    /// # Errors
    /// [`EndpointBodyError`] says what is malformed. A key that has no canonical form (see [`canonical`]) is no error: it
    /// matches no call.
    pub fn parse(body: &Bytes) -> Result<Self, EndpointBodyError> {
        match Self::parse_beside(body)? {
            (request, None) => Ok(request),
            (_, Some(member)) => Err(EndpointBodyError::Unknown { member }),
        }
    }

    /// Reads a body in which others read members as well; the first of those, if there is one.
    ///
    /// # Errors
    /// As for [`Self::parse`], except for other members.
    pub fn parse_beside(body: &Bytes) -> Result<(Self, Option<String>), EndpointBodyError> {
        let Some(first) = body.iter().find(|byte| !byte.is_ascii_whitespace()) else {
            return Ok((
                Self {
                    args: EMPTY,
                    client_cache: None,
                },
                None,
            ));
        };
        if *first != b'{' {
            return Err(EndpointBodyError::Shape("it is no object".to_owned()));
        }
        let shape = |error: serde_json::Error| EndpointBodyError::Shape(error.to_string());
        let Entries::<'_, MEMBERS_MAX>(members) = serde_json::from_slice(body).map_err(shape)?;
        if members.len() > MEMBERS_MAX {
            return Err(EndpointBodyError::Shape(format!(
                "it has more than {MEMBERS_MAX} members"
            )));
        }
        let mut known = [None; REQUEST_MEMBERS.len()];
        let mut unknown = None;
        for (name, value) in members {
            match REQUEST_MEMBERS.iter().position(|member| *member == name) {
                None => _ = unknown.get_or_insert_with(|| beginning(&name)),
                Some(at) if known[at].is_some() => {
                    return Err(EndpointBodyError::Shape(format!(
                        "duplicate field `{name}`"
                    )));
                }
                // As in Serverledge's own bodies, null is as good as absent.
                Some(at) => known[at] = Some(value).filter(|value| value.get() != "null"),
            }
        }
        for (member, value) in REQUEST_MEMBERS.into_iter().zip(known) {
            if value.is_some_and(|value| is_deep(value.get())) {
                return Err(EndpointBodyError::TooDeep { member });
            }
        }
        let [args, edge, cache] = known;
        let mut room = CARRIED_MAX;
        let edge = answers("edgeResults", edge, body, &mut room)?;
        let cache = answers("cache", cache, body, &mut room)?;
        let client_cache = ClientCache { edge, cache };
        let nothing = client_cache.edge.is_empty() && client_cache.cache.is_empty();
        let args = args.map_or(EMPTY, |args| body.slice_ref(args.get().as_bytes()));
        Ok((
            Self {
                args,
                client_cache: (!nothing).then_some(client_cache),
            },
            unknown,
        ))
    }
}

/// The answers of one member; `room` is how many more there may be.
fn answers(
    member: &'static str,
    value: Option<&RawValue>,
    body: &Bytes,
    room: &mut usize,
) -> Result<ClientResults, EndpointBodyError> {
    let mut answers = ClientResults::new();
    let mut tags = None;
    let Some(value) = value else {
        return Ok(answers);
    };
    for (name, of_function) in pairs(member, value)? {
        if name == TAGS && member == "cache" {
            tags = Some(of_function);
            continue;
        }
        let function = FunctionName::parse(&name).map_err(|fault| EndpointBodyError::Name {
            member,
            name: beginning(&name),
            fault: fault.to_string(),
        })?;
        let table: &mut HashMap<Bytes, ClientResult> = answers.entry(function).or_default();
        for (text, result) in pairs(member, of_function)? {
            *room = room.checked_sub(1).ok_or(EndpointBodyError::TooMany)?;
            if let Some(params) = key(member, &text)? {
                table.insert(
                    params,
                    ClientResult {
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
fn add_tags(answers: &mut ClientResults, tags: &RawValue) -> Result<(), EndpointBodyError> {
    for (name, of_function) in pairs(TAGS, tags)? {
        let Some(table) = answers.get_mut(&*name) else {
            continue;
        };
        for (text, tag) in pairs(TAGS, of_function)? {
            let tag: String = serde_json::from_str(tag.get())
                .map_err(|_| EndpointBodyError::Shape("a tag in $tags is no text".to_owned()))?;
            if let Some(answer) = key(TAGS, &text)?.and_then(|params| table.get_mut(&params)) {
                answer.tag = Some(tag);
            }
        }
    }
    Ok(())
}

/// Canonical arguments from a key's text; `None` if they have no canonical form, and so match no call.
fn key(member: &'static str, text: &str) -> Result<Option<Bytes>, EndpointBodyError> {
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let json = engine
        .decode(text)
        .map_err(|_| EndpointBodyError::NotBase64 {
            member,
            key: beginning(text),
        })?;
    match canonical(&Bytes::from(json)) {
        Canonical::Yes(params) => Ok(Some(params)),
        Canonical::No(NotCanonical::NotJson) => Err(EndpointBodyError::NotJson {
            member,
            key: beginning(text),
        }),
        Canonical::No(NotCanonical::TooDeep) => Err(EndpointBodyError::TooDeep { member }),
        Canonical::No(_) => Ok(None),
    }
}

/// Enough of a text to find it by.
fn beginning(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Whether JSON is nested deeper than [`DEPTH_MAX`]; looks without recursion.
fn is_deep(json: &str) -> bool {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
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

/// The members of an object, unparsed, no more than there may be answers, and the tags.
fn pairs<'a>(
    member: &'static str,
    json: &'a RawValue,
) -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, EndpointBodyError> {
    let Entries::<'_, { CARRIED_MAX + 1 }>(pairs) = serde_json::from_str(json.get())
        .map_err(|error| EndpointBodyError::Shape(format!("{member}: {error}")))?;
    if pairs.len() > CARRIED_MAX + 1 {
        Err(EndpointBodyError::TooMany)
    } else {
        Ok(pairs)
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
    push_tables(
        &mut text,
        tables.iter().map(|(name, table)| (*name, table)),
        |text, entry| {
            text.extend_from_slice(&entry.result);
        },
    );
    if !tables.is_empty() {
        text.extend_from_slice(b",\"");
        text.extend_from_slice(TAGS.as_bytes());
        text.extend_from_slice(b"\":{");
        push_tables(
            &mut text,
            tables.iter().map(|(name, table)| (*name, table)),
            |text, entry| {
                push_tag(text, &entry.tag);
            },
        );
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

/// Appends `"function":{"key":…},…` for each.
pub(crate) fn push_tables<'a, T>(
    text: &mut Vec<u8>,
    tables: impl IntoIterator<
        Item = (
            &'a FunctionName,
            impl IntoIterator<Item = (impl AsRef<[u8]>, T)>,
        ),
    >,
    push: impl Fn(&mut Vec<u8>, T),
) {
    for (nth, (function, table)) in tables.into_iter().enumerate() {
        text.extend_from_slice(if nth == 0 { b"\"" } else { b",\"" });
        text.extend_from_slice(function.as_str().as_bytes());
        text.extend_from_slice(b"\":{");
        for (nth, (params, entry)) in table.into_iter().enumerate() {
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

/// Appends a tag. It is letters, digits, dots and the like; a text in any case.
pub(crate) fn push_tag(text: &mut Vec<u8>, tag: &str) {
    text.extend_from_slice(&serde_json::to_vec(tag).unwrap_or_default());
}
