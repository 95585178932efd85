//! Container sandboxes through the Docker Engine or Podman: hardened, network-less containers with an agent inside, spoken to over a
//! Unix socket; a pool of started ones without code (template containers) that makes a cold start a matter of milliseconds; installed
//! dependencies in read-only layers; and sweeps, so that nothing survives the node that made it.
//!
//! The only crate that knows Docker and Podman. The protocol is in `docs/container-protocol.md`, the profile in `docs/containers.md`.

mod agent;
mod bundle;
mod calls;
mod config;
mod container;
mod container_log;
mod engine;
mod exchange;
mod executor;
mod images;
mod install;
mod kind;
mod launch;
mod libpod;
mod memory_kills;
mod network;
mod outbound;
mod prepared;
mod profile;
mod protocol;
mod requests;
mod running_calls;
mod sandbox;
mod seccomp;
mod socket;
mod template_containers;
mod templates_wanted;
mod wanted;

pub use config::{DockerConfig, Images, InstallConfig};
pub use executor::{DockerExecutor, DockerOpenError};
