//! The client over TLS: whom it believes, and how it says whom it does not.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serverledge_testing::certificates::Authority;

use super::*;
use crate::{Client, Endpoint};

pub(crate) type Stream = StreamOwned<ServerConnection, std::net::TcpStream>;

/// A server's side with these files.
pub(crate) fn server(cert_file: &Path, key_file: &Path) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(cert_file)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(key_file).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The next connection, after its handshake.
pub(crate) fn accept(listener: &TcpListener, server: Arc<ServerConfig>) -> io::Result<Stream> {
    let (stream, _) = listener.accept()?;
    let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The result of a thread. The runtime goes on meanwhile: it is the client that has to close connections.
pub(crate) async fn outcome<T: Send + 'static>(thread: JoinHandle<T>) -> T {
    tokio::task::spawn_blocking(move || thread.join().unwrap())
        .await
        .unwrap()
}

/// Answers one request for the list of functions, if a connection comes about; says which protocol was agreed on.
fn node(names: &str, authority: &Authority) -> (u16, JoinHandle<io::Result<Option<Vec<u8>>>>) {
    let folder = tempfile::tempdir().unwrap();
    let files = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    authority.issue(names, &files.0, &files.1).unwrap();
    let server = server(&files.0, &files.1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut stream = accept(&listener, server)?;
        let protocol = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
        let _head = io::Read::read(&mut stream, &mut [0; 4096])?;
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n[\"f\"]",
        )?;
        stream.flush()?;
        Ok(protocol)
    });
    (port, thread)
}

fn client(port: u16, authorities: Option<Vec<u8>>) -> Result<Client, ClientError> {
    let endpoint = Endpoint::new("127.0.0.1", port).unwrap().over_tls(true);
    Client::new(
        endpoint,
        &crate::ClientConfig {
            authorities,
            ..crate::ClientConfig::default()
        },
    )
}

#[tokio::test]
async fn nodes_of_known_authorities_are_believed() {
    let (own, other) = (
        Authority::new("own").unwrap(),
        Authority::new("other").unwrap(),
    );
    let both = [other.pem().unwrap(), own.pem().unwrap()].concat();
    for authorities in [own.pem().unwrap(), both] {
        let (port, node) = node("IP:127.0.0.1", &own);
        assert_eq!(
            client(port, Some(authorities))
                .unwrap()
                .list()
                .await
                .unwrap(),
            ["f"]
        );
        assert_eq!(
            outcome(node).await.unwrap().as_deref(),
            Some(&b"http/1.1"[..])
        );
    }
}

#[tokio::test]
async fn other_nodes_are_not_believed_and_the_error_says_why() {
    let (own, other) = (
        Authority::new("own").unwrap(),
        Authority::new("other").unwrap(),
    );
    for (names, authorities, expected) in [
        (
            "IP:127.0.0.1",
            Some(other.pem().unwrap()),
            "none of the known certificate authorities has signed it",
        ),
        (
            "IP:127.0.0.1",
            None,
            "none of the known certificate authorities has signed it",
        ),
        (
            "IP:127.0.0.2,DNS:localhost",
            Some(own.pem().unwrap()),
            "it is for other names or addresses",
        ),
    ] {
        let (port, node) = node(names, &own);
        let error = client(port, authorities).unwrap().list().await.unwrap_err();
        let url = format!("https://127.0.0.1:{port}");
        assert_eq!(
            error.to_string(),
            format!("trust the certificate of the node at {url}: {expected}")
        );
        assert!(outcome(node).await.is_err(), "nothing was sent");
    }
}

#[test]
fn authorities_that_are_none_are_refused() {
    let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, expected) in [
        (
            &b""[..],
            "there is no certificate among the certificate authorities",
        ),
        (
            b"hello",
            "there is no certificate among the certificate authorities",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "the certificate authorities are no PEM",
        ),
        (garbage, "one of the certificate authorities cannot be used"),
    ] {
        let error = client(1, Some(pem.to_vec())).unwrap_err();
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn faults_of_certificates_are_said_in_words() {
    for (fault, expected) in [
        (CertificateError::Expired, "it has expired"),
        (CertificateError::NotValidYet, "it is not valid yet"),
        (CertificateError::Revoked, "Revoked"),
    ] {
        let below = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(fault)));
        assert_eq!(certificate_fault(&below).as_deref(), Some(expected));
    }
    assert_eq!(
        certificate_fault(&io::Error::other(rustls::Error::DecryptError)),
        None
    );
    let authority = rustls::OtherError(std::sync::Arc::new(io::Error::other("CaUsedAsEndEntity")));
    let told = words(&CertificateError::Other(authority));
    assert!(
        told.contains("certificate of an authority") && told.contains("CA:FALSE"),
        "{told}"
    );
}
