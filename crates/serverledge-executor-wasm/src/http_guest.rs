//! Store data of `wasi:http` components. They are granted nothing: no files, no sockets, no requests of their own.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use serverledge_core::Version;
use tokio::io::AsyncWrite;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, FieldMap, ForbiddenHeaderFilter, RequestOptions, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::log_tail::LogTail;
use crate::meter::{Meter, Metered};

/// One invocation of a component.
pub(crate) struct HttpGuest {
    meter: Meter,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: NothingGranted,
    /// Whether the request is `HEAD`.
    is_head: bool,
}

impl HttpGuest {
    pub(crate) fn new(
        meter: Meter,
        version: &Version,
        function: &str,
        id: &str,
        log: &LogTail,
        is_head: bool,
    ) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.allow_tcp(false)
            .allow_udp(false)
            .arg(function)
            .stdout(LogStream(log.clone()))
            .stderr(LogStream(log.clone()));
        for (name, value) in version.env.iter().chain(&version.secrets.values) {
            wasi.env(name, value);
        }
        wasi.env("SERVERLEDGE_HANDLER", &version.handler)
            .env("SERVERLEDGE_INVOCATION_ID", id);
        let http = WasiHttpCtx::new();
        let table = ResourceTable::new();
        let hooks = NothingGranted;
        Self {
            meter,
            wasi: wasi.build(),
            http,
            table,
            hooks,
            is_head,
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
}

impl Metered for HttpGuest {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

impl WasiView for HttpGuest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HttpGuest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Refuses every outgoing request.
struct NothingGranted;

static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NothingGranted {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&FORBIDDEN)
    }

    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        _request: http::Request<UnsyncBoxBody<Bytes, Error>>,
        _options: Option<RequestOptions>,
        _io: Io,
    ) -> Box<
        dyn Future<Output = Result<(http::Response<UnsyncBoxBody<Bytes, Error>>, Io), Error>>
            + Send,
    > {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

/// Standard output and error of a component: its log.
#[derive(Clone)]
struct LogStream(LogTail);

/// Bytes taken by one write: more than any line, little enough to be copied within a tick.
const WRITE_BYTES_MAX: usize = 64 * 1024;

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}
