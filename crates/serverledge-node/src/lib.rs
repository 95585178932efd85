//! The node: configuration, wiring, the invoke path, background work, drain. The program `serverledge` is a thin
//! `main` over [`run`].

mod accounts;
mod admin;
mod admission;
mod applications;
mod arguments;
mod asynchronous;
mod balancer;
mod cluster;
mod code;
pub mod config;
mod deploy;
mod executors;
mod function_logs;
mod functions;
mod host;
mod hosting;
mod invoke;
mod javascript;
mod leased;
mod logging;
mod membership;
mod memo;
mod metrics;
mod node;
mod notifier;
mod ownerless;
mod program;
mod quotas;
mod recover;
mod registry;
mod scripts;
mod status;
mod versions;

pub use admin::user_command;
pub use arguments::{Arguments, Command, UserCommand};
pub use logging::start_logging;
pub use program::{Started, check_config, load_config, run, start};
