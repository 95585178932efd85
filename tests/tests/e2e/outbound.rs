//! Outgoing HTTP: a component or a script reaches the hosts that its deployment names, as far as the node's operator lets it.
//! The node itself is the host: it listens on loopback, which is shut unless the setting opens it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{Node, Setup, example, example_path};

/// The same function by version of WASI, 0.2 and 0.3.
const FETCHERS: [&str; 2] = ["fetch-http", "fetch-service"];

/// A node whose functions may reach loopback, with a function to be reached.
fn open_node() -> Result<Node> {
    let node = Setup::new()?
        .with("outbound.allow", "127.0.0.0/8")
        .start()?;
    node.deploy_example("echo-http")?;
    Ok(node)
}

/// The node as the host of a URL.
fn origin(node: &Node) -> String {
    format!("http://{}", node.address)
}

fn deploy(node: &Node, name: &str, hosts: &[&str]) -> Result<()> {
    node.deploy_with(name, &example(name)?, &json!({ "AllowHosts": hosts }))?;
    Ok(())
}

/// The result of a call, and its log.
fn fetch(node: &Node, name: &str, params: &Value) -> Result<(Value, String)> {
    let body = json!({ "Params": params, "ReturnOutput": true });
    let reply = node.post(&format!("/invoke/{name}"), &body)?;
    let log = reply.json()?["Output"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok((reply.result()?, log))
}

#[test]
fn a_component_reaches_the_hosts_that_it_names() -> Result<()> {
    let node = open_node()?;
    let origin = origin(&node);
    for name in FETCHERS {
        deploy(&node, name, &[&origin])?;
        let info = node.get(&format!("/functions/{name}"))?.json()?;
        assert_eq!(info["AllowHosts"], json!([origin]));
        let params = json!({
            "url": format!("{origin}/fn/echo-http/a?b=c"), "method": "POST", "body": "over there",
            "headers": {"x-own": "kept"},
        });
        let (result, log) = fetch(&node, name, &params)?;
        assert_eq!(result["status"], 200, "{name}: {result} {log}");
        let heard = result["body"].as_str().unwrap_or_default();
        for part in ["over there", "x-own", "/a"] {
            assert!(heard.contains(part), "{name}: {part} in {heard}");
        }
        // The same version again, over the connection that was kept.
        assert_eq!(fetch(&node, name, &params)?.0["status"], 200, "{name}");
    }
    let metrics = node.get("/metrics")?.text();
    let sent = r#"serverledge_outbound_requests_total{outcome="2xx"} 4"#;
    assert!(metrics.contains(sent), "{metrics}");
    Ok(())
}

#[test]
fn a_program_reaches_them_too() -> Result<()> {
    let node = open_node()?;
    let origin = origin(&node);
    let source = example_path("fetch-cli");
    let source = source.to_str().unwrap_or_default();
    let create = ["create", "-f", "fetch-cli", "--src", source];
    let allow = ["--allow-host", &origin];
    node.cli(&[&create[..], &allow].concat())?.assert_code(0);
    let url = format!("url:{origin}/fn/echo-http/");
    let ran = node.cli(&["invoke", "fetch-cli", "-p", &url])?;
    assert_eq!(ran.assert_code(0).result()?["status"], 200);
    // The list is changed as a whole, and taken back.
    let other = ["update", "fetch-cli", "--allow-host", "https://example.org"];
    node.cli(&other)?.assert_code(0);
    let refused = fetch(&node, "fetch-cli", &json!({"url": format!("{origin}/")}))?;
    assert!(
        refused.1.contains("outbound_host_not_allowed"),
        "{refused:?}"
    );
    node.cli(&["update", "fetch-cli", "--allow-host", "none"])?
        .assert_code(0);
    let info = node.get("/functions/fetch-cli")?.json()?;
    assert_eq!(info["AllowHosts"], Value::Null);
    Ok(())
}

#[test]
fn what_was_not_granted_is_an_error_with_its_rule() -> Result<()> {
    let node = open_node()?;
    for name in FETCHERS {
        let elsewhere = json!({"url": format!("{}/", origin(&node))});
        for (hosts, code, way_out) in [
            (&[][..], "outbound_not_granted", "--allow-host"),
            (
                &["https://example.org"][..],
                "outbound_host_not_allowed",
                "--allow-host",
            ),
        ] {
            deploy(&node, name, hosts)?;
            let (result, log) = fetch(&node, name, &elsewhere)?;
            let told = result["error"].as_str().unwrap_or_default().to_lowercase();
            assert!(told.contains("denied"), "{name}: {result}");
            assert!(log.contains(code) && log.contains(way_out), "{name}: {log}");
            node.post("/delete", &json!({ "Name": name }))?;
        }
    }
    Ok(())
}

/// The hosts that a function names do not open the node's own network.
#[test]
fn the_operators_ceiling_holds() -> Result<()> {
    let node = Node::start()?;
    let origin = origin(&node);
    for name in FETCHERS {
        deploy(&node, name, &[&origin])?;
        let (result, log) = fetch(&node, name, &json!({"url": format!("{origin}/healthz")}))?;
        assert!(result["error"].is_string(), "{name}: {result}");
        assert!(
            log.contains("outbound_address_refused") && log.contains("outbound.allow"),
            "{name}: {log}"
        );
    }
    Ok(())
}

#[test]
fn malformed_hosts_are_refused() -> Result<()> {
    let node = Node::start()?;
    let module = example("fetch-http")?;
    for host in [
        "ftp://example.org",
        "example.org/path",
        "",
        "a..b",
        "example.org:0",
    ] {
        let reply = node.try_deploy("fetch", &module, &json!({ "AllowHosts": [host] }))?;
        reply.assert_problem(422, "invalid_member");
    }
    assert_eq!(node.names()?, Vec::<String>::new());
    Ok(())
}

/// Sends the request of its parameters, and returns the response or the fault.
const SCRIPT: &str = r"
module.exports = async ({ url, ...init }) => {
  try {
    const response = await fetch(url, init);
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
  } catch (error) {
    return { error: error.cause.code, message: error.cause.message };
  }
};
";

#[test]
fn a_script_reaches_the_hosts_that_it_names() -> Result<()> {
    let node = open_node()?;
    let origin = origin(&node);
    std::fs::write(node.home().join("fetcher.js"), SCRIPT)?;
    let create = ["create", "--src", "fetcher.js", "--allow-host", &origin];
    let ran = node.cli(&create)?;
    ran.assert_code(0);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for part in ["runtime javascript", "--allow-host"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let params = json!({
        "url": format!("{origin}/fn/echo-http/a?b=c"), "method": "POST", "body": "over there",
        "headers": {"X-Own": "kept"},
    });
    // The second time over the connection that was kept.
    for _ in 0..2 {
        let (result, log) = fetch(&node, "fetcher", &params)?;
        assert_eq!(result["status"], 200, "{result} {log}");
        let heard = result["body"].as_str().unwrap_or_default();
        for part in ["over there", "x-own", "kept", "/a", "text/plain"] {
            assert!(heard.contains(part), "{part} in {heard}");
        }
    }
    let metrics = node.get("/metrics")?.text();
    let sent = r#"serverledge_outbound_requests_total{outcome="2xx"} 2"#;
    assert!(metrics.contains(sent), "{metrics}");
    Ok(())
}

#[test]
fn a_script_reads_the_rule_that_was_in_its_way() -> Result<()> {
    let node = open_node()?;
    let shut = Node::start()?;
    for (node, hosts, code, way_out) in [
        (&node, vec![], "outbound_not_granted", "--allow-host"),
        (
            &node,
            vec!["https://example.org".to_owned()],
            "outbound_host_not_allowed",
            "--allow-host",
        ),
        (
            &shut,
            vec![origin(&shut)],
            "outbound_address_refused",
            "outbound.allow",
        ),
    ] {
        let more = json!({ "Runtime": "javascript", "AllowHosts": hosts });
        node.try_deploy("fetcher", SCRIPT.as_bytes(), &more)?;
        let url = format!("{}/healthz", origin(node));
        let (result, _) = fetch(node, "fetcher", &json!({ "url": url }))?;
        assert_eq!(result["error"], code, "{result}");
        let message = result["message"].as_str().unwrap_or_default();
        assert!(message.contains(way_out), "{message}");
        node.post("/delete", &json!({ "Name": "fetcher" }))?;
    }
    Ok(())
}

/// The value reaches the host, and neither the function nor anybody who asks about it.
#[test]
fn a_secret_for_a_host_is_never_the_functions() -> Result<()> {
    const ECHO: &str = "
module.exports = async ({ url, scheme }) => {
  const key = process.env.KEY;
  try {
    const credentials = scheme === 'Basic' ? btoa(`ada:${key}`) : key;
    const response = await fetch(url, { headers: { authorization: `${scheme} ${credentials}` } });
    return { key, heard: await response.text() };
  } catch (error) {
    return { key, error: error.cause.code, message: error.cause.message };
  }
};
";
    let node = open_node()?;
    let (origin, other) = (origin(&node), "http://127.0.0.2:9");
    std::fs::write(node.home().join("keeper.js"), ECHO)?;
    std::fs::write(node.home().join("key.txt"), "hunter2")?;
    let secret_for = format!("KEY={origin}");
    node.cli(&[
        "create",
        "--src",
        "keeper.js",
        "--allow-host",
        &origin,
        "--allow-host",
        other,
        "--secret",
        "KEY=@key.txt",
        "--secret-for",
        &secret_for,
    ])?
    .assert_code(0);
    let info = node.get("/functions/keeper")?;
    assert_eq!(info.json()?["SecretHosts"], json!({ "KEY": [origin] }));
    assert!(!info.text().contains("hunter2"), "{}", info.text());

    let call =
        |url: &str, scheme: &str| fetch(&node, "keeper", &json!({ "url": url, "scheme": scheme }));
    for (scheme, sent) in [
        ("Bearer", "Bearer hunter2"),
        ("Basic", "Basic YWRhOmh1bnRlcjI="),
    ] {
        let (result, _) = call(&format!("{origin}/fn/echo-http/"), scheme)?;
        let heard = result["heard"].as_str().unwrap_or_default();
        assert!(heard.contains(sent), "{sent} in {result}");
        let key = result["key"].as_str().unwrap_or_default();
        assert!(key.starts_with("sealed-"), "{result}");
    }
    let (result, _) = call(other, "Bearer")?;
    assert_eq!(result["error"], "outbound_secret_refused", "{result}");
    let message = result["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("KEY") && message.contains("--secret-for"),
        "{message}"
    );

    // Another value, by itself: the host stays. Without hosts the function has its secret.
    std::fs::write(node.home().join("key.txt"), "hunter3")?;
    node.cli(&["secret", "set", "keeper", "KEY=@key.txt"])?
        .assert_code(0);
    let (result, _) = call(&format!("{origin}/fn/echo-http/"), "Bearer")?;
    assert!(
        result["heard"]
            .as_str()
            .unwrap_or_default()
            .contains("Bearer hunter3"),
        "{result}"
    );
    let removed = node.cli(&["secret", "remove", "keeper", "KEY"])?;
    removed.assert_code(0);
    let again = format!("secret set keeper KEY --for {origin}");
    assert!(removed.stderr.contains(&again), "{}", removed.stderr);
    node.cli(&["secret", "set", "keeper", "KEY=@key.txt", "--for", &origin])?
        .assert_code(0);
    assert_eq!(call(other, "Bearer")?.0["error"], "outbound_secret_refused");
    node.cli(&["update", "keeper", "--secret-for", "none"])?
        .assert_code(0);
    assert_eq!(call(other, "Bearer")?.0["key"], "hunter3");
    Ok(())
}

/// At its top level nothing is sent, whatever was granted.
#[test]
fn a_script_sends_nothing_while_it_is_loaded() -> Result<()> {
    let node = open_node()?;
    let origin = origin(&node);
    let source = format!("await fetch('{origin}/healthz');\nexport default () => 1;");
    let more = json!({ "Runtime": "javascript", "AllowHosts": [origin] });
    let reply = node.try_deploy("early", source.as_bytes(), &more)?;
    reply.assert_problem(422, "function_does_not_load");
    assert!(
        reply.text().contains("call fetch in the handler"),
        "{}",
        reply.text()
    );
    Ok(())
}
