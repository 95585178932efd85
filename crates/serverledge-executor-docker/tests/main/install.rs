//! Dependencies from the real PyPI and npm, in a builder container with network; read-only and shared afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use serverledge_core::{Executor, MemoryMib, PrepareError, Progress, Version};

use crate::support::{Lab, invoke, json_of, nodejs, python, refusal, wait_until};

/// Hears the steps of a deploy.
#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Progress for Steps {
    fn step(&self, text: &str) {
        self.0.lock().push(text.to_owned());
    }
}

/// A tar of these files.
pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// The version of a tar, of the runtime of `like`.
pub(crate) fn of(like: fn(&str) -> Version, code: &[u8]) -> Version {
    Version {
        code: serverledge_core::Digest::new(*blake3::hash(code).as_bytes()),
        ..like("")
    }
}

pub(crate) async fn prepare(
    lab: &Lab,
    version: &Version,
    code: &[u8],
) -> (Result<(), PrepareError>, String) {
    let steps = Steps::default();
    let outcome = lab
        .executor
        .prepare(version, Bytes::copy_from_slice(code), &steps)
        .await
        .map(drop);
    let steps = steps.0.lock().join("\n");
    (outcome, steps)
}

const SIX: &str = "\
def handler(params):
    import six, os
    held = []
    for place in ['/app/python/six.py', '/app/python/new']:
        try: open(place, 'a').write('x')
        except OSError: held.append(place)
    return [six.__version__, six.__file__, len(held)]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requirements_are_installed_once_and_shared() {
    let lab = Lab::with(|config| config.cells = 1).await;
    let first = tar(&[("main.py", SIX), ("requirements.txt", "six==1.16.0\n")]);
    let version = of(python, &first);
    let (outcome, steps) = prepare(&lab, &version, &first).await;
    outcome.unwrap();
    assert!(
        steps.contains("installing dependencies with pip") && steps.contains("installed"),
        "{steps}"
    );
    // Another function, uploaded as a folder, with the same file.
    let second = tar(&[
        ("app/main.py", &format!("{SIX}# another\n")),
        ("app/requirements.txt", "six==1.16.0\n"),
    ]);
    let another = of(python, &second);
    let (outcome, steps) = prepare(&lab, &another, &second).await;
    outcome.unwrap();
    assert!(
        steps.contains("installed already") && !steps.contains("with pip"),
        "{steps}"
    );
    assert_eq!(lab.files("layers").len(), 1);
    for version in [version, another].map(Arc::new) {
        let sandbox = lab.start(&version).await;
        let told = json_of(&invoke(sandbox.as_ref(), Value::Null).await.unwrap());
        assert_eq!(
            told,
            json!(["1.16.0", "/app/python/six.py", 2]),
            "six, from the layer, which is read-only"
        );
        sandbox.stop().await.unwrap();
    }
    assert_eq!(
        lab.executor
            .sweep(&[version_code(&first)].into(), Duration::ZERO)
            .await,
        1,
        "the layer is in use"
    );
    assert_eq!(
        lab.executor.sweep(&[].into(), Duration::ZERO).await,
        2,
        "code and layer"
    );
    assert!(lab.files("layers").is_empty() && lab.files("code").is_empty());
}

fn version_code(code: &[u8]) -> serverledge_core::Digest {
    of(python, code).code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_installed_with_a_lock_and_without() {
    let lab = Lab::new().await;
    let js = "const odd = require('is-odd');\nexports.handler = p => [odd(p), require.resolve('is-odd')];\n";
    let package = r#"{"name":"f","version":"1.0.0","dependencies":{"is-odd":"3.0.1"}}"#;
    let code = tar(&[("main.js", js), ("package.json", package)]);
    let version = of(nodejs, &code);
    let (outcome, steps) = prepare(&lab, &version, &code).await;
    outcome.unwrap();
    assert!(
        steps.contains("installing dependencies with npm"),
        "{steps}"
    );
    let sandbox = lab.start(&Arc::new(version)).await;
    let told = json_of(&invoke(sandbox.as_ref(), json!(3)).await.unwrap());
    assert_eq!(told, json!([true, "/app/node_modules/is-odd/index.js"]));
    sandbox.stop().await.unwrap();
    // The lock that npm made.
    let layer = lab.dir().join("layers").join(lab.files("layers").remove(0));
    let lock = std::fs::read_to_string(layer.join("package-lock.json")).unwrap();
    let code = tar(&[
        ("main.js", js),
        ("package.json", package),
        ("package-lock.json", &lock),
    ]);
    let version = of(nodejs, &code);
    prepare(&lab, &version, &code).await.0.unwrap();
    assert_eq!(
        lab.files("layers").len(),
        2,
        "another request, another layer"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_installation_says_why_and_keeps_nothing() {
    let lab = Lab::new().await;
    let code = tar(&[
        ("main.py", SIX),
        ("requirements.txt", "serverledge-no-such-package==9.9.9\n"),
    ]);
    let (told, message) = refusal(prepare(&lab, &of(python, &code), &code).await.0);
    assert_eq!(told, "install_failed");
    assert!(
        message.contains("No matching distribution found for serverledge-no-such-package"),
        "{message}"
    );
    let package = r#"{"dependencies":{"@serverledge/no-such-package":"9.9.9"}}"#;
    let code = tar(&[
        ("main.js", "exports.handler = p => p"),
        ("package.json", package),
    ]);
    let (told, message) = refusal(prepare(&lab, &of(nodejs, &code), &code).await.0);
    assert_eq!(told, "install_failed");
    assert!(message.contains("404"), "{message}");
    let code = tar(&[
        ("main.js", "exports.handler = p => p"),
        ("package.json", "{not json"),
    ]);
    let (told, message) = refusal(prepare(&lab, &of(nodejs, &code), &code).await.0);
    assert!(
        told == "install_failed" && message.contains("EJSONPARSE"),
        "{message}"
    );
    assert!(
        lab.files("layers").is_empty()
            && lab.files("code").is_empty()
            && lab.containers().is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installations_have_limits() {
    let slow = Lab::with(|config| config.install.timeout = Duration::from_millis(100)).await;
    let code = tar(&[("main.py", SIX), ("requirements.txt", "six==1.16.0\n")]);
    assert_eq!(
        refusal(prepare(&slow, &of(python, &code), &code).await.0).0,
        "install_timeout"
    );
    assert!(slow.files("layers").is_empty() && slow.containers().is_empty());
    drop(slow);
    let small = Lab::with(|config| config.install.layer_max = MemoryMib::new(0)).await;
    assert_eq!(
        refusal(prepare(&small, &of(python, &code), &code).await.0).0,
        "install_too_large"
    );
    // A deploy that is given up.
    let version = of(python, &code);
    tokio::select! {
        ended = prepare(&small, &version, &code) => panic!("the deploy ended: {ended:?}"),
        () = wait_until("the builder", || !small.containers().is_empty()) => {}
    }
    small.wait_for_containers(0).await;
    assert!(
        small.files("layers").is_empty(),
        "{:?}",
        small.files("layers")
    );
}

/// A package's own build script has few rights: it runs in the builder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_installation_holds() {
    let lab = Lab::new().await;
    // npm runs this line; what it says is the error's text.
    let script = "sh -c 'id -u; cat /proc/self/status | grep -E \\\"CapEff|NoNewPrivs|Seccomp:\\\"; touch /usr/x; ls /run/serverledge /var/run/docker.sock; exit 9'";
    let package =
        format!(r#"{{"scripts":{{"preinstall":"{script}"}},"dependencies":{{"is-odd":"3.0.1"}}}}"#);
    let code = tar(&[
        ("main.js", "exports.handler = p => p"),
        ("package.json", &package),
    ]);
    let (told, message) = refusal(prepare(&lab, &of(nodejs, &code), &code).await.0);
    assert_eq!(told, "install_failed");
    for held in [
        "65532",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Read-only file system",
        "docker.sock': No such",
    ] {
        assert!(message.contains(held), "{held:?} is missing in {message}");
    }
    assert!(lab.files("layers").is_empty());
}

/// Links in what was installed, and in its place, lead to the function's own container or are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_in_a_layer_do_not_lead_to_the_machine() {
    let lab = Lab::new().await;
    // The folder and the ones above it are the node's alone; what is looked for lies where everybody may read.
    let open = tempfile::Builder::new()
        .prefix("sledge-open-")
        .tempdir()
        .unwrap();
    std::fs::set_permissions(
        open.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::write(open.path().join("mark"), "of the machine").unwrap();
    let place = open.path().display();
    let read = "exports.handler = () => ['mark', 'link/mark'].map(name => { try { return require('fs').readFileSync('/app/node_modules/' + name, 'utf8'); } catch (e) { return e.code; } })";
    let scripts = [
        format!("rm -rf /out/node_modules; ln -s {place} /out/node_modules"),
        format!("ln -s {place} /out/node_modules/link"),
    ];
    for (index, script) in scripts.iter().enumerate() {
        let package = format!(
            r#"{{"scripts":{{"postinstall":"{script}"}},"dependencies":{{"is-odd":"3.0.1"}}}}"#
        );
        let code = tar(&[("main.js", read), ("package.json", &package)]);
        let version = of(nodejs, &code);
        match prepare(&lab, &version, &code).await.0 {
            Ok(()) => {
                let sandbox = lab.start(&Arc::new(version)).await;
                let told = json_of(&invoke(sandbox.as_ref(), Value::Null).await.unwrap());
                assert_eq!(
                    told,
                    json!(["ENOENT", "ENOENT"]),
                    "the machine's file is read through a link"
                );
                assert_eq!(index, 1, "a link in the folder's place is refused");
            }
            refused => assert_eq!((index, refusal(refused).0), (0, "install_failed")),
        }
    }
}

/// Functions that asked for a network reach the index themselves; whether this machine gives them one is checked here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_with_a_network_reaches_out_and_no_other_container() {
    let lab = Lab::new().await;
    // Without an address: the index that pip asks by itself.
    let text = "import socket, sys\nsys.path.append('/usr/lib/python3/dist-packages')\nfrom pip._internal.models.index import PyPI\ndef handler(p):\n    try:\n        with socket.create_connection(tuple(p or [PyPI.netloc, 443]), 3 if p else 15): return True\n    except OSError as error: return str(error)\n";
    let version = Version {
        network: serverledge_core::Network::Bridge,
        ..python(text)
    };
    let version = lab.prepared(version, text).await;
    let sandbox = lab.start(&version).await;
    let reached = json_of(&invoke(sandbox.as_ref(), Value::Null).await.unwrap());
    assert_eq!(
        reached,
        json!(true),
        "containers of this machine have no way out: DNS and NAT are needed"
    );
    // Its own address: that from which it would ask a name server.
    let listens = "import socket\nlistener = socket.create_server(('0.0.0.0', 7000))\ndef handler(p):\n    with socket.socket(type=socket.SOCK_DGRAM) as out:\n        out.connect(('1.1.1.1', 53))\n        return out.getsockname()[0]\n";
    let other = Version {
        network: serverledge_core::Network::Bridge,
        ..python(listens)
    };
    let other = lab.prepared(other, listens).await;
    let other = lab.start(&other).await;
    let address = json_of(&invoke(other.as_ref(), Value::Null).await.unwrap());
    let refused = json_of(
        &invoke(sandbox.as_ref(), json!([address, 7000]))
            .await
            .unwrap(),
    );
    assert_eq!(refused, json!("timed out"), "a container reached another");
    // Not allowed, no network.
    let strict = Lab::with(|config| config.allow_bridge = false);
    drop((sandbox, other));
    drop(lab);
    let strict = strict.await;
    let (code, _) = refusal(strict.prepare(&version, text).await);
    assert_eq!(code, "network_not_allowed");
}

/// A file that is to be seen in the container and cannot be there: the engine says so, and is quoted. (A missing one Podman makes.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_refuses_is_told_as_the_engines() {
    let lab = Lab::with(|config| config.install.ca_file = Some("/etc/passwd/ca.pem".into())).await;
    let code = tar(&[
        ("main.py", "def handler(p): pass\n"),
        ("requirements.txt", "six==1.16.0\n"),
    ]);
    let (outcome, _) = prepare(&lab, &of(python, &code), &code).await;
    let Err(PrepareError::Unavailable {
        code: "engine_refused",
        source,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}")
    };
    let words = source.to_string();
    assert!(
        words.starts_with("Docker Engine ") || words.starts_with("Podman "),
        "{words}"
    );
    assert!(
        words.contains(" refused (") && words.contains("/etc/passwd/ca.pem"),
        "{words}"
    );
    lab.wait_for_containers(0).await;
    assert!(
        lab.networks().len() <= 1,
        "a container's own network goes with it"
    );
}
