//! `update`: changes what the options name of a function, and nothing else.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_client::{ClientError, FunctionName, Runtime};
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::members::Update;
use serverledge_wire::patch::{
    FunctionPatch, SecretsPatch, SignaturePatch, Updated, VariablesPatch,
};

use super::create;
use super::rollout::await_nodes;
use super::session::{Session, function_name};
use crate::arguments::{CreateArgs, UpdateArgs};
use crate::failure::Failure;
use crate::progress::{self, Steps};
use crate::source::{self, Code};
use crate::variables::{self, SecretSource};
use crate::{changes, output, signature, text};

/// The function that is meant, and its new source if there is one.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    name: FunctionName,
    source: Option<&'a Path>,
}

/// Changes a function; creates it if there is none and a source is named.
pub(super) async fn update(session: &Session, args: &UpdateArgs) -> Result<(), Failure> {
    let target = target(args)?;
    let name = &target.name;
    let present = progress::during(
        &format!("asking about {name}"),
        session.client.function(name),
    )
    .await;
    let present = present.map_err(|error| failed(name, error))?;
    match present {
        Some(present) => change(session, args, &target, &present).await,
        None if target.source.is_some() || args.custom_image.is_some() => {
            make(session, args, &target).await
        }
        None => Err(failed(name, unknown(name)).hint(format!(
            "`serverledge-cli create -f {name} --src FILE` makes it"
        ))),
    }
}

/// As the node says it.
pub(super) fn unknown(name: &FunctionName) -> ClientError {
    let detail = format!("function {:?} is unknown", name.as_str());
    let code = "function_unknown".to_owned();
    let problem = serverledge_wire::problem::Problem {
        status: 404,
        code,
        detail,
        ..Default::default()
    };
    ClientError::Problem {
        status: 404,
        problem: Box::new(problem),
        retry_after: None,
    }
}

async fn make(session: &Session, args: &UpdateArgs, target: &Target<'_>) -> Result<(), Failure> {
    output::note(&format!(
        "there is no function {}; it is created",
        target.name
    ));
    create::create(session, &creation(args, target), false, &variables::Process).await
}

/// The same options for a function that is not there yet.
fn creation(args: &UpdateArgs, target: &Target<'_>) -> CreateArgs {
    CreateArgs {
        function: Some(target.name.to_string()),
        src: target.source.map(Path::to_owned),
        file: None,
        runtime: args.runtime.clone(),
        handler: args.handler.clone().unwrap_or_default(),
        memory: args.memory.and_then(|memory| memory.value().copied()),
        cpu: args.cpu.unwrap_or_default(),
        max_concurrency: args.max_concurrency.unwrap_or(1),
        timeout: args.timeout.and_then(|timeout| timeout.value().copied()),
        cpu_time: args.cpu_time.and_then(|time| time.value().copied()),
        env: args.env.clone(),
        secret: args.secret.clone(),
        secret_for: args.secret_for.clone(),
        network: args.network.clone(),
        allow_host: args.allow_host.clone(),
        deps: args.deps.clone(),
        idempotent: args.flags.idempotent,
        edge: args.flags.edge,
        isolation: args.flags.isolation.clone(),
        program: args.program.clone(),
        custom_image: args.custom_image.clone(),
        input: args.input.clone(),
        output: args.output.clone(),
        update: false,
        rollout: args.rollout,
    }
}

async fn change(
    session: &Session,
    args: &UpdateArgs,
    target: &Target<'_>,
    present: &FunctionInfo,
) -> Result<(), Failure> {
    let code = code(args, target.source, present)?;
    let remarks = code
        .as_ref()
        .map(|code| code.remarks.clone())
        .unwrap_or_default();
    let patch = patch(args, code, present, &variables::Process)?;
    if patch == FunctionPatch::default() {
        return Err(Failure::usage(format!(
            "nothing is named that {:?} shall have",
            target.name.as_str()
        ))
        .hint(
            "name new code with --src, or an option; `serverledge-cli update --help` lists them",
        ));
    }
    remarks
        .into_iter()
        .chain(absent(args, present))
        .for_each(|remark| output::note(&remark));
    send(session, &target.name, &patch).await?;
    await_nodes(session, &target.name, args.rollout).await
}

/// Sends a change and shows what it has changed.
pub(super) async fn send(
    session: &Session,
    name: &FunctionName,
    patch: &FunctionPatch<'_>,
) -> Result<(), Failure> {
    let what = match patch.tar_function_code.value() {
        Some(code) => format!(
            "updating {name}: {} to send and prepare",
            text::bytes(code.len())
        ),
        None => format!("updating {name}"),
    };
    let steps = Steps::new(what);
    let call = session.client.patch(name, patch, |step| steps.step(step));
    let updated = steps
        .during(call)
        .await
        .map_err(|error| failed(name, error).hint_for_member("SecretHosts", for_hosts(patch)))?;
    session.show(&updated, rendered)?;
    updated
        .remarks
        .iter()
        .for_each(|remark| output::note(remark));
    Ok(())
}

/// The way out where the node refuses the hosts of a secret. Those that are there may not fit to the function's new hosts.
const fn for_hosts(patch: &FunctionPatch<'_>) -> &'static str {
    if !patch.allow_hosts.is_kept() && patch.secret_hosts.is_kept() {
        "name this host in --allow-host too, take the secret away with --unset-secret, or give the function all its \
         secrets themselves with `--secret-for none`"
    } else if patch.allow_hosts.is_kept() && !patch.secrets.is_kept() {
        "the secret has to be there, and --allow-host of `serverledge-cli update` has to allow its host; HOST without a \
         scheme is https://HOST"
    } else {
        create::FOR_HOSTS
    }
}

pub(super) fn failed(name: &FunctionName, error: ClientError) -> Failure {
    let hint =
        "this node changes functions as a whole only: `create --update` does, and names everything";
    Failure::of_call(&format!("update {:?}", name.as_str()), error)
        .hint_for(&["method_not_allowed"], hint)
}

fn rendered(updated: &Updated) -> String {
    let name = text::one_line(&updated.updated);
    let version = text::version(&updated.function.version);
    match changes::told(&updated.changes) {
        Some(told) => format!("updated {name}: {told} (version {version})"),
        None => format!("nothing changed: {name} is so already (version {version})"),
    }
}

/// Finds the function and the source in the arguments. A word that is no file and could be no source is the function's
/// name.
fn target(args: &UpdateArgs) -> Result<Target<'_>, Failure> {
    let word = args.file.as_deref();
    let named = word
        .filter(|word| args.function.is_none() && is_name(word))
        .and_then(Path::to_str);
    let source = match (args.src.as_deref(), word.filter(|_| named.is_none())) {
        (Some(src), Some(file)) => {
            return Err(
                Failure::usage(format!("two sources are named: {src:?} and {file:?}"))
                    .hint("name one"),
            );
        }
        (src, file) => src.or(file),
    };
    let name = match args.function.as_deref().or(named) {
        Some(name) => function_name(name)?,
        None if source.is_none() => {
            return Err(Failure::usage("no function is named")
                .hint("name one: `serverledge-cli update NAME --memory 256`"));
        }
        None => create::name(None, source)?,
    };
    Ok(Target { name, source })
}

fn is_name(word: &Path) -> bool {
    let could_be = |text: &str| FunctionName::parse(text).is_ok() && !source::is_source(word);
    word.to_str().is_some_and(could_be) && !word.exists()
}

/// The new code, for the runtime that the function has, unless another is named or the source is in another language.
fn code(
    args: &UpdateArgs,
    path: Option<&Path>,
    present: &FunctionInfo,
) -> Result<Option<Code>, Failure> {
    let Some(path) = path else {
        if !args.deps.is_empty() {
            return Err(
                Failure::usage("--deps goes with new code").hint("name the source with --src")
            );
        }
        return Ok(None);
    };
    let handler = args.handler.as_deref().unwrap_or(&present.handler);
    if let Some(said) =
        create::named_runtime(args.runtime.as_deref(), args.custom_image.as_deref())?
    {
        if said == Runtime::Custom {
            output::note(&format!(
                "{path:?} is not sent: a custom function's code is in its image"
            ));
            return Ok(None);
        }
        return source::read(path, Some(said), &args.deps, handler).map(Some);
    }
    let kept = present
        .runtime
        .parse::<Runtime>()
        .ok()
        .filter(|runtime| !source::is_of_another(path, *runtime));
    source::read(path, kept, &args.deps, handler).map(Some)
}

fn patch<'a>(
    args: &'a UpdateArgs,
    code: Option<Code>,
    present: &FunctionInfo,
    source: &dyn SecretSource,
) -> Result<FunctionPatch<'a>, Failure> {
    let text = |text: &'a Option<String>| Update::from(text.as_deref().map(Cow::Borrowed));
    let flags = args.flags.wanted();
    // A node that does not know the member needs no word about it.
    let outbound = flags
        .idempotent_outbound
        .filter(|on| *on || present.idempotent_outbound);
    // What the source settles, where it is not so already.
    let found = code
        .as_ref()
        .and_then(|code| code.runtime)
        .filter(|found| *found != present.runtime);
    let runtime = create::named_runtime(args.runtime.as_deref(), args.custom_image.as_deref())?
        .map(Runtime::name)
        .or(found);
    Ok(FunctionPatch {
        name: None,
        runtime: Update::from(runtime.map(Cow::Borrowed)),
        memory_mb: args.memory.unwrap_or_default(),
        cpu_demand: Update::from(args.cpu),
        max_concurrency: Update::from(args.max_concurrency),
        handler: text(&args.handler),
        tar_function_code: Update::from(code.map(|code| Cow::Owned(STANDARD.encode(code.tar)))),
        custom_image: text(&args.custom_image),
        signature: declared(args)?,
        timeout: args.timeout.unwrap_or_default(),
        cpu_time: args.cpu_time.unwrap_or_default(),
        env: env(args)?,
        secrets: secrets(args, source)?,
        secret_hosts: Update::from(create::secret_hosts(&args.secret_for)?),
        network: text(&args.network),
        allow_hosts: Update::from(create::allowed_hosts(&args.allow_host)?),
        idempotent: Update::from(flags.idempotent),
        idempotent_outbound: Update::from(outbound),
        edge: Update::from(flags.edge),
        isolation: text(&args.flags.isolation),
        supported_archs: Update::Keep,
        args: Update::from(args.program.words()?),
        stdin: text(&args.program.stdin),
        stdout: text(&args.program.stdout),
        stdout_type: text(&args.program.stdout_type),
    })
}

fn declared(args: &UpdateArgs) -> Result<Update<SignaturePatch>, Failure> {
    let declared = signature::parse(&args.input, &args.output)?;
    Ok(Update::from(declared.map(|declared| SignaturePatch {
        inputs: (!args.input.is_empty()).then_some(declared.inputs),
        outputs: (!args.output.is_empty()).then_some(declared.outputs),
    })))
}

fn env(args: &UpdateArgs) -> Result<Update<VariablesPatch>, Failure> {
    let set = variables::env(&args.env)?;
    variables_patch(set, &args.unset_env, ("--env", "--unset-env"))
}

fn secrets(args: &UpdateArgs, source: &dyn SecretSource) -> Result<Update<SecretsPatch>, Failure> {
    let set = variables::secrets(&args.secret, source)?;
    let named = variables_patch(set.0, &args.unset_secret, ("--secret", "--unset-secret"))?;
    Ok(named.value().map_or(Update::Keep, |named| {
        Update::Set(SecretsPatch(named.clone()))
    }))
}

fn variables_patch(
    set: std::collections::BTreeMap<String, String>,
    unset: &[String],
    (to_set, to_unset): (&str, &str),
) -> Result<Update<VariablesPatch>, Failure> {
    let mut named: VariablesPatch = set
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    for name in unset {
        if named
            .insert(name.clone(), None)
            .is_some_and(|value| value.is_some())
        {
            return Err(Failure::usage(format!(
                "{name} is named by {to_set} and by {to_unset}"
            )));
        }
    }
    Ok(Update::from((!named.is_empty()).then_some(named)))
}

/// Remarks on variables and secrets that are to be taken away and are not there: perhaps misspelt.
fn absent(args: &UpdateArgs, present: &FunctionInfo) -> Vec<String> {
    let told = |kind: &str, names: &[String], there: &[String]| -> Vec<String> {
        let missing = names.iter().filter(|name| !there.contains(name));
        missing
            .map(|name| format!("{} has no {kind} {name}", present.name))
            .collect()
    };
    [
        told("variable", &args.unset_env, &present.env),
        told("secret", &args.unset_secret, &present.secrets),
    ]
    .concat()
}
