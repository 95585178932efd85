//! The program `serverledge`: parses its arguments and calls the library.

use std::process::ExitCode;

use clap::Parser;
use serverledge_node::{
    Arguments, NodeCommand, check_config, load_config, prepare_command, run, start_logging,
    user_command,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(NodeCommand::Compile { limits }) = &arguments.command {
        return serverledge_executor_wasm::compile_worker(limits);
    }
    let loaded = match load_config(&arguments) {
        Ok(loaded) => loaded,
        Err(faults) => return fail(&faults.to_string()),
    };
    if arguments.check_config {
        return check_config(&loaded);
    }
    start_logging(&loaded.config.log);
    if let Some(NodeCommand::User { command, .. }) = &arguments.command {
        return match user_command(&loaded.config, command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        };
    }
    if let Some(NodeCommand::Prepare { .. }) = &arguments.command {
        return match prepare_command(&loaded.config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        };
    }
    match run(loaded, arguments.balances(), arguments.with_parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a program that cannot start"
)]
fn fail(message: &str) -> ExitCode {
    eprintln!("serverledge: {message}");
    ExitCode::FAILURE
}
