//! `function versions|rollback|flags`: what a function's name was bound to, going back, and flags without new code.

use clap::{Args, Subcommand};
use serverledge_client::ClientError;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions};

use crate::arguments::FunctionArgs;
use crate::commands::{Session, function_name};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{output, progress, text};

/// What to do with a function's versions.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionVersionsCommand {
    /// List its versions: the current one, then those that are kept
    Versions(VersionsArgs),
    /// Bind it to an earlier version again, with that version's flags; the present one is kept
    #[command(
        after_help = "Examples:\n  serverledge-cli function versions hello\n  serverledge-cli function rollback hello\n  \
        serverledge-cli function rollback hello --to 3fa1"
    )]
    Rollback(RollbackArgs),
    /// Change its flags without new code
    Flags(FlagsArgs),
}

/// Options of `function versions`.
#[derive(Debug, Args)]
pub(crate) struct VersionsArgs {
    #[command(flatten)]
    function: FunctionArgs,
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
    /// Equal parameters give an equal result: the node may remember results
    #[arg(long)]
    idempotent: bool,
    /// They do not
    #[arg(long, conflicts_with = "idempotent")]
    no_idempotent: bool,
    /// Callers may download the code and run it themselves
    #[arg(long)]
    edge: bool,
    /// They may not
    #[arg(long, conflicts_with = "edge")]
    no_edge: bool,
}

/// Runs one of the commands.
pub(crate) async fn run(
    session: &Session,
    command: &FunctionVersionsCommand,
) -> Result<Exit, Failure> {
    match command {
        FunctionVersionsCommand::Versions(args) => versions(session, args).await,
        FunctionVersionsCommand::Rollback(args) => roll_back(session, args).await,
        FunctionVersionsCommand::Flags(args) => flags(session, args).await,
    }
}

async fn versions(session: &Session, args: &VersionsArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let listed = progress::during(
        &format!("asking for the versions of {name}"),
        session.client.versions(&name),
    )
    .await
    .map_err(|error| Failure::of_call(&format!("list the versions of {name:?}"), error))?;
    session.show(&listed, table)?;
    Ok(Exit::Ok)
}

async fn roll_back(session: &Session, args: &RollbackArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let failed = |error: ClientError| {
        let is_of_versions = matches!(error.code(), Some("version_unknown" | "version_ambiguous"));
        let failure = Failure::of_call(&format!("roll back {name:?}"), error);
        let app = session
            .client
            .app()
            .map(|app| format!("--app {app} "))
            .unwrap_or_default();
        let hint = format!("`serverledge-cli {app}function versions {name}` shows which there are");
        if is_of_versions {
            failure.hint(hint)
        } else {
            failure
        }
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
            short(&now.version)
        )
    })?;
    Ok(Exit::Ok)
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

async fn flags(session: &Session, args: &FlagsArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let wanted = |yes: bool, no: bool| (yes || no).then_some(yes);
    let change = FlagsRequest {
        idempotent: wanted(args.idempotent, args.no_idempotent),
        edge: wanted(args.edge, args.no_edge),
    };
    if change == FlagsRequest::default() {
        let hint = "--idempotent, --no-idempotent, --edge and --no-edge change them";
        return Err(Failure::usage("no flag is named").hint(hint));
    }
    let now = progress::during(
        &format!("changing the flags of {name}"),
        session.client.set_flags(&name, change),
    )
    .await
    .map_err(|error| Failure::of_call(&format!("change the flags of {name:?}"), error))?;
    session.show(&now, |now: &FunctionInfo| {
        format!(
            "{} is now {}",
            text::one_line(&now.name),
            words(now.idempotent, now.edge, "without flags")
        )
    })?;
    Ok(Exit::Ok)
}

fn words(idempotent: bool, edge: bool, none: &str) -> String {
    let on: Vec<&str> = [(idempotent, "idempotent"), (edge, "edge")]
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

fn short(version: &str) -> String {
    text::one_line(version.get(..12).unwrap_or(version))
}

fn table(listed: &FunctionVersions) -> String {
    let head = ["VERSION", "DEPLOYED", "RUNTIME", "CODE", "FLAGS", ""]
        .map(str::to_owned)
        .to_vec();
    let rows = listed.versions.iter().map(|one| {
        let deployed = if one.deployed_unix_ms == 0 {
            "-".to_owned()
        } else {
            text::time(one.deployed_unix_ms)
        };
        let bytes = usize::try_from(one.code_bytes).unwrap_or(usize::MAX);
        let code = if bytes == 0 {
            "-".to_owned()
        } else {
            text::bytes(bytes)
        };
        let current = if one.current {
            output::dim("current")
        } else {
            String::new()
        };
        vec![
            short(&one.version),
            deployed,
            text::one_line(&one.runtime),
            code,
            words(one.idempotent, one.edge, "-"),
            current,
        ]
    });
    text::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
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
            edge: false,
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
            VERSION       DEPLOYED                  RUNTIME  CODE     FLAGS
            bbbbbbbbbbbb  2023-11-14T22:13:20.000Z  wasm     1.6 KiB  idempotent  current
            aaaaaaaaaaaa  -                         wasm     -        -"#]]
        .assert_eq(&table(&listed));
        assert_eq!(before(&listed).unwrap(), "a".repeat(64));
        let alone = FunctionVersions {
            versions: vec![version('b', true, 0)],
            ..listed
        };
        assert!(before(&alone).is_err());
    }
}
