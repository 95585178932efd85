//! Fakes with handles, and one conformance suite per trait of `serverledge-core`. A dev-dependency only.

pub mod executor;
pub mod fake_executor;
pub mod fake_host;
pub mod kv;
