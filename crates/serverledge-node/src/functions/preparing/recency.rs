//! The last calls of functions, so that a node which starts prepares the most recently called first. They are noted
//! once a minute, not with each call, and kept in the data folder.

use std::collections::HashMap;
use std::fs::{OpenOptions, rename};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::Function;

use crate::functions::{FunctionEntry, label};

/// Pause between two notes of the called functions.
pub(crate) const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Age of a call that counts as recent: a node that starts is ready when the functions called within this time are
/// prepared.
const RECENTLY_S: u64 = 24 * 3600;
const FILE: &str = "called.json";

/// The last calls; see the module.
#[derive(Debug)]
pub(crate) struct Recency {
    file: PathBuf,
    /// Unix seconds by the functions' labels.
    called: Mutex<HashMap<String, u64>>,
}

impl Recency {
    /// The notes of this node's last process; none if they cannot be read.
    pub(crate) fn open(dir: &Path) -> Self {
        let file = dir.join(FILE);
        let called = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            file,
            called: Mutex::new(called.unwrap_or_default()),
        }
    }

    /// The time of a function's last call, in Unix seconds; 0 if it is not known.
    pub(crate) fn of(&self, function: &Function) -> u64 {
        self.called
            .lock()
            .get(&label(function))
            .copied()
            .unwrap_or(0)
    }

    /// Whether a function was called within the last day; true for all, if nothing is known of any.
    pub(crate) fn is_recent(&self, function: &Function, now_s: u64) -> bool {
        let called = self.called.lock();
        called.is_empty()
            || called
                .get(&label(function))
                .is_some_and(|at| at + RECENTLY_S > now_s)
    }

    /// Notes which of these were called since the last time, and forgets all other functions.
    pub(crate) fn note(&self, entries: &[Arc<FunctionEntry>], now_s: u64) {
        if self.renew(entries, now_s) {
            self.save();
        }
    }

    /// Updates the notes; returns whether anything has changed.
    fn renew(&self, entries: &[Arc<FunctionEntry>], now_s: u64) -> bool {
        let mut called = self.called.lock();
        let mut kept = HashMap::with_capacity(entries.len());
        for entry in entries {
            let label = label(&entry.function);
            let at = if entry.take_called() {
                Some(now_s)
            } else {
                called.get(&label).copied()
            };
            kept.extend(at.map(|at| (label, at)));
        }
        let changed = *called != kept;
        *called = kept;
        changed
    }

    /// Writes the notes to the file, whole or not at all. A failure costs the next start its order.
    fn save(&self) {
        let text = serde_json::to_vec(&*self.called.lock()).unwrap_or_default();
        let temporary = self.file.with_extension("tmp");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary);
        let written = opened
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| rename(&temporary, &self.file));
        if let Err(error) = written {
            tracing::warn!(%error, file = %self.file.display(), "failed to note when functions were called");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::functions::tests::{deployed, named};
    use serverledge_core::kv::Revision;

    #[test]
    fn who_was_called_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let functions = Functions::default();
        functions.put([
            deployed(named("f"), Revision::new(1)),
            deployed(named("g"), Revision::new(2)),
        ]);
        let f = named("f");
        let g = named("g");
        let recency = Recency::open(dir.path());
        assert!(recency.is_recent(&g, 5), "nothing is known of any");
        functions.served(&f.space, "f").expect("it is there");
        recency.note(&functions.entries(), 7);
        let again = Recency::open(dir.path());
        assert_eq!((again.of(&f), again.of(&g)), (7, 0));
        assert!(again.is_recent(&f, 7 + RECENTLY_S - 1) && !again.is_recent(&f, 7 + RECENTLY_S));
        assert!(!again.is_recent(&g, 7), "another one was called");
        again.note(&functions.entries(), 9);
        assert_eq!(again.of(&f), 7, "not called since");
    }
}
