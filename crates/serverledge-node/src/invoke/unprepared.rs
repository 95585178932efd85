//! Calls of a version that is not prepared here: they run on a node that has it, or wait.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::{InvocationError, Report};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::draining;
use crate::cluster::Offloaded;
use crate::functions::preparing::jobs::PreparationState;
use crate::invoke::Invoker;
use crate::invoke::request::{ResolvedCall, not_prepared};

/// Longest wait of a call that has no deadline. Most modules are compiled within seconds; most clients do not wait
/// longer.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// First pause before other nodes are asked again; it doubles up to [`ASK_PAUSE_MAX`].
const ASK_PAUSE_MIN: Duration = Duration::from_millis(250);
const ASK_PAUSE_MAX: Duration = Duration::from_secs(4);
/// Most nodes that a call is offered to in one round: as a rule the first has its version.
const FORWARDS_MAX: usize = 8;

/// The way of a call whose version was not prepared here.
pub(crate) enum Elsewhere {
    /// Another node ran it.
    Ran(Report),
    /// This node can run it now.
    Here,
}

/// The patience of a call that waits.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn of(request: &ResolvedCall) -> Self {
        let longest = Instant::now() + WAIT_MAX;
        let deadlines = [request.call.deadline, request.call.context.deadline]
            .into_iter()
            .flatten()
            .map(Instant::from_std);
        Self {
            until: deadlines.chain([longest]).min().unwrap_or(longest),
            pause: ASK_PAUSE_MIN,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits for a change, but not for long: other nodes may be ready sooner.
    async fn wait(&mut self, stand: &mut watch::Receiver<PreparationState>) {
        let pause = (Instant::now() + self.pause).min(self.until);
        if let Ok(Err(_gone)) = tokio::time::timeout_at(pause, stand.changed()).await {
            // Whoever prepared it has told all there is.
            tokio::time::sleep_until(pause).await;
        }
        self.pause = (self.pause * 2).min(ASK_PAUSE_MAX);
    }
}

impl Invoker {
    /// Runs a call on a node that has its version, or waits until this one has it, up to the call's own deadline.
    /// `changed`: the function has another version by then.
    pub(crate) async fn run_where_prepared(
        self: &Arc<Self>,
        request: &mut ResolvedCall,
        changed: &mut bool,
    ) -> Result<Elsewhere, InvocationError> {
        let mut patience = Patience::of(request);
        let version = *request.entry.digest();
        loop {
            self.refresh(request)?;
            *changed |= *request.entry.digest() != version;
            if request.entry.is_ready() {
                return Ok(Elsewhere::Here);
            }
            let mut stand = self.jobs.want(&request.entry, true);
            let now = stand.borrow_and_update().clone();
            if let Some(report) = self.forward(request).await? {
                return Ok(Elsewhere::Ran(report));
            }
            if let PreparationState::Failed(reason) = now {
                return Err(not_prepared(reason));
            }
            if self.admissions.is_draining() {
                return Err(draining());
            }
            if patience.is_over() {
                return Err(not_prepared("it is still being prepared".to_owned()));
            }
            patience.wait(&mut stand).await;
        }
    }

    /// Looks again for the version that the function runs now.
    fn refresh(&self, request: &mut ResolvedCall) -> Result<(), InvocationError> {
        let function = &request.entry.function;
        if request.pinned {
            request.entry = self.functions.entry_for(function);
        } else {
            request.entry = self
                .functions
                .resolve(&function.space, function.name.as_str())?;
        }
        Ok(())
    }

    /// Offers a call to the other nodes, the nearest first, whatever the policy: the reason is not a lack of room.
    pub(crate) async fn forward(
        self: &Arc<Self>,
        request: &mut ResolvedCall,
    ) -> Result<Option<Report>, InvocationError> {
        if !self.may_offload(request) {
            return Ok(None);
        }
        let lacking = self.cluster.lacking.of(request.entry.digest());
        let takers = self
            .cluster
            .peers
            .takers(request.entry.function.version.runtime);
        for peer in takers
            .into_iter()
            .filter(|peer| !lacking.contains(peer))
            .take(FORWARDS_MAX)
        {
            match Box::pin(self.offload(peer, request)).await {
                Offloaded::Done { report, .. } => {
                    self.keep_log(&request.entry, request.call.id, &report.log);
                    return Ok(Some(report));
                }
                Offloaded::Failed(error) => return Err(self.with_log(request, error)),
                Offloaded::Elsewhere(_) => {}
            }
        }
        Ok(None)
    }
}
