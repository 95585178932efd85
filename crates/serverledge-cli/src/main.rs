//! `serverledge-cli`: the command line client of a Serverledge node.

mod archive;
mod arguments;
mod changes;
mod commands;
mod confirm;
mod credentials;
mod exit;
mod failure;
mod files;
mod help;
mod ignored;
mod interrupts;
mod json;
mod local_node;
mod machine_code;
mod normalise;
mod output;
mod params;
mod passwords;
mod progress;
mod project;
mod settings;
mod signature;
mod source;
mod templates;
mod text;
mod variables;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use crate::arguments::{Cli, Command};
use crate::commands::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::normalise::{Grammar, normalise};

/// The standard library's words about a text that is no whole number, which clap repeats.
const NO_DIGIT: &str = "invalid digit found in string";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let cli = match parse(arguments.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return output::result(&help::of(&arguments))
                .map_or(Exit::Usage, |()| Exit::Ok)
                .into();
        }
        Err(error) => return answer_clap(&error).into(),
    };
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            output::warn(&failure.render(json));
            failure.exit().into()
        }
    }
}

/// Old and new spellings become the one that clap knows, then clap parses them.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = normalise(arguments.collect(), &Grammar::of(Cli::command()));
    Cli::try_parse_from(std::iter::once(OsString::from("serverledge-cli")).chain(arguments))
}

/// Help and version are answers; everything else that clap says is about usage.
fn answer_clap(error: &clap::Error) -> Exit {
    // Nobody is left to tell when the terminal is gone.
    let _ = error.print();
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(hint) = parameter_hint(word)
    {
        output::warn(&hint);
    }
    if error.kind() == ErrorKind::ValueValidation && error.to_string().contains(NO_DIGIT) {
        output::warn("\nhint: a whole number is needed");
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    }
}

/// Parameters are easily taken for operands.
fn parameter_hint(word: &str) -> Option<String> {
    let is_parameter = word
        .split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && !name.starts_with('-'));
    is_parameter.then(|| {
        format!(
            "\nhint: a parameter goes into -p: -p {}",
            text::one_line(word)
        )
    })
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Completions { shell } = cli.command {
        return commands::completions(shell);
    }
    if let Command::New(args) = &cli.command {
        return commands::new::new(args, cli.global.json);
    }
    let env = settings::Env::real();
    let settings = settings::resolve(&cli.global, &env)?;
    settings
        .warnings
        .iter()
        .for_each(|warning| output::warn(&format!("warning: {warning}")));
    if cli.global.verbose {
        output::note(&settings.to_string());
    }
    let token = match cli.command.shows_token() {
        true => settings::token(&cli.global, &env, &settings.endpoint)?,
        false => None,
    };
    if let Some((_, from)) = token.as_ref().filter(|_| cli.global.verbose) {
        output::note(&format!("with the token of {from}"));
    }
    let token = token.map(|(token, _)| token);
    let session = Session::new(
        &settings,
        token,
        cli.global.json,
        cli.command.client_timeout(),
    )?;
    let session = match &cli.global.app {
        Some(name) => session.in_app(name)?,
        None => session,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Request,
                format!("failed to start the I/O runtime: {error}"),
            )
        })?;
    let done = runtime.block_on(commands::run(&session, cli.command));
    // Threads that read or bundle for a command that a signal has ended are not waited for.
    runtime.shutdown_background();
    done
}
