//! TLS towards others: whom to believe, and what the faults mean.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::error::ClientError;

/// The reason why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
enum TlsFault {
    #[error("the certificate authorities are no PEM")]
    Pem(#[source] pem::Error),
    #[error("there is no certificate among the certificate authorities")]
    Empty,
    #[error("one of the certificate authorities cannot be used")]
    Authority(#[source] rustls::Error),
    #[error("the TLS library cannot be set up")]
    Library(#[source] rustls::Error),
}

/// The builder of an HTTP client that uses no proxy, follows no redirect and sends nothing twice on its own.
pub(crate) fn http(tls: ClientConfig) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy();
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
}

/// The client of a builder.
pub(crate) fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|error| ClientError::Setup {
        source: error.into(),
    })
}

/// Settings with which the peer must show a certificate of the machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// respected) or of these beside them, PEM. Blocks on the machine's files.
pub(crate) fn settings(authorities: Option<&[u8]>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    // Some machines have none, and some have ones that no library knows: what is needed and missing shows when it is.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = authorities {
        add(&mut roots, pem).map_err(setup)?;
    }
    with_roots(roots)
}

/// The same for clients that speak HTTP/2 as well.
pub(crate) fn settings_with_http2(authorities: Option<&[u8]>) -> Result<ClientConfig, ClientError> {
    let mut config = settings(authorities)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Settings that believe nobody, for clients that speak without TLS: the HTTP client wants to have some in any case.
pub(crate) fn no_settings() -> Result<ClientConfig, ClientError> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, ClientError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(TlsFault::Library(error)))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsFault> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(TlsFault::Pem)?)
            .map_err(TlsFault::Authority)?;
    }
    if roots.len() == before {
        Err(TlsFault::Empty)
    } else {
        Ok(())
    }
}

fn setup(fault: TlsFault) -> ClientError {
    ClientError::Setup {
        source: fault.into(),
    }
}

/// The fault of the peer's certificate, if that is where the error comes from.
pub(crate) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(this) = cause {
        if let Some(rustls::Error::InvalidCertificate(fault)) = this.downcast_ref() {
            return Some(words(fault));
        }
        // An I/O error does not count what it wraps among its sources.
        cause = match this
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => this.source(),
        };
    }
    None
}

fn words(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => "none of the known certificate authorities has signed it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for other names or addresses".to_owned()
        }
        // What `openssl req -x509` makes unless it is told otherwise.
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority (CA:TRUE), which no server may show; make it with \
             basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
