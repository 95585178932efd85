//! Deployed code: a module, or a tar of a module and the files that come with it.

use bytes::Bytes;
use serverledge_core::PrepareError;
use serverledge_wire::upload;

use super::base::BaseTree;
use super::fault::FileFault;
use super::pack::packed;

/// The folder whose place a call's own directory takes.
const SCRATCH_FOLDER: &str = "tmp/";

/// See the module.
#[derive(Debug)]
pub(crate) struct CodeParts {
    pub(crate) module: Bytes,
    /// The pack of its files; `None` if none come with it.
    pub(crate) pack: Option<Vec<u8>>,
}

impl CodeParts {
    /// A module without files.
    pub(crate) fn module(module: Bytes) -> Self {
        Self { module, pack: None }
    }

    /// Takes a tar apart.
    ///
    /// # Errors
    /// [`PrepareError::Invalid`] if it is none, or what is in it is not allowed.
    pub(crate) fn of_tar(tar: &Bytes) -> Result<Self, PrepareError> {
        let program = upload::program(tar).map_err(|error| PrepareError::Invalid {
            code: error.code(),
            message: error.to_string(),
        })?;
        let module = tar.slice(program.module);
        if program.files.is_empty() {
            return Ok(Self::module(module));
        }
        let is_hidden = |path: &str| path.starts_with(SCRATCH_FOLDER);
        if let Some(hidden) = program.files.iter().find(|file| is_hidden(&file.path)) {
            return Err(PrepareError::Invalid {
                code: "reserved_path",
                message: format!(
                    "{:?} would not be found: /tmp is each call's own directory; name the folder otherwise",
                    hidden.path
                ),
            });
        }
        let files: Vec<(String, Bytes)> = program
            .files
            .into_iter()
            .map(|file| (file.path, tar.slice(file.range)))
            .collect();
        BaseTree::new(files.iter().map(|(path, bytes)| (path, bytes.clone())))
            .map_err(unsafe_path)?;
        let pack = packed(&files).map_err(|source| PrepareError::Internal {
            attempt: "pack the files".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            module,
            pack: Some(pack),
        })
    }
}

/// The refusal of files that are no tree.
fn unsafe_path(fault: FileFault) -> PrepareError {
    PrepareError::Invalid {
        code: "unsafe_path",
        message: format!("the files of the tar are no tree: {fault}"),
    }
}
