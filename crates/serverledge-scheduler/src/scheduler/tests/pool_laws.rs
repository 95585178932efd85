//! The laws of the warm pool, over random histories in which pooled and once-only calls compete.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::epoch;
use super::pool_model::{KEYS, Model, Op, demand, pooled};
use crate::PeerView;
use crate::{
    Admission, Arrival, Capacity, Config, Decided, Demand, Effects, QosClass, SandboxCondition,
    SandboxId, SandboxUse, Scheduler, TURN_EVERY,
};

fn any_capacity() -> impl Strategy<Value = Capacity> {
    (2..12_u64, 2..8_u64, 1..6_u32, 0..6_u32).prop_map(|(memory, cpu, slots, containers)| {
        let whole = demand(memory, cpu, slots);
        Capacity {
            memory: whole.memory,
            cpu: whole.cpu,
            slots,
            containers,
        }
    })
}

fn any_demand() -> impl Strategy<Value = Demand> {
    (0..9_u64, 0..4_u64, 0..3_u32).prop_map(|(memory, cpu, slots)| demand(memory, cpu, slots))
}

/// Half seconds, so that things fall due at the very moment of an operation.
fn any_ms() -> impl Strategy<Value = u64> {
    (0..24_u64).prop_map(|halves| halves * 500)
}

fn any_end() -> impl Strategy<Value = SandboxCondition> {
    prop_oneof![6 => Just(SandboxCondition::Clean), 1 => Just(SandboxCondition::Tainted), 1 => Just(SandboxCondition::NeverStarted)]
}

fn any_op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS.len();
    let pooled = (key(), 0..3_i64, option::of(any_ms()));
    let once = (any_demand(), 0..3_i64, option::of(any_ms()));
    prop_oneof![
        4 => prop_oneof![3 => Just(500), 1 => any_ms()].prop_map(|ms| Op::Pass { ms }),
        10 => pooled.prop_map(|(key, class, deadline_ms)| Op::Admit { key, class, deadline_ms }),
        3 => once.prop_map(|(demand, class, deadline_ms)| Op::AdmitOnce { demand, class, deadline_ms }),
        7 => (any::<usize>(), any_end()).prop_map(|(index, end)| Op::Release(index, end)),
        4 => any::<usize>().prop_map(Op::Started),
        1 => any::<usize>().prop_map(Op::Failed),
        3 => any::<usize>().prop_map(Op::Gone),
        4 => any::<usize>().prop_map(Op::Resume),
        2 => any::<usize>().prop_map(Op::Cancel),
        1 => any::<usize>().prop_map(Op::Condemn),
        1 => key().prop_map(Op::Retire),
        1 => (key(), 0..4_usize).prop_map(|(key, count)| Op::Prewarm { key, count }),
        1 => Just(Op::Expire),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Op>> {
    let resize = any_capacity().prop_map(Op::Resize);
    let open = vec(prop_oneof![40 => any_op(), 1 => resize], 0..250);
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
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Everything that [`Model`] checks after each operation; and nothing is left when everybody has gone.
    #[test]
    fn the_laws_hold(capacity in any_capacity(), queue_capacity in 0..12_usize, history in any_history()) {
        let idle_max = Duration::from_secs(5);
        let mut model = Model::new(Config { queue_capacity, idle_max, ..Config::new(capacity) });
        for op in &history {
            model.step(op);
        }
        model.finish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// A call for the whole node starts soon after its patience, whatever pooled calls come without end, and although
    /// stopping takes time.
    #[test]
    fn a_big_call_is_not_starved(calls in vec(vec((0..KEYS.len(), 0..3_i64, 1..=HOLD_MS), 0..4), 700)) {
        prop_assert!(big_call_starts_after_ms(&calls) <= 2_500 + (u64::from(TURN_EVERY) + 1) * HOLD_MS + STOP_MS);
    }
}

const HOLD_MS: u64 = 300;
const STOP_MS: u64 = 100;
const STEP_MS: u64 = 10;

/// Pooled calls (key, class, hold) arrive every [`STEP_MS`] on a node of ten MiB; a once-only call for all of it arrives
/// second. Returns how long that waits.
fn big_call_starts_after_ms(arrivals: &[Vec<(usize, i64, u64)>]) -> u64 {
    let start = epoch();
    let whole = demand(10, 1, 1);
    let capacity = Capacity {
        memory: whole.memory,
        cpu: demand(0, 100, 0).cpu,
        slots: 1,
        containers: 100,
    };
    let mut node = Scheduler::new(Config::new(capacity), start);
    let mut effects = Effects::default();
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    let mut stopping: Vec<(u64, SandboxId)> = Vec::new();
    let call = |key: usize, class| {
        let (demand, pool) = pooled(key);
        Arrival {
            demand,
            class: QosClass(class),
            pool: Some(pool),
            ..Arrival::default()
        }
    };
    let Admission::Run(first) = node.admit(start, call(0, 0), PeerView::NONE, &mut effects) else {
        panic!("the node is empty")
    };
    running.push((HOLD_MS, first));
    let once = Arrival {
        demand: whole,
        ..Arrival::default()
    };
    let Admission::Wait(big) = node.admit(start, once, PeerView::NONE, &mut effects) else {
        panic!("the node is taken")
    };
    for (ms, arrivals) in (0..).map(|step| step * STEP_MS).zip(arrivals) {
        let now = start + Duration::from_millis(ms);
        for (_, lease) in running.extract_if(.., |(end, _)| *end <= ms) {
            node.release(now, lease, SandboxCondition::Clean, &mut effects);
        }
        for (_, id) in stopping.extract_if(.., |(end, _)| *end <= ms) {
            node.gone(now, id, &mut effects);
        }
        for (key, class, hold) in arrivals {
            match node.admit(now, call(*key, *class), PeerView::NONE, &mut effects) {
                Admission::Run(lease) => running.push((ms + hold, lease)),
                Admission::Wait(ticket) => waiting.push((ticket, *hold)),
                Admission::Reject(_) => {}
                Admission::Offload(peer) => panic!("sent to {peer:?}"),
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
            if let Admission::Run(lease) = node.resume(now, held, &mut effects) {
                running.push((ms + hold, lease));
            }
        }
        for (_, lease) in &running {
            if let SandboxUse::Start(id) = lease.place() {
                node.started(now, id, &mut effects);
            }
        }
        stopping.extend(effects.stop.drain(..).map(|id| (ms + STOP_MS, id)));
    }
    STEP_MS * arrivals.len() as u64
}
