//! `create`: deploys a function from a file, a folder or an image.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_client::{FunctionName, ParseRuntimeError, Runtime};
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::versions::FootprintInfo;
use tokio::task::spawn_blocking;

use super::rollout::await_nodes;
use super::session::{Session, function_name};
use crate::arguments::{CreateArgs, Idempotency};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::progress::Steps;
use crate::source::{self, Code};
use crate::variables::{self, SecretSource};
use crate::{output, project, signature, text};

/// The way out where the node refuses the hosts of a secret.
pub(super) const FOR_HOSTS: &str = "--secret-for NAME=HOST names a secret of --secret, and a host that --allow-host \
    allows; HOST without a scheme is https://HOST";

/// Runs the command.
pub(super) async fn run(session: &Session, args: &CreateArgs) -> Result<(), Failure> {
    if let Some(path) = source_path(args)?.filter(|path| path.join(project::FILE).is_file()) {
        output::note(&format!(
            "{path:?} is sent as it is: `serverledge-cli dev --once {}` builds it as its {} says",
            path.display(),
            project::FILE
        ));
    }
    create(session, args, args.update, &variables::Process).await
}

/// Deploys; with `replace`, over a function of the same name.
pub(super) async fn create(
    session: &Session,
    args: &CreateArgs,
    replace: bool,
    secrets: &dyn SecretSource,
) -> Result<(), Failure> {
    let (name, created) = deploy(session, args, replace, secrets, output::note).await?;
    session.show(&created, |created| rendered(created, replace))?;
    if !session.for_people {
        created
            .remarks
            .iter()
            .for_each(|remark| output::note(remark));
    }
    await_nodes(session, &name, args.rollout).await
}

/// The same without a word on stdout: the remarks on the code go to `note`.
pub(super) async fn deploy(
    session: &Session,
    args: &CreateArgs,
    replace: bool,
    secrets: &dyn SecretSource,
    note: impl Fn(&str),
) -> Result<(FunctionName, Created), Failure> {
    let runtime = runtime(args)?;
    let path = source_path(args)?;
    let name = name(args.function.as_deref(), path)?;
    let code = code_beside(args, runtime).await?;
    let remarks = code.remarks.clone();
    let body = body(args, &name, code, secrets)?;
    remarks.iter().for_each(|remark| note(remark));
    let size = text::bytes(body.tar_function_code.len());
    let steps = Steps::new(format!("deploying {name}: {size} to send and prepare"));
    let call = async {
        let tell = |step: &str| steps.step(step);
        match replace {
            true => session.client.update(&body, tell).await,
            false => session.client.create(&body, tell).await,
        }
    };
    let created = steps.during(call).await;
    let created = created.map_err(|error| {
        failed_to(format!("deploy {name:?}"))(error).hint_for_member("SecretHosts", FOR_HOSTS)
    })?;
    drop(body);
    Ok((name, created))
}

/// The one source that is named.
fn source_path(args: &CreateArgs) -> Result<Option<&Path>, Failure> {
    match (&args.src, &args.file, &args.function) {
        (Some(src), Some(file), None) => Err(Failure::usage(format!(
            "two sources are named: {src:?} and {file:?}"
        ))
        .hint("a name goes into -f: `serverledge-cli create -f NAME --src FILE`")),
        (Some(src), Some(file), Some(_)) => Err(Failure::usage(format!(
            "two sources are named: {src:?} and {file:?}"
        ))
        .hint("name one")),
        (src, file, _) => Ok(src.as_deref().or(file.as_deref())),
    }
}

/// Reads the runtime from `--runtime`; an image means a custom one.
fn runtime(args: &CreateArgs) -> Result<Option<Runtime>, Failure> {
    let runtime = named_runtime(args.runtime.as_deref(), args.custom_image.as_deref())?;
    match (runtime, &args.custom_image) {
        (Some(Runtime::Custom), None) => Err(Failure::usage("a custom function needs an image")
            .hint(
                "name one with --custom-image; docs/container-protocol.md says what it must speak",
            )),
        (Some(other), Some(_)) if other != Runtime::Custom => Err(Failure::usage(format!(
            "only custom functions take an image, and this one's runtime is {other}"
        ))),
        _ => Ok(runtime),
    }
}

/// The runtime that is named; an image names the custom one.
pub(super) fn named_runtime(
    name: Option<&str>,
    image: Option<&str>,
) -> Result<Option<Runtime>, Failure> {
    let Some(name) = name else {
        return Ok(image.map(|_| Runtime::Custom));
    };
    name.parse()
        .map(Some)
        .map_err(|error: ParseRuntimeError| Failure::usage(error.to_string()))
}

/// Reads the code to send on a thread of its own: bundling may take long, and a signal does not wait for it.
async fn code_beside(args: &CreateArgs, runtime: Option<Runtime>) -> Result<Code, Failure> {
    let args = args.clone();
    let read = spawn_blocking(move || code(&args, source_path(&args)?, runtime)).await;
    read.map_err(|fault| Failure::new(Exit::Source, format!("failed to read the source: {fault}")))?
}

/// Reads the code to send. The code of a custom function is in its image.
fn code(args: &CreateArgs, path: Option<&Path>, runtime: Option<Runtime>) -> Result<Code, Failure> {
    if runtime == Some(Runtime::Custom) {
        if !args.deps.is_empty() {
            return Err(Failure::usage(
                "a custom function's packages are in its image: --deps is of no use",
            ));
        }
        let remark = path
            .map(|path| format!("{path:?} is not sent: a custom function's code is in its image"));
        return Ok(Code {
            tar: Vec::new(),
            runtime: Some("custom"),
            remarks: remark.into_iter().collect(),
        });
    }
    let path = path.ok_or_else(|| {
        Failure::usage("no source is named").hint("name a file or a folder with --src")
    })?;
    // What is asked for and only containers have settles it as well.
    let has_network = args
        .network
        .as_deref()
        .is_some_and(|network| network != "none");
    let asks = has_network || args.max_concurrency > 1;
    let read = |runtime| source::read(path, runtime, &args.deps, &args.handler);
    let in_container = || -> Result<Code, Failure> {
        let mut code = read(Some(Runtime::Python))?;
        code.remarks.push(format!(
            "{}: --network and --max-concurrency need one",
            source::PYTHON_IN_CONTAINER
        ));
        Ok(code)
    };
    // Then no packages are fetched in vain.
    if runtime.is_none() && asks && source::is_python(path) {
        return in_container();
    }
    let code = read(runtime)?;
    if runtime.is_some() {
        return Ok(code);
    }
    match code.runtime {
        Some(found) if asks && found == Runtime::JavaScript.name() => read(Some(Runtime::NodeJs)),
        Some(found) if asks && found == Runtime::PythonWasm.name() => in_container(),
        _ => Ok(code),
    }
}

/// The name that was given, else the file's or the folder's.
pub(super) fn name(given: Option<&str>, path: Option<&Path>) -> Result<FunctionName, Failure> {
    if let Some(name) = given {
        return function_name(name);
    }
    let way_out = "name it with --function";
    let suggested = path.and_then(source::suggested_name);
    let suggested =
        suggested.ok_or_else(|| Failure::usage("the function has no name").hint(way_out))?;
    let name = FunctionName::parse(&suggested).map_err(|error| {
        Failure::usage(format!("the file's name makes no function name: {error}")).hint(way_out)
    })?;
    output::note(&format!(
        "the function is named {name:?} after its file; --function names it otherwise"
    ));
    Ok(name)
}

/// The hosts of `--allow-host`, if it is given; `none` stands for no host.
pub(super) fn allowed_hosts(named: &[String]) -> Result<Option<Vec<String>>, Failure> {
    let is_none = |host: &String| host == "none";
    match named {
        [] => Ok(None),
        [one] if is_none(one) => Ok(Some(Vec::new())),
        _ if named.iter().any(is_none) => Err(Failure::usage(
            "--allow-host none is given beside a host, and takes all hosts away",
        )),
        _ => Ok(Some(named.to_vec())),
    }
}

/// The hosts of each secret of `--secret-for`, if it is given; `none` stands for no secret.
pub(super) fn secret_hosts(
    named: &[String],
) -> Result<Option<BTreeMap<String, Vec<String>>>, Failure> {
    let is_none = |argument: &String| argument == "none";
    match named {
        [] => return Ok(None),
        [one] if is_none(one) => return Ok(Some(BTreeMap::new())),
        _ if named.iter().any(is_none) => {
            return Err(Failure::usage(
                "--secret-for none is given beside a secret, and takes the hosts of all secrets away",
            ));
        }
        _ => {}
    }
    let mut hosts = BTreeMap::<String, Vec<String>>::new();
    for argument in named {
        let (name, host) = argument
            .split_once('=')
            .filter(|(name, host)| !name.is_empty() && !host.is_empty())
            .ok_or_else(|| {
                Failure::usage(format!("{argument:?} of --secret-for is not NAME=HOST"))
                    .hint("for example --secret-for KEY=api.example.org")
            })?;
        hosts
            .entry(name.to_owned())
            .or_default()
            .push(host.to_owned());
    }
    Ok(Some(hosts))
}

fn body<'a>(
    args: &'a CreateArgs,
    name: &'a FunctionName,
    code: Code,
    source: &dyn SecretSource,
) -> Result<FunctionBody<'a>, Failure> {
    let signature = signature::parse(&args.input, &args.output)?;
    let env = variables::env(&args.env)?;
    let secrets = variables::secrets(&args.secret, source)?;
    if let Some(twice) = secrets.0.keys().find(|name| env.contains_key(*name)) {
        return Err(Failure::usage(format!(
            "{twice} is named by --env and by --secret"
        )));
    }
    Ok(FunctionBody {
        name: Cow::Borrowed(name.as_str()),
        runtime: Cow::Borrowed(code.runtime.unwrap_or_default()),
        memory_mb: args.memory,
        cpu_demand: args.cpu,
        max_concurrency: args.max_concurrency,
        handler: Cow::Borrowed(&args.handler),
        tar_function_code: Cow::Owned(STANDARD.encode(code.tar)),
        custom_image: Cow::Borrowed(args.custom_image.as_deref().unwrap_or_default()),
        signature,
        timeout: args.timeout,
        cpu_time: args.cpu_time,
        env,
        secrets,
        secret_hosts: secret_hosts(&args.secret_for)?.unwrap_or_default(),
        network: Cow::Borrowed(args.network.as_deref().unwrap_or_default()),
        allow_hosts: allowed_hosts(&args.allow_host)?.unwrap_or_default(),
        idempotent: args.idempotent.is_some(),
        idempotent_outbound: args.idempotent == Some(Idempotency::Outbound),
        edge: args.edge,
        isolation: Cow::Borrowed(args.isolation.as_deref().unwrap_or_default()),
        supported_archs: Vec::new(),
        args: args.program.words()?.unwrap_or_default(),
        stdin: Cow::Borrowed(args.program.stdin.as_deref().unwrap_or_default()),
        stdout: Cow::Borrowed(args.program.stdout.as_deref().unwrap_or_default()),
        stdout_type: Cow::Borrowed(args.program.stdout_type.as_deref().unwrap_or_default()),
    })
}

/// The sizes of what was prepared, in words.
fn sizes(footprint: &FootprintInfo) -> String {
    format!(
        "machine code {}, memory at start {}",
        text::size(footprint.machine_code_bytes),
        text::size(footprint.memory_bytes),
    )
}

fn rendered(created: &Created, replace: bool) -> String {
    let done = if replace { "deployed" } else { "created" };
    let version = text::version(&created.version);
    let facts: Vec<String> = [
        ("runtime", created.runtime.as_str()),
        ("interface", &created.interface),
        ("version", &version),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(fact, value)| format!("{fact} {value}"))
    .collect();
    let sizes = created.footprint.as_ref().map(sizes);
    let facts: Vec<String> = facts.into_iter().chain(sizes).collect();
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
        match crate::parse(line.split_whitespace().map(Into::into))
            .unwrap()
            .command
        {
            Command::Create(args) => args,
            other => panic!("{other:?}"),
        }
    }

    /// No environment, no terminal.
    struct Nothing;

    impl SecretSource for Nothing {
        fn variable(&self, name: &str) -> Option<std::ffi::OsString> {
            (name == "KEY").then(|| "hidden".into())
        }

        fn ask(&self, _name: &str) -> Option<std::io::Result<String>> {
            None
        }

        fn stdin(&self, _name: &str) -> std::io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
    }

    fn check(line: &str, expected: &Expect) {
        let args = args(line);
        let path = Path::new("my-fn.wasm");
        let made = runtime(&args).and_then(|runtime| {
            let code = match runtime {
                Some(Runtime::Custom) => code(&args, args.src.as_deref(), runtime)?,
                _ => Code {
                    tar: b"tar".to_vec(),
                    runtime: Some("wasm"),
                    remarks: Vec::new(),
                },
            };
            let name = name(args.function.as_deref(), Some(path))?;
            body(&args, &name, code, &Nothing).map(|body| serde_json::to_string(&body).unwrap())
        });
        expected.assert_eq(
            &made.unwrap_or_else(|failure| {
                format!("{:?}: {}", failure.exit(), failure.render(false))
            }),
        );
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
            "create -f g --memory 64 --cpu 0.5 -C 4 --timeout 5 --env A=b=c --idempotent --edge --isolation fresh -i a:int,b:Text -o r:Int --handler h",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","MemoryMB":64,"CPUDemand":0.5,"MaxConcurrency":4,"Handler":"h","TarFunctionCode":"dGFy","CustomImage":"","Signature":{"Inputs":[{"Name":"a","Type":"Int"},{"Name":"b","Type":"Text"}],"Outputs":[{"Name":"r","Type":"Int"}]},"Timeout":5.0,"Env":{"A":"b=c"},"Idempotent":true,"Edge":true,"Isolation":"fresh"}"#
            ]],
        );
    }

    #[test]
    fn results_that_depend_on_hosts_are_kept_if_that_is_said() {
        for line in [
            "create -f g --idempotent=outbound",
            "create -f g -idempotent=outbound",
        ] {
            check(
                line,
                &expect![[
                    r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Idempotent":true,"IdempotentOutbound":true,"Edge":false}"#
                ]],
            );
        }
        let other = ["create", "-f", "g", "--idempotent=other"];
        crate::parse(other.into_iter().map(Into::into)).unwrap_err();
    }

    #[test]
    fn programs_have_arguments_and_streams() {
        check(
            "create -f g --args a'{b}'c --stdin body --stdout-type image/png",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Idempotent":false,"Edge":false,"Arguments":["a{b}c"],"Stdin":"body","StdoutType":"image/png"}"#
            ]],
        );
        check(
            "create -f g --args=-v --stdin none --stdout raw",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Idempotent":false,"Edge":false,"Arguments":["-v"],"Stdin":"none","Stdout":"raw"}"#
            ]],
        );
        check(
            "create -f g --args 'a",
            &expect!["Usage: error: the text of --args is no list: a single quote is not closed"],
        );
    }

    #[test]
    fn a_secret_is_for_hosts() {
        check(
            "create -f g --secret KEY --allow-host *.example.org --secret-for KEY=a.example.org --secret-for KEY=b.example.org",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Secrets":{"KEY":"hidden"},"SecretHosts":{"KEY":["a.example.org","b.example.org"]},"AllowHosts":["*.example.org"],"Idempotent":false,"Edge":false}"#
            ]],
        );
        check(
            "create -f g --secret KEY --secret-for KEY",
            &expect![[r#"
                Usage: error: "KEY" of --secret-for is not NAME=HOST
                hint: for example --secret-for KEY=api.example.org"#]],
        );
        check(
            "create -f g --secret-for none --secret-for KEY=a.example",
            &expect![
                "Usage: error: --secret-for none is given beside a secret, and takes the hosts of all secrets away"
            ],
        );
    }

    #[test]
    fn hosts_are_named_one_by_one() {
        check(
            "create -f g --allow-host https://api.example.org --allow_host *.example.org:8443",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","AllowHosts":["https://api.example.org","*.example.org:8443"],"Idempotent":false,"Edge":false}"#
            ]],
        );
        check(
            "create -f g --allow-host none",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Idempotent":false,"Edge":false}"#
            ]],
        );
        check(
            "create -f g --allow-host none --allow-host a.example",
            &expect![
                "Usage: error: --allow-host none is given beside a host, and takes all hosts away"
            ],
        );
    }

    #[test]
    fn containers_have_more_options() {
        check(
            "create -f g --secret KEY --env A=1 --network bridge --max_concurrency 8",
            &expect![[
                r#"{"Name":"g","Runtime":"wasm","CPUDemand":0.0,"MaxConcurrency":8,"Handler":"","TarFunctionCode":"dGFy","CustomImage":"","Env":{"A":"1"},"Secrets":{"KEY":"hidden"},"Network":"bridge","Idempotent":false,"Edge":false}"#
            ]],
        );
        check(
            "create -f g --custom_image registry.example/i:1 --network=none --cpu 1.5 --timeout 2.5",
            &expect![[
                r#"{"Name":"g","Runtime":"custom","CPUDemand":1.5,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"","CustomImage":"registry.example/i:1","Timeout":2.5,"Network":"none","Idempotent":false,"Edge":false}"#
            ]],
        );
    }

    #[test]
    fn what_cannot_be_deployed_is_refused() {
        check(
            "create --runtime custom",
            &expect![[r#"
            Usage: error: a custom function needs an image
            hint: name one with --custom-image; docs/container-protocol.md says what it must speak"#]],
        );
        check(
            "create --runtime python310 --custom_image i",
            &expect![
                "Usage: error: only custom functions take an image, and this one's runtime is python"
            ],
        );
        check(
            "create --custom_image i --deps requirements.txt",
            &expect![
                "Usage: error: a custom function's packages are in its image: --deps is of no use"
            ],
        );
        check(
            "create --secret KEY --env KEY=1",
            &expect!["Usage: error: KEY is named by --env and by --secret"],
        );
        check(
            "create --secret KEY=hidden",
            &expect![[r#"
            Usage: error: --secret KEY=…: a secret's value does not belong on the command line, where the shell's history and every user of this machine can read it
            hint: export KEY and pass `--secret KEY`, or pass `--secret KEY=@FILE`"#]],
        );
        check(
            "create --secret OTHER",
            &expect![[r#"
            Usage: error: the secret OTHER has no value: there is no environment variable OTHER
            hint: export OTHER, or pass `--secret OTHER=@FILE`"#]],
        );
        check(
            "create --runtime python38",
            &expect![[
                r#"Usage: error: unknown runtime "python38"; known are wasm, python, python-wasm, nodejs, javascript, custom and their old names"#
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
        check(
            "create --env secret",
            &expect!["Usage: error: an argument of --env is not of the form NAME=VALUE"],
        );
    }

    #[test]
    fn a_name_beside_the_source_is_told_apart() {
        let told = source_path(&args("create js2 --src hello.js"))
            .unwrap_err()
            .render(false);
        expect![[r#"
            error: two sources are named: "hello.js" and "js2"
            hint: a name goes into -f: `serverledge-cli create -f NAME --src FILE`"#]]
        .assert_eq(&told);
        assert_eq!(
            source_path(&args("create hello.js")).unwrap(),
            Some(Path::new("hello.js"))
        );
    }

    #[test]
    fn answers_are_one_line_and_remarks() {
        let created = Created {
            created: "f".to_owned(),
            runtime: "wasm".to_owned(),
            version: "0123456789abcdef".to_owned(),
            interface: String::new(),
            footprint: Some(FootprintInfo {
                machine_code_bytes: 38_200_000,
                memory_bytes: 65_536,
            }),
            replaced: false,
            remarks: vec!["large".to_owned()],
        };
        assert_eq!(
            rendered(&created, false),
            "created f (runtime wasm, version 0123456789ab, machine code 36.4 MiB, memory at start 64.0 KiB)\nnote: large"
        );
    }
}
