//! Accounts and applications, end to end: the real programs, a real mail server, a real browser.

#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the other end-to-end tests, which use all of it")]
mod e2e;

mod pages;
#[cfg(feature = "docker-tests")]
mod story;
mod support;
