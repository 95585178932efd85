//! Values of the registry's keys: JSON, each with a schema version, converted to and from core's types by hand.
//!
//! A record of an unknown schema is refused, never guessed at: an older node in a cluster must not misread, nor a newer
//! one lose, what the other wrote. Unknown members of a known schema are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hex::FromHex as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serverledge_core::{
    Archs, CpuMilli, Digest, Flags, Function, FunctionLimits, FunctionName, HostRule, Interface,
    Isolation, MemoryMib, Network, Parameter, ProgramIo, Runtime, Secrets, Signature, SpaceId,
    Stdin, Stdout, Version, whole_millis,
};

use crate::invocations::HistoryEntry;
use crate::{outbound, secrets};

mod account;
mod application;
mod claim;
mod node;

pub use account::{EmailRecord, LinkPurpose, LinkRecord, SessionRecord, TokenRecord, UserRecord};
pub use application::{
    AppNameRecord, ApplicationRecord, CorsRecord, DeletionRecord, EndpointRecord,
};
pub use claim::{
    CallbackRecord, CallbackState, ClaimRecord, HISTORY_MAX, IdempotencyRecord, OwnerRecord,
};
pub use node::NodeRecord;

/// The value of `functions/<space>/<name>`, and of the versions that are kept of it. Space and name are in the key only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The version's digest (64 hexadecimal digits).
    pub version: String,
    /// A runtime's name.
    pub runtime: String,
    /// Digest of the code, which lies in the blob of this name.
    pub code: String,
    /// The entry point; may be empty.
    pub handler: String,
    /// The function's own environment variables.
    pub env: BTreeMap<String, String>,
    /// More of them, which are not shown; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsRecord>,
    /// The network that it may reach: absent for none, else `bridge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The hosts that it may send requests to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<String>,
    /// The image of a `custom` function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Templates of a program's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The standard input of a program: absent for the parameters, else `body` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The content type of a program's raw output; absent for JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Memory limit in MiB.
    pub memory_mib: u64,
    /// Reserved processor share in thousandths of a core.
    pub cpu_milli: u64,
    /// Wall-clock limit in milliseconds.
    pub timeout_ms: u64,
    /// Limit of processor time in milliseconds, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time_ms: Option<u64>,
    /// Concurrent calls in one sandbox.
    pub max_concurrency: u16,
    /// Its interface: `json` or `http`.
    pub interface: String,
    /// Results may be cached.
    pub idempotent: bool,
    /// Those of runs that sent requests as well; absent for no.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub keeps_outbound: bool,
    /// The code may be downloaded, and carried results are believed.
    pub edge: bool,
    /// The lifetime of its instances: absent for `kept`, else `fresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Architectures on which it runs; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<String>,
    /// Declared inputs and outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureRecord>,
    /// Length of the code in bytes; absent where nobody noted it.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub code_bytes: u64,
    /// Time at which the name was bound to the version, in Unix milliseconds; absent where nobody noted it.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub deployed_unix_ms: u64,
}

/// Environment variables whose values are not shown; its `Debug` form names them only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsRecord {
    /// The random value that makes the version's digest unpredictable: 32 hexadecimal digits.
    pub nonce: String,
    /// The variables that the function has itself.
    pub values: BTreeMap<String, String>,
    /// Those that are for hosts; absent if there are none. Apart, so that a node that does not know them gives them to nobody.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sealed: BTreeMap<String, SealedRecord>,
    /// The random part of placeholders beside them: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seal: String,
}

/// A secret that is for hosts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRecord {
    /// Its value.
    pub value: String,
    /// The hosts.
    pub hosts: Vec<String>,
}

/// Declared inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRecord {
    /// The parameters of the function.
    pub inputs: Vec<ParameterRecord>,
    /// The values that it returns.
    pub outputs: Vec<ParameterRecord>,
}

/// One declared input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterRecord {
    /// Its name.
    pub name: String,
    /// Its type, in Serverledge's words.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The value of `blobs/<digest>`: what the chunks below it add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Length of the whole blob in bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// All chunks are there. False while they are being written.
    pub complete: bool,
    /// Time at which the blob was last written or named, in Unix milliseconds; unreferenced blobs live for a while from
    /// then.
    pub touched_unix_ms: u64,
}

/// The value of `invocations/<id>`: an asynchronous invocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The function's space.
    pub space: String,
    /// The function's name when the invocation was accepted.
    pub function: String,
    /// The function as it was then: the version that will run is pinned, whatever is deployed meanwhile.
    pub pinned: FunctionRecord,
    /// The parameters.
    pub params: StoredJson,
    /// Its state.
    pub state: InvocationState,
    /// Number of times that it was begun.
    pub attempt: u32,
    /// Time of its acceptance, in Unix milliseconds.
    pub accepted_unix_ms: u64,
    /// Time of its latest start, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_unix_ms: Option<u64>,
    /// Time at which it reached a terminal state, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_unix_ms: Option<u64>,
    /// The result, in state `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<StoredJson>,
    /// The reason why there is no result, in the other terminal states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// The end of the function's log, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The report of the run, if it ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportRecord>,
    /// Serverledge's QoS class.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub qos_class: i64,
    /// Time from which its outcome is of no use any more, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_unix_ms: Option<u64>,
    /// The caller's trace context (W3C `traceparent`); empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// The `tracestate` beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    /// Only the node that has claimed it may run it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_only: bool,
    /// The log is wanted with the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub return_output: bool,
    /// The node that runs it or ran it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// It ended without a result, and neither the function nor its owner is to blame.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letter: bool,
    /// The digest of the caller's idempotency key, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// Until when it is kept at least, in Unix milliseconds: as long as its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until_unix_ms: Option<u64>,
    /// The dead letter that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<String>,
    /// The invocation that was made from this dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redriven_as: Option<String>,
    /// The callback that reports the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackRecord>,
    /// Its events, oldest first; at most [`HISTORY_MAX`] entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

/// JSON that is either in the record or, if it is large, in a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredJson {
    /// The JSON itself, byte for byte.
    Inline(Arc<RawValue>),
    /// The digest of the blob that holds it.
    Blob(String),
}

/// The state of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvocationState {
    /// Accepted, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended with a result.
    Done,
    /// Ended without one.
    Failed,
    /// Its owner ended it.
    Cancelled,
    /// Its greatest age passed before an outcome.
    Expired,
}

/// The reason why an invocation gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// A stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// The function's own stack trace, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// The report of a run; Serverledge's execution report. Times are seconds, as in its API.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportRecord {
    /// From arrival to completion.
    pub response_time: f64,
    /// The sandbox had the code loaded already.
    pub is_warm_start: bool,
    /// From arrival to the start of the execution.
    pub init_time: f64,
    /// Time in the queue.
    pub queueing_time: f64,
    /// Time that offloading added.
    pub offload_latency: f64,
    /// The execution itself.
    pub duration: f64,
    /// The area of the node that ran it.
    pub execution_area: String,
    /// The node that ran it.
    pub execution_node: String,
}

/// The reason why a registry value is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not the JSON of this kind of record.
    #[error("the record is malformed")]
    Json(#[source] serde_json::Error),
    /// A newer (or no) Serverledge wrote it.
    #[error("the record has schema {found}, this program knows {known}")]
    Schema {
        /// The schema of the record.
        found: u64,
        /// The schema that this program knows.
        known: u32,
    },
    /// A member has a value that cannot be.
    #[error("the record's {member} is {value:?}")]
    Member {
        /// The name of the member.
        member: &'static str,
        /// Its value.
        value: String,
    },
}

/// A kind of record.
pub trait Record: Serialize + DeserializeOwned {
    /// The only schema that this program reads and writes.
    const SCHEMA: u32 = 1;

    /// The registry value.
    fn to_value(&self) -> Bytes {
        serde_json::to_vec(self)
            .expect("records have string keys and no failing serializer")
            .into()
    }

    /// Reads a registry value.
    ///
    /// # Errors
    /// `Schema` if it is of another schema, else `Json` if it is malformed.
    fn from_value(value: &[u8]) -> Result<Self, RecordError> {
        let Schema { schema } = serde_json::from_slice(value).map_err(RecordError::Json)?;
        if schema != u64::from(Self::SCHEMA) {
            return Err(RecordError::Schema {
                found: schema,
                known: Self::SCHEMA,
            });
        }
        serde_json::from_slice(value).map_err(RecordError::Json)
    }
}

/// The member of any record that is read first.
#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    schema: u64,
}

// === impl FunctionRecord ===

impl Record for FunctionRecord {}

impl FunctionRecord {
    /// The record of a function. Its times are kept in whole milliseconds. How long the code is and when it was deployed
    /// are the caller's to add.
    #[must_use]
    pub fn from_function(function: &Function) -> Self {
        let version = &*function.version;
        let limits = version.limits;
        Self {
            schema: Self::SCHEMA,
            version: version.digest.to_string(),
            runtime: version.runtime.name().to_owned(),
            code: version.code.to_string(),
            handler: version.handler.clone(),
            env: version.env.clone(),
            secrets: SecretsRecord::from_secrets(&version.secrets),
            network: Some(version.network)
                .filter(|one| *one != Network::None)
                .map(|one| one.name().to_owned()),
            outbound: outbound::texts(&version.outbound),
            image: Some(&version.image)
                .filter(|image| !image.is_empty())
                .cloned(),
            args: version.io.args.clone(),
            stdin: Some(version.io.stdin)
                .filter(|stdin| *stdin != Stdin::default())
                .map(|stdin| stdin.name().to_owned()),
            stdout: version.io.stdout.content_type().map(str::to_owned),
            memory_mib: limits.memory.get(),
            cpu_milli: limits.cpu.get(),
            timeout_ms: whole_millis(limits.timeout),
            cpu_time_ms: limits.cpu_time.map(whole_millis),
            max_concurrency: limits.max_concurrency,
            interface: function.interface.name().to_owned(),
            idempotent: function.flags.idempotent,
            keeps_outbound: function.flags.may_keep_outbound(),
            edge: function.flags.edge,
            isolation: isolation_member(function.flags.isolation),
            archs: function
                .flags
                .archs
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            signature: function
                .signature
                .as_ref()
                .map(SignatureRecord::from_signature),
            code_bytes: 0,
            deployed_unix_ms: 0,
        }
    }

    /// The function, given what its key says.
    ///
    /// # Errors
    /// `Member` names what cannot be.
    pub fn into_function(
        self,
        space: SpaceId,
        name: FunctionName,
    ) -> Result<Function, RecordError> {
        let version = Version {
            digest: digest("version", &self.version)?,
            runtime: member("runtime", &self.runtime, str::parse::<Runtime>)?,
            code: digest("code", &self.code)?,
            handler: self.handler,
            env: self.env,
            secrets: self
                .secrets
                .map(SecretsRecord::into_secrets)
                .transpose()?
                .unwrap_or_default(),
            network: member(
                "network",
                self.network.as_deref().unwrap_or_default(),
                str::parse::<Network>,
            )?,
            outbound: hosts("outbound", &self.outbound)?,
            image: self.image.unwrap_or_default(),
            io: ProgramIo {
                args: self.args,
                stdin: member(
                    "stdin",
                    self.stdin.as_deref().unwrap_or_default(),
                    str::parse::<Stdin>,
                )?,
                stdout: member(
                    "stdout",
                    self.stdout.as_deref().unwrap_or_default(),
                    |content_type| Stdout::parse("", content_type),
                )?,
            },
            limits: FunctionLimits {
                memory: MemoryMib::new(self.memory_mib),
                cpu: CpuMilli::new(self.cpu_milli),
                timeout: Duration::from_millis(self.timeout_ms),
                cpu_time: self.cpu_time_ms.map(Duration::from_millis),
                max_concurrency: self.max_concurrency,
            },
        };
        Ok(Function {
            space,
            name,
            version: Arc::new(version),
            interface: member("interface", &self.interface, interface)?,
            flags: Flags {
                idempotent: self.idempotent,
                keeps_outbound: self.keeps_outbound,
                edge: self.edge,
                archs: archs(&self.archs)?,
                isolation: member(
                    "isolation",
                    self.isolation.as_deref().unwrap_or_default(),
                    str::parse::<Isolation>,
                )?,
            },
            signature: self.signature.map(SignatureRecord::into_signature),
        })
    }
}

fn interface(name: &str) -> Result<Interface, ()> {
    [Interface::Json, Interface::Http]
        .into_iter()
        .find(|known| known.name() == name)
        .ok_or(())
}

/// The member of a record that says the lifetime of a function's instances: absent for the default.
#[must_use]
pub fn isolation_member(isolation: Isolation) -> Option<String> {
    isolation.name_unless_default().map(str::to_owned)
}

fn hosts(name: &'static str, texts: &[String]) -> Result<BTreeSet<HostRule>, RecordError> {
    let rule = |text: &String| member(name, text, str::parse::<HostRule>);
    texts.iter().map(rule).collect()
}

fn archs(names: &[String]) -> Result<Archs, RecordError> {
    let unknown = || RecordError::Member {
        member: "archs",
        value: names.join(" "),
    };
    Archs::parse(names.iter().map(String::as_str)).ok_or_else(unknown)
}

/// Parses a digest in a record.
///
/// # Errors
/// `Member` with the given name.
pub fn digest(name: &'static str, text: &str) -> Result<Digest, RecordError> {
    member(name, text, str::parse::<Digest>)
}

fn member<T, E>(
    name: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, RecordError> {
    parse(text).map_err(|_| RecordError::Member {
        member: name,
        value: text.to_owned(),
    })
}

// === impl SecretsRecord ===

impl std::fmt::Debug for SecretsRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.values.keys().chain(self.sealed.keys());
        f.debug_set().entries(names).finish()
    }
}

impl std::fmt::Debug for SealedRecord {
    /// Without the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealedRecord").field(&self.hosts).finish()
    }
}

impl SecretsRecord {
    fn from_secrets(secrets: &Secrets) -> Option<Self> {
        if secrets.values.is_empty() {
            return None;
        }
        let mut record = Self {
            nonce: hex::encode(secrets.nonce),
            values: BTreeMap::new(),
            sealed: BTreeMap::new(),
            seal: String::new(),
        };
        let hosts = secrets::texts(&secrets.hosts);
        for (name, value) in &secrets.values {
            let (name, value) = (name.clone(), value.clone());
            if let Some(hosts) = hosts.get(&name).cloned() {
                record.sealed.insert(name, SealedRecord { value, hosts });
            } else {
                record.values.insert(name, value);
            }
        }
        if !record.sealed.is_empty() {
            record.seal = hex::encode(secrets.seal);
        }
        Some(record)
    }

    fn into_secrets(self) -> Result<Secrets, RecordError> {
        let nonce = member("nonce", &self.nonce, |text| <[u8; 16]>::from_hex(text))?;
        let seal = match self.seal.as_str() {
            "" => <[u8; 16]>::default(),
            text => member("seal", text, |text| <[u8; 16]>::from_hex(text))?,
        };
        let mut secrets = Secrets {
            nonce,
            values: self.values,
            seal,
            ..Secrets::default()
        };
        for (name, sealed) in self.sealed {
            let rules = hosts("secret hosts", &sealed.hosts)?;
            secrets.hosts.insert(name.clone(), rules);
            secrets.values.insert(name, sealed.value);
        }
        Ok(secrets)
    }
}

// === impl SignatureRecord ===

impl SignatureRecord {
    fn from_signature(signature: &Signature) -> Self {
        let record = |one: &Parameter| ParameterRecord {
            name: one.name.clone(),
            kind: one.kind.clone(),
        };
        Self {
            inputs: signature.inputs.iter().map(record).collect(),
            outputs: signature.outputs.iter().map(record).collect(),
        }
    }

    fn into_signature(self) -> Signature {
        let parameter = |one: ParameterRecord| Parameter {
            name: one.name,
            kind: one.kind,
        };
        Signature {
            inputs: self.inputs.into_iter().map(parameter).collect(),
            outputs: self.outputs.into_iter().map(parameter).collect(),
        }
    }
}

// === impl ManifestRecord ===

impl Record for ManifestRecord {}

impl ManifestRecord {
    /// The manifest of a blob whose chunks are still to come.
    #[must_use]
    pub fn begun(bytes: u64, chunks: u32, now_unix_ms: u64) -> Self {
        Self {
            schema: Self::SCHEMA,
            bytes,
            chunks,
            complete: false,
            touched_unix_ms: now_unix_ms,
        }
    }
}

// === impl InvocationRecord ===

impl Record for InvocationRecord {}

impl InvocationRecord {
    /// The record of an invocation that was accepted just now.
    #[must_use]
    pub fn accepted(function: &Function, params: StoredJson, now_unix_ms: u64) -> Self {
        let space = function.space.to_string();
        let name = function.name.to_string();
        Self::queued(
            space,
            name,
            FunctionRecord::from_function(function),
            params,
            now_unix_ms,
        )
    }

    /// A record of an accepted invocation of what is pinned; nothing has happened to it yet.
    #[must_use]
    pub const fn queued(
        space: String,
        function: String,
        pinned: FunctionRecord,
        params: StoredJson,
        now_unix_ms: u64,
    ) -> Self {
        Self {
            schema: Self::SCHEMA,
            space,
            function,
            pinned,
            params,
            state: InvocationState::Queued,
            attempt: 0,
            accepted_unix_ms: now_unix_ms,
            started_unix_ms: None,
            finished_unix_ms: None,
            result: None,
            error: None,
            log: None,
            report: None,
            qos_class: 0,
            deadline_unix_ms: None,
            trace: String::new(),
            trace_state: String::new(),
            local_only: false,
            return_output: false,
            node: None,
            dead_letter: false,
            idempotency: None,
            kept_until_unix_ms: None,
            redrive_of: None,
            redriven_as: None,
            callback: None,
            history: Vec::new(),
        }
    }

    /// Something has still to be done for it: it has no outcome, or its callback is pending. As long as that is so there
    /// is a claim.
    #[must_use]
    pub fn has_pending_work(&self) -> bool {
        let pending = self
            .callback
            .as_ref()
            .is_some_and(|callback| callback.state == CallbackState::Pending);
        !self.state.is_terminal() || pending
    }

    /// Adds to the history, of which the oldest entry goes if it is full.
    pub fn note(&mut self, event: &str, node: &str, now_unix_ms: u64) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        let entry = HistoryEntry {
            unix_ms: now_unix_ms,
            event: event.to_owned(),
            node: node.to_owned(),
        };
        self.history.push(entry);
    }
}

// === impl InvocationState ===

impl InvocationState {
    /// Nothing will ever change it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests;
