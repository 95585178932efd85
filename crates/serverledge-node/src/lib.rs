//! Temporary: replaced by the wiring of the node.

pub mod config;
