//! Message authentication codes which prove that this cluster issued an entry of a client's cache, and for which
//! call.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serverledge_core::{Digest, FunctionName, SpaceId};
use serverledge_registry::create_private;
use serverledge_wire::peer::ClusterKey;

/// Separates these uses of BLAKE3 from all others.
const SECRET_DOMAIN: &str = "serverledge 2026 result tags 1 secret";
const KEY_DOMAIN: &str = "serverledge 2026 result tags 1 key of a period";
/// Lifetime of an entry in a client's cache: a client's session. An entry that was issued wrongly ends with it.
const VALID_FOR: Duration = Duration::from_secs(3600);
/// Period of one key. The keys of the previous and the next period are accepted too: entries outlive a change of
/// keys, and clocks differ.
const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest tag that is checked; ours have about 130 characters.
const TAG_BYTES_MAX: usize = 192;
/// The file with the secret of a node without a cluster.
const FILE: &str = "result-tags.key";

/// Makes and verifies the codes.
pub(crate) struct EntryMacs {
    secret: [u8; 32],
}

/// The content that a tag authenticates.
#[derive(Clone, Copy)]
pub(crate) struct MacInput<'a> {
    pub(crate) space: &'a SpaceId,
    pub(crate) function: &'a FunctionName,
    pub(crate) version: &'a Digest,
    pub(crate) generation: u64,
    /// Canonical.
    pub(crate) params: &'a [u8],
    /// Canonical.
    pub(crate) result: &'a [u8],
}

/// The verdict on an entry of a client's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacVerdict {
    Genuine,
    Forged,
    Expired,
    /// Issued for another version or generation.
    Outdated,
}

/// The fields of a tag beside its code.
struct MacFields<'a> {
    period: u64,
    expiry_s: u64,
    generation: u64,
    version: &'a str,
}

impl EntryMacs {
    /// The codes of a cluster: every node with its key makes and accepts the same.
    pub(crate) fn of_cluster(key: &ClusterKey) -> Self {
        Self {
            secret: key.secret_for(SECRET_DOMAIN),
        }
    }

    /// The codes of a single node: the secret is in a file under the data folder, made at the first start.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub(crate) fn of_node(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|fault| io::Error::other(fault.to_string()))?;
        create_private(&path, &secret)?;
        File::open(&path)?.read_exact(&mut secret)?;
        Ok(Self { secret })
    }

    /// The tag of an entry that is issued at this time.
    pub(crate) fn make(&self, what: &MacInput<'_>, unix_ms: u64) -> String {
        let now_s = unix_ms / 1000;
        let version = version_text(what.version);
        let said = MacFields {
            period: now_s / PERIOD.as_secs(),
            expiry_s: now_s + VALID_FOR.as_secs(),
            generation: what.generation,
            version: &version,
        };
        let code = URL_SAFE_NO_PAD.encode(self.code(&said, what).as_bytes());
        format!(
            "v1.{}.{}.{}.{version}.{code}",
            said.period, said.expiry_s, said.generation
        )
    }

    /// The verdict on an entry with this tag at this time.
    pub(crate) fn judge(&self, tag: &str, what: &MacInput<'_>, unix_ms: u64) -> MacVerdict {
        let now_s = unix_ms / 1000;
        let Some((said, code)) = parse(tag) else {
            return MacVerdict::Forged;
        };
        let period = now_s / PERIOD.as_secs();
        // Compared in a time that tells nothing of the code.
        if said.period.abs_diff(period) > 1 || self.code(&said, what) != code {
            return MacVerdict::Forged;
        }
        if said.expiry_s <= now_s {
            return MacVerdict::Expired;
        }
        if said.generation != what.generation || said.version != version_text(what.version) {
            return MacVerdict::Outdated;
        }
        MacVerdict::Genuine
    }

    /// The code over all fields and all content, each part with its length.
    fn code(&self, said: &MacFields<'_>, what: &MacInput<'_>) -> blake3::Hash {
        let mut of_period = blake3::Hasher::new_derive_key(KEY_DOMAIN);
        of_period
            .update(&self.secret)
            .update(&said.period.to_le_bytes());
        let mut hasher = blake3::Hasher::new_keyed(of_period.finalize().as_bytes());
        for number in [said.period, said.expiry_s, said.generation] {
            hasher.update(&number.to_le_bytes());
        }
        let names = [
            what.space.as_str().as_bytes(),
            what.function.as_str().as_bytes(),
            said.version.as_bytes(),
        ];
        for part in names.into_iter().chain([what.params, what.result]) {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        hasher.finalize()
    }
}

/// Half of a version's digest: enough to tell versions apart.
fn version_text(version: &Digest) -> String {
    version
        .as_bytes()
        .iter()
        .take(16)
        .fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a text does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn parse(tag: &str) -> Option<(MacFields<'_>, blake3::Hash)> {
    let mut parts = tag
        .strip_prefix("v1.")
        .filter(|_| tag.len() <= TAG_BYTES_MAX)?
        .split('.');
    let mut number = || parts.next()?.parse().ok();
    let period = number()?;
    let expiry_s = number()?;
    let generation = number()?;
    let said = MacFields {
        period,
        expiry_s,
        generation,
        version: parts.next()?,
    };
    let code = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    parts.next().is_none().then_some(())?;
    Some((said, blake3::Hash::from_bytes(code.try_into().ok()?)))
}

impl std::fmt::Debug for EntryMacs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntryMacs(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn judge(macs: &EntryMacs, tag: &str, what: &MacInput<'_>) -> MacVerdict {
        macs.judge(tag, what, NOW)
    }

    #[test]
    fn a_tag_is_of_one_entry() {
        let macs = EntryMacs::of_cluster(&ClusterKey::derive("0123456789abcdef0123456789abcdef"));
        let space = SpaceId::default_space();
        let other_space = SpaceId::new();
        let f = FunctionName::parse("f").unwrap();
        let g = FunctionName::parse("g").unwrap();
        let version = Digest::new([1; 32]);
        let other_version = Digest::new([2; 32]);
        let what = MacInput {
            space: &space,
            function: &f,
            version: &version,
            generation: 7,
            params: b"{}",
            result: b"[1]",
        };
        let tag = macs.make(&what, NOW);
        assert_eq!(judge(&macs, &tag, &what), MacVerdict::Genuine);
        for (other, verdict) in [
            (
                MacInput {
                    space: &other_space,
                    ..what
                },
                MacVerdict::Forged,
            ),
            (
                MacInput {
                    function: &g,
                    ..what
                },
                MacVerdict::Forged,
            ),
            (
                MacInput {
                    params: b"{}[",
                    result: b"1]",
                    ..what
                },
                MacVerdict::Forged,
            ),
            (
                MacInput {
                    result: b"[2]",
                    ..what
                },
                MacVerdict::Forged,
            ),
            (
                MacInput {
                    version: &other_version,
                    ..what
                },
                MacVerdict::Outdated,
            ),
            (
                MacInput {
                    generation: 8,
                    ..what
                },
                MacVerdict::Outdated,
            ),
        ] {
            assert_eq!(judge(&macs, &tag, &other), verdict);
        }
        let other_key = EntryMacs::of_cluster(&ClusterKey::derive(
            "another key of more than 32 characters",
        ));
        assert_eq!(judge(&other_key, &tag, &what), MacVerdict::Forged);
        for changed in [
            tag.replacen("v1", "v2", 1),
            tag.replacen(".7.", ".8.", 1),
            format!("{tag}x"),
            format!("{tag}."),
        ] {
            assert_eq!(
                judge(&macs, &changed, &what),
                MacVerdict::Forged,
                "{changed}"
            );
        }
        for none in ["", "v1", "v1.1.2.3.4.5", "v1.....", &"v1.".repeat(100)] {
            assert_eq!(judge(&macs, none, &what), MacVerdict::Forged, "{none}");
        }
    }

    #[test]
    fn a_tag_has_its_time_and_outlives_a_change_of_keys() {
        let macs = EntryMacs { secret: [7; 32] };
        let space = SpaceId::default_space();
        let f = FunctionName::parse("f").unwrap();
        let version = Digest::new([1; 32]);
        let what = MacInput {
            space: &space,
            function: &f,
            version: &version,
            generation: 0,
            params: b"1",
            result: b"2",
        };
        let period_ms = u64::try_from(PERIOD.as_millis()).unwrap();
        let before_change = NOW / period_ms * period_ms - 1_000;
        let tag = macs.make(&what, before_change);
        let valid_ms = u64::try_from(VALID_FOR.as_millis()).unwrap();
        assert_eq!(
            macs.judge(&tag, &what, before_change + 2_000),
            MacVerdict::Genuine,
            "in the next period"
        );
        assert_eq!(
            macs.judge(&tag, &what, before_change + valid_ms),
            MacVerdict::Expired
        );
        assert_eq!(
            macs.judge(&tag, &what, before_change + 2 * period_ms),
            MacVerdict::Forged,
            "the key is forgotten"
        );
        let ahead = macs.make(&what, before_change + 2_000);
        assert_eq!(
            macs.judge(&ahead, &what, before_change),
            MacVerdict::Genuine,
            "by a clock that is behind"
        );
    }

    #[test]
    fn a_node_keeps_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = EntryMacs::of_node(&data).unwrap();
        assert_eq!(
            std::fs::metadata(data.join(FILE))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert_eq!(EntryMacs::of_node(&data).unwrap().secret, first.secret);
        std::fs::write(data.join(FILE), b"short").unwrap();
        assert!(EntryMacs::of_node(&data).is_err());
    }
}
