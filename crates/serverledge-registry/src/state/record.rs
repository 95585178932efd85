//! Values of the keys of stores: binary, since the values of entries are any bytes. Each begins with the number of its
//! form; another one is refused, never guessed at.

use bytes::{BufMut as _, Bytes, BytesMut};
use serverledge_core::StateUsage;
use serverledge_core::kv::{KeyValue, KvError};

/// The form of all values here.
const FORM: u8 = 1;
/// Form and end of an entry.
const HEAD_BYTES: usize = 9;
/// Form, bytes and entries of a part of a usage.
const USAGE_BYTES: usize = 17;

/// An entry as it is kept: the form's number, the end (8 bytes, big-endian, 0 for none), and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredEntry {
    /// The value.
    pub(super) value: Bytes,
    /// The Unix time in milliseconds from which on it is as if it were not there; `None`: it stays.
    pub(super) expires_unix_ms: Option<u64>,
}

/// A value that another program wrote, or that was damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the value of {:?} has a form that this program does not know",
    String::from_utf8_lossy(.0)
)]
struct UnknownForm(Bytes);

// === impl StoredEntry ===

impl StoredEntry {
    pub(super) fn to_value(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + self.value.len());
        bytes.put_u8(FORM);
        bytes.put_u64(self.expires_unix_ms.unwrap_or(0));
        bytes.put_slice(&self.value);
        bytes.freeze()
    }

    pub(super) fn from_value(found: &KeyValue) -> Result<Self, KvError> {
        let Some(([FORM, expires @ ..], _)) = found.value.split_first_chunk::<HEAD_BYTES>() else {
            return Err(unknown_form(found));
        };
        let expires = u64::from_be_bytes(*expires);
        Ok(Self {
            value: found.value.slice(HEAD_BYTES..),
            expires_unix_ms: (expires != 0).then_some(expires),
        })
    }

    /// Its time is over.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.expires_unix_ms.is_some_and(|end| end <= now)
    }
}

/// The value of a part of a usage.
pub(super) fn usage_value(usage: StateUsage) -> Bytes {
    let mut bytes = BytesMut::with_capacity(USAGE_BYTES);
    bytes.put_u8(FORM);
    bytes.put_u64(usage.bytes);
    bytes.put_u64(usage.keys);
    bytes.freeze()
}

pub(super) fn read_usage(found: &KeyValue) -> Result<StateUsage, KvError> {
    let read = || {
        let [FORM, numbers @ ..] = <&[u8; USAGE_BYTES]>::try_from(&found.value[..]).ok()? else {
            return None;
        };
        let (bytes, keys) = numbers.split_first_chunk::<8>()?;
        Some(StateUsage {
            bytes: u64::from_be_bytes(*bytes),
            keys: u64::from_be_bytes(keys.try_into().ok()?),
        })
    };
    read().ok_or_else(|| unknown_form(found))
}

/// The value of the key of an entry's end.
pub(super) fn time_value(unix_ms: u64) -> Bytes {
    StoredEntry {
        value: Bytes::new(),
        expires_unix_ms: Some(unix_ms),
    }
    .to_value()
}

pub(super) fn read_time(found: &KeyValue) -> Result<u64, KvError> {
    StoredEntry::from_value(found)?
        .expires_unix_ms
        .ok_or_else(|| unknown_form(found))
}

/// Both together.
pub(super) fn sum(one: StateUsage, other: StateUsage) -> StateUsage {
    StateUsage {
        bytes: one.bytes.saturating_add(other.bytes),
        keys: one.keys.saturating_add(other.keys),
    }
}

/// The first without the second.
pub(super) fn difference(all: StateUsage, part: StateUsage) -> StateUsage {
    StateUsage {
        bytes: all.bytes.saturating_sub(part.bytes),
        keys: all.keys.saturating_sub(part.keys),
    }
}

/// Says whether a value was read, and has a form that this program does not know.
pub(super) fn is_unreadable(error: &KvError) -> bool {
    matches!(error, KvError::Unavailable { source, .. } if source.is::<UnknownForm>())
}

fn unknown_form(found: &KeyValue) -> KvError {
    KvError::Unavailable {
        attempt: "read a value of a store",
        source: Box::new(UnknownForm(found.key.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::kv::Revision;

    use super::*;

    fn found(value: Bytes) -> KeyValue {
        KeyValue {
            key: Bytes::from_static(b"k"),
            value,
            create_revision: Revision::new(1),
            mod_revision: Revision::new(1),
            version: 1,
            lease: None,
        }
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        for expires_unix_ms in [None, Some(1), Some(u64::MAX)] {
            for value in [&b""[..], b"\0\xff", &[7; 10_000]] {
                let value = Bytes::copy_from_slice(value);
                let entry = StoredEntry {
                    value,
                    expires_unix_ms,
                };
                let read = StoredEntry::from_value(&found(entry.to_value())).unwrap();
                assert_eq!(read, entry);
            }
        }
        let usage = StateUsage {
            bytes: u64::MAX,
            keys: 7,
        };
        assert_eq!(read_usage(&found(usage_value(usage))).unwrap(), usage);
        assert_eq!(read_time(&found(time_value(9))).unwrap(), 9);
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [&b""[..], b"\x01", b"\x01\0\0\0\0\0\0\0", &[2; 9], &[2; 17]] {
            let bad = found(Bytes::copy_from_slice(bad));
            let refused = StoredEntry::from_value(&bad).unwrap_err();
            assert!(is_unreadable(&refused), "{bad:?}: {refused:?}");
            assert!(read_time(&bad).is_err() && read_usage(&bad).is_err());
        }
        assert!(!is_unreadable(&KvError::RegistryFull));
        let long = found(Bytes::from_static(&[1; 18]));
        assert!(read_usage(&long).is_err());
        let endless = StoredEntry {
            value: Bytes::new(),
            expires_unix_ms: None,
        };
        assert!(read_time(&found(endless.to_value())).is_err());
    }

    #[test]
    fn the_end_itself_is_over() {
        let entry = StoredEntry {
            value: Bytes::new(),
            expires_unix_ms: Some(5),
        };
        assert!(!entry.is_over(4) && entry.is_over(5) && entry.is_over(6));
    }
}
