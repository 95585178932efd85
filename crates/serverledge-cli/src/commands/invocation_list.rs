//! `invocation list`: the latest runs of a node, or of all.

use serverledge_client::{ClientError, WantedRuns};
use serverledge_wire::runs::{RunInfo, RunPage};

use super::run_report;
use super::session::{Session, function_name};
use crate::arguments::RunListArgs;
use crate::failure::{Failure, failed_to};
use crate::{output, progress, text};

/// Most runs in one answer: every node gives so many.
const PAGE_RUNS_MAX: u32 = 1000;

/// Runs the command.
pub(super) async fn list(session: &Session, args: &RunListArgs) -> Result<(), Failure> {
    if let Some(function) = &args.function {
        function_name(function)?;
    }
    let page = progress::during("listing the runs", pages(session, args)).await;
    let page = page.map_err(failed_to("list the runs"))?;
    if session.for_people && page.runs.is_empty() {
        output::warn(&format!(
            "the node has no record of such a run; it keeps them since {}",
            text::time(page.kept_since_unix_ms)
        ));
    } else {
        session.show(&page, |page| table(&page.runs))?;
    }
    if session.for_people {
        for node in &page.unreachable {
            output::note(&format!("{node} did not answer: its runs are missing"));
        }
        if page.next.is_some() {
            output::note("there are more; --limit shows them");
        }
    }
    Ok(())
}

/// As many as are wanted, over as many answers as that takes.
async fn pages(session: &Session, args: &RunListArgs) -> Result<RunPage, ClientError> {
    let status = args.status.join(",");
    let mut wanted = WantedRuns {
        function: args.function.as_deref(),
        status: (!status.is_empty()).then_some(&status),
        trigger: args.trigger.as_deref(),
        since_unix_ms: args.since.map(|moment| moment.unix_ms()),
        until_unix_ms: args.until.map(|moment| moment.unix_ms()),
        limit: Some(args.limit.min(PAGE_RUNS_MAX)),
        cursor: None,
        cluster: args.cluster,
        all: args.all,
    };
    let mut all = session.client.runs(&wanted).await?;
    while let Some(cursor) = all.next.take() {
        let missing = args.limit.saturating_sub(count(&all.runs));
        if missing == 0 {
            all.next = Some(cursor);
            break;
        }
        wanted.limit = Some(missing.min(PAGE_RUNS_MAX));
        let page = session
            .client
            .runs(&WantedRuns {
                cursor: Some(&cursor),
                ..wanted
            })
            .await?;
        // A page that leads to itself has no next one.
        all.next = page.next.filter(|next| *next != cursor);
        all.runs.extend(page.runs);
        for node in page.unreachable {
            if !all.unreachable.contains(&node) {
                all.unreachable.push(node);
            }
        }
    }
    Ok(all)
}

fn count(runs: &[RunInfo]) -> u32 {
    u32::try_from(runs.len()).unwrap_or(u32::MAX)
}

fn table(runs: &[RunInfo]) -> String {
    let head = [
        "TIME",
        "ID",
        "FUNCTION",
        "TRIGGER",
        "STATUS",
        "TOTAL",
        "QUEUE",
        "START",
        "EXECUTION",
        "WARM",
        "CACHE",
        "RAN ON",
    ];
    text::listing(head, runs.iter().map(row))
}

fn row(run: &RunInfo) -> [String; 12] {
    [
        text::time(run.started_unix_ms),
        text::one_line(&run.id),
        run_report::function(run),
        text::one_line(&run.trigger),
        run_report::status(run),
        text::micros(run.total_us),
        text::micros(run.queue_us),
        text::micros(run.start_us),
        text::micros(run.execution_us),
        run_report::warm(run).to_owned(),
        text::one_line(&run.cache),
        text::one_line(&run.ran_on),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn runs_are_rows() {
        let run: RunInfo = serde_json::from_str(
            r#"{"id":"01890000-0000-7000-8000-00000000000a","function":"f","version":"0123","trigger":"invoke",
            "status":"completed","started_unix_ms":1772323200000,"queue_us":200,"start_us":0,"execution_us":1500,
            "total_us":1820,"warm":true,"cache":"run","node":"ROME/n1","ran_on":"ROME/n1","params_bytes":1,"result_bytes":2,
            "root":"r","depth":0,"trace_id":"t","span_id":"s"}"#,
        )
        .unwrap();
        let failed = RunInfo {
            app: Some("shop".to_owned()),
            function: "order".to_owned(),
            status: "failed".to_owned(),
            code: Some("function_trap".to_owned()),
            ran_on: "ROME/n2\u{1b}[2J".to_owned(),
            warm: false,
            start_us: 2_300_000,
            ..run.clone()
        };
        expect![[r#"
            TIME                      ID                                    FUNCTION    TRIGGER  STATUS                  TOTAL   QUEUE   START   EXECUTION  WARM  CACHE  RAN ON
            2026-03-01T00:00:00.000Z  01890000-0000-7000-8000-00000000000a  f           invoke   completed               1.8 ms  200 µs  0 µs    1.5 ms     yes   run    ROME/n1
            2026-03-01T00:00:00.000Z  01890000-0000-7000-8000-00000000000a  shop/order  invoke   failed (function_trap)  1.8 ms  200 µs  2.30 s  1.5 ms     no    run    ROME/n2\u{1b}[2J"#]].assert_eq(&table(&[run, failed]));
    }
}
