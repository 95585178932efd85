//! `run`: one call of a function on a node that is started for it.

use std::path::Path;

use serde_json::value::RawValue;
use serverledge_client::{
    FunctionName, InvocationBody, InvocationResult, PARAMS_BYTES_MAX, WantedLog,
};

use super::session::Session;
use super::{create, invoke};
use crate::arguments::{ProgramArgs, RunArgs};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::interrupts::Interrupts;
use crate::local_node::LocalNode;
use crate::project::Project;
use crate::variables::{KeptSecrets, Process};
use crate::{files, output, params, progress, text};

/// The input of the call.
enum RunInput {
    Params(Box<RawValue>),
    /// The parts of an HTTP request.
    Body {
        query: Vec<(String, String)>,
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

/// Builds, starts a node, deploys, calls, and stops the node again, whatever the outcome.
pub(super) async fn run(session: &Session, args: &RunArgs) -> Result<(), Failure> {
    let project = project(args)?;
    if let Some(guess) = &project.guess {
        output::note(guess);
    }
    let input = input(args)?;
    let secrets = KeptSecrets::read(&project.create.secret, &Process)?;
    let mut interrupts = Interrupts::new()?;
    let ready = async {
        project.build().await?;
        LocalNode::start().await
    };
    let mut node = tokio::select! {
        node = ready => node?,
        () = interrupts.next() => return Err(interrupted()),
    };
    let on_node = session.at(node.endpoint().clone())?;
    let done = tokio::select! {
        done = call(&on_node, &project, input, &secrets) => explained(done, &mut node).await,
        () = interrupts.next() => Err(interrupted()),
        failure = node.ended() => Err(failure),
    };
    node.stop().await;
    done
}

/// The outcome of the call. That the node has ended is a better reason of a failure than a broken connection.
async fn explained(done: Result<(), Failure>, node: &mut LocalNode) -> Result<(), Failure> {
    match done {
        Err(failure) if failure.exit() == Exit::Request => {
            Err(node.end_behind().await.unwrap_or(failure))
        }
        done => done,
    }
}

/// The failure of a command that a signal has ended.
pub(super) fn interrupted() -> Failure {
    Failure::new(Exit::Request, "interrupted")
}

/// The source that is named, with the options of the command line before those of its description.
fn project(args: &RunArgs) -> Result<Project, Failure> {
    let mut project = Project::read(&args.path)?;
    let create = &mut project.create;
    let RunArgs {
        runtime,
        handler,
        memory,
        timeout,
        env,
        secret,
        secret_for,
        allow_host,
        program,
        ..
    } = args;
    overwrite(&mut create.runtime, runtime.as_ref());
    create.handler = handler.clone().unwrap_or_else(|| create.handler.clone());
    overwrite(&mut create.memory, memory.as_ref());
    overwrite(&mut create.timeout, timeout.as_ref());
    // Of a name that comes several times the last counts.
    create.env.extend(env.iter().cloned());
    create.secret.extend(secret.iter().cloned());
    if !secret_for.is_empty() {
        create.secret_for.clone_from(secret_for);
    }
    if !allow_host.is_empty() {
        create.allow_host.clone_from(allow_host);
    }
    let ProgramArgs {
        args,
        stdin,
        stdout,
        stdout_type,
    } = program;
    overwrite(&mut create.program.args, args.as_ref());
    overwrite(&mut create.program.stdin, stdin.as_ref());
    overwrite(&mut create.program.stdout, stdout.as_ref());
    overwrite(&mut create.program.stdout_type, stdout_type.as_ref());
    Ok(project)
}

fn overwrite<T: Clone>(option: &mut Option<T>, given: Option<&T>) {
    if let Some(given) = given {
        *option = Some(given.clone());
    }
}

fn input(args: &RunArgs) -> Result<RunInput, Failure> {
    let params = match &args.params_file {
        Some(file) => params::from_file(file),
        None => params::from_arguments(&args.param, &args.param_string),
    }?;
    let Some(file) = &args.body else {
        return Ok(RunInput::Params(params));
    };
    let bytes = files::read_or_stdin(file, PARAMS_BYTES_MAX).map_err(|fault| {
        Failure::usage(format!("failed to read the body from {file:?}: {fault}"))
    })?;
    Ok(RunInput::Body {
        query: params::as_query(&params),
        content_type: content_type(file),
        bytes,
    })
}

/// The type of a body by its file's name.
fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

async fn call(
    session: &Session,
    project: &Project,
    input: RunInput,
    secrets: &KeptSecrets,
) -> Result<(), Failure> {
    let deploy = create::deploy(session, &project.create, true, secrets, output::note);
    let (name, created) = deploy.await?;
    created
        .remarks
        .iter()
        .for_each(|remark| output::note(remark));
    match input {
        RunInput::Params(params) => with_params(session, &name, params).await,
        RunInput::Body {
            query,
            content_type,
            bytes,
        } => {
            let call = session.client.call_http(&name, &query, content_type, bytes);
            let answer = progress::during(&format!("waiting for {name}"), call).await;
            let answer = answer.map_err(failed_to(format!("run {name:?}")))?;
            show_bytes(session, &answer)?;
            show_log(session, &name).await;
            Ok(())
        }
    }
}

async fn with_params(
    session: &Session,
    name: &FunctionName,
    params: Box<RawValue>,
) -> Result<(), Failure> {
    let body = InvocationBody {
        params,
        qos_class: 0,
        qos_max_resp_t: -1.0,
        can_do_offloading: false,
        r#async: false,
        return_output: true,
        callback: None,
    };
    let call = session.client.invoke(name, body, None);
    let result = progress::during(&format!("waiting for {name}"), call).await;
    let result = result.map_err(failed_to(format!("run {name:?}")))?;
    show(session, &result)
}

/// The result to stdout, the log to stderr.
fn show(session: &Session, result: &InvocationResult) -> Result<(), Failure> {
    if session.json {
        session.show(result, invoke::value)?;
    } else {
        if !result.output.trim().is_empty() {
            output::warn(&text::printable(result.output.trim_end()));
        }
        if result.success && session.for_people {
            output::result(&invoke::value(result))?;
        } else if result.success {
            output::result(&result.result)?;
        }
    }
    if result.success {
        Ok(())
    } else {
        Err(invoke::failed(result))
    }
}

/// The body of a response to stdout.
fn show_bytes(session: &Session, bytes: &[u8]) -> Result<(), Failure> {
    match session.for_people {
        true => output::result(&text::printable(&String::from_utf8_lossy(bytes))),
        false => output::bytes(bytes),
    }
}

/// The log of the only call to stderr. That it cannot be read is no failure of the call.
async fn show_log(session: &Session, name: &FunctionName) {
    let shown = async {
        let mut log = session.client.logs(name, &WantedLog::default()).await?;
        while let Some(line) = log.next().await? {
            output::warn(&text::one_line(line.text.as_deref().unwrap_or_default()));
        }
        Ok(())
    };
    if let Err(error) = shown.await {
        let failure = Failure::of_call(&format!("read the log of {name:?}"), error);
        output::warn(&failure.render(session.json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;

    fn args(line: &[&str]) -> RunArgs {
        let words = line.iter().map(std::ffi::OsString::from);
        match crate::parse(words).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_counts_before_the_description() {
        let lab = tempfile::tempdir().unwrap();
        let description = r#"{"function": "f", "src": "f.wasm", "options":
            {"memory": 64, "handler": "h", "env": ["A=1"], "stdin": "body", "runtime": "wasm",
            "allow-host": ["a.example", "b.example"]}}"#;
        std::fs::write(lab.path().join("serverledge.json"), description).unwrap();
        let path = lab.path().to_str().unwrap();
        let as_described = project(&args(&["run", path])).unwrap().create;
        assert_eq!(
            (as_described.memory, as_described.handler.as_str()),
            (Some(64), "h")
        );
        assert_eq!(as_described.allow_host, ["a.example", "b.example"]);
        let line = [
            "run",
            path,
            "--memory",
            "1GiB",
            "--env",
            "B=2",
            "--stdin=none",
            "--handler=",
            "--allow-host",
            "c.example",
        ];
        let create = project(&args(&line)).unwrap().create;
        assert_eq!((create.memory, create.handler.as_str()), (Some(1024), ""));
        assert_eq!(create.env, ["A=1", "B=2"]);
        assert_eq!(create.allow_host, ["c.example"]);
        assert_eq!(create.program.stdin.as_deref(), Some("none"));
        assert_eq!(create.runtime.as_deref(), Some("wasm"));
    }

    #[test]
    fn inputs_are_parameters_or_a_body() {
        let RunInput::Params(params) =
            input(&args(&["run", "f.js", "-p", "a:2", "-p", "b:x"])).unwrap()
        else {
            panic!("parameters");
        };
        assert_eq!(params.get(), r#"{"a":2,"b":"x"}"#);
        let lab = tempfile::tempdir().unwrap();
        for (name, expected) in [
            ("in.json", "application/json"),
            ("in.txt", "text/plain; charset=utf-8"),
            ("in", "application/octet-stream"),
        ] {
            let path = lab.path().join(name);
            std::fs::write(&path, "x").unwrap();
            let read = input(&args(&["run", "f.js", "--body", path.to_str().unwrap()])).unwrap();
            let RunInput::Body {
                query,
                content_type,
                bytes,
            } = read
            else {
                panic!("a body");
            };
            assert_eq!((content_type, bytes.as_slice()), (expected, &b"x"[..]));
            assert!(query.is_empty());
        }
        assert!(input(&args(&["run", "f.js", "--body", "/nowhere"])).is_err());
        let path = lab.path().join("in");
        let path = path.to_str().unwrap();
        let line = ["run", "f.js", "--body", path, "-p", "w:640,t:a b"];
        let RunInput::Body { query, .. } = input(&args(&line)).unwrap() else {
            panic!("a body");
        };
        let member = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query, [member("t", "a b"), member("w", "640")]);
        let line = ["run", "f.js", "--body", path, "-j", "params.json"];
        assert!(crate::parse(line.map(Into::into).into_iter()).is_err());
    }
}
