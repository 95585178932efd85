//! The limits of a call in a page: time, output and log, and the calls that wait for each other.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::Window;

use super::cases::reactor;
use crate::e2e::Setup;
use crate::support::shop::{Shop, edge, expect, in_every_browser, run};

/// Bytes of output that the node of these tests allows.
const OUTPUT_BYTES_MAX: usize = 4096;
/// Bytes of a log that are kept.
const LOG_BYTES_MAX: usize = 64 << 10;
/// Lines of more than that.
const LOG_LINES: usize = 10_000;
/// Seconds that an endless loop may take.
const TIMEOUT: u64 = 2;
/// The time that the next result may come after that. A busy machine starts a Worker slowly; the benchmark has the
/// strict figure.
const NEXT_RESULT_MAX: Duration = Duration::from_secs(10);
/// A page's clock and its timers may be so far apart.
const CLOCK_APART_MAX: Duration = Duration::from_millis(50);
/// The page waits so long before it looks whether a core is busy, and looks for so long.
const SETTLED_MS: u64 = 3000;
const LOOK_MS: u64 = 1000;
/// The share of a look at most which a thread of a quiet browser wants. A loop wants all.
const QUIET_SHARE_MAX: f64 = 0.5;
/// Looks that a browser may need until one finds it quiet: it may have work of its own, but a loop is in all of them.
const LOOKS_MAX: usize = 5;

/// One digit as the result, and no end with more.
const EITHER: &str = "(if (i32.gt_u (local.get $len) (i32.const 1)) (then (loop (br 0))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.const 1))";
const LONG: &str = "module.exports = ({ n }) => 'x'.repeat(n);";
const LOGS: &str =
    "module.exports = ({ n }) => { for (let i = 0; i < n; i++) console.error('line ' + i); };";

#[test]
fn an_endless_loop_ends_in_every_browser_and_leaves_no_core_busy() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let short = edge(json!({ "Timeout": TIMEOUT }));
    shop.deploy("either", &reactor(EITHER), &short)?;
    shop.start()?;
    in_every_browser(&format!("{}/docs/", shop.origin()), |window| {
        shop.connect(window)?;
        // The module is there, so that only the limit and the next Worker take time.
        expect("before", run(window, "either", "0")?, "0")?;
        let script = "(async () => { \
            const began = performance.now(); \
            const first = await app.run('either', 'ever').catch((error) => error.code); \
            const next = await app.run('either', 1); \
            return [first, next, performance.now() - began]; })()";
        let outcome = window.run(script)?;
        let took = Duration::from_secs_f64(outcome[2].as_f64().context("a time")? / 1000.0);
        expect("the loop", outcome[0].clone(), "function_timeout")?;
        expect("the next", outcome[1].clone(), 1)?;
        let limit = Duration::from_secs(TIMEOUT);
        ensure!(
            (limit - CLOCK_APART_MAX..limit + NEXT_RESULT_MAX).contains(&took),
            "the next result came after {took:?}"
        );
        becomes_quiet(window)
    })
}

/// Fails unless every thread of the browser leaves its core alone for a while. The time that a thread waits for a
/// processor counts as well, so that a loop shows on a busy machine too; a page at rest wants next to nothing.
pub(super) fn becomes_quiet(window: &mut dyn Window) -> Result<()> {
    rest(window, SETTLED_MS)?;
    let mut shares = Vec::new();
    for _ in 0..LOOKS_MAX {
        let (began, before) = (now(), window.thread_times()?);
        rest(window, LOOK_MS)?;
        let took = began.elapsed().as_secs_f64();
        let after = window.thread_times()?;
        let wanted = after.iter().filter_map(|(thread, time)| {
            Some(time.saturating_sub(*before.get(thread)?).as_secs_f64() / took)
        });
        let share = wanted.fold(0.0, f64::max);
        if share < QUIET_SHARE_MAX {
            return Ok(());
        }
        shares.push(share);
    }
    bail!("a core is busy: a thread of the browser wanted {shares:.2?} of one")
}

/// Nothing is asked of the page meanwhile.
fn rest(window: &mut dyn Window, milliseconds: u64) -> Result<()> {
    let script = format!("new Promise((done) => setTimeout(done, {milliseconds}))");
    window.run(&script).map(drop)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time that threads want is compared with real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn calls_wait_for_each_other_and_end_when_the_page_says_so() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    for (name, timeout) in [("either", TIMEOUT), ("quick", 5)] {
        let more = edge(json!({ "Timeout": timeout }));
        shop.deploy(name, &reactor(EITHER), &more)?;
    }
    shop.start()?;
    in_every_browser(&format!("{}/docs/", shop.origin()), |window| {
        shop.connect(window)?;
        // The modules are there, so that calls begin in the order in which they are made.
        for name in ["either", "quick"] {
            expect(name, run(window, name, "0")?, "0")?;
        }
        // The wait for others is no part of a call's own time.
        let script = "(async () => { \
            const ended = []; \
            const note = (promise) => promise.catch((error) => error.code).then((outcome) => ended.push(outcome)); \
            await Promise.all([app.run('either', 'ever'), app.run('quick', 1), app.run('quick', 2)].map(note)); \
            return ended; })()";
        expect(
            "in a queue",
            window.run(script)?,
            json!(["function_timeout", 1, 2]),
        )?;
        // The call that runs and those that wait end at once, and not with their limit. The pause only lets the first
        // begin.
        let script = "(async () => { \
            const code = (call) => call.catch((error) => error.code); \
            const calls = [code(app.run('either', 'ever')), code(app.run('quick', 1))]; \
            await new Promise((done) => setTimeout(done, 100)); \
            app.close(); \
            return [...await Promise.all(calls), await app.run('quick', 3)]; })()";
        expect(
            "closed",
            window.run(script)?,
            json!(["cancelled", "cancelled", 3]),
        )?;
        // One whose module is still being fetched ends as well.
        let script = "edge.connect(app.base).then((other) => { \
            const call = other.run('quick', 1).catch((error) => error.code); \
            other.close(); \
            return call; })";
        expect("closed before it began", window.run(script)?, "cancelled")
    })
}

#[test]
fn output_and_log_have_the_limits_of_the_node() -> Result<()> {
    let setup = Setup::new()?.with("function.output_bytes_max", OUTPUT_BYTES_MAX);
    let shop = Shop::new(setup, "any")?;
    let javascript = edge(json!({"Runtime": "javascript"}));
    shop.deploy("long", LONG.as_bytes(), &javascript)?;
    shop.deploy("logs", LOGS.as_bytes(), &javascript)?;
    shop.start()?;
    // The result has two quotes around it.
    let fits = json!({"n": OUTPUT_BYTES_MAX - 2}).to_string();
    let exceeds = json!({"n": OUTPUT_BYTES_MAX - 1}).to_string();
    let longest = shop.run("long", &fits)?;
    assert_eq!(longest.len(), OUTPUT_BYTES_MAX);
    assert_eq!(shop.run("long", &exceeds)?, "function_output_too_large");
    let lines: String = (0..LOG_LINES).map(|i| format!("line {i}\n")).collect();
    let tail = &lines[lines.len() - LOG_BYTES_MAX..];
    in_every_browser(&format!("{}/docs/", shop.origin()), |window| {
        shop.connect(window)?;
        expect("the longest", run(window, "long", &fits)?, longest.as_str())?;
        expect(
            "longer",
            run(window, "long", &exceeds)?,
            "function_output_too_large",
        )?;
        let script = format!(
            "app.run('logs', {{ n: {LOG_LINES} }}).then(() => app.run('logs', {{ n: 1 }})).then(() => logs)"
        );
        let logs = window.run(&script)?;
        expect(
            "the short log",
            logs[1].clone(),
            json!(["logs", "line 0\n"]),
        )?;
        ensure!(logs[0][1] == tail, "the long log: {}", ends_of(&logs[0][1]));
        ensure!(
            logs.as_array().is_some_and(|logs| logs.len() == 2),
            "more logs"
        );
        Ok(())
    })
}

/// Length and both ends of a text.
fn ends_of(text: &Value) -> String {
    let text: Vec<char> = text.as_str().unwrap_or_default().chars().collect();
    let part = |range: &[char]| range.iter().collect::<String>();
    let shown = text.len().min(20);
    format!(
        "{} characters, {:?} … {:?}",
        text.len(),
        part(&text[..shown]),
        part(&text[text.len() - shown..])
    )
}
