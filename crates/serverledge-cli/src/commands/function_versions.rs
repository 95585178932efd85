//! `function versions|rollback|flags`: what a function's name was bound to, going back, and flags without new code.

use clap::{Args, Subcommand};
use serverledge_client::ClientError;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::versions::{FlagsRequest, FootprintInfo, FunctionVersions};

use super::session::{Session, function_name};
use crate::arguments::{FunctionArgs, Idempotency};
use crate::failure::{Failure, failed_to};
use crate::{output, progress, text};

/// Commands on a function's versions.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionVersionsCommand {
    /// List the versions of a function: the current one, then those that are kept
    Versions(FunctionArgs),
    /// Bind a function to an earlier version again, with that version's flags; the present one is kept
    #[command(
        after_help = "Examples:\n  serverledge-cli function versions hello\n  serverledge-cli function rollback hello\n  \
        serverledge-cli function rollback hello --to 3fa1"
    )]
    Rollback(RollbackArgs),
    /// Change the flags of a function without new code
    Flags(FlagsArgs),
}

/// Options of `function rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// The version, or how it begins [default: the one before the current one]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
}

/// Options of `function flags`.
#[derive(Debug, Args)]
pub(crate) struct FlagsArgs {
    #[command(flatten)]
    function: FunctionArgs,
    #[command(flatten)]
    flags: FlagSwitches,
}

/// Switches that set or take away a function's flags.
#[derive(Debug, Args)]
pub(crate) struct FlagSwitches {
    /// Equal parameters give an equal result: the node may remember results; with =outbound also those of runs that
    /// sent requests to hosts outside
    #[arg(long, value_name = "outbound", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) idempotent: Option<Idempotency>,
    /// They do not
    #[arg(long, conflicts_with = "idempotent")]
    no_idempotent: bool,
    /// Callers may download the code and run it themselves
    #[arg(long)]
    pub(crate) edge: bool,
    /// They may not
    #[arg(long, conflicts_with = "edge")]
    no_edge: bool,
    /// Instances: kept for the next call after a clean return, or fresh for every call
    #[arg(long, value_name = "ISOLATION", value_parser = ["kept", "fresh"], hide_possible_values = true)]
    pub(crate) isolation: Option<String>,
}

impl FlagSwitches {
    /// The flags that are named, each on or off.
    pub(crate) fn wanted(&self) -> FlagsRequest {
        let wanted = |yes: bool, no: bool| (yes || no).then_some(yes);
        FlagsRequest {
            idempotent: wanted(self.idempotent.is_some(), self.no_idempotent),
            idempotent_outbound: self.idempotent.map(|how| how == Idempotency::Outbound),
            edge: wanted(self.edge, self.no_edge),
            isolation: self.isolation.clone(),
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(
    session: &Session,
    command: &FunctionVersionsCommand,
) -> Result<(), Failure> {
    match command {
        FunctionVersionsCommand::Versions(args) => versions(session, args).await,
        FunctionVersionsCommand::Rollback(args) => roll_back(session, args).await,
        FunctionVersionsCommand::Flags(args) => flags(session, args).await,
    }
}

async fn versions(session: &Session, args: &FunctionArgs) -> Result<(), Failure> {
    let name = function_name(args.name()?)?;
    let call = session.client.versions(&name);
    let failed = failed_to(format!("list the versions of {name:?}"));
    session
        .answer(
            &format!("asking for the versions of {name}"),
            call,
            failed,
            table,
        )
        .await
}

async fn roll_back(session: &Session, args: &RollbackArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
    let failed = |error: ClientError| {
        let app = session
            .client
            .app()
            .map(|app| format!("--app {app} "))
            .unwrap_or_default();
        let hint = format!("`serverledge-cli {app}function versions {name}` shows which there are");
        let failure = Failure::of_call(&format!("roll back {name:?}"), error);
        failure.hint_for(&["version_unknown", "version_ambiguous"], hint)
    };
    let work = async {
        let version = match &args.to {
            Some(version) => version.clone(),
            None => before(&session.client.versions(&name).await.map_err(failed)?)?,
        };
        session
            .client
            .roll_back(&name, &version)
            .await
            .map_err(failed)
    };
    let now = progress::during(&format!("rolling back {name}"), work).await?;
    session.show(&now, |now| {
        format!(
            "{} is bound to version {}",
            text::one_line(&now.name),
            text::version(&now.version)
        )
    })
}

/// The version that the name was bound to before.
fn before(listed: &FunctionVersions) -> Result<String, Failure> {
    let before = listed
        .versions
        .iter()
        .find(|one| !one.current)
        .map(|one| one.version.clone());
    before.ok_or_else(|| {
        Failure::usage(format!("{:?} has no other version", listed.function))
            .hint("versions are kept when another one is deployed")
    })
}

async fn flags(session: &Session, args: &FlagsArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
    let change = args.flags.wanted();
    if change == FlagsRequest::default() {
        let hint = "--idempotent, --no-idempotent, --edge, --no-edge and --isolation change them";
        return Err(Failure::usage("no flag is named").hint(hint));
    }
    let call = session.client.set_flags(&name, change);
    let failed = failed_to(format!("change the flags of {name:?}"));
    let told = |now: &FunctionInfo| {
        format!(
            "{} is now {}",
            text::one_line(&now.name),
            words(
                (now.idempotent, now.idempotent_outbound),
                (now.edge, &now.isolation),
                "without flags"
            )
        )
    };
    session
        .answer(&format!("changing the flags of {name}"), call, failed, told)
        .await
}

/// The flags that are not at their defaults, or `none`: idempotent (perhaps with requests), edge, isolation.
pub(super) fn words(
    (idempotent, outbound): (bool, bool),
    (edge, isolation): (bool, &str),
    none: &str,
) -> String {
    let fresh = isolation == "fresh";
    let on: Vec<&str> = [
        (idempotent && !outbound, "idempotent"),
        (outbound, "idempotent=outbound"),
        (edge, "edge"),
        (fresh, "isolation fresh"),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .map(|(_, word)| *word)
    .collect();
    if on.is_empty() {
        none.to_owned()
    } else {
        on.join(", ")
    }
}

fn table(listed: &FunctionVersions) -> String {
    let rows = listed.versions.iter().map(|one| {
        let deployed = if one.deployed_unix_ms == 0 {
            "-".to_owned()
        } else {
            text::time(one.deployed_unix_ms)
        };
        let code = match one.code_bytes {
            0 => "-".to_owned(),
            bytes => text::size(bytes),
        };
        let size = |of: fn(&FootprintInfo) -> u64| {
            let footprint = one.footprint.as_ref();
            footprint.map_or_else(|| "-".to_owned(), |footprint| text::size(of(footprint)))
        };
        let machine = size(|footprint| footprint.machine_code_bytes);
        let memory = size(|footprint| footprint.memory_bytes);
        let current = if one.current {
            output::dim("current")
        } else {
            String::new()
        };
        [
            text::version(&one.version),
            deployed,
            text::one_line(&one.runtime),
            code,
            machine,
            memory,
            words(
                (one.idempotent, one.idempotent_outbound),
                (one.edge, &one.isolation),
                "-",
            ),
            current,
        ]
    });
    text::listing(
        [
            "VERSION",
            "DEPLOYED",
            "RUNTIME",
            "CODE",
            "MACHINE CODE",
            "MEMORY",
            "FLAGS",
            "",
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serverledge_wire::versions::VersionInfo;

    use super::*;

    fn version(digit: char, current: bool, deployed_unix_ms: u64) -> VersionInfo {
        VersionInfo {
            version: digit.to_string().repeat(64),
            current,
            deployed_unix_ms,
            runtime: "wasm".to_owned(),
            interface: "json".to_owned(),
            code: String::new(),
            code_bytes: deployed_unix_ms / 1_000_000_000,
            idempotent: current,
            idempotent_outbound: false,
            edge: false,
            isolation: if current { "fresh" } else { "kept" }.to_owned(),
            footprint: current.then_some(FootprintInfo {
                machine_code_bytes: 40_000_000,
                memory_bytes: 65_536,
            }),
        }
    }

    #[test]
    fn versions_are_rows() {
        let versions = vec![
            version('b', true, 1_700_000_000_000),
            version('a', false, 0),
        ];
        let listed = FunctionVersions {
            function: "f".to_owned(),
            versions,
        };
        expect![[r#"
            VERSION       DEPLOYED                  RUNTIME  CODE     MACHINE CODE  MEMORY    FLAGS
            bbbbbbbbbbbb  2023-11-14T22:13:20.000Z  wasm     1.6 KiB  38.1 MiB      64.0 KiB  idempotent, isolation fresh  current
            aaaaaaaaaaaa  -                         wasm     -        -             -         -"#]]
        .assert_eq(&table(&listed));
        assert_eq!(before(&listed).unwrap(), "a".repeat(64));
        assert_eq!(
            words((true, true), (true, "kept"), "-"),
            "idempotent=outbound, edge"
        );
        let alone = FunctionVersions {
            versions: vec![version('b', true, 0)],
            ..listed
        };
        assert!(before(&alone).is_err());
    }
}
