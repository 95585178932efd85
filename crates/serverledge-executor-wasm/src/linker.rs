//! The functions that guests may import: one linker per kind of guest, the same in the compiling child and in the node.

use bytes::Bytes;
use serverledge_core::limits::{NAME_BYTES_MAX, PARAMS_BYTES_MAX};
use wasmtime::component::{Accessor, Resource};
use wasmtime::{AsContextMut as _, Caller, Engine, Linker, Result, StoreContextMut, component};
use wasmtime_wasi::p2::bindings::filesystem as preview2_files;
use wasmtime_wasi::p3::bindings::filesystem as preview3_files;
use wasmtime_wasi_http::p2::bindings::http::types::IoError;
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{FieldMap, WasiHttpView as _, p3};

use crate::component_files::HasFiles;
use crate::component_guest::ComponentGuest;
use crate::component_state;
use crate::core_guest::{CoreGuest, Reply};
use crate::core_outbound::{self, REQUEST_BYTES_MAX, SendError};
use crate::core_state::{self, StateCallError};
use crate::meter::{Stop, awaited};
use crate::wasi;

/// Marks the reply of a function of the module `serverledge` as an error object.
const ERROR_BIT: i64 = i64::MIN;

/// The function that calls another function, in words about a guest's pointers.
const CALL: &str = "serverledge::call";
/// The function that sends a request.
const SEND: &str = "serverledge::send";
/// The function that reaches the stores of the space.
const KV: &str = "serverledge::kv";

/// For core modules: WASI preview 1, the functions of the module `serverledge`, and a notice that some toolchains send.
pub(crate) fn core(engine: &Engine) -> Result<Linker<CoreGuest>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    // Emscripten's notice that memory has grown: a JavaScript host would renew its views of it.
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: i32| {})?;
    linker.func_wrap_async(
        "serverledge",
        "call",
        |mut guest: Caller<'_, CoreGuest>,
         (name, name_len, params, params_len, out, out_max): (u32, u32, u32, u32, u32, u32)| {
            Box::new(async move {
                let reply = if name_len == 0 {
                    kept_reply(&mut guest)
                } else {
                    // What was kept is of the call before.
                    guest.data_mut().kept_reply = None;
                    call(&mut guest, (name, name_len), (params, params_len)).await?
                };
                Ok(deliver(&mut guest, reply, (out, out_max), CALL)?)
            }) as Box<dyn Future<Output = Result<i64>> + Send>
        },
    )?;
    linker.func_wrap_async(
        "serverledge",
        "send",
        |mut guest: Caller<'_, CoreGuest>,
         (request, request_len, out, out_max): (u32, u32, u32, u32)| {
            Box::new(async move {
                let reply = if request_len == 0 {
                    kept_reply(&mut guest)
                } else {
                    guest.data_mut().kept_reply = None;
                    send(&mut guest, (request, request_len)).await?
                };
                Ok(deliver(&mut guest, reply, (out, out_max), SEND)?)
            }) as Box<dyn Future<Output = Result<i64>> + Send>
        },
    )?;
    linker.func_wrap_async(
        "serverledge",
        "kv",
        |mut guest: Caller<'_, CoreGuest>,
         (request, request_len, out, out_max): (u32, u32, u32, u32)| {
            Box::new(async move {
                let reply = if request_len == 0 {
                    kept_reply(&mut guest)
                } else {
                    guest.data_mut().kept_reply = None;
                    kv(&mut guest, (request, request_len)).await?
                };
                Ok(deliver(&mut guest, reply, (out, out_max), KV)?)
            }) as Box<dyn Future<Output = Result<i64>> + Send>
        },
    )?;
    Ok(linker)
}

/// The interface of requests and responses, in the version that wasmtime-wasi-http offers.
const HTTP_TYPES: &str = "wasi:http/types@0.2.12";

/// For components: the interfaces of WASI 0.2 and `wasi:keyvalue`. The files are those of the call, requests and stores go
/// through its host, and no socket reaches anything.
pub(crate) fn component(engine: &Engine) -> Result<component::Linker<ComponentGuest>> {
    let mut linker = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    // The implementation that is replaced opens files of the machine.
    preview2_files::types::add_to_linker::<_, HasFiles>(&mut linker, ComponentGuest::files)?;
    preview2_files::preopens::add_to_linker::<_, HasFiles>(&mut linker, ComponentGuest::files)?;
    linker.instance(HTTP_TYPES)?.func_wrap(
        "[static]outgoing-body.finish",
        |mut guest: StoreContextMut<'_, ComponentGuest>,
         (body, trailers): (Resource<HostOutgoingBody>, Option<Resource<FieldMap>>)| {
            Ok((guest.data_mut().finish_body(body, trailers)?,))
        },
    )?;
    // The implementation that is replaced has no code for a body that breaks off.
    linker.instance(HTTP_TYPES)?.func_wrap(
        "http-error-code",
        |guest: StoreContextMut<'_, ComponentGuest>, (error,): (Resource<IoError>,)| {
            Ok((guest.data().stream_error_code(&error)?,))
        },
    )?;
    linker.allow_shadowing(false);
    component_state::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The interface that a component of the world `middleware` passes requests on to.
const NEXT_HANDLER: &str = "wasi:http/handler@0.3.0";

/// For components of WASI 0.3, which may import what is of 0.2 as well.
pub(crate) fn concurrent_component(engine: &Engine) -> Result<component::Linker<ComponentGuest>> {
    let mut linker = component(engine)?;
    wasmtime_wasi::p3::cli::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::clocks::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::random::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::sockets::add_to_linker(&mut linker)?;
    preview3_files::types::add_to_linker::<_, HasFiles>(&mut linker, ComponentGuest::files)?;
    preview3_files::preopens::add_to_linker::<_, HasFiles>(&mut linker, ComponentGuest::files)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    linker.instance(NEXT_HANDLER)?.func_wrap_concurrent(
        "handle",
        |tasks: &Accessor<ComponentGuest>, (request,): (Resource<p3::Request>,)| {
            Box::pin(async move {
                tasks.with(|mut store| {
                    let request = store.data_mut().http().table.delete(request)?;
                    // As a request on its way, so that its body is let go of.
                    drop(request.into_http(&mut store, async { Ok(()) }));
                    Ok((Err::<Resource<p3::Response>, _>(
                        ErrorCode::HttpRequestDenied,
                    ),))
                })
            })
        },
    )?;
    Ok(linker)
}

async fn call(
    guest: &mut Caller<'_, CoreGuest>,
    name: (u32, u32),
    params: (u32, u32),
) -> Result<Reply, Stop> {
    let (name, params) = {
        let (memory, _) = wasi::memory(guest).map_err(|_| Stop::Pointer(CALL))?;
        let (Some(name), Some(params)) = (
            copy(memory, name, NAME_BYTES_MAX, CALL)?,
            copy(memory, params, PARAMS_BYTES_MAX, CALL)?,
        ) else {
            let message =
                format!("a name has at most {NAME_BYTES_MAX} bytes, parameters {PARAMS_BYTES_MAX}");
            return Ok(error("params_too_large", &message));
        };
        (name, params)
    };
    let Ok(name) = String::from_utf8(name) else {
        return Ok(error("invalid_name", "the name is not UTF-8"));
    };
    if serde_json::from_slice::<serde::de::IgnoredAny>(&params).is_err() {
        return Ok(error("invalid_params", "the parameters are not JSON"));
    }
    let Some(host) = guest.data().host() else {
        return Ok(error(
            "not_running",
            "functions cannot be called while the function is being loaded",
        ));
    };
    let calling = host.call(&name, Bytes::from(params));
    let called = awaited(guest.as_context_mut(), calling).await;
    Ok(replied(called, |fault| (fault.code(), fault.message())))
}

async fn send(guest: &mut Caller<'_, CoreGuest>, request: (u32, u32)) -> Result<Reply, Stop> {
    let request = whole_request(guest, request, SEND)?;
    let Some(host) = guest.data().host() else {
        return Ok(error(
            "not_running",
            "requests cannot be sent while the function is being loaded",
        ));
    };
    let response_bytes_max = guest.data().stdout_max;
    let sent = match request {
        Some(request) => {
            let sending = core_outbound::send(&*host, &request, response_bytes_max);
            awaited(guest.as_context_mut(), sending).await
        }
        None => Err(SendError::TooLarge(REQUEST_BYTES_MAX)),
    };
    Ok(replied(sent, |fault| (fault.code(), fault.to_string())))
}

async fn kv(guest: &mut Caller<'_, CoreGuest>, request: (u32, u32)) -> Result<Reply, Stop> {
    let request = whole_request(guest, request, KV)?;
    let Some(host) = guest.data().host() else {
        return Ok(error(
            "not_running",
            "stores cannot be reached while the function is being loaded",
        ));
    };
    let done = match request {
        Some(request) => awaited(guest.as_context_mut(), core_state::apply(&*host, &request)).await,
        None => Err(StateCallError::TooLarge(REQUEST_BYTES_MAX)),
    };
    Ok(replied(done, |fault| (fault.code(), fault.to_string())))
}

/// The request of a guest in one piece; `None` if it is too long.
fn whole_request(
    guest: &mut Caller<'_, CoreGuest>,
    request: (u32, u32),
    function: &'static str,
) -> Result<Option<Bytes>, Stop> {
    let (memory, _) = wasi::memory(guest).map_err(|_| Stop::Pointer(function))?;
    let request = copy(memory, request, REQUEST_BYTES_MAX, function)?;
    Ok(request.map(Bytes::from))
}

/// The reply of a host function: the outcome, or the code and the message of its error.
fn replied<E>(outcome: Result<Bytes, E>, told: impl FnOnce(&E) -> (&'static str, String)) -> Reply {
    match outcome {
        Ok(bytes) => Reply {
            bytes,
            is_error: false,
        },
        Err(fault) => {
            let (code, message) = told(&fault);
            error(code, &message)
        }
    }
}

/// The reply that was kept, which it is no longer.
fn kept_reply(guest: &mut Caller<'_, CoreGuest>) -> Reply {
    let kept = guest.data_mut().kept_reply.take();
    kept.unwrap_or_else(|| error("no_reply", "no reply is kept"))
}

/// A copy of guest memory, for this host function; `None` if it is longer than allowed.
fn copy(
    memory: &mut [u8],
    (at, length): (u32, u32),
    bytes_max: usize,
    function: &'static str,
) -> Result<Option<Vec<u8>>, Stop> {
    let bytes = wasi::range(memory, at, length as usize).map_err(|_| Stop::Pointer(function))?;
    Ok((bytes.len() <= bytes_max).then(|| bytes.to_vec()))
}

/// Writes the reply of a host function if it fits, else keeps it for a call with an empty name or request.
fn deliver(
    guest: &mut Caller<'_, CoreGuest>,
    reply: Reply,
    (out, out_max): (u32, u32),
    function: &'static str,
) -> Result<i64, Stop> {
    let length = i64::try_from(reply.bytes.len()).unwrap_or(i64::from(u32::MAX));
    let mark = if reply.is_error { ERROR_BIT } else { 0 };
    if reply.bytes.len() > out_max as usize {
        guest.data_mut().kept_reply = Some(reply);
        return Ok(length | mark);
    }
    let (memory, _) = wasi::memory(guest).map_err(|_| Stop::Pointer(function))?;
    wasi::range(memory, out, reply.bytes.len())
        .map_err(|_| Stop::Pointer(function))?
        .copy_from_slice(&reply.bytes);
    Ok(length | mark)
}

fn error(code: &str, message: &str) -> Reply {
    let object = serde_json::json!({ "error": code, "message": message });
    Reply {
        bytes: Bytes::from(object.to_string()),
        is_error: true,
    }
}
