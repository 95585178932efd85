//! Whole nodes in process, through the crate's public face: real registry, real executor, real sockets on loopback.
//!
//! A node compiles in a child of its own program, which here would be this test program. So modules are compiled into
//! the node's cache beforehand, by the real program's compile command; the node then finds them there. That happens
//! after its first sweep, which removes what no function names.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

mod applications;
mod functions;
mod invocations;
mod life;
mod support;
