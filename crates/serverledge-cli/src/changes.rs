//! The changes of a function, in words for people.

use serde_json::Value;
use serverledge_wire::patch::ChangeInfo;

use crate::text;

/// Digits of a digest that are shown: enough to see that it is another one.
const DIGITS: usize = 4;

/// `memory 128 → 256 MiB; code 7f3a… → 91bc…`; `None` if nothing has changed.
pub(crate) fn told(changes: &[ChangeInfo]) -> Option<String> {
    let told: Vec<String> = changes
        .iter()
        .map(|change| text::one_line(&one(change)))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn one(change: &ChangeInfo) -> String {
    let from = change.from.as_ref();
    let to = change.to.as_ref();
    let arrow = |what: &str, unit: &str| format!("{what} {} → {}{unit}", plain(from), plain(to));
    let flag = |what: &str| {
        format!(
            "{what} {}",
            if to == Some(&Value::Bool(true)) {
                "on"
            } else {
                "off"
            }
        )
    };
    let variable = |what: &str| {
        let name = change.name.as_deref().unwrap_or("?");
        let change = change.change.as_deref().unwrap_or("changed");
        format!("{what} {name} {change}")
    };
    match change.member.as_str() {
        "MemoryMB" => arrow("memory", " MiB"),
        "Timeout" => arrow("timeout", " s"),
        "CPUTime" => arrow("processor time", if to.is_some() { " s" } else { "" }),
        "CPUDemand" => arrow("cores", ""),
        "MaxConcurrency" => arrow("calls at once", ""),
        "Runtime" => arrow("runtime", ""),
        "Handler" => arrow("handler", ""),
        "Network" => arrow("network", ""),
        "CustomImage" => arrow("image", ""),
        "SupportedArchs" => arrow("architectures", ""),
        "Code" => format!("code {} → {}", digest(from), digest(to)),
        "Idempotent" => flag("idempotent"),
        "IdempotentOutbound" => flag("idempotent with requests"),
        "Edge" => flag("edge"),
        "Isolation" => arrow("isolation", ""),
        "AllowHosts" => format!("allowed hosts {} → {}", list(from, ", "), list(to, ", ")),
        "SecretHosts" => format!(
            "secrets for hosts {} → {}",
            list(from, ", "),
            list(to, ", ")
        ),
        "Arguments" => format!("arguments {} → {}", list(from, " "), list(to, " ")),
        "Stdin" => arrow("stdin", ""),
        "Stdout" => arrow("stdout", ""),
        "StdoutType" => arrow("content type", ""),
        "Signature" => "signature changed".to_owned(),
        "Env" => variable("variable"),
        "Secrets" => variable("secret"),
        other => format!("{other} changed"),
    }
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) if values.is_empty() => "all".to_owned(),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| plain(Some(value)))
            .collect::<Vec<_>>()
            .join(", "),
        // 30, not 30.0.
        Some(Value::Number(number)) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        Some(other) => other.to_string(),
    }
}

/// The words of a list with this between them; `none` if there are none.
fn list(value: Option<&Value>, between: &str) -> String {
    let list = value
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let words = list.into_iter().flatten().map(|word| plain(Some(word)));
    list.map_or("none".to_owned(), |_| {
        words.collect::<Vec<_>>().join(between)
    })
}

fn digest(value: Option<&Value>) -> String {
    let text = plain(value);
    text.get(..DIGITS)
        .map_or(text.clone(), |begin| format!("{begin}…"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn changes_are_one_line() {
        let changes: Vec<ChangeInfo> = serde_json::from_str(
            r#"[
            {"Member":"Runtime","From":"python","To":"nodejs"},
            {"Member":"MemoryMB","From":128,"To":256},
            {"Member":"Timeout","From":30.0,"To":2.5},
            {"Member":"CPUTime","From":1.0},
            {"Member":"CPUTime","To":0.25},
            {"Member":"Handler","From":"","To":"a\u001b[2J"},
            {"Member":"Code","From":"7f3a00","To":"91bc00"},
            {"Member":"IdempotentOutbound","From":false,"To":true},
            {"Member":"Edge","From":true,"To":false},
            {"Member":"Isolation","From":"kept","To":"fresh"},
            {"Member":"SupportedArchs","From":[],"To":["amd64","arm64"]},
            {"Member":"AllowHosts","From":[],"To":["https://a.example","https://b.example"]},
            {"Member":"SecretHosts","From":[],"To":["KEY for https://a.example"]},
            {"Member":"Arguments","From":[],"To":["-w","{w}"]},
            {"Member":"Stdin","From":"params","To":"body"},
            {"Member":"Stdout","From":"json","To":"raw"},
            {"Member":"StdoutType","To":"image/png"},
            {"Member":"Env","Name":"A","Change":"added"},
            {"Member":"Secrets","Name":"K","Change":"removed"},
            {"Member":"Later","From":1,"To":2}
        ]"#,
        )
        .unwrap();
        let told = told(&changes).unwrap();
        expect![[r#"
            runtime python → nodejs
            memory 128 → 256 MiB
            timeout 30 → 2.5 s
            processor time 1 → none
            processor time none → 0.25 s
            handler none → a\u{1b}[2J
            code 7f3a… → 91bc…
            idempotent with requests on
            edge off
            isolation kept → fresh
            architectures all → amd64, arm64
            allowed hosts none → https://a.example, https://b.example
            secrets for hosts none → KEY for https://a.example
            arguments none → -w {w}
            stdin params → body
            stdout json → raw
            content type none → image/png
            variable A added
            secret K removed
            Later changed"#]]
        .assert_eq(&told.replace("; ", "\n"));
        assert_eq!(super::told(&[]), None);
    }
}
