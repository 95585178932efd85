//! Certificates from files: what is refused and how it is said, and what a change of the files leads to.

use std::fs;

use serverledge_testing::certificates::Authority;
use tempfile::TempDir;

use super::*;

fn files(folder: &TempDir) -> TlsFiles {
    TlsFiles {
        cert_file: folder.path().join("cert.pem"),
        key_file: folder.path().join("key.pem"),
    }
}

fn issue(authority: &Authority, files: &TlsFiles) {
    authority
        .issue("DNS:localhost", &files.cert_file, &files.key_file)
        .unwrap();
}

/// The fault of the files, without the folder's name.
fn fault(folder: &TempDir, files: &TlsFiles) -> String {
    error_chain(&Tls::open(files.clone()).unwrap_err())
        .replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn faults_name_the_file_and_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("tests").unwrap();
    let files = files(&folder);
    assert_eq!(
        fault(&folder, &files),
        "read cert.pem: No such file or directory (os error 2)"
    );
    issue(&authority, &files);
    let cert = fs::read(&files.cert_file).unwrap();
    let key = fs::read(&files.key_file).unwrap();
    assert!(Tls::open(files.clone()).is_ok());

    fs::remove_file(&files.key_file).unwrap();
    assert_eq!(
        fault(&folder, &files),
        "read key.pem: No such file or directory (os error 2)"
    );
    fs::write(&files.key_file, "").unwrap();
    assert_eq!(
        fault(&folder, &files),
        "find a private key that is not encrypted in key.pem"
    );
    fs::write(
        &files.key_file,
        "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    assert!(fault(&folder, &files).starts_with("read key.pem as PEM: "));
    fs::write(&files.key_file, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert_eq!(
        fault(&folder, &files),
        "read key.pem: larger than 1048576 bytes"
    );
    fs::write(&files.key_file, &key).unwrap();
    fs::write(&files.cert_file, &key).unwrap();
    assert_eq!(fault(&folder, &files), "find a certificate in cert.pem");

    issue(&authority, &files);
    fs::write(&files.cert_file, &cert).unwrap();
    let mixed = fault(&folder, &files);
    assert!(
        mixed.starts_with("use the certificate of cert.pem with the key of key.pem: "),
        "{mixed}"
    );
}

#[test]
fn changed_files_are_used_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("tests").unwrap();
    let files = files(&folder);
    issue(&authority, &files);
    let mut tls = Tls::open(files.clone()).unwrap();
    let shown = Arc::clone(&tls.shown);
    let shown = || shown.0.read().unwrap().cert[0].clone();
    let first = shown();
    let look = |tls: &mut Tls| tls.renew(Pair::read(&files));
    assert!(matches!(look(&mut tls), Ok(false)), "nothing has changed");

    issue(&authority, &files);
    assert!(matches!(look(&mut tls), Ok(true)));
    let second = shown();
    assert_ne!(first, second);

    fs::write(&files.cert_file, "nothing").unwrap();
    assert!(matches!(look(&mut tls), Err(TlsError::Missing { .. })));
    assert!(matches!(look(&mut tls), Ok(false)), "it is said once");
    fs::remove_file(&files.cert_file).unwrap();
    assert!(matches!(look(&mut tls), Err(TlsError::Read { .. })));
    assert!(matches!(look(&mut tls), Ok(false)), "it is said once");
    assert_eq!(shown(), second);

    issue(&authority, &files);
    assert!(
        matches!(look(&mut tls), Ok(true)),
        "what was broken is mended"
    );
    assert_ne!(shown(), second);
}
