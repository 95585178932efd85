//! The other nodes: their state, the calls that are offloaded to them, and the calls that they offload here.
//! `docs/cluster.md` and `docs/peer-protocol.md` describe the whole.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serverledge_client::{ClientConfig, PeerClient};
use serverledge_wire::peer::ClusterKey;

use crate::config::Config;
use crate::telemetry::Sampler;

mod joins;
mod lacking;
pub(crate) mod membership;
mod offload;
pub(crate) mod peers;
mod probe;
mod proofs;
mod rollout;
pub(crate) mod serve;
#[cfg(test)]
mod tests;

pub(crate) use joins::Joins;
pub(crate) use lacking::Lacking;
pub(crate) use offload::{
    HOPS_MAX, OffloadRefusal, Offloaded, Versions, carries_little, lacks_version,
};
pub(crate) use peers::{Contact, PeerSnapshot, Peers};
pub(crate) use probe::ProbeScope;
pub(crate) use proofs::Proofs;

/// Longest wait for a connection to a peer: one lost packet is sent again within it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest key that is taken from a file.
const KEY_CHARS_MIN: usize = 32;

/// The node's part in its cluster.
pub(crate) struct Cluster {
    /// The key with which nodes of this cluster authenticate each other.
    pub(crate) key: Option<ClusterKey>,
    /// This node as `area/node`.
    pub(crate) me: String,
    /// The client for requests to peers; `None` without a key.
    pub(crate) client: Option<PeerClient>,
    /// The verifier of peers' requests; `None` without a key.
    pub(crate) proofs: Option<Proofs>,
    pub(crate) peers: Peers,
    pub(crate) joins: Joins,
    pub(crate) lacking: Lacking,
    pub(crate) probe_every: Duration,
    /// The choice of traces that are recorded.
    sampler: Sampler,
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
            lacking: Lacking::default(),
            probe_every: config.cluster.nearby_interval,
            sampler: Sampler::new(&config.tracing),
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
    let path = &cluster.key_file;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read cluster.key_file = {path}"))?;
    let text = text.trim();
    ensure!(
        text.len() >= KEY_CHARS_MIN,
        "cluster.key_file = {path} holds fewer than {KEY_CHARS_MIN} characters"
    );
    Ok(Some(ClusterKey::derive(text)))
}
