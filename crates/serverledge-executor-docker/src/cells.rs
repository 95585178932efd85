//! Stem cells: started, hardened containers without code, a few per runtime. A cold start takes one and a new one is
//! started behind it. One that has ended is never given out.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::{CpuMilli, MemoryMib, Runtime};

use crate::agent::Connections;
use crate::container::{Container, Hub};
use crate::launch::launch;
use crate::profile::{Recipe, Share};

/// What a cell may use until it is bound: its function's limits come before the function's code. Wide, so that V8 does
/// not size its heap by it.
const CELL_MEMORY: MemoryMib = MemoryMib::new(1024);
/// Pause after a cell that did not start; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The cells of one runtime.
pub(crate) struct Cells {
    hub: Arc<Hub>,
    runtime: Runtime,
    image: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Vec<Cell>,
    starting: usize,
}

/// A started container without code.
pub(crate) struct Cell {
    pub(crate) container: Container,
    pub(crate) connections: Connections,
}

impl Cells {
    pub(crate) fn new(hub: &Arc<Hub>, runtime: Runtime, image: String) -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::clone(hub),
            runtime,
            image,
            state: Mutex::default(),
        })
    }

    /// A cell that is ready, if there is one. Whoever takes one calls [`Cells::refill`] when its own start is over: starting
    /// another meanwhile would take the processor from it.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Cell> {
        loop {
            // The oldest first: it has had the most time to come to rest.
            let cell = {
                let mut state = self.state.lock();
                if state.ready.is_empty() {
                    None
                } else {
                    Some(state.ready.remove(0))
                }
            };
            let cell = cell?;
            if let Some(exchange) = cell.connections.take(&cell.container).await {
                cell.connections.put_back(exchange);
                return Some(cell);
            }
            tracing::warn!(runtime = %self.runtime, container = cell.container.name, "a stem cell had ended");
        }
    }

    /// Starts as many as are missing, in the background.
    pub(crate) fn refill(self: &Arc<Self>) {
        let mut state = self.state.lock();
        while state.ready.len() + state.starting < self.hub.config.cells
            && !self.hub.stop.is_cancelled()
        {
            state.starting += 1;
            let cells = Arc::clone(self);
            drop(self.hub.tasks.spawn(async move { cells.start_one().await }));
        }
    }

    /// Keeps its place among those that start until it has started one or given up, pauses included: so there are never
    /// more tasks than places, whoever asks how often.
    async fn start_one(self: Arc<Self>) {
        let started = self.start_until_one_is_up().await;
        let mut state = self.state.lock();
        state.starting -= 1;
        state.ready.extend(started);
    }

    /// `None` once the executor is closed. Only a pause is cut off then, never a launch.
    async fn start_until_one_is_up(&self) -> Option<Cell> {
        let mut pause = PAUSE_MIN;
        while !self.hub.stop.is_cancelled() {
            match self.launch_one().await {
                Ok(cell) => return Some(cell),
                Err(error) => {
                    tracing::warn!(runtime = %self.runtime, error = %describe(&error), "failed to start a stem cell; trying again in {pause:?}");
                }
            }
            tokio::select! {
                () = self.hub.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        None
    }

    async fn launch_one(&self) -> Result<Cell, crate::launch::LaunchError> {
        let _permit = self.hub.starts.acquire().await;
        let launched = launch(&self.hub, self.recipe(), &mut Vec::new()).await?;
        Ok(Cell {
            container: launched.container,
            connections: Connections::new(None, launched.calls),
        })
    }

    fn recipe(&self) -> Recipe {
        let config = &self.hub.config;
        let cpu = CpuMilli::new(config.cpus_max.get().max(1000));
        agent_recipe(
            &self.hub,
            "cell",
            &self.image,
            Share {
                memory: CELL_MEMORY,
                cpu,
            },
        )
    }

    /// Gives all of them up.
    pub(crate) fn clear(&self) {
        self.state.lock().ready.clear();
    }

    pub(crate) fn ready(&self) -> usize {
        self.state.lock().ready.len()
    }
}

/// The default profile of a container with an agent.
pub(crate) fn agent_recipe(hub: &Hub, kind: &'static str, image: &str, limits: Share) -> Recipe {
    Recipe {
        image: image.to_owned(),
        node_id: hub.config.node_id.clone(),
        kind,
        limits,
        tmp: hub.config.tmp,
        pids_max: hub.config.pids_max,
        network: "none".to_owned(),
        dns: Vec::new(),
        mounts: Vec::new(),
        agent: true,
        env: Vec::new(),
        command: None,
        user: None,
    }
}

/// An error with its causes, for the log.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
