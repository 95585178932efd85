//! JSON text made readable without changing it: numbers keep their digits, members their order.

use serde::Serialize;
use serde::de::IgnoredAny;

/// A value as JSON indented with tabs, as Serverledge's client prints it.
pub(crate) fn tabbed<T: Serialize + ?Sized>(value: &T) -> String {
    let text = serde_json::to_string(value)
        .expect("the API's types have string keys and no failing parts");
    indent(&text, "\t")
}

/// JSON text laid out over lines; `None` if it is no JSON.
pub(crate) fn pretty(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(indent(text, "  "))
}

/// Lays valid JSON out. Characters that could steer a terminal become escapes of the same meaning.
fn indent(text: &str, unit: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => copy_string(&mut chars, &mut out),
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, unit, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, unit, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, unit, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, unit: &str, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(unit, depth));
}

/// Copies the rest of a string whose opening quote was read.
fn copy_string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: &Expect) {
        expected.assert_eq(&pretty(text).unwrap_or_else(|| "not JSON".to_owned()));
    }

    #[test]
    fn layout_keeps_digits_order_and_strings() {
        check(
            "12345678901234567890.10",
            &expect!["12345678901234567890.10"],
        );
        check("{ }", &expect!["{}"]);
        check("[\n]", &expect!["[]"]);
        check("\"a\u{9b}b\u{7f}\"", &expect![[r#""a\u009bb\u007f""#]]);
        check("{", &expect!["not JSON"]);
        check("", &expect!["not JSON"]);
        check(
            r#"{"z":[1,{"a,b":"c:\"d\\"}],"a":{},"n":null}"#,
            &expect![[r#"
                {
                  "z": [
                    1,
                    {
                      "a,b": "c:\"d\\"
                    }
                  ],
                  "a": {},
                  "n": null
                }"#]],
        );
    }

    #[test]
    fn api_values_are_indented_with_tabs() {
        assert_eq!(tabbed(&["a", "b"]), "[\n\t\"a\",\n\t\"b\"\n]");
    }
}
