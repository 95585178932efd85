//! The quotas of a user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The quotas of a user, and how much of each is used. Deployed functions are those that the node knows; invocations are
/// counted by each node for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserQuotas {
    /// Applications.
    pub applications: QuotaUsage,
    /// Functions, those of the applications included.
    pub functions: QuotaUsage,
    /// Bytes of the functions' code, equal code counted once.
    pub code_bytes: QuotaUsage,
    /// Invocations at once on this node.
    pub concurrent: QuotaUsage,
    /// Most invocations a minute on this node; `null`: as many as they like.
    pub per_minute: Option<u64>,
}

/// One quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaUsage {
    /// Used now.
    pub used: u64,
    /// The most that is allowed; `null`: as much as they like.
    pub limit: Option<u64>,
}
