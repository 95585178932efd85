//! `serverledge.json`: the description of a function's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use serverledge_client::FunctionName;

use super::build::{BuildCommand, BuildWords};
use super::{FILE, Project};
use crate::arguments::CreateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Descriptions have some lines; a file that is longer is something else.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Options of `create` that the file says in members of its own, or that `dev` decides.
const OWN: [&str; 8] = [
    "function",
    "name",
    "src",
    "file",
    "update",
    "wait",
    "no-wait",
    "custom-image",
];

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectFile {
    /// The function's name.
    function: String,
    /// The file or folder that is deployed, below the folder.
    src: PathBuf,
    /// The command that makes it.
    #[serde(default)]
    build: Option<BuildWords>,
    /// The programs that the build needs, each with the way to get it.
    #[serde(default)]
    needs: BTreeMap<String, String>,
    /// Options of `create` by their long names.
    #[serde(default)]
    options: Map<String, Value>,
}

/// Reads the description of a folder that has one.
pub(super) fn read(folder: &Path) -> Result<Project, Failure> {
    let path = folder.join(FILE);
    let bytes = files::read(&path, FILE_BYTES_MAX)
        .map_err(|fault| Failure::new(Exit::Source, format!("failed to read {path:?}: {fault}")))?;
    parse(folder, &bytes).map_err(|fault| {
        Failure::usage(format!("{path:?} cannot be used: {fault}"))
            .hint("docs/templates.md describes the file; `serverledge-cli new` makes one")
    })
}

fn parse(folder: &Path, bytes: &[u8]) -> Result<Project, String> {
    let file: ProjectFile = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
    let function = FunctionName::parse(&file.function)
        .map_err(|fault| format!("`function` is {:?}: {fault}", file.function))?;
    if file.src.as_os_str().is_empty() {
        return Err("`src` is empty".to_owned());
    }
    let create = options(folder, &file.options)?;
    let build = file
        .build
        .map(|words| BuildCommand::new(words, file.needs))
        .transpose()?;
    let project = Project::new(folder, function, folder.join(&file.src), create);
    Ok(Project { build, ..project })
}

/// The options, as clap reads them from a command line. Paths in them are below the folder.
fn options(folder: &Path, options: &Map<String, Value>) -> Result<CreateArgs, String> {
    let mut words = Vec::new();
    let known = CreateArgs::option_names();
    for (name, value) in options {
        let name = name.replace('_', "-");
        if OWN.contains(&name.as_str()) {
            return Err(format!("`options` cannot have {name:?}"));
        }
        if !known.contains(&name) {
            return Err(format!(
                "`options` cannot have '--{name}', which is no option of `create` alone"
            ));
        }
        match value {
            Value::Array(values) => {
                for value in values {
                    words.extend(word(&name, value)?);
                }
            }
            value => words.extend(word(&name, value)?),
        }
    }
    let mut create = CreateArgs::of_words(words).map_err(|fault| format!("`options`: {fault}"))?;
    create.deps = create.deps.iter().map(|path| folder.join(path)).collect();
    create.secret = create
        .secret
        .iter()
        .map(|secret| beside(folder, secret))
        .collect();
    Ok(create)
}

/// An option as a word of a command line; `None` for one that is switched off.
fn word(name: &str, value: &Value) -> Result<Option<String>, String> {
    Ok(match value {
        Value::Bool(true) => Some(format!("--{name}")),
        Value::Bool(false) => None,
        Value::String(text) => Some(format!("--{name}={text}")),
        Value::Number(number) => Some(format!("--{name}={number}")),
        other => return Err(format!("the option {name:?} cannot be {other}")),
    })
}

/// A secret whose file is named as the folder sees it.
fn beside(folder: &Path, secret: &str) -> String {
    match secret.split_once("=@") {
        Some((name, file)) if file != "-" => {
            format!("{name}=@{}", folder.join(file).display())
        }
        _ => secret.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Idempotency;
    use crate::templates;

    #[test]
    fn options_of_every_command_are_none_of_creates() {
        let names = CreateArgs::option_names();
        for own in [
            "memory",
            "env",
            "max-concurrency",
            "stdin",
            "cpu-time",
            "deps",
            "allow-host",
        ] {
            assert!(names.contains(own), "{own}");
        }
        for global in ["host", "port", "json", "app", "tls", "verbose", "help"] {
            assert!(!names.contains(global), "{global}");
        }
    }

    fn read_text(text: &str) -> Result<Project, String> {
        parse(Path::new("/p"), text.as_bytes())
    }

    #[test]
    fn all_templates_are_described() {
        for template in &templates::ALL {
            let name = FunctionName::parse("hey").unwrap();
            let file = template
                .render(&name)
                .find(|file| file.path == FILE)
                .unwrap();
            let project =
                read_text(&file.text).unwrap_or_else(|fault| panic!("{}: {fault}", template.name));
            assert_eq!(project.function.as_str(), "hey");
            assert!(project.create.memory.is_some(), "{}", template.name);
            let is_source = template
                .render(&name)
                .any(|file| project.source().ends_with(file.path));
            assert_eq!(is_source, project.build.is_none(), "{}", template.name);
        }
    }

    #[test]
    fn options_are_those_of_create() {
        let project = read_text(
            r#"{"function": "f", "src": "out/f.wasm", "options": {"memory": "1GiB", "timeout": 2.5, "edge": true,
                "idempotent": false, "env": ["A=1", "B=2"], "max_concurrency": 1, "secret": ["T=@t.txt", "U", "V=@-"],
                "deps": ["more/requirements.txt"], "args": "-v {a}", "allow_host": ["a.example", "*.b.example:8443"]}}"#,
        )
        .unwrap();
        let create = &project.create;
        assert_eq!((create.memory, create.timeout), (Some(1024), Some(2.5)));
        assert!(create.edge && create.idempotent.is_none() && create.update);
        assert_eq!(create.env, ["A=1", "B=2"]);
        assert_eq!(create.secret, ["T=@/p/t.txt", "U", "V=@-"]);
        assert_eq!(create.deps, [Path::new("/p/more/requirements.txt")]);
        assert_eq!(create.program.args.as_deref(), Some("-v {a}"));
        assert_eq!(create.allow_host, ["a.example", "*.b.example:8443"]);
        assert_eq!(create.function.as_deref(), Some("f"));
        assert_eq!(project.source(), Path::new("/p/out/f.wasm"));
    }

    #[test]
    fn a_function_is_idempotent_in_two_ways() {
        for (value, idempotent) in [
            ("false", None),
            ("true", Some(Idempotency::WithoutRequests)),
            ("\"outbound\"", Some(Idempotency::Outbound)),
        ] {
            let text = format!(
                r#"{{"function": "f", "src": "f.js", "options": {{"idempotent": {value}}}}}"#
            );
            assert_eq!(
                read_text(&text).unwrap().create.idempotent,
                idempotent,
                "{value}"
            );
        }
    }

    #[test]
    fn faults_are_named() {
        for (text, part) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"function": "f"}"#, "`src`"),
            (r#"{"src": "f.js"}"#, "`function`"),
            (
                r#"{"function": "a b", "src": "f.js"}"#,
                "`function` is \"a b\": ",
            ),
            (r#"{"function": "f", "src": ""}"#, "`src` is empty"),
            (
                r#"{"function": "f", "src": "f", "bild": "x"}"#,
                "unknown field `bild`",
            ),
            (
                r#"{"function": "f", "src": "f", "build": []}"#,
                "`build` is empty",
            ),
            (
                r#"{"function": "f", "src": "f", "build": " "}"#,
                "`build` is empty",
            ),
            (
                r#"{"function": "f", "src": "f", "build": 7}"#,
                "a list of words",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"memory": "lots"}}"#,
                "'lots'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"idempotent": "often"}}"#,
                "'often'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"memori": 1}}"#,
                "'--memori'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"host": "example.org"}}"#,
                "'--host'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"app": "shop"}}"#,
                "'--app'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"": true}}"#,
                "'--'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"memory=64": true}}"#,
                "'--memory=64'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"help": true}}"#,
                "'--help'",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"memory": null}}"#,
                "cannot be null",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"env": [{}]}}"#,
                "cannot be {}",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"src": "x"}}"#,
                "cannot have \"src\"",
            ),
            (
                r#"{"function": "f", "src": "f", "options": {"no_wait": true}}"#,
                "cannot have \"no-wait\"",
            ),
        ] {
            let fault = read_text(text).unwrap_err();
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
