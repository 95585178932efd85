//! Functions in containers, end to end: the real programs, a real Docker Engine, real images. Each test has a node of its own
//! with an id of its own, by which everything that it leaves on the engine is found and removed, also after a panic.

#[path = "../e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the other end-to-end tests, which use all of it"
)]
mod e2e;
#[path = "../e2e/guests.rs"]
#[expect(
    dead_code,
    reason = "shared with the other end-to-end tests, which use all of it"
)]
mod guests;

mod bad_functions;
mod compat;
mod crashes;
mod engine_gone;
mod environment;
mod images;
mod lifecycle;
mod logs;
mod nested;
mod outbound;
mod packages;
mod pool;
mod programs;
mod starts;
mod support;
mod uploads;
mod warm_path;
