//! Errors of the registry as errors of a deploy, and the beginning of a long text.

use serverledge_api::DeployError;
use serverledge_core::PrepareError;
use serverledge_registry as registry;

pub(crate) fn registry_fault(
    code: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> DeployError {
    DeployError::Registry {
        code,
        source: Box::new(error),
    }
}

pub(crate) fn registry_error(error: registry::DeployError) -> DeployError {
    use serverledge_core::kv::KvError;
    use serverledge_registry::BlobError;
    match error {
        registry::DeployError::Exists(name) => DeployError::Exists(name),
        registry::DeployError::SpaceGone { .. } => DeployError::SpaceGone,
        registry::DeployError::Contended(name) | registry::DeployError::Changed(name) => {
            DeployError::Contended(name)
        }
        registry::DeployError::Kv(KvError::RegistryFull)
        | registry::DeployError::Code(BlobError::Kv(KvError::RegistryFull)) => {
            registry_fault("registry_full", error)
        }
        registry::DeployError::Digest { .. } => DeployError::Prepare(PrepareError::Internal {
            attempt: "store the function".to_owned(),
            source: Box::new(error),
        }),
        registry::DeployError::Kv(_) | registry::DeployError::Code(_) => {
            registry_fault("registry_unavailable", error)
        }
    }
}

/// The beginning of a text, of at most so many bytes.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
