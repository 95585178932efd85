//! The node's pages about itself: health, the API's description, the rendered page, request ids.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::{Node, Request};

#[test]
fn health() -> Result<()> {
    let node = Node::start()?;
    for (route, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let response = node.get(route)?;
        assert_eq!((response.status, response.text().as_str()), (200, text));
    }
    assert!(node.get("/")?.text().contains("/docs"));
    Ok(())
}

#[test]
fn the_description_lists_the_routes() -> Result<()> {
    let node = Node::start()?;
    let document = node.get("/openapi.json")?.json()?;
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1.")),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"]
        .as_object()
        .context("paths is an object")?;
    for (path, method) in [
        ("/create", "post"),
        ("/update", "post"),
        ("/delete", "post"),
        ("/functions", "get"),
        ("/functions/{name}", "get"),
        ("/invoke/{function}", "post"),
        ("/fn/{name}", "post"),
        ("/poll/{id}", "get"),
        ("/prewarm", "post"),
        ("/status", "get"),
        ("/metrics", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    ] {
        assert!(
            paths
                .get(path)
                .is_some_and(|path| path.get(method).is_some()),
            "{method} {path} is not described"
        );
    }
    check_references(&document, &document)
}

/// Every `$ref` leads somewhere in the document.
fn check_references(whole: &Value, part: &Value) -> Result<()> {
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        let pointer = reference
            .strip_prefix('#')
            .context("a reference stays in the document")?;
        assert!(
            whole.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let parts: Vec<&Value> = match part {
        Value::Object(members) => members.values().collect(),
        Value::Array(parts) => parts.iter().collect(),
        _ => Vec::new(),
    };
    parts
        .into_iter()
        .try_for_each(|part| check_references(whole, part))
}

/// The page works without a network: everything that it loads comes from this node.
#[test]
fn the_rendered_page_loads_its_own_assets() -> Result<()> {
    let node = Node::start()?;
    let page = follow(&node, "/docs")?;
    let assets = assets_of(&page);
    assert!(assets.len() >= 3, "{page}");
    for asset in assets {
        let path = asset.strip_prefix("./").unwrap_or(&asset);
        assert!(!path.contains("//"), "{path} is on another host");
        let response = node.get(&format!("/docs/{path}"))?;
        assert_eq!(response.status, 200, "{path}");
        assert!(!response.body.is_empty(), "{path}");
        if path.ends_with("initializer.js") {
            let script = response.text();
            assert!(script.contains("/openapi.json"), "{script}");
            assert!(!script.contains("https://"), "{script}");
        }
        if path.ends_with(".css") {
            assert!(
                !response.text().contains("url(http"),
                "{path} loads from another host"
            );
        }
    }
    Ok(())
}

fn follow(node: &Node, target: &str) -> Result<String> {
    let response = node.get(target)?;
    if let Some(location) = response.header("location") {
        assert!(location.starts_with('/'), "{location}");
        return follow(node, location);
    }
    assert_eq!(response.status, 200);
    Ok(response.text())
}

/// Values of `src` and `href`.
fn assets_of(page: &str) -> BTreeSet<String> {
    let after = |attribute: &str| {
        page.split(attribute)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    after("src=\"")
        .into_iter()
        .chain(after("href=\""))
        .collect()
}

#[test]
fn requests_have_ids() -> Result<()> {
    let node = Node::start()?;
    let own = node.ask(&Request::get("/status").header("X-Request-Id", "caller-1.2/3"))?;
    assert_eq!(own.header("x-request-id"), Some("caller-1.2/3"));
    let problem = node.ask(&Request::get("/nowhere").header("X-Request-Id", "mine"))?;
    problem.assert_problem(404, "route_unknown");
    assert_eq!(problem.json()?["request_id"], "mine");
    let mut seen = BTreeSet::new();
    for given in [
        String::new(),
        "a b".to_owned(),
        "<script>".to_owned(),
        "x".repeat(200),
    ] {
        let response = node.ask(&Request::get("/status").header("X-Request-Id", &given))?;
        let id = response
            .header("x-request-id")
            .context("every response has an id")?
            .to_owned();
        assert_ne!(id, given);
        assert_eq!(id.len(), 36, "{id}");
        assert!(seen.insert(id), "an id came twice");
    }
    Ok(())
}
