//! The options of a connection to etcd, and their faults.

use std::fmt;
use std::time::Duration;

use serverledge_core::kv::KEY_BYTES_MAX;

/// The default prefix of all keys; Serverledge's (Go) own keys do not begin with it.
pub const PREFIX_DEFAULT: &str = "serverledge/";
/// etcd's default quota. Versions before 3.6 do not tell theirs.
const QUOTA_DEFAULT: u64 = 2 * 1024 * 1024 * 1024;
/// Longest prefix: leaves room for every key, and for every transaction below etcd's 1.5 MiB.
const PREFIX_BYTES_MAX: usize = KEY_BYTES_MAX / 4;
/// Most endpoints: more members than any etcd cluster has.
const ENDPOINTS_MAX: usize = 16;
const HTTP: &str = "http://";
const HTTPS: &str = "https://";

/// The options of a connection to etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// Members of one cluster: `http://host:port`, `https://host:port`, or `host:port` (TLS if [`Self::tls`] is set).
    /// One is used at a time; the next one after a failure.
    pub endpoints: Vec<String>,
    /// The user of the connection, if etcd's authentication is on.
    pub user: Option<EtcdUser>,
    /// TLS, through rustls.
    pub tls: Option<EtcdTls>,
    /// The prefix of all keys; ends with `/`. Several clusters with different prefixes share one etcd. The key of this
    /// name without the last `/` tells stores apart. So a role needs read and write for both, which is the prefix
    /// `serverledge`.
    pub prefix: String,
    /// Time limit of a connection, with its login.
    pub connect_timeout: Duration,
    /// Time limit of a request, with connecting and retries.
    pub request_timeout: Duration,
    /// etcd's `--quota-backend-bytes`, for [`super::EtcdUsage`]; what etcd itself says (from 3.6 on) goes first.
    pub quota_bytes: Option<u64>,
}

/// A name and a password. `Debug` shows only the name.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// The TLS options by which etcd proves itself, and this client to etcd. `Debug` shows no key.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EtcdTls {
    /// Certificate authorities in PEM; `None`: those of the system.
    pub authorities_pem: Option<Vec<u8>>,
    /// A certificate and its key in PEM, if etcd asks for one.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in etcd's certificate if it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// A fault of [`EtcdOptions`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdOptionsError {
    /// None, or more than any cluster has.
    #[error("{0} endpoints are given, 1 to {ENDPOINTS_MAX} are allowed")]
    Endpoints(usize),
    /// Not a host and a port, with or without `http://` or `https://`.
    #[error("the endpoint {0:?} is not host:port, http://host:port or https://host:port")]
    Endpoint(String),
    /// An address that is no address of etcd.
    #[error("the address is not etcd://host:port[,host:port…][/prefix/], etcds://… or host:port")]
    Address,
    /// Passwords do not belong into addresses, which are logged and shown.
    #[error("the address holds a user; user and password are given apart from it")]
    UserInAddress,
    /// The prefix is no prefix.
    #[error("the prefix {0:?} must end with one / and have 2 to {PREFIX_BYTES_MAX} bytes")]
    Prefix(String),
    /// A time of zero would refuse every request.
    #[error("a timeout is zero")]
    Timeout,
    /// Some endpoints are plain although TLS is configured.
    #[error("the endpoint {0:?} is plain HTTP although TLS is configured")]
    PlainEndpoint(String),
}

// === impl EtcdOptions ===

impl EtcdOptions {
    /// These endpoints, and the defaults: no user, no TLS, the prefix `serverledge/`, 2 s to connect, 5 s for a request.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            user: None,
            tls: None,
            prefix: PREFIX_DEFAULT.to_owned(),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            quota_bytes: Some(QUOTA_DEFAULT),
        }
    }

    /// The options that an address says: `etcd://host:port[,host:port…][/prefix/]`, `etcds://…` for TLS, or plain
    /// `host:port` as in Serverledge's `etcd.address`. The rest are defaults.
    ///
    /// # Errors
    /// `Address`, `UserInAddress`; the parts are checked when the store is made.
    pub fn parse(address: &str) -> Result<Self, EtcdOptionsError> {
        let (rest, secure) = match address.split_once("://") {
            None => (address, false),
            Some(("etcd", rest)) => (rest, false),
            Some(("etcds", rest)) => (rest, true),
            Some(_) => return Err(EtcdOptionsError::Address),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.contains('@') {
            return Err(EtcdOptionsError::UserInAddress);
        }
        if hosts.is_empty() {
            return Err(EtcdOptionsError::Address);
        }
        let mut options = Self::new(hosts.split(',').map(str::to_owned).collect());
        options.tls = secure.then(EtcdTls::default);
        if !path.is_empty() {
            options.prefix = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        }
        Ok(options)
    }

    /// The endpoints with their schemes, if all options are in order.
    pub(super) fn check(&self) -> Result<Vec<String>, EtcdOptionsError> {
        if self.endpoints.is_empty() || self.endpoints.len() > ENDPOINTS_MAX {
            return Err(EtcdOptionsError::Endpoints(self.endpoints.len()));
        }
        let name = self.prefix.strip_suffix('/').unwrap_or_default();
        if name.is_empty() || name.ends_with('/') || self.prefix.len() > PREFIX_BYTES_MAX {
            return Err(EtcdOptionsError::Prefix(self.prefix.clone()));
        }
        if self.connect_timeout.is_zero() || self.request_timeout.is_zero() {
            return Err(EtcdOptionsError::Timeout);
        }
        self.endpoints
            .iter()
            .map(|endpoint| self.endpoint(endpoint))
            .collect()
    }

    fn endpoint(&self, given: &str) -> Result<String, EtcdOptionsError> {
        let wrong = || EtcdOptionsError::Endpoint(given.to_owned());
        let (secure, host) = match (given.strip_prefix(HTTP), given.strip_prefix(HTTPS)) {
            (Some(_), _) if self.tls.is_some() => {
                return Err(EtcdOptionsError::PlainEndpoint(given.to_owned()));
            }
            (Some(host), _) => (false, host),
            (_, Some(host)) => (true, host),
            (None, None) => (self.tls.is_some(), given),
        };
        let (name, port) = host.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if name.is_empty() || port == 0 || !name.chars().all(plain) {
            return Err(wrong());
        }
        Ok(format!("{}{host}", if secure { HTTPS } else { HTTP }))
    }
}

// === impl EtcdUser ===

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl EtcdTls ===

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let plain = EtcdOptions::parse("127.0.0.1:2379").unwrap();
        assert_eq!(
            (plain.endpoints.as_slice(), plain.prefix.as_str()),
            (&["127.0.0.1:2379".to_owned()][..], "serverledge/")
        );
        let many = EtcdOptions::parse("etcds://a:1,b:2/edge/one").unwrap();
        assert_eq!(
            (
                many.endpoints.len(),
                many.prefix.as_str(),
                many.tls.is_some()
            ),
            (2, "edge/one/", true)
        );
        assert_eq!(EtcdOptions::parse("etcd://a:1/x/").unwrap().prefix, "x/");
        assert_eq!(
            EtcdOptions::parse("etcd://u:p@a:1"),
            Err(EtcdOptionsError::UserInAddress)
        );
        for wrong in ["redis://a:1", "etcd://", ""] {
            assert_eq!(
                EtcdOptions::parse(wrong),
                Err(EtcdOptionsError::Address),
                "{wrong}"
            );
        }
    }

    #[test]
    fn options_are_checked() {
        let check = |endpoint: &str| EtcdOptions::new(vec![endpoint.to_owned()]).check();
        assert_eq!(
            check("etcd.local:2379"),
            Ok(vec!["http://etcd.local:2379".to_owned()])
        );
        assert_eq!(
            check("http://[::1]:2379"),
            Ok(vec!["http://[::1]:2379".to_owned()])
        );
        for wrong in [
            "etcd.local",
            "etcd.local:0",
            ":2379",
            "a b:1",
            "a:1/x",
            "http://u@a:1",
            "a:99999",
        ] {
            assert!(
                matches!(check(wrong), Err(EtcdOptionsError::Endpoint { .. })),
                "{wrong}"
            );
        }
        assert_eq!(
            EtcdOptions::new(Vec::new()).check(),
            Err(EtcdOptionsError::Endpoints(0))
        );
        for prefix in ["", "/", "a", "a//"] {
            let options = EtcdOptions {
                prefix: prefix.to_owned(),
                ..EtcdOptions::new(vec!["a:1".to_owned()])
            };
            assert!(
                matches!(options.check(), Err(EtcdOptionsError::Prefix { .. })),
                "{prefix}"
            );
        }
        let zero = EtcdOptions {
            request_timeout: Duration::ZERO,
            ..EtcdOptions::new(vec!["a:1".to_owned()])
        };
        assert_eq!(zero.check(), Err(EtcdOptionsError::Timeout));
    }

    #[test]
    fn secrets_are_not_shown() {
        let user = EtcdUser {
            name: "node".to_owned(),
            password: "hidden".to_owned(),
        };
        let tls = EtcdTls {
            identity_pem: Some((b"hidden".to_vec(), b"hidden".to_vec())),
            ..EtcdTls::default()
        };
        assert!(!format!("{user:?} {tls:?}").contains("hidden"));
    }
}
