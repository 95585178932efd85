//! Requests and replies of `/create`, `/update`, `/delete` and `/functions`, in Serverledge's words with our additions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serverledge_core::{
    Archs, CpuMilli, Digest, Flags, Function, FunctionLimits, FunctionName, FunctionSpec,
    Isolation, MemoryMib, Network, Parameter, Runtime, Signature, Stdin, limits,
};
use std::time::Duration;
use utoipa::ToSchema;

use crate::members::{BodyError, Members};
pub use crate::secrets::SecretValues;
pub use crate::spec_error::{CONTAINER_MEMORY_MIN, SpecError};
use crate::versions::FootprintInfo;
use crate::{outbound, program_io, secrets};

/// Hexadecimal digits of an entity tag: half of a digest tells states apart for good.
const TAG_DIGITS: usize = 32;

/// One declared input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ParameterBody {
    /// Its name.
    pub name: String,
    /// Its type: `Int`, `Float`, `Text`, `Bool`, arrays of them.
    pub r#type: String,
}

/// Declared inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct SignatureBody {
    /// The parameters of the function.
    pub inputs: Vec<ParameterBody>,
    /// The values that it returns.
    pub outputs: Vec<ParameterBody>,
}

/// The body of `POST /create` and `POST /update`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(title = "Function")]
pub struct FunctionBody<'a> {
    /// The function's name.
    #[schema(value_type = String)]
    pub name: Cow<'a, str>,
    /// `wasm`, `python`, `python-wasm`, `nodejs`, `javascript`, `custom`, or an old name. Empty: found out from the
    /// code.
    #[schema(value_type = String)]
    pub runtime: Cow<'a, str>,
    /// Memory in MiB; absent means 128.
    #[serde(rename = "MemoryMB", skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<i64>,
    /// Reserved cores; 0 reserves none.
    #[serde(rename = "CPUDemand")]
    pub cpu_demand: f64,
    /// Concurrent calls in one sandbox, where the runtime can.
    pub max_concurrency: i64,
    /// Entry point inside the code.
    #[schema(value_type = String)]
    pub handler: Cow<'a, str>,
    /// Base64 of a tar with the code, or of the bare `.wasm` or `.wat` file.
    #[schema(value_type = String)]
    pub tar_function_code: Cow<'a, str>,
    /// Image of a `custom` function.
    #[schema(value_type = String)]
    pub custom_image: Cow<'a, str>,
    /// Declared inputs and outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureBody>,
    /// Wall-clock limit of one invocation in seconds; absent means 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Processor time limit of one invocation in seconds; absent means as long as `Timeout`.
    #[serde(rename = "CPUTime", skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<f64>,
    /// The function's own environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// More of them, whose values no answer, log or listing shows.
    #[serde(skip_serializing_if = "SecretValues::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub secrets: SecretValues,
    /// The hosts that a secret is for, by its name: each one of `AllowHosts`, or a part of it. The function finds a placeholder
    /// in the variable, which the node replaces in the headers of requests to these hosts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_hosts: BTreeMap<String, Vec<String>>,
    /// The network that the function may reach: `none` (or empty), or `bridge`, for containers where the node allows
    /// it.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub network: Cow<'a, str>,
    /// Hosts that the function may send requests to, each `[SCHEME://]HOST[:PORT]`; `*.NAME` is all names below one. Without a
    /// scheme it is https. None: it sends no requests. Not for the runtime `custom`, and not with the network `bridge`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<String>,
    /// Equal parameters give an equal result.
    pub idempotent: bool,
    /// With `Idempotent`: results of runs that sent requests to hosts outside are kept as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idempotent_outbound: bool,
    /// The code may be downloaded and run by the caller.
    pub edge: bool,
    /// `kept` (or empty): an instance may be kept after a clean return, and put back in place for the next call.
    /// `fresh`: every call gets a fresh one.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub isolation: Cow<'a, str>,
    /// Architectures on which it runs (`amd64`, `arm64`); none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_archs: Vec<String>,
    /// Arguments of a program after the function's name. `{name}` becomes that parameter; `{{` and `}}` are braces.
    #[serde(rename = "Arguments", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Standard input of a program: `params` (or empty), `body` for the body of the HTTP request, or `none`.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub stdin: Cow<'a, str>,
    /// Standard output of a program: `json` (or empty), one JSON value; or `raw`, bytes of any kind.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub stdout: Cow<'a, str>,
    /// Content type of raw output, which it implies; empty: `application/octet-stream`.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub stdout_type: Cow<'a, str>,
}

/// The members of a function. Serverledge's client sends all of its own to `/delete` as well.
pub(crate) const FUNCTION_MEMBERS: [&str; 25] = [
    "Name",
    "Runtime",
    "MemoryMB",
    "CPUDemand",
    "MaxConcurrency",
    "Handler",
    "TarFunctionCode",
    "CustomImage",
    "Signature",
    "Timeout",
    "CPUTime",
    "Env",
    "Secrets",
    "SecretHosts",
    "Network",
    "AllowHosts",
    "Idempotent",
    "IdempotentOutbound",
    "Edge",
    "Isolation",
    "SupportedArchs",
    "Arguments",
    "Stdin",
    "Stdout",
    "StdoutType",
];

impl<'a> FunctionBody<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        Self::parse_beside(body, &[])
    }

    /// Reads a body in which these other members may stand beside the function's.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse_beside(body: &'a [u8], others: &[&str]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        members.only(&[&FUNCTION_MEMBERS[..], others].concat(), "")?;
        Ok(Self {
            name: members.get("Name")?.unwrap_or_default(),
            runtime: members.get("Runtime")?.unwrap_or_default(),
            memory_mb: members.get("MemoryMB")?,
            cpu_demand: members.get("CPUDemand")?.unwrap_or_default(),
            max_concurrency: members.get("MaxConcurrency")?.unwrap_or_default(),
            handler: members.get("Handler")?.unwrap_or_default(),
            tar_function_code: members.get("TarFunctionCode")?.unwrap_or_default(),
            custom_image: members.get("CustomImage")?.unwrap_or_default(),
            signature: members.get("Signature")?,
            timeout: members.get("Timeout")?,
            cpu_time: members.get("CPUTime")?,
            env: members.get("Env")?.unwrap_or_default(),
            secrets: SecretValues::parse(&members)?,
            secret_hosts: members.get("SecretHosts")?.unwrap_or_default(),
            network: members.get("Network")?.unwrap_or_default(),
            allow_hosts: members.get("AllowHosts")?.unwrap_or_default(),
            idempotent: members.get("Idempotent")?.unwrap_or_default(),
            idempotent_outbound: members.get("IdempotentOutbound")?.unwrap_or_default(),
            edge: members.get("Edge")?.unwrap_or_default(),
            isolation: members.get("Isolation")?.unwrap_or_default(),
            supported_archs: members.get("SupportedArchs")?.unwrap_or_default(),
            args: members.get("Arguments")?.unwrap_or_default(),
            stdin: members.get("Stdin")?.unwrap_or_default(),
            stdout: members.get("Stdout")?.unwrap_or_default(),
            stdout_type: members.get("StdoutType")?.unwrap_or_default(),
        })
    }
}

/// A deployed function as the request that would make it, without its code.
impl From<&Function> for FunctionBody<'_> {
    fn from(function: &Function) -> Self {
        let (version, limits) = (&function.version, &function.version.limits);
        let stdout = version.io.stdout.content_type();
        Self {
            name: Cow::Owned(function.name.to_string()),
            runtime: Cow::Borrowed(version.runtime.name()),
            memory_mb: Some(i64::try_from(limits.memory.get()).unwrap_or(i64::MAX)),
            cpu_demand: limits.cpu.cores(),
            max_concurrency: limits.max_concurrency.into(),
            handler: Cow::Owned(version.handler.clone()),
            tar_function_code: Cow::Borrowed(""),
            custom_image: Cow::Owned(version.image.clone()),
            signature: function.signature.as_ref().map(from_signature),
            timeout: Some(limits.timeout.as_secs_f64()),
            cpu_time: limits.cpu_time.map(|time| time.as_secs_f64()),
            env: version.env.clone(),
            secrets: SecretValues(version.secrets.values.clone()),
            secret_hosts: secrets::texts(&version.secrets.hosts),
            network: Cow::Borrowed(version.network.name()),
            allow_hosts: outbound::texts(&version.outbound),
            idempotent: function.flags.idempotent,
            idempotent_outbound: function.flags.may_keep_outbound(),
            edge: function.flags.edge,
            // A node that does not know the member still reads functions of the default.
            isolation: function
                .flags
                .isolation
                .name_unless_default()
                .unwrap_or_default()
                .into(),
            supported_archs: function
                .flags
                .archs
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            args: version.io.args.clone(),
            stdin: stdin_member(version.io.stdin).into(),
            stdout: stdout.map_or("", |_| version.io.stdout.name()).into(),
            stdout_type: Cow::Owned(stdout.unwrap_or_default().to_owned()),
        }
    }
}

/// The name of a standard input that is not the default; else empty.
fn stdin_member(stdin: Stdin) -> &'static str {
    if stdin == Stdin::default() {
        ""
    } else {
        stdin.name()
    }
}

impl FunctionBody<'_> {
    /// Checks the request; `inferred` is the runtime when the body names none.
    ///
    /// # Errors
    /// [`SpecError`] for the first rule that is broken, in Serverledge's order: name, runtime, memory, the rest. It shows no
    /// secret's value.
    pub fn to_spec(&self, inferred: Runtime) -> Result<FunctionSpec, SpecError> {
        let name = FunctionName::parse(&self.name)?;
        let runtime = if self.runtime.is_empty() {
            inferred
        } else {
            self.runtime.parse()?
        };
        let network = self.checked_network(runtime)?;
        let outbound = outbound::checked(&self.allow_hosts, runtime, network)?;
        Ok(FunctionSpec {
            name,
            runtime,
            limits: self.limits(runtime)?,
            handler: self.checked_handler()?,
            image: self.checked_image(runtime)?,
            io: program_io::checked(self, runtime)?,
            network,
            env: self.checked_env()?,
            secrets: secrets::checked(self, runtime, &outbound)?,
            outbound,
            flags: Flags {
                idempotent: self.idempotent,
                keeps_outbound: self.checked_outbound()?,
                edge: self.edge,
                archs: self.checked_archs()?,
                isolation: checked_isolation(&self.isolation)?,
            },
            signature: self.signature.as_ref().map(to_signature),
        })
    }

    fn checked_outbound(&self) -> Result<bool, SpecError> {
        if self.idempotent_outbound && !self.idempotent {
            return Err(outbound_alone());
        }
        Ok(self.idempotent_outbound)
    }

    fn checked_archs(&self) -> Result<Archs, SpecError> {
        let archs = Archs::parse(self.supported_archs.iter().map(String::as_str));
        archs.ok_or_else(|| SpecError::member("SupportedArchs", "amd64 and arm64 are known"))
    }

    fn limits(&self, runtime: Runtime) -> Result<FunctionLimits, SpecError> {
        let memory = self.checked_memory(runtime)?;
        let cpu = CpuMilli::from_cores(self.cpu_demand).ok_or_else(|| {
            SpecError::member(
                "CPUDemand",
                format!("{} cores; 0 or more are allowed", self.cpu_demand),
            )
        })?;
        let max_concurrency = u16::try_from(self.max_concurrency.max(1)).map_err(|_| {
            let fault = format!("{}; at most {} are allowed", self.max_concurrency, u16::MAX);
            SpecError::member("MaxConcurrency", fault)
        })?;
        let timeout = self
            .timeout
            .map(|seconds| checked_time("Timeout", seconds))
            .transpose()?;
        let cpu_time = self
            .cpu_time
            .map(|seconds| checked_time("CPUTime", seconds))
            .transpose()?;
        Ok(FunctionLimits {
            memory,
            cpu,
            timeout: timeout.unwrap_or(limits::TIMEOUT_DEFAULT),
            cpu_time,
            max_concurrency,
        })
    }

    fn checked_memory(&self, runtime: Runtime) -> Result<MemoryMib, SpecError> {
        let memory = match self.memory_mb {
            None => limits::MEMORY_DEFAULT,
            Some(mb) => u64::try_from(mb)
                .ok()
                .filter(|mib| (1..=limits::MEMORY_MAX.get()).contains(mib))
                .map(MemoryMib::new)
                .ok_or(SpecError::Memory(mb))?,
        };
        if is_container(runtime) && memory < CONTAINER_MEMORY_MIN {
            return Err(SpecError::ContainerMemory {
                mib: memory,
                runtime,
            });
        }
        Ok(memory)
    }

    fn checked_handler(&self) -> Result<String, SpecError> {
        if self.handler.len() > limits::HANDLER_BYTES_MAX || self.handler.contains('\0') {
            let fault = format!(
                "at most {} bytes without NUL are allowed",
                limits::HANDLER_BYTES_MAX
            );
            return Err(SpecError::member("Handler", fault));
        }
        Ok(self.handler.clone().into_owned())
    }

    fn checked_image(&self, runtime: Runtime) -> Result<String, SpecError> {
        let fault = |fault: String| Err(SpecError::member("CustomImage", fault));
        let image = &*self.custom_image;
        if runtime != Runtime::Custom {
            return match image {
                "" => Ok(String::new()),
                _ => fault(format!(
                    "only the runtime custom takes an image; this one is {runtime}"
                )),
            };
        }
        if image.is_empty() {
            return fault(
                "the runtime custom needs one; name an image that speaks the executor protocol"
                    .to_owned(),
            );
        }
        if image.len() > limits::IMAGE_BYTES_MAX {
            return fault(format!(
                "at most {} bytes are allowed",
                limits::IMAGE_BYTES_MAX
            ));
        }
        let is_edge = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        let is_inner = |inner: char| inner.is_ascii_alphanumeric() || "._-/:@".contains(inner);
        let edges = is_edge(image.chars().next()) && is_edge(image.chars().next_back());
        if !edges || !image.chars().all(is_inner) || image.contains("//") {
            return fault(format!(
                "{image:?} names no image; a name looks like registry.example/team/image:tag"
            ));
        }
        Ok(image.to_owned())
    }

    fn checked_network(&self, runtime: Runtime) -> Result<Network, SpecError> {
        let fault = |fault: String| SpecError::member("Network", fault);
        let network: Network = self
            .network
            .parse()
            .map_err(|unknown| fault(format!("{unknown}")))?;
        if network != Network::None && !is_container(runtime) {
            return Err(fault(format!(
                "{runtime} functions reach no network; python, nodejs and custom ones can"
            )));
        }
        Ok(network)
    }

    fn checked_env(&self) -> Result<BTreeMap<String, String>, SpecError> {
        check_variables("Env", &self.env, &BTreeMap::new())?;
        Ok(self.env.clone())
    }
}

/// Whether a runtime's sandboxes are containers.
const fn is_container(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Python | Runtime::NodeJs | Runtime::Custom)
}

/// Checks variables that come into an environment in which there are `others`. No value is in the fault.
pub(crate) fn check_variables(
    member: &'static str,
    variables: &BTreeMap<String, String>,
    others: &BTreeMap<String, String>,
) -> Result<(), SpecError> {
    let fault = |fault: String| Err(SpecError::member(member, fault));
    if variables.is_empty() {
        return Ok(());
    }
    if variables.len() + others.len() > limits::ENV_VARIABLES_MAX {
        return fault(format!(
            "at most {} variables are allowed, Env and Secrets together",
            limits::ENV_VARIABLES_MAX
        ));
    }
    if variables
        .iter()
        .chain(others)
        .map(|(k, v)| k.len() + v.len())
        .sum::<usize>()
        > limits::ENV_BYTES_MAX
    {
        return fault(format!(
            "at most {} bytes are allowed, Env and Secrets together",
            limits::ENV_BYTES_MAX
        ));
    }
    if let Some(bad) = variables
        .keys()
        .find(|k| k.is_empty() || k.contains(['=', '\0']) || k.starts_with("SERVERLEDGE_"))
    {
        return fault(format!("{bad:?} cannot be a variable's name"));
    }
    if let Some((bad, _)) = variables.iter().find(|(_, v)| v.contains('\0')) {
        return fault(format!("the value of {bad:?} contains NUL"));
    }
    Ok(())
}

/// Reads a member `Isolation`.
///
/// # Errors
/// `Member` names those that are known.
pub fn checked_isolation(text: &str) -> Result<Isolation, SpecError> {
    text.parse()
        .map_err(|unknown| SpecError::member("Isolation", format!("{unknown}")))
}

/// The fault of a function that has `IdempotentOutbound` without `Idempotent`.
#[must_use]
pub fn outbound_alone() -> SpecError {
    SpecError::member(
        "IdempotentOutbound",
        "it goes with Idempotent, which is not set",
    )
}

fn checked_time(member: &'static str, seconds: f64) -> Result<Duration, SpecError> {
    let time = Duration::try_from_secs_f64(seconds).ok();
    time.filter(|time| !time.is_zero() && *time <= limits::TIMEOUT_MAX)
        .ok_or_else(|| {
            let max = limits::TIMEOUT_MAX.as_secs();
            SpecError::member(
                member,
                format!("{seconds} seconds; more than 0 and at most {max} are allowed"),
            )
        })
}

pub(crate) fn to_signature(body: &SignatureBody) -> Signature {
    let list = |list: &[ParameterBody]| {
        list.iter()
            .map(|p| Parameter {
                name: p.name.clone(),
                kind: p.r#type.clone(),
            })
            .collect()
    };
    Signature {
        inputs: list(&body.inputs),
        outputs: list(&body.outputs),
    }
}

pub(crate) fn from_signature(signature: &Signature) -> SignatureBody {
    let list = |list: &[Parameter]| {
        list.iter()
            .map(|p| ParameterBody {
                name: p.name.clone(),
                r#type: p.kind.clone(),
            })
            .collect()
    };
    SignatureBody {
        inputs: list(&signature.inputs),
        outputs: list(&signature.outputs),
    }
}

/// The reply to `/create` and `/update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// The function's name.
    pub created: String,
    /// The runtime that was said or found out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// Digest of the version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The guest interface that was recognised.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Its sizes on the node that answers; absent for containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintInfo>,
    /// A function of this name was there, and all of it was replaced: what the request did not name has its default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Remarks for the person who deploys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The reply to `/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Deleted {
    /// The function's name.
    pub deleted: String,
}

/// Reads the name out of the body of `/delete`.
///
/// # Errors
/// [`BodyError`] names what is malformed.
pub fn parse_name(body: &[u8]) -> Result<String, BodyError> {
    let members = Members::parse(body)?;
    members.only(&FUNCTION_MEMBERS, "")?;
    Ok(members.get("Name")?.unwrap_or_default())
}

/// The response to `GET /functions/{name}`: everything but the code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionInfo {
    /// The function's name.
    pub name: String,
    /// Its runtime.
    pub runtime: String,
    /// Digest of its current version.
    pub version: String,
    /// Digest of its code.
    pub code: String,
    /// Entry point inside the code.
    pub handler: String,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Reserved cores.
    #[serde(rename = "CPUDemand")]
    pub cpu_demand: f64,
    /// Concurrent calls in one sandbox.
    pub max_concurrency: u16,
    /// Wall-clock limit in seconds.
    pub timeout: f64,
    /// Processor time limit in seconds, if one was set.
    #[serde(rename = "CPUTime", default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<f64>,
    /// Names of its environment variables; values are not shown.
    pub env: Vec<String>,
    /// Names of its secrets; values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The hosts that a secret is for, by its name. What is not here the function has itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_hosts: BTreeMap<String, Vec<String>>,
    /// The network that it may reach: `none` or `bridge`.
    #[serde(default)]
    pub network: String,
    /// The hosts that it may send requests to, each with its scheme, and with its port unless it is the scheme's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<String>,
    /// The image of a `custom` function.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Equal parameters give an equal result.
    pub idempotent: bool,
    /// Results of runs that sent requests to hosts outside are kept as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent_outbound: bool,
    /// The code may be downloaded and run by the caller.
    pub edge: bool,
    /// `kept`: an instance may be kept and put back in place for the next call. `fresh`: every call gets a fresh one.
    #[serde(default)]
    pub isolation: String,
    /// Architectures on which it runs; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_archs: Vec<String>,
    /// Declared inputs and outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureBody>,
    /// Arguments of a program after the function's name, with the places of parameters.
    #[serde(rename = "Arguments", default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Standard input of a program: `body` or `none`; absent for the parameters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdin: String,
    /// Standard output of a program: `raw`; absent for JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Content type of raw output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout_type: String,
}

impl FunctionInfo {
    /// The entity tag of this description (RFC 9110 §8.8.3): equal as long as nothing changes that it depends on, values of
    /// variables and secrets included, since they are in the version's digest.
    #[must_use]
    pub fn etag(&self) -> String {
        // Strings, numbers and lists: nothing here can fail.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let digest = blake3::hash(&text).to_hex();
        format!("\"{}\"", &digest[..TAG_DIGITS])
    }
}

impl From<&Function> for FunctionInfo {
    fn from(function: &Function) -> Self {
        let version = &function.version;
        let stdout = version.io.stdout.content_type();
        Self {
            name: function.name.to_string(),
            runtime: version.runtime.to_string(),
            version: version.digest.to_string(),
            code: Digest::to_string(&version.code),
            handler: version.handler.clone(),
            memory_mb: version.limits.memory.get(),
            cpu_demand: version.limits.cpu.cores(),
            max_concurrency: version.limits.max_concurrency,
            timeout: version.limits.timeout.as_secs_f64(),
            cpu_time: version.limits.cpu_time.map(|time| time.as_secs_f64()),
            env: version.env.keys().cloned().collect(),
            secrets: version.secrets.values.keys().cloned().collect(),
            secret_hosts: secrets::texts(&version.secrets.hosts),
            network: version.network.name().to_owned(),
            allow_hosts: outbound::texts(&version.outbound),
            image: version.image.clone(),
            idempotent: function.flags.idempotent,
            idempotent_outbound: function.flags.may_keep_outbound(),
            edge: function.flags.edge,
            isolation: function.flags.isolation.name().to_owned(),
            supported_archs: function
                .flags
                .archs
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            signature: function.signature.as_ref().map(from_signature),
            args: version.io.args.clone(),
            stdin: stdin_member(version.io.stdin).to_owned(),
            stdout: stdout.map_or("", |_| version.io.stdout.name()).to_owned(),
            stdout_type: stdout.unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
