//! The node's accounts: made from the configuration, and what the node owes accounts that are deleted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serverledge_core::kv::{Kv, Revision};
use serverledge_platform::{
    Deleted, LogMailer, Mailer, Options, Platform, SmtpLogin, SmtpMailer, SmtpOptions, SystemClock,
};

use crate::admin;
use crate::asynchronous::jittered;
use crate::config::{Config, SmtpConfig};
use crate::node::Node;

/// How often it is looked for accounts whose deletion began unnoticed, or was not finished.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The accounts in this registry. Nobody is known before they are loaded.
pub(crate) fn open(config: &Config, kv: &Arc<dyn Kv>) -> Result<Platform> {
    let options = Options {
        signup: config.accounts.signup,
        base_url: Some(config.accounts.base_url.clone()).filter(|url| !url.is_empty()),
        session_idle: config.auth.session_idle,
        session_lifetime: config.auth.session_lifetime,
        offline_grace: config.auth.offline_grace,
    };
    Ok(Platform::new(
        Arc::clone(kv),
        mailer(&config.smtp)?,
        Arc::new(SystemClock),
        options,
    ))
}

fn mailer(smtp: &SmtpConfig) -> Result<Arc<dyn Mailer>> {
    if smtp.host.is_empty() {
        return Ok(Arc::new(LogMailer));
    }
    let read = |path: &str| std::fs::read(path).with_context(|| format!("failed to read {path}"));
    let login = if smtp.user.is_empty() {
        None
    } else {
        let path = &smtp.password_file;
        let password =
            String::from_utf8(read(path)?).with_context(|| format!("{path} is no text"))?;
        Some(SmtpLogin {
            user: smtp.user.clone(),
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
        })
    };
    let options = SmtpOptions {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        authorities_pem: Some(&smtp.ca_file)
            .filter(|path| !path.is_empty())
            .map(|path| read(path))
            .transpose()?,
        login,
        from: smtp.from.clone(),
    };
    let mailer = SmtpMailer::new(options)
        .map_err(|error| anyhow::anyhow!(error))
        .context("failed to set up mail (smtp.*)")?;
    Ok(Arc::new(mailer))
}

impl Node {
    /// Begins what happens to accounts in the background.
    pub(crate) fn start_accounts(self: &Arc<Self>, from: Revision, data_dir: PathBuf) {
        if !self.accounts.delivers_mail() {
            tracing::info!(
                "no mail server (smtp.host): links for new passwords are written to this log"
            );
        }
        self.accounts.start(from);
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.finish_deletions_forever().await });
        let accounts = Platform::clone(&self.accounts);
        self.background
            .spawn(async move { admin::serve(accounts, &data_dir).await });
    }

    /// Deletes what deleted accounts owned, and then what is left of them.
    pub(crate) async fn finish_deletions_forever(&self) {
        loop {
            for deleted in self.accounts.deleted_users() {
                if let Err(error) = self.finish_deletion(&deleted).await {
                    tracing::warn!(error = format!("{error:#}"), user = %deleted.user, "failed to delete what an account owned");
                }
            }
            // What comes while this node is at work is found by the next look.
            let _ =
                tokio::time::timeout(jittered(LOOK_EVERY), self.accounts.deletion_begun()).await;
        }
    }

    /// Applications, and the functions of the user's own space; then the user.
    async fn finish_deletion(&self, deleted: &Deleted) -> Result<()> {
        self.delete_belongings(&deleted.user, &deleted.space)
            .await?;
        self.accounts.finish_deletion(&deleted.user).await?;
        tracing::info!(user = %deleted.user, "deleted an account");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serverledge_api::Deploy;
    use serverledge_core::{Accounts as _, Credential, SignedUp, SpaceId};
    use serverledge_registry::Embedded;
    use serverledge_testing::fake_executor::{Behaviour, FakeExecutor};
    use serverledge_wire::function::FunctionBody;

    use super::*;
    use crate::config::{Machine, load};
    use crate::executors::Executors;
    use crate::program::build;

    const PASSWORD: &str = "correct horse battery";
    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn node(dir: &std::path::Path) -> Node {
        let machine = Machine {
            memory_bytes: 1 << 30,
            cores: 2,
            files_max: 4096,
        };
        let config = load(
            None,
            &[("SERVERLEDGE_DATA_DIR", dir.to_str().unwrap())],
            &machine,
            &[],
        )
        .unwrap()
        .config;
        let kv: Arc<dyn Kv> =
            Arc::new(Embedded::open(dir, &serverledge_registry::Options::default()).unwrap());
        let containers = Arc::new(FakeExecutor::pooled().0);
        let executors = Executors {
            wasm: Arc::new(FakeExecutor::new().0),
            snapshots: None,
            containers: Some(containers),
        };
        build(&config, &kv, executors).unwrap()
    }

    #[tokio::test]
    async fn a_deleted_account_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let node = node(&dir.path().join("data"));
        node.accounts.load().await.unwrap();
        let SignedUp::LoggedIn(session) = node
            .accounts
            .sign_up("a@b.org", PASSWORD, None, FROM)
            .await
            .unwrap()
        else {
            panic!("without a mail server an account is made at once");
        };
        let caller = node
            .accounts
            .authenticate(Credential::Session(&session.secret))
            .unwrap();
        let code = STANDARD.encode(Behaviour::Echo.code());
        let body = format!(r#"{{"Name":"f","Runtime":"python","TarFunctionCode":"{code}"}}"#);
        for space in [caller.space.clone(), SpaceId::default_space()] {
            let request = FunctionBody::parse(body.as_bytes()).unwrap();
            node.deploy(&space, Deploy::Update, request, &())
                .await
                .unwrap();
        }
        node.accounts.delete(&caller, PASSWORD, FROM).await.unwrap();
        let deleted = node.accounts.deleted_users();
        assert_eq!(deleted.len(), 1);
        node.finish_deletion(&deleted[0]).await.unwrap();
        assert!(node.functions.names(&caller.space).is_empty());
        assert_eq!(
            node.functions.names(&SpaceId::default_space()),
            ["f"],
            "others keep theirs"
        );
        assert!(node.accounts.users().await.unwrap().is_empty());
        node.finish_deletion(&deleted[0]).await.unwrap();
    }
}
