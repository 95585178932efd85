//! Outgoing HTTP of functions in containers: they reach the hosts that their deployment names, as far as the node's operator
//! lets them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{Lab, deployed, wait_for};

const PYTHON: &str = "
import urllib.error, urllib.request
def handler(params):
    try:
        with urllib.request.urlopen(params['url'], timeout=20) as response:
            return [response.status, response.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return ['error', str(error)]
";

const NODEJS: &str = "
exports.handler = async ({ url }) => {
  try {
    const response = await fetch(url);
    return [response.status, await response.text()];
  } catch (error) {
    return ['error', `${error.message}: ${error.cause.message}`];
  }
};
";

/// A server on a loopback address that no client takes for its own machine; its URL without a path. It answers with the path of
/// the request.
fn server() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.2", 0))?;
    let origin = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let length = path.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{path}"
            );
            // Whoever has left needs no answer.
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
    Ok(origin)
}

/// The requests in the record of the last run of a function.
fn requests(lab: &Lab, function: &str) -> Result<Vec<Value>> {
    wait_for("the record of the run", || {
        let page = lab
            .get(&format!("/invocations?function={function}"))?
            .json()?;
        Ok(page["runs"][0]["requests"].as_array().cloned())
    })
}

#[test]
fn functions_in_containers_reach_the_hosts_that_they_name() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("outbound.allow", "127.0.0.2"))?;
    let origin = server()?;
    for (name, runtime, code) in [("py", "python", PYTHON), ("js", "nodejs", NODEJS)] {
        let hosts = json!({ "AllowHosts": [origin, "http://127.0.0.3"], "Idempotent": true });
        deployed(&lab.try_source(name, runtime, code, &hosts)?)?;
        let url = json!({ "url": format!("{origin}/x") });
        for _ in 0..2 {
            // Not kept: each is a run of its own.
            assert_eq!(lab.call(name, &url)?, json!([200, "/x"]), "{name}");
        }
        let told = requests(&lab, name)?;
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert_eq!(told[0]["host"], json!(origin), "{name}");
        for (url, code) in [
            ("https://example.org/", "outbound_host_not_allowed"),
            ("http://127.0.0.3/", "outbound_address_refused"),
        ] {
            let found = lab.call(name, &json!({ "url": url }))?;
            assert!(found.to_string().contains(code), "{name}: {found}");
        }
    }
    let metrics = lab.get("/metrics")?.text();
    for outcome in [r#"{outcome="2xx"} 2"#, r#"{outcome="tunnel"} 2"#] {
        let line = format!("serverledge_outbound_requests_total{outcome}");
        assert!(metrics.contains(&line), "{metrics}");
    }
    lab.wait_until_free()?;
    lab.stop().map(drop)
}

#[test]
fn what_could_not_be_enforced_is_refused() -> Result<()> {
    let lab = Lab::with(|setup| setup.with("container.allow_bridge", true))?;
    for (more, told) in [
        (
            json!({ "AllowHosts": ["a.example"], "Network": "bridge" }),
            "name hosts, or this network",
        ),
        (
            json!({
                "AllowHosts": ["a.example"], "Secrets": {"KEY": "hunter2"}, "SecretHosts": {"KEY": ["a.example"]}
            }),
            "only wasm, javascript and python-wasm functions have it",
        ),
    ] {
        let refused = lab.try_source("f", "python", PYTHON, &more)?;
        assert!(
            refused.status == 422 && refused.text().contains(told),
            "{}",
            refused.text()
        );
    }
    Ok(())
}
