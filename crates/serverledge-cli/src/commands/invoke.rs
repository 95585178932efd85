//! `invoke`: run a function, or hand an asynchronous invocation over.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_client::{InvocationBody, InvocationResult, is_function_failure};
use serverledge_wire::invoke::Accepted;

use super::session::{Session, function_name};
use crate::arguments::{ClassArg, InvokeArgs};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::{json, output, params, progress, text};

/// Runs the command.
pub(super) async fn invoke(session: &Session, args: &InvokeArgs) -> Result<(), Failure> {
    let name = function_name(args.function.name()?)?;
    let call = invocation(args)?;
    let key = args.idempotency_key.as_deref();
    let failed = failed_to(format!("invoke {name:?}"));
    if args.is_async() {
        let call = session.client.invoke_async(&name, call, key);
        let told = |accepted: &Accepted| {
            let id = text::one_line(&accepted.req_id);
            format!(
                "accepted as {id}\n{}",
                output::dim(&format!("result: serverledge-cli poll {id} --wait"))
            )
        };
        return session
            .answer(
                &format!("handing over a call of {name}"),
                call,
                failed,
                told,
            )
            .await;
    }
    let call = session.client.invoke(&name, call, key);
    let result = progress::during(&format!("waiting for {name}"), call)
        .await
        .map_err(failed)?;
    show_result(session, &result)
}

/// Shows a finished invocation; one that failed leads to its own exit code. Of such a one people are told why, and no times:
/// there may be none.
pub(super) fn show_result(session: &Session, result: &InvocationResult) -> Result<(), Failure> {
    if result.success || !session.for_people {
        session.show(result, |result| {
            let lines = [value(result), output::dim(&summary(result))];
            lines
                .into_iter()
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        })?;
    }
    if session.for_people && !result.output.trim().is_empty() {
        output::warn(&format!(
            "log:\n{}",
            text::printable(result.output.trim_end())
        ));
    }
    if result.success {
        Ok(())
    } else {
        Err(failed(result))
    }
}

/// The failure of an invocation. Nodes that give no code report failures of functions only.
pub(super) fn failed(result: &InvocationResult) -> Failure {
    let code = result.error_code.as_ref();
    let error = result.error.as_ref();
    let (exit, words) = match code {
        "cancelled" => return Failure::new(Exit::Request, "the invocation was cancelled"),
        "" => (Exit::Function, "the function failed"),
        code if is_function_failure(code) => (Exit::Function, "the function failed"),
        _ => (Exit::Request, "the invocation failed"),
    };
    let why = match (error, code) {
        ("", "") => String::new(),
        ("", code) => format!(" ({code})"),
        (error, "") => format!(": {error}"),
        (error, code) => format!(": {error} ({code})"),
    };
    Failure::new(exit, format!("{words}{why}"))
}

fn invocation(args: &InvokeArgs) -> Result<InvocationBody, Failure> {
    if args.callback.is_some() && !args.is_async() {
        return Err(Failure::usage("--callback is for calls that do not wait").hint("add --async"));
    }
    let params = match &args.params_file {
        Some(file) => params::from_file(file),
        None => params::from_arguments(&args.param, &args.param_string),
    };
    Ok(InvocationBody {
        params: params?,
        qos_class: match args.class {
            ClassArg::Class(class) => class,
            ClassArg::Async => 0,
        },
        qos_max_resp_t: response_time(args.resptime)?,
        can_do_offloading: true,
        r#async: args.is_async(),
        return_output: args.return_output,
        callback: args.callback.clone(),
    })
}

/// Serverledge's -1 means any time; so does 0.
fn response_time(seconds: f64) -> Result<f64, Failure> {
    if seconds <= 0.0 {
        return Ok(-1.0);
    }
    let span = Duration::try_from_secs_f64(seconds);
    span.map(|span| span.as_secs_f64())
        .map_err(|_| Failure::usage(format!("{seconds} is no response time in seconds")))
}

/// The result of a program that is bytes of a type.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResult {
    base64: String,
    #[serde(rename = "type")]
    content_type: String,
}

/// The text that a program wrote, if its type is one of text.
fn written(result: &str) -> Option<String> {
    let raw: RawResult = serde_json::from_str(result).ok()?;
    if !raw.content_type.starts_with("text/") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(raw.base64).ok()?).ok()?;
    Some(text::printable(text.trim_end_matches('\n')))
}

/// The result as readable JSON, or as the text it is.
pub(super) fn value(result: &InvocationResult) -> String {
    if let Some(text) = written(&result.result) {
        return text;
    }
    json::pretty(&result.result).unwrap_or_else(|| text::printable(&result.result))
}

fn summary(result: &InvocationResult) -> String {
    let start = if result.is_warm_start { "warm" } else { "cold" };
    let mut parts = vec![text::seconds(result.response_time), start.to_owned()];
    parts.push(format!("ran {}", text::seconds(result.duration)));
    if result.queueing_time > 0.0 {
        parts.push(format!("queued {}", text::seconds(result.queueing_time)));
    }
    let node = match (
        result.execution_node.as_ref(),
        result.execution_area.as_ref(),
    ) {
        ("", _) => String::new(),
        (node, "") => format!("node {node}"),
        (node, area) => format!("node {node} in {area}"),
    };
    if !node.is_empty() {
        parts.push(text::one_line(&node));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: &str) -> InvocationResult {
        InvocationResult {
            success: true,
            result: value.to_owned().into(),
            response_time: 0.0125,
            is_warm_start: true,
            init_time: 0.0,
            queueing_time: 0.0,
            offload_latency: 0.0,
            duration: 0.000_25,
            output: "".into(),
            execution_area: "ROME".into(),
            execution_node: "n1\u{1b}".into(),
            error: "".into(),
            error_code: "".into(),
        }
    }

    #[test]
    fn results_are_readable_and_tame() {
        assert_eq!(value(&result("{\"a\":1}")), "{\n  \"a\": 1\n}");
        assert_eq!(value(&result("plain\u{1b}[2J")), "plain\\u{1b}[2J");
        // "Hello,\nAda\n"
        let text = r#"{"base64":"SGVsbG8sCkFkYQo=","type":"text/plain; charset=utf-8"}"#;
        assert_eq!(value(&result(text)), "Hello,\nAda");
        for other in [
            r#"{"base64":"SGVsbG8=","type":"image/png"}"#,
            r#"{"base64":"/w==","type":"text/plain"}"#,
            r#"{"base64":"SGVsbG8=","type":"text/plain","more":1}"#,
        ] {
            assert!(value(&result(other)).starts_with("{\n"), "{other}");
        }
        assert_eq!(
            summary(&result("1")),
            "12.5 ms, warm, ran 250 µs, node n1\\u{1b} in ROME"
        );
    }

    #[test]
    fn failures_say_why() {
        let told = |code: &'static str, error: &'static str| {
            let failure = failed(&InvocationResult {
                error_code: code.into(),
                error: error.into(),
                ..result("")
            });
            (failure.exit(), failure.render(false))
        };
        let is = |exit, words: &str| (exit, words.to_owned());
        assert_eq!(
            told("", ""),
            is(Exit::Function, "error: the function failed")
        );
        assert_eq!(
            told("function_error", "no\u{1b}"),
            is(
                Exit::Function,
                "error: the function failed: no\\u{1b} (function_error)"
            )
        );
        assert_eq!(
            told("cancelled", "it was"),
            is(Exit::Request, "error: the invocation was cancelled")
        );
        assert_eq!(
            told("attempts_exhausted", "three died"),
            is(
                Exit::Request,
                "error: the invocation failed: three died (attempts_exhausted)"
            )
        );
    }

    #[test]
    fn response_times_are_positive_or_any() {
        assert!((response_time(-3.0).unwrap() + 1.0).abs() < f64::EPSILON);
        assert!((response_time(0.5).unwrap() - 0.5).abs() < f64::EPSILON);
        assert!(response_time(f64::NAN).is_err() && response_time(f64::INFINITY).is_err());
    }
}
