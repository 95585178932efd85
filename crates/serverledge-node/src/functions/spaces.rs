//! Facts about the spaces of functions that only applications and accounts know.

use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::{Runtime, SpaceId};

/// The spaces, as the node's functions need them. Answers come from memory.
pub(crate) trait Spaces: Send + Sync {
    /// Whether anybody can call the functions of a space.
    fn is_reachable(&self, space: &SpaceId) -> bool;

    /// The name of an application whose functions live in this space.
    fn application(&self, space: &SpaceId) -> Option<String>;

    /// The code of a deploy into this space, with the packages that the space's application asks for.
    fn with_dependencies(
        &self,
        space: &SpaceId,
        code: Bytes,
        runtime: Runtime,
        handler: &str,
    ) -> Result<Bytes, DeployError>;
}
