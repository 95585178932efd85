//! Outgoing HTTP: the hosts that a function may send requests to, and the reasons why a request did not go out.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

/// Longest name of a host, as the name service has it.
pub const HOST_NAME_BYTES_MAX: usize = 253;

/// Characters of a URL that an error repeats.
const URL_CHARS_MAX: usize = 256;

/// Most hosts that a function may name.
pub const OUTBOUND_HOSTS_MAX: usize = 64;

/// A connection to a host outside, whose bytes are the function's own matter. Each direction can be polled without the other.
/// Dropping it closes the connection.
pub trait Tunnel: Send {
    /// Bytes of the host; 0 at the end of its direction.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, TunnelError>>;

    /// Takes bytes for the host; returns how many were taken.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, TunnelError>>;

    /// Sends what was taken.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>>;

    /// Ends the direction to the host.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>>;
}

/// The reason why a [`Tunnel`] broke.
pub type TunnelError = Box<dyn std::error::Error + Send + Sync>;

/// An open [`Tunnel`].
pub type BoxTunnel = Pin<Box<dyn Tunnel>>;

/// A host, or the hosts below a name, that a function may send requests to, with scheme and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostRule {
    is_https: bool,
    hosts: Hosts,
    port: u16,
}

/// The hosts of a rule. Names are in lower case, without a dot at the end; addresses of IPv6 have no brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Hosts {
    /// Every host.
    All,
    /// The names that end in a dot and this one.
    Below(String),
    /// This name or address.
    One(String),
}

/// The reason why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHostRuleError {
    /// It begins with another scheme than `http` and `https`.
    #[error("requests go out by http and https, not by {0:?}")]
    Scheme(String),
    /// Something follows the host and its port.
    #[error("a host has no path, query or user: only [SCHEME://]HOST[:PORT]")]
    More,
    /// The port is no number from 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
    /// The host is neither a name, nor an address, nor `*.` and a name.
    #[error(
        "the host is a name such as api.example.org, all names below one such as *.example.org, or an address"
    )]
    Host,
}

impl HostRule {
    /// The rule that allows the host, the scheme and the port of a URL and nothing else; `None` if it names none that requests
    /// can be sent to.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let (is_https, host, port) = target(uri)?;
        let is_host = is_host_name(&host) || host.parse::<core::net::IpAddr>().is_ok();
        (is_host && port > 0).then_some(Self {
            is_https,
            hosts: Hosts::One(host),
            port,
        })
    }

    /// The two rules that allow this host and this port and nothing else, by https and by http: the ones that let a function open
    /// a connection to it, whatever it says on it. `None` if it names no host and port.
    #[must_use]
    pub fn of_authority(authority: &Authority) -> Option<[Self; 2]> {
        authority.port()?;
        let rule = |scheme: Scheme| {
            let uri = Uri::builder().scheme(scheme).authority(authority.clone());
            Self::of(&uri.path_and_query("/").build().ok()?)
        };
        let is_plain = !authority.as_str().contains('@');
        is_plain.then_some([rule(Scheme::HTTPS)?, rule(Scheme::HTTP)?])
    }

    /// Whether it allows every request that the other one allows.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_https == other.is_https
            && self.port == other.port
            && match (&self.hosts, &other.hosts) {
                (Hosts::All, _) => true,
                (Hosts::One(own), Hosts::One(name)) => own == name,
                (Hosts::Below(own), Hosts::One(name)) => is_below(name, own),
                (Hosts::Below(own), Hosts::Below(name)) => own == name || is_below(name, own),
                (Hosts::One(_) | Hosts::Below(_), _) => false,
            }
    }

    /// Whether a request to this URL may go out.
    #[must_use]
    pub fn allows(&self, uri: &Uri) -> bool {
        let Some((is_https, host, port)) = target(uri) else {
            return false;
        };
        if is_https != self.is_https || port != self.port {
            return false;
        }
        match &self.hosts {
            Hosts::All => true,
            Hosts::One(one) => *one == host,
            Hosts::Below(name) => is_below(&host, name),
        }
    }
}

/// Whether a name is one below another.
fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// The scheme, the host and the port that a URL names; `None` if it names none that requests can be sent to.
fn target(uri: &Uri) -> Option<(bool, String, u16)> {
    let is_https = match uri.scheme()? {
        scheme if *scheme == Scheme::HTTPS => true,
        scheme if *scheme == Scheme::HTTP => false,
        _ => return None,
    };
    let authority = uri.authority()?;
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None => default_port(is_https),
    };
    Some((is_https, plain(authority.host()), port))
}

const fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

/// A host in lower case, without a dot at the end, without brackets.
fn plain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bare.map(str::parse::<core::net::Ipv6Addr>) {
        Some(Ok(address)) => address.to_string(),
        _ => host.to_ascii_lowercase(),
    }
}

impl FromStr for HostRule {
    type Err = ParseHostRuleError;

    /// `https://api.example.org`, `*.example.org:8443`, `http://10.0.0.7:8080`, `*`. Without a scheme it is https; without a
    /// port it is the scheme's.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(ParseHostRuleError::Scheme(scheme.to_owned())),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(ParseHostRuleError::More);
        }
        let after_brackets = rest.rfind(']').unwrap_or_default();
        let (host, port) = match rest[after_brackets..].rfind(':') {
            Some(at) => {
                let (host, port) = rest.split_at(after_brackets + at);
                let digits = &port[1..];
                let number = digits.bytes().all(|digit| digit.is_ascii_digit());
                let port: Option<u16> = digits.parse().ok().filter(|port| number && *port > 0);
                (host, port.ok_or(ParseHostRuleError::Port)?)
            }
            None => (rest, default_port(is_https)),
        };
        Ok(Self {
            is_https,
            hosts: Hosts::parse(host).ok_or(ParseHostRuleError::Host)?,
            port,
        })
    }
}

impl Hosts {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::All);
        }
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        let name = plain(name);
        let is_address = name.parse::<core::net::IpAddr>().is_ok();
        let is_bracketed = host.starts_with('[');
        match below {
            true if is_host_name(&name) => Some(Self::Below(name)),
            false if is_address && (is_bracketed == name.contains(':')) => Some(Self::One(name)),
            false if is_host_name(&name) => Some(Self::One(name)),
            _ => None,
        }
    }
}

/// Whether it is a name of the name service, in lower case, and none that is read as an address.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.len() <= HOST_NAME_BYTES_MAX
        && !ends_in_a_number(name)
        && name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.chars().all(plain))
}

/// Whether URLs take a name in lower case for an address (WHATWG URL, "ends in a number").
#[must_use]
pub fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").map_or_else(
        || last.bytes().all(|b| b.is_ascii_digit()),
        |hex| hex.bytes().all(|b| b.is_ascii_hexdigit()),
    );
    !last.is_empty() && digits
}

impl fmt::Display for HostRule {
    /// With its scheme, and with its port unless it is the scheme's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_https { "https://" } else { "http://" })?;
        match &self.hosts {
            Hosts::All => f.write_str("*")?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::One(host) if host.contains(':') => write!(f, "[{host}]")?,
            Hosts::One(host) => f.write_str(host)?,
        }
        if self.port == default_port(self.is_https) {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

/// The reason why a request of a function brought no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The function asked for no outgoing HTTP when it was deployed.
    #[error("the function may send no requests: deploy it with --allow-host {0}")]
    NotGranted(String),
    /// The host is not among those that the function asked for.
    #[error("{0} is not among the hosts that the function may reach (--allow-host)")]
    Host(String),
    /// A header has the placeholder of a secret that is for other hosts.
    #[error("the secret {secret} is not for {host} (--secret-for)")]
    SecretHost {
        /// The name of the secret.
        secret: String,
        /// The host that was to be asked, as a rule.
        host: String,
    },
    /// The node's operator does not let functions reach this address.
    #[error("{0} is an address that this node lets no function reach (outbound.allow)")]
    Refused(String),
    /// The URL names nothing that a request can be sent to.
    #[error("requests go to http and https URLs with a host, not to {0:?}")]
    Url(String),
    /// The invocation has as many requests outstanding as it may.
    #[error("an invocation may have {0} requests outstanding at once")]
    TooManyAtOnce(usize),
    /// The invocation has sent as many requests as it may.
    #[error("an invocation may send {0} requests")]
    TooMany(usize),
    /// The response is longer than it may be.
    #[error("the response of {host} is longer than {bytes_max} bytes")]
    TooLarge {
        /// The host that was asked.
        host: String,
        /// The limit.
        bytes_max: u64,
    },
    /// No response came in time.
    #[error("{host} did not answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The host that was asked.
        host: String,
        /// The limit.
        limit: Duration,
    },
    /// Its name has no address that may be reached, or no connection came about.
    #[error("{host} was not reached: {cause}")]
    Unreachable {
        /// The host that was asked.
        host: String,
        /// The fault, in words for the function's owner.
        cause: String,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// The host that was asked.
        host: String,
        /// The fault, in words for the function's owner.
        cause: String,
    },
}

impl OutboundError {
    /// [`OutboundError::Url`] of this one. Only its scheme and its host are told: the rest may hold secrets.
    #[must_use]
    pub fn of_url(uri: &Uri) -> Self {
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        let shown = format!("{scheme}://{host}");
        Self::Url(shown.chars().take(URL_CHARS_MAX).collect())
    }

    /// The stable code that the function reads.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotGranted(_) => "outbound_not_granted",
            Self::Host(_) => "outbound_host_not_allowed",
            Self::SecretHost { .. } => "outbound_secret_refused",
            Self::Refused(_) => "outbound_address_refused",
            Self::Url(_) => "outbound_url_invalid",
            Self::TooManyAtOnce(_) => "outbound_too_many_at_once",
            Self::TooMany(_) => "outbound_too_many",
            Self::TooLarge { .. } => "outbound_response_too_large",
            Self::Timeout { .. } => "outbound_timeout",
            Self::Unreachable { .. } => "outbound_unreachable",
            Self::Broken { .. } => "outbound_broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_without_its_secrets() {
        for (url, shown) in [
            (
                "ftp://user:secret@example.org:1/path?key=secret",
                "ftp://example.org",
            ),
            ("/path?key=secret", "://"),
        ] {
            let error = OutboundError::of_url(&url.parse().unwrap());
            assert!(
                matches!(&error, OutboundError::Url(told) if told == shown),
                "{error}"
            );
        }
    }

    fn rule(text: &str) -> HostRule {
        text.parse().unwrap()
    }

    #[test]
    fn rules_have_one_form() {
        for (text, shown) in [
            ("https://api.example.org", "https://api.example.org"),
            ("API.Example.org.", "https://api.example.org"),
            ("api.example.org:443", "https://api.example.org"),
            ("api.example.org:8443", "https://api.example.org:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("HTTP://10.0.0.7:80", "http://10.0.0.7"),
            ("*.example.org", "https://*.example.org"),
            ("http://*", "http://*"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("http://[2001:DB8:0::1]", "http://[2001:db8::1]"),
        ] {
            assert_eq!(rule(text).to_string(), shown, "{text}");
            assert_eq!(rule(&rule(text).to_string()), rule(text), "{text}");
        }
    }

    #[test]
    fn a_rule_covers_what_it_allows() {
        let rules = [
            "*",
            "*.example.org",
            "*.a.example.org",
            "a.example.org",
            "b.a.example.org",
            "example.org",
            "http://a.example.org",
            "a.example.org:8443",
            "[::1]",
            "10.0.0.7",
        ];
        let covered: [&[usize]; 10] = [
            &[0, 1, 2, 3, 4, 5, 8, 9],
            &[1, 2, 3, 4],
            &[2, 4],
            &[3],
            &[4],
            &[5],
            &[6],
            &[7],
            &[8],
            &[9],
        ];
        for (one, expected) in covered.into_iter().enumerate() {
            let found: Vec<usize> = (0..rules.len())
                .filter(|other| rule(rules[one]).covers(&rule(rules[*other])))
                .collect();
            assert_eq!(found, expected, "{}", rules[one]);
        }
    }

    #[test]
    fn a_url_has_one_rule() {
        for (url, shown) in [
            (
                "https://API.example.org./path?query",
                Some("https://api.example.org"),
            ),
            ("http://user@10.0.0.7:8080/", Some("http://10.0.0.7:8080")),
            ("https://[::1]/", Some("https://[::1]")),
            ("https://a.example:0/", None),
            ("ftp://a.example/", None),
            ("https://*/", None),
            ("/path", None),
        ] {
            let uri: Uri = url.parse().unwrap();
            let found = HostRule::of(&uri);
            assert_eq!(
                found.as_ref().map(HostRule::to_string).as_deref(),
                shown,
                "{url}"
            );
            assert!(found.is_none_or(|rule| rule.allows(&uri)), "{url}");
        }
    }

    #[test]
    fn a_host_with_a_port_has_two_rules() {
        for (authority, shown) in [
            (
                "API.example.org:443",
                Some(["https://api.example.org", "http://api.example.org:443"]),
            ),
            ("[::1]:80", Some(["https://[::1]:80", "http://[::1]"])),
            (
                "10.0.0.7:5432",
                Some(["https://10.0.0.7:5432", "http://10.0.0.7:5432"]),
            ),
            ("api.example.org", None),
            ("user@api.example.org:443", None),
            ("api.example.org:0", None),
            ("*:443", None),
        ] {
            let rules = HostRule::of_authority(&authority.parse().unwrap());
            let rules = rules.map(|rules| rules.map(|rule| rule.to_string()));
            assert_eq!(
                rules,
                shown.map(|rules| rules.map(ToOwned::to_owned)),
                "{authority}"
            );
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        use ParseHostRuleError::{Host, More, Port, Scheme};
        for (text, why) in [
            ("ftp://example.org", Scheme("ftp".to_owned())),
            ("https://example.org/", More),
            ("example.org/path", More),
            ("user@example.org", More),
            ("example.org?", More),
            ("example.org:", Port),
            ("example.org:0", Port),
            ("example.org:+1", Port),
            ("example.org:65536", Port),
            ("", Host),
            ("https://", Host),
            ("a..b", Host),
            ("*.", Host),
            ("a.*.b", Host),
            ("*example.org", Host),
            ("*.10.0.0.1", Host),
            ("10.0.0", Host),
            ("0x7f", Host),
            ("[::1", Host),
            ("[10.0.0.1]", Host),
            ("exämple.org", Host),
        ] {
            assert_eq!(text.parse::<HostRule>(), Err(why), "{text}");
        }
        assert!("::1".parse::<HostRule>().is_err());
    }

    #[test]
    fn a_rule_allows_its_hosts_alone() {
        for (text, url, expected) in [
            ("api.example.org", "https://api.example.org/a?b", true),
            ("api.example.org", "https://API.example.org.", true),
            ("api.example.org", "https://api.example.org:443/", true),
            ("api.example.org", "https://api.example.org:8443/", false),
            ("api.example.org", "http://api.example.org/", false),
            ("api.example.org", "http://api.example.org:443/", false),
            ("api.example.org", "https://a.api.example.org/", false),
            (
                "api.example.org",
                "https://api.example.org.evil.example/",
                false,
            ),
            (
                "api.example.org",
                "https://api.example.org@evil.example/",
                false,
            ),
            ("*.example.org", "https://a.example.org/", true),
            ("*.example.org", "https://a.b.example.org/", true),
            ("*.example.org", "https://example.org/", false),
            ("*.example.org", "https://.example.org/", false),
            ("*.example.org", "https://evilexample.org/", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1/", false),
            ("http://[::1]:80", "http://[0:0::1]/", true),
            ("*", "https://anything.example/", true),
            ("*", "http://anything.example/", false),
            ("*", "/relative", false),
        ] {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(rule(text).allows(&uri), expected, "{text} {url}");
        }
    }
}
