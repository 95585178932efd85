//! The networks and names that may be reached beside the public internet, and the check of an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serverledge_core::{IpNet, ParseIpNetError, ends_in_a_number, is_host_name};

use super::address::is_public;

/// Something that may be reached beside public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReachAllow {
    /// The addresses of a network.
    Network(IpNet),
    /// Whatever this name stands for: exactly this one, in lower case, without a dot at the end.
    Host(String),
}

/// The reason why a text names nothing that could be allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReachAllowError {
    /// It looks like an address or a network and is none.
    #[error("no network")]
    Network(#[source] ParseIpNetError),
    /// It is no host name.
    #[error("no host name")]
    Host,
}

// === impl ReachAllow ===

impl FromStr for ReachAllow {
    type Err = ParseReachAllowError;

    /// `10.0.0.0/8`, an address, or a host name in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if text.contains(['/', ':']) || ends_in_a_number(&name) {
            return text
                .parse()
                .map(Self::Network)
                .map_err(ParseReachAllowError::Network);
        }
        if is_host_name(&name) {
            Ok(Self::Host(name))
        } else {
            Err(ParseReachAllowError::Host)
        }
    }
}

impl fmt::Display for ReachAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => name.fmt(f),
        }
    }
}

/// The rule for the addresses that may be reached.
#[derive(Debug)]
pub(crate) struct Policy {
    allow: Vec<ReachAllow>,
    is_public_allowed: bool,
}

// === impl Policy ===

impl Policy {
    /// Public addresses, and these.
    pub(crate) const fn public_and(allow: Vec<ReachAllow>) -> Self {
        Self {
            allow,
            is_public_allowed: true,
        }
    }

    /// These only.
    pub(crate) const fn only(allow: Vec<ReachAllow>) -> Self {
        Self {
            allow,
            is_public_allowed: false,
        }
    }

    /// Whether this address may be connected to, by whatever name.
    pub(crate) fn lets_reach(&self, address: IpAddr) -> bool {
        let listed = |entry: &ReachAllow| matches!(entry, ReachAllow::Network(network) if network.contains(address));
        (self.is_public_allowed && is_public(address)) || self.allow.iter().any(listed)
    }

    /// Whether everything behind this name may be connected to.
    pub(crate) fn lets_reach_name(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let listed = |entry: &ReachAllow| matches!(entry, ReachAllow::Host(host) if host.eq_ignore_ascii_case(name));
        self.allow.iter().any(listed)
    }

    /// The address that a URL's host is, if it may not be connected to. Such a host never gets to a resolver. `None` for
    /// names.
    pub(crate) fn refused_address(&self, host: &str) -> Option<IpAddr> {
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .ok()
            .filter(|address| !self.lets_reach(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_names_are_read() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("Hooks.Example.org", "hooks.example.org"),
            ("hooks.example.org.", "hooks.example.org"),
            ("hooks", "hooks"),
            ("a_b-c.d", "a_b-c.d"),
        ] {
            assert_eq!(
                text.parse::<ReachAllow>().map(|allow| allow.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
        for text in [
            "",
            ".",
            "a..b",
            "*.example.org",
            "a b",
            "ü",
            "10.0.0",
            "10.0.0.1/8",
            "0x7f",
            "a/8",
            "host:80",
            "300",
        ] {
            assert!(text.parse::<ReachAllow>().is_err(), "{text}");
        }
        assert!("x".repeat(64).parse::<ReachAllow>().is_err());
    }

    #[test]
    fn what_is_listed_may_be_reached() {
        let policy = Policy::public_and(vec![
            "10.1.0.0/16".parse().unwrap(),
            "hooks.example.org".parse().unwrap(),
        ]);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("64:ff9b::10.1.2.3", false),
        ] {
            assert_eq!(
                policy.lets_reach(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        for (name, expected) in [
            ("hooks.example.org", true),
            ("HOOKS.example.org.", true),
            ("a.hooks.example.org", false),
            ("example.org", false),
            ("hooks.example.org.evil.example", false),
        ] {
            assert_eq!(policy.lets_reach_name(name), expected, "{name}");
        }
    }

    #[test]
    fn public_addresses_may_be_out() {
        let allow = vec!["10.0.0.0/8".parse().unwrap()];
        let check = |policy: &Policy, host: &str, expected: bool| {
            assert_eq!(policy.refused_address(host).is_none(), expected, "{host}");
        };
        let only = Policy::only(allow.clone());
        check(&only, "10.1.2.3", true);
        check(&only, "8.8.8.8", false);
        check(&only, "[2606:4700::1111]", false);
        check(&only, "a.name.is.judged.later", true);
        let both = Policy::public_and(allow);
        check(&both, "8.8.8.8", true);
        check(&both, "[2606:4700::1111]", true);
        check(&both, "[::1]", false);
    }
}
