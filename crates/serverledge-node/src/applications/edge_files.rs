//! The bytes of modules and deltas that browsers get, in each content coding. They are made when they are asked for first.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use serverledge_api::ContentCoding;
use serverledge_core::Digest;

/// Bytes that are kept in all codings together, so that not each visitor makes the node read the registry and compress.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest file for which brotli may take all the time that it likes: most deltas are shorter.
const SHORT_BYTES: usize = 64 * 1024;
/// Brotli's qualities: one that takes well under a second for a module of a script, and one for short files.
const QUALITY: i32 = 5;
const QUALITY_OF_SHORT: i32 = 11;
/// The logarithm of brotli's window: the largest that every decoder has.
const WINDOW_BITS: i32 = 22;

/// A file by its own SHA-256, in a coding.
type FileKey = (Digest, ContentCoding);

/// A bounded cache of files; the weight of one is its length.
pub(super) struct EdgeFiles(Cache<FileKey, Bytes, FileBytes>);

#[derive(Clone)]
struct FileBytes;

impl Weighter<FileKey, Bytes> for FileBytes {
    fn weight(&self, _: &FileKey, file: &Bytes) -> u64 {
        file.len().max(1) as u64
    }
}

impl EdgeFiles {
    pub(super) fn get(&self, sha256: Digest, coding: ContentCoding) -> Option<Bytes> {
        self.0.get(&(sha256, coding))
    }

    pub(super) fn keep(&self, sha256: Digest, coding: ContentCoding, file: Bytes) {
        self.0.insert((sha256, coding), file);
    }
}

impl Default for EdgeFiles {
    fn default() -> Self {
        // One part: a file may weigh a good part of the whole.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(64)
            .weight_capacity(KEPT_BYTES_MAX)
            .build();
        Self(Cache::with_options(
            options.expect("sizes are given"),
            FileBytes,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ))
    }
}

/// The file in this coding. It takes time.
pub(super) fn encoded(file: &Bytes, coding: ContentCoding) -> io::Result<Bytes> {
    match coding {
        ContentCoding::Identity => Ok(file.clone()),
        ContentCoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(file)?;
            Ok(encoder.finish()?.into())
        }
        ContentCoding::Brotli => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: if file.len() <= SHORT_BYTES {
                    QUALITY_OF_SHORT
                } else {
                    QUALITY
                },
                lgwin: WINDOW_BITS,
                size_hint: file.len(),
                ..Default::default()
            };
            let mut encoded = Vec::new();
            brotli::BrotliCompress(&mut file.as_ref(), &mut encoded, &parameters)?;
            Ok(encoded.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn codings_give_the_file_back() {
        let long: Vec<u8> = (0..SHORT_BYTES as u64 * 2)
            .map(|n| (n % 251 / 3).to_le_bytes()[0])
            .collect();
        for file in [Vec::new(), b"short".to_vec(), long] {
            let file = Bytes::from(file);
            assert_eq!(encoded(&file, ContentCoding::Identity).unwrap(), file);
            let mut gunzipped = Vec::new();
            let gzip = encoded(&file, ContentCoding::Gzip).unwrap();
            GzDecoder::new(gzip.as_ref())
                .read_to_end(&mut gunzipped)
                .unwrap();
            assert_eq!(gunzipped, file);
            let mut plain = Vec::new();
            let brotli = encoded(&file, ContentCoding::Brotli).unwrap();
            brotli::BrotliDecompress(&mut brotli.as_ref(), &mut plain).unwrap();
            assert_eq!(plain, file);
            assert!(file.len() < 1000 || brotli.len().max(gzip.len()) < file.len() / 10);
        }
    }

    #[test]
    fn all_codings_count() {
        let files = EdgeFiles::default();
        let quarter = Bytes::from(vec![0; usize::try_from(KEPT_BYTES_MAX / 4).unwrap()]);
        for nth in 0..9 {
            files.keep(
                Digest::new([nth; 32]),
                ContentCoding::Identity,
                quarter.clone(),
            );
            files.keep(Digest::new([nth; 32]), ContentCoding::Gzip, quarter.clone());
        }
        assert!(files.0.weight() <= KEPT_BYTES_MAX);
        assert!(files.0.len() <= 4);
    }
}
