//! A node on loopback is reachable by every web page that its owner opens. These tests play the hostile page.

use anyhow::Result;
use serde_json::json;

use crate::guests;
use crate::support::node::deployment;
use crate::support::{Node, Request, Setup};

/// Requests on every route that runs, changes or tells something.
fn everything() -> Vec<Request> {
    vec![
        Request::get("/fn/f"),
        Request::post("/fn/f", "{}"),
        Request::get("/fn/f/sub?x=1"),
        Request::new("DELETE", "/fn/f"),
        Request::new("OPTIONS", "/fn/f"),
        Request::post("/invoke/f", ""),
        Request::get("/invoke/f"),
        Request::json(
            "/create",
            &deployment("planted", guests::constant(2).as_bytes(), &json!({})),
        ),
        Request::json(
            "/update",
            &deployment("f", guests::constant(2).as_bytes(), &json!({})),
        ),
        Request::post("/delete", r#"{"Name":"f"}"#),
        Request::get("/function"),
        Request::get("/functions"),
        Request::get("/functions/f"),
        Request::post("/prewarm", r#"{"Function":"f","Instances":1}"#),
        Request::get("/poll/x"),
        Request::get("/status"),
        Request::get("/metrics"),
        Request::get("/nowhere"),
    ]
}

fn node() -> Result<Node> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(1))?;
    Ok(node)
}

/// Nothing ran and nothing changed.
fn check_untouched(node: &Node) -> Result<()> {
    assert!(
        !node.get("/metrics")?.text().contains("completed_count{"),
        "a refused request ran something"
    );
    assert_eq!(node.names()?, ["f"]);
    assert_eq!(node.invoke("f", &json!({}))?.result()?, json!({"n": 1}));
    Ok(())
}

#[test]
fn other_origins_are_refused() -> Result<()> {
    let node = node()?;
    let own = format!("http://{}", node.address);
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "whatever"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
        ("Origin", "http://localhost"),
        ("Origin", &format!("{own}.evil.example")),
        ("Origin", &format!("{own}@evil.example")),
    ] {
        for request in everything() {
            let response = node.ask(&request.clone().header(name, value))?;
            assert_eq!(
                (response.status, response.code().as_str()),
                (403, "cross_origin"),
                "{name}: {value} {request:?}"
            );
            assert!(response.header("access-control-allow-origin").is_none());
        }
    }
    check_untouched(&node)
}

/// A page may carry both marks; one that is foreign suffices.
#[test]
fn a_foreign_mark_is_not_outweighed() -> Result<()> {
    let node = node()?;
    let own = format!("http://{}", node.address);
    for (site, origin) in [
        ("cross-site", own.as_str()),
        ("same-origin", "https://evil.example"),
        ("none", "null"),
    ] {
        let request = Request::get("/fn/f")
            .header("Sec-Fetch-Site", site)
            .header("Origin", origin);
        node.ask(&request)?.assert_problem(403, "cross_origin");
    }
    let twice = Request::get("/fn/f")
        .header("Origin", &own)
        .header("Origin", "https://evil.example");
    assert_ne!(
        node.ask(&twice)?.status,
        200,
        "a second Origin was not looked at"
    );
    let twice = Request::get("/fn/f")
        .header("Sec-Fetch-Site", "same-origin")
        .header("Sec-Fetch-Site", "cross-site");
    assert_ne!(
        node.ask(&twice)?.status,
        200,
        "a second Sec-Fetch-Site was not looked at"
    );
    check_untouched(&node)
}

#[test]
fn the_owner_is_served() -> Result<()> {
    let node = node()?;
    let own = format!("http://{}", node.address);
    for headers in [
        vec![],
        vec![("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Origin", own.as_str())],
    ] {
        for request in [
            Request::get("/fn/f"),
            Request::post("/invoke/f", ""),
            Request::get("/functions"),
        ] {
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(name, value)
            });
            assert_eq!(node.ask(&request)?.status, 200, "{request:?}");
        }
    }
    Ok(())
}

/// A name that was made to point here (DNS rebinding) is not ours.
#[test]
fn other_names_are_refused() -> Result<()> {
    let node = node()?;
    let port = node.address.port();
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "192.0.2.1",
        "[2001:db8::1]",
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            for request in everything() {
                let request = request
                    .header("Host", &host)
                    .header("Origin", &format!("http://{host}"));
                node.ask(&request)?.assert_problem(421, "host_unknown");
            }
            for open in ["/", "/healthz", "/docs/", "/openapi.json"] {
                node.ask(&Request::get(open).header("Host", &host))?
                    .assert_problem(421, "host_unknown");
            }
        }
    }
    // A whole URI as target names the host as well (RFC 9112 §3.2.2).
    let absolute = Request::get(&format!("http://evil.example:{port}/functions"))
        .header("Host", &format!("localhost:{port}"));
    node.ask(&absolute)?.assert_problem(421, "host_unknown");
    check_untouched(&node)
}

#[test]
fn loopback_names_pass() -> Result<()> {
    let node = node()?;
    let port = node.address.port();
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.1.2.3",
        "[::1]",
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let response = node.ask(&Request::get("/fn/f").header("Host", &host))?;
            assert_eq!(response.status, 200, "{host}: {}", response.text());
        }
    }
    Ok(())
}

#[test]
fn names_from_the_configuration_pass() -> Result<()> {
    let node = Setup::new()?
        .with("api.hosts", "edge.example,other.example")
        .start()?;
    for host in ["edge.example", "Edge.Example:8080", "other.example"] {
        assert_eq!(
            node.ask(&Request::get("/status").header("Host", host))?
                .status,
            200,
            "{host}"
        );
    }
    node.ask(&Request::get("/status").header("Host", "third.example"))?
        .assert_problem(421, "host_unknown");
    Ok(())
}

#[test]
fn a_request_names_one_host() -> Result<()> {
    let node = node()?;
    let mut connection = node.connect()?;
    connection.send_raw(b"GET /functions HTTP/1.1\r\n\r\n")?;
    assert_eq!(connection.receive(false)?.status, 400);
    for host in ["", "a b", "x@localhost", "localhost:8a", "[::1", ":80"] {
        let response = node.ask(&Request::get("/functions").header("Host", host))?;
        assert_eq!(response.status, 400, "{host:?}: {}", response.text());
    }
    let twice = Request::get("/functions")
        .header("Host", "localhost")
        .header("Host", "evil.example");
    assert_eq!(node.ask(&twice)?.status, 400);
    Ok(())
}

/// Documents that run and change nothing are open to other pages, as any document is.
#[test]
fn health_and_documents_are_open() -> Result<()> {
    let node = node()?;
    for target in ["/", "/healthz", "/readyz", "/openapi.json", "/docs/"] {
        let request = Request::get(target)
            .header("Sec-Fetch-Site", "cross-site")
            .header("Origin", "https://evil.example");
        let response = node.ask(&request)?;
        assert_eq!(response.status, 200, "{target}");
        assert!(response.header("access-control-allow-origin").is_none());
    }
    Ok(())
}
