//! Store data of components. They are granted files in memory, if their code comes with some, and the requests and stores
//! that their host has for them; no sockets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_core::Version;
use tokio::io::AsyncWrite;
use tokio_util::sync::DropGuard;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, IoError};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::{FieldMap, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::component_files::{ComponentFiles, FilesView};
use crate::component_state::{ComponentStores, StoresView};
use crate::files::Preopen;
use crate::invocation_facts::InvocationFacts;
use crate::log_tail::LogTail;
use crate::meter::{Meter, Metered, Stop};
use crate::outbound::{Outbound, body_error_code};

/// One invocation of a component.
pub(crate) struct ComponentGuest {
    meter: Meter,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outbound: Outbound,
    files: ComponentFiles,
    stores: ComponentStores,
    /// Whether the request is `HEAD`.
    is_head: bool,
}

/// The part that a component plays.
pub(crate) enum ComponentRole {
    /// A handler of requests. Its standard output is its log.
    Handler {
        /// Whether the request is `HEAD`.
        is_head: bool,
    },
    /// A program.
    Program {
        /// The arguments after the function's name.
        args: Vec<String>,
        stdin: Bytes,
        stdout: ProgramOutput,
    },
}

impl ComponentGuest {
    pub(crate) fn new(
        meter: Meter,
        version: &Version,
        facts: &InvocationFacts,
        outbound: Outbound,
        role: ComponentRole,
    ) -> Self {
        let log = outbound.log();
        let mut wasi = WasiCtx::builder();
        wasi.allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES_MAX)
            .arg(facts.function.as_str())
            .stderr(GuestStream::Log(log.clone()));
        let is_head = match role {
            ComponentRole::Handler { is_head } => {
                wasi.stdout(GuestStream::Log(log.clone()));
                is_head
            }
            ComponentRole::Program {
                args,
                stdin,
                stdout,
            } => {
                wasi.args(&args)
                    .stdin(MemoryInputPipe::new(stdin))
                    .stdout(GuestStream::Output(stdout));
                false
            }
        };
        for (name, value) in facts.environment(version) {
            wasi.env(name, &value);
        }
        let http = WasiHttpCtx::new();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            meter,
            wasi: wasi.build(),
            http,
            table,
            stores: ComponentStores::new(outbound.host()),
            outbound,
            files: ComponentFiles::default(),
            is_head,
        }
    }

    /// Ends the requests that it still sends when it is dropped, which is before the store is.
    pub(crate) fn outbound_guard(&self) -> DropGuard {
        self.outbound.guard()
    }

    /// Gives it directories.
    pub(crate) fn open(&mut self, preopens: Vec<Preopen>) {
        self.files = ComponentFiles::new(preopens);
    }

    /// Its files, as their interfaces have them.
    pub(crate) fn files(&mut self) -> FilesView<'_> {
        FilesView {
            files: &mut self.files,
            table: &mut self.table,
        }
    }

    /// The stores of its space, as their interfaces have them.
    pub(crate) fn stores(&mut self) -> StoresView<'_> {
        StoresView {
            stores: &mut self.stores,
            table: &mut self.table,
        }
    }

    /// Ends a body of the guest's. In the answer to `HEAD` none is sent, so that it need not be as long as its head says
    /// (RFC 9110 §9.3.2).
    pub(crate) fn finish_body(
        &mut self,
        body: Resource<HostOutgoingBody>,
        trailers: Option<Resource<FieldMap>>,
    ) -> wasmtime::Result<Result<(), ErrorCode>> {
        let body = self.table.delete(body)?;
        let trailers = trailers
            .map(|trailers| self.table.delete(trailers))
            .transpose()?;
        let finished = body.finish(trailers);
        Ok(if self.is_head { Ok(()) } else { finished })
    }

    /// The code of an error that a stream gave; `None` if it is not one of HTTP.
    pub(crate) fn stream_error_code(
        &self,
        error: &Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(error)?;
        Ok(match error.downcast_ref() {
            Some(fault) => Some(body_error_code(fault)),
            None => error.downcast_ref::<ErrorCode>().cloned(),
        })
    }
}

impl Metered for ComponentGuest {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

impl WasiView for ComponentGuest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for ComponentGuest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

/// Handles that a component has at once: requests, bodies, streams, and its own resources. Their host side is no memory
/// of the guest's.
pub(crate) const HANDLES_MAX: usize = 10_000;
/// Bytes of random numbers that are asked for at once.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Bytes taken by one write: more than any line, little enough to be copied within a tick.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// The standard output of a program, up to a limit. Clones share it.
#[derive(Clone)]
pub(crate) struct ProgramOutput {
    written: Arc<Mutex<Written>>,
    bytes_max: usize,
}

/// The bytes of an output, and whether more was written than it takes.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    is_exceeded: bool,
}

impl ProgramOutput {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            written: Arc::default(),
            bytes_max,
        }
    }

    /// Takes what was written.
    pub(crate) fn take(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.written.lock().bytes))
    }

    /// The reason to stop a program that has written more than is taken.
    pub(crate) fn exceeded(&self) -> Option<Stop> {
        let is_exceeded = self.written.lock().is_exceeded;
        is_exceeded.then_some(Stop::Output(self.bytes_max))
    }

    fn push(&self, bytes: &[u8]) -> Result<(), Stop> {
        let mut written = self.written.lock();
        if written.bytes.len() + bytes.len() > self.bytes_max {
            written.is_exceeded = true;
            return Err(Stop::Output(self.bytes_max));
        }
        written.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// A standard stream that a component writes to.
#[derive(Clone)]
enum GuestStream {
    /// Its log.
    Log(LogTail),
    /// The output of a program.
    Output(ProgramOutput),
}

impl GuestStream {
    fn push(&self, bytes: &[u8]) -> Result<(), Stop> {
        match self {
            Self::Log(log) => log.push(bytes),
            Self::Output(output) => output.push(bytes)?,
        }
        Ok(())
    }
}

/// The form of WASI 0.3. A program that writes too much is told that its output is gone, and found out at its end.
impl AsyncWrite for GuestStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        Poll::Ready(match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(stop) => Err(std::io::Error::new(std::io::ErrorKind::BrokenPipe, stop)),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes)
            .map_err(|stop| StreamError::Trap(stop.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}
