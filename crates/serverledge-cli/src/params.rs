//! Invocation parameters from the command line or a file, as JSON text.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::Path;

use serde_json::value::RawValue;
use serverledge_client::PARAMS_BYTES_MAX;

use crate::failure::{Failure, root_cause};
use crate::{files, text};

/// The failure of what is no parameter.
fn malformed(argument: &str, fault: &str) -> Failure {
    Failure::usage(format!("parameter {argument:?} {fault}"))
        .hint("`--param-string name:value` sends any text; `--params-file` any JSON")
}

/// The failure of more than nodes take.
fn too_large(words: String) -> Failure {
    Failure::usage(words).hint("let the function fetch what is larger, or make several calls of it")
}

/// Makes one JSON object of `-p` arguments (each may hold several, separated by commas) and `--param-string` arguments
/// (each is one string, whatever it looks like). The last of equal names wins.
pub(crate) fn from_arguments(
    lists: &[String],
    strings: &[String],
) -> Result<Box<RawValue>, Failure> {
    let mut members = Members::default();
    for list in lists {
        members.add_list(list)?;
    }
    for argument in strings {
        let (name, value) = split_name(argument)?;
        members.set(name, quote(value));
    }
    checked(members.into_object())
}

/// Reads any JSON from a file; `-` is stdin.
pub(crate) fn from_file(path: &Path) -> Result<Box<RawValue>, Failure> {
    let is_stdin = path.as_os_str() == "-";
    if is_stdin && std::io::stdin().is_terminal() {
        crate::output::warn("reading parameters as JSON from stdin; end with Ctrl-D");
    }
    let from = if is_stdin {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    };
    let bytes = files::read_or_stdin(path, PARAMS_BYTES_MAX).map_err(|fault| match fault.kind() {
        ErrorKind::FileTooLarge => {
            let limit = text::bytes(PARAMS_BYTES_MAX);
            too_large(format!("the parameters in {from} are larger than {limit}, which is the most that a call takes"))
        }
        _ => Failure::usage(format!("failed to read the parameters from {from}: {}", root_cause(&fault)))
            .hint("--params-file names a file with JSON; - is stdin"),
    })?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        Failure::usage(format!("the parameters in {from} are not JSON: {fault}"))
            .hint("a file of parameters holds JSON: {\"name\": \"Ada\"}")
    })
}

/// Parameters as members of a query: texts as they are, all else as its JSON.
pub(crate) fn as_query(params: &RawValue) -> Vec<(String, String)> {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(params.get()).unwrap_or_default();
    let text = |json: &RawValue| {
        serde_json::from_str::<String>(json.get()).unwrap_or_else(|_| json.get().to_owned())
    };
    members
        .into_iter()
        .map(|(name, json)| (name, text(json)))
        .collect()
}

fn checked(object: String) -> Result<Box<RawValue>, Failure> {
    if object.len() > PARAMS_BYTES_MAX {
        let size = text::bytes(object.len());
        let limit = text::bytes(PARAMS_BYTES_MAX);
        return Err(too_large(format!(
            "the parameters have {size}; a call takes {limit} at most"
        )));
    }
    Ok(RawValue::from_string(object).expect("names and values were written as JSON"))
}

/// Names and JSON texts in the order in which the names first came.
#[derive(Default)]
struct Members(Vec<(String, String)>);

impl Members {
    fn set(&mut self, name: &str, json: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json,
            None => self.0.push((name.to_owned(), json)),
        }
    }

    fn add_list(&mut self, mut rest: &str) -> Result<(), Failure> {
        loop {
            let (name, value_on) = split_name(rest)?;
            let (json, after) = take_value(value_on);
            self.set(name, json);
            match after {
                Some(next) => rest = next,
                None => return Ok(()),
            }
        }
    }

    fn into_object(self) -> String {
        let members = self
            .0
            .iter()
            .map(|(name, json)| format!("{}:{json}", quote(name)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

fn split_name(argument: &str) -> Result<(&str, &str), Failure> {
    let (name, value) = argument
        .split_once(':')
        .ok_or_else(|| malformed(argument, "is not of the form name:value"))?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(malformed(argument, "has no proper name before the colon"));
    }
    Ok((name, value))
}

/// Takes one value off the front: a JSON text that ends at a comma or at the end, commas inside it and all; else
/// everything up to the next comma. Returns it as JSON, and what comes after the comma.
fn take_value(text: &str) -> (String, Option<&str>) {
    if text.trim_start().starts_with(['[', '{', '"']) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        if let Some(Ok(value)) = values.next() {
            let rest = text[values.byte_offset()..].trim_start();
            if rest.is_empty() || rest.starts_with(',') {
                return (value.get().to_owned(), rest.strip_prefix(','));
            }
        }
    }
    let (value, rest) = text
        .split_once(',')
        .map_or((text, None), |(value, rest)| (value, Some(rest)));
    (as_json(value), rest)
}

/// A value that is JSON stays what it is; any other is a string.
fn as_json(value: &str) -> String {
    serde_json::from_str::<&RawValue>(value)
        .map_or_else(|_| quote(value), |raw| raw.get().to_owned())
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(lists: &[&str], strings: &[&str], expected: &Expect) {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        match from_arguments(&own(lists), &own(strings)) {
            Ok(params) => expected.assert_eq(params.get()),
            Err(failure) => {
                expected.assert_eq(failure.render(false).lines().next().unwrap_or_default())
            }
        }
    }

    #[test]
    fn values_that_are_json_stay_json() {
        check(&[], &[], &expect!["{}"]);
        check(&["a:2", "b:3"], &[], &expect![[r#"{"a":2,"b":3}"#]]);
        check(
            &["a:2,b:hello,c:true,d:null"],
            &[],
            &expect![[r#"{"a":2,"b":"hello","c":true,"d":null}"#]],
        );
        check(
            &["n:-1.50,big:12345678901234567890,e:1e3"],
            &[],
            &expect![[r#"{"n":-1.50,"big":12345678901234567890,"e":1e3}"#]],
        );
        check(
            &["z:007,v:1.2.3,t:True,e:"],
            &[],
            &expect![[r#"{"z":"007","v":"1.2.3","t":"True","e":""}"#]],
        );
        check(
            &["u:http://h:1/p?q=1"],
            &[],
            &expect![[r#"{"u":"http://h:1/p?q=1"}"#]],
        );
    }

    #[test]
    fn commas_inside_json_do_not_separate() {
        check(
            &[r#"l:[1,2],o:{"a":"x,y"},s:"q,r""#],
            &[],
            &expect![[r#"{"l":[1,2],"o":{"a":"x,y"},"s":"q,r"}"#]],
        );
        check(
            &["l: [1, 2] ,b:3"],
            &[],
            &expect![[r#"{"l":[1, 2],"b":3}"#]],
        );
        check(&["s:[half,b:1"], &[], &expect![[r#"{"s":"[half","b":1}"#]]);
        check(&["s:[1]x"], &[], &expect![[r#"{"s":"[1]x"}"#]]);
        check(
            &["s:it's \"odd\""],
            &[],
            &expect![[r#"{"s":"it's \"odd\""}"#]],
        );
    }

    #[test]
    fn strings_are_taken_as_they_are() {
        check(
            &["a:1"],
            &["a:2", "b:x,y:z"],
            &expect![[r#"{"a":"2","b":"x,y:z"}"#]],
        );
    }

    #[test]
    fn malformed_parameters_are_named() {
        check(
            &["a"],
            &[],
            &expect![[r#"error: parameter "a" is not of the form name:value"#]],
        );
        check(
            &["a:x,b"],
            &[],
            &expect![[r#"error: parameter "b" is not of the form name:value"#]],
        );
        check(
            &["a:1,"],
            &[],
            &expect![[r#"error: parameter "" is not of the form name:value"#]],
        );
        check(
            &[":1"],
            &[],
            &expect![[r#"error: parameter ":1" has no proper name before the colon"#]],
        );
        check(
            &["t:hello, my friend:x"],
            &[],
            &expect![[r#"error: parameter " my friend:x" has no proper name before the colon"#]],
        );
    }

    #[test]
    fn queries_have_texts_and_json() {
        let query = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(|&list| list.to_owned()).collect();
            let params = from_arguments(&lists, &["t:1&2".to_owned()]).unwrap();
            let members = as_query(&params).into_iter();
            let members = members.map(|(name, value)| format!("{name}={value}"));
            members.collect::<Vec<_>>()
        };
        assert_eq!(query(&[]), ["t=1&2"]);
        assert_eq!(
            query(&[
                "w:640",
                "s:\"a b\"",
                "n:12345678901234567890",
                "l:[1,\"x\"]"
            ]),
            [
                "l=[1,\"x\"]",
                "n=12345678901234567890",
                "s=a b",
                "t=1&2",
                "w=640"
            ]
        );
    }

    #[test]
    fn files_hold_any_json() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " {\"a\": [1]}\n").unwrap();
        assert_eq!(from_file(file.path()).unwrap().get(), "{\"a\": [1]}");
        std::fs::write(file.path(), "a: 1").unwrap();
        assert!(
            from_file(file.path())
                .unwrap_err()
                .render(false)
                .contains("are not JSON")
        );
        let missing = from_file(Path::new("no/such/file"))
            .unwrap_err()
            .render(false);
        expect![[r#"
            error: failed to read the parameters from no/such/file: there is no such file
            hint: --params-file names a file with JSON; - is stdin"#]]
        .assert_eq(&missing);
        file.as_file().set_len(PARAMS_BYTES_MAX as u64 + 1).unwrap();
        let large = from_file(file.path()).unwrap_err().render(false);
        assert!(large.contains("are larger than 6.0 MiB"), "{large}");
    }
}
