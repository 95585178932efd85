//! Declared inputs and outputs: `name:type` arguments.

use serverledge_wire::function::{ParameterBody, SignatureBody};

use crate::exit::Exit;
use crate::failure::Failure;

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

/// Reads both lists; none if nothing is declared.
pub(crate) fn parse(
    inputs: &[String],
    outputs: &[String],
) -> Result<Option<SignatureBody>, Failure> {
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

fn parameter(argument: &str) -> Result<ParameterBody, Failure> {
    let wrong =
        |fault: String| Failure::new(Exit::Signature, format!("the signature is wrong: {fault}"));
    let form = || wrong(format!("{argument:?} is not of the form name:type"));
    let (name, kind) = argument.split_once(':').ok_or_else(form)?;
    if name.is_empty() || kind.is_empty() {
        return Err(form());
    }
    let known = TYPES.iter().find(|known| known.eq_ignore_ascii_case(kind));
    let types = TYPES.join(", ");
    let unknown = || {
        wrong(format!(
            "{kind:?} of parameter {name:?} is not a type; known are {types}"
        ))
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
        assert!(parse(&[], &[]).unwrap().is_none());
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
