//! A node that speaks TLS, with certificates made by `openssl`: who talks to it, who does not, and a renewal.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use serverledge_client::{
    Client, ClientConfig, ClientError, Endpoint, FunctionName, InvocationBody,
};
use serverledge_testing::certificates::Authority;

use crate::support::cli::Ran;
use crate::support::{Node, Setup, example_path, wait_for};

const NAMES: &str = "IP:127.0.0.1,DNS:localhost";

/// A node with a certificate of an authority, and its files.
struct Secure {
    node: Node,
    authority: Authority,
    cert_file: PathBuf,
    key_file: PathBuf,
}

impl Secure {
    fn start() -> Result<Self> {
        let setup = Setup::new()?;
        let authority = Authority::new("first")?;
        let cert_file = setup.home().join("cert.pem");
        let key_file = setup.home().join("key.pem");
        authority.issue(NAMES, &cert_file, &key_file)?;
        let setup = setup
            .with("api.tls.cert_file", cert_file.display())
            .with("api.tls.key_file", key_file.display());
        Ok(Self {
            node: setup.start()?,
            authority,
            cert_file,
            key_file,
        })
    }

    /// Runs the client, which believes this authority.
    fn cli(&self, arguments: &[&str], authority: &Path) -> Result<Ran> {
        let file = authority.display().to_string();
        self.node.cli(&[arguments, &["--ca-file", &file]].concat())
    }

    fn client(&self, authorities: Option<Vec<u8>>) -> Result<Client> {
        let endpoint = Endpoint::new("127.0.0.1", self.node.address.port())?.over_tls(true);
        Ok(Client::new(
            endpoint,
            &ClientConfig {
                authorities,
                ..ClientConfig::default()
            },
        )?)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

#[test]
fn the_clients_talk_to_a_node_over_tls() -> Result<()> {
    let secure = Secure::start()?;
    assert_eq!(secure.node.scheme, "https");
    let known = secure.authority.file();
    let module = example_path("hello");
    let module = module.display().to_string();
    secure
        .cli(&["create", "-f", "hello", "--src", &module], &known)?
        .assert_code(0);
    let ran = secure.cli(&["invoke", "hello", "-p", "name:TLS"], &known)?;
    let through_cli = ran.assert_code(0).result()?;

    let name = FunctionName::parse("hello")?;
    let params = serde_json::value::to_raw_value(&json!({ "name": "TLS" }))?;
    let call = InvocationBody {
        params,
        qos_class: 0,
        qos_max_resp_t: -1.0,
        can_do_offloading: true,
        r#async: false,
        return_output: false,
        callback: None,
    };
    let client = secure.client(Some(secure.authority.pem()?))?;
    let result = runtime()?.block_on(client.invoke(&name, call, None))?;
    let through_client: serde_json::Value = serde_json::from_str(&result.result)?;
    assert_eq!(through_client, through_cli);
    assert!(secure.node.stop()?.stderr.contains("stopped"));
    Ok(())
}

#[test]
fn nobody_talks_to_a_node_that_is_not_believed_or_without_tls() -> Result<()> {
    let (secure, other) = (Secure::start()?, Authority::new("other")?);
    let ran = secure.cli(&["list"], &other.file())?;
    let words = "is not believed: none of the known certificate authorities has signed it";
    assert!(ran.assert_code(2).stderr.contains(words), "{ran:?}");
    assert!(
        ran.stderr
            .contains("hint: --ca-file names a file with the authority that signed it"),
        "{ran:?}"
    );
    let ran = secure.cli(&["list", "--host", "127.0.0.2"], &secure.authority.file())?;
    ran.assert_code(2);
    let ran = secure.node.cli(&["list", "--tls"])?;
    assert!(ran.assert_code(2).stderr.contains(words), "{ran:?}");
    let refused = runtime()?.block_on(secure.client(None)?.list());
    assert!(
        matches!(refused, Err(ClientError::Untrusted { .. })),
        "{refused:?}"
    );
    secure.node.cli(&["list"])?.assert_code(2);
    assert!(secure.node.get("/healthz").is_err(), "plain HTTP is closed");
    secure
        .cli(&["list"], &secure.authority.file())?
        .assert_code(0);
    secure.node.stop()?;
    Ok(())
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() -> Result<()> {
    let secure = Secure::start()?;
    let second = Authority::new("second")?;
    let succeeds = |authority: &Authority| -> Result<bool> {
        Ok(secure.cli(&["list"], &authority.file())?.code == Some(0))
    };
    assert!(succeeds(&secure.authority)? && !succeeds(&second)?);
    second.issue(NAMES, &secure.cert_file, &secure.key_file)?;
    wait_for("the renewed certificate", || {
        Ok(succeeds(&second)?.then_some(()))
    })?;
    assert!(!succeeds(&secure.authority)?, "the old certificate is gone");

    fs::write(&secure.cert_file, "broken")?;
    let warning = format!(
        "the old TLS certificate stays in use: failed to find a certificate in {}",
        secure.cert_file.display()
    );
    wait_for("the warning", || {
        Ok(secure.node.stderr().contains(&warning).then_some(()))
    })?;
    assert!(succeeds(&second)?);
    secure.node.stop()?;
    Ok(())
}

#[test]
fn a_node_without_its_certificate_does_not_start() -> Result<()> {
    let setup = Setup::new()?
        .with("api.tls.cert_file", "no-cert.pem")
        .with("api.tls.key_file", "no-key.pem");
    let refusal = setup
        .start()
        .map(|node| node.address)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("failed to set up TLS (api.tls.cert_file, api.tls.key_file)"),
        "{refusal}"
    );
    assert!(
        refusal.contains("read no-cert.pem: No such file or directory"),
        "{refusal}"
    );
    Ok(())
}
