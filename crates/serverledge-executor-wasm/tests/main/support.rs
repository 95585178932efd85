//! An executor in a temporary folder, and guests put together from text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use serverledge_core::{
    Call, Ending, Executor, FailureKind, FunctionFailure, FunctionLimits, InstanceKey, InvokeError,
    Outcome, Payload, PrepareError, Prepared, PropagatedContext, Reply, Sandbox, StartError,
    Version,
};
use serverledge_executor_wasm::{WasmConfig, WasmExecutor, Worker};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The longest time that a test waits for an event.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// An executor and the folder of its machine code.
pub(crate) struct Lab {
    pub(crate) executor: WasmExecutor,
    pub(crate) config: WasmConfig,
    _dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut WasmConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = WasmConfig::new(dir.path().join("cache"), compiler(), 0, 2);
        config.slots = 40;
        config.kept_max = 20;
        config.compile.parallel = 2;
        change(&mut config);
        Self {
            executor: WasmExecutor::open(config.clone()).unwrap(),
            config,
            _dir: dir,
        }
    }

    /// The same machine code under a new executor, as after a restart: nothing is loaded.
    pub(crate) fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    /// The same with other settings.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut WasmConfig)) {
        change(&mut self.config);
        self.executor = WasmExecutor::open(self.config.clone()).unwrap();
    }

    pub(crate) async fn prepare(&self, code: impl AsRef<[u8]>) -> Result<Prepared, PrepareError> {
        let version = executor::version(code.as_ref(), FunctionLimits::default());
        self.executor
            .prepare(&version, Bytes::copy_from_slice(code.as_ref()), &())
            .await
    }

    /// A prepared version with these limits.
    pub(crate) async fn version(
        &self,
        code: impl AsRef<[u8]>,
        limits: FunctionLimits,
    ) -> Arc<Version> {
        let version = executor::version(code.as_ref(), limits);
        self.executor
            .prepare(&version, Bytes::copy_from_slice(code.as_ref()), &())
            .await
            .unwrap();
        Arc::new(version)
    }

    pub(crate) async fn start(
        &self,
        version: &Arc<Version>,
    ) -> Result<Box<dyn Sandbox>, StartError> {
        Ok(self.executor.start(version).await?.sandbox)
    }

    /// One invocation of a prepared version.
    pub(crate) async fn invoke(
        &self,
        version: &Arc<Version>,
        params: &str,
    ) -> Result<Outcome, InvokeError> {
        self.invoke_on(version, params, FakeHost::new().0).await
    }

    pub(crate) async fn invoke_on(
        &self,
        version: &Arc<Version>,
        params: &str,
        host: Arc<FakeHost>,
    ) -> Result<Outcome, InvokeError> {
        // As the node has it: in an instance of its version that is kept, if there is one.
        let call = Call {
            instance: Some(InstanceKey::new(*version.digest.as_bytes())),
            ..call(params)
        };
        self.start(version).await.unwrap().invoke(call, host).await
    }

    /// Prepares and runs once, under the default limits.
    pub(crate) async fn run(
        &self,
        code: impl AsRef<[u8]>,
        params: &str,
    ) -> Result<Outcome, InvokeError> {
        let version = self.version(code, FunctionLimits::default()).await;
        self.invoke(&version, params).await
    }

    /// The entries that [`listing`] lists.
    pub(crate) async fn list(&self, code: &str) -> Vec<Value> {
        list_of(&self.run(code, "{}").await.unwrap())
    }

    /// The files of the machine code cache, keys aside.
    pub(crate) fn cached_files(&self) -> Vec<PathBuf> {
        let kinds = std::fs::read_dir(&self.config.cache_dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let kinds = kinds.filter(|path| path.is_dir());
        kinds
            .flat_map(|kind| {
                std::fs::read_dir(kind)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
            })
            .collect()
    }

    /// The one file of a version that ends so.
    pub(crate) fn cached(&self, version: &Version, extension: &str) -> PathBuf {
        let name = format!("{}.{extension}", version.code);
        let mut found = self
            .cached_files()
            .into_iter()
            .filter(|path| path.ends_with(&name));
        found.next().unwrap()
    }
}

/// The compiling child of these tests.
pub(crate) fn compiler() -> Worker {
    Worker {
        program: PathBuf::from(env!("CARGO_BIN_EXE_serverledge-wasm-compile")),
        args: Vec::new(),
    }
}

pub(crate) fn call(params: &str) -> Call {
    call_with(Payload::Json(Bytes::copy_from_slice(params.as_bytes())))
}

pub(crate) fn call_with(payload: Payload) -> Call {
    executor::call_of("guest", payload)
}

/// The trace of a caller, and what it adds to it.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The same call, as part of a trace.
pub(crate) fn traced(mut call: Call) -> Call {
    call.context.propagated = Some(Arc::new(PropagatedContext {
        trace: format!("00-{TRACE}-b7ad6b7169203331-01"),
        trace_state: "a=1,b=2".to_owned(),
        ..PropagatedContext::default()
    }));
    call
}

pub(crate) fn json_of(outcome: &Outcome) -> Value {
    let Reply::Json(bytes) = &outcome.reply else {
        panic!("{:?} is no JSON", outcome.reply)
    };
    serde_json::from_slice(bytes).unwrap()
}

/// A response, and the end of its function, which runs on in a task as the node has it.
#[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
pub(crate) fn settled(
    outcome: Outcome,
) -> (
    http::Response<serverledge_core::HttpBody>,
    JoinHandle<Ending>,
) {
    let Reply::Http(response) = outcome.reply else {
        panic!("an HTTP request was answered with JSON")
    };
    let rest = outcome.rest;
    let log = outcome.log;
    let ending = async move {
        match rest {
            Some(rest) => rest.0.await,
            None => Ending::Completed { log },
        }
    };
    (*response, tokio::spawn(ending))
}

fn list_of(outcome: &Outcome) -> Vec<Value> {
    let Value::Array(mut list) = json_of(outcome) else {
        panic!("a listing is an array")
    };
    list.pop();
    list
}

pub(crate) fn failure(outcome: Result<Outcome, InvokeError>) -> FunctionFailure {
    match outcome {
        Err(InvokeError::Function(failure)) => failure,
        other => panic!("the function should have failed; it gave {other:?}"),
    }
}

/// Kind and message of a failure on one line.
pub(crate) fn words(outcome: Result<Outcome, InvokeError>) -> String {
    let failure = failure(outcome);
    format!("{:?}: {}", failure.kind, failure.message)
}

pub(crate) fn kind(outcome: Result<Outcome, InvokeError>) -> FailureKind {
    failure(outcome).kind
}

pub(crate) fn code(refused: Result<Prepared, PrepareError>) -> (&'static str, String) {
    match refused {
        Err(PrepareError::Invalid { code, message }) => (code, message),
        other => panic!("the module should have been refused; it gave {other:?}"),
    }
}

pub(crate) fn time_limit(timeout: Duration) -> FunctionLimits {
    FunctionLimits {
        timeout,
        ..FunctionLimits::default()
    }
}

pub(crate) fn with_env(version: &Version, env: &[(&str, &str)]) -> Arc<Version> {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Arc::new(Version {
        env: env.collect::<BTreeMap<_, _>>(),
        handler: "main".to_owned(),
        ..version.clone()
    })
}

/// Looks again and again, and panics naming `what` did not come.
pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let looking = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(WAIT_MAX, looking).await.is_ok(),
        "{what} did not come"
    );
}

/// Whether a process runs: neither gone nor waiting to be reaped.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))
        .unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

// === guests ===

/// Every function of WASI preview 1: name, and parameters as `i` (i32) and `I` (i64). All but `proc_exit` return an errno.
pub(crate) const WASI: [(&str, &str); 46] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Helpers of every guest. Addresses below 0x100 are theirs, the parameters go to 0x10000.
const HELPERS: &str = r#"
  (data (i32.const 0) "[\22\22,0]")
  (func $write (param $fd i32) (param $at i32) (param $len i32)
    (i32.store (i32.const 0x10) (local.get $at))
    (i32.store (i32.const 0x14) (local.get $len))
    (drop (call $fd_write (local.get $fd) (i32.const 0x10) (i32.const 1) (i32.const 0x18))))
  (func $emit (param $at i32) (param $len i32) (call $write (i32.const 1) (local.get $at) (local.get $len)))
  (func $log (param $at i32) (param $len i32) (call $write (i32.const 2) (local.get $at) (local.get $len)))
  (func $say64 (param $n i64) (local $at i32)
    (local.set $at (i32.const 0x40))
    (i32.store8 (local.get $at) (i32.const 44))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $n) (i64.const 0))))
    (call $emit (local.get $at) (i32.sub (i32.const 0x41) (local.get $at))))
  (func $say (param $n i32) (call $say64 (i64.extend_i32_u (local.get $n))))
  (func $quote (param $at i32) (param $len i32)
    (call $emit (i32.const 1) (i32.const 1))
    (call $emit (local.get $at) (local.get $len))
    (call $emit (i32.const 2) (i32.const 2)))
  (func $quotez (param $at i32) (local $len i32)
    (loop $next
      (if (i32.load8_u (i32.add (local.get $at) (local.get $len)))
        (then (local.set $len (i32.add (local.get $len) (i32.const 1))) (br $next))))
    (call $quote (local.get $at) (local.get $len)))
  (func $iovec (param $slot i32) (param $at i32) (param $len i32)
    (i32.store (local.get $slot) (local.get $at))
    (i32.store offset=4 (local.get $slot) (local.get $len)))
  (func $read_params (result i32) (local $n i32)
    (loop $more
      (call $iovec (i32.const 0x10) (i32.add (i32.const 0x10000) (local.get $n)) (i32.const 4096))
      (drop (call $fd_read (i32.const 0) (i32.const 0x10) (i32.const 1) (i32.const 0x18)))
      (local.set $n (i32.add (local.get $n) (i32.load (i32.const 0x18))))
      (br_if $more (i32.load (i32.const 0x18))))
    (local.get $n))
"#;

fn imports() -> String {
    let wasi = WASI.iter().map(|(name, params)| {
        let params: String = params.chars().map(|p| if p == 'i' { " i32" } else { " i64" }).collect();
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param{params}) {result}))\n")
    });
    let call = "(import \"serverledge\" \"call\" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))\n";
    wasi.chain([call.to_owned()]).collect()
}

fn module(pages: u32, items: &str) -> String {
    format!(
        "(module\n{}(memory (export \"memory\") {pages})\n{HELPERS}{items})",
        imports()
    )
}

/// A command with 4 pages of memory, further items, and this as `_start`; `$n` (i32) and `$r` (i64) are its locals.
pub(crate) fn command(items: &str, body: &str) -> String {
    large_command(4, items, body)
}

/// The same with so many pages.
pub(crate) fn large_command(pages: u32, items: &str, body: &str) -> String {
    module(
        pages,
        &format!("{items}\n(func (export \"_start\") (local $n i32) (local $r i64)\n{body})"),
    )
}

/// A command whose result is an array of all that its body says (`$say`, `$say64`, `$quote`, `$quotez`) and a 0.
pub(crate) fn listing(items: &str, body: &str) -> String {
    command(
        items,
        &format!(
            "(call $emit (i32.const 0) (i32.const 1))\n{body}\n(call $emit (i32.const 4) (i32.const 2))"
        ),
    )
}

/// A reactor with 4 pages: `$ptr` and `$len` are the parameters, the body gives the i64; `$n` and `$r` are locals.
pub(crate) fn reactor(items: &str, body: &str) -> String {
    let alloc =
        "(func (export \"serverledge_alloc\") (param i32) (result i32) (i32.const 0x10000))";
    reactor_with(alloc, items, body)
}

/// The same with an allocator of its own.
pub(crate) fn reactor_with(alloc: &str, items: &str, body: &str) -> String {
    let handle =
        "(func (export \"serverledge_handle\") (param $ptr i32) (param $len i32) (result i64)";
    module(
        4,
        &format!("{items}\n{alloc}\n{handle} (local $n i32) (local $r i64)\n{body})"),
    )
}

/// The i64 that a reactor returns for these bytes.
pub(crate) fn packed(at: &str, len: &str) -> String {
    format!("(i64.or (i64.shl (i64.extend_i32_u {at}) (i64.const 32)) (i64.extend_i32_u {len}))")
}

/// A command that gives its parameters back.
pub(crate) fn echo() -> String {
    command("", "(call $emit (i32.const 0x10000) (call $read_params))")
}

/// A command that computes for ever.
pub(crate) fn endless() -> String {
    command("", "(loop $again (br $again))")
}

/// Text of a data segment at this address, and its length in bytes; no escapes.
pub(crate) fn data(at: u32, text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{escaped}\")")
}

/// The module of an example, as it is shipped.
pub(crate) fn example(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wasm-examples");
    std::fs::read(format!("{folder}/{name}/{name}.wasm")).expect("the examples are shipped")
}
