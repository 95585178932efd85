//! The node's accounts: the background work that deleted accounts need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serverledge_core::Accounts as _;
use serverledge_core::kv::Revision;
use serverledge_platform::{Deleted, Platform};
use serverledge_registry::{AppStore, FunctionStore, Stores};

use crate::applications::Apps;
use crate::background::Background;
use crate::clock::jittered;
use crate::config::Config;
use crate::program::foundation::Foundation;

pub(crate) mod admin;
pub(crate) mod orphans;
pub(crate) mod owners;

/// Longest pause between two looks for accounts whose deletion began unnoticed, or was not finished.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The background work on accounts.
pub(crate) struct AccountsWorker {
    pub(crate) accounts: Arc<Platform>,
    apps: Arc<Apps>,
    functions: FunctionStore,
    app_store: AppStore,
    stores: Stores,
    auth_required: bool,
    background: Background,
}

impl AccountsWorker {
    pub(crate) fn new(base: Foundation, config: &Config, apps: Arc<Apps>) -> Self {
        Self {
            accounts: base.accounts,
            apps,
            functions: base.store,
            app_store: base.app_store,
            stores: base.state.stores(),
            auth_required: config.auth.enabled,
            background: base.background,
        }
    }

    /// Starts the background work on accounts.
    pub(crate) fn start(self: &Arc<Self>, from: Revision, data_dir: PathBuf) {
        if !self.accounts.delivers_mail() {
            tracing::info!(
                "no mail server (smtp.host): links for new passwords are written to this log"
            );
        }
        if self.auth_required && !self.accounts.has_operator() {
            tracing::warn!(
                "auth.enabled = true, and nobody is an operator: serverledge user grant EMAIL --create, on this machine, \
                 makes one"
            );
        }
        self.accounts.start(from);
        let worker = Arc::clone(self);
        self.background
            .spawn(async move { worker.finish_deletions_forever().await });
        let desk = admin::Desk {
            platform: Platform::clone(&self.accounts),
            functions: self.functions.clone(),
            apps: self.app_store.clone(),
            stores: self.stores.clone(),
        };
        self.background
            .spawn(async move { admin::serve(desk, &data_dir).await });
    }

    /// Deletes what deleted accounts owned, and then what is left of them.
    async fn finish_deletions_forever(&self) {
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

    /// Deletes a user's applications, the functions of their own space, and then the user.
    async fn finish_deletion(&self, deleted: &Deleted) -> Result<()> {
        self.apps
            .delete_belongings(&deleted.user, &deleted.space)
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
    use serverledge_api::{Deploy, Deployments as _};
    use serverledge_core::kv::Kv;
    use serverledge_core::{Accounts as _, Credential, SignedUp, SpaceId};
    use serverledge_registry::{Embedded, Follower};
    use serverledge_testing::fake_executor::{Behaviour, FakeExecutor};
    use serverledge_wire::function::FunctionBody;

    use super::*;
    use crate::config::{Machine, load};
    use crate::executors::Executors;
    use crate::program::node::{NodeServices, build};

    const PASSWORD: &str = "correct horse battery";
    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn node(dir: &std::path::Path) -> NodeServices {
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
        node.accounts.accounts.load().await.unwrap();
        let SignedUp::LoggedIn(session) = node
            .accounts
            .accounts
            .sign_up("a@b.org", PASSWORD, None, FROM)
            .await
            .unwrap()
        else {
            panic!("without a mail server an account is made at once");
        };
        let caller = node
            .accounts
            .accounts
            .authenticate(Credential::Session(&session.secret))
            .unwrap();
        let code = STANDARD.encode(Behaviour::Echo.code());
        let body = format!(r#"{{"Name":"f","Runtime":"python","TarFunctionCode":"{code}"}}"#);
        for space in [caller.space.clone(), SpaceId::default_space()] {
            let request = FunctionBody::parse(body.as_bytes()).unwrap();
            node.deployer
                .deploy(&space, Deploy::Update, request, &())
                .await
                .unwrap();
        }
        node.accounts
            .accounts
            .delete(&caller, PASSWORD, FROM)
            .await
            .unwrap();
        let deleted = node.accounts.accounts.deleted_users();
        assert_eq!(deleted.len(), 1);
        node.accounts.finish_deletion(&deleted[0]).await.unwrap();
        assert!(
            node.base
                .resources
                .functions
                .names(&caller.space)
                .is_empty()
        );
        assert_eq!(
            node.base
                .resources
                .functions
                .names(&SpaceId::default_space()),
            ["f"],
            "others keep theirs"
        );
        assert!(node.accounts.accounts.users().await.unwrap().is_empty());
        node.accounts.finish_deletion(&deleted[0]).await.unwrap();
    }
}
