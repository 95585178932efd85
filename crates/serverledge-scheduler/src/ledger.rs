//! The books: what the node has and what is leased out.

use serverledge_core::{CpuMilli, MemoryMib};

use crate::arrival::{Amounts, Demand};
use crate::config::Capacity;

/// The node's resources, and the parts that running calls and pooled sandboxes took.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Everything taken stays taken, even where that is more than there is now.
    pub(crate) capacity: Capacity,
    used: Amounts,
    /// The part of `used` that sandboxes hold which are being stopped: it will be free without anybody's doing.
    leaving: Amounts,
    /// The part of `used` that only the calls of suspended leases can make free.
    stuck: Amounts,
    /// The number of leases out.
    pub(crate) leases: u32,
}

/// The resources that can be taken beside those kept for another call.
///
/// If the kept demand itself does not fit, nothing of what it lacks can be taken. Calls that need none of that can
/// start: they do not delay it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    free: Amounts,
    /// Whether what is taken already may stay taken for longer.
    may_stay: [bool; 4],
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            used: Amounts::default(),
            leaving: Amounts::default(),
            stuck: Amounts::default(),
            leases: 0,
        }
    }

    /// The resources that are not taken; zero where the capacity shrank below what is in use.
    pub(crate) fn free(&self) -> Capacity {
        let [memory, cpu, slots, containers] = self.room(Demand::NONE).free;
        let count = |free| u32::try_from(free).unwrap_or(u32::MAX);
        Capacity {
            memory: MemoryMib::new(memory),
            cpu: CpuMilli::new(cpu),
            slots: count(slots),
            containers: count(containers),
        }
    }

    /// The amounts that will be free when all sandboxes being stopped are gone.
    #[inline]
    pub(crate) fn left(&self) -> Amounts {
        let capacity = self.capacity.amounts();
        std::array::from_fn(|at| capacity[at].saturating_sub(self.staying(at)))
    }

    /// By how much the sandboxes and calls that stay exceed what there is; only a shrunk node has such a thing.
    #[inline]
    pub(crate) fn overdrawn(&self) -> Amounts {
        let capacity = self.capacity.amounts();
        std::array::from_fn(|at| self.staying(at).saturating_sub(capacity[at]))
    }

    /// The resources that can be taken now without touching `held`, which is kept for another call and may come out of
    /// what is being stopped.
    #[inline]
    pub(crate) fn room(&self, held: Demand) -> Room {
        let left = self.left();
        let held = held.amounts();
        let capacity = self.capacity.amounts();
        let beside = |at: usize| left[at].saturating_sub(held[at]);
        Room {
            free: std::array::from_fn(|at| {
                beside(at).min(capacity[at].saturating_sub(self.used[at]))
            }),
            may_stay: std::array::from_fn(|at| held[at] == 0 || held[at] <= left[at]),
        }
    }

    /// Whether the node, entirely free, has room for `need`.
    pub(crate) fn could_fit(&self, need: Demand) -> bool {
        need.amounts()
            .iter()
            .zip(self.capacity.amounts())
            .all(|(need, capacity)| *need <= capacity)
    }

    /// Takes `need`, which the caller saw to fit.
    #[inline]
    pub(crate) fn take(&mut self, need: Demand) {
        add(&mut self.used, need);
    }

    /// Gives back what was taken.
    #[inline]
    pub(crate) fn give_back(&mut self, need: Demand) {
        subtract(&mut self.used, need);
    }

    /// Marks `kept`, which is taken, as about to be given back.
    pub(crate) fn leave(&mut self, kept: Demand) {
        add(&mut self.leaving, kept);
    }

    /// Gives back what was leaving.
    pub(crate) fn left_for_good(&mut self, kept: Demand) {
        subtract(&mut self.leaving, kept);
        subtract(&mut self.used, kept);
    }

    /// Marks `kept` as stuck: a suspended lease keeps it, or a sandbox with one, and only the calls of that lease make
    /// it free.
    pub(crate) fn stick(&mut self, kept: Demand) {
        add(&mut self.stuck, kept);
    }

    /// That is over.
    pub(crate) fn unstick(&mut self, kept: Demand) {
        subtract(&mut self.stuck, kept);
    }

    pub(crate) fn anything_stuck(&self) -> bool {
        self.stuck != Amounts::default()
    }

    /// Whether `need` would fit beside what is stuck, if all else were free.
    pub(crate) fn can_become_free(&self, need: Demand) -> bool {
        let capacity = self.capacity.amounts();
        let beside = (0..).zip(need.amounts());
        beside
            .into_iter()
            .all(|(at, need): (usize, u64)| need <= capacity[at].saturating_sub(self.stuck[at]))
    }

    /// Whether a lease may take `need` again, which it gave up for a while. Where the node has shrunk below it, all of the
    /// node will do.
    pub(crate) fn regains(&self, need: Demand) -> bool {
        let capacity = self.capacity.amounts();
        let needs = (0..).zip(need.amounts());
        needs.into_iter().all(|(at, need): (usize, u64)| {
            need.min(capacity[at]) <= capacity[at].saturating_sub(self.used[at])
        })
    }

    const fn staying(&self, at: usize) -> u64 {
        self.used[at] - self.leaving[at]
    }
}

// === impl Room ===

impl Room {
    /// Whether `need` can be taken.
    #[inline]
    pub(crate) fn fits(&self, need: Demand) -> bool {
        need.amounts()
            .iter()
            .zip(self.free)
            .all(|(need, free)| *need <= free)
    }

    /// Whether `kept`, taken already, may stay taken for longer without delaying anybody.
    pub(crate) fn may_stay(&self, kept: Demand) -> bool {
        kept.amounts()
            .iter()
            .zip(self.may_stay)
            .all(|(kept, may_stay)| *kept == 0 || may_stay)
    }
}

fn add(amounts: &mut Amounts, more: Demand) {
    amounts
        .iter_mut()
        .zip(more.amounts())
        .for_each(|(amount, more)| *amount += more);
}

fn subtract(amounts: &mut Amounts, less: Demand) {
    amounts
        .iter_mut()
        .zip(less.amounts())
        .for_each(|(amount, less)| *amount -= less);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand((memory, cpu, slots): (u64, u64, u32)) -> Demand {
        Demand {
            memory: MemoryMib::new(memory),
            cpu: CpuMilli::new(cpu),
            slots,
            containers: 0,
        }
    }

    #[test]
    fn fits_in_each_resource_beside_what_is_held() {
        let capacity = Capacity {
            memory: MemoryMib::new(100),
            cpu: CpuMilli::new(1000),
            slots: 4,
            containers: 0,
        };
        let mut ledger = Ledger::new(capacity);
        ledger.take(demand((60, 500, 1)));
        for (need, held, fits) in [
            ((40, 500, 3), (0, 0, 0), true),
            ((41, 0, 1), (0, 0, 0), false),
            ((0, 501, 1), (0, 0, 0), false),
            ((0, 0, 4), (0, 0, 0), false),
            ((10, 100, 1), (30, 400, 2), true),
            ((11, 100, 1), (30, 400, 2), false),
            // The held one lacks CPU alone: who needs none may pass, as long as it leaves enough of the rest.
            ((20, 0, 1), (20, 900, 1), true),
            ((21, 0, 1), (20, 900, 1), false),
            ((20, 1, 1), (20, 900, 1), false),
            ((u64::MAX, 0, 1), (0, 0, 0), false),
            ((0, 0, 0), (100, 1000, 4), true),
        ] {
            assert_eq!(
                ledger.room(demand(held)).fits(demand(need)),
                fits,
                "{need:?} beside {held:?}"
            );
        }
        ledger.give_back(demand((60, 500, 1)));
        assert_eq!(ledger.free(), capacity);
    }

    #[test]
    fn a_shrunk_node_has_nothing_free() {
        let mut ledger = Ledger::new(Capacity {
            memory: MemoryMib::new(8),
            cpu: CpuMilli::new(8),
            slots: 8,
            containers: 0,
        });
        ledger.take(demand((8, 1, 1)));
        ledger.capacity = Capacity {
            memory: MemoryMib::new(4),
            cpu: CpuMilli::new(4),
            slots: 4,
            containers: 0,
        };
        assert_eq!(
            ledger.free(),
            Capacity {
                memory: MemoryMib::new(0),
                cpu: CpuMilli::new(3),
                slots: 3,
                containers: 0
            }
        );
        assert!(!ledger.room(Demand::NONE).fits(demand((1, 0, 1))));
        assert!(ledger.room(Demand::NONE).fits(demand((0, 3, 3))));
    }
}
