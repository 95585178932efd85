//! Decides which invocation runs now, which waits and which is turned away: a pure state machine over the node's
//! memory, CPU and sandbox slots. No I/O, no clock, no threads; the caller holds it behind one short lock and passes
//! the time in. The rules and their reasons are in `docs/decisions/0003-scheduler.md`.

mod arrival;
mod config;
mod estimate;
mod fairness;
mod ledger;
mod policy;
mod queue;
mod scheduler;
mod snapshot;

pub use arrival::{Arrival, Demand, QosClass, Rank};
pub use config::{Capacity, Config, PATIENCE_DEFAULT, QUEUE_CAPACITY_DEFAULT, WAIT_CEILING, WAIT_MAX_DEFAULT};
pub use estimate::{RETRY_AFTER_MAX, RETRY_AFTER_MIN};
pub use fairness::TURN_EVERY;
pub use policy::{Fit, LocalOnly, LocalView, PeerView, Placement, Policy};
pub use scheduler::{Admission, Decided, Lease, Rejection, Scheduler, Ticket, TicketId, Verdict};
pub use snapshot::{Counters, RejectionCounts, Snapshot, WaitingByClass};
