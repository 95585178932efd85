//! The state of versions on this node.

use std::sync::Arc;

use serverledge_core::SpaceId;
use serverledge_wire::rollout::{FAILED, PREPARING, READY, UNABLE, UNHEARD, VersionStand};
use serverledge_wire::status::Unprepared;

use super::jobs::PreparationState;
use crate::functions::follow::Catalogue;
use crate::functions::{FunctionEntry, label};

/// Most functions that `/status` names: the first ones show the fault.
const LISTED_MAX: usize = 100;

impl Catalogue {
    /// The answer on a version that is not the newest one here.
    pub(in crate::functions) fn unheard(newest: Option<Arc<FunctionEntry>>) -> VersionStand {
        VersionStand {
            state: UNHEARD.to_owned(),
            runs: newest.map(runs).unwrap_or_default(),
            detail: String::new(),
        }
    }

    /// The newest version of a function, and its state here; `None` if there is no such function.
    pub(crate) fn newest(&self, space: &SpaceId, name: &str) -> Option<(String, VersionStand)> {
        let entry = self.functions().get(space, name)?;
        Some((entry.digest().to_string(), self.stand_of(&entry)))
    }

    pub(in crate::functions) fn stand_of(&self, entry: &Arc<FunctionEntry>) -> VersionStand {
        let runtime = entry.function.version.runtime;
        if self.resources.executors.of(runtime).is_none() {
            let detail = format!("the node has no executor for runtime {runtime}");
            return VersionStand {
                state: UNABLE.to_owned(),
                runs: String::new(),
                detail,
            };
        }
        let (state, detail) = match self.jobs.stand(entry.digest()) {
            _ if entry.is_ready() => (READY, String::new()),
            Some(PreparationState::Failed(reason)) => (FAILED, reason),
            _ if !self.spaces.is_reachable(&entry.function.space) => {
                (UNABLE, "nobody reaches its application".to_owned())
            }
            _ => (PREPARING, String::new()),
        };
        VersionStand {
            state: state.to_owned(),
            runs: runs(Arc::clone(entry)),
            detail,
        }
    }

    /// The functions that are not prepared here, for `/status`.
    pub(crate) fn unprepared(&self) -> Vec<Unprepared> {
        let missing = self.functions().unprepared();
        let reachable = missing
            .iter()
            .filter(|entry| self.spaces.is_reachable(&entry.function.space));
        let listed = reachable.take(LISTED_MAX).map(|entry| {
            let VersionStand {
                state,
                runs,
                detail,
            } = self.stand_of(entry);
            Unprepared {
                function: label(&entry.function),
                version: entry.digest().to_string(),
                state,
                runs,
                detail,
            }
        });
        listed.collect()
    }
}

/// The version that calls of a function run here; empty if there is none.
fn runs(entry: Arc<FunctionEntry>) -> String {
    let runs = entry.runs_as();
    if runs.is_ready() {
        runs.digest().to_string()
    } else {
        String::new()
    }
}
