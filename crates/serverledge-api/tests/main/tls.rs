//! The server under TLS, over real sockets on loopback.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use serverledge_api::{ServerLimits, Serving, Tls, TlsFiles, serve_tls};
use serverledge_testing::certificates::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::app;

const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longer than any test takes: nothing may be idle for so long by accident.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    pub(crate) serving: Serving,
    authority: Authority,
}

impl Server {
    pub(crate) async fn start(header_timeout: Duration) -> Self {
        let authority = Authority::new("tests").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
        };
        authority
            .issue("DNS:localhost", &files.cert_file, &files.key_file)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let limits = ServerLimits {
            connections_max: 10,
            header_timeout,
        };
        let serving = serve_tls(listener, Tls::open(files).unwrap(), app().0, limits).unwrap();
        Self { serving, authority }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.serving.address).await.unwrap()
    }

    /// A connection under TLS, by a client that speaks these versions and protocols.
    pub(crate) async fn shake(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&self.authority.pem().unwrap()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, self.connect().await)
            .await
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(WAIT_MAX, stream.read_to_string(&mut answer)).await;
    read.expect("an answer did not come")
        .expect("the connection ends as TLS demands");
    answer
}

/// Reads to the end of the connection; an abort is an end too.
async fn end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut rest))
        .await
        .expect("the connection did not end");
    rest
}

#[tokio::test]
async fn requests_are_answered_under_both_versions_of_tls() {
    let server = Server::start(PATIENCE).await;
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = server.shake(&[version], &["http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(
            ask(&mut stream).await.starts_with("HTTP/1.1 200 "),
            "{expected:?}"
        );
    }
    assert!(
        server.shake(rustls::ALL_VERSIONS, &["h3"]).await.is_err(),
        "no client is told HTTP/3 where there is none"
    );
    assert!(
        server.serving.drain(WAIT_MAX).await,
        "neither idle connections nor the files' reader hold up the drain"
    );
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_and_the_server_serves_on() {
    let server = Server::start(PATIENCE).await;
    for text in [
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "\x16\x03\x01\0\x01\0",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let told = end(&mut stream).await;
        assert!(
            !told.windows(4).any(|bytes| bytes == b"HTTP"),
            "{text:?}: {told:?}"
        );
    }
    let mut stream = server.shake(rustls::ALL_VERSIONS, &[]).await.unwrap();
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

/// Whoever says nothing keeps nobody else waiting.
#[tokio::test]
async fn unfinished_handshakes_hold_up_neither_others_nor_the_drain() {
    let server = Server::start(PATIENCE).await;
    let mut silent = server.connect().await;
    let mut halting = server.connect().await;
    halting.write_all(b"\x16\x03\x01").await.unwrap();
    let mut stream = server.shake(rustls::ALL_VERSIONS, &[]).await.unwrap();
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
    assert!(server.serving.drain(WAIT_MAX).await);
    assert_eq!(
        (end(&mut silent).await, end(&mut halting).await),
        (vec![], vec![])
    );
}

#[tokio::test]
async fn a_handshake_must_end_in_time() {
    let server = Server::start(Duration::from_millis(100)).await;
    let mut silent = server.connect().await;
    let mut halting = server.connect().await;
    halting.write_all(b"\x16\x03\x01").await.unwrap();
    assert_eq!(
        (end(&mut silent).await, end(&mut halting).await),
        (vec![], vec![])
    );
}
