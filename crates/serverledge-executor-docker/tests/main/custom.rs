//! Images of the `custom` runtime: the executor protocol over TCP, made from the Python image for the time of a test.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use serverledge_core::{FailureKind, Runtime, Version};
use serverledge_testing::executor;

use crate::escapes::PROBES;
use crate::support::{
    Lab, docker, docker_quiet, engine_socket, failure, invoke, json_of, limits, python_image,
    refusal, unique,
};

const SERVER: &str = include_str!("custom_server.py");

/// An image, removed when dropped.
pub(crate) struct CustomImage(String);

impl CustomImage {
    /// With the probes and a small server.
    pub(crate) fn build() -> Self {
        Self::with_command(r#"["python3", "/srv/custom_server.py"]"#)
    }

    fn with_command(command: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("probes.py"), PROBES).unwrap();
        std::fs::write(dir.path().join("custom_server.py"), SERVER).unwrap();
        let file = format!(
            "FROM {}\nCOPY *.py /srv/\nENTRYPOINT {command}\n",
            python_image()
        );
        std::fs::write(dir.path().join("Dockerfile"), file).unwrap();
        let image = Self(unique("serverledge-test-custom"));
        let output = Command::new("docker")
            .arg("-H")
            .arg(format!("unix://{}", engine_socket().display()))
            .args(["build", "-q", "-t", &image.0, "."])
            .env("DOCKER_BUILDKIT", "0")
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        image
    }

    pub(crate) fn version(&self) -> Version {
        Version {
            runtime: Runtime::Custom,
            image: self.0.clone(),
            ..executor::version(b"", limits())
        }
    }
}

/// The address of a container in its network.
pub(crate) fn address(container: &str) -> String {
    docker(&[
        "inspect",
        "-f",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        container,
    ])
}

/// This machine's address in a container's network.
pub(crate) fn gateway(container: &str) -> String {
    let network = docker(&[
        "inspect",
        "-f",
        "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}",
        container,
    ]);
    docker(&[
        "network",
        "inspect",
        "-f",
        "{{range .IPAM.Config}}{{.Gateway}}{{end}}",
        &network,
    ])
}

impl Drop for CustomImage {
    fn drop(&mut self) {
        let _ = docker_quiet(&["rmi", "-f", &self.0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_image_serves_and_goes() {
    let lab = Lab::new().await;
    let image = CustomImage::build();
    let version = lab.prepared(image.version(), "").await;
    let sandbox = lab.start(&version).await;
    for _ in 0..3 {
        let outcome = invoke(sandbox.as_ref(), json!({"probe": "identity"}))
            .await
            .unwrap();
        assert_eq!(json_of(&outcome), json!([]));
        assert_eq!(&outcome.log[..], b"ran\n");
    }
    let failed = failure(invoke(sandbox.as_ref(), json!({"probe": "no such"})).await);
    assert_eq!(
        (failed.kind, failed.message.as_str()),
        (FailureKind::Error, "KeyError: 'no such'")
    );
    docker(&["kill", &lab.container().await]);
    assert!(matches!(
        invoke(sandbox.as_ref(), Value::Null).await,
        Err(serverledge_core::InvokeError::Gone)
    ));
    lab.executor.close().await;
    assert!(
        lab.containers().is_empty() && lab.networks().is_empty(),
        "something is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_do_not_serve_are_refused_with_their_words() {
    // The second one takes all of its time: enough for an interpreter to start on a busy machine. It writes its line in pieces.
    let cases = [
        (
            Duration::from_secs(120),
            r#"["python3", "-c", "print('no licence'); raise SystemExit(7)"]"#,
            "code 7",
            "no licence",
        ),
        (
            Duration::from_secs(25),
            r#"["python3", "-uc", "import sys, time; [sys.stdout.write(part) for part in ('think', 'ing\\n')]; time.sleep(600)"]"#,
            "did not listen",
            "thinking",
        ),
    ];
    for (start_timeout, command, why, wrote) in cases {
        let lab = Lab::with(|config| config.start_timeout = start_timeout).await;
        let image = CustomImage::with_command(command);
        let (told, message) = refusal(lab.prepare(&image.version(), "").await);
        assert_eq!(told, "image_does_not_start");
        assert!(
            message.contains(why) && message.contains(wrote),
            "{message}"
        );
    }
    let lab = Lab::new().await;
    let missing = Version {
        image: "serverledge-test-nowhere:1".to_owned(),
        ..CustomImage::build().version()
    };
    assert_eq!(refusal(lab.prepare(&missing, "").await).0, "image_missing");
}

/// The engine would make a volume on the machine's disk: writable whatever the profile says, and without a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_with_a_volume_is_refused() {
    let lab = Lab::new().await;
    let image = CustomImage::with_command("[\"true\"]\nVOLUME /data");
    let (code, message) = refusal(lab.prepare(&image.version(), "").await);
    assert_eq!(code, "image_has_volumes");
    assert!(message.contains("/data"), "{message}");
}
