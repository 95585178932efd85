//! Functions that another node has just deployed, and that the watch has not reported yet. The registry is asked, so
//! that a client that creates a function on one node and calls it on another finds it.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::{FunctionName, SpaceId};
use serverledge_registry::FunctionStore;
use tokio::sync::Semaphore;

use crate::config::{Config, RegistryUrl};
use crate::functions::{FunctionEntry, Functions};

/// Most look-ups at once: clients that ask for unknown names get no more of the registry's time.
const LOOK_UPS_MAX: usize = 8;
/// Longest wait for the registry: without its response the function counts as unknown.
const LOOK_UP_MAX: Duration = Duration::from_secs(1);

/// The finder of functions. Clones share their permits.
#[derive(Clone)]
pub(crate) struct FunctionFinder {
    functions: Arc<Functions>,
    store: FunctionStore,
    /// Permits to look in the registry for unknown functions; `None` where no other node deploys any.
    permits: Option<Arc<Semaphore>>,
}

impl FunctionFinder {
    pub(crate) fn new(config: &Config, functions: Arc<Functions>, store: FunctionStore) -> Self {
        let permits = match config.registry.url {
            RegistryUrl::Embedded => None,
            RegistryUrl::Etcd(_) => Some(Arc::new(Semaphore::new(LOOK_UPS_MAX))),
        };
        Self {
            functions,
            store,
            permits,
        }
    }

    /// The version that calls of a function run here. An unknown function is looked for in the registry.
    pub(crate) async fn find(&self, space: &SpaceId, name: &str) -> Option<Arc<FunctionEntry>> {
        if let Some(entry) = self.functions.served(space, name) {
            return Some(entry);
        }
        let _place = self.permits.as_ref()?.try_acquire().ok()?;
        let parsed = FunctionName::parse(name).ok()?;
        let found = tokio::time::timeout(LOOK_UP_MAX, self.store.get(space, &parsed))
            .await
            .ok()?
            .ok()??;
        self.functions.put([found]);
        self.functions.served(space, name)
    }

    /// Looks for the function of a call that is to be stored, if it is not known yet.
    pub(crate) async fn hear_of(&self, space: SpaceId, name: FunctionName) {
        if self.functions.get(&space, name.as_str()).is_none() {
            self.find(&space, name.as_str()).await;
        }
    }
}
