//! Callbacks: a real receiver is told of ends, at least once, also when the node is killed in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Setup, wait_for};

/// One request as it arrived: header lines in lower case, and the body.
struct Told {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Answers every request with a status that can be changed.
struct Receiver {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    told: mpsc::Receiver<Told>,
}

impl Receiver {
    fn start(status: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let status = Arc::new(AtomicU16::new(status));
        let (sender, told) = mpsc::channel();
        let answer = Arc::clone(&status);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(request) = receive(stream, answer.load(Ordering::SeqCst)) else {
                    continue;
                };
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            address,
            status,
            told,
        })
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn next(&self) -> Result<Told> {
        wait_for("a callback", || Ok(self.told.try_recv().ok()))
    }
}

fn receive(mut stream: TcpStream, status: u16) -> Result<Told> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the head is cut short");
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .context("no length")?
        .1
        .parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    Ok(Told { headers, body })
}

impl Told {
    fn header(&self, name: &str) -> Result<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("no header {name}"))
    }

    fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

fn submit(node: &Node, function: &str, url: &str) -> Result<String> {
    let accepted = node.post(
        &format!("/functions/{function}/invocations"),
        &json!({ "Callback": url }),
    )?;
    ensure!(accepted.status == 202, "{}", accepted.text());
    Ok(accepted.json()?["id"]
        .as_str()
        .context("there is no id")?
        .to_owned())
}

fn wait_for_callback(node: &Node, id: &str, state: &str) -> Result<Value> {
    wait_for(&format!("a callback {state}"), || {
        let info = node.get(&format!("/invocations/{id}"))?.json()?;
        Ok(Some(info).filter(|info| info["callback"]["state"] == state))
    })
}

/// As docs/async.md says it is verified, by another program.
fn hmac(key: &str, text: &[u8]) -> Result<String> {
    let mut child = Command::new("openssl")
        .args([
            "dgst",
            "-sha256",
            "-mac",
            "HMAC",
            "-macopt",
            &format!("key:{key}"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start openssl")?;
    child
        .stdin
        .take()
        .context("stdin is piped")?
        .write_all(text)?;
    let told = String::from_utf8(child.wait_with_output()?.stdout)?;
    Ok(told
        .trim()
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned())
}

#[test]
fn a_callback_is_signed_and_says_how_it_ended() -> Result<()> {
    let receiver = Receiver::start(200)?;
    let node = Setup::new()?
        .with("async.callback.allow", "127.0.0.1")
        .start()?;
    node.deploy("f", guests::constant(7))?;
    let id = submit(&node, "f", &receiver.url())?;
    let told = receiver.next()?;
    let body = told.json()?;
    assert_eq!(
        (&body["id"], &body["state"], &body["result"]),
        (&json!(id), &json!("done"), &json!({"n": 7}))
    );
    assert_eq!(told.header("serverledge-invocation")?, id);
    let signature = told.header("serverledge-signature")?;
    let (time, digits) = signature
        .split_once(",v1=")
        .context("a signature has two parts")?;
    let time = time.strip_prefix("t=").context("a signature has a time")?;
    let key = std::fs::read_to_string(node.data().join("callback.key"))?;
    let signed = [format!("{time}.{id}.").as_bytes(), &told.body].concat();
    assert_eq!(hmac(key.trim_end(), &signed)?, digits);
    assert_eq!(
        wait_for_callback(&node, &id, "delivered")?["callback"]["attempts"],
        1
    );
    Ok(())
}

#[test]
fn private_receivers_are_refused_unless_allowed() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(7))?;
    for url in [
        "http://127.0.0.1:1/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/",
        "ftp://a.example/",
        "x",
    ] {
        let refused = node.post("/functions/f/invocations", &json!({ "Callback": url }))?;
        refused.assert_problem(400, "callback_refused");
    }
    Ok(())
}

/// The receiver is away at first, and the node is killed meanwhile: it is told after the restart.
#[test]
fn a_pending_callback_survives_a_kill() -> Result<()> {
    let receiver = Receiver::start(503)?;
    let node = Setup::new()?
        .with("async.callback.allow", "127.0.0.1")
        .start()?;
    node.deploy("f", guests::constant(7))?;
    node.deploy("slow", guests::sleeper(500))?;
    let ended = submit(&node, "f", &receiver.url())?;
    receiver.next()?;
    let runs = submit(&node, "slow", &receiver.url())?;
    let node = node.kill()?;
    receiver.answer(204);
    let node = node.restart()?;
    for id in [&ended, &runs] {
        let info = wait_for_callback(&node, id, "delivered")?;
        assert_eq!(info["state"], "done");
    }
    let mut told = Vec::new();
    while !(told.contains(&ended) && told.contains(&runs)) {
        told.push(
            receiver.next()?.json()?["id"]
                .as_str()
                .context("there is no id")?
                .to_owned(),
        );
    }
    Ok(())
}

/// A callback that the receiver refuses for good is not tried again.
#[test]
fn a_refusal_is_final() -> Result<()> {
    let receiver = Receiver::start(410)?;
    let node = Setup::new()?
        .with("async.callback.allow", "127.0.0.1")
        .start()?;
    node.deploy("f", guests::constant(7))?;
    let id = submit(&node, "f", &receiver.url())?;
    let info = wait_for_callback(&node, &id, "failed")?;
    assert_eq!(
        (&info["state"], &info["callback"]["attempts"]),
        (&json!("done"), &json!(1))
    );
    assert!(
        info["callback"]["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("410")),
        "{info}"
    );
    Ok(())
}
