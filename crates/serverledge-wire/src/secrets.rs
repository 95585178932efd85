//! The members of a function about its secrets: values that are never shown, and the hosts that one is for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serverledge_core::{HostRule, OUTBOUND_HOSTS_MAX, Runtime, Secrets};
use utoipa::ToSchema;

use crate::function::{FunctionBody, check_variables};
use crate::members::{BodyError, Members};
use crate::outbound;
use crate::spec_error::SpecError;

/// Environment variables whose values are never shown: the `Debug` form names them only.
#[derive(Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(transparent)]
pub struct SecretValues(pub BTreeMap<String, String>);

impl std::fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SecretValues {
    /// Without any of the values in the error, which is shown and logged.
    pub(crate) fn parse(members: &Members<'_>) -> Result<Self, BodyError> {
        let fault = || serde::de::Error::custom("expected an object of strings");
        let values = members.get("Secrets").map_err(|_| BodyError::Member {
            member: "Secrets",
            fault: fault(),
        })?;
        Ok(Self(values.unwrap_or_default()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks `Secrets` and `SecretHosts` of a function with these hosts. Secrets share the limits of the environment, in which
/// they end up.
pub(crate) fn checked(
    body: &FunctionBody<'_>,
    runtime: Runtime,
    outbound: &BTreeSet<HostRule>,
) -> Result<Secrets, SpecError> {
    let values = &body.secrets.0;
    check_variables("Secrets", values, &body.env)?;
    if let Some(twice) = values.keys().find(|name| body.env.contains_key(*name)) {
        return Err(SpecError::member(
            "Secrets",
            format!("{twice:?} is a variable of Env as well"),
        ));
    }
    let is_sent_by_node = matches!(
        runtime,
        Runtime::Wasm | Runtime::JavaScript | Runtime::PythonWasm
    );
    if !body.secret_hosts.is_empty() && !is_sent_by_node {
        let fault = format!(
            "only wasm, javascript and python-wasm functions have it; this one's runtime is {runtime}, \
             whose TLS the node does not see into"
        );
        return Err(SpecError::member("SecretHosts", fault));
    }
    let hosts = body.secret_hosts.iter().map(|(name, hosts)| {
        let rules = hosts_of(name, hosts, values, outbound);
        rules
            .map(|rules| (name.clone(), rules))
            .map_err(|fault| SpecError::member("SecretHosts", format!("{name:?}: {fault}")))
    });
    Ok(Secrets {
        values: values.clone(),
        hosts: hosts.collect::<Result<_, _>>()?,
        ..Secrets::default()
    })
}

/// The hosts of one secret. No value is in the fault.
fn hosts_of(
    name: &str,
    hosts: &[String],
    values: &BTreeMap<String, String>,
    outbound: &BTreeSet<HostRule>,
) -> Result<BTreeSet<HostRule>, String> {
    let value = values.get(name).ok_or_else(|| no_secret(values))?;
    let is_sendable = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if !value.bytes().all(is_sendable) {
        return Err(
            "its value has a line break or a control character, which no header takes".to_owned(),
        );
    }
    if hosts.is_empty() {
        return Err(
            "it names no host; without the member the function has the secret itself".to_owned(),
        );
    }
    if hosts.len() > OUTBOUND_HOSTS_MAX {
        let count = hosts.len();
        return Err(format!(
            "{count} hosts; at most {OUTBOUND_HOSTS_MAX} are allowed"
        ));
    }
    hosts
        .iter()
        .map(|text| allowed_rule(text, outbound))
        .collect()
}

/// There is none of the name; those that there are.
fn no_secret(values: &BTreeMap<String, String>) -> String {
    let names: Vec<String> = values.keys().map(|name| format!("{name:?}")).collect();
    let there = match names.as_slice() {
        [] => "the function has none".to_owned(),
        names => format!("the function's are {}", names.join(", ")),
    };
    format!("there is no secret of this name (Secrets); {there}")
}

/// The rule of this text, which the function's own hosts have to cover.
fn allowed_rule(text: &str, outbound: &BTreeSet<HostRule>) -> Result<HostRule, String> {
    let rule = outbound::rule(text)?;
    if outbound.iter().any(|allowed| allowed.covers(&rule)) {
        return Ok(rule);
    }
    let assumed = if text.contains("://") {
        ""
    } else {
        "; a host without a scheme is meant with https"
    };
    Err(format!(
        "the function may send no requests to {rule} (AllowHosts){assumed}"
    ))
}

/// The texts of the hosts of each secret.
pub(crate) fn texts(hosts: &BTreeMap<String, BTreeSet<HostRule>>) -> BTreeMap<String, Vec<String>> {
    hosts
        .iter()
        .map(|(name, rules)| (name.clone(), outbound::texts(rules)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serverledge_core::{Runtime, limits};

    use super::*;

    #[test]
    fn secrets_share_the_environments_limits() {
        let body = FunctionBody {
            name: Cow::Borrowed("f"),
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            secrets: SecretValues(BTreeMap::from([("B".to_owned(), "hunter2".to_owned())])),
            ..FunctionBody::default()
        };
        let text = serde_json::to_string(&body).unwrap();
        assert!(text.contains(r#""Secrets":{"B":"hunter2"}"#), "{text}");
        assert_eq!(
            FunctionBody::parse(text.as_bytes()).unwrap(),
            body,
            "what a client writes the node reads"
        );
        let spec = body.to_spec(Runtime::Wasm).unwrap();
        assert_eq!(
            spec.secrets,
            Secrets {
                values: body.secrets.0.clone(),
                ..Secrets::default()
            }
        );
        assert!(
            !format!("{body:?} {spec:?}").contains("hunter2"),
            "{body:?} {spec:?}"
        );

        let refused = |secrets: &[(&str, String)]| {
            let secrets = secrets
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            let body = FunctionBody {
                secrets: SecretValues(secrets.collect()),
                ..body.clone()
            };
            body.to_spec(Runtime::Wasm).unwrap_err().to_string()
        };
        let value = || "hunter2".to_owned();
        assert_eq!(
            refused(&[("A", value())]),
            "invalid Secrets: \"A\" is a variable of Env as well"
        );
        assert_eq!(
            refused(&[("B=", value())]),
            "invalid Secrets: \"B=\" cannot be a variable's name"
        );
        assert_eq!(
            refused(&[("B", "hunter2\0".to_owned())]),
            "invalid Secrets: the value of \"B\" contains NUL"
        );
        let together = limits::ENV_BYTES_MAX - 2;
        let large = refused(&[("B", "x".repeat(together))]);
        assert_eq!(
            large,
            "invalid Secrets: at most 32768 bytes are allowed, Env and Secrets together"
        );
        let names: Vec<String> = (0..limits::ENV_VARIABLES_MAX)
            .map(|n| format!("V{n}"))
            .collect();
        let many: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), value())).collect();
        assert_eq!(
            refused(&many),
            "invalid Secrets: at most 64 variables are allowed, Env and Secrets together"
        );
    }

    #[test]
    fn a_container_has_its_secrets_itself() {
        for runtime in ["python", "nodejs"] {
            let body = format!(
                r#"{{"Name":"f","Runtime":"{runtime}","Secrets":{{"KEY":"hunter2"}},"AllowHosts":["a.example"],"SecretHosts":{{"KEY":["a.example"]}}}}"#
            );
            let body = FunctionBody::parse(body.as_bytes()).unwrap();
            let refused = body.to_spec(Runtime::Wasm).unwrap_err().to_string();
            let told = format!(
                "invalid SecretHosts: only wasm, javascript and python-wasm functions have it; this one's runtime is \
                 {runtime}, whose TLS the node does not see into"
            );
            assert_eq!(refused, told);
        }
    }

    #[test]
    fn the_node_sends_the_secrets_of_snapshots() {
        for runtime in ["javascript", "python-wasm"] {
            let body = format!(
                r#"{{"Name":"f","Runtime":"{runtime}","Secrets":{{"KEY":"hunter2"}},"AllowHosts":["a.example"],"SecretHosts":{{"KEY":["a.example"]}}}}"#
            );
            let body = FunctionBody::parse(body.as_bytes()).unwrap();
            let spec = body.to_spec(Runtime::Wasm).unwrap();
            let expected =
                BTreeMap::from([("KEY".to_owned(), vec!["https://a.example".to_owned()])]);
            assert_eq!(texts(&spec.secrets.hosts), expected, "{runtime}");
        }
    }

    #[test]
    fn a_secret_is_for_hosts_that_are_allowed() {
        let spec = |members: &str| {
            let body = format!(
                r#"{{"Name":"f","Secrets":{{"KEY":"hunter2","LINES":"a\nb"}},"AllowHosts":["*.example.org","http://a.example"]{members}}}"#
            );
            let body = FunctionBody::parse(body.as_bytes()).map_err(|fault| fault.to_string())?;
            let spec = body
                .to_spec(Runtime::Wasm)
                .map_err(|fault| fault.to_string())?;
            Ok::<_, String>(texts(&spec.secrets.hosts))
        };
        assert_eq!(spec(""), Ok(BTreeMap::new()));
        let found = spec(r#","SecretHosts":{"KEY":["API.example.org:443","http://a.example"]}"#);
        let expected = ["http://a.example", "https://api.example.org"].map(str::to_owned);
        assert_eq!(
            found,
            Ok(BTreeMap::from([("KEY".to_owned(), expected.to_vec())]))
        );
        for (members, told) in [
            (
                r#""OTHER":["api.example.org"]"#,
                r#""OTHER": there is no secret of this name (Secrets); the function's are "KEY", "LINES""#,
            ),
            (
                r#""KEY":[]"#,
                r#""KEY": it names no host; without the member the function has the secret itself"#,
            ),
            (
                r#""KEY":["http://api.example.org"]"#,
                r#""KEY": the function may send no requests to http://api.example.org (AllowHosts)"#,
            ),
            (
                r#""KEY":["*"]"#,
                r#""KEY": the function may send no requests to https://* (AllowHosts); a host without a scheme is meant with https"#,
            ),
            (
                r#""KEY":["a b"]"#,
                r#""KEY": "a b": the host is a name such as api.example.org, all names below one such as *.example.org, or an address"#,
            ),
            (
                r#""LINES":["api.example.org"]"#,
                r#""LINES": its value has a line break or a control character, which no header takes"#,
            ),
        ] {
            let refused = spec(&format!(r#","SecretHosts":{{{members}}}"#));
            assert_eq!(refused, Err(format!("invalid SecretHosts: {told}")));
        }
        let many = vec![r#""a.example.org""#; OUTBOUND_HOSTS_MAX + 1].join(",");
        let refused = spec(&format!(r#","SecretHosts":{{"KEY":[{many}]}}"#));
        let told = r#"invalid SecretHosts: "KEY": 65 hosts; at most 64 are allowed"#;
        assert_eq!(refused, Err(told.to_owned()));
    }
}
