//! Content-addressed blobs: code, and parameters and results that are too large for their records.
//!
//! A blob is a manifest (`blobs/<digest>`) and chunks (`blobs/<digest>/<n>`). Chunks are written first, under a manifest
//! that says so; it becomes complete in the transaction that first names the blob, and every transaction that names it
//! again rewrites it. The sweeper looks at the manifests, then at what is named, and deletes a manifest only as it saw
//! it, together with its chunks: so a blob is never named and swept at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn,
};
use serverledge_core::limits::CODE_BYTES_MAX;
use serverledge_core::{Digest, whole_millis};
use serverledge_wire::records::{ManifestRecord, Record, RecordError};

use crate::version::code_digest;
use crate::{keys, paging};

/// Bytes of a chunk: two of them fit into a transaction, and one with its key and row into an embedded store's page of
/// 512 KiB (pages come in powers of two).
pub const CHUNK_BYTES: usize = 500 * 1024;
/// Chunks written in one transaction.
const CHUNKS_PER_TXN: usize = 2;
/// Chunks read at once.
const CHUNKS_PER_READ: usize = 4;
/// Most attempts at an upload that loses to the sweeper; two losses in a row mean a wrong grace time.
const ATTEMPTS_MAX: usize = 3;

/// The reason why a blob was not stored, read or swept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The registry failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// Longer than [`CODE_BYTES_MAX`].
    #[error("the blob has {0} bytes, {CODE_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// The manifest cannot be read.
    #[error("failed to read the manifest of blob {digest}")]
    Manifest {
        /// The digest of the blob.
        digest: Digest,
        /// The cause.
        #[source]
        source: RecordError,
    },
    /// The chunks are not what the digest says.
    #[error("blob {0} is damaged")]
    Damaged(Digest),
    /// The blob was swept again and again while it was written.
    #[error("blob {0} was swept while it was written")]
    Contended(Digest),
}

/// The blobs that there were when a sweep began.
#[derive(Debug, Clone)]
pub struct Survey {
    /// With the revisions of their manifests.
    blobs: Vec<(Digest, Revision)>,
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blobs deleted.
    pub blobs: usize,
    /// Their length together.
    pub bytes: u64,
}

/// Blobs in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BlobStore {
    kv: Arc<dyn Kv>,
}

/// A blob whose chunks are stored; to be named in a transaction soon.
#[derive(Debug, Clone)]
pub(crate) struct Uploaded {
    digest: Digest,
    /// The revision that created the manifest: another value means that the blob was swept meanwhile.
    created: Revision,
    manifest: ManifestRecord,
}

// === impl BlobStore ===

impl BlobStore {
    /// The blobs of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Stores a blob that nothing names yet, and returns its digest; it lives for the sweeper's grace time. Idempotent.
    /// If the future is dropped, what was written is swept later.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn put(&self, blob: &Bytes, now_unix_ms: u64) -> Result<Digest, BlobError> {
        let digest = code_digest(blob);
        for _ in 0..ATTEMPTS_MAX {
            let uploaded = self.upload(blob, now_unix_ms).await?;
            if self
                .kv
                .txn(uploaded.name_in(Txn::new(), now_unix_ms))
                .await?
                .succeeded
            {
                return Ok(digest);
            }
        }
        Err(BlobError::Contended(digest))
    }

    /// Reads a blob and checks its digest. `None` if there is none, or if it is not complete.
    ///
    /// # Errors
    /// `Damaged` if the chunks are not those of the digest.
    pub async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, BlobError> {
        let read = self
            .kv
            .txn(Txn::new().then(Op::get(keys::blob(digest))))
            .await?;
        let Some(entry) = read
            .replies
            .into_iter()
            .next()
            .and_then(OpReply::into_entry)
        else {
            return Ok(None);
        };
        let manifest = manifest(digest, &entry)?;
        if !manifest.complete {
            return Ok(None);
        }
        // As of the manifest's revision: a sweep meanwhile does not tear the blob.
        let chunks = RangeRequest::prefix(keys::chunks(digest))
            .limit(CHUNKS_PER_READ)
            .at(read.revision);
        let (chunks, _) = paging::read_all(&*self.kv, chunks).await?;
        let blob = Bytes::from(
            chunks
                .iter()
                .map(|chunk| chunk.value.as_ref())
                .collect::<Vec<_>>()
                .concat(),
        );
        if code_digest(&blob) == *digest {
            Ok(Some(blob))
        } else {
            Err(BlobError::Damaged(*digest))
        }
    }

    /// The first step of a sweep: which blobs there are. Read afterwards what is named, then call [`Self::sweep`].
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn survey(&self) -> Result<Survey, KvError> {
        let (entries, _) =
            paging::read_all(&*self.kv, RangeRequest::prefix(keys::BLOBS).keys_only()).await?;
        let blobs = entries
            .iter()
            .filter_map(|entry| Some((keys::parse_blob(&entry.key)?, entry.mod_revision)));
        Ok(Survey {
            blobs: blobs.collect(),
        })
    }

    /// Deletes the surveyed blobs that are not in `named` (which was read after the survey), that nobody has named
    /// since the survey, and that nobody has written or named for the grace time. The grace time is for uploads, and
    /// for blobs that were [`put`](Self::put) to be named later.
    ///
    /// # Errors
    /// [`BlobError`]; what was deleted before stays deleted.
    pub async fn sweep(
        &self,
        survey: &Survey,
        named: &HashSet<Digest>,
        now_unix_ms: u64,
        grace: Duration,
    ) -> Result<Swept, BlobError> {
        let grace_ms = whole_millis(grace);
        let touched_max = now_unix_ms.saturating_sub(grace_ms);
        let mut swept = Swept::default();
        for (digest, seen) in survey
            .blobs
            .iter()
            .filter(|(digest, _)| !named.contains(digest))
        {
            if let Some(bytes) = self.sweep_one(digest, *seen, touched_max).await? {
                swept.blobs += 1;
                swept.bytes += bytes;
            }
        }
        Ok(swept)
    }

    async fn sweep_one(
        &self,
        digest: &Digest,
        seen: Revision,
        touched_max: u64,
    ) -> Result<Option<u64>, BlobError> {
        let Some(entry) = self
            .kv
            .get(&keys::blob(digest))
            .await?
            .filter(|entry| entry.mod_revision == seen)
        else {
            return Ok(None);
        };
        let manifest = manifest(digest, &entry)?;
        if manifest.touched_unix_ms > touched_max {
            return Ok(None);
        }
        let txn = Txn::new()
            .when(Compare::mod_revision(keys::blob(digest), seen))
            .then(Op::delete(keys::blob(digest)))
            .then(Op::delete_prefix(keys::chunks(digest)));
        Ok(self.kv.txn(txn).await?.succeeded.then_some(manifest.bytes))
    }

    /// Stores the chunks, unless the blob is there.
    pub(crate) async fn upload(
        &self,
        blob: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Uploaded, BlobError> {
        if blob.len() > CODE_BYTES_MAX {
            return Err(BlobError::TooLarge(blob.len()));
        }
        let digest = code_digest(blob);
        for _ in 0..ATTEMPTS_MAX {
            let uploaded = self.begin(digest, blob.len(), now_unix_ms).await?;
            if uploaded.manifest.complete || self.write_chunks(&uploaded, blob).await? {
                return Ok(uploaded);
            }
        }
        Err(BlobError::Contended(digest))
    }

    /// A blob that is there, to be named once more; `None` if it is not there, or not complete.
    pub(crate) async fn present(&self, digest: &Digest) -> Result<Option<Uploaded>, BlobError> {
        let Some(entry) = self.kv.get(&keys::blob(digest)).await? else {
            return Ok(None);
        };
        let manifest = manifest(digest, &entry)?;
        let uploaded = Uploaded {
            digest: *digest,
            created: entry.create_revision,
            manifest,
        };
        Ok(Some(uploaded).filter(|uploaded| uploaded.manifest.complete))
    }

    /// Finds or makes the manifest. One that is not complete, from an upload that runs or was cut short, is taken over:
    /// both would write the same.
    async fn begin(
        &self,
        digest: Digest,
        bytes: usize,
        now_unix_ms: u64,
    ) -> Result<Uploaded, BlobError> {
        let key = keys::blob(&digest);
        let chunks =
            u32::try_from(bytes.div_ceil(CHUNK_BYTES)).map_err(|_| BlobError::TooLarge(bytes))?;
        let begun = ManifestRecord::begun(bytes as u64, chunks, now_unix_ms);
        let txn = Txn::new()
            .when(Compare::missing(key.clone()))
            .then(Op::put(key.clone(), begun.to_value()))
            .otherwise(Op::get(key.clone()));
        let reply = self.kv.txn(txn).await?;
        let found = reply
            .replies
            .into_iter()
            .next()
            .and_then(OpReply::into_entry);
        let Some(entry) = found else {
            return Ok(Uploaded {
                digest,
                created: reply.revision,
                manifest: begun,
            });
        };
        let manifest = manifest(&digest, &entry)?;
        if !manifest.complete {
            let refresh = Txn::new()
                .when(Compare::mod_revision(key.clone(), entry.mod_revision))
                .then(Op::put(key, begun.to_value()));
            // If it has just been completed or refreshed, so much the better; if swept, the chunks' compare finds out.
            self.kv.txn(refresh).await?;
        }
        Ok(Uploaded {
            digest,
            created: entry.create_revision,
            manifest,
        })
    }

    /// Says whether the manifest was there to the end.
    async fn write_chunks(&self, uploaded: &Uploaded, blob: &Bytes) -> Result<bool, BlobError> {
        let starts: Vec<_> = (0..blob.len()).step_by(CHUNK_BYTES).enumerate().collect();
        for group in starts.chunks(CHUNKS_PER_TXN) {
            let mut txn = Txn::new().when(uploaded.unswept());
            for (number, start) in group {
                let chunk = blob.slice(*start..blob.len().min(start + CHUNK_BYTES));
                txn = txn.then(Op::put(keys::chunk(&uploaded.digest, *number), chunk));
            }
            if !self.kv.txn(txn).await?.succeeded {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn manifest(digest: &Digest, entry: &KeyValue) -> Result<ManifestRecord, BlobError> {
    ManifestRecord::from_value(&entry.value).map_err(|source| BlobError::Manifest {
        digest: *digest,
        source,
    })
}

// === impl Uploaded ===

impl Uploaded {
    fn unswept(&self) -> Compare {
        Compare::create_revision(keys::blob(&self.digest), self.created)
    }

    /// Adds to a transaction that it needs the blob: it fails if the blob was swept, and completes or refreshes it.
    pub(crate) fn name_in(&self, txn: Txn, now_unix_ms: u64) -> Txn {
        let manifest = ManifestRecord {
            complete: true,
            touched_unix_ms: now_unix_ms,
            ..self.manifest.clone()
        };
        txn.when(self.unswept())
            .then(Op::put(keys::blob(&self.digest), manifest.to_value()))
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(crate) const fn contended(&self) -> BlobError {
        BlobError::Contended(self.digest)
    }
}
