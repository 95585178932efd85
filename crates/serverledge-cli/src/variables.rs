//! The function's environment: variables whose values stand on the command line, and secrets, whose values never do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use serverledge_wire::function::SecretValues;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::passwords::{AtTerminal, Person as _};

/// Longest secret: all of a function's variables together may not be longer.
const SECRET_BYTES_MAX: usize = 32 * 1024;

/// Before the names of secrets in the arguments of `create` and others.
const OPTION: &str = "--secret ";
/// Before those of `secret set`, which are its operands.
const OPERAND: &str = "";

/// The file that is stdin.
const STDIN: &str = "-";

/// The source of the values of secrets.
pub(crate) trait SecretSource {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Asks the person at the terminal, without showing the answer; `None` if there is no terminal.
    fn ask(&self, name: &str) -> Option<io::Result<String>>;

    /// The bytes on stdin, for the secret of this name.
    fn stdin(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// This process's environment and terminal.
pub(crate) struct Process;

impl SecretSource for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn ask(&self, name: &str) -> Option<io::Result<String>> {
        AtTerminal.ask_secretly(&format!("value of the secret {name}"))
    }

    fn stdin(&self, _name: &str) -> io::Result<Vec<u8>> {
        files::read_or_stdin(Path::new(STDIN), SECRET_BYTES_MAX)
    }
}

/// The environment, and the values that came once: from the terminal and on stdin, which cannot be asked again.
#[derive(Default)]
pub(crate) struct KeptSecrets {
    typed: BTreeMap<String, String>,
    on_stdin: BTreeMap<String, Vec<u8>>,
}

impl KeptSecrets {
    /// Reads what terminal and stdin have for these arguments of `--secret`; this waits for a person.
    ///
    /// # Errors
    /// Terminal or stdin failed.
    pub(crate) fn read(arguments: &[String], source: &dyn SecretSource) -> Result<Self, Failure> {
        let mut kept = Self::default();
        for argument in arguments {
            match argument.split_once('=') {
                Some((name, "@-")) => {
                    let bytes = source.stdin(name);
                    let bytes = bytes.map_err(unreadable(name, Path::new(STDIN)))?;
                    kept.on_stdin.insert(name.to_owned(), bytes);
                }
                None if source.variable(argument).is_none() => {
                    if let Some(typed) = asked(argument, source)? {
                        kept.typed.insert(argument.clone(), typed);
                    }
                }
                _ => {}
            }
        }
        Ok(kept)
    }
}

impl SecretSource for KeptSecrets {
    fn variable(&self, name: &str) -> Option<OsString> {
        Process.variable(name)
    }

    fn ask(&self, name: &str) -> Option<io::Result<String>> {
        self.typed.get(name).cloned().map(Ok)
    }

    fn stdin(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.on_stdin.get(name).cloned().unwrap_or_default())
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
pub(crate) fn secrets(
    arguments: &[String],
    source: &dyn SecretSource,
) -> Result<SecretValues, Failure> {
    values(arguments, OPTION, source, |name| {
        present(name, source)?.ok_or_else(|| no_value(OPTION, name))
    })
}

/// The same, where a single secret may come on stdin as well if there is no terminal.
pub(crate) fn secrets_or_stdin(
    arguments: &[String],
    source: &dyn SecretSource,
) -> Result<SecretValues, Failure> {
    let is_alone = arguments.len() == 1;
    values(arguments, OPERAND, source, |name| {
        match present(name, source)? {
            Some(value) => Ok(value),
            None if is_alone => from_file(name, Path::new(STDIN), source),
            None => Err(no_value(OPERAND, name)),
        }
    })
}

/// The secrets that these arguments name, each behind `before` on the command line.
fn values(
    arguments: &[String],
    before: &str,
    source: &dyn SecretSource,
    of_name: impl Fn(&str) -> Result<String, Failure>,
) -> Result<SecretValues, Failure> {
    let secret = |argument: &String| {
        let (name, value) = match argument.split_once('=') {
            None => (argument.as_str(), of_name(argument)?),
            Some((name, rest)) => match rest.strip_prefix('@') {
                Some(path) => (name, from_file(name, Path::new(path), source)?),
                None => return Err(on_the_command_line(before, name)),
            },
        };
        if name.is_empty() {
            return Err(Failure::usage("an argument names no secret")
                .hint(format!("pass `{before}NAME` or `{before}NAME=@FILE`")));
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
fn on_the_command_line(before: &str, name: &str) -> Failure {
    let why = "a secret's value does not belong on the command line, where the shell's history and every user of this \
               machine can read it";
    Failure::usage(format!("{before}{name}=…: {why}")).hint(format!(
        "export {name} and pass `{before}{name}`, or pass `{before}{name}=@FILE`"
    ))
}

/// The value of the environment variable, else what the person types; `None` if there is neither.
fn present(name: &str, source: &dyn SecretSource) -> Result<Option<String>, Failure> {
    if let Some(value) = source.variable(name) {
        let not_text = |_| {
            Failure::usage(format!(
                "the value of the environment variable {name} is no text"
            ))
        };
        return value.into_string().map(Some).map_err(not_text);
    }
    asked(name, source)
}

/// The value that the person types, if there is one.
fn asked(name: &str, source: &dyn SecretSource) -> Result<Option<String>, Failure> {
    source.ask(name).transpose().map_err(|fault| {
        Failure::new(
            Exit::Source,
            format!("failed to read the secret {name} from the terminal: {fault}"),
        )
    })
}

fn unreadable(name: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |fault| {
        Failure::new(
            Exit::Source,
            format!("failed to read the secret {name} from {path:?}: {fault}"),
        )
    }
}

fn no_value(before: &str, name: &str) -> Failure {
    Failure::usage(format!(
        "the secret {name} has no value: there is no environment variable {name}"
    ))
    .hint(format!("export {name}, or pass `{before}{name}=@FILE`"))
}

/// The file's text, or that on stdin, without the line end that editors put at its end. Nothing on stdin is nobody's secret.
fn from_file(name: &str, path: &Path, source: &dyn SecretSource) -> Result<String, Failure> {
    let is_stdin = path == Path::new(STDIN);
    let bytes = match is_stdin {
        true => source.stdin(name),
        false => files::read(path, SECRET_BYTES_MAX),
    };
    let bytes = bytes.map_err(unreadable(name, path))?;
    if is_stdin && bytes.is_empty() {
        return Err(Failure::usage(format!(
            "the secret {name} has no value: nothing came on stdin"
        ))
        .hint(format!(
            "type it at a terminal, export {name}, or pass `{name}=@FILE`"
        )));
    }
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| Failure::usage(format!("the secret {name} in {path:?} is no text")))?;
    Ok(files::without_line_end(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment with one variable, and what is typed.
    struct ScriptedSource(Option<&'static str>);

    impl SecretSource for ScriptedSource {
        fn variable(&self, name: &str) -> Option<OsString> {
            (name == "SET").then(|| "from the environment".into())
        }

        fn ask(&self, _name: &str) -> Option<io::Result<String>> {
            self.0.map(|typed| Ok(typed.to_owned()))
        }

        fn stdin(&self, name: &str) -> io::Result<Vec<u8>> {
            Ok(format!("{name} on stdin\n").into_bytes())
        }
    }

    #[test]
    fn what_comes_once_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "first").unwrap();
        let file = format!("FILE=@{}", path.display());
        let arguments = ["SET", "SERVERLEDGE_NO_SUCH", "IN=@-", file.as_str()].map(str::to_owned);
        let kept = KeptSecrets::read(&arguments, &ScriptedSource(Some("typed"))).unwrap();
        std::fs::write(&path, "second").unwrap();
        for _ in 0..2 {
            let values = secrets(&arguments[1..], &kept).unwrap().0;
            let values: Vec<&str> = values.values().map(String::as_str).collect();
            assert_eq!(values, ["second", "IN on stdin", "typed"]);
        }
        // What was not asked for at the start is not asked for later.
        for later in ["SERVERLEDGE_NOR_THIS", "LATER=@-"] {
            let told = secrets(&[later.to_owned()], &kept).unwrap_err();
            assert!(told.render(false).contains("has no value"), "{later}");
        }
        let nobody = KeptSecrets::read(&arguments, &ScriptedSource(None)).unwrap();
        assert!(secrets(&arguments[1..2], &nobody).is_err());
    }

    fn secret(argument: &str, typed: Option<&'static str>) -> Result<String, (Exit, String)> {
        let read = secrets(&[argument.to_owned()], &ScriptedSource(typed));
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
    fn operands_have_no_option_before_them() {
        let told = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
            let read = secrets_or_stdin(&arguments, &ScriptedSource(None));
            read.unwrap_err().render(false)
        };
        let shown = told(&["K=hunter2"]);
        assert!(
            shown.contains("pass `K`, or pass `K=@FILE`") && !shown.contains("--secret"),
            "{shown}"
        );
        let shown = told(&["UNSET", "OTHER"]);
        assert!(
            shown.ends_with("hint: export UNSET, or pass `UNSET=@FILE`"),
            "{shown}"
        );
        assert!(told(&[""]).ends_with("hint: pass `NAME` or `NAME=@FILE`"));
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
