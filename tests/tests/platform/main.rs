//! Accounts, applications and the console, end to end: the real programs, a real mail server, a real browser.

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    reason = "shared with the other end-to-end tests, which use all of it"
)]
mod e2e;

mod bad_input;
mod console;
mod edge;
mod enumeration;
mod pages;
mod proxy;
mod revoked;
mod sessions;
#[cfg(feature = "docker-tests")]
mod story;
mod support;
