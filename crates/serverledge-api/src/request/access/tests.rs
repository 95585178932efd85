//! Parts of the access rules that need no application: addresses behind proxies, and what counts as a token.

use super::*;

fn address(peer: &str, trusted: &[&str], forwarded: &[&str]) -> String {
    let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let access = Access {
        trusted_proxies,
        ..Access::open()
    };
    let mut headers = HeaderMap::new();
    for value in forwarded {
        headers.append(FORWARDED_FOR, value.parse().unwrap());
    }
    access
        .address(Some(peer.parse().unwrap()), &headers)
        .to_string()
}

#[test]
fn only_trusted_proxies_say_who_asks() {
    let trusted = ["10.0.0.0/8", "::1"];
    for (peer, forwarded, expected) in [
        ("192.0.2.1:5", &["198.51.100.9"][..], "192.0.2.1"),
        ("10.0.0.1:5", &[][..], "10.0.0.1"),
        ("10.0.0.1:5", &["198.51.100.9"], "198.51.100.9"),
        // The client wrote the first; the proxy saw the second.
        ("10.0.0.1:5", &["203.0.113.1, 198.51.100.9"], "198.51.100.9"),
        (
            "10.0.0.1:5",
            &["203.0.113.1", "198.51.100.9, 10.0.0.2"],
            "198.51.100.9",
        ),
        (
            "10.0.0.1:5",
            &["203.0.113.1, nonsense, 10.0.0.2"],
            "10.0.0.2",
        ),
        ("10.0.0.1:5", &["10.0.0.3"], "10.0.0.3"),
        ("[::1]:5", &["2001:db8::7"], "2001:db8::7"),
        (
            "[::ffff:10.0.0.1]:5",
            &["::ffff:198.51.100.9"],
            "198.51.100.9",
        ),
    ] {
        assert_eq!(
            address(peer, &trusted, forwarded),
            expected,
            "{peer} {forwarded:?}"
        );
    }
    assert_eq!(address("10.0.0.1:5", &[], &["198.51.100.9"]), "10.0.0.1");
}

#[test]
fn what_counts_as_a_token() {
    let read = |value: &[u8], of_a_function| match bearer(
        &HeaderValue::from_bytes(value).unwrap(),
        of_a_function,
    ) {
        PresentedCredential::Nothing => "nothing",
        PresentedCredential::Session(_) => "session",
        PresentedCredential::Token(_) => "token",
        PresentedCredential::Bad { .. } => "bad",
    };
    let long = format!("Bearer slt_{}", "x".repeat(10 * 1024));
    for (value, of_the_node, of_a_function) in [
        (&b"Bearer slt_x"[..], "token", "token"),
        (b"BEARER\tslt_x ", "token", "token"),
        (b"Basic slt_x", "nothing", "nothing"),
        (b"Bearerslt_x", "nothing", "nothing"),
        (b"Bearer other", "bad", "nothing"),
        (b"Bearer", "bad", "nothing"),
        (b"Bearer slt_\xff", "bad", "bad"),
        (long.as_bytes(), "bad", "bad"),
        (b"", "nothing", "nothing"),
    ] {
        let shown = (read(value, false), read(value, true));
        assert_eq!(
            shown,
            (of_the_node, of_a_function),
            "{}",
            String::from_utf8_lossy(value)
        );
    }
}
