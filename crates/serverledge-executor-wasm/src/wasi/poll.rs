//! `poll_oneoff`: waiting for clocks and descriptors.

use std::time::Duration;

use super::clocks::{clock_id, nanoseconds};
use super::errno::{FAULT, INVAL};
use super::lookup::is_open;
use super::memory::{Guest, memory, put, put_u32, range};
use crate::core_guest::{CoreGuest, World};

/// Most subscriptions of one `poll_oneoff`.
const SUBSCRIPTIONS_MAX: u32 = 64;

/// One subscription of `poll_oneoff`: what to write when it is due, and in how long that is.
struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    due: Duration,
    errno: u16,
}

pub(super) async fn poll(
    guest: &mut Guest<'_>,
    subscriptions: u32,
    events: u32,
    count: u32,
    written: u32,
) -> Result<(), i32> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(INVAL);
    }
    let list = {
        let (memory, state) = memory(guest)?;
        let of = |index| subscription(memory, state, subscriptions, index);
        (0..count).map(of).collect::<Result<Vec<_>, i32>>()?
    };
    let first = list
        .iter()
        .map(|subscription| subscription.due)
        .min()
        .unwrap_or_default();
    if let World::Still { nanoseconds, .. } = &mut guest.data_mut().world {
        *nanoseconds =
            nanoseconds.saturating_add(u64::try_from(first.as_nanos()).unwrap_or(u64::MAX));
    } else if !first.is_zero() {
        tokio::time::sleep(first).await;
    }
    let mut ready = 0;
    for subscription in list.iter().filter(|subscription| subscription.due <= first) {
        put(
            guest,
            events.checked_add(ready * 32).ok_or(FAULT)?,
            &event(subscription),
        )?;
        ready += 1;
    }
    put_u32(guest, written, ready)
}

fn subscription(
    memory: &mut [u8],
    state: &CoreGuest,
    list: u32,
    index: u32,
) -> Result<Subscription, i32> {
    const BYTES: u32 = 48;
    let at = list
        .checked_add(index.checked_mul(BYTES).ok_or(FAULT)?)
        .ok_or(FAULT)?;
    let raw = range(memory, at, BYTES as usize)?;
    let mut user_data = [0; 8];
    user_data.copy_from_slice(&raw[..8]);
    let field = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
    let kind = raw[8];
    let word = u32::from_le_bytes([raw[16], raw[17], raw[18], raw[19]]);
    let (due, errno) = match kind {
        0 => clock_due(&state.world, word, field(24), raw[40] & 1 == 1),
        // Nobody waits for a file either.
        1 | 2 => (Duration::ZERO, if is_open(state, word) { 0 } else { 8 }),
        _ => return Err(INVAL),
    };
    Ok(Subscription {
        user_data,
        kind,
        due,
        errno,
    })
}

fn clock_due(world: &World, clock: u32, nanos: u64, absolute: bool) -> (Duration, u16) {
    match clock_id(clock) {
        Some(id) if absolute => (
            Duration::from_nanos(nanos.saturating_sub(nanoseconds(world, id))),
            0,
        ),
        Some(_) => (Duration::from_nanos(nanos), 0),
        None => (Duration::ZERO, 28),
    }
}

fn event(subscription: &Subscription) -> [u8; 32] {
    let mut event = [0; 32];
    event[..8].copy_from_slice(&subscription.user_data);
    event[8..10].copy_from_slice(&subscription.errno.to_le_bytes());
    event[10] = subscription.kind;
    event
}
