//! Decides which invocation runs now, which waits, which goes to another node and which is turned away: a pure state machine over the node's
//! memory, CPU and sandboxes, and which pooled sandboxes are kept for later calls. No I/O, no clock, no threads; the
//! caller holds it behind one short lock, passes the time in, and starts and stops sandboxes outside the lock. The
//! rules and their reasons are in `docs/decisions/0003-scheduler.md`, `docs/decisions/0007-warm-pool.md` and
//! `docs/decisions/0011-offloading-policies.md`, `docs/decisions/0025-waiting-or-starting.md`. Beside it: a consistent-hash ring ([`ring`]) and network coordinates
//! ([`vivaldi`]).

mod arrival;
mod bounded;
mod config;
mod estimate;
mod fairness;
mod ledger;
mod peers;
mod policy;
mod pool;
mod pool_times;
mod queue;
pub mod ring;
mod scheduler;
mod snapshot;
pub mod vivaldi;

pub use arrival::{Arrival, Demand, FunctionKey, PoolKey, Pooled, QosClass, Rank};
pub use config::{
    Capacity, Config, IDLE_CEILING, IDLE_MAX_DEFAULT, PATIENCE_DEFAULT, QUEUE_CAPACITY_DEFAULT,
    WAIT_CEILING, WAIT_MAX_DEFAULT,
};
pub use estimate::{RETRY_AFTER_MAX, RETRY_AFTER_MIN};
pub use fairness::TURN_EVERY;
pub use peers::{Peer, PeerId, PeerView};
pub use policy::{
    BYTES_PER_SECOND_PRIOR, COLD_SHARE_PRIOR, COLD_START_PRIOR, EXECUTION_PRIOR, FUNCTIONS_MAX,
    Fit, LocalOnly, LocalView, PEERS_MAX, POLICY_NAMES, Placement, Policy, PolicyOptions, Ran,
    SHORT_WAIT, Sample, Start, UnknownPolicy, policy_named,
};
pub use pool::SandboxId;
pub use scheduler::{
    Admission, Decided, Effects, Lease, Load, Rejection, SandboxCondition, SandboxUse, Scheduler,
    Ticket, TicketId, Verdict,
};
pub use snapshot::{
    Counters, PooledCounts, PooledView, RejectionCounts, SchedulerSnapshot, WaitingByClass,
};
