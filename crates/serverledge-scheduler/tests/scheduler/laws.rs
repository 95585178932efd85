//! The laws, over random histories.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serverledge_scheduler::{
    Admission, Arrival, Capacity, Config, Decided, Demand, Effects, Lease, PeerView, QosClass,
    Rank, SandboxCondition, Scheduler, TURN_EVERY, Ticket, TicketId,
};

use crate::epoch;
use crate::model::{Model, Op, capacity, demand};

fn any_capacity() -> impl Strategy<Value = Capacity> {
    (2..10_u64, 2..10_u64, 1..6_u32).prop_map(|(memory, cpu, slots)| capacity(memory, cpu, slots))
}

/// Some are too big for some nodes; some need nothing of one resource; many are equal.
fn any_demand() -> impl Strategy<Value = Demand> {
    let any =
        (0..8_u64, 0..4_u64, 0..3_u32).prop_map(|(memory, cpu, slots)| demand(memory, cpu, slots));
    prop_oneof![Just(demand(2, 1, 1)), any]
}

/// Half seconds, so that things fall due at the very moment of an operation.
fn any_ms() -> impl Strategy<Value = u64> {
    (0..24_u64).prop_map(|halves| halves * 500)
}

fn any_op() -> impl Strategy<Value = Op> {
    let admit = (any_demand(), 0..4_i64, option::of(any_ms()));
    prop_oneof![
        3 => prop_oneof![3 => Just(500), 1 => any_ms()].prop_map(|ms| Op::Pass { ms }),
        8 => admit.prop_map(|(demand, class, deadline_ms)| Op::Admit { demand, class, deadline_ms }),
        4 => any::<usize>().prop_map(Op::Release),
        3 => any::<usize>().prop_map(Op::Resume),
        2 => any::<usize>().prop_map(Op::Cancel),
        1 => Just(Op::Expire),
    ]
}

/// Histories in which the node may also change its size and, near the end, drain.
fn any_history() -> impl Strategy<Value = Vec<Op>> {
    let resize = any_capacity().prop_map(Op::Resize);
    let open = vec(prop_oneof![30 => any_op(), 1 => resize], 0..200);
    let drained = option::of(vec(any_op(), 0..20));
    (open, drained).prop_map(|(mut ops, drained)| {
        if let Some(rest) = drained {
            ops.push(Op::Drain);
            ops.extend(rest);
        }
        ops
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Everything that [`Model`] checks: one outcome for each call; the books; the order; no work left undone; claims;
    /// expiry on time; draining; and nothing leaks.
    #[test]
    fn the_laws_hold(capacity in any_capacity(), queue_capacity in 0..12_usize, history in any_history()) {
        let mut model = Model::new(Config { queue_capacity, ..Config::new(capacity) });
        for op in &history {
            model.step(op);
        }
        model.finish();
    }

    /// Class, deadline and arrival decide, except at turns. And none of them keeps a call waiting for ever: with `p`
    /// older calls before it, at most `(TURN_EVERY - 1) * (p + 1)` younger ones start first.
    #[test]
    fn the_order_is_kept_and_starves_nobody(
        ops in vec((any::<bool>(), 0..3_i64, option::of(1..1_000_u64)), 0..300),
    ) {
        let mut line = Line::new(3);
        for (arrives, class, deadline_ms) in ops {
            if arrives { line.arrive(class, deadline_ms) } else { line.end_one() }
        }
    }

    /// A call for the whole node starts soon after its patience, whatever small calls come without end.
    #[test]
    fn a_big_call_is_not_starved(
        holds in vec(vec((1..4_u64, 0..3_i64, 1..=HOLD_MS), 0..4), 700),
    ) {
        prop_assert!(big_call_starts_after_ms(&holds) <= 2_500 + (u64::from(TURN_EVERY) + 1) * HOLD_MS);
    }
}

/// Calls of equal demand that wait for a full node, at one moment.
struct Line {
    scheduler: Scheduler,
    now: Instant,
    running: Vec<Lease>,
    /// The waiting calls, in the order of arrival.
    waiting: Vec<InLine>,
    starts_since_turn: u32,
}

struct InLine {
    ticket: Ticket,
    /// The documented order of service, smallest first.
    place: (Reverse<Rank>, Instant, TicketId),
    /// The number of younger ones that may still pass it.
    patience: u32,
}

impl Line {
    fn new(slots: u32) -> Self {
        let now = epoch();
        let scheduler = Scheduler::new(Config::new(capacity(100, 100, slots)), now);
        Self {
            scheduler,
            now,
            running: Vec::new(),
            waiting: Vec::new(),
            starts_since_turn: 0,
        }
    }

    fn arrive(&mut self, class: i64, deadline_ms: Option<u64>) {
        let deadline = deadline_ms.map(|ms| self.now + Duration::from_millis(ms));
        let arrival = Arrival {
            demand: demand(1, 1, 1),
            class: QosClass(class),
            deadline,
            ..Arrival::default()
        };
        match self
            .scheduler
            .admit(self.now, arrival, PeerView::NONE, &mut Effects::default())
        {
            Admission::Run(lease) => self.running.push(lease),
            Admission::Wait(ticket) => self.queue(ticket, &arrival),
            other => panic!("{other:?}"),
        }
    }

    fn queue(&mut self, ticket: Ticket, arrival: &Arrival) {
        let older = u32::try_from(self.waiting.len()).expect("few");
        let due = arrival
            .deadline
            .unwrap_or(self.now + Duration::from_secs(3600));
        let place = (Reverse(arrival.class.rank()), due, ticket.id());
        self.waiting.push(InLine {
            ticket,
            place,
            patience: (TURN_EVERY - 1) * (older + 1),
        });
    }

    fn end_one(&mut self) {
        let Some(lease) = self.running.pop() else {
            return;
        };
        let mut effects = Effects::default();
        self.scheduler
            .release(self.now, lease, SandboxCondition::Clean, &mut effects);
        for Decided { ticket, .. } in effects.decided {
            self.start(ticket);
        }
    }

    fn start(&mut self, id: TicketId) {
        let index = self
            .waiting
            .iter()
            .position(|call| call.ticket.id() == id)
            .expect("it waited");
        let InLine { ticket, place, .. } = self.waiting.remove(index);
        for passed in &mut self.waiting[..index] {
            let left = passed.patience.checked_sub(1);
            passed.patience =
                left.unwrap_or_else(|| panic!("{:?} was passed too often", passed.ticket.id()));
        }
        self.check_turn(index, place);
        match self
            .scheduler
            .resume(self.now, ticket, &mut Effects::default())
        {
            Admission::Run(lease) => self.running.push(lease),
            other => panic!("granted, but {other:?}"),
        }
    }

    /// Checks that a call started out of order is the oldest, and that this happens only once in [`TURN_EVERY`] starts.
    fn check_turn(&mut self, index: usize, place: (Reverse<Rank>, Instant, TicketId)) {
        self.starts_since_turn += 1;
        if self.waiting.iter().any(|passed| passed.place < place) {
            assert_eq!(index, 0, "out of order, but not the oldest");
            assert!(
                self.starts_since_turn >= TURN_EVERY,
                "out of order too often"
            );
            self.starts_since_turn = 0;
        }
    }
}

const HOLD_MS: u64 = 300;
const STEP_MS: u64 = 10;

/// Small calls (memory, class, hold) arrive every [`STEP_MS`] on a node of ten; a call for all ten arrives as the first
/// that has to wait. Returns how long it waits.
fn big_call_starts_after_ms(arrivals: &[Vec<(u64, i64, u64)>]) -> u64 {
    let start = epoch();
    let mut scheduler = Scheduler::new(Config::new(capacity(10, 100, 100)), start);
    let mut running: Vec<(u64, Lease)> = Vec::new();
    let mut waiting: Vec<(Ticket, u64)> = Vec::new();
    let mut effects = Effects::default();
    let Admission::Run(first) = scheduler.admit(start, small(1, 1), PeerView::NONE, &mut effects)
    else {
        panic!("the node is empty")
    };
    running.push((HOLD_MS, first));
    let Admission::Wait(big) = scheduler.admit(start, small(10, 0), PeerView::NONE, &mut effects)
    else {
        panic!("the node is taken")
    };
    for (ms, arrivals) in (0..).map(|step| step * STEP_MS).zip(arrivals) {
        let now = start + Duration::from_millis(ms);
        for (_, lease) in running.extract_if(.., |(end, _)| *end <= ms) {
            scheduler.release(now, lease, SandboxCondition::Clean, &mut effects);
        }
        for (memory, class, hold) in arrivals {
            match scheduler.admit(now, small(*memory, *class), PeerView::NONE, &mut effects) {
                Admission::Run(lease) => running.push((ms + hold, lease)),
                Admission::Wait(ticket) => waiting.push((ticket, *hold)),
                Admission::Reject(_) | Admission::Offload(_) => {}
            }
        }
        if effects.decided.iter().any(|news| news.ticket == big.id()) {
            return ms;
        }
        for Decided { ticket, .. } in std::mem::take(&mut effects.decided) {
            let Some(index) = waiting.iter().position(|(held, _)| held.id() == ticket) else {
                continue;
            };
            let (held, hold) = waiting.swap_remove(index);
            if let Admission::Run(lease) = scheduler.resume(now, held, &mut Effects::default()) {
                running.push((ms + hold, lease));
            }
        }
    }
    STEP_MS * arrivals.len() as u64
}

fn small(memory: u64, class: i64) -> Arrival {
    Arrival {
        demand: demand(memory, 1, 1),
        class: QosClass(class),
        ..Arrival::default()
    }
}
