//! Tags: what proves that an entry that a client carries was handed out by this cluster, and for what.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serverledge_core::{Digest, FunctionName, SpaceId};
use serverledge_wire::peer::ClusterKey;

/// Separates these uses of BLAKE3 from all others.
const SECRET_DOMAIN: &str = "serverledge 2026 result tags 1 secret";
const KEY_DOMAIN: &str = "serverledge 2026 result tags 1 key of a period";
/// How long an entry that is handed out is believed: a client's session; what was handed out wrongly ends with it.
const VALID_FOR: Duration = Duration::from_secs(3600);
/// How long one key makes tags. The one before and the one after are believed too: tags outlive a change of keys, and
/// clocks differ.
const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest tag that is looked at; ours have about 130 characters.
const TAG_BYTES_MAX: usize = 192;
/// The file of a node without a cluster.
const FILE: &str = "result-tags.key";

/// Makes and judges tags.
pub(crate) struct Tags {
    secret: [u8; 32],
}

/// What a tag speaks for.
#[derive(Clone, Copy)]
pub(crate) struct Tagged<'a> {
    pub(crate) space: &'a SpaceId,
    pub(crate) function: &'a FunctionName,
    pub(crate) version: &'a Digest,
    pub(crate) generation: u64,
    /// Canonical.
    pub(crate) params: &'a [u8],
    /// Canonical.
    pub(crate) result: &'a [u8],
}

/// What to think of a carried entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    True,
    Untrue,
    Expired,
    /// Handed out for another version or generation.
    Outdated,
}

/// What stands in a tag beside its code.
struct Said<'a> {
    period: u64,
    expiry_s: u64,
    generation: u64,
    version: &'a str,
}

impl Tags {
    /// Of a cluster: every node with its key makes and believes the same.
    pub(crate) fn of_cluster(key: &ClusterKey) -> Self {
        Self {
            secret: key.secret_for(SECRET_DOMAIN),
        }
    }

    /// Of a node by itself: the secret is in a file under the data folder, made at the first start.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub(crate) fn of_node(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let mut secret = [0; 32];
        match File::open(&path) {
            Ok(mut file) => file.read_exact(&mut secret)?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                getrandom::fill(&mut secret)
                    .map_err(|fault| io::Error::other(fault.to_string()))?;
                write_secret(dir, &path, &secret)?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(Self { secret })
    }

    /// The tag of an entry that is handed out at this time.
    pub(crate) fn make(&self, what: &Tagged<'_>, unix_ms: u64) -> String {
        let now_s = unix_ms / 1000;
        let version = version_text(what.version);
        let said = Said {
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

    /// What to think of an entry with this tag at this time.
    pub(crate) fn judge(&self, tag: &str, what: &Tagged<'_>, unix_ms: u64) -> Judged {
        let now_s = unix_ms / 1000;
        let Some((said, code)) = parse(tag) else {
            return Judged::Untrue;
        };
        let period = now_s / PERIOD.as_secs();
        // Compared in a time that tells nothing of the code.
        if said.period.abs_diff(period) > 1 || self.code(&said, what) != code {
            return Judged::Untrue;
        }
        if said.expiry_s <= now_s {
            return Judged::Expired;
        }
        if said.generation != what.generation || said.version != version_text(what.version) {
            return Judged::Outdated;
        }
        Judged::True
    }

    /// Over all that is said and all that it is said of, each part with its length.
    fn code(&self, said: &Said<'_>, what: &Tagged<'_>) -> blake3::Hash {
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

fn parse(tag: &str) -> Option<(Said<'_>, blake3::Hash)> {
    let mut parts = tag
        .strip_prefix("v1.")
        .filter(|_| tag.len() <= TAG_BYTES_MAX)?
        .split('.');
    let mut number = || parts.next()?.parse().ok();
    let (period, expiry_s, generation) = (number()?, number()?, number()?);
    let said = Said {
        period,
        expiry_s,
        generation,
        version: parts.next()?,
    };
    let code = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    parts.next().is_none().then_some(())?;
    Some((said, blake3::Hash::from_bytes(code.try_into().ok()?)))
}

/// Written beside and renamed, so that a crash leaves no half of it.
fn write_secret(dir: &Path, path: &Path, secret: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let draft = dir.join(format!("{FILE}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(secret)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tags(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn judge(tags: &Tags, tag: &str, what: &Tagged<'_>) -> Judged {
        tags.judge(tag, what, NOW)
    }

    #[test]
    fn a_tag_is_of_one_entry() {
        let tags = Tags::of_cluster(&ClusterKey::derive("0123456789abcdef0123456789abcdef"));
        let (space, other_space) = (SpaceId::default_space(), SpaceId::new());
        let (f, g) = (
            FunctionName::parse("f").unwrap(),
            FunctionName::parse("g").unwrap(),
        );
        let (version, other_version) = (Digest::new([1; 32]), Digest::new([2; 32]));
        let what = Tagged {
            space: &space,
            function: &f,
            version: &version,
            generation: 7,
            params: b"{}",
            result: b"[1]",
        };
        let tag = tags.make(&what, NOW);
        assert_eq!(judge(&tags, &tag, &what), Judged::True);
        for (other, judged) in [
            (
                Tagged {
                    space: &other_space,
                    ..what
                },
                Judged::Untrue,
            ),
            (
                Tagged {
                    function: &g,
                    ..what
                },
                Judged::Untrue,
            ),
            (
                Tagged {
                    params: b"{}[",
                    result: b"1]",
                    ..what
                },
                Judged::Untrue,
            ),
            (
                Tagged {
                    result: b"[2]",
                    ..what
                },
                Judged::Untrue,
            ),
            (
                Tagged {
                    version: &other_version,
                    ..what
                },
                Judged::Outdated,
            ),
            (
                Tagged {
                    generation: 8,
                    ..what
                },
                Judged::Outdated,
            ),
        ] {
            assert_eq!(judge(&tags, &tag, &other), judged);
        }
        let other_key = Tags::of_cluster(&ClusterKey::derive(
            "another key of more than 32 characters",
        ));
        assert_eq!(judge(&other_key, &tag, &what), Judged::Untrue);
        for changed in [
            tag.replacen("v1", "v2", 1),
            tag.replacen(".7.", ".8.", 1),
            format!("{tag}x"),
            format!("{tag}."),
        ] {
            assert_eq!(judge(&tags, &changed, &what), Judged::Untrue, "{changed}");
        }
        for none in ["", "v1", "v1.1.2.3.4.5", "v1.....", &"v1.".repeat(100)] {
            assert_eq!(judge(&tags, none, &what), Judged::Untrue, "{none}");
        }
    }

    #[test]
    fn a_tag_has_its_time_and_outlives_a_change_of_keys() {
        let tags = Tags { secret: [7; 32] };
        let (space, f, version) = (
            SpaceId::default_space(),
            FunctionName::parse("f").unwrap(),
            Digest::new([1; 32]),
        );
        let what = Tagged {
            space: &space,
            function: &f,
            version: &version,
            generation: 0,
            params: b"1",
            result: b"2",
        };
        let period_ms = u64::try_from(PERIOD.as_millis()).unwrap();
        let before_change = NOW / period_ms * period_ms - 1_000;
        let tag = tags.make(&what, before_change);
        let valid_ms = u64::try_from(VALID_FOR.as_millis()).unwrap();
        assert_eq!(
            tags.judge(&tag, &what, before_change + 2_000),
            Judged::True,
            "in the next period"
        );
        assert_eq!(
            tags.judge(&tag, &what, before_change + valid_ms),
            Judged::Expired
        );
        assert_eq!(
            tags.judge(&tag, &what, before_change + 2 * period_ms),
            Judged::Untrue,
            "the key is forgotten"
        );
        let ahead = tags.make(&what, before_change + 2_000);
        assert_eq!(
            tags.judge(&ahead, &what, before_change),
            Judged::True,
            "by a clock that is behind"
        );
    }

    #[test]
    fn a_node_keeps_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = Tags::of_node(&data).unwrap();
        assert_eq!(
            std::fs::metadata(data.join(FILE))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert_eq!(Tags::of_node(&data).unwrap().secret, first.secret);
        std::fs::write(data.join(FILE), b"short").unwrap();
        assert!(Tags::of_node(&data).is_err());
    }
}
