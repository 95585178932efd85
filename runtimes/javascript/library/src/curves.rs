//! Elliptic curves: ECDSA and ECDH on P-256 and P-384, Ed25519 and X25519.

use alloc::vec::Vec;

use ecdsa::Signature;
use ecdsa::hazmat::{DigestPrimitive, SignPrimitive, VerifyPrimitive};
use elliptic_curve::generic_array::ArrayLength;
use elliptic_curve::generic_array::typenum::Unsigned as _;
use elliptic_curve::sec1::{FromEncodedPoint, ModulusSize, ToEncodedPoint as _};
use elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytesSize, PrimeCurve, PublicKey, Scalar, SecretKey,
};

use crate::abi::{Arguments, Value, copy, zeros};

/// Runs an expression with the type of the curve of this name; answers "undefined" for others.
macro_rules! with_curve {
    ($name:expr, $type:ident => $result:expr) => {
        match $name {
            "P-256" => {
                type $type = p256::NistP256;
                $result
            }
            "P-384" => {
                type $type = p384::NistP384;
                $result
            }
            _ => return None,
        }
    };
}

fn public<C>(scalar: &[u8]) -> Option<Value>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: elliptic_curve::sec1::ToEncodedPoint<C> + FromEncodedPoint<C>,
{
    let key = SecretKey::<C>::from_slice(scalar).ok()?;
    Some(Value::Bytes(copy(
        key.public_key().to_encoded_point(false).as_bytes(),
    )?))
}

pub(crate) fn ec_public(arguments: &Arguments<'_>) -> Option<Value> {
    with_curve!(arguments.text(0)?, C => public::<C>(arguments.bytes(1)?))
}

fn point<C>(bytes: &[u8]) -> Option<Value>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: elliptic_curve::sec1::ToEncodedPoint<C> + FromEncodedPoint<C>,
{
    let key = PublicKey::<C>::from_sec1_bytes(bytes).ok()?;
    Some(Value::Bytes(copy(key.to_encoded_point(false).as_bytes())?))
}

pub(crate) fn ec_point(arguments: &Arguments<'_>) -> Option<Value> {
    with_curve!(arguments.text(0)?, C => point::<C>(arguments.bytes(1)?))
}

/// A digest that is shorter than a scalar is the same number with zeros before it. The crate takes none that is too
/// short.
fn lengthened<C: PrimeCurve>(digest: &[u8]) -> Option<Vec<u8>> {
    let bytes = C::FieldBytesSize::USIZE;
    let mut long = zeros(bytes.saturating_sub(digest.len()))?;
    long.extend_from_slice(digest);
    Some(long)
}

fn sign<C>(scalar: &[u8], digest: &[u8]) -> Option<Value>
where
    C: PrimeCurve + CurveArithmetic + DigestPrimitive,
    Scalar<C>: elliptic_curve::ops::Invert<Output = elliptic_curve::subtle::CtOption<Scalar<C>>>
        + SignPrimitive<C>,
    ecdsa::SignatureSize<C>: ArrayLength<u8>,
{
    use ecdsa::signature::hazmat::PrehashSigner as _;
    let key = ecdsa::SigningKey::<C>::from_slice(scalar).ok()?;
    let signature: Signature<C> = key.sign_prehash(&lengthened::<C>(digest)?).ok()?;
    Some(Value::Bytes(copy(&signature.to_bytes())?))
}

pub(crate) fn ec_sign(arguments: &Arguments<'_>) -> Option<Value> {
    let digest = arguments.bytes(2)?;
    with_curve!(arguments.text(0)?, C => sign::<C>(arguments.bytes(1)?, digest))
}

fn verify<C>(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<Value>
where
    C: PrimeCurve + CurveArithmetic + DigestPrimitive,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>:
        elliptic_curve::sec1::ToEncodedPoint<C> + FromEncodedPoint<C> + VerifyPrimitive<C>,
    ecdsa::SignatureSize<C>: ArrayLength<u8>,
{
    use ecdsa::signature::hazmat::PrehashVerifier as _;
    let key = ecdsa::VerifyingKey::<C>::from_sec1_bytes(key).ok()?;
    let digest = lengthened::<C>(digest)?;
    let is_right = Signature::<C>::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok());
    Some(Value::Bool(is_right))
}

pub(crate) fn ec_verify(arguments: &Arguments<'_>) -> Option<Value> {
    let (digest, signature) = (arguments.bytes(2)?, arguments.bytes(3)?);
    with_curve!(arguments.text(0)?, C => verify::<C>(arguments.bytes(1)?, digest, signature))
}

fn derive<C>(scalar: &[u8], other: &[u8]) -> Option<Value>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: elliptic_curve::sec1::ToEncodedPoint<C> + FromEncodedPoint<C>,
{
    let key = SecretKey::<C>::from_slice(scalar).ok()?;
    let other = PublicKey::<C>::from_sec1_bytes(other).ok()?;
    let shared = elliptic_curve::ecdh::diffie_hellman(key.to_nonzero_scalar(), other.as_affine());
    Some(Value::Bytes(copy(shared.raw_secret_bytes())?))
}

pub(crate) fn ec_derive(arguments: &Arguments<'_>) -> Option<Value> {
    let other = arguments.bytes(2)?;
    with_curve!(arguments.text(0)?, C => derive::<C>(arguments.bytes(1)?, other))
}

// === curve 25519 ===

fn ed_key(seed: &[u8]) -> Option<ed25519_dalek::SigningKey> {
    Some(ed25519_dalek::SigningKey::from_bytes(seed.try_into().ok()?))
}

pub(crate) fn ed_public(arguments: &Arguments<'_>) -> Option<Value> {
    let key = ed_key(arguments.bytes(0)?)?;
    Some(Value::Bytes(copy(key.verifying_key().as_bytes())?))
}

pub(crate) fn ed_sign(arguments: &Arguments<'_>) -> Option<Value> {
    use ed25519_dalek::Signer as _;
    let signature = ed_key(arguments.bytes(0)?)?.sign(arguments.bytes(1)?);
    Some(Value::Bytes(copy(&signature.to_bytes())?))
}

pub(crate) fn ed_verify(arguments: &Arguments<'_>) -> Option<Value> {
    use ed25519_dalek::Verifier as _;
    let key: &[u8; 32] = arguments.bytes(0)?.try_into().ok()?;
    let (message, signature) = (arguments.bytes(1)?, arguments.bytes(2)?);
    let is_right = ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|key| {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify(message, &signature).is_ok())
    });
    Some(Value::Bool(is_right))
}

pub(crate) fn x_derive(arguments: &Arguments<'_>) -> Option<Value> {
    let scalar: [u8; 32] = arguments.bytes(0)?.try_into().ok()?;
    let public: [u8; 32] = arguments.bytes(1)?.try_into().ok()?;
    Some(Value::Bytes(copy(&x25519_dalek::x25519(scalar, public))?))
}
