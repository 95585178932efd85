//! WASI preview 1 (`wasi_snapshot_preview1`, as of WASI commit `snapshot-01`) for functions: arguments, environment,
//! clocks, randomness, and the three standard streams. There are no files and no sockets to be granted: every
//! descriptor above 2 is `EBADF`, every path is `ENOTCAPABLE`. A surface this small can be read in one sitting, and
//! costs a fresh instance nothing.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Caller, Extern, Linker, Result};

use crate::core_guest::{CoreGuest, World};
use crate::meter::Stop;

const MODULE: &str = "wasi_snapshot_preview1";

// Error numbers of preview 1.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const IO: i32 = 29;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;
const NOTCAPABLE: i32 = 76;

/// Most bytes that one call reads or writes, and that one draws at a time: the host must not be kept busy between two
/// ticks. Programs see a short read or write, as from any pipe.
const CALL_BYTES_MAX: usize = 1 << 20;
/// Most buffers of one vectored call that are looked at.
const IOVS_MAX: u32 = 1024;
/// Most subscriptions of one `poll_oneoff`.
const SUBSCRIPTIONS_MAX: u32 = 64;

type Guest<'a> = Caller<'a, CoreGuest>;

/// Offers every function of preview 1.
pub(crate) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    add_process(linker)?;
    add_streams(linker)?;
    add_descriptors(linker)?;
    add_refused(linker)
}

fn add_process(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |mut guest: Guest<'_>, count: u32, bytes: u32| {
            let length = to_u32(guest.data().name().len() + 1);
            outcome(
                [(count, 1), (bytes, length)]
                    .into_iter()
                    .try_for_each(|(at, value)| put_u32(&mut guest, at, value)),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |mut guest: Guest<'_>, list: u32, buffer: u32| {
            let name = guest.data().name().to_owned();
            outcome(put_strings(&mut guest, list, buffer, &[name]))
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

fn add_streams(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, read: u32| {
            if fd != 0 {
                return BADF;
            }
            outcome(
                read_stdin(&mut guest, iovs, count)
                    .and_then(|bytes| put_u32(&mut guest, read, bytes)),
            )
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, written: u32| -> Result<i32> {
            if !matches!(fd, 1 | 2) {
                return Ok(BADF);
            }
            match write(&mut guest, fd, iovs, count)? {
                Ok(bytes) => Ok(outcome(put_u32(&mut guest, written, bytes))),
                Err(errno) => Ok(errno),
            }
        },
    )?;
    Ok(())
}

/// The file type of a pipe, for which preview 1 has no name. A character device without a position is a terminal to every
/// libc: programs would prompt, and colour what they print.
const UNKNOWN_TYPE: u8 = 0;

/// The descriptors that exist are pipes: they have no position.
fn add_descriptors(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            if fd > 2 {
                return BADF;
            }
            let mut stat = [0; 24];
            stat[0] = UNKNOWN_TYPE;
            let rights: u64 = if fd == 0 { 1 << 1 } else { 1 << 6 }; // fd_read, fd_write
            stat[8..16].copy_from_slice(&rights.to_le_bytes());
            outcome(put(&mut guest, at, &stat))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |mut guest: Guest<'_>, fd: u32, at: u32| {
            if fd > 2 {
                return BADF;
            }
            let mut stat = [0; 64];
            stat[16] = UNKNOWN_TYPE;
            outcome(put(&mut guest, at, &stat))
        },
    )?;
    linker.func_wrap(MODULE, "fd_close", |fd: u32| standard(fd, SUCCESS))?;
    linker.func_wrap(MODULE, "fd_sync", |fd: u32| standard(fd, SUCCESS))?;
    linker.func_wrap(MODULE, "fd_datasync", |fd: u32| standard(fd, SUCCESS))?;
    linker.func_wrap(MODULE, "fd_seek", |fd: u32, _: i64, _: u32, _: u32| {
        standard(fd, SPIPE)
    })?;
    linker.func_wrap(MODULE, "fd_tell", |fd: u32, _: u32| standard(fd, SPIPE))?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |fd: u32, _: u32| {
        standard(fd, SUCCESS)
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_rights", |fd: u32, _: u64, _: u64| {
        standard(fd, SUCCESS)
    })?;
    linker.func_wrap(MODULE, "fd_advise", |fd: u32, _: u64, _: u64, _: u32| {
        standard(fd, SPIPE)
    })?;
    linker.func_wrap(MODULE, "fd_allocate", |fd: u32, _: u64, _: u64| {
        standard(fd, INVAL)
    })?;
    linker.func_wrap(MODULE, "fd_filestat_set_size", |fd: u32, _: u64| {
        standard(fd, INVAL)
    })?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_times",
        |fd: u32, _: u64, _: u64, _: u32| standard(fd, INVAL),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pread",
        |fd: u32, _: u32, _: u32, _: u64, _: u32| standard(fd, SPIPE),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pwrite",
        |fd: u32, _: u32, _: u32, _: u64, _: u32| standard(fd, SPIPE),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_readdir",
        |fd: u32, _: u32, _: u32, _: u64, _: u32| standard(fd, INVAL),
    )?;
    linker.func_wrap(MODULE, "fd_renumber", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| BADF)?;
    Ok(())
}

fn add_refused(linker: &mut Linker<CoreGuest>) -> Result<()> {
    linker.func_wrap(MODULE, "path_create_directory", |_: u32, _: u32, _: u32| {
        NOTCAPABLE
    })?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |_: u32, _: u32, _: u32, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |_: u32, _: u32, _: u32, _: u32, _: u64, _: u64, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(
        MODULE,
        "path_link",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(
        MODULE,
        "path_open",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u64, _: u64, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(
        MODULE,
        "path_readlink",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(MODULE, "path_remove_directory", |_: u32, _: u32, _: u32| {
        NOTCAPABLE
    })?;
    linker.func_wrap(
        MODULE,
        "path_rename",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(
        MODULE,
        "path_symlink",
        |_: u32, _: u32, _: u32, _: u32, _: u32| NOTCAPABLE,
    )?;
    linker.func_wrap(MODULE, "path_unlink_file", |_: u32, _: u32, _: u32| {
        NOTCAPABLE
    })?;
    linker.func_wrap(MODULE, "sock_accept", |_: u32, _: u32, _: u32| BADF)?;
    linker.func_wrap(
        MODULE,
        "sock_recv",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| BADF,
    )?;
    linker.func_wrap(
        MODULE,
        "sock_send",
        |_: u32, _: u32, _: u32, _: u32, _: u32| BADF,
    )?;
    linker.func_wrap(MODULE, "sock_shutdown", |_: u32, _: u32| BADF)?;
    Ok(())
}

fn standard(fd: u32, errno: i32) -> i32 {
    if fd <= 2 { errno } else { BADF }
}

fn outcome(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(SUCCESS)
}

/// Lengths of 32-bit guests; what does not fit cannot be theirs, and the maximum fails their bounds checks.
fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

// === guest memory ===

/// The guest's memory and the rest of its state, borrowed apart. `EFAULT` if the module has no memory.
pub(crate) fn memory<'a>(
    guest: &'a mut Guest<'_>,
) -> Result<(&'a mut [u8], &'a mut CoreGuest), i32> {
    let memory = match guest.data().memory {
        Some(memory) => memory,
        None => guest
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or(FAULT)?,
    };
    Ok(memory.data_and_store_mut(guest))
}

/// A range of guest memory, checked.
pub(crate) fn range(memory: &mut [u8], at: u32, length: usize) -> Result<&mut [u8], i32> {
    let start = at as usize;
    memory
        .get_mut(start..start.checked_add(length).ok_or(FAULT)?)
        .ok_or(FAULT)
}

fn put(guest: &mut Guest<'_>, at: u32, bytes: &[u8]) -> Result<(), i32> {
    let (memory, _) = memory(guest)?;
    range(memory, at, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

fn put_u32(guest: &mut Guest<'_>, at: u32, value: u32) -> Result<(), i32> {
    put(guest, at, &value.to_le_bytes())
}

fn get_u32(memory: &mut [u8], at: u32) -> Result<u32, i32> {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(range(memory, at, 4)?);
    Ok(u32::from_le_bytes(bytes))
}

/// NUL-terminated strings into `buffer`, their addresses into `list`.
fn put_strings(
    guest: &mut Guest<'_>,
    list: u32,
    buffer: u32,
    strings: &[String],
) -> Result<(), i32> {
    let (memory, _) = memory(guest)?;
    let mut entry = list;
    let mut at = buffer;
    for string in strings {
        range(memory, entry, 4)?.copy_from_slice(&at.to_le_bytes());
        let slot = range(memory, at, string.len() + 1)?;
        slot[..string.len()].copy_from_slice(string.as_bytes());
        slot[string.len()] = 0;
        entry = entry.checked_add(4).ok_or(FAULT)?;
        at = at.checked_add(to_u32(string.len() + 1)).ok_or(FAULT)?;
    }
    Ok(())
}

/// One buffer of a vectored call: address and length.
fn iovec(memory: &mut [u8], iovs: u32, index: u32) -> Result<(u32, usize), i32> {
    let at = iovs
        .checked_add(index.checked_mul(8).ok_or(FAULT)?)
        .ok_or(FAULT)?;
    Ok((
        get_u32(memory, at)?,
        get_u32(memory, at.checked_add(4).ok_or(FAULT)?)? as usize,
    ))
}

// === streams ===

fn read_stdin(guest: &mut Guest<'_>, iovs: u32, count: u32) -> Result<u32, i32> {
    let (memory, state) = memory(guest)?;
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let (at, length) = iovec(memory, iovs, index)?;
        let length = length.min(state.stdin.len()).min(CALL_BYTES_MAX - total);
        range(memory, at, length)?.copy_from_slice(&state.stdin.split_to(length));
        total += length;
        if state.stdin.is_empty() || total == CALL_BYTES_MAX {
            break;
        }
    }
    Ok(to_u32(total))
}

/// The outer error ends the guest, the inner one is the guest's errno.
fn write(guest: &mut Guest<'_>, fd: u32, iovs: u32, count: u32) -> Result<Result<u32, i32>> {
    let (memory, state) = match memory(guest) {
        Ok(both) => both,
        Err(errno) => return Ok(Err(errno)),
    };
    let mut total = 0;
    for index in 0..count.min(IOVS_MAX) {
        let piece = iovec(memory, iovs, index)
            .and_then(|(at, length)| range(memory, at, length.min(CALL_BYTES_MAX - total)));
        let bytes = match piece {
            Ok(bytes) => bytes,
            Err(errno) => return Ok(Err(errno)),
        };
        total += bytes.len();
        if fd == 2 {
            state.log.push(bytes);
        } else if state.stdout.len() + bytes.len() > state.stdout_max {
            return Err(Stop::Output(state.stdout_max).into());
        } else {
            state.stdout.extend_from_slice(bytes);
        }
        if total == CALL_BYTES_MAX {
            break;
        }
    }
    Ok(Ok(to_u32(total)))
}

// === clocks and randomness ===

fn clock_id(clock: u32) -> Option<ClockId> {
    match clock {
        0 => Some(ClockId::Realtime),
        1 => Some(ClockId::Monotonic),
        _ => None,
    }
}

fn nanoseconds(world: &World, clock: ClockId) -> u64 {
    if let World::Still { nanoseconds, .. } = world {
        return *nanoseconds;
    }
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
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

// === polling ===

/// One subscription of `poll_oneoff`: what to write when it is due, and in how long that is.
struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    due: Duration,
    errno: u16,
}

async fn poll(
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
        let of = |index| subscription(memory, &state.world, subscriptions, index);
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
    world: &World,
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
        0 => clock_due(world, word, field(24), raw[40] & 1 == 1),
        1 | 2 => (Duration::ZERO, if word <= 2 { 0 } else { 8 }),
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
