//! Mail through an SMTP server.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::mail::{Mail, MailError, Mailer};

/// For each step of the exchange.
const TIMEOUT: Duration = Duration::from_secs(30);
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The protection of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS is begun on a plain connection, or nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

/// The credential of this node at the mail server. `Debug` leaves the password out.
#[derive(Clone)]
pub struct SmtpLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// The mail server, and the way to speak to it.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The protection of the connection.
    pub tls: SmtpTls,
    /// Certificate authorities beside the machine's, PEM.
    pub authorities_pem: Option<Vec<u8>>,
    /// The credential of the node; `None`: it logs in as nobody in particular.
    pub login: Option<SmtpLogin>,
    /// The sender: an address, or `Name <address>`.
    pub from: String,
}

/// Sends mail through a server, each on a connection of its own.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpMailer {
    /// Checks what it is told. The server itself is not asked yet.
    ///
    /// # Errors
    /// A sender that is no address, certificates that cannot be read.
    pub fn new(options: SmtpOptions) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let from: Mailbox = options
            .from
            .parse()
            .map_err(|error| format!("smtp.from is no address: {error}"))?;
        let tls = match options.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(parameters(&options)?),
            SmtpTls::Tls => Tls::Wrapper(parameters(&options)?),
        };
        // "Dangerous" is lettre's word for choosing TLS oneself, which is done here.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(options.host)
            .port(options.port)
            .tls(tls)
            .timeout(Some(TIMEOUT));
        let transport = match options.login {
            Some(SmtpLogin { user, password }) => {
                transport.credentials(Credentials::new(user, password))
            }
            None => transport,
        };
        Ok(Self {
            transport: transport.build(),
            from,
        })
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| MailError::Refused(error);
        let to: Mailbox = mail.to.parse().map_err(|error| refused(Box::new(error)))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject);
        message
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone())
            .map_err(|error| refused(Box::new(error)))
    }
}

fn parameters(
    options: &SmtpOptions,
) -> Result<TlsParameters, Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some(pem) = &options.authorities_pem {
        // lettre takes a file without any for an empty list.
        if !pem
            .windows(PEM_BEGIN.len())
            .any(|window| window == PEM_BEGIN)
        {
            return Err("there is no certificate in smtp.ca_file".into());
        }
        builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
    }
    Ok(builder.build()?)
}

#[async_trait]
impl Mailer for SmtpMailer {
    fn delivers(&self) -> bool {
        true
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(MailError::Refused(Box::new(error))),
            Err(error) => Err(MailError::Unavailable(Box::new(error))),
        }
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpLogin({}, …)", self.user)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;

    fn options() -> SmtpOptions {
        SmtpOptions {
            host: "mail.example.org".to_owned(),
            port: 587,
            tls: SmtpTls::StartTls,
            authorities_pem: None,
            login: Some(SmtpLogin {
                user: "u".to_owned(),
                password: "secret".to_owned(),
            }),
            from: "Serverledge <no-reply@example.org>".to_owned(),
        }
    }

    #[test]
    fn what_it_is_told_is_checked() {
        SmtpMailer::new(options()).unwrap();
        assert!(
            SmtpMailer::new(SmtpOptions {
                from: "nobody".to_owned(),
                ..options()
            })
            .is_err()
        );
        assert!(
            SmtpMailer::new(SmtpOptions {
                authorities_pem: Some(b"nothing".to_vec()),
                ..options()
            })
            .is_err()
        );
        assert!(!format!("{:?}", options()).contains("secret"));
    }

    #[test]
    fn a_mail_is_plain_text_without_extra_headers() {
        let mailer = SmtpMailer::new(SmtpOptions {
            tls: SmtpTls::None,
            ..options()
        })
        .unwrap();
        let mail = |to: &str| Mail {
            to: to.to_owned(),
            subject: "Hello",
            text: "one\ntwo ä\n".to_owned(),
        };
        let message =
            String::from_utf8(mailer.message(&mail("a@example.org")).unwrap().formatted()).unwrap();
        assert!(
            message.contains("To: a@example.org\r\n")
                && message.contains("Content-Type: text/plain"),
            "{message}"
        );
        let injected = mailer.message(&mail("a@example.org\r\nBcc: b@example.org"));
        assert!(
            matches!(injected, Err(MailError::Refused(_))),
            "{injected:?}"
        );
    }

    /// A server that answers each line it understands, and keeps the mail.
    async fn receive(listener: tokio::net::TcpListener, recipient_answer: &str) -> String {
        let (stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 test\r\n").await.unwrap();
        let mut mail = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "RCPT" => recipient_answer,
                "DATA" => {
                    writer.write_all(b"354 go on\r\n").await.unwrap();
                    while let Some(line) =
                        lines.next_line().await.unwrap().filter(|line| line != ".")
                    {
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    "250 kept"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            writer
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .unwrap();
        }
        mail
    }

    async fn exchange(recipient_answer: &str) -> (Result<(), MailError>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = "127.0.0.1".to_owned();
        let mailer = SmtpMailer::new(SmtpOptions {
            host,
            port,
            tls: SmtpTls::None,
            login: None,
            ..options()
        })
        .unwrap();
        let mail = Mail {
            to: "a@example.org".to_owned(),
            subject: "Hello",
            text: "see https://x.org/#abc\n".to_owned(),
        };
        let send = async move { mailer.send(&mail).await };
        tokio::join!(send, receive(listener, recipient_answer))
    }

    #[tokio::test]
    async fn a_mail_goes_over_the_wire() {
        let (sent, mail) = exchange("250 ok").await;
        sent.unwrap();
        assert!(
            mail.contains("Subject: Hello") && mail.contains("\nsee https://x.org/#abc\n"),
            "{mail}"
        );
        assert!(
            mail.contains("From: Serverledge <no-reply@example.org>"),
            "{mail}"
        );
    }

    #[tokio::test]
    async fn faults_of_the_server_are_told_apart() {
        assert!(matches!(
            exchange("550 no such mailbox").await.0,
            Err(MailError::Refused(_))
        ));
        assert!(matches!(
            exchange("451 come back later").await.0,
            Err(MailError::Unavailable(_))
        ));
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let gone = SmtpOptions {
            host: "127.0.0.1".to_owned(),
            port: nobody,
            tls: SmtpTls::None,
            login: None,
            ..options()
        };
        let mail = Mail {
            to: "a@example.org".to_owned(),
            subject: "Hello",
            text: String::new(),
        };
        assert!(matches!(
            SmtpMailer::new(gone).unwrap().send(&mail).await,
            Err(MailError::Unavailable(_))
        ));
    }
}
