//! What whoever runs the machine tells the node about accounts: `serverledge user …`.
//!
//! A running node listens on a Unix socket in its data folder, which only its owner may enter: one line of JSON is asked,
//! one is answered. Where no node runs, the command opens the registry itself and does the same.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serverledge_core::{AccountError, Role};
use serverledge_platform::Platform;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::accounts;
use crate::arguments::UserCommand;
use crate::config::Config;
use crate::registry::Registry;

const SOCKET: &str = "admin.sock";
/// An address, a role and what stands around them.
const ASKED_BYTES_MAX: u64 = 4096;
/// Whoever connects asks at once.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Asked {
    Grant {
        email: String,
        role: String,
        create: bool,
    },
    Revoke {
        email: String,
    },
    List,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answered {
    /// Lines for people.
    Done(Vec<String>),
    Failed(String),
}

/// The socket's file, which goes with whoever listens.
struct Bound<'a>(&'a Path);

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        // If it stays, the next start removes it.
        let _ = std::fs::remove_file(self.0);
    }
}

/// Answers until it is dropped. Whatever keeps it from that does not keep the node from running.
pub(crate) async fn serve(platform: Platform, dir: &Path) {
    let path = dir.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let problem = "`serverledge user` works only while this node is stopped";
            return tracing::warn!(error = format!("{error:#}"), "{problem}");
        }
    };
    let _bound = Bound(&path);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One after the other: it is one person.
                let answered = answer(&platform, stream).await;
                if let Err(error) = answered {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "a request on the admin socket failed"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept on the admin socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    // The data folder is this node's alone, so that one which is there is a dead node's.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("failed to listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(platform: &Platform, mut stream: UnixStream) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(ASKED_BYTES_MAX));
    tokio::time::timeout(ASKED_WITHIN, reader.read_line(&mut line))
        .await
        .context("nothing was asked in time")??;
    let answered = match serde_json::from_str(&line) {
        Ok(asked) => perform(platform, asked).await,
        Err(error) => Answered::Failed(format!("not understood: {error}")),
    };
    let mut text = serde_json::to_vec(&answered)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    Ok(())
}

async fn perform(platform: &Platform, asked: Asked) -> Answered {
    try_perform(platform, asked)
        .await
        .map_or_else(|error| Answered::Failed(chain(&error)), Answered::Done)
}

async fn try_perform(platform: &Platform, asked: Asked) -> Result<Vec<String>, AccountError> {
    Ok(match asked {
        Asked::Grant {
            email,
            role,
            create,
        } => {
            let role = Role::parse(&role).ok_or(AccountError::Unknown("this role"))?;
            let granted = platform.grant(&email, role, create).await?;
            let said = format!(
                "{email} has the role {} (user {})",
                role.name(),
                granted.user
            );
            let link = granted
                .link
                .map(|link| format!("a password is chosen, once and within a day, at\n{link}"));
            std::iter::once(said).chain(link).collect()
        }
        Asked::Revoke { email } => {
            let user = platform.revoke(&email).await?;
            vec![format!(
                "{email} has the role user (user {user}); sessions have ended, tokens are revoked"
            )]
        }
        Asked::List => {
            let users = platform.users().await?;
            let lines = users.iter().map(|user| {
                let deleted = if user.deleted { " (being deleted)" } else { "" };
                format!("{} {:<8} {}{deleted}", user.user, user.role, user.email)
            });
            lines.collect()
        }
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Runs `serverledge user …`: through the node that runs here, or by itself if none does.
///
/// # Errors
/// What kept it from being done.
#[expect(clippy::print_stdout, reason = "that is what was asked for")]
pub fn user_command(config: &Config, command: &UserCommand) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start threads")?;
    let answered = runtime.block_on(ask(config, asked(command)))?;
    match answered {
        Answered::Done(lines) => lines.iter().for_each(|line| println!("{line}")),
        Answered::Failed(problem) => bail!("{problem}"),
    }
    Ok(())
}

fn asked(command: &UserCommand) -> Asked {
    match command {
        UserCommand::Grant {
            email,
            role,
            create,
        } => Asked::Grant {
            email: email.clone(),
            role: role.clone(),
            create: *create,
        },
        UserCommand::Revoke { email } => Asked::Revoke {
            email: email.clone(),
        },
        UserCommand::List => Asked::List,
    }
}

async fn ask(config: &Config, asked: Asked) -> Result<Answered> {
    let path = config.data.dir.join(SOCKET);
    match UnixStream::connect(&path).await {
        Ok(stream) => ask_node(stream, &asked)
            .await
            .with_context(|| format!("failed to ask the node at {}", path.display())),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            let registry = Registry::open(config)?;
            let platform = accounts::open(config, registry.kv())?;
            let own = crate::program::own_url(
                config,
                std::net::SocketAddr::new(config.api.ip, config.api.port),
            );
            platform.set_default_url(own);
            let answered = perform(&platform, asked).await;
            platform.stop().await;
            registry.close().await;
            Ok(answered)
        }
        Err(error) => {
            Err(error).with_context(|| format!("failed to reach the node at {}", path.display()))
        }
    }
}

async fn ask_node(mut stream: UnixStream, asked: &Asked) -> Result<Answered> {
    let mut text = serde_json::to_vec(asked)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    serde_json::from_str(&line).context("the node did not answer")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serverledge_core::kv::Kv;
    use serverledge_platform::{LogMailer, Options, Signup, SystemClock};
    use serverledge_registry::Embedded;

    use super::*;

    fn platform() -> Platform {
        let kv: Arc<dyn Kv> =
            Arc::new(Embedded::in_memory(&serverledge_registry::Options::default()).unwrap());
        let options = Options {
            signup: Signup::Closed,
            base_url: Some("https://faas.example.org".to_owned()),
            session_idle: Duration::from_secs(3600),
            session_lifetime: Duration::from_secs(3600),
            offline_grace: Duration::from_secs(60),
        };
        Platform::new(kv, Arc::new(LogMailer), Arc::new(SystemClock), options)
    }

    #[tokio::test]
    async fn accounts_are_looked_after_over_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        std::fs::write(&path, "left by a dead node").unwrap();
        let (platform, listener) = (platform(), listen(&path).unwrap());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let talk = async |asked: &[u8]| {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(asked).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            answer(&platform, server).await.unwrap();
            let mut line = String::new();
            BufReader::new(client).read_line(&mut line).await.unwrap();
            line
        };
        let grant = b"{\"command\":\"grant\",\"email\":\"ada@example.org\",\"role\":\"operator\",\"create\":true}\n";
        let made = talk(grant).await;
        assert!(
            made.contains("https://faas.example.org/account/reset#"),
            "{made}"
        );
        assert!(
            talk(b"{\"command\":\"list\"}\n")
                .await
                .contains("operator ada@example.org")
        );
        assert!(
            talk(b"{\"command\":\"revoke\",\"email\":\"bob@example.org\"}\n")
                .await
                .contains("is unknown")
        );
        assert!(talk(b"nonsense\n").await.contains("not understood"));
        assert!(
            talk(&[b'x'; 5000]).await.contains("not understood"),
            "no more is read than is needed"
        );
    }
}
