//! The attempts at a call: what is known of them so far, how one of them fails, and how long its stages took.

use std::time::Instant;

use serverledge_core::{InvocationError, Phases};
use serverledge_scheduler::PeerId;

use super::errors::{dead_sandboxes, ended_before_its_call};
use super::request::ResolvedCall;

/// Most dead sandboxes that a call meets before it gives up: as many as a node may have, since a restarted engine ends
/// all of them.
const SANDBOXES_TRIED_MAX: u32 = 256;

/// Sandboxes started for a call and found dead at once, after the first: such a function would be started for ever.
const FRESH_TRIED_MAX: u32 = 1;

/// Most times that a preparation may be lost during one call: once, because it was damaged or swept.
pub(super) const LOST_MAX: u32 = 2;

/// The reason why an attempt gave no result.
pub(super) enum AttemptFailure {
    /// The sandbox was dead before; another may do. `warm`: whether it had served before.
    Gone { warm: bool },
    /// The version is not prepared here: the call as it was, and the error that it would get.
    Unprepared(Box<ResolvedCall>, InvocationError),
    /// Its sandbox could not be started, while the function has others: the call as it was, and the error.
    NotStarted(Box<ResolvedCall>, InvocationError),
    /// The failure is the outcome.
    Failed(InvocationError),
}

impl AttemptFailure {
    /// The error of a call that is not attempted again.
    pub(super) fn into_error(self) -> InvocationError {
        match self {
            Self::Gone { .. } => dead_sandboxes(),
            Self::Unprepared(_, error) | Self::NotStarted(_, error) | Self::Failed(error) => error,
        }
    }
}

/// The attempts at a call so far.
pub(super) struct Attempts {
    /// The time at which it first asked for resources.
    pub(super) asked: Instant,
    /// The peers that did not take it.
    pub(super) peers: Vec<PeerId>,
    /// Whether some peer lacks its version, now or any more.
    pub(super) other_version: bool,
    /// Whether it is to run here, whatever the policy says.
    pub(super) here: bool,
    dead: u32,
    /// Number of those that were started for this call.
    fresh: u32,
    pub(super) lost: u32,
    /// The error of a start that failed, while the function had other sandboxes to wait for.
    pub(super) not_started: Option<InvocationError>,
}

/// The times of an invocation's stages.
#[derive(Clone, Copy)]
pub(super) struct Times {
    arrived: Instant,
    asked: Instant,
    pub(super) admitted: Instant,
    pub(super) running: Instant,
}

impl Times {
    /// Those of a call that may run from now on.
    pub(super) const fn admitted(arrived: Instant, asked: Instant, now: Instant) -> Self {
        Self {
            arrived,
            asked,
            admitted: now,
            running: now,
        }
    }

    /// The same, with a sandbox from now on.
    pub(super) const fn started(self, now: Instant) -> Self {
        Self {
            running: now,
            ..self
        }
    }

    /// The phases of a run that ends at this time.
    pub(super) fn until(&self, ended: Instant) -> Phases {
        Phases {
            queue: self.admitted.saturating_duration_since(self.asked),
            start: self.running.saturating_duration_since(self.admitted),
            execution: ended.saturating_duration_since(self.running),
            total: ended.saturating_duration_since(self.arrived),
        }
    }
}

impl Attempts {
    pub(super) fn new(asked: Instant) -> Self {
        Self {
            asked,
            peers: Vec::new(),
            other_version: false,
            here: false,
            dead: 0,
            fresh: 0,
            lost: 0,
            not_started: None,
        }
    }

    /// The error of a call that got no place: it is there because a start failed, if one did.
    pub(super) fn cause(&mut self, refused: InvocationError) -> InvocationError {
        match refused {
            InvocationError::Overloaded { .. } => self.not_started.take().unwrap_or(refused),
            _ => refused,
        }
    }

    /// Notes that a sandbox was dead before the call.
    pub(super) fn found_dead(&mut self, warm: bool) -> Result<(), InvocationError> {
        self.dead += 1;
        self.fresh += u32::from(!warm);
        if self.fresh > FRESH_TRIED_MAX {
            return Err(ended_before_its_call());
        }
        if self.dead >= SANDBOXES_TRIED_MAX {
            return Err(dead_sandboxes());
        }
        Ok(())
    }
}
