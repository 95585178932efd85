//! Canonical JSON: the RFC's vectors, what has no canonical form, and the laws.

use proptest::prelude::*;

use super::*;

fn of(json: &str) -> Canonical {
    canonical(&Bytes::copy_from_slice(json.as_bytes()))
}

fn check(json: &str, expected: &str) {
    assert_eq!(
        of(json),
        Canonical::Yes(Bytes::copy_from_slice(expected.as_bytes())),
        "{json}"
    );
}

#[test]
fn the_examples_of_the_rfc() {
    // §3.2.2
    check(
        r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    );
    // §3.2.3
    check(
        "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\",\
         \"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\
         \"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    );
}

#[test]
fn the_numbers_of_the_rfc() {
    // Appendix B: a double's bits, and how it is written.
    for (bits, written) in [
        (0x0000_0000_0000_0000_u64, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        let value = f64::from_bits(bits);
        assert_eq!(
            serde_json_canonicalizer::to_string(&value).unwrap(),
            written
        );
    }
}

#[test]
fn what_would_change_has_no_canonical_form() {
    use NotCanonical::{Duplicate, Integer, NotJson, Range, TooDeep};
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (json, why) in [
        ("9007199254740992", Integer),
        ("[-9007199254740992]", Integer),
        ("18446744073709551616", Integer),
        (&format!("1{}", "0".repeat(400)), Integer),
        ("9007199254740993.0", Integer),
        ("1e20", Integer),
        ("1e999", Range),
        ("-1e-999", Range),
        (r#"{"a":1,"b":2,"a":1}"#, Duplicate),
        (r#"{"a":1,"\u0061":1}"#, Duplicate),
        (r#"[{"a":{"x":1,"x":1}}]"#, Duplicate),
        (&deep(DEPTH_MAX + 1), TooDeep),
        (&deep(100_000), TooDeep),
        (r#""\ud800""#, NotJson),
        ("", NotJson),
        ("[1,]", NotJson),
        ("{\"a\"}", NotJson),
        ("01", NotJson),
        ("-", NotJson),
        ("1.", NotJson),
        ("[1.]", NotJson),
        ("nul", NotJson),
        ("1 2", NotJson),
        ("\"\u{1}\"", NotJson),
        ("\"\\é\"", NotJson),
        ("\"\\u00", NotJson),
    ] {
        assert_eq!(
            of(json),
            Canonical::No(why),
            "{}",
            json.chars().take(60).collect::<String>()
        );
    }
    // A name by which the JSON library means something else.
    let (escaped, plain) = (
        r#"{"\u0024serde_json::private::RawValue":"{\"a\":1}"}"#,
        r#"{"$serde_json::private::RawValue":"{\"a\":1}"}"#,
    );
    check(escaped, plain);
    check(plain, plain);
    check("9007199254740991", "9007199254740991");
    check("-9.007199254740991e15", "-9007199254740991");
    check("0e-999", "0");
    check(&deep(DEPTH_MAX), &deep(DEPTH_MAX));
}

/// Texts and their canonical forms, which the library for browsers is held to as well.
#[test]
fn the_vectors_hold() {
    let vectors: Vec<(String, Option<String>)> =
        serde_json::from_str(include_str!("vectors.json")).unwrap();
    for (json, expected) in vectors {
        match (of(&json), expected) {
            (Canonical::Yes(found), Some(expected)) => assert_eq!(found, expected, "{json}"),
            (Canonical::No(_), None) => {}
            (found, expected) => panic!("{json}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn what_is_canonical_is_not_copied() {
    for json in [
        r#"{"a":4,"b":[null,-1.5,"\n\u001f\"é"],"c":{}}"#,
        "\"\"",
        "0",
        "{\"é\":1,\"😀\":2,\"\u{fb33}\":3}",
    ] {
        let given = Bytes::copy_from_slice(json.as_bytes());
        let Canonical::Yes(canonical) = canonical(&given) else {
            panic!("{json} is canonical")
        };
        assert_eq!(canonical.as_ptr(), given.as_ptr(), "{json}");
    }
    for (json, written) in [
        ("-0", "0"),
        ("[ ]", "[]"),
        (r#""\u000A\/""#, r#""\n/""#),
        ("1.0", "1"),
        ("1e2", "100"),
    ] {
        check(json, written);
    }
}

/// Any JSON as a person may write it: spaces, escapes, any order of members, numbers in any form.
fn written() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        Just("-0.0".to_owned()),
    ];
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let escaped = any::<char>().prop_map(|c| {
        let units = c
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect::<String>();
        format!("\"{units}\"")
    });
    let name = prop_oneof![text.clone(), escaped.clone()];
    let leaf = prop_oneof![
        number,
        text,
        escaped,
        Just("null".to_owned()),
        Just(" true ".to_owned())
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let member =
            (name.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::vec(member, 0..5)
                .prop_map(|list| format!("{{{}}}", list.join(" ,\n"))),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_its_own_and_means_the_same(json in written()) {
        if let Canonical::Yes(once) = of(&json) {
            prop_assert_eq!(canonical(&once), Canonical::Yes(once.clone()));
            let again = serde_json_canonicalizer::to_vec(&serde_json::from_slice::<Value>(&once).unwrap()).unwrap();
            prop_assert_eq!(&once, &Bytes::from(again), "as the writer writes it");
            let means = |json: &[u8]| serde_json_canonicalizer::to_vec(&serde_json::from_slice::<Value>(json).unwrap());
            prop_assert_eq!(means(json.as_bytes()).unwrap(), once.to_vec());
        }
    }

    #[test]
    fn any_bytes_are_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Canonical::Yes(once) = canonical(&Bytes::from(bytes.clone())) {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            prop_assert!(serde_json::from_slice::<Value>(&once).is_ok());
        }
    }

    #[test]
    fn json_like_text_is_looked_at(text in "[\\[\\]{}\",:0-9eE.+\\\\u n-]{0,24}") {
        if let Canonical::Yes(_) = of(&text) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}
