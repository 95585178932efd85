//! Somebody else's web site: answers every request with the same page, on a port of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::Result;

/// A site that serves until the tests end.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

// === impl Site ===

impl Site {
    pub(crate) fn serve(page: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let page = page.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser may open a connection and say nothing: others must not wait for it.
                let page = page.clone();
                std::thread::spawn(move || answer(stream, &page));
            }
        });
        Ok(Self { address })
    }
}

fn answer(mut stream: TcpStream, page: &str) -> std::io::Result<()> {
    let head = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok)
        .find(String::is_empty);
    if head.is_some() {
        let length = page.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        )?;
    }
    Ok(())
}
