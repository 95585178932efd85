//! Applications: a user's named group of functions, and the URLs bound to them.

use std::sync::Arc;

use http::Method;

use crate::dependencies::Dependencies;
use crate::id::{AppId, SpaceId, UserId};
use crate::name::{FunctionName, NameError, shared_text};

/// Longest application name: one DNS label (RFC 1035 §2.3.4).
pub const APP_NAME_BYTES_MAX: usize = 63;
/// Longest endpoint path.
pub const ENDPOINT_PATH_BYTES_MAX: usize = 256;
/// Most endpoints of one application.
pub const ENDPOINTS_MAX: usize = 200;
/// Longest dependencies file: it stands in the application's record, which every node keeps in memory.
pub const DEPENDENCIES_BYTES_MAX: usize = 64 * 1024;
/// Characters of an unknown method that an error repeats.
const METHOD_CHARS_SHOWN: usize = 32;
/// Most origins that an application's CORS setting names.
pub const CORS_ORIGINS_MAX: usize = 50;

/// The name of an application: a DNS label, since it can be a subdomain. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Arc<str>);

/// The text is no application name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an application's name has 1 to {APP_NAME_BYTES_MAX} lower-case letters, digits and '-', \
     and begins and ends with a letter or a digit"
)]
pub struct AppNameError;

impl AppName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`AppNameError`] if it is no DNS label in lower case.
    pub fn parse(text: &str) -> Result<Self, AppNameError> {
        let bytes = text.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=APP_NAME_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
            && bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain);
        if good {
            Ok(Self(Arc::from(text)))
        } else {
            Err(AppNameError)
        }
    }
}

shared_text!(AppName);

/// The path of an endpoint, without the leading `/`: plain segments only, so that no encoding has two readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointPath(Arc<str>);

/// The text is no endpoint path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointPathError {
    /// Too long, or nothing.
    #[error("an endpoint's path has 1 to {ENDPOINT_PATH_BYTES_MAX} bytes")]
    Length,
    /// A character or segment that could be read in two ways.
    #[error(
        "an endpoint's path consists of segments of letters, digits, '-', '_', '.' and '~' between single slashes, \
         none of which is '.' or '..'"
    )]
    Segment,
    /// A path that every application has.
    #[error("'up' and 'edge' are paths of every application")]
    Reserved,
}

impl EndpointPath {
    /// Parses a path, with or without its leading `/`.
    ///
    /// # Errors
    /// [`EndpointPathError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, EndpointPathError> {
        let path = text.strip_prefix('/').unwrap_or(text);
        if !(1..=ENDPOINT_PATH_BYTES_MAX).contains(&path.len()) {
            return Err(EndpointPathError::Length);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if !path.split('/').all(good) {
            return Err(EndpointPathError::Segment);
        }
        if matches!(path, "up" | "edge") {
            return Err(EndpointPathError::Reserved);
        }
        Ok(Self(Arc::from(path)))
    }
}

shared_text!(EndpointPath);

/// A URL of an application, bound to one of its functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its HTTP method; `POST` where a declaration names none.
    pub method: Method,
    /// Its path.
    pub path: EndpointPath,
    /// The function that it calls.
    pub function: FunctionName,
}

/// The reason why an endpoint is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Another method than the usual ones.
    #[error("an endpoint's method is GET, POST, PUT, PATCH or DELETE, not {0:?}")]
    Method(String),
    /// The path.
    #[error(transparent)]
    Path(#[from] EndpointPathError),
    /// The function's name.
    #[error("invalid function name: {0}")]
    Function(#[from] NameError),
}

impl Endpoint {
    /// Parses an endpoint. The method is taken in capitals only, as HTTP has it.
    ///
    /// # Errors
    /// [`EndpointError`] names the part that cannot be.
    pub fn parse(method: &str, path: &str, function: &str) -> Result<Self, EndpointError> {
        let path = EndpointPath::parse(path)?;
        let method = Self::parse_method(method)?;
        Ok(Self {
            method,
            path,
            function: FunctionName::parse(function)?,
        })
    }

    /// Parses a method.
    ///
    /// # Errors
    /// [`EndpointError::Method`] for any but the usual ones.
    pub fn parse_method(text: &str) -> Result<Method, EndpointError> {
        let usual = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let known = usual.into_iter().find(|method| method.as_str() == text);
        known.ok_or_else(|| EndpointError::Method(text.chars().take(METHOD_CHARS_SHOWN).collect()))
    }
}

/// The origins whose pages may use an application's endpoints. Never with credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cors {
    /// None.
    #[default]
    Closed,
    /// All.
    Any,
    /// Those of these origins (`https://name[:port]`).
    Origins(Vec<String>),
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id, which never changes.
    pub id: AppId,
    /// Its name, which may.
    pub name: AppName,
    /// The owner; `None`: it belongs to everybody, because somebody who was not logged in made it while authentication
    /// was off.
    pub owner: Option<UserId>,
    /// The space that holds its functions.
    pub space: SpaceId,
    /// Its URLs.
    pub endpoints: Vec<Endpoint>,
    /// The packages that its functions need installed.
    pub dependencies: Dependencies,
    /// It is to run: its endpoints answer.
    pub up: bool,
    /// The origins whose pages may call it.
    pub cors: Cors,
    /// Cache entries of nested calls are handed out; they reveal the arguments of those calls.
    pub hands_out_nested: bool,
    /// On a host name of its own its responses keep their origin, cookies and CORS headers.
    pub own_origin: bool,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
}

impl Application {
    /// The endpoint for a request.
    #[must_use]
    pub fn endpoint(&self, method: &Method, path: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|one| one.method == *method && one.path.as_str() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_reading() {
        for good in ["a", "/a", "a/b.c/d~1", "v1/users_all"] {
            assert!(EndpointPath::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/", "//a", "a//b", "a/", "..", "a/../b", "./a", "a%2fb", "a b", "a?b", "ä", "up",
            "/edge",
        ] {
            assert!(EndpointPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_have_usual_methods() {
        let endpoint = Endpoint::parse("POST", "/a", "f").unwrap();
        assert_eq!(
            (
                endpoint.method,
                endpoint.path.as_str(),
                endpoint.function.as_str()
            ),
            (Method::POST, "a", "f")
        );
        for bad in ["post", "", "HEAD", "CONNECT", "OPTIONS", "POST ", "X"] {
            assert_eq!(
                Endpoint::parse(bad, "a", "f"),
                Err(EndpointError::Method(bad.to_owned()))
            );
        }
        assert!(matches!(
            Endpoint::parse("GET", "..", "f"),
            Err(EndpointError::Path(EndpointPathError::Segment))
        ));
        assert!(matches!(
            Endpoint::parse("GET", "a", "__proto__/x"),
            Err(EndpointError::Function(_))
        ));
    }

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "a-b", "0", &"x".repeat(APP_NAME_BYTES_MAX)] {
            assert!(AppName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            &"x".repeat(APP_NAME_BYTES_MAX + 1),
        ] {
            assert!(AppName::parse(bad).is_err(), "{bad}");
        }
    }
}
