//! `app`, `endpoint` and `function`: applications, their URLs, their functions.

use std::io;
use std::path::Path;

use serverledge_client::{AppName, ClientError};
use serverledge_wire::application::{
    AppInfo, AppSettings, AppSummary, CorsInfo, CorsWord, EndpointInfo,
};
use serverledge_wire::function::FunctionInfo;

use super::{Session, delete, function_name, list, logs};
use crate::arguments::{
    AppCommand, DependenciesArgs, EndpointAddArgs, EndpointCommand, EndpointRemoveArgs,
    FunctionCommand, FunctionShowArgs, RenameArgs, SettingsArgs,
};
use crate::exit::Exit;
use crate::failure::{Failure, root_cause};
use crate::{app_running, files, function_versions, output, progress, text};

/// No node takes a longer dependencies file.
const DEPENDENCIES_BYTES_MAX: usize = 64 * 1024;

/// Runs one of the commands for applications.
pub(super) async fn run(session: &Session, command: &AppCommand) -> Result<Exit, Failure> {
    match command {
        AppCommand::Create(args) => create(session, &args.name).await,
        AppCommand::List => list_apps(session).await,
        AppCommand::Show(args) => show(session, &args.name).await,
        AppCommand::Rename(args) => rename(session, args).await,
        AppCommand::Delete(args) => delete_app(session, &args.name).await,
        AppCommand::Settings(args) => settings(session, args).await,
        AppCommand::Dependencies(args) => dependencies(session, args).await,
        AppCommand::Running(command) => app_running::run(session, command).await,
    }
}

/// Runs one of the commands for endpoints.
pub(super) async fn run_endpoint(
    session: &Session,
    command: &EndpointCommand,
) -> Result<Exit, Failure> {
    let app = session.client.app().cloned();
    let app =
        app.ok_or_else(|| Failure::usage("no application is named").hint("name one with --app"))?;
    let named = |path: &str, method: &str| {
        format!(
            "endpoint {} /{} of",
            method.to_ascii_uppercase(),
            path.trim_start_matches('/')
        )
    };
    let (action, call) = match command {
        EndpointCommand::Add(args) => (
            format!("bind the {}", named(&args.path, &args.method)),
            add(session, &app, args).await,
        ),
        EndpointCommand::List => (
            "list the endpoints of".to_owned(),
            session.client.endpoints(&app).await,
        ),
        EndpointCommand::Remove(args) => (
            format!("remove the {}", named(&args.path, &args.method)),
            remove(session, &app, args).await,
        ),
    };
    let endpoints = call.map_err(|error| failed(&action, &app, error))?;
    if session.for_people && endpoints.is_empty() {
        output::warn(&format!(
            "{app} has no endpoints; `serverledge-cli --app {app} endpoint add` binds one"
        ));
        return Ok(Exit::Ok);
    }
    session.show(&endpoints, |endpoints| endpoint_table(endpoints))?;
    Ok(Exit::Ok)
}

/// Runs one of the commands for functions.
pub(super) async fn run_function(
    session: &Session,
    command: &FunctionCommand,
) -> Result<Exit, Failure> {
    match command {
        FunctionCommand::List => list::list(session).await,
        FunctionCommand::Show(args) => show_function(session, args).await,
        FunctionCommand::Delete(args) => delete(session, args).await,
        FunctionCommand::Logs(args) => logs::logs(session, args).await,
        FunctionCommand::Versions(command) => function_versions::run(session, command).await,
    }
}

// === applications ===

async fn create(session: &Session, name: &str) -> Result<Exit, Failure> {
    let name = app_name(name)?;
    let made = progress::during(&format!("making {name}"), session.client.create_app(&name)).await;
    let made = made.map_err(|error| failed("make", &name, error))?;
    session.show(&made, |made| {
        let name = text::one_line(&made.name);
        let next = format!("next: serverledge-cli --app {name} create --src FILE");
        format!("made {name}\n{}", output::dim(&next))
    })?;
    Ok(Exit::Ok)
}

async fn list_apps(session: &Session) -> Result<Exit, Failure> {
    let apps = progress::during("listing the applications", session.client.apps()).await;
    let apps = apps.map_err(|error| Failure::of_call("list the applications", error))?;
    if session.for_people && apps.is_empty() {
        output::warn("there are no applications; `serverledge-cli app create NAME` makes one");
        return Ok(Exit::Ok);
    }
    session.show(&apps, |apps| app_table(apps))?;
    Ok(Exit::Ok)
}

async fn show(session: &Session, name: &str) -> Result<Exit, Failure> {
    let name = app_name(name)?;
    let info = progress::during(
        &format!("asking about {name}"),
        session.client.show_app(&name),
    )
    .await;
    let info = info.map_err(|error| failed("show", &name, error))?;
    session.show(&info, describe)?;
    Ok(Exit::Ok)
}

async fn rename(session: &Session, args: &RenameArgs) -> Result<Exit, Failure> {
    let (name, new) = (app_name(&args.name)?, app_name(&args.new)?);
    let settings = AppSettings {
        name: Some(new.to_string()),
        ..AppSettings::default()
    };
    let info = session
        .client
        .change_app(&name, &settings)
        .await
        .map_err(|error| failed("rename", &name, error))?;
    session.show(&info, |info| {
        format!("{name} is {} now", text::one_line(&info.name))
    })?;
    Ok(Exit::Ok)
}

async fn delete_app(session: &Session, name: &str) -> Result<Exit, Failure> {
    let name = app_name(name)?;
    let deleted = progress::during(
        &format!("deleting {name}"),
        session.client.delete_app(&name),
    )
    .await;
    deleted.map_err(|error| failed("delete", &name, error))?;
    session.show(&serde_json::json!({ "deleted": name.as_str() }), |_| {
        format!("deleted {name}")
    })?;
    Ok(Exit::Ok)
}

async fn settings(session: &Session, args: &SettingsArgs) -> Result<Exit, Failure> {
    let name = app_name(&args.name)?;
    let settings = AppSettings {
        name: None,
        cors: cors(&args.cors),
        hands_out_nested: args.hands_out_nested,
        own_origin: args.own_origin,
    };
    if settings == AppSettings::default() {
        return Err(
            Failure::usage("no setting is named").hint("see `serverledge-cli app settings --help`")
        );
    }
    let info = session
        .client
        .change_app(&name, &settings)
        .await
        .map_err(|error| failed("change", &name, error))?;
    session.show(&info, describe)?;
    Ok(Exit::Ok)
}

fn cors(words: &[String]) -> Option<CorsInfo> {
    match words {
        [] => None,
        [word] if word == "closed" => Some(CorsInfo::Word(CorsWord::Closed)),
        [word] if word == "any" => Some(CorsInfo::Word(CorsWord::Any)),
        origins => Some(CorsInfo::Origins(origins.to_vec())),
    }
}

async fn dependencies(session: &Session, args: &DependenciesArgs) -> Result<Exit, Failure> {
    let name = app_name(&args.name)?;
    let Some(file) = &args.file else {
        let shown = session.client.dependencies(&name).await;
        let shown = shown.map_err(|error| failed("show the dependencies of", &name, error))?;
        session.show(&shown, |shown| text::printable(shown.trim_end()))?;
        return Ok(Exit::Ok);
    };
    let text = read_text(file)?;
    let call = session.client.set_dependencies(&name, text);
    let info = progress::during(&format!("changing {name}"), call).await;
    let info = info.map_err(|error| failed("change the dependencies of", &name, error))?;
    session.show(&info, |info| {
        let file = info
            .file
            .as_deref()
            .map_or_else(|| "no dependencies".to_owned(), text::one_line);
        if info.outdated.is_empty() {
            return format!("{name} has {file}");
        }
        let functions: Vec<String> = info
            .outdated
            .iter()
            .map(|one| text::one_line(one))
            .collect();
        format!(
            "{name} has {file}; until its next start these run with other packages: {}",
            functions.join(", ")
        )
    })?;
    Ok(Exit::Ok)
}

fn read_text(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        files::read_from(io::stdin().lock(), DEPENDENCIES_BYTES_MAX)
    } else {
        files::read(file, DEPENDENCIES_BYTES_MAX)
    };
    let unusable =
        |cause: &str| Failure::usage(format!("{} cannot be used: {cause}", file.display()));
    let bytes = read.map_err(|error| unusable(&root_cause(&error)))?;
    String::from_utf8(bytes).map_err(|_| unusable("it is no text in UTF-8"))
}

// === endpoints ===

async fn add(
    session: &Session,
    app: &AppName,
    args: &EndpointAddArgs,
) -> Result<Vec<EndpointInfo>, ClientError> {
    let endpoint = EndpointInfo {
        method: args.method.to_ascii_uppercase(),
        path: args.path.clone(),
        function: args.function.clone(),
    };
    session.client.put_endpoint(app, &endpoint).await
}

async fn remove(
    session: &Session,
    app: &AppName,
    args: &EndpointRemoveArgs,
) -> Result<Vec<EndpointInfo>, ClientError> {
    session
        .client
        .remove_endpoint(app, &args.method.to_ascii_uppercase(), &args.path)
        .await
}

// === functions ===

async fn show_function(session: &Session, args: &FunctionShowArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let info = progress::during(
        &format!("asking about {name}"),
        session.client.function(&name),
    )
    .await;
    let info = info.map_err(|error| Failure::of_call(&format!("show {name:?}"), error))?;
    let info = info.ok_or_else(|| {
        Failure::new(
            Exit::Request,
            format!("failed to show {name:?}: there is no such function"),
        )
        .hint("`serverledge-cli list` shows which there are")
    })?;
    session.show(&info, describe_function)?;
    Ok(Exit::Ok)
}

// === pieces ===

pub(crate) fn app_name(text: &str) -> Result<AppName, Failure> {
    AppName::parse(text)
        .map_err(|error| Failure::usage(format!("{text:?} names no application: {error}")))
}

fn failed(action: &str, app: &AppName, error: ClientError) -> Failure {
    let hint = match error.code() {
        Some("application_unknown") => {
            Some("`serverledge-cli app list` shows which there are".to_owned())
        }
        Some("endpoint_unknown") => Some(format!(
            "`serverledge-cli --app {app} endpoint list` shows which there are"
        )),
        _ => None,
    };
    let failure = Failure::of_call(&format!("{action} {app}"), error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn state(up: bool) -> &'static str {
    if up { "up" } else { "stopped" }
}

fn app_table(apps: &[AppSummary]) -> String {
    let head = ["NAME", "STATE", "FUNCTIONS", "ENDPOINTS"]
        .map(str::to_owned)
        .to_vec();
    let row = |app: &AppSummary| {
        let (functions, endpoints) = (app.functions.to_string(), app.endpoints.to_string());
        vec![
            text::one_line(&app.name),
            state(app.up).to_owned(),
            functions,
            endpoints,
        ]
    };
    text::table(
        &std::iter::once(head)
            .chain(apps.iter().map(row))
            .collect::<Vec<_>>(),
    )
}

fn endpoint_table(endpoints: &[EndpointInfo]) -> String {
    let head = ["METHOD", "PATH", "FUNCTION"].map(str::to_owned).to_vec();
    let row = |one: &EndpointInfo| {
        vec![
            text::one_line(&one.method),
            format!("/{}", text::one_line(&one.path)),
            text::one_line(&one.function),
        ]
    };
    text::table(
        &std::iter::once(head)
            .chain(endpoints.iter().map(row))
            .collect::<Vec<_>>(),
    )
}

fn describe(info: &AppInfo) -> String {
    let cors = match &info.cors {
        CorsInfo::Word(CorsWord::Closed) => "closed".to_owned(),
        CorsInfo::Word(CorsWord::Any) => "any".to_owned(),
        CorsInfo::Origins(origins) => origins
            .iter()
            .map(|one| text::one_line(one))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let names: Vec<String> = info
        .functions
        .iter()
        .map(|one| text::one_line(one))
        .collect();
    let facts = [
        ("name", text::one_line(&info.name)),
        ("id", text::one_line(&info.id)),
        ("state", state(info.up).to_owned()),
        (
            "functions",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            },
        ),
        (
            "dependencies",
            info.dependencies
                .as_deref()
                .map_or_else(|| "none".to_owned(), text::one_line),
        ),
        ("cors", cors),
        ("hands out nested", info.hands_out_nested.to_string()),
        ("own origin", info.own_origin.to_string()),
        ("made", text::time(info.created_unix_ms)),
    ];
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .map(|(name, fact)| vec![name.to_owned(), fact])
        .collect();
    if info.endpoints.is_empty() {
        return text::table(&rows);
    }
    format!(
        "{}\n\n{}",
        text::table(&rows),
        endpoint_table(&info.endpoints)
    )
}

fn describe_function(info: &FunctionInfo) -> String {
    let flags = [(info.idempotent, "idempotent"), (info.edge, "edge")];
    let flags: Vec<&str> = flags
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name)
        .collect();
    let facts = [
        ("name", text::one_line(&info.name)),
        ("runtime", text::one_line(&info.runtime)),
        ("version", text::one_line(&info.version)),
        ("handler", text::one_line(&info.handler)),
        ("memory", format!("{} MiB", info.memory_mb)),
        ("time limit", text::seconds(info.timeout)),
        ("flags", flags.join(", ")),
        ("env", text::one_line(&info.env.join(", "))),
        ("secrets", text::one_line(&info.secrets.join(", "))),
    ];
    let told = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
    text::table(
        &told
            .map(|(name, fact)| vec![name.to_owned(), fact])
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn applications_are_described() {
        let info = AppInfo {
            name: "shop".to_owned(),
            id: "0".to_owned(),
            up: true,
            functions: vec!["order".to_owned(), "evil\u{1b}[2J".to_owned()],
            endpoints: vec![EndpointInfo {
                method: "POST".to_owned(),
                path: "order/new".to_owned(),
                function: "order".to_owned(),
            }],
            dependencies: None,
            cors: CorsInfo::Origins(vec!["https://a.example".to_owned()]),
            hands_out_nested: true,
            own_origin: false,
            created_unix_ms: 1_772_323_200_000,
        };
        expect![[r#"
            name              shop
            id                0
            state             up
            functions         order, evil\u{1b}[2J
            dependencies      none
            cors              https://a.example
            hands out nested  true
            own origin        false
            made              2026-03-01T00:00:00.000Z

            METHOD  PATH        FUNCTION
            POST    /order/new  order"#]]
        .assert_eq(&describe(&info));
        let summary = AppSummary {
            name: "shop".to_owned(),
            id: "0".to_owned(),
            up: false,
            endpoints: 1,
            functions: 2,
        };
        expect![[r#"
            NAME  STATE    FUNCTIONS  ENDPOINTS
            shop  stopped  2          1"#]]
        .assert_eq(&app_table(&[summary]));
    }

    #[test]
    fn who_may_ask_is_a_word_or_a_list() {
        let words = |text: &str| cors(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(cors(&[]), None);
        assert_eq!(words("any"), Some(CorsInfo::Word(CorsWord::Any)));
        assert_eq!(words("closed"), Some(CorsInfo::Word(CorsWord::Closed)));
        let origins = vec!["https://a".to_owned(), "any".to_owned()];
        assert_eq!(words("https://a,any"), Some(CorsInfo::Origins(origins)));
    }
}
