//! `secret`: the secret variables of a function, by name; values go to the node and never come back.

use std::collections::BTreeMap;

use serverledge_client::FunctionName;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::members::Update;
use serverledge_wire::patch::{FunctionPatch, SecretsPatch, VariablesPatch};

use super::session::{Session, function_name};
use super::update;
use crate::arguments::{FunctionArgs, SecretArgs, SecretCommand, SecretSetArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::variables::{self, SecretSource as _};
use crate::{output, progress, text};

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &SecretCommand) -> Result<(), Failure> {
    match command {
        SecretCommand::Set(args) => set(session, args).await,
        SecretCommand::List(args) => list(session, args).await,
        SecretCommand::Remove(args) => remove(session, args).await,
    }
}

async fn set(session: &Session, args: &SecretSetArgs) -> Result<(), Failure> {
    let (function, words) = args.secrets.parts()?;
    let name = function_name(function)?;
    // Somebody may have piped another value in.
    for word in words
        .iter()
        .filter(|word| variables::Process.variable(word).is_some())
    {
        output::note(&format!(
            "{word} has the value of the environment variable {word}"
        ));
    }
    let values = variables::secrets_or_stdin(words, &variables::Process)?;
    let hosts = if args.hosts.is_empty() {
        Update::Keep
    } else {
        let mut hosts = present(session, &name).await?.secret_hosts;
        hosts.extend(
            values
                .0
                .keys()
                .map(|name| (name.clone(), args.hosts.clone())),
        );
        Update::Set(hosts)
    };
    let named = values
        .0
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    change(session, &name, named, hosts).await
}

async fn list(session: &Session, args: &FunctionArgs) -> Result<(), Failure> {
    let name = function_name(args.name()?)?;
    let present = present(session, &name).await?;
    let none =
        format!("{name} has no secrets; `serverledge-cli secret set {name} NAME` gives it one");
    session.show_list(&present.secrets, &none, |names| {
        let names: Vec<String> = names.iter().map(|name| text::one_line(name)).collect();
        names.join("\n")
    })
}

async fn remove(session: &Session, args: &SecretArgs) -> Result<(), Failure> {
    let (function, words) = args.parts()?;
    let name = function_name(function)?;
    let present = present(session, &name).await?;
    if let Some(missing) = words.iter().find(|word| !present.secrets.contains(word)) {
        let words =
            format!("failed to remove the secret {missing:?}: {name} has none of that name");
        return Err(Failure::new(Exit::Request, words).hint(format!(
            "`serverledge-cli secret list {name}` shows its secrets"
        )));
    }
    let named = words.iter().map(|word| (word.clone(), None)).collect();
    change(session, &name, named, Update::Keep).await?;
    for word in words {
        if let Some(hosts) = present.secret_hosts.get(word) {
            let options: Vec<String> = hosts.iter().map(|host| format!("--for {host}")).collect();
            output::note(&format!(
                "{word} was for hosts: `serverledge-cli secret set {name} {word} {}` sets it for them again",
                options.join(" ")
            ));
        }
    }
    Ok(())
}

async fn change(
    session: &Session,
    name: &FunctionName,
    named: VariablesPatch,
    secret_hosts: Update<BTreeMap<String, Vec<String>>>,
) -> Result<(), Failure> {
    let patch = FunctionPatch {
        secrets: Update::Set(SecretsPatch(named)),
        secret_hosts,
        ..FunctionPatch::default()
    };
    update::send(session, name, &patch).await
}

async fn present(session: &Session, name: &FunctionName) -> Result<FunctionInfo, Failure> {
    let present = progress::during(
        &format!("asking about {name}"),
        session.client.function(name),
    )
    .await;
    let present = present.map_err(|error| update::failed(name, error))?;
    present.ok_or_else(|| update::failed(name, update::unknown(name)))
}
