//! A reactor: parameters and result as JSON in guest memory, or a request and its response (`http_reactor.rs`).

use bytes::Bytes;
use serde::Deserialize;
use wasmtime::{
    Instance, InstancePre, Memory, Module, ModuleExport, Result, Store, TypedFunc, WasmParams,
    WasmResults,
};

use crate::core_guest::CoreGuest;
use crate::meter::Stop;
use crate::split_module::SplitModule;

/// Marks the result as an error object (bit 31 of the length).
const ERROR_BIT: u32 = 1 << 31;

/// A reactor, ready to be instantiated.
pub(crate) struct Reactor {
    code: ReactorCode,
    memory: ModuleExport,
    initialize: Option<ModuleExport>,
    alloc: ModuleExport,
    handle: ModuleExport,
}

/// The functions of an instance that a call goes through.
pub(crate) struct ReactorEntry {
    initialize: Option<TypedFunc<(), ()>>,
    alloc: TypedFunc<u32, u32>,
    handle: TypedFunc<(u32, u32), u64>,
}

/// The code that an instance is made of.
enum ReactorCode {
    Whole(InstancePre<CoreGuest>),
    Split(SplitModule),
}

/// The answer of a reactor.
pub(crate) enum Handled {
    /// The result.
    Value(Bytes),
    /// The function says that it failed.
    Failed(ErrorObject),
}

/// `{"error","message","stack"}`, every member optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorObject {
    error: String,
    message: String,
    pub(crate) stack: Option<String>,
}

impl ErrorObject {
    /// Kind and message on one line, whichever are there.
    pub(crate) fn words(&self) -> String {
        match (self.error.as_str(), self.message.as_str()) {
            ("", "") => "the function reported an error without a message".to_owned(),
            (kind, "") => kind.to_owned(),
            ("", message) => message.to_owned(),
            (kind, message) => format!("{kind}: {message}"),
        }
    }
}

impl Reactor {
    /// A reactor whose calls go to the export `handler`; `None` if an export is missing, which the inspection at deploy
    /// rules out.
    pub(crate) fn new(pre: InstancePre<CoreGuest>, handler: &str) -> Option<Self> {
        let module = pre.module().clone();
        Self::of(ReactorCode::Whole(pre), &module, handler)
    }

    /// The same of a module in two parts.
    pub(crate) fn split(split: SplitModule, handler: &str) -> Option<Self> {
        let module = split.engine().clone();
        Self::of(ReactorCode::Split(split), &module, handler)
    }

    fn of(code: ReactorCode, module: &Module, handler: &str) -> Option<Self> {
        let export = |name| module.get_export_index(name);
        let memory = export("memory")?;
        let alloc = export("serverledge_alloc")?;
        let handle = export(handler)?;
        let initialize = export("_initialize");
        Some(Self {
            code,
            memory,
            initialize,
            alloc,
            handle,
        })
    }

    /// The module whose exports an instance has.
    pub(crate) fn module(&self) -> &Module {
        match &self.code {
            ReactorCode::Whole(pre) => pre.module(),
            ReactorCode::Split(split) => split.engine(),
        }
    }

    pub(crate) fn memory(&self) -> &ModuleExport {
        &self.memory
    }

    /// The module that brings the memory.
    pub(crate) fn memory_module(&self) -> &Module {
        match &self.code {
            ReactorCode::Whole(pre) => pre.module(),
            ReactorCode::Split(split) => split.data(),
        }
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<CoreGuest>) -> Result<Instance> {
        match &self.code {
            ReactorCode::Whole(pre) => pre.instantiate_async(store).await,
            ReactorCode::Split(split) => split.instantiate(store).await,
        }
    }

    pub(crate) fn entry(
        &self,
        store: &mut Store<CoreGuest>,
        instance: Instance,
    ) -> Result<ReactorEntry> {
        let initialize = self
            .initialize
            .as_ref()
            .map(|initialize| function(store, instance, initialize));
        Ok(ReactorEntry {
            initialize: initialize.transpose()?,
            alloc: function(store, instance, &self.alloc)?,
            handle: function(store, instance, &self.handle)?,
        })
    }
}

impl ReactorEntry {
    /// One call; the parameters wait in the store's `stdin`.
    pub(crate) async fn call(
        &self,
        store: &mut Store<CoreGuest>,
        memory: Memory,
    ) -> Result<Handled> {
        if let Some(initialize) = &self.initialize {
            initialize.call_async(&mut *store, ()).await?;
        }
        let params = std::mem::take(&mut store.data_mut().stdin);
        // Parameters are limited to a few MiB, far below 2^32.
        let length = u32::try_from(params.len()).unwrap_or(u32::MAX);
        let at = self.alloc.call_async(&mut *store, length).await?;
        if at == 0 && length > 0 {
            return Err(Stop::NoRoom(length).into());
        }
        memory
            .write(&mut *store, at as usize, &params)
            .map_err(|_| Stop::Pointer("the host from serverledge_alloc"))?;
        let packed = self.handle.call_async(&mut *store, (at, length)).await?;
        collect(store, memory, packed)
    }
}

/// An export, which the inspection at deploy has found.
pub(crate) fn function<P: WasmParams, R: WasmResults>(
    store: &mut Store<CoreGuest>,
    instance: Instance,
    export: &ModuleExport,
) -> Result<TypedFunc<P, R>> {
    instance
        .get_module_export(&mut *store, export)
        .and_then(wasmtime::Extern::into_func)
        .ok_or_else(|| wasmtime::Error::msg("the module lost an export"))?
        .typed(&*store)
}

fn collect(store: &Store<CoreGuest>, memory: Memory, packed: u64) -> Result<Handled> {
    let at = (packed >> 32) as usize;
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is taken")]
    let tagged = packed as u32;
    let length = (tagged & !ERROR_BIT) as usize;
    let max = store.data().stdout_max;
    if length > max {
        return Err(Stop::Output(max).into());
    }
    let bytes = at
        .checked_add(length)
        .and_then(|end| memory.data(store).get(at..end))
        .ok_or(Stop::Pointer("the host from serverledge_handle"))?;
    if tagged & ERROR_BIT == 0 {
        return Ok(Handled::Value(Bytes::copy_from_slice(bytes)));
    }
    let object = serde_json::from_slice(bytes).unwrap_or_else(|_| ErrorObject {
        message: String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned(),
        ..ErrorObject::default()
    });
    Ok(Handled::Failed(object))
}
