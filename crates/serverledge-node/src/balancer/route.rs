//! Routing of calls: decisions from the known state of the nodes, and the counts of calls in progress at each.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_core::Function;
use serverledge_scheduler::PeerId;
use serverledge_scheduler::ring::{MemberId, Ring, hash};

use crate::cluster::{PeerSnapshot, Peers};

/// A node that a call may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: PeerId,
    /// Whether it is in the balancer's own area.
    pub(crate) own: bool,
    /// Whether it had room for the call in its last report.
    pub(crate) room: bool,
    /// Whether it has an idle container for the function.
    pub(crate) warm: bool,
}

/// The router; see the module.
#[derive(Debug)]
pub(crate) struct Router {
    area: String,
    factor: f64,
    state: Mutex<RouterState>,
}

#[derive(Debug)]
struct RouterState {
    ring: Ring,
    /// The generation of the peers that the ring was built from.
    generation: u64,
    in_flight: HashMap<PeerId, u32>,
    turn: usize,
}

/// A call on its way to a node, or in progress there; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    router: Arc<Router>,
    pub(crate) id: PeerId,
}

impl Router {
    /// A router of a balancer in this area, with this number of points per core of a node, and this factor of bounded
    /// loads.
    pub(crate) fn new(area: &str, replicas: u32, factor: f64) -> Self {
        let state = RouterState {
            ring: Ring::new(replicas),
            generation: 0,
            in_flight: HashMap::new(),
            turn: 0,
        };
        Self {
            area: area.to_owned(),
            factor,
            state: Mutex::new(state),
        }
    }

    /// The node for a call of this function, except those that were tried.
    pub(crate) fn take(
        self: &Arc<Self>,
        peers: &Peers,
        function: &Function,
        tried: &[PeerId],
    ) -> Option<InFlight> {
        let mut state = self.state.lock();
        state.follow(peers);
        let mut candidates = Vec::new();
        peers.each(|standing| candidates.extend(candidate(&standing, function, &self.area)));
        keep_nearest(&mut candidates);
        // Only now: an area whose nodes have all said no is no area without a node.
        candidates.retain(|one| !tried.contains(&one.id));
        let load = |id: PeerId| state.in_flight.get(&id).copied().unwrap_or(0);
        let id = choose(
            &state.ring,
            position(function),
            &candidates,
            &load,
            self.factor,
        )?;
        *state.in_flight.entry(id).or_default() += 1;
        drop(state);
        Some(InFlight {
            router: Arc::clone(self),
            id,
        })
    }

    /// A ready node, each in its turn, except those that were tried.
    pub(crate) fn next(&self, peers: &Peers, tried: &[PeerId]) -> Option<PeerId> {
        let mut ready: Vec<(bool, PeerId)> = Vec::new();
        peers.each(|standing| {
            if let Some(own) = serves(&standing, &self.area) {
                ready.push((own, standing.id));
            }
        });
        let any_own = ready.iter().any(|(own, _)| *own);
        ready.retain(|(own, id)| *own == any_own && !tried.contains(id));
        let mut state = self.state.lock();
        state.turn = state.turn.wrapping_add(1);
        ready
            .get(state.turn % ready.len().max(1))
            .map(|(_, id)| *id)
    }

    /// Whether some node is ready.
    pub(crate) fn has_node(&self, peers: &Peers) -> bool {
        let mut found = false;
        peers.each(|standing| found |= serves(&standing, &self.area).is_some());
        found
    }

    /// Calls in progress at a node.
    pub(crate) fn in_flight(&self, id: PeerId) -> u32 {
        self.state.lock().in_flight.get(&id).copied().unwrap_or(0)
    }
}

impl RouterState {
    /// Builds the ring of the current nodes. A node has a point for each replica and core, so that a larger one has
    /// more functions and a higher bound.
    fn follow(&mut self, peers: &Peers) {
        let generation = peers.generation();
        if generation == self.generation {
            return;
        }
        let mut members = Vec::new();
        peers.each(|standing| {
            let cores = u32::try_from(standing.record.cpu_milli.div_ceil(1000))
                .unwrap_or(u32::MAX)
                .max(1);
            members.push((MemberId(standing.id.0), cores, standing.name.to_owned()));
        });
        let members: Vec<_> = members
            .iter()
            .map(|(id, cores, name)| (*id, *cores, name.as_str()))
            .collect();
        self.ring.set_members(&members);
        self.generation = generation;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.router.state.lock();
        if let Some(count) = state.in_flight.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                state.in_flight.remove(&self.id);
            }
        }
    }
}

/// The position of a function on the ring: the same in every balancer.
fn position(function: &Function) -> u64 {
    let space = function.space.as_str();
    let name = function.name.as_str();
    hash(
        [space.as_bytes(), &[0], name.as_bytes()]
            .concat()
            .as_slice(),
    )
}

/// Whether a node takes calls as far as is known, and if so, whether it is of the own area. Nodes of other areas count
/// in the cloud only.
fn serves(standing: &PeerSnapshot<'_>, area: &str) -> Option<bool> {
    standing.load?;
    let own = standing.area == area;
    (own || standing.cloud).then_some(own)
}

/// The node as a candidate for a call of this function; `None` if it cannot run it, or not now.
fn candidate(standing: &PeerSnapshot<'_>, function: &Function, area: &str) -> Option<Candidate> {
    let own = serves(standing, area)?;
    let load = standing.load?;
    let version = &function.version;
    let runtime = version.runtime.name();
    let can = standing.record.runtimes.iter().any(|one| one == runtime)
        && function.flags.archs.allow(&standing.record.arch);
    let limits = &version.limits;
    can.then(|| Candidate {
        id: standing.id,
        own,
        room: load.free_memory_mib >= limits.memory.get()
            && load.free_cpu_milli >= limits.cpu.get(),
        warm: standing
            .warm
            .get(function.name.as_str())
            .is_some_and(|count| *count > 0),
    })
}

/// The nodes of the own area if one of them can run the call, else those of the cloud.
fn keep_nearest(candidates: &mut Vec<Candidate>) {
    let own = candidates.iter().any(|one| one.own);
    candidates.retain(|one| one.own == own);
}

/// Chooses the node of a call among those with room, or if there is none, among all, where it waits in a queue. Of
/// those within their bounds it takes the first warm one clockwise, else the first; if none is within its bound, the
/// first.
fn choose(
    ring: &Ring,
    position: u64,
    candidates: &[Candidate],
    load: &dyn Fn(PeerId) -> u32,
    factor: f64,
) -> Option<PeerId> {
    let room = candidates.iter().any(|one| one.room);
    let found = |id: MemberId| candidates.iter().find(|one| one.id.0 == id.0);
    let usable = |id| found(id).is_some_and(|one| one.room == room);
    let warm = |id| found(id).is_some_and(|one| one.warm);
    let load = |id: MemberId| load(PeerId(id.0));
    ring.choices(position, &load, factor, &usable, &warm)
        .next()
        .map(|id| PeerId(id.0))
}

#[cfg(test)]
mod tests;
