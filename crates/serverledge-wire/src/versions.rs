//! A function's versions, rolling back to one of them, and flags that change without new code.

use serde::{Deserialize, Serialize};
use serverledge_core::Footprint;
use utoipa::ToSchema;

use crate::members::{BodyError, Members};

/// The response to `GET /functions/{name}/versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionVersions {
    /// The function's name.
    pub function: String,
    /// The current version, then those that are kept, the newest first.
    pub versions: Vec<VersionInfo>,
}

/// The sizes of a prepared version on the node that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FootprintInfo {
    /// Bytes of its machine code, data included. Scripts share an engine, which is not counted here.
    pub machine_code_bytes: u64,
    /// Bytes of memory with which an instance begins.
    pub memory_bytes: u64,
}

impl From<Footprint> for FootprintInfo {
    fn from(footprint: Footprint) -> Self {
        Self {
            machine_code_bytes: footprint.machine_code_bytes,
            memory_bytes: footprint.memory_bytes,
        }
    }
}

/// One version of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VersionInfo {
    /// Its digest.
    pub version: String,
    /// The name is bound to it now.
    pub current: bool,
    /// Time at which the name was last bound to it, in Unix milliseconds; 0 if that was not noted.
    pub deployed_unix_ms: u64,
    /// Its runtime.
    pub runtime: String,
    /// Its interface: `json` or `http`.
    pub interface: String,
    /// Digest of its code.
    pub code: String,
    /// Length of its code; 0 if that was not noted.
    pub code_bytes: u64,
    /// Equal parameters give an equal result. Of a version that is kept: as it was said of it last.
    pub idempotent: bool,
    /// Results of runs that sent requests to hosts outside are kept as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent_outbound: bool,
    /// Callers may download and run the code.
    pub edge: bool,
    /// Lifetime of its instances: `kept` or `fresh`.
    #[serde(default)]
    pub isolation: String,
    /// Its sizes on the node that answers; absent for containers, and where it is not prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintInfo>,
}

/// The body of `POST /functions/{name}/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RollbackRequest {
    /// Digest of a version, or how it begins.
    pub version: String,
}

/// The body of `POST /functions/{name}/flags`; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FlagsRequest {
    /// Equal parameters give an equal result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// With `Idempotent`: results of runs that sent requests to hosts outside are kept as well. Taken away with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent_outbound: Option<bool>,
    /// Callers may download and run the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<bool>,
    /// Lifetime of its instances: `kept` or `fresh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
}

impl RollbackRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        members.only(&["Version"], "")?;
        Ok(Self {
            version: members.get("Version")?.unwrap_or_default(),
        })
    }
}

impl FlagsRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        members.only(
            &["Idempotent", "IdempotentOutbound", "Edge", "Isolation"],
            "",
        )?;
        Ok(Self {
            idempotent: members.get("Idempotent")?,
            idempotent_outbound: members.get("IdempotentOutbound")?,
            edge: members.get("Edge")?,
            isolation: members.get("Isolation")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_writes_the_node_reads() {
        for flags in [
            FlagsRequest::default(),
            FlagsRequest {
                idempotent: Some(true),
                ..FlagsRequest::default()
            },
            FlagsRequest {
                idempotent: Some(false),
                idempotent_outbound: Some(true),
                edge: Some(true),
                isolation: Some("fresh".to_owned()),
            },
        ] {
            assert_eq!(
                FlagsRequest::parse(&serde_json::to_vec(&flags).unwrap()).unwrap(),
                flags
            );
        }
        let back = RollbackRequest {
            version: "ab".to_owned(),
        };
        assert_eq!(
            RollbackRequest::parse(&serde_json::to_vec(&back).unwrap()).unwrap(),
            back
        );
        assert_eq!(
            RollbackRequest::parse(br#"{"version":"ab"}"#).unwrap(),
            back
        );
        assert!(FlagsRequest::parse(br#"{"Edge":"yes"}"#).is_err());
    }
}
