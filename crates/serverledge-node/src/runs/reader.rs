//! The service that answers questions about runs and events, here and over all nodes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serverledge_api::{EventFeed, EventFilter, RunRecords, RunScope};
use serverledge_client::{PeerClient, PeerError};
use serverledge_core::{Function, InvocationId, RunStatus, SpaceId, Trigger};
use serverledge_scheduler::PoolKey;
use serverledge_wire::records::NodeRecord;
use serverledge_wire::runs::{
    FunctionStats, InvocationQuestion, InvocationTraces, NodeStats, NodeStatsPoint, RunFilter,
    RunInfo, RunPage, RunPosition, RunsQuestion, SandboxInfo, Sandboxes, Stats, StatsPoint,
};
use serverledge_wire::stream::LogLine;
use serverledge_wire::time::rfc3339;

use super::record::Run;
use super::series::{FUNCTION_STEPS, FunctionSeries, STEP_MS, SeriesStep, sum};
use super::shown::{run_info, shown_name};
use crate::clock::unix_ms;
use crate::cluster::Cluster;
use crate::cluster::membership::Membership;
use crate::cluster::peers::Contact;
use crate::events::feed::Feed;
use crate::functions::resources::FunctionResources;
use crate::functions::spaces::Spaces;
use crate::program::foundation::Foundation;

/// Longest wait for another node's answer: who asks wants to see the others meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Most nodes that are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// Length of the time over which the rate of calls is taken.
const RATE_WINDOW_MS: u64 = 60_000;
/// Most runs of one answer, whatever was asked for.
const LIMIT_MAX: usize = 1000;
/// Most lines of an invocation's log that one node answers.
const LOG_LINES_MAX: usize = 2000;

/// The service for runs and events.
pub(crate) struct RunReader {
    /// This node, as `area/name`.
    node: String,
    resources: FunctionResources,
    spaces: Arc<dyn Spaces>,
    membership: Arc<Membership>,
    cluster: Arc<Cluster>,
}

impl RunReader {
    pub(crate) fn new(base: Foundation) -> Self {
        Self {
            node: format!("{}/{}", base.identity.area, base.identity.node),
            resources: base.resources,
            spaces: base.reach,
            membership: base.membership,
            cluster: base.cluster,
        }
    }
}

#[async_trait]
impl RunRecords for RunReader {
    async fn runs(&self, scope: &RunScope, filter: RunFilter, cluster: bool) -> RunPage {
        let question = RunsQuestion {
            spaces: scope.spaces(),
            filter,
        };
        let own = self.own_runs(&question);
        if !cluster {
            return own;
        }
        let asked = &question;
        let (answers, unreachable) = self
            .ask_others(|client, contact| async move {
                client.runs(&contact.target, asked, ANSWER_MAX).await
            })
            .await;
        merged(own, answers, unreachable, question.filter.limit)
    }

    async fn invocation(&self, scope: &RunScope, id: InvocationId, log: bool) -> InvocationTraces {
        let question = InvocationQuestion {
            spaces: scope.spaces(),
            id: id.to_string(),
            log,
        };
        let mut traces = self.own_invocation(&question);
        let asked = &question;
        let (answers, _) = self
            .ask_others(|client, contact| async move {
                client
                    .invocation_traces(&contact.target, asked, ANSWER_MAX)
                    .await
            })
            .await;
        for answer in answers {
            // The node that offloaded a call has its log as well, with its own times.
            let is_known = answer.runs.iter().all(|run| {
                let offloaded =
                    |known: &RunInfo| known.ran_on == run.node && known.node != run.node;
                run.trigger == Trigger::Peer.name() && traces.runs.iter().any(offloaded)
            });
            let is_new = answer.runs.is_empty() || !is_known;
            traces.log.extend(answer.log.into_iter().filter(|_| is_new));
            traces.runs.extend(answer.runs);
        }
        traces.runs.sort_by_key(|run| run.started_unix_ms);
        traces.log.sort_by(|one, other| one.time.cmp(&other.time));
        traces
    }

    fn own_runs(&self, question: &RunsQuestion) -> RunPage {
        let scope = RunScope::of_spaces(question.spaces.as_deref());
        let filter = &question.filter;
        let limit = filter.limit.clamp(1, LIMIT_MAX);
        let (kept, kept_since_unix_ms) = self.resources.runs.kept();
        let mut runs: Vec<Arc<Run>> = kept
            .into_iter()
            .filter(|run| scope.has(&run.function.space) && takes(filter, run))
            .collect();
        runs.sort_unstable_by_key(|run| Reverse(order(run)));
        let has_more = runs.len() > limit;
        runs.truncate(limit);
        let runs: Vec<RunInfo> = runs
            .iter()
            .map(|run| run_info(run, &self.node, &*self.spaces))
            .collect();
        RunPage {
            next: next(&runs, has_more),
            runs,
            kept_since_unix_ms,
            unreachable: Vec::new(),
        }
    }

    fn own_invocation(&self, question: &InvocationQuestion) -> InvocationTraces {
        let Some(id) = InvocationId::parse(&question.id) else {
            return InvocationTraces::default();
        };
        let scope = RunScope::of_spaces(question.spaces.as_deref());
        let mut runs = self.resources.runs.of_invocation(id);
        runs.retain(|run| scope.has(&run.function.space));
        runs.sort_by_key(|run| run.started_unix_ms);
        let log = if question.log {
            self.log_of(&scope, id, &runs)
        } else {
            Vec::new()
        };
        InvocationTraces {
            runs: runs
                .iter()
                .map(|run| run_info(run, &self.node, &*self.spaces))
                .collect(),
            log,
        }
    }

    fn stats(&self, scope: &RunScope, function: Option<&str>) -> Stats {
        let mut functions = Vec::new();
        // Functions of one name, of several applications, count together.
        let mut points = BTreeMap::new();
        for ((space, name), series) in self.resources.runs.series().all() {
            if scope.has(&space) && function.is_none_or(|wanted| wanted == name.as_str()) {
                let steps = series.last(STEP_MS * FUNCTION_STEPS as u64);
                for step in steps.iter().filter(|_| function.is_some()) {
                    let sum = points.entry(step.unix_ms());
                    sum.and_modify(|sum: &mut SeriesStep| sum.add(step))
                        .or_insert_with(|| step.clone());
                }
                if !steps.is_empty() || function.is_some() {
                    functions.push(self.stats_of(&space, name.as_str(), &series, &steps));
                }
            }
        }
        functions
            .sort_by(|one, other| (&one.app, &one.function).cmp(&(&other.app, &other.function)));
        Stats {
            step_ms: STEP_MS,
            window_ms: STEP_MS * FUNCTION_STEPS as u64,
            unix_ms: unix_ms(),
            functions,
            points: function.map(|_| points.values().map(point).collect()),
        }
    }

    fn node_stats(&self) -> NodeStats {
        let points = self.resources.runs.series().node();
        NodeStats {
            step_ms: STEP_MS,
            points: points.iter().map(node_point).collect(),
        }
    }

    fn sandboxes(&self) -> Sandboxes {
        let known: HashMap<PoolKey, Arc<Function>> = self
            .resources
            .functions
            .entries()
            .into_iter()
            .flat_map(|entry| [entry.earlier(), Some(entry)])
            .flatten()
            .filter_map(|entry| Some((entry.pooled?.key, Arc::clone(&entry.function))))
            .collect();
        let sandboxes = self.resources.admissions.pooled().into_iter().map(|one| {
            let function = known.get(&one.key).cloned();
            let name = |function: &Arc<Function>| function.name.to_string();
            SandboxInfo {
                function: function.as_ref().map(name).unwrap_or_default(),
                app: function
                    .as_ref()
                    .and_then(|function| self.spaces.application(&function.space)),
                runtime: function
                    .map(|function| function.version.runtime.to_string())
                    .unwrap_or_default(),
                state: one.state.to_owned(),
                age_ms: serverledge_core::whole_millis(one.age),
                memory_mib: one.memory.get(),
            }
        });
        Sandboxes {
            sandboxes: sandboxes.collect(),
        }
    }

    fn events(&self, filter: EventFilter) -> Box<dyn EventFeed> {
        Box::new(Feed::new(
            &self.resources.events,
            filter,
            self.node.clone(),
            Arc::clone(&self.spaces),
        ))
    }
}

impl RunReader {
    fn stats_of(
        &self,
        space: &SpaceId,
        name: &str,
        series: &FunctionSeries,
        steps: &[SeriesStep],
    ) -> FunctionStats {
        FunctionStats {
            function: name.to_owned(),
            app: self.spaces.application(space),
            per_second: series.rate(RATE_WINDOW_MS),
            figures: sum(steps),
        }
    }

    /// The lines of an invocation: of the functions that its records name, or of all where there is no record any more.
    fn log_of(&self, scope: &RunScope, id: InvocationId, runs: &[Arc<Run>]) -> Vec<LogLine> {
        let functions = self.resources.functions.all();
        let named = functions.iter().filter(|function| {
            scope.has(&function.space)
                && (runs.is_empty()
                    || runs.iter().any(|run| {
                        run.function.space == function.space && run.function.name == function.name
                    }))
        });
        let mut lines = Vec::new();
        for function in named {
            for entry in self.resources.logs.of_invocation(function, id) {
                let text = String::from_utf8_lossy(&entry.text);
                lines.extend(text.lines().map(|line| LogLine {
                    time: rfc3339(entry.time_unix_ms),
                    invocation: id.to_string(),
                    failed: entry.failed,
                    text: Some(line.to_owned()),
                    skipped: None,
                }));
            }
        }
        let surplus = lines.len().saturating_sub(LOG_LINES_MAX);
        lines.drain(..surplus);
        lines
    }

    /// Asks all other nodes. Returns the answers, and the names of those that gave none.
    async fn ask_others<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a PeerClient, Contact) -> F,
    ) -> (Vec<T>, Vec<String>)
    where
        F: Future<Output = Result<T, PeerError>> + Send,
        T: Send,
    {
        let others = self.membership.others();
        let mut unreachable = Vec::new();
        let mut asked = Vec::new();
        for known in others
            .iter()
            .filter(|known| known.record.kind == NodeRecord::NODE)
        {
            let name = format!("{}/{}", known.area, known.node);
            let contact = self.cluster.peers.contact_of(&known.area, &known.node);
            match (&self.cluster.client, contact) {
                (Some(client), Some(contact)) => {
                    let answer = ask(client, contact);
                    asked.push(async move { (name, answer.await) });
                }
                _ => unreachable.push(name),
            }
        }
        let answered: Vec<_> = stream::iter(asked)
            .buffer_unordered(ASKED_AT_ONCE)
            .collect()
            .await;
        let mut answers = Vec::new();
        for (name, answer) in answered {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(_) => unreachable.push(name),
            }
        }
        unreachable.sort();
        (answers, unreachable)
    }
}

/// The place of a run in the order of all: the time of its arrival, then its id.
fn order(run: &Run) -> (u64, InvocationId) {
    (run.started_unix_ms, run.id)
}

fn takes(filter: &RunFilter, run: &Run) -> bool {
    let status = |name: &String| RunStatus::from_name(name) == Some(run.status);
    let after = |position: &RunPosition| {
        (run.started_unix_ms, run.id.to_string().as_str())
            < (position.unix_ms, position.id.as_str())
    };
    filter
        .function
        .as_deref()
        .is_none_or(|name| name == shown_name(run))
        && (filter.statuses.is_empty() || filter.statuses.iter().any(status))
        && filter
            .trigger
            .as_deref()
            .is_none_or(|name| Trigger::from_name(name) == Some(run.origin.trigger))
        && filter
            .since_unix_ms
            .is_none_or(|since| run.started_unix_ms >= since)
        && filter
            .until_unix_ms
            .is_none_or(|until| run.started_unix_ms <= until)
        && filter.after.as_ref().is_none_or(after)
}

/// The cursor behind a page.
fn next(runs: &[RunInfo], has_more: bool) -> Option<String> {
    let last = runs.last().filter(|_| has_more)?;
    Some(RunPosition::of(last).to_string())
}

/// One page of several nodes' pages. Of an offloaded call, the record of the node that was asked stays: it has the whole
/// time, and says which node ran it.
fn merged(own: RunPage, others: Vec<RunPage>, unreachable: Vec<String>, limit: usize) -> RunPage {
    let pages = || std::iter::once(&own).chain(&others);
    // What is older than the end of a page that goes on is not complete.
    let complete_until = pages()
        .filter(|page| page.next.is_some())
        .filter_map(|page| page.runs.last())
        .map(RunPosition::of)
        .max();
    let kept_since_unix_ms = pages()
        .map(|page| page.kept_since_unix_ms)
        .max()
        .unwrap_or_default();
    let mut runs: Vec<RunInfo> = std::iter::once(own.runs)
        .chain(others.into_iter().map(|page| page.runs))
        .flatten()
        .collect();
    runs.retain(|run| {
        complete_until
            .as_ref()
            .is_none_or(|end| RunPosition::of(run) >= *end)
    });
    let is_peers = |run: &RunInfo| run.trigger == Trigger::Peer.name();
    let asked: HashSet<String> = runs
        .iter()
        .filter(|run| !is_peers(run))
        .map(|run| run.id.clone())
        .collect();
    runs.retain(|run| !is_peers(run) || !asked.contains(&run.id));
    runs.sort_by_key(|run| Reverse(RunPosition::of(run)));
    let next = if runs.len() > limit {
        runs.truncate(limit);
        next(&runs, true)
    } else {
        // Behind the last record that was read, which may be one of those left out.
        complete_until.map(|end| end.to_string())
    };
    RunPage {
        next,
        runs,
        kept_since_unix_ms,
        unreachable,
    }
}

fn point(step: &SeriesStep) -> StatsPoint {
    StatsPoint {
        unix_ms: step.unix_ms(),
        figures: step.figures(),
    }
}

fn node_point(step: &SeriesStep) -> NodeStatsPoint {
    let gauges = step.gauges();
    NodeStatsPoint {
        unix_ms: step.unix_ms(),
        figures: step.figures(),
        running: gauges.running,
        waiting: gauges.waiting,
        memory_used_mib: gauges.memory_used_mib,
        cpu_used_milli: gauges.cpu_used_milli,
    }
}
