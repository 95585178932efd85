//! The command line of the node.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// A Function-as-a-Service node for the edge-cloud continuum.
#[derive(Debug, Parser)]
#[command(
    name = "serverledge",
    version,
    after_help = "Without a configuration the node listens on 127.0.0.1:1323 and keeps its files in the user's data folder.\n\
                  Configuration: serverledge-conf.{toml,yaml,json} in the working directory, $HOME or /etc/serverledge,\n\
                  or the file named here; SERVERLEDGE_API_PORT=8080 and the like override single keys.\n\n\
                  Examples:\n  serverledge\n  serverledge lb my-lb.toml\n  serverledge --check-config my.toml\n  SERVERLEDGE_API_PORT=0 SERVERLEDGE_DATA_DIR=/tmp/sl serverledge"
)]
pub struct Arguments {
    /// Configuration file (TOML, YAML or JSON); then no other is looked for.
    pub config: Option<PathBuf>,

    /// Print the configuration in force, with the origin of each value, and exit.
    #[arg(long, global = true)]
    pub check_config: bool,

    /// What else the program can be told to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a load balancer: it hands calls and requests to the nodes that share its registry.
    #[command(name = "lb")]
    Balance {
        /// Configuration file (TOML, YAML or JSON); then no other is looked for.
        config: Option<PathBuf>,

        /// The same, by name.
        #[arg(long = "config", value_name = "FILE", conflicts_with = "config")]
        named: Option<PathBuf>,
    },
    /// Compile a module from stdin within limits; the node starts this itself.
    #[command(name = "internal-compile", hide = true)]
    Compile {
        /// Address space in bytes, processor time in seconds.
        limits: Vec<String>,
    },
}

impl Arguments {
    /// The configuration file that was named.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        match &self.command {
            Some(Command::Balance { config, named }) => {
                config.as_deref().or(named.as_deref()).or(self.config.as_deref())
            }
            _ => self.config.as_deref(),
        }
    }

    /// Whether the program is to run a load balancer, not a node.
    #[must_use]
    pub const fn balances(&self) -> bool {
        matches!(self.command, Some(Command::Balance { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_takes_its_file_in_three_ways() {
        for (line, balances, file) in [
            ("serverledge", false, None),
            ("serverledge my.toml", false, Some("my.toml")),
            ("serverledge lb", true, None),
            ("serverledge lb my.toml", true, Some("my.toml")),
            ("serverledge lb --config my.toml", true, Some("my.toml")),
            ("serverledge lb --check-config my.toml", true, Some("my.toml")),
            ("serverledge ./lb", false, Some("./lb")),
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((arguments.balances(), arguments.config_file()), (balances, file.map(Path::new)), "{line}");
        }
        assert!(Arguments::try_parse_from(["serverledge", "lb", "a.toml", "--config", "b.toml"]).is_err());
    }
}
