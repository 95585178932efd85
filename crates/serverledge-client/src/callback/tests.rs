//! Callbacks over real sockets on loopback, allowed and not allowed.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::JoinHandle;

use serverledge_core::{PropagatedContext, TraceParent};
use serverledge_testing::certificates::Authority;

use super::*;
use crate::tls::tests::outcome;

const KEY: &[u8] = b"key of tests";
const BODY: &[u8] = br#"{"a":1}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// Longer than any test takes: nothing may run into it by accident.
const PATIENCE: Duration = Duration::from_secs(120);
/// For tests in which nothing comes.
const SHORT: Duration = Duration::from_secs(3);

/// A name service that answers in this order, and then no more.
struct Names(Mutex<Vec<Vec<&'static str>>>);

impl Names {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(
            answers.iter().rev().map(|answer| answer.to_vec()).collect(),
        )))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Lookup for Arc<Names> {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        assert_eq!(name, "hooks.example");
        let answer = self.0.lock().unwrap().pop();
        let answer = answer.ok_or_else(|| io::Error::other("no such name"))?;
        Ok(answer
            .into_iter()
            .map(|address| address.parse().unwrap())
            .collect())
    }
}

fn config(allow: &[&str]) -> CallbackConfig {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    CallbackConfig {
        allow,
        timeout: PATIENCE,
        ..CallbackConfig::new(KEY.to_vec())
    }
}

fn sender(allow: &[&str]) -> CallbackSender {
    CallbackSender::new(config(allow)).unwrap()
}

fn asking(allow: &[&str], names: &Arc<Names>) -> CallbackSender {
    CallbackSender::resolving(config(allow), Arc::clone(names)).unwrap()
}

fn trace(state: &str) -> TraceContext {
    let caller = Arc::new(PropagatedContext {
        trace_state: state.to_owned(),
        ..PropagatedContext::default()
    });
    TraceContext::new(TraceParent::parse(TRACE).unwrap(), Some(&caller))
}

async fn send(sender: &CallbackSender, url: &str) -> Result<u16, CallbackError> {
    sender
        .send(
            url,
            InvocationId::new(),
            &trace(""),
            Bytes::from_static(BODY),
        )
        .await
}

/// A listener that must not be connected to.
fn trap(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A connection to loopback stands in the listener's queue before the one who connects goes on.
fn assert_untouched(trap: &TcpListener) {
    assert_eq!(
        trap.accept().map(|_| ()).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "somebody connected"
    );
}

/// A receiver of one callback on 127.0.0.1: its port, and what `talk` makes of the request.
fn receiver<T: Send + 'static>(
    talk: impl FnOnce(TcpStream, String) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        talk(stream, request)
    });
    (port, thread)
}

fn answering(answer: &'static str) -> (u16, JoinHandle<String>) {
    receiver(move |mut stream, request| {
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

/// Reads up to the end of the body that all tests send.
fn read_request(stream: &mut impl io::Read) -> String {
    let mut read = Vec::new();
    while !read.ends_with(BODY) {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .expect("the request ended early");
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let find = |line: &'a str| {
        line.split_once(": ")
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    request
        .lines()
        .find_map(find)
        .unwrap_or_else(|| panic!("no {name} in {request}"))
}

#[tokio::test]
async fn a_callback_is_signed_and_arrives() {
    let (port, request) = answering("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok");
    let id = InvocationId::new();
    let url = format!("http://127.0.0.1:{port}/done?x=1");
    let sent = sender(&["127.0.0.1"])
        .send(&url, id, &trace("a=1"), Bytes::from_static(BODY))
        .await;
    assert_eq!(sent.unwrap(), 202);
    let request = outcome(request).await;
    assert!(
        request.starts_with("POST /done?x=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(header(&request, "content-type"), "application/json");
    assert_eq!(header(&request, INVOCATION_HEADER), id.to_string());
    assert_eq!(header(&request, "traceparent"), TRACE);
    assert_eq!(header(&request, "tracestate"), "a=1");
    let (time, signature) = header(&request, SIGNATURE_HEADER).split_once(',').unwrap();
    let time: u64 = time.strip_prefix("t=").unwrap().parse().unwrap();
    let now = unix_ms() / 1000;
    assert!((now - 600..=now).contains(&time), "{time}");
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{time}.{id}.{}", String::from_utf8_lossy(BODY)).as_bytes());
    let expected: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(signature, format!("v1={expected}"));
}

/// Computed by another program.
#[test]
fn the_signature_is_that_of_the_contract() {
    let id = InvocationId::parse("018bcfe5-6800-7000-8000-000000000001").unwrap();
    assert_eq!(
        sender(&[]).signature(1_700_000_000, id, BODY),
        "t=1700000000,v1=de6ad5ced65205fb85846ad179f13204eca7a517daf146316cae4743985ffe98"
    );
}

#[test]
fn urls_are_checked_before_anything_is_asked() {
    let sender = sender(&["10.0.0.0/8"]);
    for fine in [
        "http://hooks.example/done?a=b#c",
        "HTTPS://Hooks.Example:8443/",
        "http://8.8.8.8/",
        "http://10.1.2.3:8080/",
        "http://[::ffff:10.1.2.3]/",
        "http://[2606:4700::1111]/",
        "http://bücher.example/",
    ] {
        assert_eq!(sender.check(fine), Ok(()), "{fine}");
    }
    let check = |url: &str, expected: CallbackRefused| {
        assert_eq!(sender.check(url), Err(expected), "{url}")
    };
    check(
        &format!("http://hooks.example/{}", "x".repeat(2048)),
        CallbackRefused::TooLong,
    );
    check(
        "ftp://hooks.example/",
        CallbackRefused::Scheme("ftp".to_owned()),
    );
    check(
        "file:///etc/passwd",
        CallbackRefused::Scheme("file".to_owned()),
    );
    check("http://user@hooks.example/", CallbackRefused::UserInfo);
    check("http://:secret@hooks.example/", CallbackRefused::UserInfo);
    check("http://hooks.example:0/", CallbackRefused::PortZero);
    for none in [
        "",
        "/done",
        "hooks.example/done",
        "http://",
        "http://a b/",
        "http://a\n.example/",
        "http://[::1",
        "http://256.1.1.1/",
    ] {
        assert!(
            matches!(sender.check(none), Err(CallbackRefused::NotUrl(_))),
            "{none:?}: {:?}",
            sender.check(none)
        );
    }
    for (url, address) in [
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://127.1/", "127.0.0.1"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0x7f.0.0.1/", "127.0.0.1"),
        ("http://0177.0.0.1/", "127.0.0.1"),
        ("http://127.0.0.1./", "127.0.0.1"),
        ("http://\u{ff11}27.0.0.1/", "127.0.0.1"),
        ("http://0/", "0.0.0.0"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("http://192.168.1.1/", "192.168.1.1"),
        ("http://[::1]/", "::1"),
        ("http://[::]/", "::"),
        ("http://[fe80::1]/", "fe80::1"),
        ("http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1"),
        ("http://[::ffff:7f00:1]/", "::ffff:127.0.0.1"),
        ("http://[64:ff9b::10.1.2.3]/", "64:ff9b::10.1.2.3"),
    ] {
        check(url, CallbackRefused::Address(address.parse().unwrap()));
    }
}

/// Sockets listen at all of these, and none is connected to.
#[tokio::test]
async fn addresses_that_are_not_allowed_are_not_connected_to() {
    let (trap, port) = trap("0.0.0.0");
    let sender = sender(&["10.0.0.0/8"]);
    for host in [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]",
        "2130706433",
        "[::1]",
    ] {
        let sent = send(&sender, &format!("http://{host}:{port}/"))
            .await
            .unwrap_err();
        assert!(
            matches!(sent, CallbackError::Refused(CallbackRefused::Address(_))),
            "{host}: {sent:?}"
        );
        assert!(sent.is_final());
    }
    let sent = send(&sender, &format!("http://localhost:{port}/"))
        .await
        .unwrap_err();
    assert!(
        matches!(&sent, CallbackError::Refused(CallbackRefused::Name(name)) if name == "localhost"),
        "{sent:?}"
    );
    assert!(sent.is_final());
    assert_untouched(&trap);
}

#[tokio::test]
async fn names_that_are_allowed_may_stand_for_anything() {
    let (port, request) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let names = Names::new(&[&["127.0.0.1"]]);
    let url = format!("http://hooks.example:{port}/");
    assert_eq!(
        send(&asking(&["hooks.example"], &names), &url)
            .await
            .unwrap(),
        200
    );
    assert_eq!(
        header(&outcome(request).await, "host"),
        format!("hooks.example:{port}")
    );
}

#[tokio::test]
async fn a_name_with_a_forbidden_address_is_refused() {
    let (trap, port) = trap("127.0.0.1");
    let url = format!("http://hooks.example:{port}/");
    for answer in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["::ffff:127.0.0.1"],
        &["0.0.0.0"],
        &["fe80::1"],
        &["64:ff9b::7f00:1"],
    ] {
        let names = Names::new(&[answer]);
        let sent = send(&asking(&["127.0.0.2"], &names), &url)
            .await
            .unwrap_err();
        assert!(
            matches!(&sent, CallbackError::Refused(CallbackRefused::Name(_))),
            "{answer:?}: {sent:?}"
        );
        assert!(sent.is_final());
        assert!(
            !sent.to_string().contains("127.0.0.1"),
            "users learn nothing of the node's name service: {sent}"
        );
    }
    assert_untouched(&trap);
}

/// The answer that is judged is the answer that is used: there is one for each attempt.
#[tokio::test]
async fn a_name_that_changes_is_judged_anew() {
    let (port, request) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let forbidden = TcpListener::bind(("127.0.0.2", port)).unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let names = Names::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let sender = asking(&["127.0.0.1"], &names);
    let url = format!("http://hooks.example:{port}/");
    assert_eq!(send(&sender, &url).await.unwrap(), 200);
    assert_eq!(names.left(), 1, "one question for one attempt");
    outcome(request).await;
    let sent = send(&sender, &url).await.unwrap_err();
    assert!(
        matches!(sent, CallbackError::Refused(CallbackRefused::Name(_))),
        "{sent:?}"
    );
    assert_untouched(&forbidden);
    let sent = send(&sender, &url).await.unwrap_err();
    assert!(
        matches!(sent, CallbackError::Transport { .. }),
        "the name is gone: {sent:?}"
    );
    assert!(!sent.is_final());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (trap, target) = trap("127.0.0.1");
    for status in ["301", "302", "303", "307", "308"] {
        let (port, request) = receiver(move |mut stream, _| {
            write!(
                stream,
                "HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:{target}/\r\n\r\n"
            )
            .unwrap();
        });
        let sent = send(
            &sender(&["127.0.0.1"]),
            &format!("http://127.0.0.1:{port}/"),
        )
        .await
        .unwrap_err();
        assert!(
            matches!(&sent, CallbackError::Status(told) if told.to_string() == status),
            "{sent:?}"
        );
        assert!(sent.is_final());
        outcome(request).await;
    }
    assert_untouched(&trap);
}

#[tokio::test]
async fn a_reply_without_end_is_left() {
    let (port, written) = receiver(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let more = [b'x'; 1024];
        std::iter::repeat_with(|| stream.write_all(&more))
            .take_while(Result::is_ok)
            .count()
    });
    assert_eq!(
        send(
            &sender(&["127.0.0.1"]),
            &format!("http://127.0.0.1:{port}/")
        )
        .await
        .unwrap(),
        200
    );
    // It ends, because the connection does; what the kernel takes in between is not the sender's.
    outcome(written).await;
}

#[tokio::test]
async fn a_slow_reply_is_not_waited_for() {
    let brief = || {
        CallbackSender::new(CallbackConfig {
            timeout: SHORT,
            ..config(&["127.0.0.1"])
        })
        .unwrap()
    };
    let wait_for_end = |mut stream: TcpStream| {
        let _aborted_or_ended = stream.read(&mut [0]);
    };
    let (port, receiver_done) = receiver(move |stream, _| wait_for_end(stream));
    let sent = send(&brief(), &format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    assert!(matches!(sent, CallbackError::Timeout(SHORT)), "{sent:?}");
    assert!(!sent.is_final());
    outcome(receiver_done).await;

    let (port, receiver_done) = receiver(move |mut stream, _| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
            .unwrap();
        wait_for_end(stream);
    });
    let sent = send(&brief(), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(
        sent.unwrap(),
        200,
        "the status has come: another attempt would tell the receiver twice"
    );
    outcome(receiver_done).await;
}

#[tokio::test]
async fn statuses_decide_about_another_attempt() {
    for (status, is_final) in [
        (304, true),
        (400, true),
        (401, true),
        (404, true),
        (410, true),
        (408, false),
        (425, false),
        (429, false),
        (500, false),
        (503, false),
        (599, false),
    ] {
        let (port, request) = receiver(move |mut stream, _| {
            write!(
                stream,
                "HTTP/1.1 {status} Because\r\nconnection: close\r\n\r\nsecret"
            )
            .unwrap();
        });
        let sent = send(
            &sender(&["127.0.0.1"]),
            &format!("http://127.0.0.1:{port}/"),
        )
        .await
        .unwrap_err();
        assert!(
            matches!(sent, CallbackError::Status(told) if told == status),
            "{sent:?}"
        );
        assert_eq!(sent.is_final(), is_final, "{status}");
        assert!(
            !format!("{sent} {sent:?}").contains("secret"),
            "what the receiver says stays there"
        );
        outcome(request).await;
    }
}

#[tokio::test]
async fn faults_of_the_way_pass_away() {
    let (closed, port) = trap("127.0.0.1");
    drop(closed);
    let refused = send(
        &sender(&["127.0.0.1"]),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await
    .unwrap_err();
    let (port, request) = receiver(|stream, _| drop(stream));
    let broken = send(
        &sender(&["127.0.0.1"]),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await
    .unwrap_err();
    outcome(request).await;
    let (port, request) = answering("SSH-2.0-x\r\n");
    let foreign = send(
        &sender(&["127.0.0.1"]),
        &format!("http://127.0.0.1:{port}/"),
    )
    .await
    .unwrap_err();
    outcome(request).await;
    for sent in [refused, broken, foreign] {
        assert!(matches!(sent, CallbackError::Transport { .. }), "{sent:?}");
        assert!(!sent.is_final());
    }
}

#[tokio::test]
async fn tls_needs_a_certificate_of_a_known_authority() {
    let authority = Authority::new("hooks").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    authority
        .issue("DNS:hooks.example", &files.0, &files.1)
        .unwrap();
    let server = crate::tls::tests::server(&files.0, &files.1);
    for (known, expected) in [(Some(authority.pem().unwrap()), Some(200)), (None, None)] {
        let server = Arc::clone(&server);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = std::thread::spawn(move || {
            let mut stream = crate::tls::tests::accept(&listener, server)?;
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            stream.flush()
        });
        let names = Names::new(&[&["127.0.0.1"]]);
        let config = CallbackConfig {
            authorities: known,
            ..config(&["127.0.0.1"])
        };
        let sender = CallbackSender::resolving(config, names).unwrap();
        let sent = send(&sender, &format!("https://hooks.example:{port}/")).await;
        assert_eq!(outcome(receiver).await.is_ok(), expected.is_some());
        match expected {
            Some(status) => assert_eq!(sent.unwrap(), status),
            None => assert!(matches!(sent.unwrap_err(), CallbackError::Transport { .. })),
        }
    }
}

#[test]
fn what_cannot_work_is_no_sender() {
    for config in [
        CallbackConfig::new(Vec::new()),
        CallbackConfig {
            authorities: Some(b"no PEM".to_vec()),
            ..CallbackConfig::new(KEY.to_vec())
        },
    ] {
        assert!(matches!(
            CallbackSender::new(config),
            Err(ClientError::Setup { .. })
        ));
    }
    assert!(!format!("{:?} {:?}", config(&[]), sender(&[])).contains("key of tests"));
}
