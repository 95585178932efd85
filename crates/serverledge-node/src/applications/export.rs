//! An application as one file: a tar with `application.json` and the code of each function. The file is untrusted:
//! nothing of it is unpacked to the disk, and names only have to agree with each other.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_api::{
    AppError, Applications as _, Deploy, Deployments as _, HostingError, Imported,
    check_dependencies, parse_cors,
};
use serverledge_core::{
    AppName, Application, Caller, Dependencies, DependenciesFile, ENDPOINTS_MAX, Endpoint,
    Function, FunctionName, Progress, Runtime,
};
use serverledge_wire::application::{CorsInfo, EndpointInfo};
use serverledge_wire::function::{FunctionBody, SecretValues};
use serverledge_wire::hosting::{EXPORT_SCHEMA, Export, ExportedFunction};
use serverledge_wire::upload;

use crate::applications::Apps;
use crate::applications::packages::append;
use crate::functions::snapshots::source_of;

const MANIFEST: &str = "application.json";
/// Largest manifest: names, settings, variables, and a dependencies file.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most functions of one file.
const FUNCTIONS_MAX: usize = 200;

impl Apps {
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
        let (dependencies, requirements) = application.dependencies.to_stored();
        let export = Export {
            schema: EXPORT_SCHEMA,
            name: application.name.to_string(),
            cors: CorsInfo::from(&application.cors),
            hands_out_nested: application.hands_out_nested,
            own_origin: application.own_origin,
            dependencies,
            requirements,
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

/// The function in the form that `POST /create` takes, apart from code and secrets.
fn exported(function: &Function, code: String) -> Result<ExportedFunction, serde_json::Error> {
    let mut body = FunctionBody::from(function);
    body.secrets = SecretValues::default();
    // Beside secrets only.
    let secret_hosts = std::mem::take(&mut body.secret_hosts);
    let body = RawValue::from_string(serde_json::to_string(&body)?)?;
    Ok(ExportedFunction {
        body,
        code,
        secrets: function.version.secrets.values.keys().cloned().collect(),
        secret_hosts,
    })
}

fn tar_of(files: &[(String, Bytes)]) -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    files
        .iter()
        .try_for_each(|(path, bytes)| append(&mut tar, path, bytes, ""))?;
    Ok(tar.into_inner()?.into())
}

/// A file that was read and checked, before anything is created from it.
struct ImportedFile {
    name: AppName,
    settings: Application,
    functions: Vec<(Box<RawValue>, Bytes)>,
    remarks: Vec<String>,
}

/// An application that is being created. Dropping it deletes it.
struct PartialImport {
    apps: Arc<Apps>,
    application: Option<Arc<Application>>,
}

impl Drop for PartialImport {
    fn drop(&mut self) {
        let Some(application) = self.application.take() else {
            return;
        };
        let apps = Arc::clone(&self.apps);
        self.apps
            .background
            .spawn(async move { apps.delete_unfinished(&application).await });
    }
}

impl Apps {
    async fn delete_unfinished(&self, application: &Application) {
        if let Err(error) = self.delete_application(&application.id).await {
            tracing::warn!(name = %application.name, %error, "failed to delete an application that was imported in part");
        }
    }
}

impl Apps {
    pub(crate) async fn import_application(
        self: &Arc<Self>,
        caller: &Caller,
        name: Option<AppName>,
        file: &[u8],
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError> {
        let read = read(file, self.deployer.code_bytes_max())?;
        let name = name.unwrap_or(read.name);
        let made = self.create(caller, name.clone()).await?;
        let mut unfinished = PartialImport {
            apps: Arc::clone(self),
            application: Some(Arc::clone(&made)),
        };
        let filled = self
            .fill(caller, &made, read.settings, &read.functions, progress)
            .await;
        if filled.is_ok() {
            unfinished.application = None;
        } else if let Some(made) = unfinished.application.take() {
            // Here, not when it is dropped: whoever hears of the failure finds the name free.
            self.delete_unfinished(&made).await;
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
        self.edit_application(caller, made.name.as_str(), change)
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
            let deployed = self
                .deployer
                .deploy(&caller.space, Deploy::Create, body, progress)
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

fn read(file: &[u8], code_bytes_max: usize) -> Result<ImportedFile, HostingError> {
    let no_export =
        |fault: &dyn Display| malformed(format!("the file is no exported application: {fault}"));
    let files = upload::read_tar(file, file.len()).map_err(|fault| no_export(&fault))?;
    let mut files: BTreeMap<String, Vec<u8>> = files
        .into_iter()
        .map(|file| (file.path, file.contents))
        .collect();
    let manifest = files
        .remove(MANIFEST)
        .filter(|text| text.len() <= MANIFEST_BYTES_MAX);
    let manifest = manifest
        .ok_or_else(|| no_export(&format!("it has no {MANIFEST}, or one that is too large")))?;
    let export: Export = serde_json::from_slice(&manifest)
        .map_err(|fault| malformed(format!("{MANIFEST} is malformed: {fault}")))?;
    let wanted: HashSet<&str> = export
        .functions
        .iter()
        .map(|one| one.code.as_str())
        .collect();
    for (path, code) in &files {
        if !wanted.contains(path.as_str()) {
            return Err(malformed(format!("{path:?} is not what {MANIFEST} names")));
        }
        if code.len() > code_bytes_max + CODE_OVERHEAD_BYTES {
            return Err(malformed(format!(
                "{path:?} has more than {code_bytes_max} bytes"
            )));
        }
    }
    checked(
        export,
        &files
            .into_iter()
            .map(|(path, code)| (path, code.into()))
            .collect(),
    )
}

/// Most bytes that a tar adds to its files.
const CODE_OVERHEAD_BYTES: usize = 1 << 20;

fn checked(export: Export, codes: &BTreeMap<String, Bytes>) -> Result<ImportedFile, HostingError> {
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
    let mut functions = Vec::new();
    let mut names = HashSet::new();
    let mut remarks = Vec::new();
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
        for (secret, hosts) in &one.secret_hosts {
            let options: Vec<String> = hosts.iter().map(|host| format!("--for {host}")).collect();
            remarks.push(format!(
                "the secret {secret} was for hosts: `secret set {function} {secret} {}` sets it for them again",
                options.join(" ")
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
        dependencies: checked_dependencies(export.dependencies, export.requirements)?,
        up: false,
        cors: parse_cors(export.cors)?,
        hands_out_nested: export.hands_out_nested,
        own_origin: export.own_origin,
        created_unix_ms: 0,
    };
    Ok(ImportedFile {
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

fn checked_dependencies(first: String, requirements: String) -> Result<Dependencies, AppError> {
    check_dependencies(None, &first)?;
    check_dependencies(Some(DependenciesFile::Requirements), &requirements)?;
    Ok(Dependencies::from_stored(first, requirements))
}
