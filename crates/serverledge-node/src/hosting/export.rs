//! An application as one file: a tar with `application.json` and the code of each function. What is in it was made by anybody:
//! nothing of it is unpacked to the disk, and names only have to agree with each other.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_api::{
    AppError, Applications as _, Deploy, HostingError, Imported, check_dependencies, parse_cors,
};
use serverledge_core::{
    AppName, Application, Caller, ENDPOINTS_MAX, Endpoint, Function, FunctionName, Progress,
    Runtime,
};
use serverledge_wire::application::{CorsInfo, EndpointInfo};
use serverledge_wire::function::{FunctionBody, FunctionInfo};
use serverledge_wire::hosting::{EXPORT_SCHEMA, Export, ExportedFunction};

use crate::javascript::source_of;
use crate::node::{Node, NodeBackend};

const MANIFEST: &str = "application.json";
/// Largest manifest: names, settings, variables, and a dependencies file.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Functions of one file.
const FUNCTIONS_MAX: usize = 200;
const MODE: u32 = 0o644;

impl Node {
    pub(super) async fn export_application(
        &self,
        application: &Application,
    ) -> Result<Bytes, HostingError> {
        let mut functions = Vec::new();
        let mut files: Vec<(String, Bytes)> = Vec::new();
        for function in self.functions_of(application) {
            let code = source_of(function.version.runtime, self.stored_code(&function).await?);
            let file = format!("code/{}", function.name);
            functions.push(exported(&function, file.clone()).map_err(|error| internal(&error))?);
            files.push((file, code));
        }
        let export = Export {
            schema: EXPORT_SCHEMA,
            name: application.name.to_string(),
            cors: CorsInfo::from(&application.cors),
            hands_out_nested: application.hands_out_nested,
            own_origin: application.own_origin,
            dependencies: application.dependencies.clone(),
            endpoints: application
                .endpoints
                .iter()
                .map(EndpointInfo::from)
                .collect(),
            functions,
        };
        let manifest = serde_json::to_vec_pretty(&export).map_err(|error| internal(&error))?;
        files.insert(0, (MANIFEST.to_owned(), manifest.into()));
        tar_of(&files).map_err(|error| internal(&error))
    }
}

fn internal(error: &dyn std::error::Error) -> HostingError {
    HostingError::Internal {
        message: format!("failed to write the file of an application: {error}"),
    }
}

/// What `POST /create` would take, apart from code and secrets.
fn exported(function: &Function, code: String) -> Result<ExportedFunction, serde_json::Error> {
    let (version, limits, flags) = (&function.version, &function.version.limits, function.flags);
    let info = FunctionInfo::from(function);
    let body = FunctionBody {
        name: function.name.to_string().into(),
        runtime: version.runtime.name().into(),
        memory_mb: i64::try_from(limits.memory.get()).ok(),
        cpu_demand: limits.cpu.cores(),
        max_concurrency: limits.max_concurrency.into(),
        handler: version.handler.clone().into(),
        custom_image: version.image.clone().into(),
        signature: info.signature,
        timeout: Some(limits.timeout.as_secs_f64()),
        cpu_time: limits.cpu_time.map(|time| time.as_secs_f64()),
        env: version.env.clone(),
        network: version.network.name().into(),
        idempotent: flags.idempotent,
        edge: flags.edge,
        supported_archs: flags.archs.names().into_iter().map(str::to_owned).collect(),
        ..FunctionBody::default()
    };
    let body = RawValue::from_string(serde_json::to_string(&body)?)?;
    Ok(ExportedFunction {
        body,
        code,
        secrets: version.secrets.values.keys().cloned().collect(),
    })
}

fn tar_of(files: &[(String, Bytes)]) -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(0);
        tar.append_data(&mut header, path, &bytes[..])?;
    }
    Ok(tar.into_inner()?.into())
}

/// A file that was read and checked, before anything is made of it.
struct Read {
    name: AppName,
    settings: Application,
    functions: Vec<(Box<RawValue>, Bytes)>,
    remarks: Vec<String>,
}

/// An application that is not whole yet. Dropping it deletes it.
struct Unfinished {
    node: Arc<Node>,
    application: Option<Arc<Application>>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(application) = self.application.take() else {
            return;
        };
        let node = Arc::clone(&self.node);
        self.node
            .background
            .spawn(async move { node.delete_unfinished(&application).await });
    }
}

impl Node {
    async fn delete_unfinished(&self, application: &Application) {
        if let Err(error) = self.delete_application(&application.id).await {
            tracing::warn!(name = %application.name, %error, "failed to delete an application that was imported in part");
        }
    }
}

impl NodeBackend {
    pub(super) async fn import_application(
        &self,
        caller: &Caller,
        name: Option<AppName>,
        file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError> {
        let read = read(file, self.0.limits.code_bytes_max)?;
        let name = name.unwrap_or(read.name);
        let made = self.create(caller, name.clone()).await?;
        let mut unfinished = Unfinished {
            node: Arc::clone(&self.0),
            application: Some(Arc::clone(&made)),
        };
        let filled = self
            .fill(caller, &made, read.settings, &read.functions, progress)
            .await;
        if filled.is_ok() {
            unfinished.application = None;
        } else if let Some(made) = unfinished.application.take() {
            // Here, not when it is dropped: whoever hears of the failure finds the name free.
            self.0.delete_unfinished(&made).await;
        }
        Ok(Imported {
            name,
            functions: filled?,
            remarks: read.remarks,
        })
    }

    async fn fill(
        &self,
        caller: &Caller,
        made: &Application,
        settings: Application,
        functions: &[(Box<RawValue>, Bytes)],
        progress: &dyn Progress,
    ) -> Result<Vec<FunctionName>, HostingError> {
        // The dependencies first: the functions' packages are those.
        let change = |application: &mut Application| {
            *application = Application {
                cors: settings.cors.clone(),
                hands_out_nested: settings.hands_out_nested,
                own_origin: settings.own_origin,
                dependencies: settings.dependencies.clone(),
                endpoints: settings.endpoints.clone(),
                ..Application::clone(application)
            };
            Ok(())
        };
        self.0
            .edit_application(caller, made.name.as_str(), change)
            .await?;
        let caller = caller.on(made.space.clone());
        let mut names = Vec::new();
        for (body, code) in functions {
            let body = body_of(body)?;
            let encoded = STANDARD.encode(code);
            let function =
                FunctionName::parse(&body.name).map_err(|fault| malformed(fault.to_string()))?;
            progress.step(&format!("deploying {function}"));
            // The code of a custom function is its image's name.
            let is_image = body.runtime.parse() == Ok(Runtime::Custom);
            let tar_function_code = if is_image { "".into() } else { encoded.into() };
            let body = FunctionBody {
                tar_function_code,
                ..body
            };
            let deployed =
                serverledge_api::Backend::deploy(self, &caller, Deploy::Create, body, progress)
                    .await;
            deployed.map_err(|source| HostingError::Function {
                function: function.clone(),
                source,
            })?;
            names.push(function);
        }
        Ok(names)
    }
}

fn malformed(message: impl Into<String>) -> HostingError {
    AppError::Invalid {
        code: "malformed_export",
        message: message.into(),
    }
    .into()
}

fn body_of(body: &RawValue) -> Result<FunctionBody<'_>, HostingError> {
    FunctionBody::parse(body.get().as_bytes())
        .map_err(|fault| malformed(format!("a function's body: {fault}")))
}

fn read(file: &[u8], code_bytes_max: usize) -> Result<Read, HostingError> {
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().map_err(|fault| unreadable(&fault))?;
    let first = entries
        .next()
        .ok_or_else(|| malformed("the file is empty"))?
        .map_err(|fault| unreadable(&fault))?;
    if first.path_bytes() != MANIFEST.as_bytes() {
        return Err(malformed(format!(
            "the file is no exported application: it does not begin with {MANIFEST}"
        )));
    }
    let mut text = Vec::new();
    first
        .take(MANIFEST_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|fault| unreadable(&fault))?;
    let export: Export = serde_json::from_slice(&text)
        .map_err(|fault| malformed(format!("{MANIFEST} is malformed: {fault}")))?;
    let wanted: HashSet<&str> = export
        .functions
        .iter()
        .map(|one| one.code.as_str())
        .collect();
    let mut codes = BTreeMap::new();
    for entry in entries {
        let mut entry = entry.map_err(|fault| unreadable(&fault))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !wanted.contains(path.as_str()) || !entry.header().entry_type().is_file() {
            return Err(malformed(format!("{path:?} is not what {MANIFEST} names")));
        }
        let mut code = Vec::new();
        let room = code_bytes_max as u64 + CODE_OVERHEAD_BYTES;
        entry
            .by_ref()
            .take(room + 1)
            .read_to_end(&mut code)
            .map_err(|fault| unreadable(&fault))?;
        if code.len() as u64 > room {
            return Err(malformed(format!(
                "{path:?} has more than {code_bytes_max} bytes"
            )));
        }
        codes.insert(path, Bytes::from(code));
    }
    checked(export, &codes)
}

/// What a tar adds to its files is not code.
const CODE_OVERHEAD_BYTES: u64 = 1 << 20;

fn unreadable(fault: &io::Error) -> HostingError {
    malformed(format!(
        "the file is no exported application: it cannot be read as a tar: {fault}"
    ))
}

fn checked(export: Export, codes: &BTreeMap<String, Bytes>) -> Result<Read, HostingError> {
    if export.schema != EXPORT_SCHEMA {
        return Err(malformed(format!(
            "the file has schema {}, this node reads {EXPORT_SCHEMA}",
            export.schema
        )));
    }
    let name = AppName::parse(&export.name).map_err(|fault| malformed(fault.to_string()))?;
    if export.functions.len() > FUNCTIONS_MAX || export.endpoints.len() > ENDPOINTS_MAX {
        return Err(malformed(format!(
            "more than {FUNCTIONS_MAX} functions or {ENDPOINTS_MAX} endpoints"
        )));
    }
    let (mut functions, mut names, mut remarks) = (Vec::new(), HashSet::new(), Vec::new());
    for one in export.functions {
        let function = body_of(&one.body)?.name.into_owned();
        let code = codes
            .get(&one.code)
            .ok_or_else(|| malformed(format!("{:?} is not in the file", one.code)))?;
        if !names.insert(function.clone()) {
            return Err(malformed(format!("function {function:?} is named twice")));
        }
        if !one.secrets.is_empty() {
            remarks.push(format!(
                "secrets of {function} have to be set anew: {}",
                one.secrets.join(", ")
            ));
        }
        functions.push((one.body, code.clone()));
    }
    let settings = Application {
        id: serverledge_core::AppId::new(),
        name: name.clone(),
        owner: None,
        space: serverledge_core::SpaceId::new(),
        endpoints: endpoints(&export.endpoints, &names)?,
        dependencies: checked_dependencies(export.dependencies)?,
        up: false,
        cors: parse_cors(export.cors)?,
        hands_out_nested: export.hands_out_nested,
        own_origin: export.own_origin,
        created_unix_ms: 0,
    };
    Ok(Read {
        name,
        settings,
        functions,
        remarks,
    })
}

fn endpoints(
    given: &[EndpointInfo],
    functions: &HashSet<String>,
) -> Result<Vec<Endpoint>, HostingError> {
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(given.len());
    for one in given {
        let parsed = Endpoint::parse(&one.method, &one.path, &one.function);
        let endpoint =
            parsed.map_err(|fault| malformed(format!("endpoint {:?}: {fault}", one.path)))?;
        let is_taken = endpoints
            .iter()
            .any(|other| other.method == endpoint.method && other.path == endpoint.path);
        if is_taken || !functions.contains(endpoint.function.as_str()) {
            return Err(malformed(format!(
                "endpoint {:?} is there twice, or its function is not",
                one.path
            )));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn checked_dependencies(text: String) -> Result<String, AppError> {
    check_dependencies(&text)?;
    Ok(text)
}
