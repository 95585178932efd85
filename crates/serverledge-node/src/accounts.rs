//! The node's accounts: made from the configuration, and what the node owes accounts that are deleted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serverledge_api::DeployError;
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
    Ok(Platform::new(Arc::clone(kv), mailer(&config.smtp)?, Arc::new(SystemClock), options))
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
        let password = String::from_utf8(read(path)?).with_context(|| format!("{path} is no text"))?;
        Some(SmtpLogin { user: smtp.user.clone(), password: password.trim_end_matches(['\r', '\n']).to_owned() })
    };
    let options = SmtpOptions {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        authorities_pem: Some(&smtp.ca_file).filter(|path| !path.is_empty()).map(|path| read(path)).transpose()?,
        login,
        from: smtp.from.clone(),
    };
    let mailer =
        SmtpMailer::new(options).map_err(|error| anyhow::anyhow!(error)).context("failed to set up mail (smtp.*)")?;
    Ok(Arc::new(mailer))
}

impl Node {
    /// Begins what happens to accounts in the background.
    pub(crate) fn start_accounts(self: &Arc<Self>, from: Revision, data_dir: PathBuf) {
        if !self.accounts.delivers_mail() {
            tracing::info!("no mail server (smtp.host): links for new passwords are written to this log");
        }
        self.accounts.start(from);
        let node = Arc::clone(self);
        self.background.spawn(async move { node.finish_deletions_forever().await });
        let accounts = Platform::clone(&self.accounts);
        self.background.spawn(async move { admin::serve(accounts, &data_dir).await });
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
            let _ = tokio::time::timeout(jittered(LOOK_EVERY), self.accounts.deletion_begun()).await;
        }
    }

    /// The functions of the user's own space.
    async fn finish_deletion(&self, deleted: &Deleted) -> Result<()> {
        for name in self.store.list(&deleted.space).await? {
            match self.delete(&deleted.space, name.as_str()).await {
                Ok(()) | Err(DeployError::Unknown(_)) => {}
                Err(error) => return Err(error).with_context(|| format!("failed to delete function {name}")),
            }
        }
        self.accounts.finish_deletion(&deleted.user).await?;
        tracing::info!(user = %deleted.user, "deleted an account");
        Ok(())
    }
}
