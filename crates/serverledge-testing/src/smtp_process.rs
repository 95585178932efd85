//! A real mail server on loopback, for tests: takes every message and shows it. Needs Python's `aiosmtpd` (Debian:
//! python3-aiosmtpd). Its process ends with the value, also when a test panics.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Authority;

/// The time that the server may take to start, and a message to come; generous, since tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Says its port, then each message as a line of JSON.
const SERVER: &str = include_str!("smtp_server.py");

/// Settings with which a mail server is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SmtpSettings {
    /// Asks for STARTTLS before anything else, with a certificate for `localhost` and 127.0.0.1.
    pub starttls: bool,
    /// The only user and password that it knows; it then takes mail from that user alone. Needs `starttls`.
    pub user: Option<(String, String)>,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The envelope's sender.
    pub from: String,
    /// The subject, decoded.
    pub subject: String,
    /// The first part that is plain text, decoded.
    pub text: String,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// A running mail server.
#[derive(Debug)]
pub struct SmtpProcess {
    child: Child,
    port: u16,
    lines: Receiver<String>,
    authority: Option<Authority>,
    _dir: TempDir,
}

// === impl SmtpProcess ===

impl SmtpProcess {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// If there is no `aiosmtpd`, or it does not start.
    pub fn start(settings: &SmtpSettings) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("serverledge-smtp-")
            .tempdir()?;
        let authority = if settings.starttls {
            Some(Authority::new("mail test")?)
        } else {
            None
        };
        // Debian's packages belong to Debian's Python.
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-u", "-c", SERVER]);
        if let Some(authority) = &authority {
            let cert = dir.path().join("cert.pem");
            let key = dir.path().join("key.pem");
            authority.issue("IP:127.0.0.1,DNS:localhost", &cert, &key)?;
            command.arg(cert).arg(key);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start python3")?;
        let (user, password) = settings.user.clone().unwrap_or_default();
        // Not in its arguments: they can be seen by everybody.
        let login = serde_json::json!({"user": user, "password": password});
        writeln!(child.stdin.as_mut().context("stdin is piped")?, "{login}")?;
        let lines = lines_of(child.stdout.take().context("stdout is piped")?);
        let mut own = Self {
            child,
            port: 0,
            lines,
            authority,
            _dir: dir,
        };
        let line = own
            .lines
            .recv_timeout(WAIT_MAX)
            .context("the mail server does not start; is aiosmtpd installed?")?;
        own.port = line
            .parse()
            .with_context(|| format!("{line:?} is no port"))?;
        Ok(own)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// The next message; waits for it.
    ///
    /// # Errors
    /// If none comes.
    pub fn next(&self) -> anyhow::Result<Mail> {
        let line = self.lines.recv_timeout(WAIT_MAX).context("no mail came")?;
        parse(&line).with_context(|| format!("the mail server said {line:?}"))
    }

    /// The messages that have come and were not asked for yet.
    ///
    /// # Errors
    /// If the server says something else.
    pub fn waiting(&self) -> anyhow::Result<Vec<Mail>> {
        self.lines
            .try_iter()
            .map(|line| parse(&line).with_context(|| format!("the mail server said {line:?}")))
            .collect()
    }
}

impl Drop for SmtpProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn parse(line: &str) -> anyhow::Result<Mail> {
    let value: Value = serde_json::from_str(line)?;
    let text = |name: &str| {
        value[name]
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("no {name}"))
    };
    let Some(to) = value["to"].as_array() else {
        bail!("no recipients")
    };
    Ok(Mail {
        to: to
            .iter()
            .filter_map(|one| one.as_str().map(ToOwned::to_owned))
            .collect(),
        from: text("from")?,
        subject: text("subject")?,
        text: text("text")?,
        tls: value["tls"].as_bool().unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_read() {
        let mail = parse(
            r#"{"to":["a@b.example"],"from":"x@y.example","subject":"s","text":"t","tls":true}"#,
        )
        .unwrap();
        assert_eq!(
            (mail.to.len(), mail.subject.as_str(), mail.tls),
            (1, "s", true)
        );
        assert!(parse("[]").is_err());
    }
}
