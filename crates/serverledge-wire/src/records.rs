//! Values of the registry's keys: JSON, each with a schema version, converted to and from core's types by hand.
//!
//! A record of an unknown schema is refused, never guessed at: an older node in a cluster must not misread, nor a newer
//! one lose, what the other wrote. Unknown members of a known schema are ignored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serverledge_core::{
    CpuMilli, Digest, Flags, Function, FunctionLimits, FunctionName, Interface, MemoryMib, Parameter, Runtime,
    Signature, SpaceId, Version,
};

/// The value of `functions/<space>/<name>`. Space and name are in the key only.
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
    /// How it is spoken to: `json` or `http`.
    pub interface: String,
    /// Results may be cached.
    pub idempotent: bool,
    /// The code may be downloaded, and carried results are believed.
    pub edge: bool,
    /// Declared inputs and outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureRecord>,
}

/// Declared inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRecord {
    /// What the function takes.
    pub inputs: Vec<ParameterRecord>,
    /// What it returns.
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
    /// When somebody last wrote or named the blob, in Unix milliseconds; unreferenced blobs live for a while from then.
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
    pub params: Carried,
    /// Where it stands.
    pub state: InvocationState,
    /// How often it was begun.
    pub attempt: u32,
    /// When it was accepted, in Unix milliseconds.
    pub accepted_unix_ms: u64,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_unix_ms: Option<u64>,
    /// When it reached a terminal state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_unix_ms: Option<u64>,
    /// The result, in state `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Carried>,
    /// Why there is none, in the other terminal states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// The end of the function's log, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How the run went, if it ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportRecord>,
}

/// JSON that is either in the record or, if it is large, in a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// The JSON itself, byte for byte.
    Inline(Arc<RawValue>),
    /// The digest of the blob that holds it.
    Blob(String),
}

/// Where an invocation stands.
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

/// Why an invocation gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// A stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
}

/// How a run went; Serverledge's execution report. Times are seconds, as in its API.
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
    /// What offloading added.
    pub offload_latency: f64,
    /// The execution itself.
    pub duration: f64,
    /// Where it ran.
    pub execution_area: String,
    /// Which node ran it.
    pub execution_node: String,
}

/// Why a registry value is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not the JSON of this kind of record.
    #[error("the record is malformed")]
    Json(#[source] serde_json::Error),
    /// A newer (or no) Serverledge wrote it.
    #[error("the record has schema {found}, this program knows {known}")]
    Schema {
        /// What it says.
        found: u64,
        /// What is known.
        known: u32,
    },
    /// A member has a value that cannot be.
    #[error("the record's {member} is {value:?}")]
    Member {
        /// Which member.
        member: &'static str,
        /// Its value.
        value: String,
    },
}

/// A kind of record.
pub trait Record: Serialize + DeserializeOwned {
    /// The only schema that this program reads and writes.
    const SCHEMA: u32;

    /// The registry value.
    fn to_value(&self) -> Bytes {
        serde_json::to_vec(self).expect("records have string keys and no failing serializer").into()
    }

    /// Reads a registry value.
    ///
    /// # Errors
    /// `Schema` if it is of another schema, else `Json` if it is malformed.
    fn from_value(value: &[u8]) -> Result<Self, RecordError> {
        let Schema { schema } = serde_json::from_slice(value).map_err(RecordError::Json)?;
        if schema != u64::from(Self::SCHEMA) {
            return Err(RecordError::Schema { found: schema, known: Self::SCHEMA });
        }
        serde_json::from_slice(value).map_err(RecordError::Json)
    }
}

/// What is read first of any record.
#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    schema: u64,
}

// === impl FunctionRecord ===

impl Record for FunctionRecord {
    const SCHEMA: u32 = 1;
}

impl FunctionRecord {
    /// The record of a function. Its times are kept in whole milliseconds.
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
            memory_mib: limits.memory.get(),
            cpu_milli: limits.cpu.get(),
            timeout_ms: millis(limits.timeout),
            cpu_time_ms: limits.cpu_time.map(millis),
            max_concurrency: limits.max_concurrency,
            interface: function.interface.name().to_owned(),
            idempotent: function.flags.idempotent,
            edge: function.flags.edge,
            signature: function.signature.as_ref().map(SignatureRecord::from_signature),
        }
    }

    /// The function, given what its key says.
    ///
    /// # Errors
    /// `Member` names what cannot be.
    pub fn into_function(self, space: SpaceId, name: FunctionName) -> Result<Function, RecordError> {
        let version = Version {
            digest: digest("version", &self.version)?,
            runtime: member("runtime", &self.runtime, str::parse::<Runtime>)?,
            code: digest("code", &self.code)?,
            handler: self.handler,
            env: self.env,
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
            flags: Flags { idempotent: self.idempotent, edge: self.edge },
            signature: self.signature.map(SignatureRecord::into_signature),
        })
    }
}

fn interface(name: &str) -> Result<Interface, ()> {
    [Interface::Json, Interface::Http].into_iter().find(|known| known.name() == name).ok_or(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Parses a digest in a record.
///
/// # Errors
/// `Member` with the given name.
pub fn digest(name: &'static str, text: &str) -> Result<Digest, RecordError> {
    member(name, text, str::parse::<Digest>)
}

fn member<T, E>(name: &'static str, text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, RecordError> {
    parse(text).map_err(|_| RecordError::Member { member: name, value: text.to_owned() })
}

// === impl SignatureRecord ===

impl SignatureRecord {
    fn from_signature(signature: &Signature) -> Self {
        let record = |one: &Parameter| ParameterRecord { name: one.name.clone(), kind: one.kind.clone() };
        Self {
            inputs: signature.inputs.iter().map(record).collect(),
            outputs: signature.outputs.iter().map(record).collect(),
        }
    }

    fn into_signature(self) -> Signature {
        let parameter = |one: ParameterRecord| Parameter { name: one.name, kind: one.kind };
        Signature {
            inputs: self.inputs.into_iter().map(parameter).collect(),
            outputs: self.outputs.into_iter().map(parameter).collect(),
        }
    }
}

// === impl ManifestRecord ===

impl Record for ManifestRecord {
    const SCHEMA: u32 = 1;
}

impl ManifestRecord {
    /// The manifest of a blob whose chunks are still to come.
    #[must_use]
    pub fn begun(bytes: u64, chunks: u32, now_unix_ms: u64) -> Self {
        Self { schema: Self::SCHEMA, bytes, chunks, complete: false, touched_unix_ms: now_unix_ms }
    }
}

// === impl InvocationRecord ===

impl Record for InvocationRecord {
    const SCHEMA: u32 = 1;
}

impl InvocationRecord {
    /// The record of an invocation that was accepted just now.
    #[must_use]
    pub fn accepted(function: &Function, params: Carried, now_unix_ms: u64) -> Self {
        Self {
            schema: Self::SCHEMA,
            space: function.space.as_str().to_owned(),
            function: function.name.as_str().to_owned(),
            pinned: FunctionRecord::from_function(function),
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
        }
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
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check<R: Record>(record: &R, expected: &Expect) {
        let value = record.to_value();
        let pretty: serde_json::Value = serde_json::from_slice(&value).unwrap();
        expected.assert_eq(&serde_json::to_string_pretty(&pretty).unwrap());
        assert_eq!(R::from_value(&value).unwrap().to_value(), value, "reading and writing changes nothing");
    }

    fn function() -> Function {
        Function {
            space: SpaceId::default_space(),
            name: FunctionName::parse("hello").unwrap(),
            version: Arc::new(Version {
                digest: Digest::new([1; 32]),
                runtime: Runtime::Wasm,
                code: Digest::new([2; 32]),
                handler: "main.handler".to_owned(),
                env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
                limits: FunctionLimits {
                    cpu: CpuMilli::new(250),
                    cpu_time: Some(Duration::from_secs(1)),
                    ..FunctionLimits::default()
                },
            }),
            interface: Interface::Http,
            flags: Flags { idempotent: true, edge: false },
            signature: Some(Signature {
                inputs: vec![Parameter { name: "n".to_owned(), kind: "Int".to_owned() }],
                outputs: Vec::new(),
            }),
        }
    }

    #[test]
    fn function_record() {
        let function = function();
        let record = FunctionRecord::from_function(&function);
        check(
            &record,
            &expect![[r#"
            {
              "code": "0202020202020202020202020202020202020202020202020202020202020202",
              "cpu_milli": 250,
              "cpu_time_ms": 1000,
              "edge": false,
              "env": {
                "A": "1"
              },
              "handler": "main.handler",
              "idempotent": true,
              "interface": "http",
              "max_concurrency": 1,
              "memory_mib": 128,
              "runtime": "wasm",
              "schema": 1,
              "signature": {
                "inputs": [
                  {
                    "name": "n",
                    "type": "Int"
                  }
                ],
                "outputs": []
              },
              "timeout_ms": 30000,
              "version": "0101010101010101010101010101010101010101010101010101010101010101"
            }"#]],
        );
        assert_eq!(record.into_function(function.space.clone(), function.name.clone()).unwrap(), function);
    }

    #[test]
    fn manifest_record() {
        check(
            &ManifestRecord::begun(1_000_000, 2, 1_700_000_000_000),
            &expect![[r#"
            {
              "bytes": 1000000,
              "chunks": 2,
              "complete": false,
              "schema": 1,
              "touched_unix_ms": 1700000000000
            }"#]],
        );
    }

    fn accepted(params: Carried) -> InvocationRecord {
        InvocationRecord::accepted(&function(), params, 1_700_000_000_000)
    }

    #[test]
    fn queued_invocation() {
        let params = r#"{ "n":1e400, "n":[] }"#;
        let record = accepted(Carried::Inline(Arc::from(RawValue::from_string(params.to_owned()).unwrap())));
        let value = String::from_utf8(record.to_value().to_vec()).unwrap();
        assert!(value.contains(params), "parameters stay as they were sent");
        let record = accepted(Carried::Blob(Digest::new([3; 32]).to_string()));
        check(
            &record,
            &expect![[r#"
                {
                  "accepted_unix_ms": 1700000000000,
                  "attempt": 0,
                  "function": "hello",
                  "params": {
                    "blob": "0303030303030303030303030303030303030303030303030303030303030303"
                  },
                  "pinned": {
                    "code": "0202020202020202020202020202020202020202020202020202020202020202",
                    "cpu_milli": 250,
                    "cpu_time_ms": 1000,
                    "edge": false,
                    "env": {
                      "A": "1"
                    },
                    "handler": "main.handler",
                    "idempotent": true,
                    "interface": "http",
                    "max_concurrency": 1,
                    "memory_mib": 128,
                    "runtime": "wasm",
                    "schema": 1,
                    "signature": {
                      "inputs": [
                        {
                          "name": "n",
                          "type": "Int"
                        }
                      ],
                      "outputs": []
                    },
                    "timeout_ms": 30000,
                    "version": "0101010101010101010101010101010101010101010101010101010101010101"
                  },
                  "schema": 1,
                  "space": "default",
                  "state": "queued"
                }"#]],
        );
    }

    #[test]
    fn finished_invocation() {
        let result = RawValue::from_string("[1,2]".to_owned()).unwrap();
        let record = InvocationRecord {
            state: InvocationState::Done,
            attempt: 1,
            started_unix_ms: Some(1_700_000_000_001),
            finished_unix_ms: Some(1_700_000_000_002),
            result: Some(Carried::Inline(Arc::from(result))),
            error: Some(ErrorRecord { code: "function_error".to_owned(), message: "boom".to_owned() }),
            log: Some("a line\n".to_owned()),
            report: Some(ReportRecord { response_time: 0.25, is_warm_start: true, ..ReportRecord::default() }),
            ..accepted(Carried::Blob(Digest::new([3; 32]).to_string()))
        };
        check(
            &record,
            &expect![[r#"
                {
                  "accepted_unix_ms": 1700000000000,
                  "attempt": 1,
                  "error": {
                    "code": "function_error",
                    "message": "boom"
                  },
                  "finished_unix_ms": 1700000000002,
                  "function": "hello",
                  "log": "a line\n",
                  "params": {
                    "blob": "0303030303030303030303030303030303030303030303030303030303030303"
                  },
                  "pinned": {
                    "code": "0202020202020202020202020202020202020202020202020202020202020202",
                    "cpu_milli": 250,
                    "cpu_time_ms": 1000,
                    "edge": false,
                    "env": {
                      "A": "1"
                    },
                    "handler": "main.handler",
                    "idempotent": true,
                    "interface": "http",
                    "max_concurrency": 1,
                    "memory_mib": 128,
                    "runtime": "wasm",
                    "schema": 1,
                    "signature": {
                      "inputs": [
                        {
                          "name": "n",
                          "type": "Int"
                        }
                      ],
                      "outputs": []
                    },
                    "timeout_ms": 30000,
                    "version": "0101010101010101010101010101010101010101010101010101010101010101"
                  },
                  "report": {
                    "duration": 0.0,
                    "execution_area": "",
                    "execution_node": "",
                    "init_time": 0.0,
                    "is_warm_start": true,
                    "offload_latency": 0.0,
                    "queueing_time": 0.0,
                    "response_time": 0.25
                  },
                  "result": {
                    "inline": [
                      1,
                      2
                    ]
                  },
                  "schema": 1,
                  "space": "default",
                  "started_unix_ms": 1700000000001,
                  "state": "done"
                }"#]],
        );
    }

    #[test]
    fn foreign_records_are_refused() {
        let value = |value: &str| FunctionRecord::from_value(value.as_bytes()).unwrap_err();
        assert!(matches!(value(r#"{"schema":2,"new":true}"#), RecordError::Schema { found: 2, known: 1 }));
        assert!(matches!(value(r#"{"Name":"from Serverledge in Go"}"#), RecordError::Schema { found: 0, .. }));
        assert!(matches!(value(r#"{"schema":1}"#), RecordError::Json(_)));
        assert!(matches!(value("x"), RecordError::Json(_)));
        let mut record = FunctionRecord::from_function(&function());
        record.runtime = "cobol".to_owned();
        let error = record.into_function(SpaceId::default_space(), FunctionName::parse("f").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), r#"the record's runtime is "cobol""#);
    }
}
