//! WASI preview 1 (`wasi_snapshot_preview1`, as of WASI commit `snapshot-01`) for functions: arguments, environment,
//! clocks, randomness, the three standard streams, and files in memory for those whose code comes with some. There are no
//! sockets to be granted. Without files every descriptor above 2 is `EBADF`, and every path is `ENOTCAPABLE`. A surface
//! this small can be read in one sitting, and costs a fresh instance nothing.

mod clocks;
mod descriptors;
mod errno;
mod lookup;
mod memory;
mod paths;
mod poll;
mod process;
mod stat;
mod streams;

use wasmtime::{Linker, Result};

use crate::core_guest::CoreGuest;

pub(crate) use memory::{memory, range};

/// Offers every function of preview 1.
pub(crate) fn add_to_linker(linker: &mut Linker<CoreGuest>) -> Result<()> {
    process::add_to_linker(linker)?;
    streams::add_to_linker(linker)?;
    descriptors::add_to_linker(linker)?;
    paths::add_to_linker(linker)?;
    add_sockets(linker)
}

/// No descriptor is a socket.
fn add_sockets(linker: &mut Linker<CoreGuest>) -> Result<()> {
    use lookup::no_socket;
    use memory::{Guest, MODULE};

    linker.func_wrap(
        MODULE,
        "sock_accept",
        |guest: Guest<'_>, fd: u32, _: u32, _: u32| no_socket(&guest, fd),
    )?;
    linker.func_wrap(
        MODULE,
        "sock_recv",
        |guest: Guest<'_>, fd: u32, _: u32, _: u32, _: u32, _: u32, _: u32| no_socket(&guest, fd),
    )?;
    linker.func_wrap(
        MODULE,
        "sock_send",
        |guest: Guest<'_>, fd: u32, _: u32, _: u32, _: u32, _: u32| no_socket(&guest, fd),
    )?;
    linker.func_wrap(
        MODULE,
        "sock_shutdown",
        |guest: Guest<'_>, fd: u32, _: u32| no_socket(&guest, fd),
    )?;
    Ok(())
}
