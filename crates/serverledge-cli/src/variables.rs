//! The function's environment: variables whose values stand on the command line, and secrets, whose values never do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use serverledge_wire::function::SecretValues;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Longest secret: all of a function's variables together may not be longer.
const SECRET_BYTES_MAX: usize = 32 * 1024;

/// Where values of secrets come from.
pub(crate) trait Source {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// What the person at the terminal types, without showing it; `None` if there is no terminal.
    fn ask(&self, name: &str) -> Option<io::Result<String>>;
}

/// This process's environment and terminal.
pub(crate) struct Process;

impl Source for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn ask(&self, name: &str) -> Option<io::Result<String>> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let terminal = console::Term::stderr();
        let asked = terminal.write_str(&format!("value of the secret {name} (not shown): "));
        Some(asked.and_then(|()| terminal.read_secure_line()))
    }
}

/// The arguments of `--env`. Of a name that comes several times the last counts.
pub(crate) fn env(arguments: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |argument: &String| match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // The value may be a secret: it is not repeated.
        _ => Err(Failure::usage(
            "an argument of --env is not of the form NAME=VALUE",
        )),
    };
    arguments.iter().map(pair).collect()
}

/// The arguments of `--secret`, with their values.
pub(crate) fn secrets(arguments: &[String], source: &dyn Source) -> Result<SecretValues, Failure> {
    let secret = |argument: &String| {
        let (name, value) = match argument.split_once('=') {
            None => (argument.as_str(), from_surroundings(argument, source)?),
            Some((name, rest)) => match rest.strip_prefix('@') {
                Some(path) => (name, from_file(name, Path::new(path))?),
                None => return Err(on_the_command_line(name)),
            },
        };
        if name.is_empty() {
            return Err(Failure::usage("an argument of --secret names no variable"));
        }
        Ok((name.to_owned(), value))
    };
    arguments
        .iter()
        .map(secret)
        .collect::<Result<_, _>>()
        .map(SecretValues)
}

/// The value that was given is not repeated.
fn on_the_command_line(name: &str) -> Failure {
    let why = "a secret's value does not belong on the command line, where the shell's history and every user of this \
               machine can read it";
    Failure::usage(format!("--secret {name}=…: {why}")).hint(format!(
        "export {name} and pass `--secret {name}`, or pass `--secret {name}=@FILE`"
    ))
}

fn from_surroundings(name: &str, source: &dyn Source) -> Result<String, Failure> {
    if let Some(value) = source.variable(name) {
        let not_text = |_| {
            Failure::usage(format!(
                "the value of the environment variable {name} is no text"
            ))
        };
        return value.into_string().map_err(not_text);
    }
    match source.ask(name) {
        Some(typed) => typed.map_err(|fault| {
            Failure::new(
                Exit::Source,
                format!("failed to read the secret {name} from the terminal: {fault}"),
            )
        }),
        None => Err(Failure::usage(format!(
            "the secret {name} has no value: there is no environment variable {name}"
        ))
        .hint(format!("export {name}, or pass `--secret {name}=@FILE`"))),
    }
}

/// The file's text without the line end that editors put at its end.
fn from_file(name: &str, path: &Path) -> Result<String, Failure> {
    let unreadable = |fault| {
        Failure::new(
            Exit::Source,
            format!("failed to read the secret {name} from {path:?}: {fault}"),
        )
    };
    let bytes = files::read(path, SECRET_BYTES_MAX).map_err(unreadable)?;
    let text = String::from_utf8(bytes);
    let mut text =
        text.map_err(|_| Failure::usage(format!("the secret {name} in {path:?} is no text")))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment with one variable, and what is typed.
    struct Script(Option<&'static str>);

    impl Source for Script {
        fn variable(&self, name: &str) -> Option<OsString> {
            (name == "SET").then(|| "from the environment".into())
        }

        fn ask(&self, _name: &str) -> Option<io::Result<String>> {
            self.0.map(|typed| Ok(typed.to_owned()))
        }
    }

    fn secret(argument: &str, typed: Option<&'static str>) -> Result<String, (Exit, String)> {
        let read = secrets(&[argument.to_owned()], &Script(typed));
        let one = read.map(|values| values.0.into_values().next().unwrap());
        one.map_err(|failure| (failure.exit(), failure.render(false)))
    }

    #[test]
    fn values_come_from_environment_terminal_or_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let from_file = |text: &str| {
            std::fs::write(&path, text).unwrap();
            secret(&format!("K=@{}", path.display()), None).unwrap()
        };
        assert_eq!(
            secret("SET", Some("typed")).unwrap(),
            "from the environment"
        );
        assert_eq!(secret("UNSET", Some("typed")).unwrap(), "typed");
        assert_eq!(from_file("a\n"), "a");
        assert_eq!(from_file("a\r\n"), "a");
        assert_eq!(from_file(" a\n\n"), " a\n");
        assert_eq!(from_file(""), "");
    }

    #[test]
    fn values_on_the_command_line_are_refused_and_not_repeated() {
        let (exit, shown) = secret("K=hunter2", None).unwrap_err();
        assert_eq!(exit, Exit::Usage);
        assert!(
            shown.contains("does not belong on the command line")
                && shown.contains("--secret K=@FILE"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            env(&["hunter2".to_owned()])
                .unwrap_err()
                .render(false)
                .contains("NAME=VALUE")
        );
    }

    #[test]
    fn missing_values_say_the_way_out() {
        let (exit, shown) = secret("UNSET", None).unwrap_err();
        assert!(
            exit == Exit::Usage && shown.contains("export UNSET"),
            "{shown}"
        );
        let (exit, shown) = secret("K=@/no/such/file", None).unwrap_err();
        assert!(
            exit == Exit::Source && shown.contains("/no/such/file"),
            "{shown}"
        );
        assert_eq!(secret("", Some("x")).unwrap_err().0, Exit::Usage);
        assert_eq!(secret("=@/dev/null", Some("x")).unwrap_err().0, Exit::Usage);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(
            secret(&format!("K=@{}", path.display()), None)
                .unwrap_err()
                .0,
            Exit::Usage
        );
        std::fs::write(&path, vec![b'x'; SECRET_BYTES_MAX + 1]).unwrap();
        assert_eq!(
            secret(&format!("K=@{}", path.display()), None)
                .unwrap_err()
                .0,
            Exit::Source
        );
    }
}
