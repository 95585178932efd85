//! The idle containers of a node, by function.

use std::collections::{BTreeMap, HashMap};

use serverledge_core::SpaceId;
use serverledge_scheduler::PoolKey;

use crate::admission::Admissions;
use crate::functions::spaces::Spaces;
use crate::functions::{Functions, label};

/// A function's label as people are shown it, where that differs: an application's function by the application's name
/// and its own.
pub(crate) fn shown_label(spaces: &dyn Spaces, label: &str) -> Option<String> {
    let (space, name) = label.split_once('/')?;
    Some(format!(
        "{}/{name}",
        spaces.application(&SpaceId::parse(space)?)?
    ))
}

/// Idle containers by function; those of versions that no name is bound to are about to be stopped.
pub(crate) fn warm_containers(
    functions: &Functions,
    admissions: &Admissions,
    spaces: &dyn Spaces,
) -> BTreeMap<String, i64> {
    let idle: HashMap<PoolKey, usize> = admissions.idle_by_key().into_iter().collect();
    let mut warm = BTreeMap::new();
    for entry in functions.entries() {
        // Of the version that runs, while the newest is not prepared.
        let entry = entry.runs_as();
        if let Some(count) = entry.pooled.and_then(|pooled| idle.get(&pooled.key)) {
            let label = label(&entry.function);
            warm.insert(
                shown_label(spaces, &label).unwrap_or(label),
                i64::try_from(*count).unwrap_or(i64::MAX),
            );
        }
    }
    warm
}
