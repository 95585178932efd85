//! The address of a node: a host and a port, checked once, whether it speaks TLS, and the path before its routes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use reqwest::Url;

/// Longest path before a node's routes; proxies have short ones.
const BASE_PATH_BYTES_MAX: usize = 256;

/// Host and port of a node, and the path before its routes. Prints as the URL of its root without the final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
    /// Empty, or with a slash before and none behind it.
    base_path: String,
}

/// The reason why host and port do not name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(String);

impl Endpoint {
    /// Checks a host (a name, an IPv4 address, an IPv6 address with or without brackets) and a port. Without TLS: see
    /// [`Endpoint::over_tls`].
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with them.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError(
                "port 0 cannot be connected to; 1 to 65535 are allowed".to_owned(),
            ));
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self::at(format!("[{address}]"), port));
        }
        if host.is_empty() {
            return Err(EndpointError("the host is empty".to_owned()));
        }
        if host.contains([':', '/', '@']) {
            let way = "give a name or an address, and the port apart";
            return Err(EndpointError(format!(
                "{host:?} is not a host alone: {way}"
            )));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if let Some(bad) = host.chars().find(|c| !plain(*c)) {
            return Err(EndpointError(format!("the host {host:?} contains {bad:?}")));
        }
        // A name that ends with a number is an IPv4 address to URLs; and not every `xn--` is a name.
        let endpoint = Self::at(host.to_owned(), port);
        let fault = |error| EndpointError(format!("the host {host:?} names nothing: {error}"));
        Url::parse(&endpoint.to_string()).map_err(fault)?;
        Ok(endpoint)
    }

    const fn at(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            tls: false,
            base_path: String::new(),
        }
    }

    /// Checks the URL of a node's root: `http` or `https`, host, port (that of the scheme if absent), base path.
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with it.
    pub fn of_url(text: &str) -> Result<Self, EndpointError> {
        let like = "one looks like https://example.org/faas, without user, ? and #";
        let malformed = || EndpointError(format!("{text:?} is no URL of a node: {like}"));
        let url = Url::parse(text.trim()).map_err(|_| malformed())?;
        let bare = url.username().is_empty() && url.password().is_none();
        let ends = url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !bare || !ends {
            return Err(malformed());
        }
        let host = url.host_str().ok_or_else(malformed)?;
        let port = url.port_or_known_default().ok_or_else(malformed)?;
        Self::new(host, port)?
            .over_tls(url.scheme() == "https")
            .below(url.path())
    }

    /// The same node, whose routes are below this path: a proxy before it takes the path away.
    ///
    /// # Errors
    /// [`EndpointError`] if it is none.
    pub fn below(self, path: &str) -> Result<Self, EndpointError> {
        let bare = path.strip_prefix('/').unwrap_or(path);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        if bare.is_empty() {
            return Ok(Self {
                base_path: String::new(),
                ..self
            });
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if bare.len() > BASE_PATH_BYTES_MAX || !bare.split('/').all(good) {
            let like = "one looks like /faas, of letters, digits, '-', '_', '.' and '~' between single slashes";
            return Err(EndpointError(format!("{path:?} is no base path: {like}")));
        }
        Ok(Self {
            base_path: format!("/{bare}"),
            ..self
        })
    }

    /// The same node, asked over TLS or not.
    #[must_use]
    pub fn over_tls(self, tls: bool) -> Self {
        Self { tls, ..self }
    }

    /// Whether it is asked over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether what is sent there does not leave this machine: a loopback address, or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Whether a host, an IPv6 address in brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let named = host
        .strip_suffix('.')
        .unwrap_or(host)
        .eq_ignore_ascii_case("localhost");
    named
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(
            f,
            "{scheme}://{}:{}{}",
            self.host, self.port, self.base_path
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, port: u16, expected: &str) {
        let shown = match Endpoint::new(host, port) {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{host} {port}");
    }

    #[test]
    fn tls_shows_in_the_scheme() {
        let endpoint = Endpoint::new("::1", 443).unwrap();
        assert!(!endpoint.is_tls());
        let secure = endpoint.clone().over_tls(true);
        assert!(secure.is_tls());
        assert_eq!(secure.to_string(), "https://[::1]:443");
        assert_eq!(secure.over_tls(false), endpoint);
    }

    #[test]
    fn a_node_may_be_below_a_path() {
        let below = |path: &str| {
            let endpoint = Endpoint::new("a", 1).unwrap().below(path);
            endpoint.map_or_else(|error| error.to_string(), |endpoint| endpoint.to_string())
        };
        for (path, url) in [
            ("", "http://a:1"),
            ("/", "http://a:1"),
            ("faas", "http://a:1/faas"),
            ("/faas/", "http://a:1/faas"),
            ("/a/b-1", "http://a:1/a/b-1"),
        ] {
            assert_eq!(below(path), url, "{path}");
        }
        for bad in ["/a//b", "/../a", "/a b", "/a?b", "/a%2fb", "/a#b"] {
            assert!(
                below(bad).ends_with("between single slashes"),
                "{bad}: {}",
                below(bad)
            );
        }
    }

    #[test]
    fn a_url_says_all_at_once() {
        let of = |url: &str| {
            Endpoint::of_url(url)
                .map_or_else(|error| error.to_string(), |endpoint| endpoint.to_string())
        };
        for (url, expected) in [
            ("http://a.example", "http://a.example:80"),
            ("https://a.example/faas/", "https://a.example:443/faas"),
            ("http://[::1]:1323", "http://[::1]:1323"),
            (" HTTP://A.example:8080/x ", "http://a.example:8080/x"),
        ] {
            assert_eq!(of(url), expected, "{url}");
        }
        for bad in [
            "a.example",
            "a.example:1323",
            "ftp://a",
            "http://u@a",
            "http://u:p@a",
            "http://a?x",
            "http://a#x",
            "",
        ] {
            assert!(
                of(bad).contains("is no URL of a node"),
                "{bad}: {}",
                of(bad)
            );
        }
        assert!(of("http://a/b//c").contains("is no base path"));
    }

    #[test]
    fn loopback_is_this_machine() {
        for (host, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("LocalHost.", true),
            ("localhost.example", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("127.0.0.1.example", false),
            ("2130706433", false),
        ] {
            assert_eq!(
                Endpoint::new(host, 1).unwrap().is_loopback(),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        check("127.0.0.1", 1323, "http://127.0.0.1:1323");
        check("localhost", 80, "http://localhost:80");
        check("edge_1.example.org", 1, "http://edge_1.example.org:1");
        check("::1", 1323, "http://[::1]:1323");
        check("[::1]", 1323, "http://[::1]:1323");
        check("", 1323, "the host is empty");
        check(
            "a",
            0,
            "port 0 cannot be connected to; 1 to 65535 are allowed",
        );
        check(
            "a:1",
            1,
            "\"a:1\" is not a host alone: give a name or an address, and the port apart",
        );
        check(
            "http://a",
            1,
            "\"http://a\" is not a host alone: give a name or an address, and the port apart",
        );
        check(
            "user@a",
            1,
            "\"user@a\" is not a host alone: give a name or an address, and the port apart",
        );
        check("a b", 1, "the host \"a b\" contains ' '");
        check("a?x", 1, "the host \"a?x\" contains '?'");
        check(
            "1.2.3.999",
            1,
            "the host \"1.2.3.999\" names nothing: invalid IPv4 address",
        );
        for accepted in ["xn--", "a..b", ".", "0x7f.1", "_", "-"] {
            if let Ok(endpoint) = Endpoint::new(accepted, 1) {
                assert!(Url::parse(&endpoint.to_string()).is_ok(), "{accepted}");
            }
        }
    }
}
