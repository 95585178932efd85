//! The other nodes: how they are, what is offloaded to them, and what they send here. `docs/cluster.md` and
//! `docs/peer-protocol.md` describe the whole.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serverledge_client::{ClientConfig, PeerClient};
use serverledge_wire::peer::ClusterKey;

use crate::config::Config;

mod joins;
mod offload;
mod peers;
mod probe;
mod proofs;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use joins::Joins;
pub(crate) use offload::{HOPS_MAX, NotTaken, Offloaded, carries_little};
pub(crate) use peers::{Contact, Peers, Standing};
pub(crate) use probe::Whom;
pub(crate) use proofs::Proofs;

/// Longest wait for a connection to a peer: one lost packet is sent again within it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest key that is taken from a file.
const KEY_CHARS_MIN: usize = 32;

/// What a node has of its cluster.
pub(crate) struct Cluster {
    /// What nodes of this cluster know each other by.
    pub(crate) key: Option<ClusterKey>,
    /// This node as `area/node`.
    pub(crate) me: String,
    /// How peers are asked; `None` without a key.
    pub(crate) client: Option<PeerClient>,
    /// How what peers ask is checked.
    pub(crate) proofs: Option<Proofs>,
    pub(crate) peers: Peers,
    pub(crate) joins: Joins,
    pub(crate) probe_every: Duration,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(config: &Config, me: &str) -> Result<Self> {
        let key = key(config)?;
        let authorities = authorities(config)?;
        let client_config = ClientConfig {
            connect_timeout: CONNECT_TIMEOUT,
            authorities,
            ..ClientConfig::default()
        };
        let client = key
            .clone()
            .map(|key| PeerClient::new(key, &client_config))
            .transpose();
        Ok(Self {
            key: key.clone(),
            me: me.to_owned(),
            client: client.context("failed to set up the client of other nodes")?,
            proofs: key.map(|key| Proofs::new(key, me.to_owned())),
            peers: Peers::new(config, me),
            joins: Joins::default(),
            probe_every: config.cluster.nearby_interval,
        })
    }
}

fn authorities(config: &Config) -> Result<Option<Vec<u8>>> {
    let path = &config.cluster.ca_file;
    if path.is_empty() {
        return Ok(None);
    }
    std::fs::read(path)
        .with_context(|| format!("failed to read cluster.ca_file = {path}"))
        .map(Some)
}

fn key(config: &Config) -> Result<Option<ClusterKey>> {
    let cluster = &config.cluster;
    if let Some(key) = &cluster.key {
        return Ok(Some(ClusterKey::derive(key.expose())));
    }
    if cluster.key_file.is_empty() {
        return Ok(None);
    }
    let path = Path::new(&cluster.key_file);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read cluster.key_file = {}", path.display()))?;
    let text = text.trim();
    ensure!(
        text.len() >= KEY_CHARS_MIN,
        "cluster.key_file = {} holds fewer than {KEY_CHARS_MIN} characters",
        path.display()
    );
    Ok(Some(ClusterKey::derive(text)))
}
