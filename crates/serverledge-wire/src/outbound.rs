//! The member of a function that names the hosts which it may send requests to.

use std::collections::BTreeSet;

use serverledge_core::{HostRule, Network, OUTBOUND_HOSTS_MAX, Runtime};

use crate::spec_error::SpecError;

/// Longest text of a host: a name of 253 bytes with `https://`, `*.`, a dot at its end and a port.
const HOST_BYTES_MAX: usize = 270;

/// Checks `AllowHosts`. Texts that mean the same are one host.
pub(crate) fn checked(
    hosts: &[String],
    runtime: Runtime,
    network: Network,
) -> Result<BTreeSet<HostRule>, SpecError> {
    let fault = |fault: String| SpecError::member("AllowHosts", fault);
    if !hosts.is_empty() && runtime == Runtime::Custom {
        let why = "an image of its own has no agent through which requests go; it has Network";
        return Err(fault(why.to_owned()));
    }
    if !hosts.is_empty() && network == Network::Bridge {
        let why = "with Network \"bridge\" a container reaches other hosts as well; name hosts, or this network";
        return Err(fault(why.to_owned()));
    }
    if hosts.len() > OUTBOUND_HOSTS_MAX {
        return Err(fault(format!(
            "{} hosts; at most {OUTBOUND_HOSTS_MAX} are allowed",
            hosts.len()
        )));
    }
    hosts.iter().map(|text| rule(text).map_err(fault)).collect()
}

/// The rule of this text.
pub(crate) fn rule(text: &str) -> Result<HostRule, String> {
    if text.len() > HOST_BYTES_MAX {
        return Err(format!(
            "a host of {} bytes; at most {HOST_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    text.parse::<HostRule>()
        .map_err(|why| format!("{text:?}: {why}"))
}

/// The texts of these hosts.
pub(crate) fn texts(hosts: &BTreeSet<HostRule>) -> Vec<String> {
    hosts.iter().map(HostRule::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::FunctionBody;

    fn hosts(members: &str) -> Result<Vec<String>, String> {
        let body = format!(r#"{{"Name":"f"{members}}}"#);
        let body = FunctionBody::parse(body.as_bytes()).map_err(|fault| fault.to_string())?;
        let spec = body.to_spec(Runtime::Wasm);
        spec.map(|spec| texts(&spec.outbound))
            .map_err(|fault| format!("{}: {fault}", fault.code()))
    }

    #[test]
    fn no_host_is_allowed_unless_it_is_named() {
        for members in [
            "",
            r#","AllowHosts":null"#,
            r#","allowHosts":[]"#,
            r#","Runtime":"python","AllowHosts":[]"#,
        ] {
            assert_eq!(hosts(members), Ok(Vec::new()), "{members}");
        }
    }

    #[test]
    fn hosts_have_one_form() {
        let found = hosts(
            r#","AllowHosts":["API.example.org","https://api.example.org:443","*.example.org:8443","http://10.0.0.7"]"#,
        );
        let expected = [
            "http://10.0.0.7",
            "https://*.example.org:8443",
            "https://api.example.org",
        ];
        assert_eq!(found.unwrap(), expected);
        for runtime in ["javascript", "python", "python-wasm", "nodejs"] {
            let members = format!(r#","Runtime":"{runtime}","AllowHosts":["*"]"#);
            assert_eq!(hosts(&members).unwrap(), ["https://*"], "{runtime}");
        }
    }

    #[test]
    fn what_cannot_be_allowed_is_refused() {
        let refused = |members: &str| hosts(members).unwrap_err();
        for (members, told) in [
            (
                r#","AllowHosts":["a.example","b.example/path"]"#,
                r#""b.example/path": a host has no path, query or user: only [SCHEME://]HOST[:PORT]"#,
            ),
            (
                r#","AllowHosts":["a.example:0"]"#,
                r#""a.example:0": the port is a number from 1 to 65535"#,
            ),
            (
                r#","AllowHosts":["ftp://a.example"]"#,
                r#""ftp://a.example": requests go out by http and https, not by "ftp""#,
            ),
            (
                r#","Runtime":"python","Network":"bridge","AllowHosts":["a.example"]"#,
                "with Network \"bridge\" a container reaches other hosts as well; name hosts, or this network",
            ),
            (
                r#","Runtime":"custom","CustomImage":"i","AllowHosts":["a.example"]"#,
                "an image of its own has no agent through which requests go; it has Network",
            ),
        ] {
            let told = format!("invalid_member: invalid AllowHosts: {told}");
            assert_eq!(refused(members), told);
        }
        assert!(
            refused(r#","AllowHosts":"a.example""#)
                .starts_with("member \"AllowHosts\": invalid type")
        );
        let many = vec!["a.example"; OUTBOUND_HOSTS_MAX + 1];
        let many = serde_json::to_string(&many).unwrap();
        let many = refused(&format!(r#","AllowHosts":{many}"#));
        assert!(many.ends_with("65 hosts; at most 64 are allowed"), "{many}");
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        let long = refused(&format!(r#","AllowHosts":["{long}"]"#));
        assert!(
            long.ends_with("a host of 271 bytes; at most 270 are allowed"),
            "{long}"
        );
    }
}
