//! Functions in containers that send requests to hosts outside: through the node's proxy, and in no other way.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use serverledge_core::{
    BodyError, FunctionLimits, HttpBody, OutboundError, Payload, Reply, Runtime, Sandbox, Version,
};
use serverledge_testing::executor::{call_of, version};
use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};

use crate::support::Lab;

const PYTHON: &str = "
import http.client, os, socket, urllib.error, urllib.parse, urllib.request
def handler(params):
    what, url = params
    if what == 'interfaces':
        return [name for _, name in socket.if_nameindex()]
    if what == 'tunnel':
        proxy = urllib.parse.urlsplit(os.environ['https_proxy'])
        connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
        connection.set_tunnel('a.example', 443)
        connection.request('GET', '/')
        return connection.getresponse().read().decode()
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return [response.status, response.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return ['error', str(error)]
";

const NODEJS: &str = "
const http = require('node:http');
const os = require('node:os');
exports.handler = async ([what, url]) => {
  if (what === 'interfaces') return Object.keys(os.networkInterfaces());
  if (what === 'tunnel') {
    return new Promise((resolve, reject) => {
      http.get('http://a.example:443/', (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; }).on('end', () => resolve(text));
      }).on('error', reject);
    });
  }
  try {
    const response = await fetch(url);
    return [response.status, await response.text()];
  } catch (error) {
    return ['error', `${error.message}: ${error.cause.message}`];
  }
};
";

const LANGUAGES: [(Runtime, &str); 2] = [(Runtime::Python, PYTHON), (Runtime::NodeJs, NODEJS)];

/// A prepared function that may send requests, and so many calls of it at once in a container.
async fn prepared(lab: &Lab, runtime: Runtime, code: &str, concurrency: u16) -> Arc<Version> {
    let limits = FunctionLimits {
        max_concurrency: concurrency,
        ..FunctionLimits::default()
    };
    let version = Version {
        runtime,
        handler: "main.handler".to_owned(),
        outbound: ["*", "http://*"]
            .iter()
            .map(|rule| rule.parse().unwrap())
            .collect(),
        ..version(code.as_bytes(), limits)
    };
    lab.prepared(version, code).await
}

async fn run(sandbox: &dyn Sandbox, params: &Value, host: Arc<FakeHost>) -> Value {
    let call = call_of("caller", Payload::Json(params.to_string().into()));
    let outcome = sandbox.invoke(call, host).await.unwrap();
    let Reply::Json(bytes) = outcome.reply else {
        panic!("containers answer JSON")
    };
    serde_json::from_slice(&bytes).unwrap()
}

/// A host at which every request is answered, and every tunnel leads to a server that says `hi`.
fn open_host() -> (Arc<FakeHost>, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    handle.respond(|_| {
        let text = Full::new(Bytes::from_static(b"here"));
        let body: HttpBody = Box::pin(text.map_err(|never| -> BodyError { match never {} }));
        Response::new(body)
    });
    handle.open_tunnels("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    (host, handle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_through_the_node_and_in_no_other_way() {
    let lab = Lab::new().await;
    for (runtime, code) in LANGUAGES {
        let version = prepared(&lab, runtime, code, 1).await;
        let sandbox = lab.start(&version).await;
        let sandbox = sandbox.as_ref();
        let (host, handle) = open_host();
        let found = run(sandbox, &json!(["tunnel", ""]), Arc::clone(&host)).await;
        assert_eq!(found, "hi", "{runtime}");
        let tunnel = handle.tunnels().pop().unwrap();
        assert_eq!(tunnel.target, "a.example:443");
        // The connection has ended with the call.
        handle
            .wait_for_tunnel("its end", |tunnel| !tunnel.is_open)
            .await;
        let request = json!(["get", "http://a.example/x"]);
        let found = run(sandbox, &request, Arc::clone(&host)).await;
        let text = if runtime == Runtime::Python {
            "here"
        } else {
            "hi"
        };
        assert_eq!(found, json!([200, text]), "{runtime}");
        let found = run(sandbox, &json!(["interfaces", ""]), host).await;
        assert_eq!(found, json!(["lo"]), "{runtime}: the interfaces there are");
        assert!(!handle.shares_requests());
        sandbox.stop().await.unwrap();
        lab.wait_for_containers(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_in_words() {
    let lab = Lab::new().await;
    let words = "outbound_host_not_allowed: https://b.example is not among the hosts";
    for (runtime, code) in LANGUAGES {
        let version = prepared(&lab, runtime, code, 1).await;
        let sandbox = lab.start(&version).await;
        let (host, handle) = FakeHost::new();
        handle.fail_requests(|| OutboundError::Host("https://b.example".to_owned()));
        let request = json!(["get", "https://b.example/"]);
        let found = run(sandbox.as_ref(), &request, host).await;
        let told = found[1].as_str().unwrap_or_default();
        assert!(found[0] == "error" && told.contains(words), "{found}");
        sandbox.stop().await.unwrap();
    }
}

/// A redirect is a response as any other: the client's next request is judged by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_a_request_of_its_own() {
    let lab = Lab::new().await;
    let version = prepared(&lab, Runtime::Python, PYTHON, 1).await;
    let sandbox = lab.start(&version).await;
    let (host, handle) = FakeHost::new();
    handle.respond(|sent| {
        let text = Full::new(Bytes::new());
        let body: HttpBody = Box::pin(text.map_err(|never| -> BodyError { match never {} }));
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::FOUND;
        let elsewhere = format!("https://b.example/?from={}", sent.uri.path());
        let headers = response.headers_mut();
        headers.insert("location", elsewhere.parse().unwrap());
        response
    });
    let found = run(
        sandbox.as_ref(),
        &json!(["get", "http://a.example/x"]),
        host,
    )
    .await;
    let told = found[1].as_str().unwrap_or_default();
    assert!(told.contains("outbound_not_granted: "), "{found}");
    assert_eq!(handle.sent().len(), 1, "the other host was asked for");
    sandbox.stop().await.unwrap();
}

/// Of calls that run at once in one container nobody knows whose a request is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_share_their_requests() {
    let lab = Lab::new().await;
    for (runtime, code) in LANGUAGES {
        let version = prepared(&lab, runtime, code, 2).await;
        let sandbox = lab.start(&version).await;
        let hosts = [open_host(), open_host()];
        let params = json!(["tunnel", ""]);
        let runs = hosts
            .iter()
            .map(|(host, _)| run(sandbox.as_ref(), &params, Arc::clone(host)));
        for found in futures_util::future::join_all(runs).await {
            assert_eq!(found, "hi", "{runtime}");
        }
        assert!(hosts.iter().all(|(_, handle)| handle.shares_requests()));
        sandbox.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_goes_out_while_code_is_loaded() {
    let lab = Lab::new().await;
    let code = "
import urllib.error, urllib.request
try:
    urllib.request.urlopen('http://a.example/', timeout=20)
    found = 'sent'
except urllib.error.HTTPError as error:
    found = error.read().decode()
def handler(params): return found
";
    let version = prepared(&lab, Runtime::Python, code, 1).await;
    let sandbox = lab.start(&version).await;
    let (host, handle) = open_host();
    let found = run(sandbox.as_ref(), &json!(null), host).await;
    assert!(found.to_string().contains("not_running"), "{found}");
    assert!(handle.sent().is_empty());
    sandbox.stop().await.unwrap();
}
