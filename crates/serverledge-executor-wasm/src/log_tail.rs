//! The end of what a guest writes to its log, bounded, shared between the guest and whoever waits for it: a guest that
//! is stopped takes nothing of its log along.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// The last bytes of a log. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LogTail {
    kept: Arc<Mutex<Vec<u8>>>,
    max: usize,
}

impl LogTail {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            kept: Arc::default(),
            max,
        }
    }

    /// Appends; the oldest bytes go when there are more than twice the limit, so that a byte is moved at most once.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        let mut kept = self.kept.lock();
        if kept.len() + bytes.len() > 2 * self.max {
            let surplus = (kept.len() + bytes.len() - self.max).min(kept.len());
            kept.drain(..surplus);
        }
        kept.extend_from_slice(bytes);
    }

    /// Takes what was kept.
    pub(crate) fn take(&self) -> Bytes {
        let mut kept = std::mem::take(&mut *self.kept.lock());
        let surplus = kept.len().saturating_sub(self.max);
        kept.drain(..surplus);
        Bytes::from(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end() {
        let log = LogTail::new(4);
        for chunk in ["ab", "cd", "ef", "ghijkl", "m"] {
            log.push(chunk.as_bytes());
        }
        assert_eq!(log.take(), "jklm");
        assert!(log.take().is_empty());
    }
}
