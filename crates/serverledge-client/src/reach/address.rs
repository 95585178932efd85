//! Public addresses: reachable from everywhere, and in nobody's own network (IANA's registries of special-purpose
//! addresses, RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // "This network", private, loopback, private; multicast, reserved and broadcast.
        [0 | 10 | 127 | 224..=255, ..] => true,
        // Shared by carriers (RFC 6598), link-local, private.
        [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] => true,
        // Protocol assignments, relays of 6to4, benchmarks.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => true,
        // Documentation.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

/// All that is public lies in 2000::/3, or is an IPv4 address behind the well-known translator. So local, unspecified,
/// link-local, unique-local and multicast addresses are out without being named.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        // Protocol assignments, among them Teredo, which carries IPv4 addresses; documentation; 6to4, which carries them too.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] => false,
        // Documentation.
        [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: bool) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn special_addresses_of_ipv4_are_not_public() {
        check(
            &[
                "1.1.1.1",
                "8.8.8.8",
                "100.63.255.255",
                "100.128.0.0",
                "172.15.255.255",
                "172.32.0.0",
            ],
            true,
        );
        check(
            &[
                "11.0.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.1.1",
                "192.167.1.1",
                "223.255.255.255",
            ],
            true,
        );
        check(
            &[
                "192.0.1.0",
                "192.0.3.0",
                "198.17.255.255",
                "198.20.0.0",
                "203.0.112.255",
            ],
            true,
        );
        check(
            &[
                "0.0.0.0",
                "0.1.2.3",
                "10.0.0.1",
                "100.64.0.1",
                "100.127.255.255",
                "127.0.0.1",
                "127.255.0.1",
            ],
            false,
        );
        check(
            &[
                "169.254.169.254",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "192.0.0.8",
                "192.0.2.1",
            ],
            false,
        );
        check(
            &[
                "192.88.99.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.1",
                "203.0.113.1",
            ],
            false,
        );
        check(
            &["224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"],
            false,
        );
    }

    #[test]
    fn special_addresses_of_ipv6_are_not_public() {
        check(
            &[
                "2606:4700:4700::1111",
                "2a00:1450::1",
                "2001:200::1",
                "2001:4860::8888",
                "2400::1",
            ],
            true,
        );
        check(
            &[
                "::",
                "::1",
                "fe80::1",
                "fec0::1",
                "fc00::1",
                "fd12:3456::1",
                "ff02::1",
                "100::1",
                "1::1",
            ],
            false,
        );
        check(
            &[
                "2001::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "3fff::1",
                "5f00::1",
                "4000::1",
            ],
            false,
        );
    }

    /// The addresses of IPv4 inside count, in every dress.
    #[test]
    fn ipv4_inside_of_ipv6_is_judged() {
        check(&["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"], true);
        check(
            &[
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "::ffff:169.254.169.254",
                "::ffff:0.0.0.0",
            ],
            false,
        );
        check(
            &[
                "64:ff9b::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b::192.168.0.1",
                "64:ff9b:1::8.8.8.8",
            ],
            false,
        );
        check(
            &[
                "::127.0.0.1",
                "::8.8.8.8",
                "::ffff:0:127.0.0.1",
                "2002:7f00:1::",
                "2002:808:808::1",
            ],
            false,
        );
        check(&["2001:0:4136:e378:8000:63bf:3fff:fdd2"], false);
    }
}
