//! Passwords and what else a person types: from the terminal, from a file, or from stdin, never from the command line.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use serverledge_wire::account::Secret;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Longest password or token in a file.
const SECRET_BYTES_MAX: usize = 4096;

/// Somebody who can be asked.
pub(crate) trait Person {
    /// Asks for a line and shows it as it is typed; `None` if nobody is there.
    fn ask(&self, question: &str) -> Option<io::Result<String>>;

    /// The same without showing it.
    fn ask_secretly(&self, question: &str) -> Option<io::Result<String>>;
}

/// The person at this process's terminal.
#[derive(Debug)]
pub(crate) struct AtTerminal;

impl Person for AtTerminal {
    fn ask(&self, question: &str) -> Option<io::Result<String>> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let terminal = console::Term::stderr();
        Some(
            terminal
                .write_str(&format!("{question}: "))
                .and_then(|()| terminal.read_line()),
        )
    }

    fn ask_secretly(&self, question: &str) -> Option<io::Result<String>> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let terminal = console::Term::stderr();
        let asked = terminal.write_str(&format!("{question} (not shown): "));
        Some(asked.and_then(|()| terminal.read_secure_line()))
    }
}

/// An address: what the command line says, else what the person types.
pub(crate) fn email(given: Option<&str>, person: &dyn Person) -> Result<String, Failure> {
    if let Some(email) = given {
        return Ok(email.to_owned());
    }
    match person.ask("e-mail address") {
        Some(typed) => Ok(typed
            .map_err(|fault| unread("the address", &fault))?
            .trim()
            .to_owned()),
        None => Err(Failure::usage("no e-mail address is given").hint("name it with --email")),
    }
}

/// A password that there is already.
pub(crate) fn known(file: Option<&Path>, person: &dyn Person) -> Result<Secret, Failure> {
    password(file, "password", "--password-file", person)
}

/// A new password: a person types it twice.
pub(crate) fn new(
    file: Option<&Path>,
    option: &'static str,
    person: &dyn Person,
) -> Result<Secret, Failure> {
    let typed = password(file, "new password", option, person)?;
    if file.is_none() {
        let again = password(None, "the same again", option, person)?;
        if again != typed {
            return Err(Failure::usage("the two passwords differ"));
        }
    }
    Ok(typed)
}

/// A link that was sent to a person.
pub(crate) fn link(file: Option<&Path>, person: &dyn Person) -> Result<Secret, Failure> {
    secret(file, "link", "the link", "--link-file", person)
}

fn password(
    file: Option<&Path>,
    question: &str,
    option: &'static str,
    person: &dyn Person,
) -> Result<Secret, Failure> {
    secret(file, question, "the password", option, person)
}

fn secret(
    file: Option<&Path>,
    question: &str,
    what: &str,
    option: &'static str,
    person: &dyn Person,
) -> Result<Secret, Failure> {
    if let Some(file) = file {
        return from_file(file, what).map(Secret);
    }
    match person.ask_secretly(question) {
        Some(typed) => typed.map(Secret).map_err(|fault| unread(what, &fault)),
        None => Err(
            Failure::usage(format!("there is no terminal to ask for {what} at")).hint(format!(
                "{option} FILE reads it from a file, {option} - from stdin"
            )),
        ),
    }
}

/// The text of a file, or of stdin for `-`, without the line end at its end.
pub(crate) fn from_file(file: &Path, what: &str) -> Result<String, Failure> {
    let bytes = files::read_or_stdin(file, SECRET_BYTES_MAX);
    let bytes =
        bytes.map_err(|fault| unread(&format!("{what} from {}", file.display()), &fault))?;
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| Failure::usage(format!("{what} in {} is no text", file.display())))?;
    let text = files::without_line_end(&text);
    if text.is_empty() {
        return Err(Failure::usage(format!(
            "{what} in {} is empty",
            file.display()
        )));
    }
    Ok(text.to_owned())
}

fn unread(what: &str, fault: &io::Error) -> Failure {
    Failure::new(Exit::Source, format!("failed to read {what}: {fault}"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Types these lines, one for each question.
    struct ScriptedPerson(RefCell<Vec<&'static str>>);

    impl ScriptedPerson {
        fn new(lines: &[&'static str]) -> Self {
            Self(RefCell::new(lines.iter().rev().copied().collect()))
        }
    }

    impl Person for ScriptedPerson {
        fn ask(&self, _question: &str) -> Option<io::Result<String>> {
            self.0.borrow_mut().pop().map(|line| Ok(line.to_owned()))
        }

        fn ask_secretly(&self, question: &str) -> Option<io::Result<String>> {
            self.ask(question)
        }
    }

    #[test]
    fn new_passwords_are_typed_twice() {
        let read = |lines| {
            new(None, "--password-file", &ScriptedPerson::new(lines)).map(|password| password.0)
        };
        assert_eq!(read(&["hunter2", "hunter2"]).unwrap(), "hunter2");
        let shown = read(&["hunter2", "hunter3"]).unwrap_err().render(false);
        assert!(
            shown.contains("differ") && !shown.contains("hunter"),
            "{shown}"
        );
    }

    #[test]
    fn files_come_first_and_lose_one_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (text, expected) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                known(Some(&path), &ScriptedPerson::new(&["typed"]))
                    .unwrap()
                    .0,
                expected
            );
        }
        for text in ["", "\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                known(Some(&path), &ScriptedPerson::new(&[]))
                    .unwrap_err()
                    .exit(),
                Exit::Usage
            );
        }
        assert_eq!(
            known(Some(Path::new("/no/such/file")), &ScriptedPerson::new(&[]))
                .unwrap_err()
                .exit(),
            Exit::Source
        );
    }

    #[test]
    fn without_a_terminal_the_way_out_is_told() {
        let shown = known(None, &ScriptedPerson::new(&[]))
            .unwrap_err()
            .render(false);
        assert!(shown.contains("--password-file -"), "{shown}");
        assert!(
            email(None, &ScriptedPerson::new(&[]))
                .unwrap_err()
                .render(false)
                .contains("--email")
        );
        assert_eq!(
            email(None, &ScriptedPerson::new(&[" a@b.example "])).unwrap(),
            "a@b.example"
        );
    }
}
