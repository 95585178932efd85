//! placeholder

pub mod executor;
pub mod fake_executor;
pub mod fake_host;
pub mod kv;
