//! Checks of the host and the origin of a request. A node on loopback is reachable by every web page that its owner
//! opens. A name that is not the node's is refused (DNS rebinding), and so is a request that a browser marks as coming
//! from another origin (Fetch Metadata, W3C; `Origin`, RFC 6454).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serverledge_core::AppName;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names this node answers to.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    ip: IpAddr,
    hosts: Vec<String>,
    over_tls: bool,
    /// Names directly below this one are applications'.
    domain: String,
}

/// The owner of the host name that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostOwner {
    /// The node's own.
    Node,
    /// That of an application, as it could be one's name.
    Application(String),
}

/// The reason why a request is refused before any route sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginRefusal {
    #[error("the request has no valid Host header")]
    NoHost,
    #[error("this node is not {0:?}; name it in api.hosts if it should be")]
    Host(String),
    #[error("a web page of another origin ({0}) may not use this node without a token")]
    CrossOrigin(String),
}

impl OriginPolicy {
    /// For a node that listens on `ip` and answers to these names beside it (without ports, in any case).
    #[must_use]
    pub fn new(ip: IpAddr, hosts: Vec<String>) -> Self {
        Self {
            ip,
            hosts,
            over_tls: false,
            domain: "localhost".to_owned(),
        }
    }

    /// Says which domain is the platform's: it is one of the node's names, and those directly below it are applications'.
    #[must_use]
    pub fn domain(self, domain: &str) -> Self {
        Self {
            domain: domain.to_ascii_lowercase(),
            ..self
        }
    }

    /// Whether a page on an application's host can set cookies for the node's own names as well (`Domain=`). Browsers allow
    /// it for every parent but one of a single label, such as `localhost`, which they take for a public suffix.
    pub(crate) fn shares_cookies(&self) -> bool {
        self.domain.contains('.')
    }

    /// Finds the owner of the host name that a request asks for.
    pub(crate) fn host_owner(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<HostOwner, OriginRefusal> {
        let (name, full) = requested(uri, headers).ok_or(OriginRefusal::NoHost)?;
        if self.is_ours(name) {
            return Ok(HostOwner::Node);
        }
        self.application(name)
            .map(HostOwner::Application)
            .ok_or_else(|| OriginRefusal::Host(full.to_owned()))
    }

    fn application(&self, name: &str) -> Option<String> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let label = name.strip_suffix(self.domain.as_str())?.strip_suffix('.')?;
        AppName::parse(label).ok().map(|name| name.to_string())
    }

    /// Says whether the node itself speaks TLS. Then only pages that came over TLS are its own; without, both may be: a
    /// proxy before the node may speak TLS for it.
    #[must_use]
    pub fn over_tls(self, over_tls: bool) -> Self {
        Self { over_tls, ..self }
    }

    /// Whether the node itself speaks TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.over_tls
    }

    /// Checks that no page of another origin is behind the request.
    pub(crate) fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), OriginRefusal> {
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        if let Some(site) = sites.find(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
        {
            return Err(OriginRefusal::CrossOrigin(
                String::from_utf8_lossy(site.as_bytes()).into_owned(),
            ));
        }
        headers
            .get_all(ORIGIN)
            .iter()
            .try_for_each(|origin| self.check_one_origin(origin, uri, headers))
    }

    fn is_ours(&self, name: &str) -> bool {
        if let Ok(ip) = name.parse::<IpAddr>() {
            // A node on all addresses is asked by any of them; only names can be bent towards it.
            return ip.is_loopback() || ip == self.ip || self.ip.is_unspecified();
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.domain)
            || self
                .hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(name))
    }

    fn check_one_origin(
        &self,
        origin: &HeaderValue,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), OriginRefusal> {
        let origin = origin.to_str().unwrap_or_default();
        let host = requested(uri, headers).map(|(_, full)| full);
        let same = host
            .zip(self.default_port(origin))
            .is_some_and(|(host, (authority, port))| {
                without(authority, port).eq_ignore_ascii_case(without(host, port))
            });
        if same {
            Ok(())
        } else {
            Err(OriginRefusal::CrossOrigin(origin.to_owned()))
        }
    }

    /// An origin's host and the port that goes without saying there; `None` if it cannot be this node's.
    fn default_port<'a>(&self, origin: &'a str) -> Option<(&'a str, &'static str)> {
        match origin.split_once("://")? {
            ("https", authority) => Some((authority, ":443")),
            ("http", authority) if !self.over_tls => Some((authority, ":80")),
            _ => None,
        }
    }
}

/// The host that the request names, with its port.
pub(crate) fn requested_authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    requested(uri, headers).map(|(_, full)| full)
}

/// The host that the request names, without and with its port. HTTP/1.1 allows one Host header (RFC 9112 §3.2).
fn requested<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<(&'a str, &'a str)> {
    let full = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut all = headers.get_all(HOST).iter();
            let first = all.next()?;
            if all.next().is_some() {
                return None;
            }
            first.to_str().ok()?
        }
    };
    if full.contains('@') {
        return None;
    }
    Some((host_of(full)?, full))
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`, without the rest.
fn host_of(authority: &str) -> Option<&str> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (
                name,
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    // What nearly all are, and what parsing would find no fault in.
    let usual = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let plain = !name.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
        && (usual || authority.parse::<Authority>().is_ok());
    plain.then_some(name)
}

fn without<'a>(authority: &'a str, port: &str) -> &'a str {
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    /// Whether the node answers to the name itself.
    fn check_host(origins: &OriginPolicy, headers: &HeaderMap) -> Result<(), OriginRefusal> {
        match origins.host_owner(&Uri::from_static("/"), headers)? {
            HostOwner::Node => Ok(()),
            HostOwner::Application(name) => Err(OriginRefusal::Host(name)),
        }
    }

    fn host(name: &str) -> Result<(), OriginRefusal> {
        let origins = OriginPolicy::new(
            "192.0.2.7".parse().unwrap(),
            vec!["edge.example".to_owned()],
        );
        check_host(&origins, &headers(&[("host", name)]))
    }

    #[test]
    fn answers_to_its_own_names_only() {
        for ours in [
            "localhost",
            "LOCALHOST:1323",
            "127.0.0.1:1323",
            "127.9.9.9",
            "[::1]:80",
            "192.0.2.7",
            "Edge.example:80",
            "localhost.",
            "localhost:65535",
        ] {
            assert_eq!(host(ours), Ok(()), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "127.0.0.1.nip.io",
            "edge.example.evil",
        ] {
            assert_eq!(
                host(foreign),
                Err(OriginRefusal::Host(foreign.to_owned())),
                "{foreign}"
            );
        }
        for broken in [
            "",
            "a b",
            "x@localhost",
            "localhost:8a",
            "localhost:65536",
            "[::1]:99999",
            "[::1",
            "[::1]x",
            ":80",
        ] {
            assert_eq!(host(broken), Err(OriginRefusal::NoHost), "{broken}");
        }
        let everywhere = OriginPolicy::new("0.0.0.0".parse().unwrap(), Vec::new());
        let check = |name: &str| check_host(&everywhere, &headers(&[("host", name)]));
        assert_eq!(check("192.0.2.8:1323"), Ok(()));
        assert!(check("evil.example").is_err());
        let twice = headers(&[("host", "localhost"), ("host", "evil.example")]);
        let origins = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
        assert_eq!(check_host(&origins, &twice), Err(OriginRefusal::NoHost));
    }

    #[test]
    fn names_below_the_domain_are_applications() {
        let origins = OriginPolicy::new(
            "127.0.0.1".parse().unwrap(),
            vec!["node.apps.example".to_owned()],
        );
        let origins = origins.domain("Apps.Example");
        let application = |name: &str| match origins
            .host_owner(&Uri::from_static("/"), &headers(&[("host", name)]))
        {
            Ok(HostOwner::Application(name)) => Some(name),
            _ => None,
        };
        for host in [
            "shop.apps.example",
            "SHOP.apps.EXAMPLE:1323",
            "shop.apps.example.",
        ] {
            assert_eq!(application(host).as_deref(), Some("shop"), "{host}");
        }
        for host in [
            "apps.example",
            "node.apps.example",
            "a.b.apps.example",
            ".apps.example",
            "shop.localhost",
            "shopapps.example",
            "-a.apps.example",
            "shop.apps.example.evil.example",
            "127.0.0.1",
            "x@shop.apps.example",
        ] {
            assert_eq!(application(host), None, "{host}");
        }
        let check = |name: &str| check_host(&origins, &headers(&[("host", name)]));
        assert_eq!(check("apps.example"), Ok(()));
        assert!(
            check("shop.apps.example").is_err(),
            "the node's own routes are not on an application's host"
        );
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let check = |list: &[(&'static str, &str)]| {
            let mut list = list.to_vec();
            list.push(("host", "localhost:1323"));
            OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new())
                .check_origin(&Uri::from_static("/"), &headers(&list))
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(
            check(&[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://localhost:1323")
            ]),
            Ok(())
        );
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", ""),
            ("origin", "null"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:1324"),
            ("origin", "http://127.0.0.1:1323"),
        ] {
            assert!(check(&[(name, value)]).is_err(), "{name}: {value}");
        }
    }
    /// The host that was asked for, the page's origin, and whether they are one on a node without and with TLS.
    #[test]
    fn the_scheme_of_an_origin_counts() {
        for (host, origin, plain, tls) in [
            ("localhost:1323", "https://localhost:1323", true, true),
            ("localhost:1323", "http://localhost:1323", true, false),
            ("localhost", "https://localhost", true, true),
            ("localhost:443", "https://localhost", true, true),
            ("localhost", "https://localhost:443", true, true),
            ("localhost:80", "http://localhost", true, false),
            ("localhost:80", "https://localhost", false, false),
            ("localhost:443", "http://localhost", false, false),
            ("localhost:1323", "https://localhost", false, false),
            ("localhost", "ftp://localhost", false, false),
            ("localhost", "https:localhost", false, false),
        ] {
            for (over_tls, expected) in [(false, plain), (true, tls)] {
                let origins =
                    OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new()).over_tls(over_tls);
                let same = origins.check_origin(
                    &Uri::from_static("/"),
                    &headers(&[("host", host), ("origin", origin)]),
                );
                assert_eq!(same.is_ok(), expected, "{host} {origin} TLS {over_tls}");
            }
        }
    }
}
