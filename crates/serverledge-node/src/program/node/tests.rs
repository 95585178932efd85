//! The order of start and stop. It is a promise to other nodes and to callers, not a detail of how a node is built.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::json;
use serverledge_api::{Deploy, Deployments as _};
use serverledge_core::{Caller, InvocationError, OverloadReason};
use serverledge_registry::{Embedded, Options};
use serverledge_testing::fake_executor::{Behaviour, FakeExecutor, FakeExecutorHandle};
use serverledge_wire::function::FunctionBody;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::{Machine, load};

const MACHINE: Machine = Machine {
    memory_bytes: 1 << 30,
    cores: 2,
    files_max: 4096,
};
/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The steps so far, each with the calls that were running and the sandboxes that lived.
#[derive(Default)]
struct Record {
    steps: Mutex<Vec<(Step, usize, usize)>>,
    count: watch::Sender<usize>,
}

impl Record {
    fn steps(&self) -> Vec<Step> {
        self.steps.lock().iter().map(|(step, ..)| *step).collect()
    }

    fn at(&self, wanted: Step) -> (usize, usize) {
        let steps = self.steps.lock();
        steps
            .iter()
            .find(|(step, ..)| *step == wanted)
            .map(|(_, running, live)| (*running, *live))
            .unwrap()
    }

    async fn wait_for(&self, count: usize) {
        let mut counts = self.count.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, counts.wait_for(|seen| *seen >= count)).await;
        assert!(
            waited.is_ok(),
            "{count} steps did not come: {:?}",
            self.steps()
        );
    }
}

/// A node on a free port, with fake containers.
async fn start_recorded(
    dir: &std::path::Path,
    record: &Arc<Record>,
) -> (Started, FakeExecutorHandle) {
    let mut config = load(
        None,
        &[("SERVERLEDGE_DATA_DIR", dir.to_str().unwrap())],
        &MACHINE,
        &[],
    )
    .unwrap()
    .config;
    config.api.port = 0;
    std::fs::create_dir_all(dir).unwrap();
    let registry = Registry::embedded(Arc::new(Embedded::in_memory(&Options::default()).unwrap()));
    let (containers, fake) = FakeExecutor::pooled();
    let executors = Executors {
        wasm: Arc::new(FakeExecutor::new().0),
        snapshots: None,
        containers: Some(Arc::new(containers)),
    };
    let machinery = Machinery {
        tls: None,
        registry,
        executors,
        containers: None,
    };
    let record = Arc::clone(record);
    let counts = fake.clone();
    let done: Observer = Arc::new(move |step| {
        let counts = counts.counts();
        record
            .steps
            .lock()
            .push((step, counts.running, counts.live));
        record.count.send_modify(|count| *count += 1);
    });
    (start_with(&config, machinery, done).await.unwrap(), fake)
}

/// Sends a request and returns the whole response, which ends the connection.
async fn request(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn parts_start_and_stop_in_their_order() {
    use Step::*;
    let dir = tempfile::tempdir().unwrap();
    let record = Arc::<Record>::default();
    let (started, fake) = start_recorded(&dir.path().join("data"), &record).await;
    let before = [
        Listening, Registered, Loaded, Resumed, Preparing, Serving, Following,
    ];
    assert_eq!(record.steps(), before);
    let backend = started.node.clone();
    let address = started.address;
    let body = json!({"Name": "f", "Runtime": "python", "TarFunctionCode": STANDARD.encode(Behaviour::Echo.code())});
    let body = body.to_string();
    let function = FunctionBody::parse(body.as_bytes()).unwrap();
    backend
        .deployer
        .deploy(&Caller::anonymous().space, Deploy::Update, function, &())
        .await
        .unwrap();

    fake.hold();
    let tasks = TaskTracker::new();
    let waiting = tasks.spawn(request(address, "/invoke/f", r#"{"Params": {"n": 7}}"#));
    let accepted = request(
        address,
        "/invoke/f",
        r#"{"Params": {"n": 8}, "Async": true}"#,
    )
    .await;
    assert!(accepted.starts_with("HTTP/1.1 2"), "{accepted}");
    fake.wait_for("both calls", |counts| counts.running == 2)
        .await;

    let stopping = tasks.spawn(started.stop());
    record.wait_for(before.len() + 2).await;
    let refused = backend.invoker.check_open().unwrap_err();
    assert!(matches!(
        refused,
        InvocationError::Overloaded {
            reason: OverloadReason::Draining,
            ..
        }
    ));
    assert_eq!(
        record.steps()[before.len()..],
        [Refusing, Announced],
        "nothing ends before the calls"
    );
    fake.release();
    let response = waiting.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    stopping.await.unwrap();

    let after = [
        Refusing,
        Announced,
        RequestsEnded,
        InvocationsEnded,
        BackgroundEnded,
        CallsNoted,
        AccountsEnded,
        SandboxesStopped,
        Left,
        Closed,
    ];
    assert_eq!(record.steps()[before.len()..], after);
    assert_eq!(record.at(Announced).0, 2, "calls go on");
    assert_eq!(
        record.at(InvocationsEnded).0,
        0,
        "and end before the background does"
    );
    assert!(
        record.at(BackgroundEnded).1 > 0,
        "sandboxes outlive the background"
    );
    assert_eq!(record.at(SandboxesStopped).1, 0);
    assert!(dir.path().join("data/called.json").exists());
}
