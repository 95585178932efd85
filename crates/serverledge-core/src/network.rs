//! Networks in CIDR form, as settings name them.

// Addresses alone: `core` has no sockets.
use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// A network: an address and the length of its prefix; no bit beyond the prefix is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNet(ipnet::IpNet);

/// The reason why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIpNetError {
    /// The part before `/` is no address.
    #[error("not an IP address")]
    Address,
    /// The part after `/` is no number, or is longer than the address.
    #[error("not a prefix length of the address")]
    Prefix,
    /// The address has bits beyond the prefix, so that it is unclear which network is meant.
    #[error("bits are set beyond the prefix")]
    HostBits,
}

impl IpNet {
    /// Whether the address lies in the network. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for IpNet {
    type Err = ParseIpNetError;

    /// `10.0.0.0/8`, `fd00::/8`, or an address alone.
    fn from_str(text: &str) -> Result<Self, ParseIpNetError> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ParseIpNetError::Address)?;
        let Some(digits) = prefix else {
            return Ok(Self(address.into()));
        };
        let digits =
            Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let prefix = digits
            .and_then(|digits| digits.parse().ok())
            .ok_or(ParseIpNetError::Prefix)?;
        let network = ipnet::IpNet::new(address, prefix).map_err(|_| ParseIpNetError::Prefix)?;
        if network.trunc() == network {
            Ok(Self(network))
        } else {
            Err(ParseIpNetError::HostBits)
        }
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.7.128/25", "192.168.7.200", "192.168.7.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
        ] {
            let net: IpNet = net.parse().unwrap();
            assert!(net.contains(inside.parse().unwrap()), "{net} {inside}");
            assert!(!net.contains(outside.parse().unwrap()), "{net} {outside}");
        }
        let everything: IpNet = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("203.0.113.9".parse().unwrap()));
        let everything: IpNet = "::/0".parse().unwrap();
        assert!(everything.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, why) in [
            ("", ParseIpNetError::Address),
            ("10.0.0/8", ParseIpNetError::Address),
            ("proxy/8", ParseIpNetError::Address),
            ("10.0.0.0/", ParseIpNetError::Prefix),
            ("10.0.0.0/+8", ParseIpNetError::Prefix),
            ("10.0.0.0/33", ParseIpNetError::Prefix),
            ("::/129", ParseIpNetError::Prefix),
            ("::/999", ParseIpNetError::Prefix),
            ("10.0.0.1/8", ParseIpNetError::HostBits),
            ("fd00::1/8", ParseIpNetError::HostBits),
        ] {
            assert_eq!(text.parse::<IpNet>(), Err(why), "{text}");
        }
    }
}
