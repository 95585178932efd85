//! Arguments of a program: the templates of its version, filled with the parameters of a call.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serverledge_core::limits::ARGS_BYTES_MAX;
use serverledge_core::{ArgPiece, InvokeError, arg_pieces};

/// Characters of a parameter's name in a message.
const NAME_CHARS_MAX: usize = 64;

/// The members of the parameters, unparsed.
type ParamMembers<'a> = BTreeMap<String, &'a RawValue>;

/// Fills the templates with the members of `params`, which are JSON.
///
/// # Errors
/// [`InvokeError::Request`] with a code of [`serverledge_core::ARGS_FAULTS`] if the parameters do not fit.
pub(crate) fn filled(templates: &[String], params: &[u8]) -> Result<Vec<String>, InvokeError> {
    let has_braces = |template: &String| template.contains(['{', '}']);
    if !templates.iter().any(has_braces) {
        return Ok(templates.to_vec());
    }
    // Parameters that are no object have no members.
    let members: ParamMembers<'_> = serde_json::from_slice(params).unwrap_or_default();
    let mut room = ARGS_BYTES_MAX;
    templates
        .iter()
        .map(|template| argument(template, &members, &mut room))
        .collect()
}

/// One argument; `room` is what is left for it and those after it.
fn argument(
    template: &str,
    members: &ParamMembers<'_>,
    room: &mut usize,
) -> Result<String, InvokeError> {
    let pieces = arg_pieces(template).map_err(|fault| InvokeError::Internal {
        attempt: "fill the arguments".to_owned(),
        source: Box::new(fault),
    })?;
    let mut filled = String::with_capacity(template.len());
    for piece in pieces {
        match piece {
            ArgPiece::Text(text) => filled.push_str(text),
            ArgPiece::Param(name) => filled.push_str(&value(name, members)?),
        }
        if filled.len() > *room {
            return Err(refused(
                "args_too_long",
                format!(
                    "the arguments have more than {ARGS_BYTES_MAX} bytes; data belongs on stdin"
                ),
            ));
        }
    }
    *room -= filled.len();
    Ok(filled)
}

/// The text of a parameter: that of a string, and the JSON of anything else.
fn value(name: &str, members: &ParamMembers<'_>) -> Result<String, InvokeError> {
    let shown = || name.chars().take(NAME_CHARS_MAX).collect::<String>();
    let member = members.get(name).map(|member| member.get());
    let Some(member) = member.filter(|member| *member != "null") else {
        return Err(refused(
            "args_param_missing",
            format!("the function's arguments need the parameter {:?}", shown()),
        ));
    };
    let text = if member.starts_with('"') {
        serde_json::from_str(member).ok()
    } else {
        Some(member.to_owned())
    };
    text.filter(|text| !text.contains('\0')).ok_or_else(|| {
        refused(
            "args_param_invalid",
            format!(
                "the parameter {:?} becomes an argument, which holds neither NUL nor half a character",
                shown()
            ),
        )
    })
}

fn refused(code: &'static str, message: String) -> InvokeError {
    InvokeError::Request { code, message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use serverledge_core::ARGS_FAULTS;

    use super::*;

    fn fill(templates: &[&str], params: &Value) -> Result<Vec<String>, &'static str> {
        let templates: Vec<String> = templates.iter().map(|one| (*one).to_owned()).collect();
        filled(&templates, params.to_string().as_bytes()).map_err(|fault| match fault {
            InvokeError::Request { code, .. } if ARGS_FAULTS.contains(&code) => code,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn values_are_text_or_json() {
        let params = json!({
            "text": "a \"b\" {c}\n", "whole": 640, "half": 0.5, "yes": true, "nothing": null,
            "list": [1, "2"], "object": {"a": {}}, "": 1, "with space": "s", "nul": "a\u{0}b",
        });
        for (template, expected) in [
            ("{text}", Ok("a \"b\" {c}\n")),
            ("--width={whole}px", Ok("--width=640px")),
            ("{half}{yes}", Ok("0.5true")),
            ("{list}{object}", Ok("[1,\"2\"]{\"a\":{}}")),
            ("{with space}", Ok("s")),
            ("{{whole}}", Ok("{whole}")),
            ("{{{whole}}}", Ok("{640}")),
            ("{Text}", Err("args_param_missing")),
            ("{nothing}", Err("args_param_missing")),
            ("{nul}", Err("args_param_invalid")),
        ] {
            let expected = expected.map(|text| vec![text.to_owned()]);
            assert_eq!(fill(&[template], &params), expected, "{template}");
        }
        for params in [json!(null), json!([1]), json!("text"), json!({})] {
            assert_eq!(fill(&["a", "{b}"], &params), Err("args_param_missing"));
            assert_eq!(fill(&["a", "{{b}}"], &params).unwrap(), ["a", "{b}"]);
        }
        let half = filled(&["{a}".to_owned()], br#"{"a":"\ud800"}"#);
        assert!(matches!(
            half,
            Err(InvokeError::Request {
                code: "args_param_invalid",
                ..
            })
        ));
        // The last of two equal members counts, as for other requests.
        let twice = filled(&["{a}".to_owned()], br#"{"a":1,"a":1e2}"#);
        assert_eq!(twice.unwrap(), ["1e2"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = filled(&["{width}".to_owned()], b"{}").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the function's arguments need the parameter \"width\""
        );
    }

    #[test]
    fn all_arguments_together_have_a_limit() {
        let of = |bytes: usize| {
            let params = json!({"a": "x".repeat(bytes), "b": "y"});
            fill(&["{a}", "{b}"], &params).map(|args| args.concat().len())
        };
        assert_eq!(of(ARGS_BYTES_MAX - 1), Ok(ARGS_BYTES_MAX));
        assert_eq!(of(ARGS_BYTES_MAX), Err("args_too_long"));
    }

    proptest! {
        #[test]
        fn a_template_without_braces_is_unchanged(template in "[^{}\0]*") {
            let template = template.as_str();
            prop_assert_eq!(fill(&[template], &json!({})).unwrap(), [template]);
            prop_assert_eq!(fill(&[template, "{{"], &json!({})).unwrap(), [template, "{"]);
        }

        #[test]
        fn every_place_is_filled(text in "[^\0]*", name in "[^{}\0]+", around in "[^{}\0]*") {
            let template = format!("{around}{{{name}}}{around}{{{name}}}");
            let params = Value::Object([(name, Value::from(text.clone()))].into_iter().collect());
            let filled = fill(&[template.as_str()], &params).unwrap();
            prop_assert_eq!(filled, [format!("{around}{text}{around}{text}")]);
        }

        #[test]
        fn escaped_braces_are_braces(text in "[^\0]*") {
            let template = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(fill(&[template.as_str()], &json!({})).unwrap(), [text]);
        }
    }
}
