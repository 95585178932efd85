//! The commands: each asks the node through the client and shows what comes back.

mod account;
pub(crate) mod app_running;
mod application;
mod create;
mod dead_letter;
mod dev;
pub(crate) mod function_versions;
mod invocation;
mod invocation_list;
mod invoke;
mod kv;
mod list;
mod logs;
pub(crate) mod new;
mod peers;
mod poll;
mod rollout;
mod run;
mod run_report;
mod secret;
pub(crate) mod session;
mod status;
mod token;
mod top;
mod update;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serverledge_wire::invoke::Prewarmed;

pub(crate) use rollout::RolloutArgs;
use session::{Session, function_name};

use crate::arguments::{Cli, Command, DeleteArgs, PrewarmArgs};
use crate::failure::{Failure, failed_to};
use crate::output;

/// Runs one command to its end.
pub(crate) async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let done = dispatch(session, command).await;
    done.map_err(|failure| {
        let app = session.client.app().map(ToString::to_string);
        failure.unknown_to(app.as_deref(), session.who().as_deref())
    })
}

async fn dispatch(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(session, &args).await,
        Command::Update(args) => update::update(session, &args).await,
        Command::Secret(command) => secret::run(session, &command).await,
        Command::Invoke(args) => invoke::invoke(session, &args).await,
        Command::Poll(args) => poll::poll(session, &args).await,
        Command::Invocation(command) => invocation::run(session, &command).await,
        Command::DeadLetter(command) => dead_letter::run(session, &command).await,
        Command::Kv(command) => kv::run(session, &command).await,
        Command::Prewarm(args) => prewarm(session, &args).await,
        Command::Delete(args) => delete(session, &args).await,
        Command::List => list::list(session).await,
        Command::Logs(args) => logs::logs(session, &args).await,
        Command::App(command) => application::run(session, &command).await,
        Command::Endpoint(command) => application::run_endpoint(session, &command).await,
        Command::Function(command) => application::run_function(session, &command).await,
        Command::Status => status::status(session).await,
        Command::Top(args) => top::top(session, &args).await,
        Command::Peers => peers::peers(session).await,
        Command::Login(args) => account::login(session, &args).await,
        Command::Logout(args) => account::logout(session, &args).await,
        Command::Whoami => account::whoami(session).await,
        Command::Token(command) => token::run(session, &command).await,
        Command::Account(command) => account::run(session, &command).await,
        Command::New(args) => new::new(&args, session.json),
        Command::Dev(args) => dev::dev(session, &args).await,
        Command::Run(args) => run::run(session, &args).await,
        Command::Completions { shell } => completions(shell),
    }
}

async fn delete(session: &Session, args: &DeleteArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
    args.confirm.ask(&format!(
        "delete the function {name} with its versions{}?",
        session.of_app()
    ))?;
    let call = session.client.delete(&name);
    let failed = failed_to(format!("delete {name:?}"));
    session
        .answer(&format!("deleting {name}"), call, failed, |deleted| {
            format!("deleted {}", deleted.deleted)
        })
        .await
}

async fn prewarm(session: &Session, args: &PrewarmArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
    let call = session.client.prewarm(&name, args.count, args.force_pull);
    let ready = |ready: &Prewarmed| format!("{} of {} ready", ready.prewarmed, args.count);
    session
        .answer(
            &format!("prewarming {name}"),
            call,
            failed_to(format!("prewarm {name:?}")),
            ready,
        )
        .await
}

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "serverledge-cli", &mut script);
    output::result(String::from_utf8_lossy(&script).trim_end())
}
