//! `create` and `update`: deploy a function from a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_client::{FunctionName, Runtime};
use serverledge_wire::function::{Created, FunctionBody};

use super::{Session, function_name};
use crate::arguments::CreateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{self, Code};
use crate::{output, progress, signature, text};

/// Deploys; with `replace`, over a function of the same name.
pub(super) async fn create(session: &Session, args: &CreateArgs, replace: bool) -> Result<Exit, Failure> {
    let path = args.src.as_deref().or(args.file.as_deref());
    let runtime = runtime(args, path)?;
    let path = path.ok_or_else(|| Failure::usage("no source is named").hint("name a .wasm or .wat file with --src"))?;
    let code = source::read(path)?;
    let name = name(args, path)?;
    let body = body(args, &name, runtime, code)?;
    let size = text::bytes(body.tar_function_code.len());
    let call = async { if replace { session.client.update(&body).await } else { session.client.create(&body).await } };
    let created = progress::during(&format!("deploying {name}: {size} to send and compile"), call)
        .await
        .map_err(|error| Failure::of_call(&format!("deploy {name:?}"), error))?;
    session.show(&created, |created| rendered(created, replace))?;
    if !session.for_people {
        created.remarks.iter().for_each(|remark| output::warn(&format!("note: {}", text::one_line(remark))));
    }
    Ok(Exit::Ok)
}

/// What `--runtime` says, if this version has it.
fn runtime(args: &CreateArgs, path: Option<&Path>) -> Result<Option<Runtime>, Failure> {
    let runtime = match (&args.runtime, &args.custom_image) {
        (Some(text), _) => Some(text.parse::<Runtime>().map_err(|error| Failure::usage(error.to_string()))?),
        (None, Some(_)) => Some(Runtime::Custom),
        (None, None) => None,
    };
    let wanting = match runtime {
        Some(Runtime::Python | Runtime::NodeJs | Runtime::Custom) => "the container executor",
        Some(Runtime::JavaScript) => "the JavaScript engine",
        Some(Runtime::Wasm) | None => return Ok(runtime),
    };
    let subject = path.map_or_else(|| "the function".to_owned(), |path| format!("{path:?}"));
    let name = runtime.map_or("", Runtime::name);
    let message = format!("{subject} with runtime {name} needs {wanting}, which this version does not have yet");
    Err(Failure::usage(message).hint("compile the function to WebAssembly and pass the .wasm file"))
}

/// The name that was given, else the file's.
fn name(args: &CreateArgs, path: &Path) -> Result<FunctionName, Failure> {
    if let Some(name) = &args.function {
        return function_name(name);
    }
    let way_out = "name it with --function";
    let suggested =
        source::suggested_name(path).ok_or_else(|| Failure::usage("the function has no name").hint(way_out))?;
    let name = FunctionName::parse(suggested)
        .map_err(|error| Failure::usage(format!("the file's name makes no function name: {error}")).hint(way_out))?;
    output::warn(&format!("note: the function is named {name:?} after its file; --function names it otherwise"));
    Ok(name)
}

fn body<'a>(
    args: &'a CreateArgs,
    name: &'a FunctionName,
    runtime: Option<Runtime>,
    code: Code,
) -> Result<FunctionBody<'a>, Failure> {
    let signature = signature::parse(&args.input, &args.output)
        .map_err(|error| Failure::new(Exit::Signature, format!("the signature is wrong: {error}")))?;
    let Code { tar, runtime: recognised } = code;
    Ok(FunctionBody {
        name: Cow::Borrowed(name.as_str()),
        runtime: Cow::Borrowed(runtime.map(Runtime::name).or(recognised).unwrap_or_default()),
        memory_mb: args.memory,
        cpu_demand: args.cpu,
        max_concurrency: args.max_concurrency,
        handler: Cow::Borrowed(&args.handler),
        tar_function_code: Cow::Owned(STANDARD.encode(tar)),
        signature,
        timeout: args.timeout,
        cpu_time: args.cpu_time,
        env: variables(&args.env)?,
        idempotent: args.idempotent,
        edge: args.edge,
        ..FunctionBody::default()
    })
}

fn variables(arguments: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |argument: &String| match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // The value may be a secret: only the name is repeated.
        _ => Err(Failure::usage("an argument of --env is not of the form NAME=VALUE")),
    };
    arguments.iter().map(pair).collect()
}

fn rendered(created: &Created, replace: bool) -> String {
    let done = if replace { "deployed" } else { "created" };
    let version = created.version.get(..12).unwrap_or(&created.version);
    let facts: Vec<String> =
        [("runtime", created.runtime.as_str()), ("interface", &created.interface), ("version", version)]
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(fact, value)| format!("{fact} {value}"))
            .collect();
    let mut shown = format!("{done} {}", created.created);
    if !facts.is_empty() {
        shown.push_str(&format!(" ({})", facts.join(", ")));
    }
    for remark in &created.remarks {
        shown.push_str(&format!("\nnote: {remark}"));
    }
    text::printable(&shown)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::arguments::Command;

    fn args(line: &str) -> CreateArgs {
        match crate::parse(line.split_whitespace().map(Into::into)).unwrap().command {
            Command::Create(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn check(line: &str, expected: &Expect) {
        let args = args(line);
        let path = Path::new("my-fn.wasm");
        let code = Code { tar: b"tar".to_vec(), runtime: Some("wasm") };
        let made = runtime(&args, Some(path)).and_then(|runtime| {
            let name = name(&args, path)?;
            body(&args, &name, runtime, code).map(|body| serde_json::to_string(&body).unwrap())
        });
        expected.assert_eq(&made.unwrap_or_else(|failure| format!("{:?}: {}", failure.exit(), failure.render(false))));
    }

    #[test]
    fn bodies_say_what_the_options_say() {
        check(
            "create my-fn.wasm",
            &expect![[
                r#"{"Name":"my-fn","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Idempotent":false,"Edge":false}"#
            ]],
        );
        check(
            "create -f g --memory 64 --cpu 0.5 -C 4 --timeout 5 --env A=b=c --idempotent --edge -i a:int,b:Text -o r:Int --handler h",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","MemoryMB":64,"CPUDemand":0.5,"MaxConcurrency":4,"Handler":"h","TarFunctionCode":"dGFy","CustomImage":"","Signature":{"Inputs":[{"Name":"a","Type":"Int"},{"Name":"b","Type":"Text"}],"Outputs":[{"Name":"r","Type":"Int"}]},"Timeout":5.0,"Env":{"A":"b=c"},"Idempotent":true,"Edge":true}"#
            ]],
        );
    }

    #[test]
    fn what_cannot_be_deployed_is_refused() {
        check(
            "create --runtime python310",
            &expect![[r#"
            Usage: error: "my-fn.wasm" with runtime python needs the container executor, which this version does not have yet
            hint: compile the function to WebAssembly and pass the .wasm file"#]],
        );
        check(
            "create --custom_image i",
            &expect![[r#"
            Usage: error: "my-fn.wasm" with runtime custom needs the container executor, which this version does not have yet
            hint: compile the function to WebAssembly and pass the .wasm file"#]],
        );
        check(
            "create --runtime python38",
            &expect![[
                r#"Usage: error: unknown runtime "python38"; known are wasm, python, nodejs, javascript, custom and their old names"#
            ]],
        );
        check(
            "create -f a/b",
            &expect![[
                r#"Usage: error: "a/b" is no function name: the name contains '/'; letters, digits, '-', '_' and '.' are allowed"#
            ]],
        );
        check(
            "create -i a:Thing",
            &expect![[
                r#"Signature: error: the signature is wrong: "Thing" of parameter "a" is not a type; known are Int, Float, Text, Bool, Void, ArrayInt, ArrayFloat, ArrayBool, ArrayText, ArrayArrayInt, ArrayArrayFloat"#
            ]],
        );
        check("create --env secret", &expect!["Usage: error: an argument of --env is not of the form NAME=VALUE"]);
    }

    #[test]
    fn answers_are_one_line_and_remarks() {
        let created = Created {
            created: "f".to_owned(),
            runtime: "wasm".to_owned(),
            version: "0123456789abcdef".to_owned(),
            interface: String::new(),
            remarks: vec!["large".to_owned()],
        };
        assert_eq!(rendered(&created, false), "created f (runtime wasm, version 0123456789ab)\nnote: large");
    }
}
