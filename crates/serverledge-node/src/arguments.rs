//! The command line of the node.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

/// A Function-as-a-Service node for the edge-cloud continuum.
#[derive(Debug, Parser)]
#[command(
    name = "serverledge",
    version,
    after_help = "Without a configuration the node listens on 127.0.0.1:1323 and keeps its files in the user's data folder.\n\
                  Configuration: serverledge-conf.{toml,yaml,json} in the working directory, $HOME or /etc/serverledge,\n\
                  or the file named here; SERVERLEDGE_API_PORT=8080 and the like override single keys.\n\n\
                  Examples:\n  serverledge\n  serverledge lb my-lb.toml\n  serverledge user grant ada@example.org --create\n  serverledge user adopt ada@example.org\n  serverledge prepare my.toml\n  serverledge --check-config my.toml\n  SERVERLEDGE_API_PORT=0 SERVERLEDGE_DATA_DIR=/tmp/sl serverledge"
)]
pub struct Arguments {
    /// Configuration file (TOML, YAML or JSON), in place of one in the usual directories.
    pub config: Option<PathBuf>,

    /// Print the configuration in force, with the origin of each value, and exit.
    #[arg(long, global = true)]
    pub check_config: bool,

    /// Stop when stdin ends, which is a pipe from the program that has started the node.
    #[arg(long, hide = true)]
    pub with_parent: bool,

    /// Another command than running a node.
    #[command(subcommand)]
    pub command: Option<NodeCommand>,
}

/// The other commands of the program.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Run a load balancer: it forwards calls and requests to the nodes that share its registry.
    #[command(name = "lb")]
    Balance {
        /// Configuration file (TOML, YAML or JSON), in place of one in the usual directories.
        config: Option<PathBuf>,

        /// The same, by name.
        #[arg(long = "config", value_name = "FILE", conflicts_with = "config")]
        named: Option<PathBuf>,
    },
    /// Look after accounts on this machine: through the node that runs here, or by itself if none does.
    User {
        /// Configuration file of the node.
        #[arg(long = "config", value_name = "FILE", global = true)]
        config: Option<PathBuf>,

        /// The command on accounts.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Compile the deployed functions for this program, so that a node of it starts with everything prepared: before an
    /// upgrade, while the node of the earlier program still runs. Run it as the node's user.
    Prepare {
        /// Configuration file of the node.
        #[arg(value_name = "FILE")]
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

/// The commands on accounts of this machine, also as they are sent to its node.
#[derive(Debug, Serialize, Deserialize, Subcommand)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum UserCommand {
    /// Give an account a role.
    Grant {
        /// Its e-mail address.
        email: String,

        /// The role: operators look after the node.
        #[arg(long, default_value = "operator", value_parser = ["operator", "user"])]
        role: String,

        /// Make the account if there is none, and print a link for a password, good once and for a day.
        #[arg(long)]
        create: bool,
    },
    /// Make an account a plain one again, end its sessions and revoke its tokens.
    Revoke {
        /// Its e-mail address.
        email: String,
    },
    /// Give an account the functions and applications that nobody owns: those made while authentication was off.
    Adopt {
        /// The e-mail address of the new owner.
        email: String,
    },
    /// List the accounts: id, role, address.
    List,
}

impl Arguments {
    /// The configuration file named on the command line.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        match &self.command {
            Some(
                NodeCommand::Balance { config, named } | NodeCommand::Prepare { config, named },
            ) => config
                .as_deref()
                .or(named.as_deref())
                .or(self.config.as_deref()),
            Some(NodeCommand::User { config, .. }) => config.as_deref().or(self.config.as_deref()),
            _ => self.config.as_deref(),
        }
    }

    /// Whether the program is to run a load balancer, not a node.
    #[must_use]
    pub const fn balances(&self) -> bool {
        matches!(self.command, Some(NodeCommand::Balance { .. }))
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
            (
                "serverledge lb --check-config my.toml",
                true,
                Some("my.toml"),
            ),
            ("serverledge ./lb", false, Some("./lb")),
            ("serverledge user list", false, None),
            ("serverledge prepare my.toml", false, Some("my.toml")),
            (
                "serverledge prepare --config my.toml",
                false,
                Some("my.toml"),
            ),
            (
                "serverledge user grant a@b.org --create --config my.toml",
                false,
                Some("my.toml"),
            ),
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                (arguments.balances(), arguments.config_file()),
                (balances, file.map(Path::new)),
                "{line}"
            );
        }
        let line = ["serverledge", "--with-parent", "my.toml"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        assert!(arguments.with_parent && arguments.config_file() == Some(Path::new("my.toml")));
        assert!(
            Arguments::try_parse_from(["serverledge", "lb", "a.toml", "--config", "b.toml"])
                .is_err()
        );
    }
}
