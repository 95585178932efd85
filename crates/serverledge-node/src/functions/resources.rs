//! The functions of a node with the parts that hold something of them, and the removal of what they leave behind.

use std::sync::Arc;

use serverledge_core::{Digest, Function, FunctionName, Runtime, SpaceId, Version};
use serverledge_wire::events::DeployEvent;

use crate::admission::Admissions;
use crate::clock::unix_ms;
use crate::events::{EventBody, EventBus};
use crate::executors::Executors;
use crate::functions::logs::FunctionLogs;
use crate::functions::{self, FunctionEntry, Functions, Gone, label};
use crate::metrics::Metrics;
use crate::runs::RunRecorder;
use crate::telemetry::Telemetry;

/// The functions, and the parts of a node that hold something of them. Clones share all.
#[derive(Clone)]
pub(crate) struct FunctionResources {
    pub(crate) functions: Arc<Functions>,
    pub(crate) admissions: Admissions,
    pub(crate) executors: Executors,
    pub(crate) logs: Arc<FunctionLogs>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) runs: Arc<RunRecorder>,
    pub(crate) events: Arc<EventBus>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl FunctionResources {
    /// Tells those who listen of a change of a function.
    pub(crate) fn tell_change(&self, function: &Function, action: &'static str) {
        let version = &function.version.digest;
        self.tell_of(&function.space, &function.name, Some(version), action);
    }

    /// The same of a function by its name.
    pub(crate) fn tell_of(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        version: Option<&Digest>,
        action: &'static str,
    ) {
        self.events.publish(space, name, || {
            EventBody::Deploy(DeployEvent {
                unix_ms: unix_ms(),
                function: name.to_string(),
                app: None,
                version: version.map(ToString::to_string),
                action: action.to_owned(),
                node: String::new(),
            })
        });
    }

    /// Frees the memory of a version that no name is bound to any more.
    pub(crate) async fn retire(&self, old: &Function, successor: Option<&Version>) {
        self.retire_sandboxes(old, successor);
        if successor.is_none_or(|new| new.code != old.version.code)
            && let Some(executor) = self.executors.of(old.version.runtime)
        {
            executor.forget(&old.version).await;
        }
    }

    /// Retires the pooled sandboxes of a version, unless its successor can use them.
    pub(crate) fn retire_sandboxes(&self, old: &Function, successor: Option<&Version>) {
        if let Some(pooled) = functions::pooled(old)
            && successor.is_none_or(|new| is_another(old, new))
        {
            self.admissions.retire(pooled.key);
        }
    }

    /// Frees the resources of the functions that the snapshot has lost.
    pub(crate) async fn clean_up_removed(&self, gone: Gone) {
        for deleted in gone.deleted {
            self.metrics.forget(&label(&deleted));
            self.logs.forget(&deleted);
            if !self.functions.has(&deleted) {
                self.runs.forget(&deleted);
            }
            self.retire(&deleted, None).await;
        }
        for old in gone.replaced {
            let successor = self.functions.get(&old.space, old.name.as_str());
            self.retire(
                &old,
                successor.as_ref().map(|entry| &*entry.function.version),
            )
            .await;
        }
    }

    /// Lets calls run a prepared version from now on.
    pub(crate) async fn adopt(&self, entry: &Arc<FunctionEntry>) {
        let replaced = self.functions.prepared(entry);
        self.clean_up_removed(Gone {
            replaced,
            ..Gone::default()
        })
        .await;
    }
}

/// Whether sandboxes of the old version are of no use to the new one. The name of an image does not identify its
/// content.
fn is_another(old: &Function, new: &Version) -> bool {
    new.digest != old.version.digest || new.runtime == Runtime::Custom
}
