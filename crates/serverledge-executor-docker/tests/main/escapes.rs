//! Probes that try to get out of a real container, or to spoil it for others. Each fails inside, and after each the node
//! serves another function.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serverledge_core::{
    Executor, FailureKind, FunctionLimits, MemoryMib, Runtime, Sandbox, Secrets, Version,
};

use crate::custom::{self, CustomImage};
use crate::support::{
    ECHO, Lab, docker, failure, invoke, json_of, limits, nodejs, phase_names, processes_of, python,
    python_with, timeout, unique,
};

/// The script that runs in all containers; its probes are listed here again, so that none is lost.
pub(crate) const PROBES: &str = include_str!("probes.py");

/// Probes that make sense everywhere.
const EVERYWHERE: [&str; 14] = [
    "device_nodes",
    "forbidden_calls",
    "identity",
    "kernel_files",
    "many_small_files",
    "mounts_and_namespaces",
    "names",
    "only_known_places_are_writable",
    "process_one",
    "raw_sockets",
    "setuid",
    "the_engine",
    "write_to_the_root",
    "fork_until_refused",
];
/// Those of containers with an agent.
const AGENT_ONLY: [&str; 4] = ["fill_disks", "no_network", "others_sockets", "own_socket"];
/// Those of custom images.
const CUSTOM_ONLY: [&str; 1] = ["internal_network"];

/// The facts about the outside that the probes must know: ways that would lead out.
fn outside(lab: &Lab, listener: u16, other: &str) -> Value {
    let dir = lab.dir().display();
    json!({
        "writable": ["/tmp", "/dev/shm", "/dev/mqueue", "/app/code"],
        "sizes": {"/tmp": 32, "/app/code": 128, "/dev/shm": 32},
        "pids_max": lab.config.pids_max,
        "files": 20_000,
        "other": other,
        "others": [format!("{dir}/sockets/{other}"), format!("/run/serverledge/{other}")],
        "hosts": [["172.17.0.1", listener], ["127.0.0.1", listener], ["1.1.1.1", 53], ["169.254.169.254", 80]],
    })
}

fn with(params: &Value, probe: &str) -> Value {
    let mut params = params.clone();
    params["probe"] = json!(probe);
    params
}

/// The successes of the probes, one line each.
async fn wins(
    lab: &Lab,
    sandbox: &dyn Sandbox,
    bystander: &Arc<Version>,
    probes: &[&str],
    params: &Value,
) -> Vec<String> {
    let mut wins = Vec::new();
    for probe in probes {
        match invoke(sandbox, with(params, probe)).await {
            Ok(outcome) if json_of(&outcome) == json!([]) => {}
            Ok(outcome) => wins.push(format!("{probe} won {}", json_of(&outcome))),
            Err(error) => wins.push(format!("{probe} ended with {error:?}")),
        }
    }
    lab.still_serves(bystander).await;
    wins
}

/// Something on this machine that must not be reached, and its port: it listens, and takes datagrams without an answer.
struct Listener {
    port: u16,
    _stream: std::net::TcpListener,
    datagrams: std::net::UdpSocket,
}

impl Listener {
    fn new() -> Self {
        let stream = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = stream.local_addr().unwrap().port();
        let datagrams = std::net::UdpSocket::bind(("0.0.0.0", port)).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        Self {
            port,
            _stream: stream,
            datagrams,
        }
    }

    fn heard_nothing(&self) {
        let heard = self.datagrams.recv(&mut [0; 10]);
        assert!(heard.is_err(), "a datagram came out of a container");
    }
}

/// An address of this machine beside the bridges'.
fn machine() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: only the route is looked up.
    socket.connect("1.1.1.1:53").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

async fn hold_on_agents(lab: &Lab, from_cell: bool) {
    let listener = Listener::new();
    // Room for what fills the tmpfs.
    let roomy = FunctionLimits {
        memory: MemoryMib::new(400),
        ..limits()
    };
    let probing = lab.prepared(python_with(PROBES, roomy), PROBES).await;
    let bystander = lab.python(ECHO).await;
    let other = lab.start(&bystander).await;
    let folder = lab.files("sockets").remove(0);
    if from_cell {
        lab.wait_for_cells(lab.config.cells).await;
    }
    let started = lab.executor.start(&probing).await.unwrap();
    assert_eq!(
        phase_names(&started.phases)[0],
        if from_cell { "limits" } else { "create" }
    );
    let params = outside(lab, listener.port, &folder);
    let known = [&EVERYWHERE[..], &AGENT_ONLY, &CUSTOM_ONLY].concat();
    let listed = json_of(
        &invoke(started.sandbox.as_ref(), with(&params, "all"))
            .await
            .unwrap(),
    );
    assert_eq!(
        listed.as_array().unwrap().len(),
        known.len(),
        "every probe is in a list here: {listed}"
    );
    let probes = [&EVERYWHERE[..], &AGENT_ONLY].concat();
    let won = wins(lab, started.sandbox.as_ref(), &bystander, &probes, &params).await;
    assert!(won.is_empty(), "{won:#?}");
    listener.heard_nothing();
    assert_eq!(
        json_of(&invoke(other.as_ref(), json!(1)).await.unwrap()),
        json!(1),
        "the other sandbox is as it was"
    );
    started.sandbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_start_holds() {
    hold_on_agents(&Lab::new().await, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stem_cell_holds() {
    hold_on_agents(&Lab::with_cells(2).await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_image_holds() {
    let lab = Lab::new().await;
    let listener = Listener::new();
    let port = listener.port;
    let image = CustomImage::build();
    let probing = lab.prepared(image.version(), "").await;
    let bystander = lab
        .prepared(
            Version {
                handler: "another".to_owned(),
                ..image.version()
            },
            "",
        )
        .await;
    let other = lab.start(&bystander).await;
    let address = custom::address(&lab.container().await);
    let gateway = custom::gateway(&lab.container().await);
    let sandbox = lab.start(&probing).await;
    let mut params = outside(&lab, port, "nobody");
    params["writable"] = json!(["/tmp", "/dev/shm", "/dev/mqueue"]);
    params["hosts"].as_array_mut().unwrap().extend([
        json!([gateway, port]),
        json!([gateway, 22]),
        json!([machine(), port]),
        json!([address, 8080]),
    ]);
    let probes = [&EVERYWHERE[..], &CUSTOM_ONLY].concat();
    let mut wins = Vec::new();
    for probe in probes {
        let outcome = invoke(sandbox.as_ref(), with(&params, probe)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{probe}: {error:?}"));
        if json_of(&outcome) != json!([]) {
            wins.push(format!("{probe} won {}", json_of(&outcome)));
        }
    }
    assert!(wins.is_empty(), "{wins:#?}");
    listener.heard_nothing();
    assert!(
        invoke(other.as_ref(), with(&params, "identity"))
            .await
            .is_ok(),
        "the other sandbox is as it was"
    );
}

/// The bombs end their sandbox, or not even that, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_meet_their_limits() {
    let lab = Lab::with_cells(1).await;
    let bystander = lab.python(ECHO).await;
    let forks = "import os\ndef handler(p):\n    while True:\n        try: os.fork()\n        except OSError: pass\n";
    let memory = "def handler(p):\n    all = []\n    while True: all.append(bytearray(1 << 20))\n";
    let shared = "def handler(p):\n    file = open('/dev/shm/x', 'wb')\n    while True: file.write(b'x' * (1 << 20))\n";
    let hidden = "import os\ndef handler(p):\n    os.fork() or os.setsid()\n    all = []\n    while True: all.append(os.urandom(1 << 20))\n";
    let small = FunctionLimits {
        memory: MemoryMib::new(64),
        ..timeout(3)
    };
    let bombs: [(&str, &str, &[FailureKind]); 4] = [
        (
            "fork",
            forks,
            &[
                FailureKind::TimeLimit,
                FailureKind::Exited,
                FailureKind::MemoryLimit,
            ],
        ),
        ("memory", memory, &[FailureKind::MemoryLimit]),
        (
            "shared memory",
            shared,
            &[FailureKind::MemoryLimit, FailureKind::Error],
        ),
        (
            "hidden memory",
            hidden,
            &[
                FailureKind::MemoryLimit,
                FailureKind::Exited,
                FailureKind::TimeLimit,
            ],
        ),
    ];
    for (name, code, allowed) in bombs {
        let version = lab.prepared(python_with(code, small), code).await;
        let sandbox = lab.start(&version).await;
        let failed = failure(invoke(sandbox.as_ref(), Value::Null).await);
        assert!(
            allowed.contains(&failed.kind),
            "the {name} bomb gave {failed:?}"
        );
        // While what is left of the bomb still burns.
        lab.still_serves(&bystander).await;
        sandbox.stop().await.unwrap();
    }
}

/// Nothing that a function does makes the machine's disk grow, but its container's log up to its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_does_not_grow() {
    let code = "import os\ndef handler(p):\n    for _ in range(200): os.write(1, b'y' * (1 << 18) + b'\\n')\n";
    let lab = Lab::new().await;
    let version = lab.python(code).await;
    let sandbox = lab.start(&version).await;
    invoke(sandbox.as_ref(), Value::Null).await.unwrap();
    let container = lab.container().await;
    let log = docker(&["inspect", "-f", "{{.LogPath}}", &container]);
    let size = std::fs::metadata(log).unwrap().len();
    assert!(size < 2 << 20, "the container's log has {size} bytes");
    let written = docker(&["inspect", "-s", "-f", "{{.SizeRw}}", &container]);
    // Podman puts one link there, /etc/mtab.
    assert!(
        written.parse::<u32>().unwrap() < 100,
        "the container's own layer holds {written} bytes"
    );
    let sealed = lab
        .dir()
        .join("sockets")
        .join(lab.files("sockets").remove(0));
    assert_eq!(
        std::fs::read_dir(sealed).unwrap().count(),
        2,
        "the folder of the sockets holds the sockets"
    );
    let cores: Vec<_> = lab
        .files("")
        .into_iter()
        .filter(|name| name.contains("core"))
        .collect();
    assert!(cores.is_empty(), "{cores:?}");
}

/// Secrets are in the function's environment and nowhere that the engine or the machine shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_seen_by_the_function_alone() {
    let lab = Lab::with_cells(1).await;
    lab.executor.warm_up(&[Runtime::NodeJs]);
    lab.wait_for_cells(2).await;
    let py = "import os\ndef handler(p):\n    print('ready')\n    return [os.environ['KEY'], os.environ['VISIBLE']]\n";
    let js = "exports.handler = () => { console.log('ready'); return [process.env.KEY, process.env.VISIBLE]; };";
    let secret = unique("hunter2");
    for (version, code) in [(python(py), py), (nodejs(js), js)] {
        let secrets = Secrets {
            nonce: [1; 16],
            values: [("KEY".to_owned(), secret.clone())].into(),
            ..Secrets::default()
        };
        let env = [("VISIBLE".to_owned(), "yes".to_owned())].into();
        let version = lab
            .prepared(
                Version {
                    secrets,
                    env,
                    ..version
                },
                code,
            )
            .await;
        let sandbox = lab.start(&version).await;
        assert_eq!(
            json_of(&invoke(sandbox.as_ref(), Value::Null).await.unwrap()),
            json!([secret, "yes"])
        );
        // The one that the deploy tried the code in is gone, and the sandbox's cell is replaced.
        lab.wait_for_cells(2).await;
        lab.wait_for_containers(3).await;
        for container in lab.containers() {
            let shown = docker(&["inspect", &container]) + &docker(&["logs", &container]);
            assert!(
                !shown.contains(&secret),
                "the engine shows a secret: {shown}"
            );
            let processes = processes_of(&container);
            assert!(!processes.is_empty(), "the container's processes are known");
            for (pid, file) in processes
                .iter()
                .flat_map(|pid| [(pid, "environ"), (pid, "cmdline")])
            {
                let told = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                assert!(
                    !String::from_utf8_lossy(&told).contains(&secret),
                    "{file} at the start holds a secret"
                );
            }
        }
        sandbox.stop().await.unwrap();
    }
    let text = format!("{:?} {:?}", lab.executor, lab.config);
    assert!(!text.contains(&secret));
    for folder in ["", "code", "layers", "sockets"] {
        for name in lab.files(folder) {
            let bytes = std::fs::read(lab.dir().join(folder).join(name)).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&bytes).contains(&secret),
                "a file of the node holds a secret"
            );
        }
    }
}

/// A function that leaves a process behind, or listens, cannot keep it beyond its container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_running_ends_with_the_container() {
    let mark = unique("left");
    let code = format!(
        "import subprocess\ndef handler(p):\n    subprocess.Popen(['python3', '-c', 'import time; time.sleep(600)', '{mark}'], start_new_session=True)\n"
    );
    let lab = Lab::new().await;
    let version = lab.python(&code).await;
    let sandbox = lab.start(&version).await;
    invoke(sandbox.as_ref(), Value::Null).await.unwrap();
    crate::support::wait_until("the process", || processes_with(&mark) == 1).await;
    sandbox.stop().await.unwrap();
    crate::support::wait_until("the end of the process", || processes_with(&mark) == 0).await;
}

/// Processes of this machine with a word in their arguments.
pub(crate) fn processes_with(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            String::from_utf8_lossy(line)
                .split('\0')
                .any(|argument| argument == word)
        })
        .count()
}

/// The limits of a template container are its function's, before its first line runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stem_cell_gets_its_functions_limits() {
    let lab = Lab::with_cells(1).await;
    let version = lab.prepared(
        python_with(
            ECHO,
            FunctionLimits {
                memory: MemoryMib::new(96),
                cpu: serverledge_core::CpuMilli::new(250),
                ..limits()
            },
        ),
        ECHO,
    );
    let version = version.await;
    lab.wait_for_cells(1).await;
    let before = lab.containers();
    let started = lab.executor.start(&version).await.unwrap();
    assert_eq!(phase_names(&started.phases), ["limits", "bind"]);
    let wanted = [
        (96 << 20).to_string(),
        "25000".to_owned(),
        "6250".to_owned(),
    ];
    // The processor share is told to the engine beside the first call.
    let has = |id: &String| crate::support::limits_in_force(id).is_ok_and(|told| told == wanted);
    crate::support::wait_until("the function's limits", || before.iter().any(has)).await;
    tokio::time::timeout(Duration::from_secs(10), started.sandbox.stop())
        .await
        .unwrap()
        .unwrap();
}
