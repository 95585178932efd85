//! The limit on tests that use containers at once: a container that starts takes a core.

use std::sync::{Condvar, Mutex, PoisonError};

/// Tests at once.
const AT_ONCE: usize = 3;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(AT_ONCE), Condvar::new());

/// The right to use containers, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn(());

impl Turn {
    /// Waits for it.
    pub(crate) fn take() -> Self {
        let (left, given_back) = &TURNS;
        let free = left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = given_back
            .wait_while(free, |left| *left == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (left, given_back) = &TURNS;
        *left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        given_back.notify_one();
    }
}
