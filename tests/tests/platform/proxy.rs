//! A node behind a real nginx: below a path of its host, and with answers that come before the body was read.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use serverledge_testing::etcd_process::free_port;
use tempfile::TempDir;

use crate::e2e::programs::programs;
use crate::e2e::{Connection, Node, Request, Setup, example_path, wait_for};

/// An nginx before a node, which it has below `/faas`. Ended when dropped.
struct Proxy {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    fn start(node: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("serverledge-nginx-")
            .tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.path().join("nginx.conf");
        fs::write(
            &file,
            configuration(
                folder.path().to_str().context("a path in UTF-8")?,
                address,
                node,
            ),
        )?;
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start nginx")?;
        let proxy = Self {
            process,
            address,
            _folder: folder,
        };
        wait_for("nginx", || Ok(Connection::open(address).ok().map(drop)))?;
        Ok(proxy)
    }

    fn ask(&self, request: &Request) -> Result<crate::e2e::Response> {
        Connection::open(self.address)?.send(request)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One process, kept connections to the node, nothing written outside of the folder.
fn configuration(folder: &str, address: SocketAddr, node: SocketAddr) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    {paths}
    upstream node {{ server {node}; keepalive 4; }}
    server {{
        listen {address};
        client_max_body_size 0;
        location /faas/ {{
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host localhost;
            proxy_set_header X-Forwarded-Prefix /faas;
        }}
        location /streamed/ {{
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection \"\";
            proxy_set_header Host localhost;
        }}
    }}
}}
"
    )
}

fn behind_nginx() -> Result<(Node, Proxy)> {
    let node = Setup::new()?
        .with("api.trusted_proxies", "127.0.0.1")
        .start()?;
    let proxy = Proxy::start(node.address)?;
    Ok((node, proxy))
}

#[test]
fn a_node_works_below_a_path() -> Result<()> {
    let (node, proxy) = behind_nginx()?;
    node.deploy_example("hello")?;
    let document = proxy.ask(&Request::get("/faas/openapi.json"))?.json()?;
    assert_eq!(document["servers"], json!([{ "url": "/faas" }]));
    let docs = proxy.ask(&Request::get("/faas/docs"))?;
    assert_eq!(
        docs.header("location"),
        Some("/faas/docs/"),
        "{}",
        docs.status
    );
    let page = proxy.ask(&Request::get("/faas/docs/"))?;
    ensure!(
        page.status == 200 && page.text().contains("swagger"),
        "{}",
        page.text()
    );
    let script = proxy
        .ask(&Request::get("/faas/docs/swagger-initializer.js"))?
        .text();
    ensure!(script.contains("\"../openapi.json\""), "{script}");
    let accepted = proxy.ask(&Request::json(
        "/faas/functions/hello/invocations",
        &json!({ "Params": {} }),
    ))?;
    let place = accepted
        .header("location")
        .with_context(|| accepted.text())?
        .to_owned();
    ensure!(place.starts_with("/faas/invocations/"), "{place}");
    assert_eq!(proxy.ask(&Request::get(&place))?.status, 200);
    assert_eq!(
        proxy.ask(&Request::post("/faas/fn/hello/", "{}"))?.status,
        200
    );
    // Nobody but the proxy is believed.
    let place = node
        .ask(&Request::get("/docs"))?
        .header("location")
        .map(str::to_owned);
    assert_eq!(place.as_deref(), Some("/docs/"));
    node.stop().map(drop)
}

#[test]
fn the_client_reaches_a_node_below_a_path() -> Result<()> {
    let (node, proxy) = behind_nginx()?;
    let run = |variables: &[(&str, String)], arguments: &[&str]| -> Result<(bool, String)> {
        let output = Command::new(&programs()?.cli)
            .args(arguments)
            .env_clear()
            .env("HOME", node.home())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(node.home())
            .stdin(Stdio::null())
            .output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    };
    let url = [("SERVERLEDGE_URL", format!("http://{}/faas/", proxy.address))];
    let module = example_path("hello").display().to_string();
    let (created, told) = run(&url, &["create", "-f", "hello", "--src", &module])?;
    ensure!(created, "{told}");
    let port = proxy.address.port().to_string();
    let options = [
        "invoke",
        "hello",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--base-path",
        "faas",
    ];
    let (invoked, told) = run(&[], &options)?;
    ensure!(invoked, "{told}");
    let (listed, told) = run(&[], &["list", "--host", "127.0.0.1", "--port", &port])?;
    ensure!(!listed, "nothing is there: {told}");
    node.stop().map(drop)
}

/// nginx makes a 502 of a connection that is reset, and of a kept one that is closed without a word.
#[test]
fn answers_before_the_body_come_through() -> Result<()> {
    let (node, proxy) = behind_nginx()?;
    for prefix in ["/faas", "/streamed"] {
        for (target, bytes, status) in [
            ("/fn/nobody", 7, 404),
            ("/nowhere", 7, 404),
            ("/healthz", 7, 405),
            ("/fn/nobody", 2_000_000, 404),
            ("/invoke/nobody", 6_400_000, 413),
            ("/invoke/nobody", 20_000_000, 413),
        ] {
            for _ in 0..5 {
                let response = proxy.ask(&Request::post(
                    &format!("{prefix}{target}"),
                    vec![b'x'; bytes],
                ))?;
                ensure!(
                    response.status == status,
                    "{prefix}{target} {bytes}: {} {}",
                    response.status,
                    response.text()
                );
            }
        }
    }
    node.stop().map(drop)
}
