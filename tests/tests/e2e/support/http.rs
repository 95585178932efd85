//! A small HTTP/1.1 client over a plain socket: it sends exactly what a test says, well-formed or not, and keeps its
//! connection. Bodies by content-length, chunked, or up to the end of the connection (RFC 9112 §6, §7).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Longest silence of a node that a test puts up with.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Bytes of a response's body, against a node that never ends.
const BODY_BYTES_MAX: usize = 64 << 20;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// The way in which a connection is made; from where the test runs, unless it says otherwise.
#[derive(Clone, Default)]
pub(crate) struct Dial(
    pub(crate) Option<Arc<dyn Fn(SocketAddr) -> std::io::Result<TcpStream> + Send + Sync>>,
);

/// A test's request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A response without its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    pub(crate) fn json(target: &str, body: &Value) -> Self {
        Self::post(target, body.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// `Host` and `Content-Length` are added where the test gives none.
    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            text.push_str(&format!("Host: {address}\r\n"));
        }
        if !self.has("content-length")
            && !self.has("transfer-encoding")
            && !matches!(self.method.as_str(), "GET" | "HEAD")
        {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Dial {
    /// Asks on a connection of its own.
    pub(crate) fn ask(&self, address: SocketAddr, request: &Request) -> Result<Response> {
        Connection::open_by(self, address)?.send(request)
    }
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Dial(from elsewhere)"
        } else {
            "Dial"
        })
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        Self::open_by(&Dial::default(), address)
    }

    pub(crate) fn open_by(dial: &Dial, address: SocketAddr) -> Result<Self> {
        let stream = dial
            .0
            .as_ref()
            .map_or_else(|| TcpStream::connect(address), |dial| dial(address));
        let stream = stream.with_context(|| format!("failed to connect to {address}"))?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address,
        })
    }

    /// From now on a node that is silent for longer has failed.
    pub(crate) fn set_silence_max(&self, silence: Duration) -> Result<()> {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(silence))?;
        stream.set_write_timeout(Some(silence))?;
        Ok(())
    }

    pub(crate) fn send(&mut self, request: &Request) -> Result<Response> {
        // A node that refuses a body answers and closes before all of it is sent: the answer counts.
        let sent = self.send_only(request);
        let received = self.receive(request.method == "HEAD");
        if received.is_err() {
            sent?;
        }
        received
    }

    pub(crate) fn send_only(&mut self, request: &Request) -> Result<()> {
        self.send_raw(&request.bytes(self.address))
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .get_mut()
            .write_all(bytes)
            .context("failed to send a request")
    }

    /// The next response; one to HEAD has no body.
    pub(crate) fn receive(&mut self, bodiless: bool) -> Result<Response> {
        let head = self.receive_head()?;
        let body = if bodiless {
            Vec::new()
        } else {
            self.receive_body(&head)?
        };
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    pub(crate) fn receive_head(&mut self) -> Result<Head> {
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("{status_line:?} is no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Head { status, headers });
            }
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("{line:?} is no header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn receive_body(&mut self, head: &Head) -> Result<Vec<u8>> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Vec::new());
        }
        let value = |name: &str| {
            head.headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let mut body = Vec::new();
        if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            while let Some(chunk) = self.chunk()? {
                body.extend_from_slice(&chunk);
                ensure!(body.len() <= BODY_BYTES_MAX, "the body does not end");
            }
        } else if let Some(length) = value("content-length") {
            let length: usize = length.parse().context("content-length is no number")?;
            ensure!(length <= BODY_BYTES_MAX, "the body has {length} bytes");
            body.resize(length, 0);
            self.stream
                .read_exact(&mut body)
                .context("the body broke off")?;
        } else {
            self.stream
                .read_to_end(&mut body)
                .context("the body broke off")?;
        }
        Ok(body)
    }

    /// The next chunk of a chunked body; `None` after the last.
    pub(crate) fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .with_context(|| format!("{line:?} is no chunk size"))?;
        ensure!(size <= BODY_BYTES_MAX, "a chunk has {size} bytes");
        let mut chunk = vec![0; size];
        self.stream
            .read_exact(&mut chunk)
            .context("a chunk broke off")?;
        ensure!(self.line()?.is_empty(), "a chunk is longer than it says");
        Ok((size > 0).then_some(chunk))
    }

    /// Waits until the other side closes; false if it sends something instead.
    pub(crate) fn is_closed_by_peer(&mut self) -> Result<bool> {
        match self.stream.fill_buf() {
            Ok(bytes) => Ok(bytes.is_empty()),
            Err(fault) if fault.kind() == std::io::ErrorKind::ConnectionReset => Ok(true),
            Err(fault) => Err(fault).context("the connection is neither used nor closed"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(64 << 10)
            .read_until(b'\n', &mut line)
            .context("failed to read a response")?;
        if !line.ends_with(b"\n") {
            bail!(
                "the connection ended after {:?}",
                String::from_utf8_lossy(&line)
            );
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON ({}): {}", self.status, self.text()))
    }

    /// The stable code of a problem; empty if the body is none.
    pub(crate) fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks that this is a problem document (RFC 9457) with this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.text()
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json().unwrap_or_default();
        assert_eq!(problem["status"], status);
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{problem}"
        );
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
    }

    /// The function's result in an envelope of `/invoke`.
    pub(crate) fn result(&self) -> Result<Value> {
        ensure!(self.status == 200, "{}: {}", self.status, self.text());
        let envelope = self.json()?;
        ensure!(envelope["Success"] == true, "{envelope}");
        let result = envelope["Result"].as_str().context("Result is a string")?;
        serde_json::from_str(result).with_context(|| format!("Result is no JSON: {result}"))
    }
}
