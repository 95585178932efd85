//! Template containers: started and hardened, without code, a few per runtime, more while a function grows. A cold
//! start takes one and a new one is started behind it. One that has ended is never given out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::{CpuMilli, MemoryMib, Runtime, error_chain};
use tokio::time::Instant;

use crate::container::Hub;
use crate::launch::{LaunchError, ListeningContainer, launch};
use crate::network::Reach;
use crate::profile::{Recipe, Share};
use crate::running_calls::RunningCalls;
use crate::templates_wanted::{COUNTED_FOR, TemplatesWanted};

/// The memory that a template may use until it is bound: its function's limits come before the function's code. Wide, so
/// that V8 does not size its heap by it.
const TEMPLATE_MEMORY: MemoryMib = MemoryMib::new(1024);
/// Pause after a template that did not start; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A start of a template waits until the calls in containers have left a processor free for so long: between two calls
/// of a burst it is free for a moment.
const REST: Duration = Duration::from_millis(100);
/// Longest wait for that.
const REST_AWAITED_MAX: Duration = Duration::from_secs(2);

/// The templates of one runtime.
pub(crate) struct TemplateContainers {
    hub: Arc<Hub>,
    pub(crate) runtime: Runtime,
    pub(crate) image: String,
    state: Mutex<ReadyContainers>,
}

struct ReadyContainers {
    ready: VecDeque<ListeningContainer>,
    starting: usize,
    wanted: TemplatesWanted,
    /// Whether a task waits for the time at which fewer are wanted.
    falls_back: bool,
    /// Whether a task waits for rest, to start as many as are missing.
    refills: bool,
}

impl TemplateContainers {
    pub(crate) fn new(hub: &Arc<Hub>, runtime: Runtime, image: String) -> Arc<Self> {
        let wanted = TemplatesWanted::new(hub.config.cells, hub.config.cells_max);
        let state = ReadyContainers {
            ready: VecDeque::new(),
            starting: 0,
            wanted,
            falls_back: false,
            refills: false,
        };
        Arc::new(Self {
            hub: Arc::clone(hub),
            runtime,
            image,
            state: Mutex::new(state),
        })
    }

    /// A template that is ready, if there is one. Whoever takes one calls [`TemplateContainers::refill_at_rest`] when its
    /// own start is over: starting another meanwhile would take the processor from it.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<ListeningContainer> {
        self.state.lock().wanted.start(Instant::now());
        loop {
            // The oldest first: it has had the most time to come to rest.
            let template = self.state.lock().ready.pop_front()?;
            if let Some(exchange) = template.connections.take(&template.container).await {
                template.connections.put_back(exchange);
                return Some(template);
            }
            tracing::warn!(runtime = %self.runtime, container = template.container.name, "a template container had ended");
        }
    }

    /// Starts as many as are missing, in the background.
    pub(crate) fn refill(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let wanted = state.wanted.number(Instant::now());
        while state.ready.len() + state.starting < wanted && !self.hub.stop.is_cancelled() {
            state.starting += 1;
            let templates = Arc::clone(self);
            drop(
                self.hub
                    .tasks
                    .spawn(async move { templates.start_one().await }),
            );
        }
        if wanted > self.hub.config.cells && !state.falls_back {
            state.falls_back = true;
            let templates = Arc::clone(self);
            drop(
                self.hub
                    .tasks
                    .spawn(async move { templates.fall_back().await }),
            );
        }
    }

    /// Starts as many as are missing once the calls in containers leave a processor to it, or after
    /// [`REST_AWAITED_MAX`]: a start takes more of it than hundreds of calls.
    pub(crate) fn refill_at_rest(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.state.lock().refills, true) {
            let templates = Arc::clone(self);
            drop(self.hub.tasks.spawn(async move {
                tokio::select! {
                    () = templates.hub.stop.cancelled() => {}
                    () = rest(&templates.hub.running) => {}
                }
                templates.state.lock().refills = false;
                templates.refill();
            }));
        }
    }

    /// Removes those that are wanted no more, until as many are left as usual.
    async fn fall_back(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.hub.stop.cancelled() => return,
                () = tokio::time::sleep(COUNTED_FOR) => {}
            }
            let mut state = self.state.lock();
            let wanted = state.wanted.number(Instant::now());
            let keep = wanted.min(state.ready.len());
            // The newest: they have had the least time to come to rest.
            drop(state.ready.split_off(keep));
            if wanted <= self.hub.config.cells && state.starting == 0 {
                state.falls_back = false;
                return;
            }
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

    /// `None` once the executor is closed, and where the engine allows none. Only a pause is cut off then, never a launch.
    async fn start_until_one_is_up(&self) -> Option<ListeningContainer> {
        let mut pause = PAUSE_MIN;
        while !self.hub.stop.is_cancelled() {
            // The limits that one begins with would stay.
            if self
                .hub
                .engine
                .kind()
                .await
                .is_ok_and(|kind| !kind.has_template_containers())
            {
                return None;
            }
            match self.launch_one().await {
                Ok(template) => return Some(template),
                Err(error) => {
                    tracing::warn!(runtime = %self.runtime, error = %error_chain(&error), "failed to start a template container; trying again in {pause:?}");
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

    async fn launch_one(&self) -> Result<ListeningContainer, LaunchError> {
        let _permit = self.hub.starts.acquire().await;
        let cpu = CpuMilli::new(self.hub.config.cpus_max.get().max(1000));
        let recipe = agent_recipe(
            &self.hub,
            "cell",
            &self.image,
            Share {
                memory: TEMPLATE_MEMORY,
                cpu,
            },
        );
        launch(&self.hub, recipe, &mut Vec::new()).await
    }

    /// Gives all of them up.
    pub(crate) fn clear(&self) {
        self.state.lock().ready.clear();
    }

    pub(crate) fn ready(&self) -> usize {
        self.state.lock().ready.len()
    }
}

/// Ends when the calls have left a processor free for [`REST`], or after [`REST_AWAITED_MAX`].
async fn rest(calls: &RunningCalls) {
    let begun = Instant::now();
    let latest = begun + REST_AWAITED_MAX;
    loop {
        let now = Instant::now();
        let rested = calls.rests_since(begun).unwrap_or(now) + REST;
        if now >= rested.min(latest) {
            return;
        }
        tokio::time::sleep_until(rested.min(latest)).await;
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
        reach: Reach::Nothing,
        dns: Vec::new(),
        mounts: Vec::new(),
        agent: true,
        env: Vec::new(),
        command: None,
        folder: None,
        user: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rested_after(calls: &RunningCalls) -> Duration {
        let begun = Instant::now();
        rest(calls).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_rest() {
        let calls = RunningCalls::new(2);
        assert_eq!(rested_after(&calls).await, REST);
        let one = calls.begin();
        assert_eq!(rested_after(&calls).await, REST);
        let other = calls.begin();
        assert_eq!(rested_after(&calls).await, REST_AWAITED_MAX);
        let (waited, ()) = tokio::join!(rested_after(&calls), async {
            tokio::time::sleep(REST / 2).await;
            drop(other);
            tokio::time::sleep(REST / 2).await;
            drop(calls.begin());
        });
        assert_eq!(waited, 2 * REST, "a moment between two calls is no rest");
        drop(one);
    }
}
