//! The knowledge of a policy that offloads: what calls of a function took and where, and what it sent to each peer
//! since it last heard of it. From both follows how a call would fare on each peer.
//!
//! **In flight.** Between two pieces of news about a peer this node may send it many calls. Each is deducted from the
//! room that the peer said it has, from when it is sent until the news is of a time when it had arrived, or until it
//! should have ended. Beyond the room, calls are expected to wait for each other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lru::LruCache;
use serverledge_core::SplitMix64;

use super::statistics::{Expected, Smoothed};
use super::{Ran, Sample};
use crate::arrival::{Arrival, FunctionKey};
use crate::bounded::bounded;
use crate::peers::{Peer, PeerId, PeerView};

/// The number of functions that are remembered; the ones unused for longest are forgotten. At about 200 bytes each, a
/// megabyte.
pub const FUNCTIONS_MAX: usize = 4096;
/// The number of peers that are remembered, likewise.
pub const PEERS_MAX: usize = 4096;
/// The time that an unknown function is thought to run, give or take as much again: half of the functions of a large
/// provider take less than a second, most of these some tenths (Shahrad et al.: Serverless in the Wild, ATC 2020).
pub const EXECUTION_PRIOR: Duration = Duration::from_millis(200);
/// The time that a pooled sandbox of an unknown function is thought to take to start: a container's half a second.
pub const COLD_START_PRIOR: Duration = Duration::from_millis(500);
/// The chance that a pooled call which goes to a peer for the first time finds no warm sandbox there.
pub const COLD_SHARE_PRIOR: f64 = 0.5;
/// The speed at which parameters are thought to travel where nothing is known: ten megabytes a second.
pub const BYTES_PER_SECOND_PRIOR: u64 = 10_000_000;

/// Room for one call is in doubt by a quarter of the news' age, room for many by as much less: it was there then, and
/// others send calls too.
const STALE: f64 = 0.25;
/// The number of calls to one peer that are counted one by one; older ones are taken to have ended.
const SENT_MAX: usize = 256;
/// Of how many calls at a time a peer without room is thought to make progress, if nothing says so.
const LANES_PRIOR: f64 = 4.0;
/// One new answer weighs an eighth in the share of cold starts.
const GAIN_COLD: f64 = 1.0 / 8.0;
/// The half-life of an excess, which is the time that a hop took beyond its round trip: it was the load of that time.
/// After some half-lives it counts next to nothing.
const EXCESS_HALF_LIFE: Duration = Duration::from_secs(10);

/// The tiers in which a call may run, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Here,
    Neighbour,
    Cloud,
}

/// A place for a call, and how it would fare there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prospect {
    /// `None` is here.
    pub(crate) peer: Option<PeerId>,
    pub(crate) tier: Tier,
    /// It would start as soon as it is there.
    pub(crate) room: bool,
    /// Seconds until it has arrived and could start.
    pub(crate) wait: f64,
    /// Seconds until its answer is here.
    pub(crate) completion: Expected,
    pub(crate) round_trip: f64,
    /// Seconds during which it takes room there.
    stay: f64,
}

/// The times that calls of one function took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FunctionTimes {
    execution: [Smoothed; 3],
    /// Starts of sandboxes for a call of their own, or of warm ones: next to nothing.
    start: Smoothed,
    cold_start: Smoothed,
    cold_here: Option<f64>,
    cold_away: Option<f64>,
}

/// The question that is put to every peer for one call.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    now: Instant,
    call: &'a Arrival,
    view: &'a PeerView<'a>,
    /// The longest wait, in seconds.
    wait_max: f64,
    /// The time that the call is expected to take, start and execution, in the two tiers.
    neighbour: Expected,
    cloud: Expected,
}

/// The policy's own record of a peer, beside the peer's news.
#[derive(Debug)]
struct Account {
    tier: Tier,
    round_trip: Duration,
    sent: VecDeque<Sent>,
    memory: u64,
    cpu: u64,
    /// The time that hops took beyond the round trip, and when that was last seen.
    excess: Smoothed,
    excess_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    arrives: Instant,
    ends: Instant,
    memory: u64,
    cpu: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outlook {
    functions: LruCache<FunctionKey, FunctionTimes>,
    accounts: LruCache<PeerId, Account>,
    random: SplitMix64,
}

// === impl Outlook ===

impl Outlook {
    pub(crate) fn new(seed: u64) -> Self {
        let functions = bounded(FUNCTIONS_MAX);
        let accounts = bounded(PEERS_MAX);
        Self {
            functions,
            accounts,
            random: SplitMix64::new(seed),
        }
    }

    pub(crate) fn learn(&mut self, now: Instant, sample: &Sample) {
        let tier = match sample.place {
            Ran::Here => Tier::Here,
            Ran::On(peer) => self.hop(now, peer, sample.overhead),
        };
        if sample.function != FunctionKey::NONE {
            self.functions
                .get_or_insert_mut(sample.function, FunctionTimes::default)
                .learn(tier, sample);
        }
    }

    /// The statistics of the call's function.
    pub(crate) fn known(&mut self, call: &Arrival) -> FunctionTimes {
        self.functions
            .get(&call.function)
            .copied()
            .unwrap_or_default()
    }

    /// The prospect of the call on a peer; `None` if it may not be asked, or has neither room nor an end of its queue
    /// within the longest wait. A peer that has too little room for this call and yet says that nobody waits promises
    /// nothing.
    pub(crate) fn prospect(&mut self, ask: &Ask<'_>, peer: &Peer) -> Option<Prospect> {
        let age = ask.now.saturating_duration_since(peer.seen);
        if !ask.view.allows(age, peer) {
            return None;
        }
        let account = self.accounts.get_mut(&peer.id);
        let (taken, excess) = account.map_or_else(Default::default, |account| {
            account.news(ask.now, peer);
            (account.taken(), account.excess(ask.now))
        });
        let (tier, work) = if peer.cloud {
            (Tier::Cloud, ask.cloud)
        } else {
            (Tier::Neighbour, ask.neighbour)
        };
        let (room, wait, doubt) = match room(ask.call, peer, taken) {
            Some(calls) => (
                true,
                peer.wait.as_secs_f64(),
                STALE * age.as_secs_f64() / calls.max(1.0),
            ),
            None => (false, queue(ask.call, peer, taken, work.mean)?, 0.0),
        };
        let round_trip = peer.round_trip.as_secs_f64();
        let hop = round_trip + transfer(ask.call.bytes, peer.bytes_per_second);
        let waited = uncertain_wait(wait).max_mean(excess);
        let completion = work.after(
            hop,
            &[
                waited,
                Expected {
                    mean: 0.0,
                    deviation: doubt,
                },
            ],
        );
        let stay = wait + work.mean;
        let prospect = Prospect {
            peer: Some(peer.id),
            tier,
            room,
            wait: wait + hop,
            completion,
            round_trip,
            stay,
        };
        (wait <= ask.wait_max).then_some(prospect)
    }

    /// The call goes to this peer: its room there is taken until it should have ended, or the peer says otherwise.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        call: &Arrival,
        prospect: &Prospect,
        peers: &PeerView<'_>,
    ) {
        let Some(peer) = peers
            .peers
            .iter()
            .find(|peer| Some(peer.id) == prospect.peer)
        else {
            return;
        };
        let account = self
            .accounts
            .get_or_insert_mut(peer.id, || Account::new(now));
        account.tier = prospect.tier;
        account.round_trip = peer.round_trip;
        let arrives = now + peer.round_trip / 2;
        let ends = arrives + Duration::try_from_secs_f64(prospect.stay).unwrap_or(Duration::ZERO);
        account.push(Sent {
            arrives,
            ends,
            memory: call.demand.memory.get(),
            cpu: call.demand.cpu.get(),
        });
    }

    /// One of those that pass the test: of two chosen at random the one that is ahead by `key` (smallest first). So
    /// that nodes which know the same do not all run to the same peer (Mitzenmacher: The Power of Two Choices in
    /// Randomized Load Balancing, 2001).
    pub(crate) fn one_of_two(
        &mut self,
        prospects: &[Prospect],
        test: impl Fn(&Prospect) -> bool,
        key: impl Fn(&Prospect) -> f64,
    ) -> Option<Prospect> {
        let mut drawn: [Option<&Prospect>; 2] = [None, None];
        for (seen, prospect) in prospects
            .iter()
            .filter(|prospect| test(prospect))
            .enumerate()
        {
            // Two out of a stream, each pair as likely as any other (reservoir sampling).
            match drawn {
                [None, _] => drawn[0] = Some(prospect),
                [_, None] => drawn[1] = Some(prospect),
                _ => {
                    if let Some(place) = drawn.get_mut(self.random.below(seen + 1)) {
                        *place = Some(prospect);
                    }
                }
            }
        }
        // Of two that are equal the first is taken: neither order may be likelier.
        if self.random.below(2) == 0 {
            drawn.swap(0, 1);
        }
        drawn
            .into_iter()
            .flatten()
            .min_by(|one, other| key(one).total_cmp(&key(other)))
            .copied()
    }

    /// Records the overhead of a hop; returns the tier of the peer.
    fn hop(&mut self, now: Instant, peer: PeerId, overhead: Duration) -> Tier {
        let Some(account) = self.accounts.get_mut(&peer) else {
            return Tier::Neighbour;
        };
        account
            .excess
            .observe(overhead.saturating_sub(account.round_trip));
        account.excess_at = now;
        account.tier
    }
}

/// The number of such calls that would start at once on a peer, if one would.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn room(call: &Arrival, peer: &Peer, taken: Taken) -> Option<f64> {
    let memory = call.demand.memory.get();
    let cpu = call.demand.cpu.get();
    let free_memory = peer.free_memory.get().saturating_sub(taken.memory);
    let free_cpu = peer.free_cpu.get().saturating_sub(taken.cpu);
    let calls =
        || (free_memory as f64 / memory.max(1) as f64).min(free_cpu as f64 / cpu.max(1) as f64);
    (memory <= free_memory && cpu <= free_cpu).then(calls)
}

/// The seconds that a call would wait on a peer without room; `None` if the peer promises nothing.
fn queue(call: &Arrival, peer: &Peer, taken: Taken, work: f64) -> Option<f64> {
    let memory = call.demand.memory.get();
    let cpu = call.demand.cpu.get();
    let free_memory = peer.free_memory.get();
    let free_cpu = peer.free_cpu.get();
    let lanes = (free_memory / memory.max(1)).min(free_cpu / cpu.max(1));
    if lanes == 0 && peer.wait.is_zero() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let lanes = if lanes == 0 {
        LANES_PRIOR
    } else {
        lanes as f64
    };
    let calls = taken.calls as f64;
    let beyond = if peer.wait.is_zero() {
        (calls + 1.0 - lanes).max(1.0)
    } else {
        calls
    };
    Some(peer.wait.as_secs_f64() + work * beyond / lanes)
}

/// A wait is known roughly: by half of itself.
const fn uncertain_wait(wait: f64) -> Expected {
    Expected {
        mean: wait,
        deviation: wait / 2.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn transfer(bytes: u64, per_second: u64) -> f64 {
    bytes as f64
        / if per_second == 0 {
            BYTES_PER_SECOND_PRIOR
        } else {
            per_second
        } as f64
}

// === impl Prospect ===

impl Prospect {
    /// This node.
    pub(crate) fn here(call: &Arrival, known: &FunctionTimes, local: &super::LocalView) -> Self {
        let wait = local.wait.as_secs_f64();
        let work = known
            .start_here(call, local.start)
            .and(known.execution(Tier::Here));
        Self {
            peer: None,
            tier: Tier::Here,
            room: local.fit == super::Fit::Now || (local.yields && local.may_wait),
            wait,
            completion: uncertain_wait(wait).and(work),
            round_trip: 0.0,
            stay: wait + work.mean,
        }
    }
}

impl Expected {
    /// The one of the greater mean.
    fn max_mean(self, other: Self) -> Self {
        if other.mean > self.mean { other } else { self }
    }
}

// === impl FunctionTimes ===

impl FunctionTimes {
    fn learn(&mut self, tier: Tier, sample: &Sample) {
        self.execution[tier as usize].observe(sample.execution);
        if sample.cold {
            &mut self.cold_start
        } else {
            &mut self.start
        }
        .observe(sample.start);
        let share = if tier == Tier::Here {
            &mut self.cold_here
        } else {
            &mut self.cold_away
        };
        let cold = f64::from(u8::from(sample.cold));
        *share = Some(share.map_or(cold, |share| share + GAIN_COLD * (cold - share)));
    }

    /// As it was there; else as it was anywhere, with more doubt; else a guess.
    fn execution(&self, tier: Tier) -> Expected {
        let elsewhere = || self.execution.iter().find_map(|one| one.get());
        let doubted = |one: Expected| Expected {
            deviation: one.deviation.max(one.mean / 2.0),
            ..one
        };
        let there = self.execution[tier as usize].get();
        there
            .or_else(|| elsewhere().map(doubted))
            .unwrap_or_else(|| Expected::guess(EXECUTION_PRIOR))
    }

    fn cold(&self) -> Expected {
        self.cold_start
            .get()
            .unwrap_or_else(|| Expected::guess(COLD_START_PRIOR))
    }

    fn start_here(&self, call: &Arrival, start: super::Start) -> Expected {
        let chance = match start {
            super::Start::Once => self.cold_here.unwrap_or(0.0),
            super::Start::Warm => 0.0,
            super::Start::Cold => 1.0,
        };
        self.start(call, chance)
    }

    /// The question to put to peers; the same for all of a tier, so it is computed once for each call.
    pub(crate) fn ask<'a>(
        &self,
        now: Instant,
        call: &'a Arrival,
        view: &'a PeerView<'a>,
        wait_max: Duration,
    ) -> Ask<'a> {
        let start = self.start_away(call);
        let work = |tier| start.and(self.execution(tier));
        let neighbour = work(Tier::Neighbour);
        let cloud = work(Tier::Cloud);
        Ask {
            now,
            call,
            view,
            wait_max: wait_max.as_secs_f64(),
            neighbour,
            cloud,
        }
    }

    fn start_away(&self, call: &Arrival) -> Expected {
        let prior = if call.pool.is_some() {
            COLD_SHARE_PRIOR
        } else {
            0.0
        };
        self.start(call, self.cold_away.unwrap_or(prior))
    }

    fn start(&self, call: &Arrival, chance: f64) -> Expected {
        let own = if call.pool.is_none() {
            self.start.get().unwrap_or_default()
        } else {
            Expected::default()
        };
        if chance > 0.0 {
            own.and(self.cold().with_chance(chance))
        } else {
            own
        }
    }
}

// === impl Account ===

/// The resources that calls on their way take.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    memory: u64,
    cpu: u64,
    calls: usize,
}

impl Account {
    const fn new(now: Instant) -> Self {
        Self {
            tier: Tier::Neighbour,
            round_trip: Duration::ZERO,
            sent: VecDeque::new(),
            memory: 0,
            cpu: 0,
            excess: Smoothed::UNKNOWN,
            excess_at: now,
        }
    }

    fn push(&mut self, sent: Sent) {
        if self.sent.len() >= SENT_MAX {
            self.pop();
        }
        self.memory = self.memory.saturating_add(sent.memory);
        self.cpu = self.cpu.saturating_add(sent.cpu);
        self.sent.push_back(sent);
    }

    fn pop(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            self.memory = self.memory.saturating_sub(sent.memory);
            self.cpu = self.cpu.saturating_sub(sent.cpu);
        }
    }

    /// Forgets what the peer has counted itself, or what has ended; in the order of sending, so a long call keeps
    /// shorter ones behind it until the peer is heard of.
    fn news(&mut self, now: Instant, peer: &Peer) {
        while self
            .sent
            .front()
            .is_some_and(|sent| sent.is_past(now, peer.seen))
        {
            self.pop();
        }
    }

    fn taken(&self) -> Taken {
        Taken {
            memory: self.memory,
            cpu: self.cpu,
            calls: self.sent.len(),
        }
    }

    fn excess(&self, now: Instant) -> Expected {
        let Some(excess) = self.excess.get() else {
            return Expected::default();
        };
        let age = now.saturating_duration_since(self.excess_at).as_secs_f64()
            / EXCESS_HALF_LIFE.as_secs_f64();
        let share = 1.0 / (1.0 + (age * age) * (age * age));
        Expected {
            mean: excess.mean * share,
            deviation: excess.deviation * share,
        }
    }
}

impl Sent {
    fn is_past(&self, now: Instant, seen: Instant) -> bool {
        self.arrives <= seen || self.ends <= now
    }
}
