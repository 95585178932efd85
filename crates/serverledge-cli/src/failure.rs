//! Error messages of the program: the thing, the cause, the way out.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::ErrorKind;
use std::time::Duration;

use serverledge_client::ClientError;
use serverledge_wire::problem::Problem;

use crate::exit::Exit;
use crate::{json, text};

/// A failure with everything that is to be shown of it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    sections: Vec<(&'static str, String)>,
    hint: Option<String>,
    problem: Option<Box<Problem>>,
}

impl Failure {
    /// A failure without more to say than its message.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            sections: Vec::new(),
            hint: None,
            problem: None,
        }
    }

    /// A fault of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds the way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint to the failure of an unknown function: the application, or the caller whose space was searched.
    pub(crate) fn unknown_to(self, app: Option<&str>, who: Option<&str>) -> Self {
        let is_unknown =
            |problem: &Problem| problem.status == 404 && problem.code == "function_unknown";
        if !self.problem.as_deref().is_some_and(is_unknown) {
            return self;
        }
        match (app, who) {
            (Some(app), _) => {
                self.hint(format!("`serverledge-cli --app {app} list` shows what is deployed in that application"))
            }
            (None, Some(who)) => self.hint(format!(
                "you act as {who}, in your own space: `serverledge-cli list` shows what is deployed there"
            )),
            (None, None) => self,
        }
    }

    /// Adds the way out of refusals with one of these codes.
    pub(crate) fn hint_for(self, codes: &[&str], hint: impl Into<String>) -> Self {
        let is_one = self
            .problem
            .as_deref()
            .is_some_and(|problem| codes.contains(&problem.code.as_str()));
        if is_one { self.hint(hint) } else { self }
    }

    /// Adds the way out of a refusal of this member of a function.
    pub(crate) fn hint_for_member(self, member: &str, hint: impl Into<String>) -> Self {
        let begin = format!("invalid {member}: ");
        let is_one = self.problem.as_deref().is_some_and(|problem| {
            problem.code == "invalid_member" && problem.detail.starts_with(&begin)
        });
        if is_one { self.hint(hint) } else { self }
    }

    /// The same failure in other words; a problem document stays as it is.
    pub(crate) fn told(self, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }

    /// Adds a longer text under a title, unless it is empty.
    pub(crate) fn section(mut self, title: &'static str, text: &str) -> Self {
        if !text.trim().is_empty() {
            self.sections.push((title, text.to_owned()));
        }
        self
    }

    /// The exit code that it leads to.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Renders the text for stderr; with `json`, a node's problem document as it is.
    pub(crate) fn render(&self, json: bool) -> String {
        if let Some(problem) = self.problem.as_deref().filter(|_| json) {
            return json::tabbed(problem);
        }
        let mut shown = format!("error: {}", text::one_line(&self.message));
        for (title, section) in &self.sections {
            let _ = write!(shown, "\n{title}:");
            for line in section.trim_end().lines() {
                let _ = write!(shown, "\n  {}", text::one_line(line));
            }
        }
        if let Some(hint) = &self.hint {
            let _ = write!(shown, "\nhint: {hint}");
        }
        shown
    }

    /// The failure of a call to the node; `action` follows "failed to".
    pub(crate) fn of_call(action: &str, error: ClientError) -> Self {
        let is_failure = error.is_function_failure();
        let is_overload = error.is_overload();
        let is_dependency = error.is_dependency();
        match error {
            ClientError::Problem { problem, .. } if is_failure => {
                Self::of_function(action, problem)
            }
            ClientError::Problem {
                status,
                problem,
                retry_after,
            } => {
                let exit = match problem.code.as_str() {
                    _ if is_overload => Exit::Overload,
                    "invocation_not_finished" => Exit::Pending,
                    _ => Exit::Request,
                };
                let hint = match is_dependency {
                    true => Some(
                        "something that the node needs is away; try again when it is back"
                            .to_owned(),
                    ),
                    false => problem_hint(status, &problem, is_overload, retry_after),
                };
                let hint = match problem.code.as_str() {
                    "load_failed" => hint.or_else(|| missing_package(&problem_texts(&problem))),
                    _ => hint,
                };
                let (words, rest) = problem_words(status, &problem);
                let failure =
                    Self::new(exit, format!("failed to {action}: {words}")).section("output", rest);
                Self {
                    hint,
                    problem: Some(problem),
                    ..failure
                }
            }
            other => Self::of_transport(action, &other),
        }
    }

    fn of_function(action: &str, problem: Box<Problem>) -> Self {
        let message = format!(
            "failed to {action}: the function failed: {} ({})",
            problem.detail, problem.code
        );
        let failure = Self::new(Exit::Function, message)
            .section("stack", &problem.stack)
            .section("log", &problem.output);
        let hint = missing_package(&problem_texts(&problem));
        Self {
            hint,
            problem: Some(problem),
            ..failure
        }
    }

    fn of_transport(action: &str, error: &ClientError) -> Self {
        if let Some(failure) = other_protocol(action, error) {
            return failure;
        }
        let (cause, hint) = match error {
            ClientError::Unreachable { url, source } => (
                format!(
                    "the node is unreachable at {url}: {}",
                    root_cause(source.as_ref())
                ),
                "start one with `serverledge`, or name another with --host and --port",
            ),
            ClientError::Untrusted { url, fault } => (
                format!("the certificate of the node at {url} is not believed: {fault}"),
                "--ca-file names a file with the authority that signed it; --host must be a name of the certificate",
            ),
            ClientError::InClear { url } => {
                let words = format!(
                    "failed to {action}: a token or password would go to {url} where others can read it"
                );
                return Self::usage(words)
                    .hint("--tls asks over TLS; --insecure-token sends it all the same");
            }
            ClientError::Interrupted { url, source } => (
                format!(
                    "the connection broke before {url} had answered: {}",
                    root_cause(source.as_ref())
                ),
                "the request may have taken effect: look before you send it again",
            ),
            ClientError::Timeout { url, after } => (
                format!("{url} did not answer within {} s", after.as_secs_f64()),
                "the request may still take effect: look before you send it again; `invoke --timeout` waits longer, `invoke \
                 --async` does not wait",
            ),
            ClientError::Answer { .. } => (
                format!("failed to {error}"),
                "does a Serverledge node listen there? --host and --port name another",
            ),
            ClientError::Request { fault } => {
                return Self::usage(format!("failed to {action}: {fault}"));
            }
            other => {
                return Self::new(Exit::Request, format!("failed to {action}: {other}"));
            }
        };
        Self::new(Exit::Request, format!("failed to {action}: {cause}")).hint(hint)
    }
}

/// The failures of a call to the node; `action` follows "failed to".
pub(crate) fn failed_to(action: impl Display) -> impl FnOnce(ClientError) -> Failure {
    move |error| Failure::of_call(&action.to_string(), error)
}

/// A node with TLS that is asked without, or the other way round: hyper cannot read a TLS record as an answer, and rustls
/// cannot read an answer as a record.
fn other_protocol(action: &str, error: &ClientError) -> Option<Failure> {
    let (ClientError::Unreachable { url, source } | ClientError::Interrupted { url, source }) =
        error
    else {
        return None;
    };
    let cause = root_cause(source.as_ref());
    let (words, hint) = if url.starts_with("http://") && cause.contains("invalid HTTP version") {
        (
            "does not answer in plain HTTP",
            "--tls asks over TLS, and --ca-file names the authority of its certificate",
        )
    } else if url.starts_with("https://") && cause.contains("InvalidContentType") {
        (
            "does not answer in TLS",
            "leave out --tls; SERVERLEDGE_URL may begin with https as well",
        )
    } else {
        return None;
    };
    Some(
        Failure::new(
            Exit::Request,
            format!("failed to {action}: {url} {words}: {cause}"),
        )
        .hint(hint),
    )
}

/// The node's message on one line, and the text that follows it: the last lines of a tool, for instance.
fn problem_words(status: u16, problem: &Problem) -> (String, &str) {
    let words = if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    };
    let (first, rest) = words.split_once('\n').unwrap_or((words, ""));
    (format!("{} ({status})", first.trim_end_matches(':')), rest)
}

fn problem_texts(problem: &Problem) -> [&str; 3] {
    [&problem.detail, &problem.stack, &problem.output]
}

/// The hint for a function that lacks a package, by the words of Node.js and Python.
fn missing_package(texts: &[&str; 3]) -> Option<String> {
    let after = |mark: &str| {
        texts
            .iter()
            .find_map(|text| Some(text.split_once(mark)?.1.split('\'').next()?.to_owned()))
    };
    let is_package = |name: &String| !name.starts_with(['.', '/']) && !name.is_empty();
    let of_node = ["Cannot find module '", "Cannot find package '"]
        .iter()
        .find_map(|mark| after(mark));
    let (name, list) = match of_node.filter(is_package) {
        Some(name) => (name, "package.json"),
        None => (
            after("No module named '").filter(is_package)?,
            "requirements.txt",
        ),
    };
    let name = text::one_line(&name);
    Some(format!(
        "if {name} is a package: name it in a {list}, in the function's folder or with --deps, and deploy again"
    ))
}

/// Codes of things that are missing and come without anybody's doing.
const COMES_BY_ITSELF: [&str; 5] = [
    "function_not_prepared",
    "function_contended",
    "kv_contended",
    "no_node",
    "credentials_unchecked",
];

fn problem_hint(
    status: u16,
    problem: &Problem,
    is_overload: bool,
    retry_after: Option<Duration>,
) -> Option<String> {
    let words = || format!("{} {}", problem.code, problem.detail).to_ascii_lowercase();
    match (status, retry_after) {
        (_, Some(delay)) if problem.code == "too_many_tries" => {
            Some(format!("try again in {} s", delay.as_secs()))
        }
        (401, _) => Some(
            "`serverledge-cli login` logs in and keeps a token; --token-file sends another"
                .to_owned(),
        ),
        (429, Some(delay)) if problem.code.starts_with("quota_") => Some(format!(
            "your quota is used up, the node is not: try again in {} s",
            delay.as_secs()
        )),
        (_, Some(delay)) if is_overload => Some(format!(
            "the node is busy: try again in {} s",
            delay.as_secs()
        )),
        _ if is_overload => Some("the node is busy: try again later".to_owned()),
        (503, Some(delay)) if COMES_BY_ITSELF.contains(&problem.code.as_str()) => {
            Some(format!("try again in {} s", delay.as_secs()))
        }
        _ if is_missing_route(status, problem) => {
            Some("this node has no such operation: is it an older one?".to_owned())
        }
        (_, Some(delay)) if problem.code == "invocation_not_finished" => Some(format!(
            "the same call with the same key waits for it: try again in {} s",
            delay.as_secs()
        )),
        _ if problem.code == "idempotency_key_reused" => {
            Some("send what was sent with that key first, or choose another key".to_owned())
        }
        (404, _) if words().contains("function") => {
            Some("`serverledge-cli list` shows what is deployed".to_owned())
        }
        (409, _) if matches!(problem.code.as_str(), "" | "function_exists") => {
            Some("`--update` replaces a function of the same name".to_owned())
        }
        (421, _) => {
            Some("name the node as its configuration does (`api.ip`, `api.hosts`)".to_owned())
        }
        _ => None,
    }
}

/// Whether the node knows the route at all; a Go Serverledge says so in Echo's words.
fn is_missing_route(status: u16, problem: &Problem) -> bool {
    problem.code == "route_unknown"
        || status == 404 && problem.code.is_empty() && problem.detail == "Not Found"
}

/// The last cause in the chain, in plain words or the operating system's, without its number.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == ErrorKind::NotFound => "there is no such file".to_owned(),
        Some(io) if io.kind() == ErrorKind::AlreadyExists => "it is there already".to_owned(),
        Some(io) if io.raw_os_error().is_some() => io.kind().to_string(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(error: ClientError, exit: Exit, expected: &Expect) {
        let failure = Failure::of_call("invoke \"f\"", error);
        assert_eq!(failure.exit(), exit);
        expected.assert_eq(&failure.render(false));
    }

    fn problem(status: u16, code: &str, detail: &str, retry_after: Option<u64>) -> ClientError {
        let problem = Problem {
            status,
            code: code.to_owned(),
            detail: detail.to_owned(),
            title: "Title".to_owned(),
            ..Problem::default()
        };
        ClientError::Problem {
            status,
            problem: Box::new(problem),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn refusals_say_the_way_out() {
        check(
            problem(404, "", "Function unknown", None),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": Function unknown (404)
                hint: `serverledge-cli list` shows what is deployed"#]],
        );
        check(
            problem(429, "", "", Some(2)),
            Exit::Overload,
            &expect![[r#"
                error: failed to invoke "f": Title (429)
                hint: the node is busy: try again in 2 s"#]],
        );
        check(
            problem(429, "quota_per_minute", "6000 a minute", Some(2)),
            Exit::Overload,
            &expect![[r#"
                error: failed to invoke "f": 6000 a minute (429)
                hint: your quota is used up, the node is not: try again in 2 s"#]],
        );
        check(
            problem(503, "image_missing", "image a is missing: make it", Some(1)),
            Exit::Request,
            &expect![[r#"error: failed to invoke "f": image a is missing: make it (503)"#]],
        );
        check(
            problem(503, "function_not_prepared", "not yet", Some(1)),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": not yet (503)
                hint: try again in 1 s"#]],
        );
        check(
            problem(503, "draining", "stopping", Some(1)),
            Exit::Overload,
            &expect![[r#"
                error: failed to invoke "f": stopping (503)
                hint: the node is busy: try again in 1 s"#]],
        );
        check(
            problem(503, "exceeds_node", "too large", None),
            Exit::Request,
            &expect![[r#"error: failed to invoke "f": too large (503)"#]],
        );
    }

    #[test]
    fn credentials_lead_to_their_own_ways_out() {
        check(
            problem(401, "credential_invalid", "not valid", None),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": not valid (401)
                hint: `serverledge-cli login` logs in and keeps a token; --token-file sends another"#]],
        );
        check(
            problem(429, "too_many_tries", "too many tries", Some(7)),
            Exit::Overload,
            &expect![[r#"
                error: failed to invoke "f": too many tries (429)
                hint: try again in 7 s"#]],
        );
        check(
            ClientError::InClear {
                url: "http://192.0.2.1:1323".to_owned(),
            },
            Exit::Usage,
            &expect![[r#"
                error: failed to invoke "f": a token or password would go to http://192.0.2.1:1323 where others can read it
                hint: --tls asks over TLS; --insecure-token sends it all the same"#]],
        );
    }

    #[test]
    fn keys_lead_to_their_own_ways_out() {
        check(
            problem(409, "invocation_not_finished", "it still runs", Some(3)),
            Exit::Pending,
            &expect![[r#"
                error: failed to invoke "f": it still runs (409)
                hint: the same call with the same key waits for it: try again in 3 s"#]],
        );
        check(
            problem(422, "idempotency_key_reused", "other payload", None),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": other payload (422)
                hint: send what was sent with that key first, or choose another key"#]],
        );
        check(
            problem(409, "invocation_ended", "it is done", None),
            Exit::Request,
            &expect![[r#"error: failed to invoke "f": it is done (409)"#]],
        );
        check(
            problem(409, "function_exists", "the name is taken", None),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": the name is taken (409)
                hint: `--update` replaces a function of the same name"#]],
        );
    }

    #[test]
    fn unknown_functions_are_looked_for_where_one_acts() {
        let unknown =
            || Failure::of_call("x", problem(404, "function_unknown", "no function", None));
        let hint = |failure: Failure| {
            failure
                .render(false)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            hint(unknown().unknown_to(None, None)),
            "hint: `serverledge-cli list` shows what is deployed"
        );
        let told = hint(unknown().unknown_to(None, Some("ada@example.org")));
        assert!(
            told.starts_with("hint: you act as ada@example.org, in your own space"),
            "{told}"
        );
        let told = hint(unknown().unknown_to(Some("shop"), Some("ada@example.org")));
        assert!(
            told.starts_with("hint: `serverledge-cli --app shop list`"),
            "{told}"
        );
        let other = Failure::of_call("x", problem(404, "version_unknown", "no version", None));
        assert!(
            !other
                .unknown_to(None, Some("ada"))
                .render(false)
                .contains("you act as")
        );
    }

    #[test]
    fn missing_packages_lead_to_their_list() {
        let list = |text: &str| missing_package(&["x", text, ""]);
        assert!(
            list("Error: Cannot find module 'marked'\nRequire stack:")
                .unwrap()
                .contains("package.json")
        );
        assert!(
            list("Cannot find package 'a' imported from /x")
                .unwrap()
                .starts_with("if a is a package")
        );
        assert!(
            list("No module named 'six'")
                .unwrap()
                .contains("requirements.txt")
        );
        assert_eq!(list("Cannot find module './lib.js'"), None);
        assert_eq!(list("boom"), None);
    }

    #[test]
    fn what_an_older_node_lacks_is_told() {
        for (code, detail) in [
            ("route_unknown", "/functions/f/invocations is unknown"),
            ("", "Not Found"),
        ] {
            let failure = Failure::of_call("x", problem(404, code, detail, None)).render(false);
            assert!(
                failure.ends_with("\nhint: this node has no such operation: is it an older one?"),
                "{failure}"
            );
        }
    }

    #[test]
    fn what_was_not_sent_is_usage() {
        let fault = "\"..\" is no invocation's id".to_owned();
        check(
            ClientError::Request { fault },
            Exit::Usage,
            &expect![[r#"error: failed to invoke "f": ".." is no invocation's id"#]],
        );
    }

    #[test]
    fn what_a_tool_said_keeps_its_lines() {
        check(
            problem(
                422,
                "install_failed",
                "pip failed:\nERROR: no six\u{1b}[2J\n  at all\n",
                None,
            ),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": pip failed (422)
                output:
                  ERROR: no six\u{1b}[2J
                    at all"#]],
        );
    }

    #[test]
    fn what_the_node_needs_is_told_from_overload() {
        check(
            problem(503, "docker_unavailable", "no Docker", Some(1)),
            Exit::Request,
            &expect![[r#"
            error: failed to invoke "f": no Docker (503)
            hint: something that the node needs is away; try again when it is back"#]],
        );
    }

    #[test]
    fn failed_functions_show_stack_and_log_without_their_control_characters() {
        let ClientError::Problem {
            status,
            mut problem,
            retry_after,
        } = problem(500, "function_error", "no\u{1b}[2J", None)
        else {
            unreachable!()
        };
        problem.stack = "at a\nat b\n".to_owned();
        problem.output = "line\u{7}".to_owned();
        check(
            ClientError::Problem {
                status,
                problem,
                retry_after,
            },
            Exit::Function,
            &expect![[r#"
                error: failed to invoke "f": the function failed: no\u{1b}[2J (function_error)
                stack:
                  at a
                  at b
                log:
                  line\u{7}"#]],
        );
    }

    #[test]
    fn unreachable_nodes_are_named_with_the_cause() {
        let refused = std::io::Error::from_raw_os_error(111);
        let url = "http://127.0.0.1:1323".to_owned();
        check(
            ClientError::Unreachable {
                url,
                source: Box::new(refused),
            },
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": the node is unreachable at http://127.0.0.1:1323: connection refused
                hint: start one with `serverledge`, or name another with --host and --port"#]],
        );
    }

    #[test]
    fn the_other_protocol_is_named_with_the_option() {
        let broke = |url: &str, cause: &str| ClientError::Interrupted {
            url: url.to_owned(),
            source: cause.into(),
        };
        check(
            broke("http://127.0.0.1:1323", "invalid HTTP version parsed"),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": http://127.0.0.1:1323 does not answer in plain HTTP: invalid HTTP version parsed
                hint: --tls asks over TLS, and --ca-file names the authority of its certificate"#]],
        );
        check(
            broke(
                "https://127.0.0.1:1323",
                "received corrupt message of type InvalidContentType",
            ),
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": https://127.0.0.1:1323 does not answer in TLS: received corrupt message of type InvalidContentType
                hint: leave out --tls; SERVERLEDGE_URL may begin with https as well"#]],
        );
    }

    #[test]
    fn certificates_that_are_not_believed_are_said_to_be() {
        let url = "https://127.0.0.1:1323".to_owned();
        check(
            ClientError::Untrusted {
                url,
                fault: "it has expired".to_owned(),
            },
            Exit::Request,
            &expect![[r#"
                error: failed to invoke "f": the certificate of the node at https://127.0.0.1:1323 is not believed: it has expired
                hint: --ca-file names a file with the authority that signed it; --host must be a name of the certificate"#]],
        );
    }

    #[test]
    fn problems_stay_documents_with_json() {
        let failure = Failure::of_call("x", problem(409, "function_exists", "it exists", None));
        expect![[r#"
            {
            	"type": "",
            	"title": "Title",
            	"status": 409,
            	"code": "function_exists",
            	"detail": "it exists"
            }"#]]
        .assert_eq(&failure.render(true));
    }
}
