//! The certificate that the server shows: read from files, and read again when they change, so that a renewal needs no
//! restart.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serverledge_core::error_chain;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files. Renewals come days before the old certificate expires.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// A chain of a few certificates, or one key, is a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The files of the certificate and of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, then those that lead to its authority; PEM.
    pub cert_file: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC 1, in PEM, not encrypted.
    pub key_file: PathBuf,
}

/// The reason why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("read {} as PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// A file holds something else.
    #[error("find {wanted} in {}", path.display())]
    Missing {
        /// The kind of item that is missing.
        wanted: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// They cannot be used, alone or together.
    #[error("use the certificate of {} with the key of {}", files.cert_file.display(), files.key_file.display())]
    Unusable {
        /// The files.
        files: TlsFiles,
        /// The cause.
        source: rustls::Error,
    },
    /// The cryptography in use lacks what TLS 1.2 and 1.3 need.
    #[error("set up TLS")]
    Setup(#[source] rustls::Error),
}

/// HTTP/2 and HTTP/1.1 by their names in the handshake (RFC 7301), the preferred one first.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// TLS 1.2 and 1.3 with the certificate of these files, for HTTP/2 and HTTP/1.1.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    acceptor: Arc<ServerConfig>,
    shown: Arc<Shown>,
    seen: Seen,
}

/// The files at the last look: their bytes, or why there were none, in words.
type Seen = Result<Pair, String>;

/// The bytes of both files.
#[derive(PartialEq, Eq)]
struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate for new connections; open ones keep theirs.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

// === impl Tls ===

impl Tls {
    /// Reads the files. Blocks on them, at start only.
    ///
    /// # Errors
    /// [`TlsError`] names the file and the cause.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let pair = Pair::read(&files)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(
            pair.certified(&files, &provider)?,
        ))));
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self {
            files,
            acceptor: Arc::new(config),
            shown,
            seen: Ok(pair),
        })
    }

    /// The acceptor that puts a connection under TLS.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.acceptor))
    }

    /// Looks at the files again and again. Never ends; dropping the future leaves the last certificate in use.
    pub(crate) async fn follow(mut self) {
        let mut looks = tokio::time::interval(RELOAD_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Pair::read(&files)).await;
            let Ok(read) = read else { continue };
            match self.renew(read) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(file = %self.files.cert_file.display(), "the TLS certificate was read anew")
                }
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::warn!("the old TLS certificate stays in use: failed to {error}");
                }
            }
        }
    }

    /// Uses what was read, if it is not what the last look found; says whether it did. What cannot be used is an error once.
    fn renew(&mut self, read: Result<Pair, TlsError>) -> Result<bool, TlsError> {
        let (seen, certified) = match read {
            Ok(pair) if self.seen.as_ref() == Ok(&pair) => return Ok(false),
            Ok(pair) => {
                let certified = pair.certified(&self.files, self.acceptor.crypto_provider());
                (Ok(pair), certified)
            }
            Err(error) if self.seen.as_ref().err() == Some(&error_chain(&error)) => {
                return Ok(false);
            }
            Err(error) => (Err(error_chain(&error)), Err(error)),
        };
        self.seen = seen;
        let certified = Arc::new(certified?);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(true)
    }
}

// === impl Pair ===

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&files.cert_file)?,
            key: read(&files.key_file)?,
        })
    }

    /// The certificate with its key; they belong together.
    fn certified(
        &self,
        files: &TlsFiles,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let path = &files.cert_file;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.map_err(|source| TlsError::Pem {
            path: path.clone(),
            source,
        })?;
        if chain.is_empty() {
            return Err(TlsError::Missing {
                wanted: "a certificate",
                path: path.clone(),
            });
        }
        let path = &files.key_file;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| match source {
            pem::Error::NoItemsFound => TlsError::Missing {
                wanted: "a private key that is not encrypted",
                path: path.clone(),
            },
            source => TlsError::Pem {
                path: path.clone(),
                source,
            },
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Unusable {
            files: files.clone(),
            source,
        })
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    let read = read.and_then(|_| match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {FILE_BYTES_MAX} bytes"),
        )),
        false => Ok(bytes),
    });
    read.map_err(|source| TlsError::Read {
        path: path.to_path_buf(),
        source,
    })
}

// === impl Shown ===

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

#[cfg(test)]
mod tests;
