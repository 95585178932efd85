//! The command line of the node.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A Function-as-a-Service node for the edge-cloud continuum.
#[derive(Debug, Parser)]
#[command(
    name = "serverledge",
    version,
    after_help = "Without a configuration the node listens on 127.0.0.1:1323 and keeps its files in the user's data folder.\n\
                  Configuration: serverledge-conf.{toml,yaml,json} in the working directory, $HOME or /etc/serverledge,\n\
                  or the file named here; SERVERLEDGE_API_PORT=8080 and the like override single keys.\n\n\
                  Examples:\n  serverledge\n  serverledge --check-config my.toml\n  SERVERLEDGE_API_PORT=0 SERVERLEDGE_DATA_DIR=/tmp/sl serverledge"
)]
pub struct Arguments {
    /// Configuration file (TOML, YAML or JSON); then no other is looked for.
    pub config: Option<PathBuf>,

    /// Print the configuration in force, with the origin of each value, and exit.
    #[arg(long)]
    pub check_config: bool,

    /// What else the program can be told to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Internal commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a module from stdin within limits; the node starts this itself.
    #[command(name = "internal-compile", hide = true)]
    Compile {
        /// Address space in bytes, processor time in seconds.
        limits: Vec<String>,
    },
}
