//! Logging in and out: what is sent, what is kept, what is never shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

const PASSWORD: &str = "correct horse battery";
const LOGGED_IN: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\nset-cookie: serverledge_session=hidden-session; \
                         HttpOnly\r\n\r\n{\"user\":\"u\",\"lifetime_s\":60}";
const DONE: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

fn created(token: &str, id: &str) -> String {
    format!(
        "HTTP/1.1 201 Created\r\nconnection: close\r\n\r\n{{\"token\":\"{token}\",\"info\":{{\"id\":\"{id}\",\
         \"name\":\"serverledge-cli on m\",\"scopes\":[\"invoke\"],\"created_unix_ms\":1}}}}"
    )
}

/// A node that answers from scripts, and a person's home.
struct Scene {
    folder: tempfile::TempDir,
    listener: TcpListener,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n"))
            .expect("a file can be written");
        Self {
            folder,
            listener: TcpListener::bind("127.0.0.1:0").expect("a port is free"),
        }
    }

    fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .expect("a listener has an address")
            .port()
    }

    fn file(&self) -> PathBuf {
        self.folder
            .path()
            .join(".config/serverledge/credentials.toml")
    }

    fn kept(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap_or_default()
    }

    /// Runs the program against these answers, one a connection; what it asked, and how it ended.
    fn run(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        answers: &[&str],
    ) -> (Vec<String>, Output) {
        let port = self.port().to_string();
        let mut command = program(&self.folder);
        let child = command
            .args(arguments)
            .args(["--port", &port])
            .envs(environment.iter().copied())
            .spawn();
        let answer = |text: &&str| {
            let (mut stream, _) = self.listener.accept().expect("a connection comes");
            let request = read_request(&mut stream);
            stream
                .write_all(text.as_bytes())
                .expect("the answer is read");
            request
        };
        let child = child.expect("the program starts");
        let asked = answers.iter().map(answer).collect();
        (asked, child.wait_with_output().expect("the program ends"))
    }
}

#[track_caller]
fn assert_code(output: &Output, code: i32) -> String {
    let shown = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{shown}");
    for secret in [
        PASSWORD,
        "hidden-session",
        "slt_first",
        "slt_second",
        "slt_secret",
        "no-such-form",
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    shown
}

#[test]
fn logging_in_keeps_a_token_and_logging_out_revokes_it() {
    let scene = Scene::new();
    let login = [
        "login",
        "--email",
        "ada@example.org",
        "--password-file",
        "password",
        "-v",
    ];
    let (asked, output) = scene.run(&login, &[], &[LOGGED_IN, &created("slt_first", "t1"), DONE]);
    assert_code(&output, 0);
    assert!(
        asked[0]
            .ends_with("{\"email\":\"ada@example.org\",\"password\":\"correct horse battery\"}"),
        "{}",
        asked[0]
    );
    for (request, line) in asked[1..]
        .iter()
        .zip(["POST /account/tokens ", "POST /account/log-out "])
    {
        assert!(
            request.starts_with(line)
                && request.contains("cookie: serverledge_session=hidden-session"),
            "{request}"
        );
    }
    assert!(
        scene.kept().contains("slt_first") && !scene.kept().contains("hidden-session"),
        "{}",
        scene.kept()
    );
    let mode = std::fs::metadata(scene.file())
        .expect("the file is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let (asked, output) = scene.run(
        &["list"],
        &[],
        &["HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[]"],
    );
    assert_code(&output, 0);
    assert!(
        asked[0].contains("authorization: Bearer slt_first\r\n"),
        "{}",
        asked[0]
    );

    // The token before is of no use any more, and is revoked by itself.
    let (asked, output) = scene.run(
        &login,
        &[],
        &[LOGGED_IN, &created("slt_second", "t2"), DONE, DONE],
    );
    assert_code(&output, 0);
    assert!(!asked[0].contains("authorization"), "{}", asked[0]);
    assert!(
        asked[3].starts_with("POST /account/log-out ") && asked[3].contains("Bearer slt_first"),
        "{}",
        asked[3]
    );

    let unavailable = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"code\":\"registry_unavailable\"}";
    let (_, output) = scene.run(&["logout"], &[], &[unavailable]);
    assert!(assert_code(&output, 2).contains("--force"));
    assert!(
        scene.kept().contains("slt_second"),
        "what could not be revoked is kept"
    );
    let (asked, output) = scene.run(&["logout"], &[], &[DONE]);
    assert_code(&output, 0);
    assert!(asked[0].contains("Bearer slt_second"), "{}", asked[0]);
    assert!(!scene.kept().contains("slt_"), "{}", scene.kept());
    let (_, output) = scene.run(&["logout"], &[], &[]);
    assert_code(&output, 1);
}

#[test]
fn refusals_of_a_log_in_keep_nothing() {
    let scene = Scene::new();
    let login = [
        "login",
        "--email",
        "ada@example.org",
        "--password-file",
        "password",
    ];
    let problem = |status: &str, code: &str| {
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\nretry-after: 7\r\n\r\n{{\"code\":\"{code}\",\"detail\":\"no\"}}"
        )
    };
    let (_, output) = scene.run(
        &login,
        &[],
        &[&problem("403 Forbidden", "wrong_credentials")],
    );
    assert_code(&output, 2);
    let (_, output) = scene.run(
        &login,
        &[],
        &[&problem("429 Too Many Requests", "too_many_tries")],
    );
    assert!(assert_code(&output, 6).contains("try again in 7 s"));
    // Without a token the session ends all the same.
    let (asked, output) = scene.run(
        &login,
        &[],
        &[LOGGED_IN, &problem("403 Forbidden", "forbidden"), DONE],
    );
    assert_code(&output, 2);
    assert!(
        asked[2].starts_with("POST /account/log-out "),
        "{}",
        asked[2]
    );
    assert!(!scene.file().exists());
}

#[test]
fn tokens_stay_on_this_machine_without_tls() {
    let scene = Scene::new();
    for arguments in [
        &["list", "--host", "192.0.2.1"][..],
        &["whoami", "--host", "node.example"],
    ] {
        let (_, output) = scene.run(arguments, &[("SERVERLEDGE_TOKEN", "slt_secret")], &[]);
        assert!(assert_code(&output, 1).contains("--insecure-token"));
    }
    let (_, output) = scene.run(
        &[
            "login",
            "--email",
            "a@b.example",
            "--password-file",
            "password",
            "--host",
            "192.0.2.1",
        ],
        &[],
        &[],
    );
    assert!(assert_code(&output, 1).contains("where others can read it"));
    let (_, output) = scene.run(&["list"], &[("SERVERLEDGE_TOKEN", "no-such-form")], &[]);
    assert_code(&output, 1);
}
