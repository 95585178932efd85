//! What goes over the wire and into the registry: serde types, apart from core's own, converted by hand.

pub mod account;
pub mod application;
pub mod canonical;
pub mod carried;
pub mod function;
pub mod header;
pub mod hosting;
pub mod invocations;
pub mod invoke;
pub mod javascript;
pub mod members;
pub mod peer;
pub mod peer_info;
pub mod problem;
pub mod records;
pub mod status;
pub mod stream;
pub mod thesis;
pub mod time;
pub mod versions;
