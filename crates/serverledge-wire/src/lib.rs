//! The data on the wire and in the registry: serde types, apart from core's own, converted by hand.

pub mod account;
pub mod application;
pub mod canonical;
pub mod client_cache;
pub mod edge;
pub mod endpoint_body;
pub mod function;
pub mod header;
pub mod hosting;
pub mod invocations;
pub mod invoke;
pub mod javascript;
pub mod members;
pub mod patch;
pub mod peer;
pub mod peer_info;
pub mod problem;
pub mod records;
pub mod rollout;
pub mod status;
pub mod stream;
pub mod time;
pub mod upload;
pub mod versions;
