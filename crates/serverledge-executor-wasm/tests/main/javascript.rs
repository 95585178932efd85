//! The snapshot of a real script, run here and by another engine: in Node.js, with a stub of WASI, as a browser would.

use std::process::{Command, Stdio};

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::FunctionLimits;

use crate::support::{Lab, json_of};

const BASE: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");
const STUB: &str = include_str!("javascript_stub.mjs");

const SCRIPT: &str = r"
const cache = new Map();
function fibonacci(n) {
  if (n < 2n) return n;
  if (!cache.has(n)) cache.set(n, fibonacci(n - 1n) + fibonacci(n - 2n));
  return cache.get(n);
}
module.exports = async (params) => {
  const words = params.text.toLowerCase().match(/[\p{L}]+/gu) ?? [];
  const counts = Object.entries(Object.groupBy(words, (word) => word)).map(([word, all]) => [word, all.length]);
  return {
    counts: counts.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)),
    fibonacci: String(fibonacci(BigInt(params.n))),
    float: 0.1 + 0.2, date: new Date(86400000).toISOString(), url: new URL('../b?c=1', 'http://h/a/x').href,
  };
};";

async fn module(lab: &Lab) -> Vec<u8> {
    let input = json!({ "file": "words.js", "source": SCRIPT, "handler": "" });
    lab.executor
        .snapshot(Bytes::from_static(BASE), input.to_string().into(), 64 << 20)
        .await
        .unwrap()
        .module
}

#[tokio::test]
async fn the_same_module_gives_the_same_result_elsewhere() {
    let lab = Lab::new();
    let module = module(&lab).await;
    let params = json!({ "text": "Über den Wolken: über, ÜBER den Bäumen", "n": 90 });
    let version = lab.version(&module, FunctionLimits::default()).await;
    let here = json_of(&lab.invoke(&version, &params.to_string()).await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let stub = dir.path().join("stub.mjs");
    let file = dir.path().join("module.wasm");
    std::fs::write(&stub, STUB).unwrap();
    std::fs::write(&file, &module).unwrap();
    let mut node = Command::new("node");
    let ran = node
        .arg(&stub)
        .arg(&file)
        .arg(params.to_string())
        .stderr(Stdio::inherit())
        .output();
    let ran = ran.expect("this test compares with Node.js: install node");
    assert!(ran.status.success());
    let elsewhere: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(elsewhere, here);
    assert_eq!(here["fibonacci"], "2880067194370816120");
}

#[tokio::test]
async fn a_base_of_a_million_bytes_gives_the_same_digest() {
    let lab = Lab::new();
    let first = module(&lab).await;
    assert_eq!(blake3::hash(&module(&lab).await), blake3::hash(&first));
    assert_eq!(
        blake3::hash(&module(&Lab::new()).await),
        blake3::hash(&first)
    );
}
