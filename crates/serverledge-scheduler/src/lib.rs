//! Decides which invocation runs now, which waits and which is turned away: a pure state machine over the node's
//! memory, CPU and sandboxes, and which pooled sandboxes are kept for later calls. No I/O, no clock, no threads; the
//! caller holds it behind one short lock, passes the time in, and starts and stops sandboxes outside the lock. The
//! rules and their reasons are in `docs/decisions/0003-scheduler.md` and `docs/decisions/0007-warm-pool.md`.

mod arrival;
mod config;
mod estimate;
mod fairness;
mod ledger;
mod policy;
mod pool;
mod queue;
mod scheduler;
mod snapshot;

pub use arrival::{Arrival, Demand, PoolKey, Pooled, QosClass, Rank};
pub use config::{
    Capacity, Config, IDLE_CEILING, IDLE_MAX_DEFAULT, PATIENCE_DEFAULT, QUEUE_CAPACITY_DEFAULT, WAIT_CEILING,
    WAIT_MAX_DEFAULT,
};
pub use estimate::{RETRY_AFTER_MAX, RETRY_AFTER_MIN};
pub use fairness::TURN_EVERY;
pub use policy::{Fit, LocalOnly, LocalView, PeerView, Placement, Policy};
pub use pool::SandboxId;
pub use scheduler::{Admission, Decided, Effects, End, Lease, Place, Rejection, Scheduler, Ticket, TicketId, Verdict};
pub use snapshot::{Counters, PooledCounts, RejectionCounts, Snapshot, WaitingByClass};
