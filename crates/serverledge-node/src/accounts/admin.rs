//! Administration of accounts from the machine that the node runs on: `serverledge user …`.
//!
//! A running node listens on a Unix socket in its data folder, which only its owner may enter. A request and its
//! response are one line of JSON each. Where no node runs, the command opens the registry itself and does the same.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serverledge_core::{AccountError, Role, error_chain};
use serverledge_platform::Platform;
use serverledge_registry::{AppStore, FunctionStore, Stores};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::arguments::UserCommand;
use crate::config::Config;
use crate::registry::Registry;
use crate::setup::open_accounts;
use crate::socket::{SocketFile, listen};

mod adopt;

const SOCKET: &str = "admin.sock";
/// Longest request: an address, a role, and the JSON around them.
const ASKED_BYTES_MAX: u64 = 4096;
/// Time for the request to arrive: a command sends it as soon as it has connected.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The node's response to a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AdminResponse {
    /// Lines for people.
    Done(Vec<String>),
    Failed(String),
}

/// The records that the commands change. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) platform: Platform,
    pub(crate) functions: FunctionStore,
    pub(crate) apps: AppStore,
    pub(crate) stores: Stores,
}

/// Answers commands until the future is dropped. A failure here does not keep the node from running.
pub(crate) async fn serve(desk: Desk, dir: &Path) {
    let path = dir.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let problem = "`serverledge user` works only while this node is stopped";
            return tracing::warn!(error = format!("{error:#}"), "{problem}");
        }
    };
    let _bound = SocketFile(&path);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One after the other: it is one person.
                let answered = answer(&desk, stream).await;
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

async fn answer(desk: &Desk, mut stream: UnixStream) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(ASKED_BYTES_MAX));
    tokio::time::timeout(ASKED_WITHIN, reader.read_line(&mut line))
        .await
        .context("nothing was asked in time")??;
    let answered = match serde_json::from_str(&line) {
        Ok(asked) => perform(desk, &asked).await,
        Err(error) => AdminResponse::Failed(format!("not understood: {error}")),
    };
    let mut text = serde_json::to_vec(&answered)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    Ok(())
}

async fn perform(desk: &Desk, asked: &UserCommand) -> AdminResponse {
    try_perform(desk, asked).await.map_or_else(
        |error| AdminResponse::Failed(error_chain(&error)),
        AdminResponse::Done,
    )
}

async fn try_perform(desk: &Desk, asked: &UserCommand) -> Result<Vec<String>, AccountError> {
    let platform = &desk.platform;
    Ok(match asked {
        UserCommand::Grant {
            email,
            role,
            create,
        } => {
            let role = Role::parse(role).ok_or(AccountError::Unknown("this role"))?;
            let granted = platform.grant(email, role, *create).await?;
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
        UserCommand::Revoke { email } => {
            let user = platform.revoke(email).await?;
            vec![format!(
                "{email} has the role user (user {user}); sessions have ended, tokens are revoked"
            )]
        }
        UserCommand::Adopt { email } => {
            let (user, space) = platform.find(email).await?;
            adopt::adopt(desk, &user, &space, email).await?
        }
        UserCommand::List => {
            let users = platform.users().await?;
            let lines = users.iter().map(|user| {
                let deleted = if user.deleted { " (being deleted)" } else { "" };
                format!("{} {:<8} {}{deleted}", user.user, user.role, user.email)
            });
            lines.collect()
        }
    })
}

/// Runs `serverledge user …`: through the node that runs here, or by itself if none does.
///
/// # Errors
/// The command failed, on the node or in the registry.
#[expect(clippy::print_stdout, reason = "that is what was asked for")]
pub fn user_command(config: &Config, command: &UserCommand) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start threads")?;
    let answered = runtime.block_on(ask(config, command))?;
    match answered {
        AdminResponse::Done(lines) => lines.iter().for_each(|line| println!("{line}")),
        AdminResponse::Failed(problem) => bail!("{problem}"),
    }
    Ok(())
}

async fn ask(config: &Config, asked: &UserCommand) -> Result<AdminResponse> {
    let path = config.data.dir.join(SOCKET);
    match UnixStream::connect(&path).await {
        Ok(stream) => ask_node(stream, asked)
            .await
            .with_context(|| format!("failed to ask the node at {}", path.display())),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            let registry = Registry::open(config)?;
            let platform = open_accounts(config, registry.kv())?;
            let own = crate::setup::own_url(
                config,
                std::net::SocketAddr::new(config.api.ip, config.api.port),
            );
            platform.set_default_url(own);
            let desk = Desk {
                platform,
                functions: FunctionStore::new(Arc::clone(registry.kv())),
                apps: AppStore::new(Arc::clone(registry.kv())),
                stores: Stores::new(Arc::clone(registry.kv())),
            };
            let answered = perform(&desk, asked).await;
            desk.platform.stop().await;
            registry.close().await;
            Ok(answered)
        }
        Err(error) => {
            Err(error).with_context(|| format!("failed to reach the node at {}", path.display()))
        }
    }
}

async fn ask_node(mut stream: UnixStream, asked: &UserCommand) -> Result<AdminResponse> {
    let mut text = serde_json::to_vec(asked)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    serde_json::from_str(&line).context("the node did not answer")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serverledge_core::kv::Kv;
    use serverledge_platform::{LogMailer, Options, Signup, SystemClock};
    use serverledge_registry::Embedded;

    use super::*;

    fn desk() -> Desk {
        let kv: Arc<dyn Kv> =
            Arc::new(Embedded::in_memory(&serverledge_registry::Options::default()).unwrap());
        let options = Options {
            signup: Signup::Closed,
            base_url: Some("https://faas.example.org".to_owned()),
            session_idle: Duration::from_secs(3600),
            session_lifetime: Duration::from_secs(3600),
            offline_grace: Duration::from_secs(60),
        };
        let functions = FunctionStore::new(Arc::clone(&kv));
        let apps = AppStore::new(Arc::clone(&kv));
        let stores = Stores::new(Arc::clone(&kv));
        Desk {
            platform: Platform::new(kv, Arc::new(LogMailer), Arc::new(SystemClock), options),
            functions,
            apps,
            stores,
        }
    }

    #[tokio::test]
    async fn accounts_are_looked_after_over_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        std::fs::write(&path, "left by a dead node").unwrap();
        let desk = desk();
        let listener = listen(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let talk = async |asked: &[u8]| {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(asked).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            answer(&desk, server).await.unwrap();
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
        let adopted = talk(b"{\"command\":\"adopt\",\"email\":\"ada@example.org\"}\n").await;
        assert!(adopted.contains("nothing is without an owner"), "{adopted}");
        assert!(
            talk(b"{\"command\":\"adopt\",\"email\":\"bob@example.org\"}\n")
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
