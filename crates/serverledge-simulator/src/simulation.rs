//! One run: real schedulers, one for each node, under virtual time.
//!
//! A call arrives at its node, whose scheduler decides. If it goes to a peer it lands there half a round trip later,
//! parameters sent, and may not go further; a refusal travels back, and the node asks its scheduler again, at most
//! [`TRIES`] times. Nodes ask the peers that they know every [`PROBE_INTERVAL`], and answers and refusals bring
//! news of the peer as well. What is known of a peer is what was true when it was asked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use serverledge_scheduler::{
    Admission, Arrival, Config, Effects, FunctionKey, Lease, Load, Peer, PeerId, PeerView,
    PolicyOptions, Ran, Rejection, Sample, SandboxCondition, SandboxId, SandboxUse, Scheduler,
    Ticket, TicketId, UnknownPolicy, Verdict, policy_named,
};

use crate::report::{AnswerTier, Report};
use crate::scenario::{FunctionKind, KINDS, NodeLink, World};
use crate::timing::Decisions;

/// The interval at which a node asks the peers that it knows.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// Older news is not used.
const AGE_MAX: Duration = Duration::from_secs(10);
/// A call that so many peers refused stays.
const TRIES: usize = 2;
/// The time that a container takes to stop.
const STOP: Duration = Duration::from_millis(100);

/// Something that happens later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimulationEvent {
    /// An offloaded call arrives at its peer.
    Land(u32),
    /// A peer's refusal arrives at the call's node.
    Refused(u32),
    /// A call's execution ends.
    End(u32),
    /// The answer of an offloaded call arrives at its node.
    Answer(u32),
    /// A sandbox of a node is up.
    Started(u32, SandboxId),
    /// A sandbox of a node is gone.
    Gone(u32, SandboxId),
    /// A ticket of a node is looked at again, or expires.
    Review(u32, TicketId),
    /// A node asks its peers.
    Probe(u32),
}

struct SimulatedNode {
    scheduler: Scheduler,
    /// As the node sees them, and news that is on its way to it.
    peers: Vec<Peer>,
    news: Vec<Option<(Duration, Peer)>>,
    waiting: HashMap<TicketId, (Ticket, u32)>,
    /// Calls that start a sandbox, by what the scheduler calls them and by the sandbox.
    starters: HashMap<TicketId, (u32, SandboxId)>,
    starting: HashMap<SandboxId, u32>,
}

/// A call under way.
struct Flight {
    /// The node that has it now.
    at: u32,
    sent: Duration,
    tried: Vec<PeerId>,
    lease: Option<Lease>,
    cold: bool,
    start: Duration,
    execution: Duration,
    /// The peer's news about itself, which came with its reply.
    news: Option<Peer>,
}

struct Simulation<'a> {
    world: &'a World,
    epoch: Instant,
    now: Duration,
    nodes: Vec<SimulatedNode>,
    flights: HashMap<u32, Flight>,
    events: BinaryHeap<Reverse<(Duration, u64, SimulationEvent)>>,
    sequence: u64,
    report: Report,
    decisions: Decisions,
}

/// Runs all calls of a world under a policy. The report follows from both alone; the decision times are measured.
///
/// # Errors
/// If there is no such policy.
pub(crate) fn run(world: &World, policy: &str) -> Result<(Report, Decisions), UnknownPolicy> {
    let mut simulation = Simulation::new(world, policy)?;
    simulation.run();
    simulation.report.finish();
    Ok((simulation.report, simulation.decisions))
}

impl<'a> Simulation<'a> {
    fn new(world: &'a World, policy: &str) -> Result<Self, UnknownPolicy> {
        let epoch = crate::timing::clock();
        let mut nodes = Vec::with_capacity(world.sites.len());
        for (n, site) in (0_u64..).zip(&world.sites) {
            // The cloud's nodes take what comes.
            let name = if site.cloud { "localonly" } else { policy };
            let options = PolicyOptions {
                fallback_local: true,
                seed: world.scenario.seed ^ (n << 32),
            };
            let policy = policy_named(name, options)?;
            let scheduler = Scheduler::with_policy(Config::new(site.capacity), policy, epoch);
            let news = site.links.iter().map(|_| None).collect();
            nodes.push(SimulatedNode {
                scheduler,
                peers: Vec::new(),
                news,
                waiting: HashMap::new(),
                starters: HashMap::new(),
                starting: HashMap::new(),
            });
        }
        let report = Report::new(policy, world);
        Ok(Self {
            world,
            epoch,
            now: Duration::ZERO,
            nodes,
            flights: HashMap::new(),
            events: BinaryHeap::new(),
            sequence: 0,
            report,
            decisions: Decisions::default(),
        })
    }

    fn run(&mut self) {
        self.meet();
        let mut calls = (0_u32..).zip(&self.world.calls).peekable();
        loop {
            let next = self.events.peek().map(|Reverse((at, ..))| *at);
            if let Some((n, call)) = calls.next_if(|(_, call)| next.is_none_or(|at| call.at <= at))
            {
                self.now = call.at;
                self.arrive(n);
                continue;
            }
            // Probing goes on as long as there are calls.
            let over = calls.peek().is_none() && self.flights.is_empty();
            let Some(Reverse((at, _, event))) = self.events.pop().filter(|_| !over) else {
                return;
            };
            self.now = at;
            self.happen(event);
        }
    }

    /// Everybody has heard of its peers once; from then on they ask in turn.
    fn meet(&mut self) {
        for n in (0..).take(self.nodes.len()) {
            let links = &self.world.sites[n as usize].links;
            self.nodes[n as usize].peers = links.iter().map(|link| self.state_of(link)).collect();
            if !links.is_empty() {
                let share = f64::from(n) / self.nodes.len() as f64;
                self.later(PROBE_INTERVAL.mul_f64(share), SimulationEvent::Probe(n));
            }
        }
    }

    fn later(&mut self, delay: Duration, event: SimulationEvent) {
        self.events
            .push(Reverse((self.now + delay, self.sequence, event)));
        self.sequence += 1;
    }

    fn clock(&self) -> Instant {
        self.epoch + self.now
    }

    fn happen(&mut self, event: SimulationEvent) {
        match event {
            SimulationEvent::Land(call) => self.land(call),
            SimulationEvent::Refused(call) => self.refused(call),
            SimulationEvent::End(call) => self.end(call),
            SimulationEvent::Answer(call) => self.answer(call),
            SimulationEvent::Started(node, sandbox) => {
                self.change(node, |scheduler, now, effects| {
                    scheduler.started(now, sandbox, effects)
                });
                if let Some(call) = self.nodes[node as usize].starting.remove(&sandbox) {
                    self.execute(call);
                }
            }
            SimulationEvent::Gone(node, sandbox) => {
                self.change(node, |scheduler, now, effects| {
                    scheduler.gone(now, sandbox, effects)
                });
            }
            SimulationEvent::Review(node, ticket) => self.review(node, ticket),
            SimulationEvent::Probe(node) => self.probe(node),
        }
    }

    // === Calls ===

    fn arrive(&mut self, call: u32) {
        let at = self.world.calls[call as usize].node;
        let flight = Flight {
            at,
            sent: self.now,
            tried: Vec::new(),
            lease: None,
            cold: false,
            start: Duration::ZERO,
            execution: Duration::ZERO,
            news: None,
        };
        self.flights.insert(call, flight);
        self.place(call);
    }

    /// Asks the call's own node where it is to run.
    fn place(&mut self, call: u32) {
        let at = self.world.calls[call as usize].node;
        let clock = self.clock();
        let now = self.now;
        let Some(flight) = self.flights.get_mut(&call) else {
            return;
        };
        flight.at = at;
        let arrival = arrival(self.world, self.epoch, call, flight.tried.len() < TRIES);
        let node = &mut self.nodes[at as usize];
        node.hear(now);
        let view = PeerView {
            peers: &node.peers,
            tried: &flight.tried,
            age_max: AGE_MAX,
        };
        let mut effects = Effects::default();
        let scheduler = &mut node.scheduler;
        let admission = self
            .decisions
            .measure(|| scheduler.admit(clock, arrival, view, &mut effects));
        self.apply(at, effects);
        self.admitted(call, at, admission);
    }

    fn land(&mut self, call: u32) {
        let clock = self.clock();
        let Some(at) = self.flights.get(&call).map(|flight| flight.at) else {
            return;
        };
        let arrival = arrival(self.world, self.epoch, call, false);
        let mut effects = Effects::default();
        let admission =
            self.nodes[at as usize]
                .scheduler
                .admit(clock, arrival, PeerView::NONE, &mut effects);
        self.apply(at, effects);
        self.admitted(call, at, admission);
    }

    fn admitted(&mut self, call: u32, at: u32, admission: Admission) {
        match admission {
            Admission::Run(lease) => self.start(call, lease),
            Admission::Reject(rejection) => self.turned_away(call, rejection),
            Admission::Offload(peer) => self.send(call, peer),
            Admission::Wait(ticket) => {
                let left = ticket.review().saturating_duration_since(self.clock());
                self.later(left, SimulationEvent::Review(at, ticket.id()));
                self.nodes[at as usize]
                    .waiting
                    .insert(ticket.id(), (ticket, call));
            }
        }
    }

    fn send(&mut self, call: u32, peer: PeerId) {
        let Some(flight) = self.flights.get_mut(&call) else {
            return;
        };
        flight.at = peer.0;
        flight.sent = self.now;
        let (kind, home) = self.kind_and_home(call);
        let link = self.world.sites[home as usize]
            .links
            .iter()
            .find(|link| link.to == peer.0);
        let speed = link.map_or(1, |link| link.bytes_per_second);
        let transfer = Duration::from_secs_f64(kind.bytes as f64 / speed as f64);
        let way = self.world.round_trip(home, peer.0) / 2;
        self.later(way + transfer, SimulationEvent::Land(call));
    }

    fn start(&mut self, call: u32, lease: Lease) {
        let (kind, _) = self.kind_and_home(call);
        let Some(flight) = self.flights.get_mut(&call) else {
            return;
        };
        let starts = match lease.place() {
            SandboxUse::Start(_) | SandboxUse::Once => Duration::from_secs_f64(kind.start),
            SandboxUse::Reuse(_) => Duration::ZERO,
        };
        let speed = self.world.sites[flight.at as usize].speed;
        flight.execution = self.world.calls[call as usize].execution.div_f64(speed);
        flight.start = starts;
        flight.cold = matches!(lease.place(), SandboxUse::Start(_));
        let at = flight.at;
        let took = starts + flight.execution;
        let place = lease.place();
        let ticket = lease.ticket();
        flight.lease = Some(lease);
        if let SandboxUse::Start(sandbox) = place {
            let node = &mut self.nodes[at as usize];
            node.starters.insert(ticket, (call, sandbox));
            node.starting.insert(sandbox, call);
            self.later(starts, SimulationEvent::Started(at, sandbox));
        } else {
            self.later(took, SimulationEvent::End(call));
        }
    }

    /// A call has the sandbox that it began to start, or another one.
    fn execute(&mut self, call: u32) {
        let Some(flight) = self.flights.get(&call) else {
            return;
        };
        let at = flight.at;
        let execution = flight.execution;
        if let Some(lease) = &flight.lease {
            self.nodes[at as usize].starters.remove(&lease.ticket());
        }
        self.later(execution, SimulationEvent::End(call));
    }

    /// A call that starts a sandbox was given another: what it started is the pool's.
    fn moved(&mut self, at: u32, ticket: TicketId) {
        let node = &mut self.nodes[at as usize];
        let Some((call, sandbox)) = node.starters.get(&ticket).copied() else {
            return;
        };
        node.starting.remove(&sandbox);
        let Some(flight) = self.flights.get_mut(&call) else {
            return;
        };
        let moved = flight
            .lease
            .as_mut()
            .is_some_and(|lease| node.scheduler.moved(lease));
        debug_assert!(moved, "the scheduler said so");
        (flight.cold, flight.start) = (false, Duration::ZERO);
        self.execute(call);
    }

    /// A waiting call may start a sandbox by now, or has waited for too long.
    fn review(&mut self, at: u32, ticket: TicketId) {
        let Some((ticket, call)) = self.nodes[at as usize].waiting.remove(&ticket) else {
            return;
        };
        let clock = self.clock();
        let mut effects = Effects::default();
        let admission = self.nodes[at as usize]
            .scheduler
            .resume(clock, ticket, &mut effects);
        self.admitted(call, at, admission);
        self.apply(at, effects);
    }

    fn end(&mut self, call: u32) {
        let (_, home) = self.kind_and_home(call);
        let Some((at, lease)) = self
            .flights
            .get_mut(&call)
            .and_then(|flight| Some((flight.at, flight.lease.take()?)))
        else {
            return;
        };
        self.change(at, |scheduler, now, effects| {
            scheduler.release(now, lease, SandboxCondition::Clean, effects)
        });
        if at == home {
            return self.done(call, Ran::Here, Duration::ZERO);
        }
        self.reply(call, home, at, SimulationEvent::Answer(call));
    }

    /// A peer answers or refuses, and says how it is.
    fn reply(&mut self, call: u32, home: u32, at: u32, event: SimulationEvent) {
        let link = self.world.sites[home as usize]
            .links
            .iter()
            .find(|link| link.to == at)
            .copied();
        let news = link.map(|link| self.state_of(&link));
        if let Some(flight) = self.flights.get_mut(&call) {
            flight.news = news;
        }
        self.later(self.world.round_trip(home, at) / 2, event);
    }

    fn answer(&mut self, call: u32) {
        let (_, home) = self.kind_and_home(call);
        let Some(flight) = self.flights.get(&call) else {
            return;
        };
        let overhead = (self.now - flight.sent).saturating_sub(flight.start + flight.execution);
        if let Some(news) = flight.news {
            self.nodes[home as usize].learn_of(news);
        }
        self.done(call, Ran::On(PeerId(flight.at)), overhead);
    }

    fn done(&mut self, call: u32, place: Ran, overhead: Duration) {
        let Some(flight) = self.flights.remove(&call) else {
            return;
        };
        let (_, home) = self.kind_and_home(call);
        let Flight {
            at,
            cold,
            start,
            execution,
            ..
        } = flight;
        let function = key(self.world.calls[call as usize].function);
        let sample = Sample {
            function,
            place,
            cold,
            start,
            execution,
            overhead,
        };
        let clock = self.clock();
        self.nodes[home as usize].scheduler.learn(clock, sample);
        let tier = if self.world.sites[at as usize].cloud {
            AnswerTier::Cloud
        } else {
            AnswerTier::Neighbour
        };
        let outcome = if at == home { AnswerTier::Here } else { tier };
        self.report
            .answered(self.world, call, outcome, self.now, start + execution);
    }

    fn turned_away(&mut self, call: u32, rejection: Rejection) {
        let (_, home) = self.kind_and_home(call);
        let Some(at) = self.flights.get(&call).map(|flight| flight.at) else {
            return;
        };
        if at == home {
            self.flights.remove(&call);
            self.report.rejected(rejection.reason);
        } else {
            self.reply(call, home, at, SimulationEvent::Refused(call));
        }
    }

    fn refused(&mut self, call: u32) {
        let (_, home) = self.kind_and_home(call);
        let Some(flight) = self.flights.get_mut(&call) else {
            return;
        };
        flight.tried.push(PeerId(flight.at));
        if let Some(news) = flight.news.take() {
            self.nodes[home as usize].learn_of(news);
        }
        self.place(call);
    }

    fn kind_and_home(&self, call: u32) -> (&'static FunctionKind, u32) {
        let call = &self.world.calls[call as usize];
        (&KINDS[usize::from(call.kind)], call.node)
    }

    // === Nodes ===

    fn change(&mut self, node: u32, how: impl FnOnce(&mut Scheduler, Instant, &mut Effects)) {
        let mut effects = Effects::default();
        let clock = self.clock();
        how(
            &mut self.nodes[node as usize].scheduler,
            clock,
            &mut effects,
        );
        self.apply(node, effects);
    }

    /// Does what a scheduler decided.
    fn apply(&mut self, at: u32, mut effects: Effects) {
        while !effects.decided.is_empty() || !effects.stop.is_empty() {
            let Effects { decided, stop } = std::mem::take(&mut effects);
            stop.into_iter()
                .for_each(|sandbox| self.later(STOP, SimulationEvent::Gone(at, sandbox)));
            let clock = self.clock();
            for one in decided {
                let node = &mut self.nodes[at as usize];
                if one.verdict == Verdict::Moved {
                    self.moved(at, one.ticket);
                    continue;
                }
                let Some((ticket, call)) = node.waiting.remove(&one.ticket) else {
                    continue;
                };
                let admission = node.scheduler.resume(clock, ticket, &mut effects);
                self.admitted(call, at, admission);
            }
        }
    }

    /// The state that a peer reports of itself now, to the node at the other end of the link.
    fn state_of(&self, link: &NodeLink) -> Peer {
        let node = &self.nodes[link.to as usize];
        let Load {
            free_memory,
            free_cpu,
            wait,
        } = node.scheduler.load(self.clock());
        Peer {
            id: PeerId(link.to),
            cloud: self.world.sites[link.to as usize].cloud,
            runs: true,
            round_trip: link.round_trip,
            bytes_per_second: link.bytes_per_second,
            free_memory,
            free_cpu,
            wait,
            seen: self.clock(),
        }
    }

    fn probe(&mut self, n: u32) {
        let world = self.world;
        for (index, link) in world.sites[n as usize].links.iter().enumerate() {
            let state = self.state_of(link);
            let arrives = self.now + link.round_trip;
            self.nodes[n as usize].news[index] = Some((arrives, state));
        }
        self.later(PROBE_INTERVAL, SimulationEvent::Probe(n));
    }
}

impl SimulatedNode {
    /// Takes in the news that has arrived.
    fn hear(&mut self, now: Duration) {
        for index in 0..self.news.len() {
            if let Some((_, peer)) = self.news[index].take_if(|(arrives, _)| *arrives <= now) {
                self.learn_of(peer);
            }
        }
    }

    fn learn_of(&mut self, news: Peer) {
        if let Some(peer) = self
            .peers
            .iter_mut()
            .find(|peer| peer.id == news.id && peer.seen <= news.seen)
        {
            *peer = news;
        }
    }
}

fn arrival(world: &World, epoch: Instant, call: u32, may_offload: bool) -> Arrival {
    let call = &world.calls[call as usize];
    let kind = &KINDS[usize::from(call.kind)];
    Arrival {
        nested: false,
        demand: kind.demand,
        class: call.class,
        deadline: call.deadline.map(|deadline| epoch + call.at + deadline),
        pool: kind.pool(call.function),
        function: key(call.function),
        may_offload,
        bytes: kind.bytes,
        placed: false,
    }
}

/// Zero would mean none.
fn key(function: u16) -> FunctionKey {
    FunctionKey(u64::from(function) + 1)
}

#[cfg(test)]
mod tests {
    use serverledge_scheduler::POLICY_NAMES;

    use super::*;
    use crate::scenario::Scenario;

    const SMALL: Scenario = Scenario {
        nodes: 60,
        seconds: 20,
        seed: 11,
        load: 0.7,
    };

    /// Every arrival has one outcome, and the same seed gives the same report, for each policy.
    #[test]
    fn a_run_repeats_itself_and_loses_nothing() {
        let world = World::new(SMALL);
        for policy in POLICY_NAMES {
            let (one, decisions) = run(&world, policy).expect("a policy");
            let (two, _) = run(&world, policy).expect("a policy");
            assert_eq!(one, two, "{policy}");
            assert_eq!(
                one.calls(),
                world.calls.len() as u64,
                "{policy}: one outcome each"
            );
            assert!(decisions.count() >= one.calls(), "{policy}");
        }
        assert!(run(&world, "nonsense").is_err());
    }

    /// After the last call every node is as free as it was: no lease, no ticket is left.
    #[test]
    fn nothing_is_left_behind() {
        let world = World::new(SMALL);
        for policy in POLICY_NAMES {
            let mut simulation = Simulation::new(&world, policy).expect("a policy");
            simulation.run();
            assert!(simulation.flights.is_empty());
            for node in &simulation.nodes {
                let end = node.scheduler.snapshot();
                assert_eq!(
                    (end.running, end.unclaimed, end.waiting.total()),
                    (0, 0, 0),
                    "{policy}"
                );
                assert!(node.waiting.is_empty());
            }
        }
    }

    #[test]
    fn policies_do_what_their_names_say() {
        let world = World::new(SMALL);
        let went = |policy| {
            let (report, _) = run(&world, policy).expect("a policy");
            [AnswerTier::Here, AnswerTier::Neighbour, AnswerTier::Cloud]
                .map(|outcome| report.count(outcome) > 0)
        };
        assert_eq!(went("localonly"), [true, false, false]);
        assert_eq!(went("cloudonly"), [false, false, true]);
        assert_eq!(went("edgecloud"), [true, false, true]);
        assert_eq!(went("edgeonly"), [true, true, false], "it falls back here");
        assert_eq!(went("qosaware"), [true, true, true]);
    }
}
