//! `top`: the node's load and its functions' figures, once or as they change.

mod keys;
mod state;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use serverledge_client::{
    ClientError, EventStream, EventUpdate, NodeEvent, WantedEvents, WantedRuns, WantedStats,
};
use serverledge_wire::events::{LoadEvent, kind};
use serverledge_wire::runs::{RunInfo, Stats};
use serverledge_wire::status::StatusInformation;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::keys::{Keys, TopKey};
use self::state::{Refreshed, TopState};
use self::terminal::LiveTerminal;
use super::session::Session;
use crate::arguments::TopArgs;
use crate::exit::Exit;
use crate::failure::{Failure, failed_to};
use crate::{output, progress};

/// Time between two requests for the figures.
const STEP: Duration = Duration::from_secs(1);
/// Longest wait for figures before the node counts as lost; the next request may take as long again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest wait for the load, which is sent each second to those who may see it.
const LOAD_PATIENCE: Duration = Duration::from_millis(2_500);
/// Runs that are asked for: more than any screen shows below the functions.
const RUNS: u32 = 20;

type PendingRefresh<'a> =
    Pin<Box<dyn Future<Output = Result<Refreshed, Option<ClientError>>> + 'a>>;

/// One look at a node, as JSON.
#[derive(Serialize)]
struct TopSnapshot<'a> {
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a StatusInformation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<&'a LoadEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<&'a Stats>,
    runs: &'a [RunInfo],
}

/// Runs the command.
pub(super) async fn top(session: &Session, args: &TopArgs) -> Result<(), Failure> {
    let is_live = !args.once && !session.json && output::is_terminal();
    if is_live && std::io::stdin().is_terminal() {
        live(session, args.all).await
    } else {
        once(session, args.all).await
    }
}

// === once ===

async fn once(session: &Session, all: bool) -> Result<(), Failure> {
    let mut state = TopState::default();
    let load = async { Ok(first_load(session, all).await) };
    let both = async { tokio::try_join!(refresh(session, all, false), load) };
    let answers = progress::during("asking for the figures", both).await;
    let (refreshed, load) = answers.map_err(failed_to("get the figures"))?;
    state.refreshed(refreshed);
    state.load = load;
    if !session.json {
        return output::result(&view::once(&state).join("\n"));
    }
    session.show(
        &TopSnapshot {
            node: state.node_name(),
            status: state.status.as_ref(),
            load: state.load.as_ref(),
            stats: state.stats.as_ref(),
            runs: &state.runs,
        },
        |_| String::new(),
    )
}

/// The load, if the node shows it to the caller.
async fn first_load(session: &Session, all: bool) -> Option<LoadEvent> {
    let mut events = events(session, all);
    let first = async {
        loop {
            match events.next().await {
                Ok(EventUpdate::Event(received)) => {
                    if let NodeEvent::Load(load) = received.event {
                        return Some(load);
                    }
                }
                Ok(EventUpdate::Lost { .. }) | Err(_) => return None,
            }
        }
    };
    timeout(LOAD_PATIENCE, first).await.ok().flatten()
}

// === as it changes ===

async fn live(session: &Session, all: bool) -> Result<(), Failure> {
    let unusable = |fault: std::io::Error| {
        Failure::new(
            Exit::Request,
            format!("failed to set the terminal up: {fault}"),
        )
        .hint("--once prints one table")
    };
    let mut signals = TopSignals::new().map_err(unusable)?;
    let mut keys = Keys::read();
    let mut state = TopState::default();
    let mut source = Some(events(session, all));
    let mut pending: Option<PendingRefresh<'_>> = None;
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Gives the terminal back when it is dropped, on every way out.
    let terminal = LiveTerminal::enter().map_err(unusable)?;
    loop {
        let (width, height) = LiveTerminal::size();
        terminal
            .draw(&view::screen(&state, width, height))
            .map_err(unusable)?;
        tokio::select! {
            key = keys.next() => match key {
                Some(TopKey::Quit) | None => return Ok(()),
                Some(key) => state.press(key, view::page(&state, height)),
            },
            signal = signals.next() => if signal == TopSignal::End {
                return Ok(());
            },
            _ = ticks.tick(), if pending.is_none() => {
                let failures = state.failures_only;
                pending = Some(Box::pin(patiently(refresh(session, all, failures))));
            }
            refreshed = settled(&mut pending) => {
                pending = None;
                match refreshed {
                    Ok(refreshed) => state.refreshed(refreshed),
                    Err(Some(error)) if !error.is_passing() => {
                        return Err(Failure::of_call("get the figures", error));
                    }
                    Err(_) => state.is_lost = true,
                }
            }
            update = updated(&mut source) => match update {
                Ok(update) => state.updated(update),
                // The figures are shown without them.
                Err(_) => source = None,
            },
        }
    }
}

/// The answer to the request that is under way; never, if there is none.
async fn settled(
    pending: &mut Option<PendingRefresh<'_>>,
) -> Result<Refreshed, Option<ClientError>> {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// The next event; never, if there are none.
async fn updated(source: &mut Option<EventStream>) -> Result<EventUpdate, ClientError> {
    match source {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

/// `None` as an error: it took too long.
async fn patiently(
    work: impl Future<Output = Result<Refreshed, ClientError>>,
) -> Result<Refreshed, Option<ClientError>> {
    match timeout(PATIENCE, work).await {
        Ok(refreshed) => refreshed.map_err(Some),
        Err(_) => Err(None),
    }
}

fn events(session: &Session, all: bool) -> EventStream {
    session.client.events(WantedEvents {
        kinds: vec![kind::LOAD, kind::PEER],
        function: None,
        all,
    })
}

/// The figures of the functions, the latest runs, and the node's status as far as the caller may see it.
async fn refresh(
    session: &Session,
    all: bool,
    failures_only: bool,
) -> Result<Refreshed, ClientError> {
    let client = &session.client;
    let of_functions = WantedStats {
        function: None,
        all,
    };
    let latest = WantedRuns {
        status: failures_only.then_some("failures"),
        limit: Some(RUNS),
        all,
        ..WantedRuns::default()
    };
    let status = async { Ok(client.status().await.ok()) };
    let (stats, page, status) =
        tokio::try_join!(client.stats(&of_functions), client.runs(&latest), status)?;
    Ok(Refreshed {
        stats,
        runs: page.runs,
        status,
    })
}

/// The signals that matter: the terminal has another size, or the program shall end.
struct TopSignals {
    resized: tokio::signal::unix::Signal,
    interrupted: tokio::signal::unix::Signal,
    terminated: tokio::signal::unix::Signal,
    hung_up: tokio::signal::unix::Signal,
}

#[derive(PartialEq, Eq)]
enum TopSignal {
    Resized,
    End,
}

impl TopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> TopSignal {
        tokio::select! {
            _ = self.resized.recv() => TopSignal::Resized,
            _ = self.interrupted.recv() => TopSignal::End,
            _ = self.terminated.recv() => TopSignal::End,
            _ = self.hung_up.recv() => TopSignal::End,
        }
    }
}
