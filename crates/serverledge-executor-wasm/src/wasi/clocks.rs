//! The clocks that a guest can read.

use rustix::time::{ClockId, clock_gettime};

use crate::core_guest::World;

pub(super) fn clock_id(clock: u32) -> Option<ClockId> {
    match clock {
        0 => Some(ClockId::Realtime),
        1 => Some(ClockId::Monotonic),
        _ => None,
    }
}

pub(super) fn nanoseconds(world: &World, clock: ClockId) -> u64 {
    if let World::Still { nanoseconds, .. } = world {
        return *nanoseconds;
    }
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
