//! The configured registry: the node's own, or a cluster's.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serverledge_core::kv::Kv;
use serverledge_registry::{Embedded, Etcd, EtcdOptions, EtcdTls, EtcdUser, Options};

use crate::config::{Config, RegistryUrl};
use crate::setup::{read_given, read_password};

/// An open registry.
pub(crate) struct Registry {
    kv: Arc<dyn Kv>,
    embedded: Option<Arc<Embedded>>,
    /// Held as long as the node runs: two nodes with one folder would have one id.
    _lock: Option<File>,
}

impl Registry {
    /// Opens the registry. No request goes to etcd yet.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let dir = &config.data.dir;
        match &config.registry.url {
            RegistryUrl::Embedded => {
                let embedded = Embedded::open(dir, &Options::default())
                    .with_context(|| format!("failed to use {}", dir.display()))?;
                Ok(Self::embedded(Arc::new(embedded)))
            }
            RegistryUrl::Etcd(url) => {
                let lock = lock(dir)?;
                Ok(Self {
                    kv: etcd(config, url)?,
                    embedded: None,
                    _lock: Some(lock),
                })
            }
        }
    }

    /// Opens the registry for reading, where another process may run a node on a shared one.
    pub(crate) fn open_beside(config: &Config) -> Result<Self> {
        match &config.registry.url {
            RegistryUrl::Embedded => Self::open(config),
            RegistryUrl::Etcd(url) => Ok(Self {
                kv: etcd(config, url)?,
                embedded: None,
                _lock: None,
            }),
        }
    }

    pub(crate) fn embedded(embedded: Arc<Embedded>) -> Self {
        Self {
            kv: Arc::<Embedded>::clone(&embedded),
            embedded: Some(embedded),
            _lock: None,
        }
    }

    pub(crate) fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// Whether other nodes may use it as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.embedded.is_none()
    }

    /// Writes the queued changes and closes.
    pub(crate) async fn close(self) {
        if let Some(embedded) = self.embedded {
            let _ = tokio::task::spawn_blocking(move || embedded.close()).await;
        }
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("node.lock");
    std::fs::create_dir_all(dir).with_context(|| format!("failed to use {}", dir.display()))?;
    let file = File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).with_context(|| {
        format!(
            "{} is in use by another node; data.dir chooses another folder",
            dir.display()
        )
    })?;
    Ok(file)
}

fn etcd(config: &Config, url: &str) -> Result<Arc<dyn Kv>> {
    let registry = &config.registry;
    let mut options = EtcdOptions::parse(url).with_context(|| format!("registry.url = {url}"))?;
    // Writes are refused by it before etcd does so, which a quota that was only guessed must not bring about.
    options.quota_bytes = None;
    if !registry.user.is_empty() {
        if registry.password_file.is_empty() {
            bail!("registry.user is given without registry.password_file");
        }
        let password = read_password(&registry.password_file)?;
        options.user = Some(EtcdUser {
            name: registry.user.clone(),
            password,
        });
    }
    if let Some(tls) = &mut options.tls {
        let identity = read_given(&registry.cert_file)?.zip(read_given(&registry.key_file)?);
        *tls = EtcdTls {
            authorities_pem: read_given(&registry.ca_file)?,
            identity_pem: identity,
            server_name: None,
        };
    }
    Ok(Arc::new(
        Etcd::new(options).with_context(|| format!("registry.url = {url}"))?,
    ))
}
