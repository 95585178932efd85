//! A node's folder and configuration, modules in its cache, and a small HTTP client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::{CpuMilli, Executor as _, FunctionLimits, MemoryMib, Version};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker};
use serverledge_node::config::{Config, Machine, load};
use serverledge_node::{Started, start};
use serverledge_registry::code_digest;
use serverledge_testing::executor::version;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(60);
const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};

/// A folder for nodes.
pub(crate) struct Lab {
    dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// The folder of the node's data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The defaults for a small machine, with any free port.
    pub(crate) fn config(&self) -> Config {
        let data = self.data();
        let env = [
            ("SERVERLEDGE_DATA_DIR", data.to_str().unwrap()),
            ("SERVERLEDGE_API_PORT", "0"),
        ];
        let mut config = load(None, &env, &MACHINE, &[]).unwrap().config;
        config.wasm.instances_max = 16;
        // What the machine has must not decide the outcome.
        config.container.socket = self.dir.path().join("no-engine.sock");
        config.drain.timeout = Duration::from_secs(30);
        config
    }

    pub(crate) async fn start(&self) -> Node {
        self.start_with(|_| {}).await
    }

    /// Starts a node.
    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Config)) -> Node {
        let mut config = self.config();
        change(&mut config);
        let started = start(&config).await.unwrap();
        Node {
            address: started.address,
            started: Some(started),
        }
    }

    fn machine_code(&self) -> PathBuf {
        self.data().join("machine-code")
    }

    /// An executor on the node's cache, with the real program as its compiler.
    fn compiler(&self) -> WasmExecutor {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_serverledge"));
        let worker = Worker {
            program,
            args: vec!["internal-compile".into()],
        };
        let mut config = WasmConfig::new(self.machine_code(), worker, 0, 1);
        config.slots = 1;
        WasmExecutor::open(config).unwrap()
    }

    /// Compiles a module into the cache of the node that runs here.
    pub(crate) async fn compile(&self, code: &str) {
        let executor = self.compiler();
        let version = version(code.as_bytes(), FunctionLimits::default());
        let version = Version {
            code: code_digest(code.as_bytes()),
            ..version
        };
        executor
            .prepare(&version, Bytes::copy_from_slice(code.as_bytes()), &())
            .await
            .unwrap();
    }
}

/// A running node, and a client of it.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    started: Option<Started>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Node {
    pub(crate) async fn stop(mut self) {
        let stopping = self.started.take().unwrap().stop();
        tokio::time::timeout(WAIT_MAX, stopping)
            .await
            .expect("the node did not stop");
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        ask(self.address, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Deploys a module that was compiled before, with further members of the request.
    pub(crate) async fn deploy(&self, route: &str, name: &str, code: &str, more: Value) -> Answer {
        let mut request =
            json!({ "Name": name, "Runtime": "wasm", "TarFunctionCode": STANDARD.encode(code) });
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.ask("POST", route, &request.to_string()).await
    }

    pub(crate) async fn create(&self, name: &str, code: &str) {
        let answer = self.deploy("/create", name, code, json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The result of an invocation.
    pub(crate) async fn invoke(&self, name: &str, params: &str) -> Value {
        let answer = self.ask("POST", &format!("/fn/{name}"), params).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Submits an invocation, polls until it has ended, and returns its outcome.
    pub(crate) async fn invoke_later(&self, name: &str, params: &str) -> (String, Value) {
        let accepted = self
            .ask(
                "POST",
                &format!("/invoke/{name}"),
                &format!("{{\"Async\":true,\"Params\":{params}}}"),
            )
            .await;
        let id = accepted.json()["ReqId"].as_str().unwrap().to_owned();
        let outcome = self
            .wait_for("the outcome", &format!("/poll/{id}"), |answer| {
                answer.status == 200
            })
            .await;
        (id, outcome.json())
    }

    /// Polls until the condition holds, and panics naming `what` if it did not.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        path: &str,
        condition: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if condition(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, asking)
            .await
            .unwrap_or_else(|_| panic!("{what} did not come"))
    }

    /// Waits until this many invocations run.
    pub(crate) async fn wait_for_running(&self, count: i64) {
        self.wait_for("the running invocations", "/status", |answer| {
            answer.json()["Running"] == count
        })
        .await;
    }

    /// Sends a request and leaves the connection open.
    pub(crate) async fn begin(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        send(&mut stream, "POST", path, "{}").await;
        stream
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// Status and code of a problem.
    pub(crate) fn outcome(&self) -> String {
        match self.status {
            200 => "200".to_owned(),
            status => format!("{status} {}", self.json()["code"].as_str().unwrap()),
        }
    }
}

async fn send(stream: &mut TcpStream, method: &str, path: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, method, path, body).await;
    read(stream).await
}

/// Reads one response to the end of its connection.
pub(crate) async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut bytes))
        .await
        .expect("an answer did not come")
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no response: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

// === modules ===

/// A reactor that returns its parameters.
pub(crate) const ECHO: &str = r#"(module (memory (export "memory") 2)
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "serverledge_handle") (param $at i32) (param $length i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $length)))))"#;

/// A reactor that returns this constant.
pub(crate) fn constant(json: &str) -> String {
    let text: String = json.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        "(module (memory (export \"memory\") 1) (data (i32.const 16) \"{text}\")
           (func (export \"serverledge_alloc\") (param i32) (result i32) (i32.const 1024))
           (func (export \"serverledge_handle\") (param i32 i32) (result i64) (i64.const {})))",
        (16_u64 << 32) | json.len() as u64
    )
}

/// A reactor that sleeps for an hour.
pub(crate) const SLEEPER: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "serverledge_handle") (param i32 i32) (result i64)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))
    (i64.const 0)))"#;

/// A reactor that calls the function of this name with its own parameters, and returns the reply, error or not.
pub(crate) fn calling(name: &str) -> String {
    format!(
        r#"(module
          (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
          (memory (export "memory") 4) (data (i32.const 16) "{name}")
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "serverledge_handle") (param $at i32) (param $length i32) (result i64)
            (i64.or (i64.const {}) (i64.and (i64.const 0xffffffff)
              (call $call (i32.const 16) (i32.const {}) (local.get $at) (local.get $length) (i32.const 131072) (i32.const 65536))))))"#,
        131_072_u64 << 32,
        name.len()
    )
}

/// The same, with this number of calls one after the other; returns the last reply.
pub(crate) fn calling_often(name: &str, times: u32) -> String {
    format!(
        r#"(module
          (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
          (memory (export "memory") 4) (data (i32.const 16) "{name}")
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "serverledge_handle") (param $at i32) (param $length i32) (result i64)
            (local $left i32) (local $reply i64)
            (local.set $left (i32.const {times}))
            (loop $again
              (local.set $reply (call $call (i32.const 16) (i32.const {}) (local.get $at) (local.get $length)
                (i32.const 131072) (i32.const 65536)))
              (local.set $left (i32.sub (local.get $left) (i32.const 1)))
              (br_if $again (local.get $left)))
            (i64.or (i64.const {}) (i64.and (i64.const 0xffffffff) (local.get $reply)))))"#,
        name.len(),
        131_072_u64 << 32
    )
}

/// Limits of a pool that holds one invocation of a default function, and lets none wait.
pub(crate) fn one_at_a_time(config: &mut Config) {
    config.pool.memory = MemoryMib::new(128);
    config.pool.cpus = CpuMilli::new(1000);
    config.queue.capacity = 0;
}
