//! The sender of callbacks: the client crate's, with its signing key, which is created once and kept.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use serverledge_client::{CallbackConfig, CallbackSender, ReachAllow};
use serverledge_core::{InvocationId, TraceContext};
use serverledge_registry::create_private;

use crate::asynchronous::{Notifier, NotifyError};
use crate::config::Config;

/// Length in bytes of a created key.
const KEY_BYTES: usize = 32;
/// Shortest key that is accepted, in bytes: a shorter one can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// Sends callbacks to the allowed receivers.
#[derive(Debug)]
struct Callbacks(CallbackSender);

#[async_trait]
impl Notifier for Callbacks {
    fn check(&self, url: &str) -> Result<(), String> {
        self.0.check(url).map_err(|refused| refused.to_string())
    }

    async fn send(
        &self,
        url: &str,
        id: InvocationId,
        trace: &TraceContext,
        body: Bytes,
    ) -> Result<(), NotifyError> {
        match self.0.send(url, id, trace, body).await {
            Ok(_) => Ok(()),
            // Its causes are about the node's network, and the message is for the user.
            Err(error) => Err(NotifyError {
                is_final: error.is_final(),
                message: error.to_string(),
            }),
        }
    }
}

/// The sender of callbacks that the configuration describes.
pub(crate) fn notifier(config: &Config) -> Result<Arc<dyn Notifier>> {
    let wanted = &config.asynchronous;
    let allow: Result<Vec<ReachAllow>> = wanted
        .callback_allow
        .iter()
        .map(|text| {
            text.parse().with_context(|| {
                format!("async.callback.allow: {text:?} is no network and no host")
            })
        })
        .collect();
    let made = config.data.dir.join("callback.key");
    let path = if wanted.callback_key_file.is_empty() {
        made.as_path()
    } else {
        Path::new(&wanted.callback_key_file)
    };
    if wanted.callback_key_file.is_empty() {
        make(path).with_context(|| format!("failed to make {}", path.display()))?;
    }
    let key = read(path)?;
    let sender = CallbackSender::new(CallbackConfig {
        allow: allow?,
        ..CallbackConfig::new(key)
    })
    .context("failed to set up the sender of callbacks")?;
    Ok(Arc::new(Callbacks(sender)))
}

/// The file's bytes without a newline at their end.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut key = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    while key.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        key.pop();
    }
    ensure!(
        key.len() >= KEY_BYTES_MIN,
        "the key in {} has fewer than {KEY_BYTES_MIN} bytes",
        path.display()
    );
    Ok(key)
}

/// Creates a key, unless there is one.
fn make(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    create_private(path, format!("{digits}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let (data, path) = (
            dir.path().join("data"),
            dir.path().join("data/callback.key"),
        );
        make(&path).unwrap();
        let key = read(&path).unwrap();
        assert_eq!(key.len(), 2 * KEY_BYTES);
        make(&path).unwrap();
        assert_eq!(read(&path).unwrap(), key);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "short\n").unwrap();
        assert!(read(&path).is_err());
        fs::write(&path, "sixteen bytes ok\r\n").unwrap();
        assert_eq!(read(&path).unwrap(), b"sixteen bytes ok");
    }
}
