//! The sender of callbacks. Until the client crate has one, no URL is accepted.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::InvocationId;

use crate::asynchronous::{Notifier, NotifyError};
use crate::config::Config;

/// Accepts no URL.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Notifier for Nobody {
    fn check(&self, _url: &str) -> Result<(), String> {
        Err("this node sends no callbacks".to_owned())
    }

    async fn send(&self, _url: &str, _id: InvocationId, _body: Bytes) -> Result<(), NotifyError> {
        Err(NotifyError { is_final: true, message: "this node sends no callbacks".to_owned() })
    }
}

/// What the configuration says.
pub(crate) fn notifier(_config: &Config) -> Result<Arc<dyn Notifier>> {
    Ok(Arc::new(Nobody))
}
