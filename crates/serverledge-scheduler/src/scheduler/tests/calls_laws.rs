//! The laws of nested calls, over random trees of calls that run, call, wait, end and are given up. Time stands still, so that
//! nothing here ever ends by waiting too long.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use serverledge_core::OverloadReason;

use super::epoch;
use super::pool_model::{KEYS, demand, pooled};
use crate::scheduler::{
    Admission, Effects, Hold, Lease, SandboxCondition, SandboxUse, Scheduler, Ticket, TicketId,
};
use crate::{
    Arrival, Capacity, Config, PATIENCE_DEFAULT, PeerView, PooledCounts, QosClass, SandboxId,
};

/// One step. Indices choose among what there is, modulo its number.
#[derive(Debug, Clone)]
enum Op {
    Arrive(Want, i64),
    Call(usize, Want),
    /// A call whose answer comes from elsewhere, or from nobody.
    CallElsewhere(usize, Want),
    Answer(usize),
    End(usize),
    GiveUp(usize),
    Collect(usize),
    Started(usize),
    Gone(usize),
}

#[derive(Debug, Clone, Copy)]
enum Want {
    Key(usize),
    Once(u64, u64, u32),
}

/// A call that has not ended.
struct Call {
    name: usize,
    caller: Option<usize>,
    lease: Option<Lease>,
    ticket: Option<Ticket>,
    /// The ticket with which it waited.
    waited: Option<TicketId>,
    /// Its calls that run on other nodes.
    elsewhere: u32,
}

struct Model {
    scheduler: Scheduler,
    capacity: Capacity,
    now: Instant,
    calls: Vec<Call>,
    names: usize,
    starting: Vec<SandboxId>,
    stopping: Vec<SandboxId>,
    effects: Effects,
    deadlocks_refused: usize,
}

impl Model {
    /// Without patience, everybody who does not fit has a claim at once.
    fn new(capacity: Capacity, patience: Duration) -> Self {
        let config = Config {
            queue_capacity: 50,
            patience,
            ..Config::new(capacity)
        };
        Self {
            scheduler: Scheduler::new(config, epoch()),
            capacity,
            now: epoch(),
            calls: Vec::new(),
            names: 0,
            starting: Vec::new(),
            stopping: Vec::new(),
            effects: Effects::default(),
            deadlocks_refused: 0,
        }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Arrive(want, class) => self.arrive(want, class),
            Op::Call(index, want) => self.call(index, want, true),
            Op::CallElsewhere(index, want) => self.call(index, want, false),
            Op::Answer(index) => self.answer(index),
            Op::End(index) => self.end(index),
            Op::GiveUp(index) => self.give_up(index),
            Op::Collect(index) => self.collect(index),
            Op::Started(index) => self.started(index),
            Op::Gone(index) => self.gone(index),
        }
        self.check();
    }

    // === The operations ===

    fn arrive(&mut self, want: Want, class: i64) {
        let arrival = Arrival {
            class: QosClass(class),
            ..arrival(want)
        };
        let admission = self
            .scheduler
            .admit(self.now, arrival, PeerView::NONE, &mut self.effects);
        self.enter(None, admission);
    }

    /// Made by any call that has a lease: also by one that waits in another call.
    fn call(&mut self, index: usize, want: Want, here: bool) {
        let callers = self.indices(|call| call.lease.is_some());
        let Some(caller) = pick(&callers, index) else {
            return;
        };
        let now = self.now;
        let name = self.calls[caller].name;
        let lease = self.calls[caller].lease.as_mut().expect("it has one");
        if here {
            let wanted = arrival(want);
            let admission =
                self.scheduler
                    .admit_nested(now, lease, wanted, PeerView::NONE, &mut self.effects);
            self.enter(Some(name), admission);
        } else {
            self.scheduler.begin_call(lease, &mut self.effects);
            self.scheduler.advance(now, &mut self.effects);
            self.calls[caller].elsewhere += 1;
        }
    }

    fn enter(&mut self, caller: Option<usize>, admission: Admission) {
        let (lease, ticket) = match admission {
            Admission::Run(lease) => (Some(lease), None),
            Admission::Wait(ticket) => (None, Some(ticket)),
            Admission::Reject(rejection) => {
                let deadlock = rejection.reason == OverloadReason::CallWouldDeadlock;
                assert!(
                    caller.is_some() || !deadlock,
                    "only nested calls can be part of a deadlock"
                );
                self.deadlocks_refused += usize::from(deadlock);
                return;
            }
            Admission::Offload(peer) => panic!("sent to {peer:?}"),
        };
        lease.iter().for_each(|lease| self.begin(lease.place()));
        let waited = ticket.as_ref().map(Ticket::id);
        let name = self.names;
        self.names += 1;
        self.calls.push(Call {
            name,
            caller,
            lease,
            ticket,
            waited,
            elsewhere: 0,
        });
    }

    fn begin(&mut self, place: SandboxUse) {
        if let SandboxUse::Start(id) = place {
            self.starting.push(id);
        }
    }

    /// From another node.
    fn answer(&mut self, index: usize) {
        let waiting = self.indices(|call| call.elsewhere > 0);
        let Some(caller) = pick(&waiting, index) else {
            return;
        };
        self.calls[caller].elsewhere -= 1;
        let lease = self.calls[caller]
            .lease
            .as_mut()
            .expect("a caller has a lease");
        self.scheduler
            .call_ended(self.now, lease, None, &mut self.effects);
    }

    /// One that runs, and so has no calls that wait.
    fn end(&mut self, index: usize) {
        let running = self.running();
        let Some(ending) = pick(&running, index) else {
            return;
        };
        self.remove(ending, SandboxCondition::Clean);
    }

    /// With everything that it has called.
    fn give_up(&mut self, index: usize) {
        let Some(root) = pick(&self.indices(|_| true), index) else {
            return;
        };
        let mut doomed = vec![self.calls[root].name];
        while let Some(name) = doomed.last().copied() {
            match self.calls.iter().find(|call| call.caller == Some(name)) {
                Some(nested) => doomed.push(nested.name),
                None => {
                    let at = self
                        .calls
                        .iter()
                        .position(|call| call.name == name)
                        .expect("it is there");
                    self.remove(at, SandboxCondition::Tainted);
                    doomed.pop();
                }
            }
        }
    }

    /// A call leaves: its caller hears of it, and gets what it needs before anybody else.
    fn remove(&mut self, at: usize, end: SandboxCondition) {
        let call = self.calls.swap_remove(at);
        if let Some(ticket) = call.ticket {
            self.scheduler.cancel(self.now, ticket, &mut self.effects);
        }
        if let Some(caller) = self
            .calls
            .iter_mut()
            .find(|other| Some(other.name) == call.caller)
        {
            let lease = caller.lease.as_mut().expect("a caller has a lease");
            self.scheduler
                .call_ended(self.now, lease, call.waited, &mut self.effects);
        }
        if let Some(mut lease) = call.lease {
            self.scheduler.moved(&mut lease);
            let end = match lease.place() {
                SandboxUse::Start(id) if self.starting.contains(&id) => {
                    SandboxCondition::NeverStarted
                }
                _ => end,
            };
            if let (SandboxUse::Start(id), SandboxCondition::NeverStarted) = (lease.place(), end) {
                self.starting.retain(|other| *other != id);
            }
            self.scheduler
                .release(self.now, lease, end, &mut self.effects);
        }
    }

    fn collect(&mut self, index: usize) {
        let waiting = self.indices(|call| call.ticket.is_some());
        let Some(at) = pick(&waiting, index) else {
            return;
        };
        let ticket = self.calls[at].ticket.take().expect("it has one");
        match self.scheduler.resume(self.now, ticket, &mut self.effects) {
            Admission::Run(lease) => {
                self.begin(lease.place());
                self.calls[at].lease = Some(lease);
            }
            Admission::Wait(ticket) => self.calls[at].ticket = Some(ticket),
            Admission::Reject(rejection) => {
                self.deadlocks_refused +=
                    usize::from(rejection.reason == OverloadReason::CallWouldDeadlock);
                self.remove(at, SandboxCondition::Clean);
            }
            Admission::Offload(peer) => panic!("sent to {peer:?}"),
        }
    }

    fn started(&mut self, index: usize) {
        let Some(id) = pick(&self.starting, index) else {
            return;
        };
        self.starting.retain(|other| *other != id);
        self.scheduler.started(self.now, id, &mut self.effects);
    }

    fn gone(&mut self, index: usize) {
        self.stopping.append(&mut self.effects.stop);
        let Some(id) = pick(&self.stopping, index) else {
            return;
        };
        self.stopping.retain(|other| *other != id);
        self.scheduler.gone(self.now, id, &mut self.effects);
    }

    // === The laws ===

    fn indices(&self, test: impl Fn(&Call) -> bool) -> Vec<usize> {
        (0..self.calls.len())
            .filter(|at| test(&self.calls[*at]))
            .collect()
    }

    /// Those whose holders run.
    fn running(&mut self) -> Vec<usize> {
        let mut running = Vec::new();
        for (at, call) in self.calls.iter_mut().enumerate() {
            if let Some(lease) = &mut call.lease {
                self.scheduler.see(lease);
                running.extend((lease.hold == Hold::Running).then_some(at));
            }
        }
        running
    }

    fn check(&mut self) {
        self.stopping.append(&mut self.effects.stop);
        self.effects.decided.clear();
        for lease in self.calls.iter_mut().filter_map(|call| call.lease.as_mut()) {
            self.scheduler.moved(lease);
        }
        let running = self.running();
        let snapshot = self.scheduler.snapshot();
        self.check_books(&running);
        let some_move = !running.is_empty()
            || snapshot.unclaimed > 0
            || !self.scheduler.outcomes.is_empty()
            || !self.starting.is_empty()
            || !self.stopping.is_empty();
        assert!(
            some_move || !self.scheduler.queue.has_nested(),
            "a nested call waits for nobody who can run"
        );
        assert!(
            some_move || !self.scheduler.callers.anybody_returns(),
            "nobody runs, and one who returns waits"
        );
        let elsewhere = self.calls.iter().any(|call| call.elsewhere > 0);
        assert!(
            some_move || elsewhere || snapshot.waiting.total() == 0,
            "a call waits for nobody who can run"
        );
    }

    /// Checks that each running call holds its CPU, that each lease or sandbox holds its memory, and that neither is
    /// more than there is.
    fn check_books(&mut self, running: &[usize]) {
        let amounts = |demand: crate::Demand| demand.amounts();
        let once = |call: &Call| {
            call.lease
                .as_ref()
                .filter(|lease| lease.place() == SandboxUse::Once)
                .map(Lease::demand)
        };
        let unclaimed = self.scheduler.outcomes.len();
        let snapshot = self.scheduler.snapshot();
        if unclaimed == 0 && snapshot.pooled == PooledCounts::default() {
            let kept: u64 = self
                .calls
                .iter()
                .filter_map(once)
                .map(|demand| amounts(demand)[0])
                .sum();
            assert_eq!(
                self.capacity.memory.get() - snapshot.free.memory.get(),
                kept,
                "memory is kept by all leases"
            );
            for at in [1, 2] {
                let used: u64 = running
                    .iter()
                    .filter_map(|call| once(&self.calls[*call]))
                    .map(|one| amounts(one)[at])
                    .sum();
                let all = self.capacity.amounts()[at];
                let free = snapshot.free.amounts()[at];
                assert!(used <= all, "more is taken than there is");
                assert_eq!(
                    all - free,
                    used,
                    "who does not run holds no CPU and no slot"
                );
            }
        }
        let leases = self
            .calls
            .iter()
            .filter(|call| call.lease.is_some())
            .count();
        assert_eq!(snapshot.running as usize, leases + snapshot.unclaimed);
        assert_eq!(snapshot.suspended, leases - running.len());
    }

    /// Everything ends by itself if those end that run, whatever was going on; then the node is entirely free.
    fn finish(mut self) {
        while !self.indices(|call| call.elsewhere > 0).is_empty() {
            self.step(&Op::Answer(0));
        }
        let mut rounds = 0;
        while !self.calls.is_empty() {
            for at in (0..self.calls.len()).rev() {
                self.step(&Op::Collect(at));
            }
            self.step(&Op::Started(0));
            self.step(&Op::Gone(0));
            let leaves = self.running();
            for at in leaves.into_iter().rev() {
                let name = self.calls[at].name;
                assert!(
                    self.calls.iter().all(|call| call.caller != Some(name)),
                    "a caller runs while it waits"
                );
                self.remove(at, SandboxCondition::Clean);
            }
            self.check();
            rounds += 1;
            assert!(rounds < 2_000, "calls wait for each other for ever");
        }
        while !self.starting.is_empty() {
            self.step(&Op::Started(0));
        }
        self.scheduler.drain(self.now, &mut self.effects);
        self.check();
        while !self.stopping.is_empty() {
            self.step(&Op::Gone(0));
        }
        let end = self.scheduler.snapshot();
        assert_eq!(
            (end.free, end.running, end.suspended, end.waiting.total()),
            (self.capacity, 0, 0, 0)
        );
        assert_eq!(end.pooled, PooledCounts::default());
        assert!(!self.scheduler.ledger.anything_stuck() && !self.scheduler.queue.has_nested());
    }
}

fn arrival(want: Want) -> Arrival {
    match want {
        Want::Key(key) => {
            let (demand, pool) = pooled(key);
            Arrival {
                demand,
                pool: Some(pool),
                ..Arrival::default()
            }
        }
        Want::Once(memory, cpu, slots) => Arrival {
            demand: demand(memory, cpu, slots),
            ..Arrival::default()
        },
    }
}

fn pick<T: Copy>(all: &[T], index: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[index % all.len()])
}

fn any_want(pools: bool) -> BoxedStrategy<Want> {
    let once = (1..4_u64, 0..3_u64, 0..2_u32)
        .prop_map(|(memory, cpu, slots)| Want::Once(memory, cpu, slots));
    if pools {
        prop_oneof![(0..KEYS.len()).prop_map(Want::Key), once].boxed()
    } else {
        once.boxed()
    }
}

fn any_op(pools: bool) -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (any_want(pools), 0..3_i64).prop_map(|(want, class)| Op::Arrive(want, class)),
        6 => (any::<usize>(), any_want(pools)).prop_map(|(index, want)| Op::Call(index, want)),
        1 => (any::<usize>(), any_want(pools)).prop_map(|(index, want)| Op::CallElsewhere(index, want)),
        1 => any::<usize>().prop_map(Op::Answer),
        4 => any::<usize>().prop_map(Op::End),
        1 => any::<usize>().prop_map(Op::GiveUp),
        6 => any::<usize>().prop_map(Op::Collect),
        3 => any::<usize>().prop_map(Op::Started),
        2 => any::<usize>().prop_map(Op::Gone),
    ]
}

fn any_capacity() -> impl Strategy<Value = Capacity> {
    // Often one CPU slot.
    (2..14_u64, 2..4_u64, 1..4_u32, 0..5_u32).prop_map(|(memory, cpu, slots, containers)| {
        let whole = demand(memory, cpu, slots);
        Capacity {
            memory: whole.memory,
            cpu: whole.cpu,
            slots,
            containers,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Everything that [`Model`] checks after each operation; and all of it ends once nothing new comes.
    #[test]
    fn nobody_waits_for_nobody(
        (pools, patient) in any::<(bool, bool)>(), capacity in any_capacity(), history in vec(any_op(true), 0..150),
    ) {
        let mut model = Model::new(capacity, if patient { PATIENCE_DEFAULT } else { Duration::ZERO });
        for op in history.iter().filter(|op| pools || !is_pooled(op)) {
            model.step(op);
        }
        model.finish();
    }

    /// One CPU and one slot are enough for calls within calls of any depth that memory has room for.
    #[test]
    fn one_slot_runs_calls_of_any_depth(depth in 1..20_usize, others in 0..5_usize) {
        let whole = demand(depth as u64, 1, 1);
        let mut model = Model::new(Capacity { memory: whole.memory, cpu: whole.cpu, slots: 1, containers: 0 }, PATIENCE_DEFAULT);
        model.step(&Op::Arrive(Want::Once(1, 1, 1), 0));
        (0..others).for_each(|_| model.step(&Op::Arrive(Want::Once(1, 1, 1), 1)));
        for level in 1..depth {
            let at = model.running();
            prop_assert_eq!(at.len(), 1);
            let caller = model.indices(|call| call.lease.is_some()).iter().position(|each| *each == at[0]);
            model.step(&Op::Call(caller.expect("it has a lease"), Want::Once(1, 1, 1)));
            prop_assert_eq!(model.indices(|call| call.lease.is_some()).len(), level + 1, "it runs at once");
        }
        prop_assert_eq!(model.deadlocks_refused, 0);
        let caller = model.running()[0];
        let place = model.indices(|call| call.lease.is_some()).iter().position(|each| *each == caller);
        model.step(&Op::Call(place.expect("it has a lease"), Want::Once(1, 1, 1)));
        prop_assert_eq!(model.deadlocks_refused, 1, "there is no memory left but what its callers hold");
        prop_assert_eq!(model.running(), vec![caller], "a refused call changes nothing");
        model.finish();
    }
}

fn is_pooled(op: &Op) -> bool {
    matches!(
        op,
        Op::Arrive(Want::Key(_), _)
            | Op::Call(_, Want::Key(_))
            | Op::CallElsewhere(_, Want::Key(_))
    )
}
