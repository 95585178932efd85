//! The books: what the node has and what is leased out.

use serverledge_core::{CpuMilli, MemoryMib};

use crate::arrival::Demand;
use crate::config::Capacity;

/// What the node has, and what running calls took. Only [`Ledger::reserve`] and [`Ledger::give_back`] change the
/// latter, always by what one lease carries.
#[derive(Debug)]
pub(crate) struct Ledger {
    capacity: Capacity,
    used: Demand,
    leases: u32,
}

impl Ledger {
    pub(crate) const fn new(capacity: Capacity) -> Self {
        Self { capacity, used: Demand::NONE, leases: 0 }
    }

    pub(crate) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// What was taken stays taken, even where it is more than there is now.
    pub(crate) const fn set_capacity(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    pub(crate) const fn leases(&self) -> u32 {
        self.leases
    }

    /// What nobody has leased; zero where the capacity shrank below what is in use.
    pub(crate) fn free(&self) -> Capacity {
        let Self { capacity, used, .. } = self;
        Capacity {
            memory: MemoryMib::new(capacity.memory.get().saturating_sub(used.memory.get())),
            cpu: CpuMilli::new(capacity.cpu.get().saturating_sub(used.cpu.get())),
            slots: capacity.slots.saturating_sub(used.slots),
        }
    }

    /// Whether `need` can start now without touching `held`, which is kept for somebody else.
    ///
    /// Where `held` does not fit itself, nothing of what it lacks can be taken, but calls that need none of that
    /// can start: they do not delay it.
    pub(crate) fn fits(&self, need: Demand, held: Demand) -> bool {
        let Self { capacity, used, .. } = self;
        fits_one(used.memory.get(), need.memory.get(), held.memory.get(), capacity.memory.get())
            && fits_one(used.cpu.get(), need.cpu.get(), held.cpu.get(), capacity.cpu.get())
            && fits_one(used.slots.into(), need.slots.into(), held.slots.into(), capacity.slots.into())
    }

    /// Whether the node, entirely free, has room for `need`.
    pub(crate) fn could_fit(&self, need: Demand) -> bool {
        let Self { capacity, .. } = self;
        need.memory <= capacity.memory && need.cpu <= capacity.cpu && need.slots <= capacity.slots
    }

    /// Takes `need`, which the caller saw to fit.
    pub(crate) fn reserve(&mut self, need: Demand) {
        let Self { used, .. } = self;
        used.memory = MemoryMib::new(used.memory.get() + need.memory.get());
        used.cpu = CpuMilli::new(used.cpu.get() + need.cpu.get());
        used.slots += need.slots;
        self.leases += 1;
    }

    /// Gives back what one lease took.
    pub(crate) fn give_back(&mut self, need: Demand) {
        let Self { used, .. } = self;
        used.memory = MemoryMib::new(used.memory.get() - need.memory.get());
        used.cpu = CpuMilli::new(used.cpu.get() - need.cpu.get());
        used.slots -= need.slots;
        self.leases -= 1;
    }
}

/// One resource. Who needs nothing of it fits even where more is in use than there is.
fn fits_one(used: u64, need: u64, held: u64, capacity: u64) -> bool {
    let wanted = used.checked_add(need).and_then(|sum| sum.checked_add(held));
    need == 0 || wanted.is_some_and(|sum| sum <= capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand((memory, cpu, slots): (u64, u64, u32)) -> Demand {
        Demand { memory: MemoryMib::new(memory), cpu: CpuMilli::new(cpu), slots }
    }

    #[test]
    fn fits_in_each_resource_beside_what_is_held() {
        let capacity = Capacity { memory: MemoryMib::new(100), cpu: CpuMilli::new(1000), slots: 4 };
        let mut ledger = Ledger::new(capacity);
        ledger.reserve(demand((60, 500, 1)));
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
            assert_eq!(ledger.fits(demand(need), demand(held)), fits, "{need:?} beside {held:?}");
        }
        ledger.give_back(demand((60, 500, 1)));
        assert_eq!(ledger.free(), capacity);
    }

    #[test]
    fn a_shrunk_node_has_nothing_free() {
        let mut ledger = Ledger::new(Capacity { memory: MemoryMib::new(8), cpu: CpuMilli::new(8), slots: 8 });
        ledger.reserve(demand((8, 1, 1)));
        ledger.set_capacity(Capacity { memory: MemoryMib::new(4), cpu: CpuMilli::new(4), slots: 4 });
        assert_eq!(ledger.free(), Capacity { memory: MemoryMib::new(0), cpu: CpuMilli::new(3), slots: 3 });
        assert!(!ledger.fits(demand((1, 0, 1)), Demand::NONE));
        assert!(ledger.fits(demand((0, 3, 3)), Demand::NONE));
    }
}
