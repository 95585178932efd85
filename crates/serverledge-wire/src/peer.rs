//! The messages between nodes: the head of an offloaded invocation, its report, the load of a node, and the code that
//! proves that a request comes from a node with the cluster's key. `docs/peer-protocol.md` describes the whole.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hex::FromHex as _;
use serde::{Deserialize, Serialize};
use serverledge_core::{CallKey, Link};

use crate::status::Coordinates;

/// The prefix of the routes that nodes use among themselves.
pub const PREFIX: &str = "/peer/";
/// The route of offloaded invocations; the function's name follows.
pub const INVOKE_PATH: &str = "/peer/invoke/";
/// The route that says how a node is.
pub const LOAD_PATH: &str = "/peer/load";
/// The route that says how a version of a function stands on a node: a [`crate::rollout::VersionQuestion`] is asked, a
/// [`crate::rollout::VersionStand`] answered.
pub const VERSION_PATH: &str = "/peer/version";
/// The route that says which runs a node keeps the records of: a [`crate::runs::RunsQuestion`] is asked, a
/// [`crate::runs::RunPage`] answered.
pub const RUNS_PATH: &str = "/peer/runs";
/// The route that says what a node has of one invocation: a [`crate::runs::InvocationQuestion`] is asked,
/// [`crate::runs::InvocationTraces`] answered.
pub const INVOCATION_PATH: &str = "/peer/invocation";
/// Header: [`PeerCall`] as JSON.
pub const CALL: &str = "serverledge-peer-call";
/// Header: [`Passed`] as JSON, of a request to any route but those of peers.
pub const PASSED: &str = "serverledge-peer-passed";
/// Header: [`Proof`] as text.
pub const PROOF: &str = "serverledge-peer-proof";
/// Header of answers: [`PeerLoad`] as JSON.
pub const LOAD: &str = "serverledge-peer-load";
/// Header of results: [`PeerReport`] as JSON.
pub const REPORT: &str = "serverledge-peer-report";
/// Header of refusals: `no` if the function certainly did not start.
pub const STARTED: &str = "serverledge-peer-started";
/// Header of functions' failures: `yes` if it may be another next time, since a call that the function made was refused.
pub const STALE: &str = "serverledge-peer-stale";
/// Longest proof that is looked at.
const PROOF_BYTES_MAX: usize = 128;
/// Most nodes that an answer to [`LOAD_PATH`] tells the coordinates of.
pub const SIGHTINGS_MAX: usize = 16;
/// Most functions that an answer to [`LOAD_PATH`] tells idle containers of: as many as a node has containers by default.
pub const WARM_MAX: usize = 200;

/// The head of an offloaded invocation; its body is the parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCall {
    /// The function's space.
    #[serde(default = "default_space", skip_serializing_if = "is_default_space")]
    pub space: String,
    /// The id of this offer of the invocation to this node: asked again with the same one, the node joins the run that it
    /// has.
    pub offer: String,
    /// The invocation's id.
    pub id: String,
    /// The id at the root of its call tree.
    pub root: String,
    /// Its depth in the call tree.
    #[serde(default)]
    pub depth: u32,
    /// Number of times that this call, or one above it, was offloaded, this time included.
    pub hops: u32,
    /// The nodes that it has passed, the sender last.
    pub path: Vec<String>,
    /// Its caller does not want it offloaded: for a balancer's hand-over, which is no offload.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
    /// Milliseconds until it need not be started any more; absent: no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Serverledge's QoS class.
    #[serde(default)]
    pub class: i64,
    /// The digest of the function's version.
    pub version: String,
    /// Another version that will do as well: the newest, where the sender goes on with an earlier one. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub or_version: String,
    /// Any version will do that calls run at the receiver, which prepares it first where it has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_version: bool,
    /// The receiver's life, as the sender knows it.
    pub epoch: String,
    /// Milliseconds since it was first sent there, if this is not the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_ms: Option<u64>,
    /// The request's id at its first node, where it is not the invocation's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The trace context (W3C `traceparent`): the trace, and the span of the way to the receiver.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// The `tracestate` beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    /// Length of the parameters, if what the client carries follows them in the body (see [`crate::endpoint_body`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_bytes: Option<usize>,
    /// The answer is to bring entries that the client may carry back.
    #[serde(
        rename = "hands_out",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub returns_cache: bool,
    /// The generation of the function's space, as the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The keys of the idempotent calls that it is made in, the innermost first, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// Calls of nodes that know no spaces are of this one.
const DEFAULT_SPACE: &str = "default";

fn default_space() -> String {
    DEFAULT_SPACE.to_owned()
}

fn is_default_space(space: &str) -> bool {
    space == DEFAULT_SPACE
}

/// The facts that a load balancer states about a request that it forwards. The proof beside it covers this and the
/// path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The request's method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// The host that its sender asked for.
    pub host: String,
    /// The application whose host that is, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The sender's address, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The rules by which browsers keep cookies for the balancer's names.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub cookies: Cookies,
}

/// The measures that keep pages on the hosts of applications from giving a browser cookies for the server beside them.
/// A measure that is absent is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cookies {
    /// Browsers take none for the domain that their hosts are below.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unshared: bool,
    /// The name of the session's cookie binds it to one host, over TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
}

/// The report of an offloaded run. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerReport {
    /// Nothing had to be loaded.
    pub warm: bool,
    /// Waiting for resources.
    pub queue_us: u64,
    /// Starting the sandbox.
    pub start_us: u64,
    /// The execution.
    pub execution_us: u64,
    /// All of it on that node.
    pub total_us: u64,
    /// Bytes of the log at the end of the body; the result stands before it.
    pub log_bytes: usize,
    /// The node that ran it, if the receiver has handed it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    /// The cache data of the result; absent: nothing in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memo: Option<PeerMemo>,
}

/// The cache data of a result. Its entries stand in the body between result and log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerMemo {
    /// The look-up that answered: `run`, `cache`, `joined`, `carried`, `edge`.
    pub source: String,
    /// Some answer came from what the client carries.
    pub shaped: bool,
    /// The run made a call.
    pub called: bool,
    /// A part of it ran in another generation than it began in, or a call that it made was refused.
    pub stale: bool,
    /// Results of a client that were not believed: not of an edge function, untrue, expired, outdated.
    pub ignored: [u32; 4],
    /// Bytes of the entries in the body.
    pub entries_bytes: usize,
}

/// The node of a run that its receiver offloaded again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Elsewhere {
    /// The node's area.
    pub area: String,
    /// The node.
    pub node: String,
    /// Time that the way there and back added, in microseconds.
    pub latency_us: u64,
}

/// The load of a node; sent with every response to a peer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerLoad {
    /// The epoch (one life) of the node that states this.
    pub epoch: String,
    /// Memory that a new call may take, in MiB.
    pub free_memory_mib: u64,
    /// Processor share that a new call may take, in thousandths of a core.
    pub free_cpu_milli: u64,
    /// Time that a new call would wait, in microseconds.
    pub wait_us: u64,
    /// It takes nothing new.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// The answer to [`LOAD_PATH`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerState {
    /// The load of the node.
    pub load: PeerLoad,
    /// The network coordinates of the node.
    pub coordinates: Coordinates,
    /// The coordinates of some other nodes, by `area/node`, at most [`SIGHTINGS_MAX`].
    pub sightings: BTreeMap<String, Coordinates>,
    /// Idle containers by function, at most [`WARM_MAX`] functions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub warm: BTreeMap<String, u32>,
}

/// The key of a cluster, in the form in which requests are proved with it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; 32]);

/// The proof that a request comes from a node with the cluster's key, at about this time, for this node: a keyed BLAKE3
/// hash over everything that the receiver acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Creation time, in Unix milliseconds by the sender's clock.
    pub unix_ms: u64,
    /// Never the same twice.
    pub nonce: [u8; 12],
    tag: [u8; 32],
}

/// The data that a proof covers.
#[derive(Debug, Clone, Copy)]
pub struct Proved<'a> {
    /// The receiver as `area/node`: what is meant for one node proves nothing to another.
    pub to: &'a str,
    /// The path.
    pub path: &'a str,
    /// The header [`CALL`]; empty without one.
    pub call: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

// === impl ClusterKey ===

impl ClusterKey {
    /// From the configured text. BLAKE3's key derivation, so that no other use of the text gives the same key.
    #[must_use]
    pub fn derive(text: &str) -> Self {
        Self(blake3::derive_key(
            "serverledge 2026 peer requests 1",
            text.as_bytes(),
        ))
    }

    /// A secret for another purpose, from which this key cannot be found.
    #[must_use]
    pub fn secret_for(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }

    /// Proves a request.
    #[must_use]
    pub fn prove(&self, unix_ms: u64, nonce: [u8; 12], what: &Proved<'_>) -> Proof {
        Proof {
            unix_ms,
            nonce,
            tag: *self.tag(unix_ms, nonce, what).as_bytes(),
        }
    }

    /// Whether the proof is of this request, made with this key. Time and nonce are the caller's to judge. Takes the same
    /// time whatever is wrong.
    #[must_use]
    pub fn holds(&self, proof: &Proof, what: &Proved<'_>) -> bool {
        self.tag(proof.unix_ms, proof.nonce, what) == proof.tag
    }

    fn tag(&self, unix_ms: u64, nonce: [u8; 12], what: &Proved<'_>) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&unix_ms.to_le_bytes()).update(&nonce);
        for part in [
            what.to.as_bytes(),
            what.path.as_bytes(),
            what.call,
            what.body,
        ] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        hasher.finalize()
    }
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

// === impl Proof ===

impl Proof {
    /// As the header's text: time, nonce and tag.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "{}.{}.{}",
            self.unix_ms,
            hex::encode(self.nonce),
            hex::encode(self.tag)
        )
    }

    /// Reads the header's text; `None` if it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|text| text.len() <= PROOF_BYTES_MAX)?;
        let mut parts = text.splitn(3, '.');
        let unix_ms = parts.next()?.parse().ok()?;
        let nonce = <[u8; 12]>::from_hex(parts.next()?).ok()?;
        let tag = <[u8; 32]>::from_hex(parts.next()?).ok()?;
        Some(Self {
            unix_ms,
            nonce,
            tag,
        })
    }
}

/// The keys of a chain as the head of a call holds them; `None` if one is none.
#[must_use]
pub fn chain_of(texts: &[String]) -> Option<Option<std::sync::Arc<Link>>> {
    let mut chain = None;
    for text in texts.iter().rev() {
        chain = Some(std::sync::Arc::new(Link {
            key: CallKey::from_hex(text).ok()?,
            up: chain,
        }));
    }
    Some(chain)
}

/// One key of a chain as the head of a call holds it.
#[must_use]
pub fn chain_text(key: &CallKey) -> String {
    hex::encode(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_request_to_one_node() {
        let key = ClusterKey::derive("0123456789abcdef0123456789abcdef");
        let what = Proved {
            to: "ROME/n1",
            path: "/peer/invoke/f",
            call: b"{}",
            body: b"7",
        };
        let proof = key.prove(1_700_000_000_000, [7; 12], &what);
        // The test vector of docs/peer-protocol.md, from an implementation of its own.
        let tag = "acd64aaa894d8d3ba92e5e4cecbd6faceafdd8a4c5b3ec9269cc5627fbb1726b";
        assert_eq!(
            proof.to_text(),
            format!("1700000000000.070707070707070707070707.{tag}")
        );
        assert_eq!(
            Proof::parse(proof.to_text().as_bytes()).as_ref(),
            Some(&proof)
        );
        assert!(key.holds(&proof, &what));
        let others = [
            Proved {
                to: "ROME/n2",
                ..what
            },
            Proved {
                path: "/peer/invoke/g",
                ..what
            },
            Proved {
                call: b"{ }",
                ..what
            },
            Proved { body: b"8", ..what },
            // The same bytes, cut elsewhere.
            Proved {
                call: b"{}7",
                body: b"",
                ..what
            },
        ];
        for other in others {
            assert!(!key.holds(&proof, &other), "{other:?}");
        }
        assert!(!key.holds(
            &Proof {
                unix_ms: 1,
                ..proof.clone()
            },
            &what
        ));
        assert!(!key.holds(
            &Proof {
                nonce: [8; 12],
                ..proof.clone()
            },
            &what
        ));
        assert!(!ClusterKey::derive("another key of more than 32 characters").holds(&proof, &what));
    }

    /// Nodes of two builds talk to each other: members keep their names, whatever their fields are called.
    #[test]
    fn members_of_a_call_keep_their_names() {
        let text = r#"{"offer":"o","id":"i","root":"r","hops":1,"path":[],"version":"v","epoch":"e","hands_out":true}"#;
        let call: PeerCall = serde_json::from_str(text).unwrap();
        assert!(call.returns_cache);
        assert_eq!(serde_json::to_value(&call).unwrap()["hands_out"], true);
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        for text in [
            "",
            "1",
            "1.2.3",
            "x.070707070707070707070707.00",
            "1.07070707070707070707070é.0",
        ] {
            assert_eq!(Proof::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Proof::parse(&[255; 8]), None);
    }

    #[test]
    fn the_head_of_a_call_is_read_as_it_was_written() {
        let call = PeerCall {
            space: default_space(),
            offer: "o".into(),
            id: "a".into(),
            root: "b".into(),
            depth: 2,
            hops: 1,
            path: vec!["ROME/n1".into()],
            stays: false,
            deadline_ms: Some(1500),
            class: 1,
            version: "d".into(),
            or_version: String::new(),
            any_version: false,
            epoch: "e".into(),
            again_ms: None,
            request_id: String::new(),
            trace: String::new(),
            trace_state: String::new(),
            params_bytes: None,
            returns_cache: false,
            generation: None,
            chain: Vec::new(),
        };
        let text = serde_json::to_string(&call).unwrap();
        expect_test::expect![[r#"{"offer":"o","id":"a","root":"b","depth":2,"hops":1,"path":["ROME/n1"],"deadline_ms":1500,"class":1,"version":"d","epoch":"e"}"#]]
            .assert_eq(&text);
        assert_eq!(serde_json::from_str::<PeerCall>(&text).unwrap(), call);
    }
}
