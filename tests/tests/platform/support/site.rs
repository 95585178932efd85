//! Somebody else's web site, on a port of its own: it answers every request with one page, or has documents at paths.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::Result;

/// A site that serves until the tests end.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

/// An answer of a site.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    pub(crate) content_type: String,
    /// The content security policy; empty: none.
    pub(crate) policy: String,
    pub(crate) body: Vec<u8>,
}

/// The documents of a site by their paths; the one of the empty path is that of all others.
type Documents = BTreeMap<String, Document>;

// === impl Site ===

impl Site {
    pub(crate) fn serve(page: &str) -> Result<Self> {
        let page = Document::new("text/html", page);
        Self::serve_documents(BTreeMap::from([(String::new(), page)]))
    }

    pub(crate) fn serve_documents(documents: Documents) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let documents = Arc::new(documents);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser may open a connection and say nothing: others must not wait for it.
                let documents = Arc::clone(&documents);
                std::thread::spawn(move || answer(stream, &documents));
            }
        });
        Ok(Self { address })
    }
}

// === impl Document ===

impl Document {
    pub(crate) fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type: content_type.to_owned(),
            policy: String::new(),
            body: body.into(),
        }
    }
}

fn answer(mut stream: TcpStream, documents: &Documents) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    if !lines.any(|line| line.is_empty()) {
        return Ok(());
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, document) = match documents.get(path).or_else(|| documents.get("")) {
        Some(document) => ("200 OK", document.clone()),
        None => ("404 Not Found", Document::default()),
    };
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
        document.content_type,
        document.body.len()
    );
    if !document.policy.is_empty() {
        head.push_str(&format!("Content-Security-Policy: {}\r\n", document.policy));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&document.body)
}
