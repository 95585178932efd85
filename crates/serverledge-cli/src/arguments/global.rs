//! Options of every command.

use std::path::PathBuf;

use clap::Args;

/// Options of every command.
#[derive(Debug, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Host of the node: a name or an address [env: SERVERLEDGE_HOST] [default: 127.0.0.1]
    #[arg(
        long,
        short = 'H',
        global = true,
        value_name = "HOST",
        help_heading = "Global options"
    )]
    pub(crate) host: Option<String>,
    /// Port of the node [env: SERVERLEDGE_PORT] [default: api.port of the configuration, else 1323]
    #[arg(
        long,
        short = 'P',
        global = true,
        value_name = "PORT",
        help_heading = "Global options"
    )]
    pub(crate) port: Option<u16>,
    /// Path before the node's routes, where a proxy has it below one; SERVERLEDGE_URL says all at once: <https://example.org/faas>
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub(crate) base_path: Option<String>,
    /// Speak TLS with the node [env: SERVERLEDGE_TLS=true]
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) tls: bool,
    /// File with further certificate authorities to believe, PEM; implies --tls [env: SERVERLEDGE_CA_FILE]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the API token to send; - is stdin [env: SERVERLEDGE_TOKEN, SERVERLEDGE_TOKEN_FILE] [default: that of login]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Send tokens and passwords to another machine without TLS, where everybody on the way can read them
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) insecure_token: bool,
    /// Act on the functions of this application instead of your own
    #[arg(
        long,
        global = true,
        value_name = "APP",
        help_heading = "Global options"
    )]
    pub(crate) app: Option<String>,
    /// Print the node's answer as JSON even on a terminal, and its refusals as JSON on stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say which node is asked and where its address came from
    #[arg(long, short = 'v', global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}
