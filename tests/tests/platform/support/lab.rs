//! A node with accounts, a mail server and, where a test says so, etcd; and people who use it.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serverledge_testing::etcd_process::EtcdProcess;
use serverledge_testing::smtp_process::{Mail, SmtpProcess, SmtpSettings};

use crate::e2e::{Node, Request, Response, Setup};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
const MAIL_USER: &str = "node";
const MAIL_PASSWORD: &str = "of the mail server";

/// The place in which a node keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Embedded,
    Etcd,
}

/// See the module. The node is stopped before what it stands on.
#[derive(Debug)]
pub(crate) struct Lab {
    node: Option<Node>,
    pub(crate) mail: SmtpProcess,
    _etcd: Option<(EtcdProcess, tokio::runtime::Runtime)>,
}

/// Somebody with a session or a token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    cookie: Option<String>,
    pub(crate) token: Option<String>,
}

// === impl Lab ===

impl Lab {
    /// A node that asks everybody who they are, and sends mail over TLS as a user of the mail server.
    pub(crate) fn start(kept: Kept) -> Result<Self> {
        let user = Some((MAIL_USER.to_owned(), MAIL_PASSWORD.to_owned()));
        let mail = SmtpProcess::start(&SmtpSettings {
            starttls: true,
            user,
        })?;
        let setup = Setup::new()?;
        let password = setup.home().join("mail-password");
        std::fs::write(&password, MAIL_PASSWORD)?;
        let authority = mail
            .authority()
            .context("the mail server has a certificate")?
            .file();
        let mut setup = setup
            .with("auth.enabled", true)
            .with("accounts.signup", "open")
            .with("accounts.base_url", "https://faas.example.org")
            .with("smtp.host", "localhost")
            .with("smtp.port", mail.port())
            .with("smtp.tls", "starttls")
            .with("smtp.user", MAIL_USER)
            .with("smtp.password_file", password.display())
            .with("smtp.ca_file", authority.display())
            .with("smtp.from", "Serverledge <node@example.org>");
        let etcd = match kept {
            Kept::Embedded => None,
            Kept::Etcd => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let etcd = runtime.block_on(EtcdProcess::start());
                setup = setup.with(
                    "registry.url",
                    format!("etcd://{}/platform/", etcd.address()),
                );
                Some((etcd, runtime))
            }
        };
        if cfg!(feature = "docker-tests") {
            let socket = std::env::var("DOCKER_HOST").ok();
            let socket = socket
                .as_deref()
                .and_then(|host| host.strip_prefix("unix://"))
                .unwrap_or("/var/run/docker.sock");
            setup = setup
                .with("container.docker_socket", socket)
                .with("container.cells", 0)
                .with("container.start_timeout", "60s");
        }
        Ok(Self {
            node: Some(setup.start()?),
            mail,
            _etcd: etcd,
        })
    }

    pub(crate) fn node(&self) -> Result<&Node> {
        self.node.as_ref().context("the node runs")
    }

    /// SIGTERM and a start on the same data.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let ended = self.node.take().context("the node runs")?.stop()?;
        self.node = Some(ended.restart()?);
        Ok(())
    }

    /// SIGTERM; the node must end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.node.take().context("the node runs")?.stop().map(drop)
    }

    /// Asks as this person.
    pub(crate) fn ask(&self, person: &Person, request: Request) -> Result<Response> {
        let mut request = request;
        if let Some(cookie) = &person.cookie {
            request = request.header("Cookie", cookie);
        }
        if let Some(token) = &person.token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        self.node()?.ask(&request)
    }

    pub(crate) fn get(&self, person: &Person, target: &str) -> Result<Response> {
        self.ask(person, Request::get(target))
    }

    pub(crate) fn post(&self, person: &Person, target: &str, body: &Value) -> Result<Response> {
        self.ask(person, Request::json(target, body))
    }

    /// The same, which must succeed.
    pub(crate) fn done(&self, person: &Person, target: &str, body: &Value) -> Result<Response> {
        let response = self.post(person, target, body)?;
        ensure!(
            (200..300).contains(&response.status),
            "{target}: {} {}",
            response.status,
            response.text()
        );
        Ok(response)
    }

    /// Signs up, follows the link in the mail, and logs in.
    pub(crate) fn sign_up(&self, email: &str) -> Result<Person> {
        let nobody = Person::default();
        let answer = self.done(
            &nobody,
            "/account/sign-up",
            &json!({"email": email, "password": PASSWORD}),
        )?;
        ensure!(
            (answer.status, answer.json()?) == (202, json!({"confirmation_sent": true})),
            "{}",
            answer.text()
        );
        let secret = self.link(email)?;
        self.done(&nobody, "/account/confirm", &json!({ "secret": secret }))?;
        self.log_in(email, PASSWORD)
    }

    pub(crate) fn log_in(&self, email: &str, password: &str) -> Result<Person> {
        let answer = self.done(
            &Person::default(),
            "/account/log-in",
            &json!({"email": email, "password": password}),
        )?;
        let cookie = answer
            .header("set-cookie")
            .context("log-in sets a cookie")?;
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            ensure!(
                cookie.contains(attribute),
                "{attribute} is missing in {cookie}"
            );
        }
        ensure!(
            cookie.starts_with("__Host-serverledge_session="),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Person {
            cookie: Some(cookie),
            token: None,
        })
    }

    /// The same person with a token in place of the session.
    pub(crate) fn with_token(&self, person: &Person, scopes: &[&str]) -> Result<Person> {
        let made = self.done(
            person,
            "/account/tokens",
            &json!({"name": "test", "scopes": scopes}),
        )?;
        let token = made.json()?["token"]
            .as_str()
            .context("the token is shown once")?
            .to_owned();
        Ok(Person {
            cookie: None,
            token: Some(token),
        })
    }

    /// The secret in the next mail to this address.
    pub(crate) fn link(&self, email: &str) -> Result<String> {
        let mail = self.mail_to(email)?;
        let link = mail
            .text
            .split_whitespace()
            .find(|word| word.starts_with("https://faas.example.org/account/"));
        let link = link.with_context(|| format!("no link in {mail:?}"))?;
        Ok(link
            .split_once('#')
            .with_context(|| format!("no secret in {link}"))?
            .1
            .to_owned())
    }

    pub(crate) fn mail_to(&self, email: &str) -> Result<Mail> {
        let mail = self.mail.next()?;
        ensure!(
            mail.to == [email] && mail.from == "node@example.org" && mail.tls,
            "{mail:?}"
        );
        Ok(mail)
    }

    /// Deploys a function of an application from its source.
    pub(crate) fn deploy(
        &self,
        person: &Person,
        app: &str,
        name: &str,
        source: Source<'_>,
        more: &Value,
    ) -> Result<()> {
        let (runtime, code) = match source {
            Source::Wasm(module) => ("wasm", module.to_vec()),
            Source::Node(text) => ("nodejs", text.as_bytes().to_vec()),
            Source::Python(text) => ("python", text.as_bytes().to_vec()),
        };
        let mut body =
            json!({"Name": name, "Runtime": runtime, "TarFunctionCode": STANDARD.encode(code)});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.done(person, &format!("/apps/{app}/create"), &body)
            .map(drop)
    }
}

// === impl Person ===

impl Person {
    /// Somebody with this token.
    pub(crate) fn bearing(token: &str) -> Self {
        Self {
            cookie: None,
            token: Some(token.to_owned()),
        }
    }
}

/// A function's source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Wasm(&'a [u8]),
    Node(&'a str),
    Python(&'a str),
}
