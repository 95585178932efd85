//! The help texts: options of every command stand in the program's own help, once.

use std::ffi::OsString;

use clap::{Command, CommandFactory as _};

use crate::arguments::Cli;

/// Refers to the options that a command's own help leaves out.
const GLOBAL: &str = "Options of every command (node, TLS, token, output): serverledge-cli --help";

/// The help that a command line asks for: that of the innermost command which it names.
pub(crate) fn of(arguments: &[OsString]) -> String {
    let mut command = definition();
    for word in arguments.iter().filter_map(|word| word.to_str()) {
        if let Some(below) = command
            .find_subcommand(word)
            .filter(|below| below.get_name() != "help")
        {
            command = below.clone();
        }
    }
    command.render_long_help().to_string().trim_end().to_owned()
}

/// The command line, with the options of every command hidden in the help of each. For texts: clap does not parse with it.
fn definition() -> Command {
    let mut program = Cli::command();
    // Hands the options on to all commands, so that they can be hidden there alone.
    program.build();
    let global: Vec<String> = program
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .map(|argument| argument.get_id().to_string())
        .collect();
    program
        .get_subcommands_mut()
        .for_each(|command| hide(command, &global));
    program
}

fn hide(command: &mut Command, global: &[String]) {
    let inherited: Vec<String> = command
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .filter(|id| global.contains(id))
        .collect();
    let mut changed = std::mem::take(command);
    for id in inherited {
        changed = changed.mut_arg(id, |argument| argument.hide(true));
    }
    let after = changed.get_after_help().map(ToString::to_string);
    *command = match after {
        Some(after) => changed.after_help(format!("{after}\n\n{GLOBAL}")),
        None => changed.after_help(GLOBAL),
    };
    command
        .get_subcommands_mut()
        .for_each(|command| hide(command, global));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a command and of all below it, each with its name.
    fn helps(command: &Command, width: usize) -> Vec<(String, String)> {
        let mut all = vec![(
            command.get_name().to_owned(),
            command
                .clone()
                .term_width(width)
                .max_term_width(width)
                .render_long_help()
                .to_string(),
        )];
        for below in command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            all.extend(
                helps(below, width)
                    .into_iter()
                    .map(|(name, text)| (format!("{} {name}", command.get_name()), text)),
            );
        }
        all
    }

    /// A command that is wrapped cannot be copied.
    #[test]
    fn examples_are_not_wrapped() {
        let examples = |width| {
            let texts = helps(&definition(), width);
            let lines = texts.into_iter().flat_map(|(name, text)| {
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines.into_iter().map(move |line| (name.clone(), line))
            });
            lines
                .filter(|(_, line)| line.starts_with("  ") && line.contains("serverledge-cli "))
                .collect::<Vec<_>>()
        };
        assert!(examples(80).len() > 20);
        assert_eq!(examples(80), examples(1000));
    }

    #[test]
    fn the_innermost_command_is_explained() {
        let help = |line: &str| of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(help("app create --help").starts_with("Make an application\n"));
        assert!(help("help app create").starts_with("Make an application\n"));
        assert!(help("-H h app -h").contains("rename"));
        assert!(help("--help").contains("--insecure-token"));
    }

    #[test]
    fn options_of_every_command_are_shown_once() {
        for (name, text) in helps(&definition(), 100) {
            assert_eq!(
                text.contains("--insecure-token"),
                name == "serverledge-cli",
                "{name}:\n{text}"
            );
            assert_eq!(text.contains(GLOBAL), name != "serverledge-cli", "{name}");
        }
    }

    /// A list of commands is read without the line above it.
    #[test]
    fn commands_name_what_they_act_on() {
        let vague = ["one", "it", "them", "yours", "its", "itself"];
        let mut found = Vec::new();
        let mut commands: Vec<Command> = vec![definition()];
        while let Some(command) = commands.pop() {
            let about = command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            let head = about.split([',', ';', ':', '(']).next().unwrap_or_default();
            let object = head.split_whitespace().nth(1).unwrap_or_default();
            if vague.contains(&object) {
                found.push(format!("{}: {about}", command.get_name()));
            }
            commands.extend(
                command
                    .get_subcommands()
                    .filter(|below| below.get_name() != "help")
                    .cloned(),
            );
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}
