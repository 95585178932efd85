//! The node: configuration, wiring, the invoke path, background work, drain. The program `serverledge` is a thin `main`
//! over [`run`].

mod accounts;
mod admission;
mod applications;
mod arguments;
mod asynchronous;
mod background;
mod balancer;
mod clock;
mod cluster;
pub mod config;
mod events;
mod executors;
mod functions;
mod invoke;
mod metrics;
mod program;
mod registry;
mod runs;
mod setup;
mod socket;
mod state;
mod status;
mod sweep;
mod telemetry;

pub use accounts::admin::user_command;
pub use arguments::{Arguments, NodeCommand, UserCommand};
pub use functions::preparing::command::prepare_command;
pub use program::logging::start_logging;
pub use program::node::{Started, start};
pub use program::{check_config, load_config, run};
