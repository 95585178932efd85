//! Functions of an application that run in the browsers of its visitors: the signed manifest that names their modules,
//! and the public keys of its signatures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The version of [`EdgeManifest`]; readers refuse others.
pub const MANIFEST_FORMAT: u32 = 1;
/// The beginning of the signed text; the manifest follows. It makes a signature of anything else none of a manifest.
pub const SIGNED_PREFIX: &str = "serverledge edge manifest 1\n";

/// The interface of a module that runs in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeModuleKind {
    /// A WASI command: parameters on stdin, the result on stdout.
    Command,
    /// A reactor: parameters and result in its memory.
    Reactor,
    /// A reactor that was made of a script.
    Snapshot,
    /// A component that answers requests (`wasi:http`). Its file is not a module: it is a line of JSON, the plan by which
    /// its core modules are linked, and then these.
    Component,
}

/// The limits of one call. A browser enforces those of memory, time, parameters, output and log as the node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeLimits {
    /// Most linear memory.
    pub memory_bytes: u64,
    /// Longest time from the call to its result.
    pub timeout_ms: u64,
    /// Longest parameters.
    pub params_bytes: u64,
    /// Longest result.
    pub output_bytes: u64,
    /// Longest log that is kept: its last bytes.
    pub log_bytes: u64,
}

/// A module, made of another one. Its delta is a sequence of records; all numbers are `u32`, little-endian:
/// `[copy_from][copy_length][insert_length][insert_length bytes]`. The module is, record by record, `copy_length` bytes of
/// the base from `copy_from`, then the inserted bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeDelta {
    /// The path of the base, a module, relative to the application's URL.
    pub base: String,
    /// The digest of the base: `sha256-` and base64.
    pub base_integrity: String,
    /// The path of the delta, relative to the application's URL.
    pub module: String,
    /// The length of the delta.
    pub bytes: u64,
}

/// The *deadline variant* of a module: the same with checks of time, for browsers that cannot end a Worker in the midst of
/// WebAssembly. It imports one more function, `deadline` of `serverledge_edge`, without parameters and results, and calls
/// it every so many function entries and turns of loops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeModuleFile {
    /// Its digest: `sha256-` and base64.
    pub integrity: String,
    /// Its length.
    pub bytes: u64,
    /// Its path, relative to the application's URL.
    pub module: String,
    /// A shorter way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<EdgeDelta>,
}

/// A function that visitors may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeFunctionInfo {
    /// Its name in the application.
    pub name: String,
    /// The digest of its version (BLAKE3, in hexadecimal digits).
    pub version: String,
    /// The interface of its module.
    pub kind: EdgeModuleKind,
    /// Equal parameters give an equal result.
    pub idempotent: bool,
    /// The digest of its module, as browsers check it: `sha256-` and base64.
    pub integrity: String,
    /// The length of its module.
    pub bytes: u64,
    /// The path of its module, relative to the application's URL.
    pub module: String,
    /// A shorter way to its module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<EdgeDelta>,
    /// Its module with checks of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<EdgeModuleFile>,
    /// Its handler; empty if none was given.
    pub handler: String,
    /// Its variables. A function with secrets is in no manifest.
    pub env: BTreeMap<String, String>,
    /// The limits of one call.
    pub limits: EdgeLimits,
}

/// The functions of an application that visitors may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeManifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The application's name: a manifest of another one is refused.
    pub app: String,
    /// The time of signing, in Unix seconds.
    pub issued: u64,
    /// The time from which it holds no more, in Unix seconds.
    pub expires: u64,
    /// The functions, by name.
    pub functions: Vec<EdgeFunctionInfo>,
    /// The components, by name. They have a list of their own: readers that do not know it are none the worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<EdgeFunctionInfo>,
}

/// The reply to `GET /app/{app}/edge/manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedManifest {
    /// An [`EdgeManifest`] as JSON: the very text that is signed.
    pub manifest: String,
    /// The name of the signature's key.
    pub key_id: String,
    /// The public key itself: 32 bytes in URL-safe base64 without padding, for pages that trust their connection. A page with
    /// keys of its own compares it with them.
    pub key: String,
    /// Ed25519 over [`SIGNED_PREFIX`] and the manifest, in URL-safe base64 without padding.
    pub signature: String,
}

/// The reply to `GET /app/{app}/edge/keys` and `GET /sdk/edge-keys.json`: a set of JSON Web Keys (RFC 7517, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeKeys {
    /// The keys.
    pub keys: Vec<EdgeKey>,
}

/// A public key of Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeKey {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Its name.
    pub kid: String,
    /// Its 32 bytes, in URL-safe base64 without padding.
    pub x: String,
}

impl EdgeKey {
    /// The key of this name with these bytes in base64.
    #[must_use]
    pub fn ed25519(kid: impl Into<String>, x: impl Into<String>) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            usage: "sig".to_owned(),
            kid: kid.into(),
            x: x.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn delta(of: &str) -> EdgeDelta {
        EdgeDelta {
            base: format!("edge/modules/{of}"),
            base_integrity: "sha256-Aw==".to_owned(),
            module: "edge/deltas/04".to_owned(),
            bytes: 9,
        }
    }

    #[test]
    fn the_form_of_a_manifest() {
        let manifest = EdgeManifest {
            format: MANIFEST_FORMAT,
            app: "shop".to_owned(),
            issued: 1,
            expires: 2,
            functions: vec![EdgeFunctionInfo {
                name: "add".to_owned(),
                version: "ab".to_owned(),
                kind: EdgeModuleKind::Snapshot,
                idempotent: true,
                integrity: "sha256-AA==".to_owned(),
                bytes: 3,
                module: "edge/modules/00".to_owned(),
                delta: None,
                deadline: None,
                handler: String::new(),
                env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
                limits: EdgeLimits {
                    memory_bytes: 4,
                    timeout_ms: 5,
                    params_bytes: 6,
                    output_bytes: 7,
                    log_bytes: 8,
                },
            }],
            components: Vec::new(),
        };
        let text = serde_json::to_string(&manifest).unwrap();
        expect![[r#"{"format":1,"app":"shop","issued":1,"expires":2,"functions":[{"name":"add","version":"ab","kind":"snapshot","idempotent":true,"integrity":"sha256-AA==","bytes":3,"module":"edge/modules/00","handler":"","env":{"A":"1"},"limits":{"memory_bytes":4,"timeout_ms":5,"params_bytes":6,"output_bytes":7,"log_bytes":8}}]}"#]]
        .assert_eq(&text);
        assert_eq!(
            serde_json::from_str::<EdgeManifest>(&text).unwrap(),
            manifest
        );
        let component = EdgeFunctionInfo {
            kind: EdgeModuleKind::Component,
            ..manifest.functions[0].clone()
        };
        let listed = EdgeManifest {
            components: vec![component],
            ..manifest
        };
        let text = serde_json::to_string(&listed).unwrap();
        assert!(
            text.contains(r#"}}],"components":[{"name":"add","version":"ab","kind":"component","#)
        );
        assert_eq!(serde_json::from_str::<EdgeManifest>(&text).unwrap(), listed);
    }

    #[test]
    fn the_form_of_other_files() {
        let file = EdgeModuleFile {
            integrity: "sha256-AQ==".to_owned(),
            bytes: 2,
            module: "edge/modules/01".to_owned(),
            delta: Some(delta("03")),
        };
        let text = serde_json::to_string(&file).unwrap();
        expect![[r#"{"integrity":"sha256-AQ==","bytes":2,"module":"edge/modules/01","delta":{"base":"edge/modules/03","base_integrity":"sha256-Aw==","module":"edge/deltas/04","bytes":9}}"#]]
        .assert_eq(&text);
        assert_eq!(serde_json::from_str::<EdgeModuleFile>(&text).unwrap(), file);
        let signed = SignedManifest {
            manifest: "{}".to_owned(),
            key_id: "k".to_owned(),
            key: "AA".to_owned(),
            signature: "s".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&signed).unwrap(),
            r#"{"manifest":"{}","key_id":"k","key":"AA","signature":"s"}"#
        );
    }

    #[test]
    fn a_key_is_a_json_web_key() {
        let text = serde_json::to_string(&EdgeKey::ed25519("k", "AA")).unwrap();
        assert_eq!(
            text,
            r#"{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"k","x":"AA"}"#
        );
    }
}
