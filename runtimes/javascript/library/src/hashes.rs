//! Digests, HMAC, and keys derived from passwords.

use alloc::vec::Vec;
use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::{Digest, FixedOutput as _};
use hmac::{Mac as _, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use crate::abi::{Arguments, Handle, Value, copy, zeros};

/// Runs an expression with the type of the digest of this name; answers "undefined" for others.
macro_rules! with_digest {
    ($name:expr, $type:ident => $result:expr) => {
        match $name {
            "SHA-1" => {
                type $type = ::sha1::Sha1;
                $result
            }
            "SHA-224" => {
                type $type = ::sha2::Sha224;
                $result
            }
            "SHA-256" => {
                type $type = ::sha2::Sha256;
                $result
            }
            "SHA-384" => {
                type $type = ::sha2::Sha384;
                $result
            }
            "SHA-512" => {
                type $type = ::sha2::Sha512;
                $result
            }
            "MD5" => {
                type $type = ::md5::Md5;
                $result
            }
            _ => return None,
        }
    };
}
pub(crate) use with_digest;

pub(crate) fn digest(arguments: &Arguments<'_>) -> Option<Value> {
    let bytes = arguments.bytes(1)?;
    with_digest!(arguments.text(0)?, D => Some(Value::Bytes(copy(&D::digest(bytes))?)))
}

fn keyed<D: Digest + BlockSizeUser>(key: &[u8]) -> Option<SimpleHmac<D>> {
    hmac::Mac::new_from_slice(key).ok()
}

pub(crate) fn hmac(arguments: &Arguments<'_>) -> Option<Value> {
    let (key, bytes) = (arguments.bytes(1)?, arguments.bytes(2)?);
    with_digest!(arguments.text(0)?, D => {
        let mut mac = keyed::<D>(key)?;
        mac.update(bytes);
        Some(Value::Bytes(copy(&mac.finalize_fixed())?))
    })
}

/// A digest or an HMAC that grows.
#[derive(Clone)]
pub(crate) enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    KeyedMd5(SimpleHmac<Md5>),
    KeyedSha1(SimpleHmac<Sha1>),
    KeyedSha224(SimpleHmac<Sha224>),
    KeyedSha256(SimpleHmac<Sha256>),
    KeyedSha384(SimpleHmac<Sha384>),
    KeyedSha512(SimpleHmac<Sha512>),
}

/// Runs an expression with what the hasher holds: one for digests, one for those with a key.
macro_rules! with_hasher {
    ($hasher:expr, $plain:ident => $result:expr, $keyed:ident => $keyed_result:expr) => {
        match $hasher {
            Hasher::Md5($plain) => $result,
            Hasher::Sha1($plain) => $result,
            Hasher::Sha224($plain) => $result,
            Hasher::Sha256($plain) => $result,
            Hasher::Sha384($plain) => $result,
            Hasher::Sha512($plain) => $result,
            Hasher::KeyedMd5($keyed) => $keyed_result,
            Hasher::KeyedSha1($keyed) => $keyed_result,
            Hasher::KeyedSha224($keyed) => $keyed_result,
            Hasher::KeyedSha256($keyed) => $keyed_result,
            Hasher::KeyedSha384($keyed) => $keyed_result,
            Hasher::KeyedSha512($keyed) => $keyed_result,
        }
    };
}

impl Hasher {
    fn new(name: &str) -> Option<Self> {
        Some(match name {
            "MD5" => Self::Md5(Md5::new()),
            "SHA-1" => Self::Sha1(Sha1::new()),
            "SHA-224" => Self::Sha224(Sha224::new()),
            "SHA-256" => Self::Sha256(Sha256::new()),
            "SHA-384" => Self::Sha384(Sha384::new()),
            "SHA-512" => Self::Sha512(Sha512::new()),
            _ => return None,
        })
    }

    fn with_key(name: &str, key: &[u8]) -> Option<Self> {
        Some(match name {
            "MD5" => Self::KeyedMd5(keyed(key)?),
            "SHA-1" => Self::KeyedSha1(keyed(key)?),
            "SHA-224" => Self::KeyedSha224(keyed(key)?),
            "SHA-256" => Self::KeyedSha256(keyed(key)?),
            "SHA-384" => Self::KeyedSha384(keyed(key)?),
            "SHA-512" => Self::KeyedSha512(keyed(key)?),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        with_hasher!(self, hash => Digest::update(hash, bytes), mac => mac.update(bytes));
    }

    fn finish(self) -> Option<Vec<u8>> {
        with_hasher!(self, hash => copy(&hash.finalize_fixed()), mac => copy(&mac.finalize_fixed()))
    }
}

fn hasher_at<'a>(arguments: &Arguments<'a>) -> Option<&'a mut Hasher> {
    match arguments.handle(0)? {
        Handle::Hasher(hasher) => Some(hasher),
        _ => None,
    }
}

pub(crate) fn hasher(arguments: &Arguments<'_>) -> Option<Value> {
    let name = arguments.text(0)?;
    let hasher = match arguments.bytes(1) {
        Some(key) => Hasher::with_key(name, key),
        None => Hasher::new(name),
    }?;
    Some(Value::Handle(Handle::Hasher(hasher)))
}

pub(crate) fn hasher_update(arguments: &Arguments<'_>) -> Option<Value> {
    hasher_at(arguments)?.update(arguments.bytes(1)?);
    None
}

pub(crate) fn hasher_digest(arguments: &Arguments<'_>) -> Option<Value> {
    Some(Value::Bytes(hasher_at(arguments)?.clone().finish()?))
}

pub(crate) fn hasher_copy(arguments: &Arguments<'_>) -> Option<Value> {
    let hasher = hasher_at(arguments)?.clone();
    Some(Value::Handle(Handle::Hasher(hasher)))
}

pub(crate) fn timing_safe_equal(arguments: &Arguments<'_>) -> Option<Value> {
    let is_equal = arguments.bytes(0)?.ct_eq(arguments.bytes(1)?);
    Some(Value::Bool(is_equal.into()))
}

pub(crate) fn pbkdf2(arguments: &Arguments<'_>) -> Option<Value> {
    let (password, salt) = (arguments.bytes(1)?, arguments.bytes(2)?);
    let iterations = u32::try_from(arguments.size(3)?)
        .ok()
        .filter(|count| *count > 0)?;
    let Some(mut out) = zeros(arguments.size(4)?) else {
        return Some(Value::OutOfMemory);
    };
    with_digest!(arguments.text(0)?, D => {
        ::pbkdf2::pbkdf2_hmac::<D>(password, salt, iterations, &mut out);
    });
    Some(Value::Bytes(out))
}

pub(crate) fn hkdf(arguments: &Arguments<'_>) -> Option<Value> {
    let (key, salt, info) = (
        arguments.bytes(1)?,
        arguments.bytes(2)?,
        arguments.bytes(3)?,
    );
    let length = arguments.size(4)?;
    with_digest!(arguments.text(0)?, D => {
        if length > 255 * <D as Digest>::output_size() {
            return None;
        }
        let mut out = zeros(length)?;
        ::hkdf::SimpleHkdf::<D>::new(Some(salt), key).expand(info, &mut out).ok()?;
        Some(Value::Bytes(out))
    })
}

pub(crate) fn scrypt(arguments: &Arguments<'_>) -> Option<Value> {
    let (password, salt) = (arguments.bytes(0)?, arguments.bytes(1)?);
    let (cost, block, parallel) = (arguments.size(2)?, arguments.size(3)?, arguments.size(4)?);
    let length = arguments.size(5)?;
    if !cost.is_power_of_two() || cost < 2 || length == 0 {
        return None;
    }
    let (block, parallel) = (u32::try_from(block).ok()?, u32::try_from(parallel).ok()?);
    let log_cost = u8::try_from(cost.trailing_zeros()).ok()?;
    // The length is only checked by the constructor, which knows fewer than there are.
    let params = ::scrypt::Params::new(log_cost, block, parallel, 32).ok()?;
    // What the function allocates, and would trap without.
    let needed = (cost + parallel as usize)
        .checked_mul(block as usize)?
        .checked_mul(128)?;
    if zeros(needed).is_none() {
        return Some(Value::OutOfMemory);
    }
    let mut out = zeros(length)?;
    ::scrypt::scrypt(password, salt, &params, &mut out).ok()?;
    Some(Value::Bytes(out))
}

pub(crate) fn bcrypt(arguments: &Arguments<'_>) -> Option<Value> {
    let salt: [u8; 16] = arguments.bytes(1)?.try_into().ok()?;
    let cost = u32::try_from(arguments.size(2)?)
        .ok()
        .filter(|cost| (4..=31).contains(cost))?;
    // With the zero behind it, as `$2b$` has it; bytes from the 73rd on do not count.
    let mut password = copy(arguments.bytes(0)?)?;
    password.push(0);
    password.truncate(72);
    let hash = ::bcrypt::bcrypt(cost, salt, &password);
    Some(Value::Bytes(copy(hash.get(..23)?)?))
}
