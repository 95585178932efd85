//! Certificates for tests of TLS, made with the program `openssl` as an operator makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// A certificate authority of a test's own. Its files go with it.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
}

// === impl Authority ===

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// If there is no `openssl`, or it refuses.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let own = Self {
            dir: tempfile::Builder::new()
                .prefix("serverledge-authority-")
                .tempdir()?,
        };
        let mut request = openssl(&["req", "-x509", "-days", "2", "-subj"]);
        request.arg(format!("/CN={name}")).args(NEW_KEY);
        request.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        run(request
            .arg("-keyout")
            .arg(own.path("ca.key"))
            .arg("-out")
            .arg(own.file()))?;
        Ok(own)
    }

    /// The file with its certificate, PEM.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Its certificate, PEM.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn pem(&self) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.file())?)
    }

    /// Makes a key and a certificate for these names (`IP:127.0.0.1,DNS:localhost`), PEM. What stood in the files is replaced,
    /// each at once.
    ///
    /// # Errors
    /// If `openssl` refuses, or a file cannot be written.
    pub fn issue(&self, names: &str, cert_file: &Path, key_file: &Path) -> anyhow::Result<()> {
        let (request, extensions) = (self.path("node.csr"), self.path("node.ext"));
        let cert = cert_file.with_extension("new-cert");
        let key = key_file.with_extension("new-key");
        let mut command = openssl(&["req", "-new", "-subj", "/CN=node"]);
        run(command
            .args(NEW_KEY)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&request))?;
        let purposes = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth";
        fs::write(&extensions, format!("subjectAltName={names}\n{purposes}\n"))?;
        let mut command = openssl(&["x509", "-req", "-days", "2", "-CAcreateserial"]);
        command
            .arg("-CA")
            .arg(self.file())
            .arg("-CAkey")
            .arg(self.path("ca.key"));
        run(command
            .arg("-in")
            .arg(request)
            .arg("-extfile")
            .arg(extensions)
            .arg("-out")
            .arg(&cert))?;
        fs::rename(cert, cert_file)?;
        fs::rename(key, key_file)?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Arguments for a new key of a usual kind.
pub(crate) const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

pub(crate) fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .context("run openssl (on Debian: the package openssl)")?;
    ensure!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
