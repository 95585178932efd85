//! Forms as parameters: a query, `application/x-www-form-urlencoded`, and `multipart/form-data` with its files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{ReadError, charset};
use crate::request::query::{form_bytes, form_decoded};

/// Parts of one form. Whoever needs more sends JSON.
const PARTS_MAX: usize = 1_000;
/// Whole numbers beyond are not what JavaScript and many JSON readers take them for: 2^53.
const WHOLE_MAX: u64 = 1 << 53;

/// The reason why a form cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the body is no multipart/form-data: {0}")]
    Malformed(String),
    #[error("the form has more than {PARTS_MAX} parts")]
    TooManyParts,
    #[error("part {part:?} of the form: {fault}")]
    Charset {
        part: String,
        fault: charset::CharsetError,
    },
}

/// The members of a form in the order of their names; a name that comes several times is an array.
#[derive(Default)]
struct FormMembers(Map<String, Value>);

/// The parameters of a form, as JSON; `None` if the body is none. Clients that say nothing of a body's type send JSON as a
/// form (curl's `-d`): JSON in a form of that kind is JSON, and so is what begins as it does and is broken.
pub(super) async fn params(
    headers: &HeaderMap,
    body: &Bytes,
    max: usize,
) -> Result<Option<Bytes>, ReadError> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(None);
    };
    let content_type = String::from_utf8_lossy(content_type.as_bytes());
    let members = if charset::is(&content_type, "application/x-www-form-urlencoded") {
        if serde_json::from_slice::<&RawValue>(body).is_ok() {
            return Ok(None);
        }
        urlencoded(&content_type, body)?
    } else if charset::is(&content_type, "multipart/form-data") {
        multipart(&content_type, body.clone()).await?
    } else {
        return Ok(None);
    };
    let params = members.into_json();
    // Files grow in base64.
    if params.len() > max {
        Err(ReadError::TooLargeDecoded { max })
    } else {
        Ok(Some(params))
    }
}

/// The query as an object: numbers and booleans as such where they are JSON, everything else as text.
pub(crate) fn query_params(query: &str) -> Bytes {
    let mut members = FormMembers::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        members.add(form_decoded(name), typed(&form_decoded(value)));
    }
    members.into_json()
}

/// As a query (WHATWG URL §5.1), in the charset that the content type names.
fn urlencoded(content_type: &str, body: &[u8]) -> Result<FormMembers, ReadError> {
    let label = charset::parameter(content_type, "charset").unwrap_or_default();
    let encoding = if label.is_empty() {
        encoding_rs::UTF_8
    } else {
        charset::named(&label)?
    };
    let decoded = |bytes: &[u8]| {
        encoding
            .decode_without_bom_handling(&form_bytes(bytes))
            .0
            .into_owned()
    };
    let mut members = FormMembers::default();
    // Clients that read a body from a file send its last line's end as well.
    for pair in body
        .trim_ascii_end()
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
    {
        let at = pair
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(pair.len());
        let name = &pair[..at];
        let value = pair.get(at + 1..).unwrap_or_default();
        members.add(decoded(name), typed(&decoded(value)));
    }
    Ok(members)
}

/// Fields as in a query, files as `{"name", "type", "base64"}` (RFC 7578).
async fn multipart(content_type: &str, body: Bytes) -> Result<FormMembers, ReadError> {
    let malformed = |fault: multer::Error| FormError::Malformed(fault.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
    // The body's own limit is over all of it.
    let constraints =
        Constraints::new().size_limit(SizeLimit::new().whole_stream(body.len() as u64));
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = Multipart::with_constraints(stream, boundary, constraints);
    let mut members = FormMembers::default();
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        count += 1;
        if count > PARTS_MAX {
            return Err(FormError::TooManyParts.into());
        }
        let name = part.name().unwrap_or_default().to_owned();
        let value = part_value(part, &name).await?;
        members.add(name, value);
    }
    Ok(members)
}

async fn part_value(part: Field<'_>, name: &str) -> Result<Value, FormError> {
    let file = part.file_name().map(str::to_owned);
    let content_type = part.headers().get(CONTENT_TYPE).cloned();
    let bytes = part
        .bytes()
        .await
        .map_err(|fault| FormError::Malformed(fault.to_string()))?;
    let Some(file) = file else {
        let text = charset::decode(content_type.as_ref(), bytes);
        let text = text.map_err(|fault| FormError::Charset {
            part: name.to_owned(),
            fault,
        })?;
        return Ok(typed(&String::from_utf8_lossy(&text)));
    };
    let content_type =
        content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let content_type = content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    let members = [
        ("name", file),
        ("type", content_type),
        ("base64", STANDARD.encode(&bytes)),
    ];
    Ok(Value::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect(),
    ))
}

/// A number or a boolean as such where it would come out as it was written, to whoever reads it; else text.
fn typed(text: &str) -> Value {
    let parsed = serde_json::from_str(text).unwrap_or(Value::Null);
    let is_exact = match &parsed {
        Value::Bool(_) => true,
        Value::Number(number) => {
            let whole = number
                .as_u64()
                .or_else(|| number.as_i64().map(i64::unsigned_abs));
            whole.is_none_or(|whole| whole <= WHOLE_MAX)
        }
        _ => false,
    };
    let written = parsed.to_string();
    if is_exact && written == text {
        parsed
    } else {
        Value::String(text.to_owned())
    }
}

// === impl FormMembers ===

impl FormMembers {
    fn add(&mut self, name: String, value: Value) {
        match self.0.entry(name) {
            serde_json::map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            serde_json::map::Entry::Occupied(mut entry) => match entry.get_mut() {
                // No single value is an array.
                Value::Array(list) => list.push(value),
                single => *single = Value::Array(vec![single.take(), value]),
            },
        }
    }

    fn into_json(self) -> Bytes {
        Bytes::from(Value::Object(self.0).to_string())
    }
}

#[cfg(test)]
mod tests;
