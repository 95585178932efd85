//! Declared inputs and outputs: `name:type` arguments.

use serverledge_wire::function::{ParameterBody, SignatureBody};

/// Serverledge's types.
const TYPES: [&str; 11] = [
    "Int",
    "Float",
    "Text",
    "Bool",
    "Void",
    "ArrayInt",
    "ArrayFloat",
    "ArrayBool",
    "ArrayText",
    "ArrayArrayInt",
    "ArrayArrayFloat",
];

/// Why an argument declares no parameter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// Not `name:type`.
    #[error("{0:?} is not of the form name:type")]
    Form(String),
    /// No type of that name.
    #[error("{kind:?} of parameter {name:?} is not a type; known are {}", TYPES.join(", "))]
    Type {
        /// The parameter.
        name: String,
        /// What was given as its type.
        kind: String,
    },
}

/// Reads both lists; none if nothing is declared.
pub(crate) fn parse(
    inputs: &[String],
    outputs: &[String],
) -> Result<Option<SignatureBody>, SignatureError> {
    if inputs.is_empty() && outputs.is_empty() {
        return Ok(None);
    }
    let list = |arguments: &[String]| {
        arguments
            .iter()
            .map(|argument| parameter(argument))
            .collect::<Result<_, _>>()
    };
    Ok(Some(SignatureBody {
        inputs: list(inputs)?,
        outputs: list(outputs)?,
    }))
}

fn parameter(argument: &str) -> Result<ParameterBody, SignatureError> {
    let form = || SignatureError::Form(argument.to_owned());
    let (name, kind) = argument.split_once(':').ok_or_else(form)?;
    if name.is_empty() || kind.is_empty() {
        return Err(form());
    }
    let known = TYPES.iter().find(|known| known.eq_ignore_ascii_case(kind));
    let unknown = || SignatureError::Type {
        name: name.to_owned(),
        kind: kind.to_owned(),
    };
    Ok(ParameterBody {
        name: name.to_owned(),
        r#type: (*known.ok_or_else(unknown)?).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_name_and_type() {
        assert_eq!(parse(&[], &[]), Ok(None));
        let read = parse(&["a:int".to_owned()], &["r:ArrayText".to_owned()])
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                read.inputs[0].r#type.as_str(),
                read.outputs[0].name.as_str()
            ),
            ("Int", "r")
        );
        for bad in ["a", ":Int", "a:", "a:b:c", "a:String"] {
            assert!(parse(&[], &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
