//! The build of a function's folder: a command, the programs that it needs, and its complaints.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::Command;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, output, progress, text};

/// The end of a build's output that is shown.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024;

/// A command as the description has it: text for a shell, or a program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a text for a shell, or a list of words")]
pub(super) enum BuildWords {
    Shell(String),
    Program(Vec<String>),
}

/// A command that builds a function, and the programs that it needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BuildCommand {
    words: BuildWords,
    /// By name: the way to get it.
    needs: BTreeMap<String, String>,
}

impl BuildCommand {
    pub(super) fn new(words: BuildWords, needs: BTreeMap<String, String>) -> Result<Self, String> {
        let is_empty = match &words {
            BuildWords::Shell(text) => text.trim().is_empty(),
            BuildWords::Program(words) => words.first().is_none_or(String::is_empty),
        };
        match is_empty {
            true => Err("`build` is empty; leave it out if there is nothing to build".to_owned()),
            false => Ok(Self { words, needs }),
        }
    }

    /// Runs it in a folder. Dropping the future ends the program and all that it has started, and shows the end of its
    /// output.
    pub(super) async fn run(&self, folder: &Path) -> Result<(), Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &str| files::on_path(name, &path).is_some();
        if let Some((name, way)) = self.needs.iter().find(|(name, _)| !is_there(name.as_str())) {
            return Err(missing(name, way));
        }
        let message = format!("building: {self}");
        let (status, output) = progress::announced(&message, self.outcome(folder))
            .await
            .map_err(|fault| match (&self.words, fault.kind()) {
                (BuildWords::Program(words), io::ErrorKind::NotFound) => {
                    not_found(folder, words.first().map_or("", String::as_str))
                }
                _ => Failure::new(
                    Exit::Source,
                    format!("failed to start the build {self}: {fault}"),
                ),
            })?;
        if status.success() {
            return Ok(());
        }
        let failure = Failure::new(
            Exit::Source,
            format!("the build failed with {status}: {self}"),
        )
        .section("build", &output);
        let ways: Vec<&str> = self.needs.values().map(String::as_str).collect();
        Err(match ways.is_empty() {
            true => failure,
            false => failure.hint(format!("what it needs: {}", ways.join("; "))),
        })
    }

    /// Its exit status, and the end of its output.
    async fn outcome(&self, folder: &Path) -> io::Result<(ExitStatus, String)> {
        let mut output = tempfile::tempfile()?;
        let mut command = self.command();
        command
            .current_dir(folder)
            // Whatever is installed is somebody else's.
            .env_remove("SERVERLEDGE_TOKEN")
            .env_remove("SERVERLEDGE_TOKEN_FILE")
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output.try_clone()?))
            // All that it starts is in this group, and a signal to the group reaches it.
            .process_group(0);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let mut running = RunningBuild {
            group: group.and_then(Pid::from_raw),
            output: output.try_clone()?,
        };
        let status = child.wait().await?;
        running.group = None;
        Ok((status, files::end_of(&mut output, OUTPUT_BYTES_MAX)?))
    }

    fn command(&self) -> Command {
        let (program, arguments): (&str, Vec<&str>) = match &self.words {
            BuildWords::Shell(text) => ("sh", vec!["-c", text]),
            BuildWords::Program(words) => {
                let mut words = words.iter().map(String::as_str);
                (words.next().unwrap_or_default(), words.collect())
            }
        };
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }
}

/// A build that has not ended. Dropping it tells all programs of its group to end.
struct RunningBuild {
    /// `None` once the build has ended.
    group: Option<Pid>,
    output: File,
}

impl Drop for RunningBuild {
    fn drop(&mut self) {
        let Some(group) = self.group else {
            return;
        };
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::TERM);
        let told = files::end_of(&mut self.output, OUTPUT_BYTES_MAX).unwrap_or_default();
        if !told.trim().is_empty() {
            let told = text::printable(told.trim_end());
            output::warn(&format!(
                "the build did not end; what it has written:\n{told}"
            ));
        }
    }
}

impl std::fmt::Display for BuildCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.words {
            BuildWords::Shell(text) => f.write_str(text),
            BuildWords::Program(words) => f.write_str(&words.join(" ")),
        }
    }
}

fn missing(program: &str, way: &str) -> Failure {
    Failure::new(
        Exit::Source,
        format!("the build needs {program:?}, which is not on the PATH"),
    )
    .hint(way)
}

/// The failure of a program that the system did not find, though it may be there.
fn not_found(folder: &Path, program: &str) -> Failure {
    if !program.contains('/') {
        return missing(program, "install it");
    }
    let at = folder.join(program);
    if !at.exists() {
        return Failure::new(
            Exit::Source,
            format!("the build is {at:?}, and there is no such file"),
        )
        .hint("`build` names a program below this folder, or one on the PATH");
    }
    Failure::new(
        Exit::Source,
        format!("the build {at:?} failed to start: the program in its first line, or the loader of its format, is missing"),
    )
    .hint("its first line is #! and the path of an interpreter that is installed")
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn shell(text: &str) -> BuildCommand {
        BuildCommand::new(BuildWords::Shell(text.to_owned()), BTreeMap::new()).unwrap()
    }

    fn program(words: &[&str], needs: &[(&str, &str)]) -> BuildCommand {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let needs = needs
            .iter()
            .map(|(name, way)| ((*name).to_owned(), (*way).to_owned()));
        BuildCommand::new(BuildWords::Program(words), needs.collect()).unwrap()
    }

    #[tokio::test]
    async fn a_build_runs_in_its_folder() {
        let lab = tempfile::tempdir().unwrap();
        shell("echo $((1 + 1)) > out")
            .run(lab.path())
            .await
            .unwrap();
        program(&["cp", "out", "copy of out"], &[])
            .run(lab.path())
            .await
            .unwrap();
        let copied = std::fs::read_to_string(lab.path().join("copy of out")).unwrap();
        assert_eq!(copied, "2\n");
    }

    #[tokio::test]
    async fn complaints_are_shown_with_what_is_needed() {
        let lab = tempfile::tempdir().unwrap();
        let mut build = shell("echo one; echo two >&2; exit 3");
        build
            .needs
            .insert("sh".to_owned(), "get a shell".to_owned());
        let told = build.run(lab.path()).await.unwrap_err();
        assert_eq!(told.exit(), Exit::Source);
        let told = told.render(false);
        assert!(told.contains("exit status: 3: echo one;"), "{told}");
        assert!(
            told.ends_with("build:\n  one\n  two\nhint: what it needs: get a shell"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn missing_tools_are_named() {
        let lab = tempfile::tempdir().unwrap();
        let builds = [
            program(&["no-such-tool-here"], &[]),
            program(&["sh"], &[("no-such-tool-here", "install it")]),
        ];
        for build in builds {
            let told = build.run(lab.path()).await.unwrap_err().render(false);
            assert_eq!(
                told,
                "error: the build needs \"no-such-tool-here\", which is not on the PATH\nhint: install it"
            );
        }
    }

    #[tokio::test]
    async fn only_the_end_of_long_output_is_kept() {
        let lab = tempfile::tempdir().unwrap();
        let lines = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done; exit 1";
        let told = shell(lines)
            .run(lab.path())
            .await
            .unwrap_err()
            .render(false);
        assert!(told.contains("  line 4999") && !told.contains("  line 0\n"));
        assert!(told.len() < 3 * 16 * 1024);
    }
    #[tokio::test]
    async fn programs_beside_the_source_are_told_apart() {
        let lab = tempfile::tempdir().unwrap();
        let script = lab.path().join("build.sh");
        let build = program(&["./build.sh"], &[]);
        let told = build.run(lab.path()).await.unwrap_err().render(false);
        assert!(told.contains("there is no such file"), "{told}");
        std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let told = build.run(lab.path()).await.unwrap_err().render(false);
        assert!(told.contains("first line"), "{told}");
    }

    #[tokio::test]
    async fn a_build_that_is_dropped_ends_with_all_it_has_started() {
        let lab = tempfile::tempdir().unwrap();
        let pipe = lab.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        // Both hold the pipe open for writing: its end is the end of the last of them.
        let build = shell("exec 3> pipe; sleep 987 & echo started >&3; wait");
        let mut opened = tokio::net::unix::pipe::OpenOptions::new()
            .open_receiver(&pipe)
            .unwrap();
        let mut text = [0; 8];
        tokio::select! {
            ended = build.run(lab.path()) => panic!("{ended:?}"),
            read = opened.read_exact(&mut text) => assert_eq!(read.unwrap(), text.len()),
        }
        assert_eq!(&text, b"started\n");
        let mut rest = Vec::new();
        opened.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}
