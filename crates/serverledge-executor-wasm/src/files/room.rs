//! The memory of one call, which its instance and its files take from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryRoom {
    bytes_max: u64,
    used: Arc<AtomicU64>,
}

impl MemoryRoom {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            used: Arc::default(),
        }
    }

    /// Bytes that can still be taken.
    pub(crate) fn left(&self) -> u64 {
        self.bytes_max
            .saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Takes bytes, all or none; whether it did. A call runs in one task, which is the only one that takes.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let fits = bytes <= self.left();
        if fits {
            self.used.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Gives bytes back that were taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
