//! Runs a `wasi:cli` component: a program with parameters on stdin and the result on stdout.

use wasmtime::{Result, Store};
use wasmtime_wasi::I32Exit;

use crate::component_guest::ComponentGuest;
use crate::component_program::CliProgram;
use crate::http::GuestFault;
use crate::lane::guarded;
use crate::meter::{Metered as _, Stop};
use crate::service::finish;

/// The end of a program.
pub(crate) struct ProgramEnd {
    pub(crate) result: std::result::Result<(), GuestFault>,
    pub(crate) memory_refused: bool,
}

/// One run of the program, to be polled until it ends.
pub(crate) async fn run(pre: CliProgram, mut store: Store<ComponentGuest>) -> ProgramEnd {
    let _outbound = store.data().outbound_guard();
    let result = guarded(run_in(&pre, &mut store)).await;
    let result = result.map_err(GuestFault::from).flatten();
    ProgramEnd {
        result: result.and_then(ended),
        memory_refused: store.data_mut().meter().memory_refused,
    }
}

/// The outer error is of the time before any code of the guest ran.
async fn run_in(
    pre: &CliProgram,
    store: &mut Store<ComponentGuest>,
) -> std::result::Result<Result<std::result::Result<(), ()>>, GuestFault> {
    match pre {
        CliProgram::Preview2(pre) => {
            let program = pre.instantiate_async(&mut *store).await;
            let program = program.map_err(GuestFault::Host)?;
            Ok(program.wasi_cli_run().call_run(&mut *store).await)
        }
        CliProgram::Preview3(pre) => {
            let program = pre.instantiate_async(&mut *store).await;
            let program = program.map_err(GuestFault::Host)?;
            let run = store.run_concurrent(async |tasks| {
                let result = program.wasi_cli_run().call_run(tasks).await?;
                finish(tasks).await;
                Ok(result)
            });
            Ok(run.await.flatten())
        }
    }
}

fn ended(result: Result<std::result::Result<(), ()>>) -> std::result::Result<(), GuestFault> {
    match result {
        Ok(Ok(())) => Ok(()),
        // A program has no other way to say so than this one code.
        Ok(Err(())) => Err(GuestFault::Guest(Stop::Exit(1).into())),
        Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
        Err(error) => Err(GuestFault::Guest(error)),
    }
}
