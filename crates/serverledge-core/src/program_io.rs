//! Programs as they are: the arguments that they are given, and the contents of their standard streams.

use bytes::Bytes;

use crate::limits::CONTENT_TYPE_BYTES_MAX;

/// The content type of raw output that declares none.
pub const CONTENT_TYPE_DEFAULT: &str = "application/octet-stream";

/// The arguments and the standard streams of a program: a WASI command or a `wasi:cli` component. The default is that
/// of every function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProgramIo {
    /// Templates of the arguments after the function's name ([`arg_pieces`]).
    pub args: Vec<String>,
    /// The contents of its standard input.
    pub stdin: Stdin,
    /// The meaning of its standard output.
    pub stdout: Stdout,
}

impl ProgramIo {
    /// Whether nothing is set, so that any function may have it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it reads or writes bytes that need not be JSON. Such a program is called with a request, and answers
    /// with a response.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.stdin == Stdin::Body || matches!(self.stdout, Stdout::Raw(_))
    }
}

/// The contents of a program's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stdin {
    /// The JSON parameters.
    #[default]
    Params,
    /// The body of the HTTP request, as it came.
    Body,
    /// Nothing.
    None,
}

impl Stdin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Params, Self::Body, Self::None];

    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Body => "body",
            Self::None => "none",
        }
    }
}

/// The text names no standard input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown standard input {0:?}; known are params, body and none")]
pub struct ParseStdinError(pub String);

impl std::str::FromStr for Stdin {
    type Err = ParseStdinError;

    /// Accepts the names; an empty text is the default.
    fn from_str(text: &str) -> Result<Self, ParseStdinError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| ParseStdinError(text.to_owned()))
    }
}

/// The meaning of a program's standard output.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Stdout {
    /// One JSON value.
    #[default]
    Json,
    /// Bytes of this content type.
    Raw(String),
}

/// The reason why two texts say no standard output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseStdoutError {
    /// The name is unknown.
    #[error("unknown standard output {0:?}; known are json and raw")]
    Unknown(String),
    /// A content type is beside `json`.
    #[error("a content type goes with raw output; that of json is application/json")]
    TypeOfJson,
    /// The content type is none.
    #[error(
        "{0:?} is no content type; one looks like image/svg+xml and has at most {CONTENT_TYPE_BYTES_MAX} bytes"
    )]
    ContentType(String),
}

impl Stdout {
    /// The name of output that need not be JSON.
    pub const RAW: &'static str = "raw";

    /// From its name and its content type. A content type alone means raw output; both empty are the default.
    ///
    /// # Errors
    /// [`ParseStdoutError`] if there is no such output.
    pub fn parse(name: &str, content_type: &str) -> Result<Self, ParseStdoutError> {
        match (name, content_type) {
            ("" | "json", "") => Ok(Self::Json),
            ("json", _) => Err(ParseStdoutError::TypeOfJson),
            ("raw", "") => Ok(Self::Raw(CONTENT_TYPE_DEFAULT.to_owned())),
            ("" | "raw", content_type) if is_content_type(content_type) => {
                Ok(Self::Raw(content_type.to_owned()))
            }
            ("" | "raw", _) => Err(ParseStdoutError::ContentType(content_type.to_owned())),
            (other, _) => Err(ParseStdoutError::Unknown(other.to_owned())),
        }
    }

    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw(_) => Self::RAW,
        }
    }

    /// The content type of raw output.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        match self {
            Self::Json => None,
            Self::Raw(content_type) => Some(content_type),
        }
    }
}

/// Whether a text is a media type, perhaps with parameters, that a header can carry (RFC 9110 §8.3.1).
fn is_content_type(text: &str) -> bool {
    let is_token = |token: &str| {
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !token.is_empty() && token.bytes().all(is_in)
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_media_type = essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    is_media_type && text.len() <= CONTENT_TYPE_BYTES_MAX && text.bytes().all(is_shown)
}

/// The codes of parameters with which a program's arguments cannot be filled: one is missing, one holds a NUL, all are
/// too long.
pub const ARGS_FAULTS: [&str; 3] = ["args_param_missing", "args_param_invalid", "args_too_long"];

/// The parameters of a request to a program, one JSON object, in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestParams(pub Bytes);

/// A piece of an argument's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgPiece<'a> {
    /// Text, as it is.
    Text(&'a str),
    /// The place of the parameter with this name.
    Param(&'a str),
}

/// The fault of an argument's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgTemplateError {
    /// A brace opens no name of a parameter.
    #[error("a {{ begins no {{name}}; {{{{ is a brace")]
    Open,
    /// A brace closes nothing.
    #[error("a }} ends no {{name}}; }}}} is a brace")]
    Close,
    /// The name between two braces is empty.
    #[error("{{}} names no parameter")]
    Nameless,
    /// No argument can hold a NUL.
    #[error("it contains NUL")]
    Nul,
}

/// Takes the template of an argument apart: `{name}` is the place of a parameter, `{{` and `}}` are braces.
///
/// # Errors
/// [`ArgTemplateError`] for the first fault.
pub fn arg_pieces(template: &str) -> Result<Vec<ArgPiece<'_>>, ArgTemplateError> {
    if template.contains('\0') {
        return Err(ArgTemplateError::Nul);
    }
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, braces) = rest.split_at(at);
        if !text.is_empty() {
            pieces.push(ArgPiece::Text(text));
        }
        if braces.starts_with("{{") || braces.starts_with("}}") {
            pieces.push(ArgPiece::Text(&braces[..1]));
            rest = &braces[2..];
            continue;
        }
        let named = braces.strip_prefix('{').ok_or(ArgTemplateError::Close)?;
        let end = named
            .find(['{', '}'])
            .filter(|end| named[*end..].starts_with('}'))
            .ok_or(ArgTemplateError::Open)?;
        if end == 0 {
            return Err(ArgTemplateError::Nameless);
        }
        pieces.push(ArgPiece::Param(&named[..end]));
        rest = &named[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(ArgPiece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::ArgPiece::{Param, Text};
    use super::*;

    #[test]
    fn streams_are_known_by_their_names() {
        for stdin in Stdin::ALL {
            assert_eq!(stdin.name().parse(), Ok(stdin));
        }
        assert_eq!("".parse(), Ok(Stdin::Params));
        for text in ["Body", "file", " none"] {
            assert_eq!(text.parse::<Stdin>(), Err(ParseStdinError(text.to_owned())));
        }
    }

    #[test]
    fn a_content_type_means_raw_output() {
        let raw = |content_type: &str| Ok(Stdout::Raw(content_type.to_owned()));
        assert_eq!(Stdout::parse("", ""), Ok(Stdout::Json));
        assert_eq!(Stdout::parse("json", ""), Ok(Stdout::Json));
        assert_eq!(Stdout::parse("raw", ""), raw("application/octet-stream"));
        for content_type in ["image/svg+xml", "text/plain; charset=\"utf-8\"", "a/b ;c=d"] {
            assert_eq!(Stdout::parse("", content_type), raw(content_type));
            assert_eq!(Stdout::parse("raw", content_type), raw(content_type));
            assert_eq!(
                Stdout::parse("json", content_type),
                Err(ParseStdoutError::TypeOfJson)
            );
        }
        for text in [
            "svg",
            "/svg",
            "image/",
            "a/b\r\nX: y",
            "a b/c",
            "é/a",
            " a/b",
        ] {
            assert_eq!(
                Stdout::parse("raw", text),
                Err(ParseStdoutError::ContentType(text.to_owned()))
            );
        }
        assert!(Stdout::parse("raw", &format!("a/{}", "b".repeat(126))).is_ok());
        assert!(Stdout::parse("raw", &format!("a/{}", "b".repeat(127))).is_err());
        assert_eq!(
            Stdout::parse("text", ""),
            Err(ParseStdoutError::Unknown("text".to_owned()))
        );
    }

    #[test]
    fn bytes_go_by_requests() {
        let mut io = ProgramIo::default();
        assert!(io.is_default() && !io.has_bytes());
        io.args.push("-".to_owned());
        io.stdin = Stdin::None;
        assert!(!io.is_default() && !io.has_bytes());
        io.stdin = Stdin::Body;
        assert!(io.has_bytes());
        io.stdin = Stdin::Params;
        io.stdout = Stdout::Raw(CONTENT_TYPE_DEFAULT.to_owned());
        assert!(io.has_bytes());
    }

    #[test]
    fn templates_are_taken_apart() {
        for (template, pieces) in [
            ("", vec![]),
            ("--width", vec![Text("--width")]),
            ("{width}", vec![Param("width")]),
            (
                "--w={a b}x{ö}",
                vec![Text("--w="), Param("a b"), Text("x"), Param("ö")],
            ),
            ("{{a}}", vec![Text("{"), Text("a"), Text("}")]),
            ("{{{a}}}", vec![Text("{"), Param("a"), Text("}")]),
            ("{a}}}", vec![Param("a"), Text("}")]),
        ] {
            assert_eq!(arg_pieces(template), Ok(pieces), "{template}");
        }
        for (template, fault) in [
            ("{", ArgTemplateError::Open),
            ("a{b", ArgTemplateError::Open),
            ("{a{b}", ArgTemplateError::Open),
            ("{{{", ArgTemplateError::Open),
            ("}", ArgTemplateError::Close),
            ("{a}}", ArgTemplateError::Close),
            ("{}", ArgTemplateError::Nameless),
            ("a\0", ArgTemplateError::Nul),
        ] {
            assert_eq!(arg_pieces(template), Err(fault), "{template:?}");
        }
        assert_eq!(
            [
                ArgTemplateError::Open,
                ArgTemplateError::Close,
                ArgTemplateError::Nameless
            ]
            .map(|fault| fault.to_string()),
            [
                "a { begins no {name}; {{ is a brace",
                "a } ends no {name}; }} is a brace",
                "{} names no parameter"
            ]
        );
    }
}
