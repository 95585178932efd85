//! Waiting for a condition, within bounded time, and saying what did not come.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Longest wait of a test for anything: generous, since a machine under test may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until the answer is there.
pub(crate) fn wait_for<T>(
    what: &str,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition()? {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a condition; nothing relies on its length"
)]
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}
