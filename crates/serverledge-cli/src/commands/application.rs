//! `app`, `endpoint` and `function`: applications, their URLs, their functions.

use std::path::Path;

use serverledge_client::{AppName, ClientError};
use serverledge_wire::application::{
    AppInfo, AppSettings, AppSummary, CorsInfo, CorsWord, DependenciesInfo, EndpointInfo,
};
use serverledge_wire::function::FunctionInfo;

use super::session::{Session, app_name, function_name};
use super::{app_running, delete, function_versions, list, logs};
use crate::arguments::{
    AppCommand, DeleteAppArgs, DependenciesArgs, EndpointAddArgs, EndpointCommand,
    EndpointRemoveArgs, FunctionArgs, FunctionCommand, RenameArgs, SettingsArgs,
};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to, root_cause};
use crate::{files, output, progress, text};

/// Lists of packages that other tools read, and locks.
const OTHER_LISTS: [&str; 5] = [
    "Pipfile",
    "Gemfile",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "composer.json",
];
/// No node takes a longer dependencies file.
const DEPENDENCIES_BYTES_MAX: usize = 64 * 1024;

/// Runs one of the commands for applications.
pub(super) async fn run(session: &Session, command: &AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create(args) => create(session, &args.name).await,
        AppCommand::List => list_apps(session).await,
        AppCommand::Show(args) => show(session, &args.name).await,
        AppCommand::Rename(args) => rename(session, args).await,
        AppCommand::Delete(args) => delete_app(session, args).await,
        AppCommand::Settings(args) => settings(session, args).await,
        AppCommand::Dependencies(args) => dependencies(session, args).await,
        AppCommand::Running(command) => app_running::run(session, command).await,
    }
}

/// Runs one of the commands for endpoints.
pub(super) async fn run_endpoint(
    session: &Session,
    command: &EndpointCommand,
) -> Result<(), Failure> {
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
    let none =
        format!("{app} has no endpoints; `serverledge-cli --app {app} endpoint add` binds one");
    session.show_list(&call.map_err(failed(&action, &app))?, &none, endpoint_table)
}

/// Runs one of the commands for functions.
pub(super) async fn run_function(
    session: &Session,
    command: &FunctionCommand,
) -> Result<(), Failure> {
    match command {
        FunctionCommand::List => list::list(session).await,
        FunctionCommand::Show(args) => show_function(session, args).await,
        FunctionCommand::Delete(args) => delete(session, args).await,
        FunctionCommand::Logs(args) => logs::logs(session, args).await,
        FunctionCommand::Versions(command) => function_versions::run(session, command).await,
    }
}

// === applications ===

async fn create(session: &Session, name: &str) -> Result<(), Failure> {
    let name = app_name(name)?;
    let told = |made: &AppInfo| {
        let name = text::one_line(&made.name);
        let next = format!("next: serverledge-cli --app {name} create --src FILE");
        format!("made {name}\n{}", output::dim(&next))
    };
    session
        .answer(
            &format!("making {name}"),
            session.client.create_app(&name),
            failed("make", &name),
            told,
        )
        .await
}

async fn list_apps(session: &Session) -> Result<(), Failure> {
    let apps = progress::during("listing the applications", session.client.apps()).await;
    let none = "there are no applications; `serverledge-cli app create NAME` makes one";
    session.show_list(
        &apps.map_err(failed_to("list the applications"))?,
        none,
        app_table,
    )
}

async fn show(session: &Session, name: &str) -> Result<(), Failure> {
    let name = app_name(name)?;
    let call = session.client.show_app(&name);
    session
        .answer(
            &format!("asking about {name}"),
            call,
            failed("show", &name),
            describe,
        )
        .await
}

async fn rename(session: &Session, args: &RenameArgs) -> Result<(), Failure> {
    let name = app_name(&args.name)?;
    let new = app_name(&args.new)?;
    let settings = AppSettings {
        name: Some(new.to_string()),
        ..AppSettings::default()
    };
    let info = session
        .client
        .change_app(&name, &settings)
        .await
        .map_err(failed("rename", &name))?;
    session.show(&info, |info| {
        format!("{name} is {} now", text::one_line(&info.name))
    })
}

async fn delete_app(session: &Session, args: &DeleteAppArgs) -> Result<(), Failure> {
    let name = app_name(&args.app.name)?;
    args.confirm.ask(&format!(
        "delete the application {name} with its endpoints and functions?"
    ))?;
    let deleted = progress::during(
        &format!("deleting {name}"),
        session.client.delete_app(&name),
    )
    .await;
    deleted.map_err(failed("delete", &name))?;
    session.show(&serde_json::json!({ "deleted": name.as_str() }), |_| {
        format!("deleted {name}")
    })
}

async fn settings(session: &Session, args: &SettingsArgs) -> Result<(), Failure> {
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
        .map_err(failed("change", &name))?;
    session.show(&info, describe)
}

fn cors(words: &[String]) -> Option<CorsInfo> {
    match words {
        [] => None,
        [word] if word == "closed" => Some(CorsInfo::Word(CorsWord::Closed)),
        [word] if word == "any" => Some(CorsInfo::Word(CorsWord::Any)),
        origins => Some(CorsInfo::Origins(origins.to_vec())),
    }
}

async fn dependencies(session: &Session, args: &DependenciesArgs) -> Result<(), Failure> {
    let name = app_name(&args.name)?;
    let Some(file) = &args.file else {
        let shown = session
            .client
            .dependencies(&name)
            .await
            .map_err(failed("show the dependencies of", &name))?;
        return session.show(&shown, |shown| text::printable(shown.trim_end()));
    };
    let text = read_text(file)?;
    let call = session.client.set_dependencies(&name, kind_of(file)?, text);
    let told = |info: &DependenciesInfo| {
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
    };
    session
        .answer(
            &format!("changing {name}"),
            call,
            failed("change the dependencies of", &name),
            told,
        )
        .await
}

/// The name under which the node knows a dependencies file; `None` where the text says it.
fn kind_of(file: &Path) -> Result<Option<&'static str>, Failure> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    match file.extension().and_then(|extension| extension.to_str()) {
        _ if name == "package.json" => Ok(Some("package.json")),
        Some("txt" | "in") => Ok(Some("requirements.txt")),
        Some("json") if !OTHER_LISTS.contains(&name) => Ok(Some("package.json")),
        None if !OTHER_LISTS.contains(&name) => Ok(None),
        _ => Err(Failure::usage(format!("{name:?} is neither a package.json nor a requirements.txt"))
            .hint("an application has one of each: for its Node.js functions and for its Python functions")),
    }
}

fn read_text(file: &Path) -> Result<String, Failure> {
    let unusable =
        |cause: &str| Failure::usage(format!("{} cannot be used: {cause}", file.display()));
    let bytes = files::read_or_stdin(file, DEPENDENCIES_BYTES_MAX)
        .map_err(|error| unusable(&root_cause(&error)))?;
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

async fn show_function(session: &Session, args: &FunctionArgs) -> Result<(), Failure> {
    let name = function_name(args.name()?)?;
    let info = progress::during(
        &format!("asking about {name}"),
        session.client.function(&name),
    )
    .await;
    let info = info.map_err(failed_to(format!("show {name:?}")))?;
    let info = info.ok_or_else(|| {
        Failure::new(
            Exit::Request,
            format!("failed to show {name:?}: there is no such function"),
        )
        .hint("`serverledge-cli list` shows which there are")
    })?;
    session.show(&info, describe_function)
}

// === pieces ===

fn failed(action: &str, app: &AppName) -> impl FnOnce(ClientError) -> Failure {
    move |error| {
        let listed = format!("`serverledge-cli --app {app} endpoint list` shows which there are");
        Failure::of_call(&format!("{action} {app}"), error)
            .hint_for(
                &["application_unknown"],
                "`serverledge-cli app list` shows which there are",
            )
            .hint_for(&["endpoint_unknown"], listed)
    }
}

fn state(up: bool) -> &'static str {
    if up { "up" } else { "stopped" }
}

fn app_table(apps: &[AppSummary]) -> String {
    let row = |app: &AppSummary| {
        let functions = app.functions.to_string();
        let endpoints = app.endpoints.to_string();
        [
            text::one_line(&app.name),
            state(app.up).to_owned(),
            functions,
            endpoints,
        ]
    };
    text::listing(
        ["NAME", "STATE", "FUNCTIONS", "ENDPOINTS"],
        apps.iter().map(row),
    )
}

fn endpoint_table(endpoints: &[EndpointInfo]) -> String {
    let row = |one: &EndpointInfo| {
        [
            text::one_line(&one.method),
            format!("/{}", text::one_line(&one.path)),
            text::one_line(&one.function),
        ]
    };
    text::listing(["METHOD", "PATH", "FUNCTION"], endpoints.iter().map(row))
}

fn describe(info: &AppInfo) -> String {
    let cors = match &info.cors {
        CorsInfo::Word(CorsWord::Closed) => "closed".to_owned(),
        CorsInfo::Word(CorsWord::Any) => "any".to_owned(),
        CorsInfo::Origins(origins) => origins.join(", "),
    };
    let functions = if info.functions.is_empty() {
        "none".to_owned()
    } else {
        info.functions.join(", ")
    };
    let facts = [
        ("name", info.name.clone()),
        ("id", info.id.clone()),
        ("state", state(info.up).to_owned()),
        ("functions", functions),
        (
            "dependencies",
            info.dependencies.as_deref().unwrap_or("none").to_owned(),
        ),
        ("cors", cors),
        ("hands out nested", info.hands_out_nested.to_string()),
        ("own origin", info.own_origin.to_string()),
        ("made", text::time(info.created_unix_ms)),
    ];
    let facts = text::facts(facts);
    if info.endpoints.is_empty() {
        facts
    } else {
        format!("{facts}\n\n{}", endpoint_table(&info.endpoints))
    }
}

fn describe_function(info: &FunctionInfo) -> String {
    let facts = [
        ("name", info.name.clone()),
        ("runtime", info.runtime.clone()),
        ("version", info.version.clone()),
        ("handler", info.handler.clone()),
        ("memory", format!("{} MiB", info.memory_mb)),
        ("time limit", text::seconds(info.timeout)),
        (
            "flags",
            function_versions::words(
                (info.idempotent, info.idempotent_outbound),
                (info.edge, &info.isolation),
                "",
            ),
        ),
        ("allowed hosts", info.allow_hosts.join(", ")),
        ("arguments", info.args.join(" ")),
        ("stdin", info.stdin.clone()),
        ("stdout", info.stdout_type.clone()),
        ("env", info.env.join(", ")),
        ("secrets", secrets(info)),
    ];
    text::known_facts(facts)
}

/// Its secrets by name, with the hosts of those that are for hosts.
fn secrets(info: &FunctionInfo) -> String {
    let told = |name: &String| match info.secret_hosts.get(name) {
        Some(hosts) => format!("{name} (for {})", hosts.join(", ")),
        None => name.clone(),
    };
    info.secrets.iter().map(told).collect::<Vec<_>>().join(", ")
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
    fn functions_are_described() {
        let info = r#"{"Name":"rates","Runtime":"wasm","Version":"01","Code":"","Handler":"","MemoryMB":128,"CPUDemand":0,
            "MaxConcurrency":1,"Timeout":30,"Env":["LEVEL"],"Network":"none","AllowHosts":["http://10.0.0.7","https://a.example"],
            "Idempotent":false,"Edge":false}"#;
        let shown = describe_function(&serde_json::from_str(info).unwrap());
        let hosts = shown.lines().find(|line| line.starts_with("allowed hosts"));
        assert_eq!(
            hosts,
            Some("allowed hosts  http://10.0.0.7, https://a.example")
        );
        let info = info.replace(
            r#""AllowHosts":["http://10.0.0.7","https://a.example"],"#,
            "",
        );
        let shown = describe_function(&serde_json::from_str(&info).unwrap());
        assert!(!shown.contains("hosts"), "{shown}");
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
