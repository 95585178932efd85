//! The node to talk to: options, then environment, then the node's configuration file, then the defaults.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serverledge_client::{Endpoint, Token};
use serverledge_wire::account::Secret;

use crate::arguments::GlobalArgs;
use crate::credentials::CredentialsFile;
use crate::failure::Failure;
use crate::{files, passwords};

const HOST_DEFAULT: &str = "127.0.0.1";
const PORT_DEFAULT: u16 = 1323;
/// Endings of `serverledge-conf`, in the order in which they are looked for.
const EXTENSIONS: [&str; 4] = ["toml", "yaml", "yml", "json"];
/// Configuration files are far smaller; anything larger is something else.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The inputs of resolution besides the command line.
#[derive(Debug, Default)]
pub(crate) struct Env {
    /// `SERVERLEDGE_URL`.
    pub(crate) url: Option<String>,
    /// `SERVERLEDGE_HOST`.
    pub(crate) host: Option<String>,
    /// `SERVERLEDGE_PORT`.
    pub(crate) port: Option<String>,
    /// `SERVERLEDGE_TLS`.
    pub(crate) tls: Option<String>,
    /// `SERVERLEDGE_CA_FILE`.
    pub(crate) ca_file: Option<PathBuf>,
    /// `SERVERLEDGE_TOKEN`.
    pub(crate) token: Option<Secret>,
    /// `SERVERLEDGE_TOKEN_FILE`.
    pub(crate) token_file: Option<PathBuf>,
    /// The file with the tokens that `login` made; `None` if there is no place for one.
    pub(crate) credentials: Option<CredentialsFile>,
    /// Folders that may hold a configuration file; the first file found counts.
    pub(crate) folders: Vec<PathBuf>,
}

impl Env {
    /// The process's own.
    pub(crate) fn real() -> Self {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let path = |name| {
            std::env::var_os(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let home = path("HOME");
        // A relative one is no place (XDG Base Directory).
        let config = path("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
        let folders = [
            Some(PathBuf::from(".")),
            home,
            Some(PathBuf::from("/etc/serverledge")),
        ];
        Self {
            url: variable("SERVERLEDGE_URL"),
            host: variable("SERVERLEDGE_HOST"),
            port: variable("SERVERLEDGE_PORT"),
            tls: variable("SERVERLEDGE_TLS"),
            ca_file: path("SERVERLEDGE_CA_FILE"),
            token: variable("SERVERLEDGE_TOKEN").map(Secret),
            token_file: path("SERVERLEDGE_TOKEN_FILE"),
            credentials: config.as_deref().map(CredentialsFile::below),
            folders: folders.into_iter().flatten().collect(),
        }
    }
}

/// The node, and where its address came from.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The address of the node.
    pub(crate) endpoint: Endpoint,
    /// The file with authorities to believe beside the machine's; only with TLS.
    pub(crate) ca_file: Option<PathBuf>,
    /// Tokens and passwords may go to another machine without TLS.
    pub(crate) secrets_in_clear: bool,
    /// The file with the tokens that `login` made.
    pub(crate) credentials: Option<CredentialsFile>,
    /// Warnings to show before the work begins.
    pub(crate) warnings: Vec<String>,
    /// Whether the caller named a node, by an option or in the environment.
    pub(crate) is_named: bool,
    host_from: &'static str,
    port_from: String,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "asking {} (host from {}, port from {})",
            self.endpoint, self.host_from, self.port_from
        )
    }
}

/// Applies the precedence.
///
/// # Errors
/// A usage failure if the host or the port is none.
pub(crate) fn resolve(global: &GlobalArgs, env: &Env) -> Result<Settings, Failure> {
    let mut warnings = Vec::new();
    let (endpoint, host_from, port_from) = match named_by_url(global, env)? {
        Some(endpoint) => (endpoint, "SERVERLEDGE_URL", "SERVERLEDGE_URL".to_owned()),
        None => named_by_parts(global, env, &mut warnings)?,
    };
    let endpoint = match &global.base_path {
        Some(path) => endpoint
            .below(path)
            .map_err(|error| Failure::usage(error.to_string()).hint("see --base-path"))?,
        None => endpoint,
    };
    let ca_file = global
        .ca_file
        .as_ref()
        .or(env.ca_file.as_ref())
        .filter(|_| endpoint.is_tls())
        .cloned();
    let secrets_in_clear = global.insecure_token;
    let credentials = env.credentials.clone();
    let options = global.host.is_some() || global.port.is_some() || global.base_path.is_some();
    let variables = env.url.is_some() || env.host.is_some() || env.port.is_some();
    Ok(Settings {
        is_named: options || variables,
        endpoint,
        ca_file,
        secrets_in_clear,
        credentials,
        warnings,
        host_from,
        port_from,
    })
}

/// The node of `SERVERLEDGE_URL`, unless an option names another.
fn named_by_url(global: &GlobalArgs, env: &Env) -> Result<Option<Endpoint>, Failure> {
    let Some(url) = env
        .url
        .as_ref()
        .filter(|_| global.host.is_none() && global.port.is_none())
    else {
        return Ok(None);
    };
    let endpoint = Endpoint::of_url(url)
        .map_err(|error| Failure::usage(error.to_string()).hint("see SERVERLEDGE_URL"))?;
    let tls = endpoint.is_tls() || global.tls || global.ca_file.is_some();
    Ok(Some(endpoint.over_tls(tls)))
}

/// The node by its host and port, and where each came from.
fn named_by_parts(
    global: &GlobalArgs,
    env: &Env,
    warnings: &mut Vec<String>,
) -> Result<(Endpoint, &'static str, String), Failure> {
    let (host, host_from) = match (&global.host, &env.host) {
        (Some(host), _) => (host.as_str(), "--host"),
        (None, Some(host)) => (host.as_str(), "SERVERLEDGE_HOST"),
        (None, None) => (HOST_DEFAULT, "the default"),
    };
    let host = reachable(host);
    let (port, port_from) = match (global.port, &env.port) {
        (Some(port), _) => (port, "--port".to_owned()),
        (None, Some(text)) => (port_variable(text)?, "SERVERLEDGE_PORT".to_owned()),
        (None, None) => configured_port(&env.folders, warnings),
    };
    let endpoint = Endpoint::new(host, port).map_err(|error| {
        Failure::usage(error.to_string()).hint(format!("see {host_from} and {port_from}"))
    })?;
    Ok((
        endpoint.over_tls(over_tls(global, env)?),
        host_from,
        port_from,
    ))
}

/// An address that means "every address" where a node listens, as the one at which this machine asks it.
fn reachable(host: &str) -> &str {
    match host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1",
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "::1",
        _ => host,
    }
}

/// The token that says who asks, and where it came from.
///
/// # Errors
/// A failure if what is given or kept is none, or cannot be read.
pub(crate) fn token(
    global: &GlobalArgs,
    env: &Env,
    endpoint: &Endpoint,
) -> Result<Option<(Token, String)>, Failure> {
    let of_file = |file: &Path| -> Result<_, Failure> {
        let from = file.display().to_string();
        Ok(Some((
            given(&passwords::from_file(file, "the token")?, &from)?,
            from,
        )))
    };
    if let Some(file) = &global.token_file {
        return of_file(file);
    }
    if let Some(token) = &env.token {
        let from = "SERVERLEDGE_TOKEN".to_owned();
        return Ok(Some((given(token.reveal(), &from)?, from)));
    }
    if let Some(file) = &env.token_file {
        return of_file(file);
    }
    let Some(file) = &env.credentials else {
        return Ok(None);
    };
    Ok(file
        .token(endpoint)?
        .map(|token| (token, file.path().display().to_string())))
}

/// Checks a token. The failure says what is wrong with it, and does not show it.
fn given(text: &str, from: &str) -> Result<Token, Failure> {
    Token::parse(text.trim())
        .map_err(|error| Failure::usage(format!("the token of {from} is none: {error}")))
}

/// The first that says something decides. Who names an authority means TLS.
fn over_tls(global: &GlobalArgs, env: &Env) -> Result<bool, Failure> {
    if global.tls || global.ca_file.is_some() {
        return Ok(true);
    }
    let Some(text) = &env.tls else {
        return Ok(env.ca_file.is_some());
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(Failure::usage(format!(
            "SERVERLEDGE_TLS is {text:?}, which is no truth value"
        ))
        .hint("set it to true or false, unset it, or pass --tls")),
    }
}

fn port_variable(text: &str) -> Result<u16, Failure> {
    text.trim().parse().map_err(|_| {
        Failure::usage(format!("SERVERLEDGE_PORT is {text:?}, which is no port"))
            .hint("set it to a number from 1 to 65535, unset it, or pass --port")
    })
}

/// The port in the first configuration file there is; a file that cannot be used is a warning.
fn configured_port(folders: &[PathBuf], warnings: &mut Vec<String>) -> (u16, String) {
    let default = (PORT_DEFAULT, "the default".to_owned());
    let mut candidates = folders.iter().flat_map(|folder| {
        EXTENSIONS
            .iter()
            .map(move |extension| folder.join(format!("serverledge-conf.{extension}")))
    });
    let Some(file) = candidates.find(|file| file.is_file()) else {
        return default;
    };
    match read_port(&file) {
        Ok(Some(port)) => (port, file.display().to_string()),
        Ok(None) => default,
        Err(fault) => {
            let file = file.display();
            warnings.push(format!("configuration file {file} is passed over: {fault}"));
            default
        }
    }
}

fn read_port(file: &Path) -> Result<Option<u16>, String> {
    let bytes = files::read(file, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    let extension = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    parse(&text, extension)?
        .as_ref()
        .and_then(api_port)
        .map(checked_port)
        .transpose()
}

/// Any of the formats as one kind of value; nothing for an empty file.
fn parse(text: &str, extension: &str) -> Result<Option<Value>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value = match extension {
        "toml" => toml::from_str::<toml::Table>(text)
            .map_err(|error| error.message().to_owned())
            .map(to_value)?,
        "json" => serde_json::from_str::<Value>(text)
            .map_err(|error| error.to_string())
            .map(Ok)?,
        _ => serde_yaml_ng::from_str::<serde_yaml_ng::Value>(text)
            .map_err(|error| error.to_string())
            .map(to_value)?,
    };
    value.map(Some)
}

fn to_value(parsed: impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(parsed).map_err(|error| error.to_string())
}

/// `api.port`, nested or dotted, in any case as the node reads it.
fn api_port(config: &Value) -> Option<&Value> {
    member(config, "api.port").or_else(|| member(member(config, "api")?, "port"))
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn checked_port(value: &Value) -> Result<u16, String> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("api.port is {value}, which is no port"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(global: &GlobalArgs, env: &Env, expected: &Expect) {
        let shown = match resolve(global, env) {
            Ok(settings) => std::iter::once(settings.to_string())
                .chain(settings.warnings)
                .collect::<Vec<_>>()
                .join("\n"),
            Err(failure) => failure.render(false),
        };
        let folder = env
            .folders
            .first()
            .map(|folder| format!("{}/", folder.display()))
            .unwrap_or_default();
        expected.assert_eq(&if folder.is_empty() {
            shown
        } else {
            shown.replace(&folder, "")
        });
    }

    #[test]
    fn options_win_over_environment_over_default() {
        let mut env = Env::default();
        check(
            &GlobalArgs::default(),
            &env,
            &expect!["asking http://127.0.0.1:1323 (host from the default, port from the default)"],
        );
        assert!(!resolve(&GlobalArgs::default(), &env).unwrap().is_named);
        env.host = Some("edge".to_owned());
        assert!(resolve(&GlobalArgs::default(), &env).unwrap().is_named);
        env.port = Some("x".to_owned());
        let global = GlobalArgs {
            port: Some(5),
            ..GlobalArgs::default()
        };
        check(
            &global,
            &env,
            &expect!["asking http://edge:5 (host from SERVERLEDGE_HOST, port from --port)"],
        );
        check(
            &GlobalArgs::default(),
            &env,
            &expect![[r#"
            error: SERVERLEDGE_PORT is "x", which is no port
            hint: set it to a number from 1 to 65535, unset it, or pass --port"#]],
        );
        let global = GlobalArgs {
            host: Some("http://a".to_owned()),
            port: Some(1),
            ..GlobalArgs::default()
        };
        check(
            &global,
            &env,
            &expect![[r#"
            error: "http://a" is not a host alone: give a name or an address, and the port apart
            hint: see --host and --port"#]],
        );
    }

    /// People give the client the address that a node is configured to listen on.
    #[test]
    fn the_address_of_all_addresses_is_this_machine() {
        for (given, asked) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("[::]", "::1"),
            ("10.0.0.0", "10.0.0.0"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(reachable(given), asked);
            let global = GlobalArgs {
                host: Some(given.to_owned()),
                ..GlobalArgs::default()
            };
            assert!(resolve(&global, &Env::default()).is_ok(), "{given}");
        }
    }

    #[test]
    fn a_url_names_the_node_unless_an_option_does() {
        let url = |url: &str| Env {
            url: Some(url.to_owned()),
            host: Some("b".to_owned()),
            ..Env::default()
        };
        let none = GlobalArgs::default();
        check(
            &none,
            &url("https://a.example/faas"),
            &expect![
                "asking https://a.example:443/faas (host from SERVERLEDGE_URL, port from SERVERLEDGE_URL)"
            ],
        );
        let below = GlobalArgs {
            base_path: Some("/x".to_owned()),
            tls: true,
            ..GlobalArgs::default()
        };
        check(
            &below,
            &url("http://a.example/faas"),
            &expect![
                "asking https://a.example:80/x (host from SERVERLEDGE_URL, port from SERVERLEDGE_URL)"
            ],
        );
        let other = GlobalArgs {
            host: Some("c".to_owned()),
            base_path: Some("x".to_owned()),
            ..GlobalArgs::default()
        };
        check(
            &other,
            &url("https://a.example/faas"),
            &expect!["asking http://c:1323/x (host from --host, port from the default)"],
        );
        check(
            &none,
            &url("a.example"),
            &expect![[r#"
                error: "a.example" is no URL of a node: one looks like https://example.org/faas, without user, ? and #
                hint: see SERVERLEDGE_URL"#]],
        );
    }

    #[test]
    fn the_first_word_about_tls_counts() {
        let tls = |option: bool,
                   option_file: Option<&str>,
                   variable: Option<&str>,
                   variable_file: Option<&str>| {
            let global = GlobalArgs {
                tls: option,
                ca_file: option_file.map(PathBuf::from),
                ..GlobalArgs::default()
            };
            let tls = variable.map(str::to_owned);
            let ca_file = variable_file.map(PathBuf::from);
            let settings = resolve(
                &global,
                &Env {
                    tls,
                    ca_file,
                    ..Env::default()
                },
            )
            .unwrap();
            (
                settings.endpoint.is_tls(),
                settings
                    .ca_file
                    .map(|file| file.display().to_string())
                    .unwrap_or_default(),
            )
        };
        let expected = |tls: bool, file: &str| (tls, file.to_owned());
        assert_eq!(tls(false, None, None, None), expected(false, ""));
        assert_eq!(tls(true, None, None, None), expected(true, ""));
        assert_eq!(
            tls(true, None, Some("false"), Some("v")),
            expected(true, "v")
        );
        assert_eq!(
            tls(false, Some("o"), Some("false"), Some("v")),
            expected(true, "o")
        );
        assert_eq!(tls(false, None, Some("True"), None), expected(true, ""));
        assert_eq!(tls(false, None, Some("0"), Some("v")), expected(false, ""));
        assert_eq!(tls(false, None, None, Some("v")), expected(true, "v"));
        let env = Env {
            tls: Some("maybe".to_owned()),
            ..Env::default()
        };
        check(
            &GlobalArgs::default(),
            &env,
            &expect![[r#"
            error: SERVERLEDGE_TLS is "maybe", which is no truth value
            hint: set it to true or false, unset it, or pass --tls"#]],
        );
    }

    #[test]
    fn the_first_token_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let endpoint = Endpoint::new("127.0.0.1", 1).unwrap();
        let credentials = CredentialsFile::below(folder.path());
        let kept = Secret("slt_kept".to_owned());
        let kept = crate::credentials::Credential {
            token: kept,
            id: "t1".to_owned(),
            email: String::new(),
        };
        credentials.set(&endpoint, Some(kept)).unwrap();
        let mut env = Env {
            credentials: Some(credentials),
            ..Env::default()
        };
        let shown = |global: &GlobalArgs, env: &Env| {
            let read = token(global, env, &endpoint).map_err(|failure| failure.render(false))?;
            Ok::<_, String>(read.map(|(token, _)| token.reveal().to_owned()))
        };
        let none = GlobalArgs::default();
        let other = Endpoint::new("127.0.0.1", 2).unwrap();
        assert_eq!(
            token(&none, &env, &other).unwrap(),
            None,
            "it is sent to its own node only"
        );
        assert_eq!(shown(&none, &env).unwrap().unwrap(), "slt_kept");
        env.token_file = Some(write("variable", "slt_in_file\n"));
        assert_eq!(shown(&none, &env).unwrap().unwrap(), "slt_in_file");
        env.token = Some(Secret("slt_variable".to_owned()));
        assert_eq!(shown(&none, &env).unwrap().unwrap(), "slt_variable");
        let global = GlobalArgs {
            token_file: Some(write("option", "slt_option")),
            ..GlobalArgs::default()
        };
        assert_eq!(shown(&global, &env).unwrap().unwrap(), "slt_option");
        env.token = Some(Secret("hunter2".to_owned()));
        let refused = shown(&none, &env).unwrap_err();
        assert!(
            refused.contains("SERVERLEDGE_TOKEN is none") && !refused.contains("hunter2"),
            "{refused}"
        );
    }

    fn check_file(name: &str, text: &str, expected: &Expect) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let env = Env {
            folders: vec![folder.path().to_owned()],
            ..Env::default()
        };
        check(&GlobalArgs::default(), &env, expected);
    }

    #[test]
    fn configuration_files_are_read_leniently() {
        for (name, text) in [
            (
                "serverledge-conf.toml",
                "[api]\nport = 7\n[other]\nx = 1979-05-27\n",
            ),
            ("serverledge-conf.toml", "\"API.Port\" = \"7\"\n"),
            (
                "serverledge-conf.yaml",
                "api:\n  port: 7\n  ip: 1.2.3.4\n1: odd\n",
            ),
            ("serverledge-conf.yml", "api.port: 7\n"),
            ("serverledge-conf.json", "{\"Api\":{\"Port\":7}}"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
            let env = Env {
                folders: vec![folder.path().to_owned()],
                ..Env::default()
            };
            let settings = resolve(&GlobalArgs::default(), &env).unwrap();
            assert!(
                settings.warnings.is_empty(),
                "{text}: {:?}",
                settings.warnings
            );
            assert_eq!(settings.endpoint.port(), 7, "{text}");
        }
        check_file(
            "serverledge-conf.yaml",
            "",
            &expect![[
                r"asking http://127.0.0.1:1323 (host from the default, port from the default)"
            ]],
        );
    }

    #[test]
    fn malformed_files_are_warnings() {
        check_file(
            "serverledge-conf.toml",
            "[api",
            &expect![[r#"
            asking http://127.0.0.1:1323 (host from the default, port from the default)
            configuration file serverledge-conf.toml is passed over: unclosed table, expected `]`"#]],
        );
        check_file(
            "serverledge-conf.json",
            "{\"api\":{\"port\":70000}}",
            &expect![[r#"
            asking http://127.0.0.1:1323 (host from the default, port from the default)
            configuration file serverledge-conf.json is passed over: api.port is 70000, which is no port"#]],
        );
    }
}
