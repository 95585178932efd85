//! A call of a program: the input that its version says, and the answer that its output becomes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError};
use serverledge_core::{
    CONTENT_TYPE_DEFAULT, FailureKind, HttpBody, InvokeError, Outcome, ProgramIo, Reply,
    RequestParams, Stdin, Stdout,
};

use crate::arguments;
use crate::failure::{bad_output, failure, json};

/// Longest body that is read: the most that a node can be configured to let through, which checks its own limit before.
const BODY_BYTES_MAX: usize = (64 << 20) + (64 << 10);

/// The input of a program, and the form of the answer.
pub(crate) struct ProgramCall {
    /// Arguments after the function's name.
    pub(crate) args: Vec<String>,
    pub(crate) stdin: Bytes,
    /// Whether the answer is a response.
    pub(crate) by_request: bool,
}

impl ProgramCall {
    /// A call with JSON parameters, which are the body as well where the program reads one.
    pub(crate) fn by_params(io: &ProgramIo, params: Bytes) -> Result<Self, InvokeError> {
        Ok(Self {
            args: arguments::filled(&io.args, &params)?,
            stdin: match io.stdin {
                Stdin::Params | Stdin::Body => params,
                Stdin::None => Bytes::new(),
            },
            by_request: false,
        })
    }

    /// A call with a request, whose parameters are in its extensions.
    pub(crate) async fn by_request(
        io: &ProgramIo,
        request: Request<HttpBody>,
    ) -> Result<Self, InvokeError> {
        let (mut parts, body) = request.into_parts();
        let params = match parts.extensions.remove::<RequestParams>() {
            Some(RequestParams(params)) => params,
            None => Bytes::from_static(b"{}"),
        };
        Ok(Self {
            args: arguments::filled(&io.args, &params)?,
            stdin: match io.stdin {
                Stdin::Params => params,
                Stdin::Body => whole(body).await?,
                Stdin::None => Bytes::new(),
            },
            by_request: true,
        })
    }
}

/// The refusal of a request to a function that takes JSON.
pub(crate) fn not_http() -> InvokeError {
    InvokeError::Request {
        code: "not_http",
        message: "the function takes JSON parameters, not an HTTP request".to_owned(),
    }
}

/// A body as a whole, without its trailers.
pub(crate) async fn whole(mut body: HttpBody) -> Result<Bytes, InvokeError> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| body_fault(&*fault))?;
        // Trailers are no part of it.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if collected.len() + data.len() > BODY_BYTES_MAX {
            return Err(InvokeError::Request {
                code: "body_too_large",
                message: format!("the body is larger than {BODY_BYTES_MAX} bytes"),
            });
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

fn body_fault(fault: &(dyn std::error::Error + Send + Sync + 'static)) -> InvokeError {
    if fault.is::<LengthLimitError>() {
        return InvokeError::Request {
            code: "body_too_large",
            message: "the body is larger than the node lets through".to_owned(),
        };
    }
    InvokeError::Request {
        code: "body_broken",
        message: format!("the body broke off: {fault}"),
    }
}

/// The way out for a program whose output is no JSON.
const PROGRAM_HINT: &str = "only the result belongs on stdout, all else on stderr; a program that writes text or bytes is \
                            deployed with --stdout-type";

/// The outcome of a run that came to a good end: what it wrote, in the form of the call.
pub(crate) fn outcome(
    stdout: &Stdout,
    by_request: bool,
    output: Bytes,
    bytes_max: usize,
    log: Bytes,
) -> Result<Outcome, InvokeError> {
    let output = match stdout {
        Stdout::Json => match json(output) {
            Ok(value) => value,
            Err(message) => return Err(bad_output(format!("{message}; {PROGRAM_HINT}"), log)),
        },
        Stdout::Raw(_) => output,
    };
    let reply = match (stdout.content_type(), by_request) {
        (None, false) => Reply::Json(output),
        (None, true) => response("application/json", output),
        (Some(content_type), true) => response(content_type, output),
        (Some(content_type), false) => match in_json(content_type, &output, bytes_max) {
            Ok(value) => Reply::Json(value),
            Err(message) => return Err(failure(FailureKind::OutputLimit, message, log)),
        },
    };
    Ok(Outcome {
        reply,
        log,
        rest: None,
    })
}

fn response(content_type: &str, output: Bytes) -> Reply {
    let content_type = HeaderValue::from_str(content_type);
    let content_type =
        content_type.unwrap_or_else(|_| HeaderValue::from_static(CONTENT_TYPE_DEFAULT));
    let body: HttpBody = Box::pin(Full::new(output).map_err(|never| match never {}));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Reply::Http(Box::new(response))
}

/// Bytes as a JSON value, within the limit of results.
fn in_json(content_type: &str, output: &[u8], bytes_max: usize) -> Result<Bytes, String> {
    let encoded = STANDARD.encode(output);
    let content_type = serde_json::Value::from(content_type);
    let value = format!(r#"{{"base64":"{encoded}","type":{content_type}}}"#);
    if value.len() <= bytes_max {
        return Ok(value.into());
    }
    Err(format!(
        "the function's output has {} bytes, which are more than {bytes_max} as a JSON result; call it by HTTP (/fn)",
        output.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_json_have_the_limit_of_results() {
        let value = in_json("a/b; c=\"d\"", b"\x00\xff", 100).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"base64": "AP8=", "type": "a/b; c=\"d\""})
        );
        let told = in_json("a/b", &[0; 100], 100).unwrap_err();
        assert!(
            told.contains("has 100 bytes, which are more than 100"),
            "{told}"
        );
    }
}
