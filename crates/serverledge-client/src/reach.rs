//! The addresses that may be connected to on behalf of others: public ones, and those that the operator names. The URL is
//! somebody else's and the node's network is not.
//!
//! A name is resolved once for each connection, every address that it has is judged, and one of those judged is connected
//! to. [`callback`](crate::callback) and [`outbound`](crate::outbound) stand on this.

mod address;
mod allow;
mod resolve;

pub(crate) use allow::Policy;
pub use allow::{ParseReachAllowError, ReachAllow};
pub(crate) use resolve::{Judge, JudgeError, Lookup, SystemLookup};
