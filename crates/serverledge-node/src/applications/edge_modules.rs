//! The modules of functions that run in browsers: which functions have one, in which forms, and where their bytes come
//! from. Everything that takes time happens off the threads of requests, one piece after the other, and is kept: anybody
//! may ask for it, again and again.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::Cache;
use serverledge_api::{ContentCoding, DeployError, EdgeFile};
use serverledge_core::{Digest, PrepareError};
use serverledge_executor_wasm::{CoreInterface, WasmExecutor};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::applications::edge_base::{EdgeBase, sha256};
use crate::applications::edge_files::{EdgeFiles, encoded};
use crate::functions::edge_fit::{ModuleForm, NotForBrowsers, in_form, module_of};
use crate::functions::snapshots::SnapshotLanguage;
use crate::functions::{javascript, python};

/// Codes of which the module's description is kept. Making one reads the whole code.
const DESCRIBED_MAX: usize = 10_000;
/// Longest file that is kept because it was described, before anybody asks for it.
const DESCRIBED_BYTES_MAX: usize = 4 << 20;

/// A file that browsers load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileInfo {
    pub(super) sha256: Digest,
    pub(super) bytes: u64,
}

/// A module in one form, and the delta that makes it of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormInfo {
    pub(super) module: FileInfo,
    pub(super) delta: Option<DeltaInfo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeltaInfo {
    pub(super) base: Digest,
    pub(super) file: FileInfo,
}

/// The description of a module that browsers can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModuleInfo {
    pub(super) interface: CoreInterface,
    pub(super) plain: FormInfo,
    pub(super) deadline: Option<FormInfo>,
}

/// A file of a function's module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilePart {
    Module(ModuleForm),
    Delta(ModuleForm),
    Base(ModuleForm),
}

/// The description of the module of deployed code, or the reason why there is none.
type Described = Result<Arc<ModuleInfo>, NotForBrowsers>;

/// Deployed code: its digest, and the language of the source if it is a snapshot of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodeId {
    pub(super) digest: Digest,
    pub(super) snapshot: Option<SnapshotLanguage>,
}

/// The modules of deployed code. What is kept is kept by digests, and never changes.
pub(crate) struct EdgeModules {
    kept: Arc<KeptModules>,
    bases: LanguageBases,
    /// The turn of whoever describes a module, and of whoever makes a file: the second may be needed again and again, and
    /// must not keep others from the first.
    describing: Arc<Semaphore>,
    making: Arc<Semaphore>,
}

/// The base of each language's snapshots, made when it is first needed.
#[derive(Default)]
struct LanguageBases {
    javascript: OnceCell<Arc<EdgeBase>>,
    python: OnceCell<Arc<EdgeBase>>,
}

struct KeptModules {
    described: Cache<Digest, Described>,
    files: EdgeFiles,
}

impl EdgeModules {
    /// The description of the module of a code. `read` reads the code, if it is needed.
    pub(super) async fn describe(
        &self,
        code: CodeId,
        read: impl Future<Output = Result<Bytes, DeployError>>,
        snapshots: Option<&WasmExecutor>,
    ) -> Result<Described, DeployError> {
        if let Some(known) = self.kept.described.get(&code.digest) {
            return Ok(known);
        }
        // Before the turn: a base may have to be compiled, and others need not wait for that.
        let base = self.base_of(code, snapshots).await;
        let turn = turn(&self.describing).await?;
        // Others may have described it meanwhile.
        if let Some(known) = self.kept.described.get(&code.digest) {
            return Ok(known);
        }
        let stored = read.await?;
        let kept = Arc::clone(&self.kept);
        blocking("describe a module for browsers", turn, move || {
            let described = kept.describe(&stored, base.as_deref());
            // Another time there may be a base.
            if base.is_some() || code.snapshot.is_none() {
                kept.described.insert(code.digest, described.clone());
            }
            Ok(described)
        })
        .await
    }

    /// A file of the module of a code. `read` reads the code, if it is needed.
    pub(super) async fn file(
        &self,
        (code, part): (CodeId, FilePart),
        (sha256, coding): (Digest, ContentCoding),
        read: impl Future<Output = Result<Bytes, DeployError>>,
    ) -> Result<Option<Bytes>, DeployError> {
        if let Some(kept) = self.kept.files.get(sha256, coding) {
            return Ok(Some(kept));
        }
        let turn = turn(&self.making).await?;
        if let Some(kept) = self.kept.files.get(sha256, coding) {
            return Ok(Some(kept));
        }
        // Whoever knows the digest of a base or a delta knows it from a description, which was made with the base.
        let base = code.snapshot;
        let base = base.and_then(|language| self.bases.of(language).get().cloned());
        let plain = match (self.kept.files.get(sha256, ContentCoding::Identity), part) {
            (Some(kept), _) => FileSource::File(kept),
            (None, FilePart::Base(_)) => FileSource::Base,
            (None, _) => FileSource::Code(read.await?),
        };
        let kept = Arc::clone(&self.kept);
        blocking("make a file for browsers", turn, move || {
            let Some(file) = plain.file(part, base.as_deref()) else {
                return Ok(None);
            };
            let made =
                encoded(&file, coding).map_err(|error| internal("compress a file", error))?;
            kept.files.keep(sha256, coding, made.clone());
            Ok(Some(made))
        })
        .await
    }

    /// The base of a snapshot; `None` for other code, and if there is none now.
    async fn base_of(
        &self,
        code: CodeId,
        snapshots: Option<&WasmExecutor>,
    ) -> Option<Arc<EdgeBase>> {
        let language = code.snapshot?;
        let snapshots = snapshots?;
        let make = || made_base(language, snapshots);
        let made = self.bases.of(language).get_or_try_init(make).await;
        match made {
            Ok(base) => Some(Arc::clone(base)),
            Err(error) => {
                tracing::warn!(?language, %error, "failed to make a base of snapshots for browsers");
                None
            }
        }
    }
}

type BaseError = Box<dyn std::error::Error + Send + Sync>;

async fn made_base(
    language: SnapshotLanguage,
    snapshots: &WasmExecutor,
) -> Result<Arc<EdgeBase>, BaseError> {
    let code = match language {
        SnapshotLanguage::JavaScript => javascript::empty_snapshot(snapshots).await?,
        SnapshotLanguage::Python => python::empty_snapshot(snapshots).await?,
    };
    let made = tokio::task::spawn_blocking(move || EdgeBase::new(&code)).await?;
    made.map(Arc::new)
        .ok_or_else(|| "browsers cannot run it".into())
}

impl Default for EdgeModules {
    fn default() -> Self {
        Self {
            kept: Arc::new(KeptModules {
                described: Cache::new(DESCRIBED_MAX),
                files: EdgeFiles::default(),
            }),
            bases: LanguageBases::default(),
            describing: Arc::new(Semaphore::new(1)),
            making: Arc::new(Semaphore::new(1)),
        }
    }
}

impl LanguageBases {
    const fn of(&self, language: SnapshotLanguage) -> &OnceCell<Arc<EdgeBase>> {
        match language {
            SnapshotLanguage::JavaScript => &self.javascript,
            SnapshotLanguage::Python => &self.python,
        }
    }
}

impl KeptModules {
    fn describe(&self, stored: &Bytes, base: Option<&EdgeBase>) -> Described {
        module_of(stored).map(|(interface, module)| {
            let form =
                |form| in_form(&module, form).map(|bytes| self.describe_form(form, bytes, base));
            let deadline = form(ModuleForm::Deadline);
            Arc::new(ModuleInfo {
                interface,
                plain: self.describe_form(ModuleForm::Plain, module.clone(), base),
                deadline,
            })
        })
    }

    fn describe_form(&self, form: ModuleForm, bytes: Bytes, base: Option<&EdgeBase>) -> FormInfo {
        let over = base.and_then(|base| base.form(form));
        let delta = over.and_then(|base| {
            let file = self.describe_file(base.delta(&bytes)?);
            Some(DeltaInfo {
                base: base.sha256,
                file,
            })
        });
        FormInfo {
            module: self.describe_file(bytes),
            delta,
        }
    }

    fn describe_file(&self, bytes: Bytes) -> FileInfo {
        let info = FileInfo {
            sha256: sha256(&bytes),
            bytes: bytes.len() as u64,
        };
        // A long one is sent in a coding, if at all, and would push out others.
        if bytes.len() <= DESCRIBED_BYTES_MAX {
            self.files.keep(info.sha256, ContentCoding::Identity, bytes);
        }
        info
    }
}

impl ModuleInfo {
    /// The file with this name, if it is one of the module's.
    pub(super) fn part(&self, file: EdgeFile<'_>) -> Option<FilePart> {
        let file = match (file, self.interface) {
            (EdgeFile::Component(name), CoreInterface::Component) => EdgeFile::Module(name),
            (EdgeFile::Component(_), _) | (_, CoreInterface::Component) => return None,
            _ => file,
        };
        let forms = [
            (ModuleForm::Plain, Some(&self.plain)),
            (ModuleForm::Deadline, self.deadline.as_ref()),
        ];
        forms
            .into_iter()
            .find_map(|(form, info)| info?.part(form, file))
    }
}

impl FormInfo {
    fn part(&self, form: ModuleForm, file: EdgeFile<'_>) -> Option<FilePart> {
        let is = |sha256: Digest, name: &str| name.parse() == Ok(sha256);
        match (file, self.delta) {
            (EdgeFile::Module(name), _) if is(self.module.sha256, name) => {
                Some(FilePart::Module(form))
            }
            (EdgeFile::Module(name), Some(delta)) if is(delta.base, name) => {
                Some(FilePart::Base(form))
            }
            (EdgeFile::Delta(name), Some(delta)) if is(delta.file.sha256, name) => {
                Some(FilePart::Delta(form))
            }
            _ => None,
        }
    }
}

/// The place that a file's bytes come from.
enum FileSource {
    /// The file itself.
    File(Bytes),
    /// The base in memory.
    Base,
    /// Deployed code.
    Code(Bytes),
}

impl FileSource {
    /// The file without a coding; `None` if it is not there any more. It takes time.
    fn file(self, part: FilePart, base: Option<&EdgeBase>) -> Option<Bytes> {
        let module = |code: &Bytes, form| in_form(&module_of(code).ok()?.1, form);
        match (self, part) {
            (Self::File(file), _) => Some(file),
            (_, FilePart::Base(form)) => Some(base?.form(form)?.module.bytes().clone()),
            (Self::Code(code), FilePart::Module(form)) => module(&code, form),
            (Self::Code(code), FilePart::Delta(form)) => {
                base?.form(form)?.delta(&module(&code, form)?)
            }
            (Self::Base, _) => None,
        }
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, DeployError> {
    let turn = Arc::clone(turns).acquire_owned().await;
    turn.map_err(|error| internal("wait for a turn", error))
}

/// Does what takes time on a thread for such things. It goes on if the asker leaves, and ends the turn.
async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    let work = move || {
        let _turn = turn;
        work()
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(internal(attempt, error)))
}

fn internal(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DeployError {
    DeployError::Prepare(PrepareError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    })
}

#[cfg(test)]
mod tests;
