//! The state of `top`: the figures that it knows, and the part of them that is looked at.

use serverledge_client::{EventUpdate, NodeEvent};
use serverledge_wire::events::{LoadEvent, PeerEvent};
use serverledge_wire::runs::{FunctionStats, RunInfo, Stats};
use serverledge_wire::status::StatusInformation;

use super::keys::TopKey;

/// The answers of one round of requests.
#[derive(Debug)]
pub(super) struct Refreshed {
    pub(super) stats: Stats,
    pub(super) runs: Vec<RunInfo>,
    pub(super) status: Option<StatusInformation>,
}

/// The figures, and the part of them that is looked at.
#[derive(Debug, Default)]
pub(super) struct TopState {
    pub(super) stats: Option<Stats>,
    pub(super) runs: Vec<RunInfo>,
    pub(super) status: Option<StatusInformation>,
    pub(super) load: Option<LoadEvent>,
    /// The node, as its events name it.
    pub(super) node: Option<String>,
    /// The latest change among the other nodes.
    pub(super) peer: Option<PeerEvent>,
    /// The node does not answer.
    pub(super) is_lost: bool,
    pub(super) is_paused: bool,
    pub(super) failures_only: bool,
    pub(super) sort: SortBy,
    /// Functions above the first that is shown.
    pub(super) scroll: usize,
}

/// The column that functions are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SortBy {
    #[default]
    PerSecond,
    P99,
    Failures,
    Name,
}

impl SortBy {
    /// Its name in the table's head.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::PerSecond => "CALLS/S",
            Self::P99 => "P99",
            Self::Failures => "FAILURES",
            Self::Name => "FUNCTION",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::PerSecond => Self::P99,
            Self::P99 => Self::Failures,
            Self::Failures => Self::Name,
            Self::Name => Self::PerSecond,
        }
    }
}

impl TopState {
    /// The node, as `area/name`; empty if it is not known yet.
    pub(super) fn node_name(&self) -> String {
        let of_status = || {
            let status = self.status.as_ref()?;
            let parts = [&*status.area, &*status.node].map(str::to_owned);
            let known: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            Some(known.join("/"))
        };
        self.node.clone().or_else(of_status).unwrap_or_default()
    }

    /// Takes new figures, unless they are to stand still.
    pub(super) fn refreshed(&mut self, refreshed: Refreshed) {
        self.is_lost = false;
        if self.is_paused {
            return;
        }
        self.stats = Some(refreshed.stats);
        self.runs = refreshed.runs;
        // They may have been asked for before the key was pressed.
        if self.failures_only {
            self.runs.retain(is_failure);
        }
        self.status = refreshed.status.or(self.status.take());
    }

    /// Takes an event, or the loss of the events: what they told last is not true any more.
    pub(super) fn updated(&mut self, update: EventUpdate) {
        match update {
            EventUpdate::Lost { .. } => {
                self.load = None;
                self.peer = None;
            }
            EventUpdate::Event(received) => match received.event {
                NodeEvent::Hello(hello) => self.node = Some(hello.node),
                NodeEvent::Load(load) if !self.is_paused => self.load = Some(load),
                NodeEvent::Peer(peer) => self.peer = Some(peer),
                _ => {}
            },
        }
    }

    /// Takes a key; `page` is the number of functions on the screen.
    pub(super) fn press(&mut self, key: TopKey, page: usize) {
        let last = self.functions().len().saturating_sub(page);
        let from = self.scroll.min(last);
        match key {
            TopKey::Quit => {}
            TopKey::Sort => self.sort = self.sort.next(),
            TopKey::Pause => self.is_paused = !self.is_paused,
            TopKey::Failures => {
                self.failures_only = !self.failures_only;
                self.scroll = 0;
                if self.failures_only {
                    self.runs.retain(is_failure);
                }
            }
            TopKey::Up => self.scroll = from.saturating_sub(1),
            TopKey::Down => self.scroll = (from + 1).min(last),
            TopKey::PageUp => self.scroll = from.saturating_sub(page),
            TopKey::PageDown => self.scroll = (from + page).min(last),
            TopKey::First => self.scroll = 0,
            TopKey::Last => self.scroll = last,
        }
    }

    /// The functions that are shown, in their order.
    pub(super) fn functions(&self) -> Vec<&FunctionStats> {
        let all = self.stats.iter().flat_map(|stats| &stats.functions);
        let wanted = |one: &&FunctionStats| {
            !self.failures_only || one.figures.failures + one.figures.rejected > 0
        };
        let mut functions: Vec<_> = all.filter(wanted).collect();
        functions.sort_by(|a, b| {
            let names = || (&a.app, &a.function).cmp(&(&b.app, &b.function));
            let figures = match self.sort {
                SortBy::PerSecond => b.per_second.total_cmp(&a.per_second),
                SortBy::P99 => b.figures.p99_us.cmp(&a.figures.p99_us),
                SortBy::Failures => b.figures.failures.cmp(&a.figures.failures),
                SortBy::Name => std::cmp::Ordering::Equal,
            };
            figures.then_with(names)
        });
        functions
    }
}

/// Whether a run gave no result.
pub(super) fn is_failure(run: &RunInfo) -> bool {
    run.status != "completed"
}
