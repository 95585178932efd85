//! Container sandboxes through the Docker Engine: hardened, network-less containers with an agent inside, spoken to over a
//! Unix socket; a pool of started, code-less ones ("stem cells") that makes a cold start a matter of milliseconds; installed
//! dependencies in read-only layers; and sweeps, so that nothing survives the node that made it.
//!
//! The only crate that knows Docker. The protocol is in `docs/container-protocol.md`, the profile in `docs/containers.md`.

mod agent;
mod bundle;
mod calls;
mod cells;
mod config;
mod container;
mod engine;
mod exchange;
mod executor;
mod install;
mod launch;
mod network;
mod prepared;
mod profile;
mod protocol;
mod sandbox;
mod socket;

pub use config::{DockerConfig, Images, InstallConfig};
pub use executor::{DockerExecutor, OpenError};
