//! RSA (RFC 8017): signatures PKCS#1 v1.5 and PSS, encryption OAEP, and new keys.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rsa::traits::{PrivateKeyParts as _, PublicKeyParts};
use rsa::{BigUint, Oaep, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};

use crate::abi::{Arguments, Random, Value, room};
use crate::hashes::with_digest;

/// Bits of a modulus: what is larger takes too long.
const BITS: core::ops::RangeInclusive<usize> = 256..=8192;
/// Primes whose lengths differ by more are no key's that anybody makes.
const PRIME_BITS_APART_MAX: usize = 64;

fn number(arguments: &Arguments<'_>, at: usize) -> Option<BigUint> {
    Some(BigUint::from_bytes_be(arguments.bytes(at)?))
}

fn public_key(arguments: &Arguments<'_>, at: usize) -> Option<RsaPublicKey> {
    let (modulus, exponent) = (number(arguments, at)?, number(arguments, at + 1)?);
    RsaPublicKey::new_with_max_size(modulus, exponent, *BITS.end()).ok()
}

/// From n, e, d, and p and q or nothing. The larger prime is the first: else the crate subtracts it as often as it is
/// larger.
fn private_key(arguments: &Arguments<'_>, at: usize) -> Option<RsaPrivateKey> {
    let (modulus, exponent) = (number(arguments, at)?, number(arguments, at + 1)?);
    if modulus.bits() > *BITS.end() {
        return None;
    }
    let primes = match (number(arguments, at + 3), number(arguments, at + 4)) {
        (Some(p), Some(q)) => {
            if p.bits().abs_diff(q.bits()) > PRIME_BITS_APART_MAX {
                return None;
            }
            Vec::from(if p < q { [q, p] } else { [p, q] })
        }
        _ => Vec::new(),
    };
    let key = RsaPrivateKey::from_components(modulus, exponent, number(arguments, at + 2)?, primes)
        .ok()?;
    Some(key)
}

/// The length of a salt, if there is room for it (RFC 8017, section 9.1.1).
fn salt_length(length: usize, digest: &[u8], key: &impl PublicKeyParts) -> Option<usize> {
    let room = key
        .n()
        .bits()
        .saturating_sub(1)
        .div_ceil(8)
        .checked_sub(digest.len() + 2)?;
    (length <= room).then_some(length)
}

/// verify(scheme, hash, digest, signature, salt length, n, e)
pub(crate) fn verify(arguments: &Arguments<'_>) -> Option<Value> {
    let (scheme, name) = (arguments.text(0)?, arguments.text(1)?);
    let (digest, signature) = (arguments.bytes(2)?, arguments.bytes(3)?);
    let key = public_key(arguments, 5)?;
    with_digest!(name, D => {
        if digest.len() != <D as sha2::Digest>::output_size() {
            return None;
        }
        let verified = match scheme {
            "pkcs1" => key.verify(Pkcs1v15Sign::new::<D>(), digest, signature),
            "pss" => {
                let length = salt_length(arguments.size(4)?, digest, &key)?;
                key.verify(Pss::new_with_salt::<D>(length), digest, signature)
            }
            _ => return None,
        };
        Some(Value::Bool(verified.is_ok()))
    })
}

/// sign(scheme, hash, digest, salt length, n, e, d, p, q)
pub(crate) fn sign(arguments: &Arguments<'_>) -> Option<Value> {
    let (scheme, name, digest) = (arguments.text(0)?, arguments.text(1)?, arguments.bytes(2)?);
    let key = private_key(arguments, 4)?;
    with_digest!(name, D => {
        if digest.len() != <D as sha2::Digest>::output_size() {
            return None;
        }
        let signature = match scheme {
            "pkcs1" => key.sign_with_rng(&mut Random, Pkcs1v15Sign::new::<D>(), digest),
            "pss" => {
                let length = salt_length(arguments.size(3)?, digest, &key)?;
                key.sign_with_rng(&mut Random, Pss::new_blinded_with_salt::<D>(length), digest)
            }
            _ => return None,
        };
        signature.ok().map(Value::Bytes)
    })
}

/// The crate takes a text as the label; here its digest has read the label already, which may be any bytes.
fn padding(arguments: &Arguments<'_>) -> Option<Oaep> {
    let label = arguments.bytes(1)?;
    with_digest!(arguments.text(0)?, D => {
        let digest = Box::new(<D as sha2::Digest>::new_with_prefix(label));
        Some(Oaep { digest, mgf_digest: Box::new(<D as sha2::Digest>::new()), label: None })
    })
}

/// encrypt(hash, label, data, n, e)
pub(crate) fn encrypt(arguments: &Arguments<'_>) -> Option<Value> {
    let (padding, data, key) = (
        padding(arguments)?,
        arguments.bytes(2)?,
        public_key(arguments, 3)?,
    );
    key.encrypt(&mut Random, padding, data)
        .ok()
        .map(Value::Bytes)
}

/// decrypt(hash, label, data, n, e, d, p, q)
pub(crate) fn decrypt(arguments: &Arguments<'_>) -> Option<Value> {
    let (padding, data, key) = (
        padding(arguments)?,
        arguments.bytes(2)?,
        private_key(arguments, 3)?,
    );
    key.decrypt_blinded(&mut Random, padding, data)
        .ok()
        .map(Value::Bytes)
}

fn add(out: &mut Vec<u8>, number: &BigUint, bytes: usize) -> Option<()> {
    let number = number.to_bytes_be();
    out.resize(out.len() + bytes.checked_sub(number.len())?, 0);
    out.extend_from_slice(&number);
    Some(())
}

/// Others have no key, and would be looked for for ever.
fn is_exponent(exponent: &BigUint) -> bool {
    let bytes = exponent.to_bytes_le();
    bytes.len() <= 4 && bytes[0] % 2 == 1 && *exponent > BigUint::from(1_u8)
}

/// generate(bits, e): n and d with as many bytes as that, p and q with half of them.
pub(crate) fn generate(arguments: &Arguments<'_>) -> Option<Value> {
    let bits = arguments
        .size(0)
        .filter(|bits| BITS.contains(bits) && bits % 16 == 0)?;
    let exponent = number(arguments, 1).filter(is_exponent)?;
    let key = RsaPrivateKey::new_with_exp(&mut Random, bits, &exponent).ok()?;
    let bytes = bits / 8;
    let mut out = room(3 * bytes)?;
    add(&mut out, key.n(), bytes)?;
    add(&mut out, key.d(), bytes)?;
    for prime in key.primes() {
        add(&mut out, prime, bytes / 2)?;
    }
    Some(Value::Bytes(out))
}
