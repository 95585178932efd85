//! Where a node listens: a host and a port, checked once, and whether it speaks TLS.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Host and port of a node. Prints as the URL of its root without the final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
}

/// Why host and port do not name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No host at all.
    #[error("the host is empty")]
    Empty,
    /// A URL, or host and port in one.
    #[error("{0:?} is not a host alone: give a name or an address, and the port apart")]
    NotAlone(String),
    /// A character that no host name has.
    #[error("the host {host:?} contains {bad:?}")]
    Character {
        /// What was given.
        host: String,
        /// The first character that is not allowed.
        bad: char,
    },
    /// Port 0 cannot be connected to.
    #[error("port 0 cannot be connected to; 1 to 65535 are allowed")]
    PortZero,
}

impl Endpoint {
    /// Checks a host (a name, an IPv4 address, an IPv6 address with or without brackets) and a port. Without TLS: see
    /// [`Endpoint::over_tls`].
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with them.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        if port == 0 {
            return Err(EndpointError::PortZero);
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self {
                host: format!("[{address}]"),
                port,
                tls: false,
            });
        }
        if host.is_empty() {
            return Err(EndpointError::Empty);
        }
        if host.contains([':', '/', '@']) {
            return Err(EndpointError::NotAlone(host.to_owned()));
        }
        match host
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
        {
            Some(bad) => Err(EndpointError::Character {
                host: host.to_owned(),
                bad,
            }),
            None => Ok(Self {
                host: host.to_owned(),
                port,
                tls: false,
            }),
        }
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
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let named = self
            .host
            .strip_suffix('.')
            .unwrap_or(&self.host)
            .eq_ignore_ascii_case("localhost");
        named
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// The host, IPv6 addresses in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
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
    }
}
