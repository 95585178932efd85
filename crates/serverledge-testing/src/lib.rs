//! Fakes with handles, one conformance suite per trait of `serverledge-core`, and real services as processes. A
//! dev-dependency only.

pub mod accounts;
pub mod browser;
pub mod budgeted;
pub mod certificates;
pub mod etcd_process;
pub mod executor;
pub mod fake_executor;
pub mod fake_host;
pub mod http_component;
pub mod kv;
pub mod linear;
#[cfg(feature = "cluster-tests")]
pub mod links;
pub mod smtp_process;
