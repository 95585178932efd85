//! Secrets that a function never has: placeholders in the headers of a request become values, if the request goes to a host
//! that they are for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use serverledge_core::{HostRule, OutboundError, Secrets};

/// The beginning of a value for which name and password are encoded (RFC 7617), in lower case.
const BASIC: &str = "basic ";

/// Headers that the node or the connection reads, and that never reach the host as they are: a secret in them would tell the
/// function something about itself.
const NOT_FOR_THE_HOST: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Replaces the placeholders in the headers of a request. What it looks for is random, so that nothing is replaced by chance.
///
/// # Errors
/// [`OutboundError::SecretHost`] if a header has the placeholder of a secret that is for other hosts.
pub(in crate::invoke) fn unseal<B>(
    secrets: &Secrets,
    request: &mut Request<B>,
) -> Result<(), OutboundError> {
    if secrets.hosts.is_empty() {
        return Ok(());
    }
    let uri = request.uri().clone();
    let for_the_host =
        |(name, _): &(&HeaderName, &mut HeaderValue)| !NOT_FOR_THE_HOST.contains(name);
    for (name, value) in request.headers_mut().iter_mut().filter(for_the_host) {
        let is_credentials = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION].contains(name);
        let unsealed = match basic(value).filter(|_| is_credentials) {
            Some(credentials) => replaced(secrets, &uri, &credentials)?
                .map(|credentials| [b"Basic ", STANDARD.encode(credentials).as_bytes()].concat()),
            None => replaced(secrets, &uri, value.as_bytes())?,
        };
        // The value of a secret was checked when it was deployed.
        if let Some(unsealed) = unsealed.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
            *value = unsealed;
            value.set_sensitive(true);
        }
    }
    Ok(())
}

/// The decoded name and password of a value.
fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.to_str().ok()?.split_at_checked(BASIC.len())?;
    if !scheme.eq_ignore_ascii_case(BASIC) {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

/// The text with values in the places of placeholders; `None` if it has none.
fn replaced(secrets: &Secrets, uri: &Uri, text: &[u8]) -> Result<Option<Vec<u8>>, OutboundError> {
    let mut unsealed: Option<Vec<u8>> = None;
    for (name, hosts) in &secrets.hosts {
        let (Some(placeholder), Some(value)) =
            (secrets.placeholder(name), secrets.values.get(name))
        else {
            continue;
        };
        let present = unsealed.as_deref().unwrap_or(text);
        let Some(changed) = with_value(present, placeholder.as_bytes(), value.as_bytes()) else {
            continue;
        };
        if !hosts.iter().any(|rule| rule.allows(uri)) {
            return Err(OutboundError::SecretHost {
                secret: name.clone(),
                host: HostRule::of(uri).map_or_else(String::new, |rule| rule.to_string()),
            });
        }
        unsealed = Some(changed);
    }
    Ok(unsealed)
}

/// The text with a value in each place of a placeholder; `None` if there is no place.
fn with_value(text: &[u8], placeholder: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut changed = Vec::new();
    let mut rest = text;
    while let Some(at) = rest
        .windows(placeholder.len())
        .position(|window| window == placeholder)
    {
        let (before, found) = rest.split_at(at);
        changed.extend_from_slice(before);
        changed.extend_from_slice(value);
        rest = found.get(placeholder.len()..).unwrap_or_default();
    }
    if rest.len() == text.len() {
        return None;
    }
    changed.extend_from_slice(rest);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn secrets() -> Secrets {
        let rules = |host: &str| BTreeSet::from([host.parse().unwrap()]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Secrets {
            values: BTreeMap::from([pair("A", "hunter2"), pair("B", "open"), pair("C", "third")]),
            hosts: BTreeMap::from([
                ("A".to_owned(), rules("*.example.org")),
                ("C".to_owned(), rules("http://c.example")),
            ]),
            seal: [5; 16],
            ..Secrets::default()
        }
    }

    /// The value of a header of a request to this URL, as it goes out.
    fn sent(url: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, String> {
        let mut request = Request::get(url).header(name, value).body(()).unwrap();
        unseal(&secrets(), &mut request).map_err(|fault| format!("{}: {fault}", fault.code()))?;
        let sent = request.headers().get(name).unwrap();
        let is_changed = sent.as_bytes() != value;
        assert_eq!(sent.is_sensitive(), is_changed, "{sent:?}");
        Ok(sent.as_bytes().to_vec())
    }

    const API: &str = "https://api.example.org/path";

    #[test]
    fn placeholders_become_values_in_every_header() {
        let a = secrets().placeholder("A").unwrap();
        for (name, text, expected) in [
            ("authorization", format!("Bearer {a}"), "Bearer hunter2"),
            ("x-key", a.clone(), "hunter2"),
            ("x-key", format!("{a},{a}."), "hunter2,hunter2."),
            ("x-key", "nothing".to_owned(), "nothing"),
            ("x-key", a.to_uppercase(), &*a.to_uppercase()),
            ("x-key", a[1..].to_owned(), &a[1..]),
        ] {
            let found = sent(API, name, text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
        for name in ["connection", "content-length", "host", "keep-alive"] {
            let found = sent(API, name, a.as_bytes()).unwrap();
            assert_eq!(found, a.as_bytes(), "{name} is not for the host");
        }
        let bytes = [a.as_bytes(), b"\xff"].concat();
        assert_eq!(sent(API, "x-key", &bytes).unwrap(), b"hunter2\xff");
    }

    #[test]
    fn name_and_password_are_decoded_for_it() {
        let a = secrets().placeholder("A").unwrap();
        for scheme in ["Basic", "basic"] {
            let credentials = format!("{scheme} {}", STANDARD.encode(format!("ada:{a}")));
            let found = sent(API, "authorization", credentials.as_bytes()).unwrap();
            let expected = format!("Basic {}", STANDARD.encode("ada:hunter2"));
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
        let others = format!("Basic {}", STANDARD.encode("ada:lovelace"));
        for text in [others.as_str(), "Basic", "Basic ?", "Basic \u{fc}"] {
            let found = sent(API, "authorization", text.as_bytes()).unwrap();
            assert_eq!(found, text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_secret_goes_to_its_own_hosts_only() {
        let [a, c] = ["A", "C"].map(|name| secrets().placeholder(name).unwrap());
        let refused = |secret: &str, host: &str| {
            Err(format!(
                "outbound_secret_refused: the secret {secret} is not for {host} (--secret-for)"
            ))
        };
        let sent = |url: &str, text: &str| sent(url, "x-key", text.as_bytes());
        assert_eq!(sent("http://c.example/", &c), Ok(b"third".to_vec()));
        assert_eq!(
            sent("http://c.example/", &a),
            refused("A", "http://c.example")
        );
        assert_eq!(sent(API, &c), refused("C", "https://api.example.org"));
        assert_eq!(
            sent(API, &format!("{a}{c}")),
            refused("C", "https://api.example.org")
        );
        let downgraded = "http://api.example.org/";
        assert_eq!(sent(downgraded, &a), refused("A", "http://api.example.org"));
        assert_eq!(
            secrets().placeholder("B"),
            None,
            "this one is the guest's own"
        );
    }
}
