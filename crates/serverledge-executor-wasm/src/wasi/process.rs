//! The functions that have nothing to do with descriptors: arguments, environment, clocks, randomness, the end.

use wasmtime::{Linker, Result};

use super::clocks::{clock_id, nanoseconds};
use super::errno::{INVAL, IO, NOSYS, SUCCESS, outcome};
use super::memory::{
    CALL_BYTES_MAX, Guest, MODULE, memory, put, put_strings, put_u32, range, to_u32,
};
use super::poll::poll;
use crate::core_guest::{CoreGuest, World};
use crate::meter::Stop;

pub(super) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |mut guest: Guest<'_>, count: u32, bytes: u32| {
            let (number, length) = guest
                .data()
                .arguments()
                .fold((0, 0), |(number, length), one| {
                    (number + 1, length + one.len() + 1)
                });
            outcome(
                [(count, number), (bytes, to_u32(length))]
                    .into_iter()
                    .try_for_each(|(at, value)| put_u32(&mut guest, at, value)),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |mut guest: Guest<'_>, list: u32, buffer: u32| {
            let arguments: Vec<String> = guest.data().arguments().map(str::to_owned).collect();
            outcome(put_strings(&mut guest, list, buffer, &arguments))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut guest: Guest<'_>, count: u32, bytes: u32| {
            let environment = guest.data().environment();
            let length = environment.iter().map(|entry| entry.len() + 1).sum();
            outcome(
                put_u32(&mut guest, count, to_u32(environment.len()))
                    .and_then(|()| put_u32(&mut guest, bytes, to_u32(length))),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |mut guest: Guest<'_>, list: u32, buffer: u32| {
            let environment = guest.data().environment();
            outcome(put_strings(&mut guest, list, buffer, &environment))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |mut guest: Guest<'_>, clock: u32, at: u32| match clock_id(clock) {
            Some(_) => outcome(put(&mut guest, at, &1_000_u64.to_le_bytes())),
            None => INVAL,
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut guest: Guest<'_>, clock: u32, _precision: u64, at: u32| match clock_id(clock) {
            Some(id) => {
                let now = nanoseconds(&guest.data().world, id);
                outcome(put(&mut guest, at, &now.to_le_bytes()))
            }
            None => INVAL,
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "random_get",
        |mut guest: Guest<'_>, (at, length): (u32, u32)| {
            Box::new(async move { random(&mut guest, at, length).await.map(outcome) })
        },
    )?;
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> Result<()> {
        Err(Stop::Exit(code).into())
    })?;
    linker.func_wrap(MODULE, "proc_raise", |_signal: u32| NOSYS)?;
    linker.func_wrap_async(MODULE, "sched_yield", |_guest: Guest<'_>, (): ()| {
        Box::new(async {
            tokio::task::yield_now().await;
            SUCCESS
        })
    })?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut guest: Guest<'_>, (subscriptions, events, count, written): (u32, u32, u32, u32)| {
            Box::new(async move {
                outcome(poll(&mut guest, subscriptions, events, count, written).await)
            })
        },
    )?;
    Ok(())
}

/// The outer error ends the guest: a long request is drawn in pieces, each of which costs it a slice of processor time.
async fn random(guest: &mut Guest<'_>, at: u32, length: u32) -> Result<Result<(), i32>> {
    if let Err(errno) =
        memory(guest).and_then(|(memory, _)| range(memory, at, length as usize).map(|_| ()))
    {
        return Ok(Err(errno));
    }
    let mut done = 0;
    while done < length as usize {
        if done > 0 {
            guest.data_mut().meter.charge()?;
            tokio::task::yield_now().await;
        }
        let piece = CALL_BYTES_MAX.min(length as usize - done);
        if let Err(errno) = draw(guest, at.saturating_add(to_u32(done)), piece) {
            return Ok(Err(errno));
        }
        done += piece;
    }
    Ok(Ok(()))
}

fn draw(guest: &mut Guest<'_>, at: u32, length: usize) -> Result<(), i32> {
    let (memory, state) = memory(guest)?;
    let target = range(memory, at, length)?;
    if let World::Still { random, .. } = &mut state.world {
        target.chunks_mut(8).for_each(|chunk| {
            chunk.copy_from_slice(&random.next_u64().to_le_bytes()[..chunk.len()])
        });
        return Ok(());
    }
    getrandom::fill(target).map_err(|_| IO)
}
