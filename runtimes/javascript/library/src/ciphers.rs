//! AES in its modes.

use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockCipher, BlockDecrypt, BlockEncrypt, BlockSizeUser, KeyInit};
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut, KeyIvInit as _};
use aes::{Aes128, Aes192, Aes256};
use alloc::vec::Vec;
use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use subtle::ConstantTimeEq as _;

use crate::abi::{Arguments, Value, copy, zeros};

const BLOCK_BYTES: usize = 16;

/// Runs an expression with the type of AES for a key of this length; answers "undefined" for others.
macro_rules! with_aes {
    ($key:expr, $type:ident => $result:expr) => {
        match $key.len() {
            16 => {
                type $type = Aes128;
                $result
            }
            24 => {
                type $type = Aes192;
                $result
            }
            32 => {
                type $type = Aes256;
                $result
            }
            _ => return None,
        }
    };
}

// === GCM ===

/// AES-GCM (NIST SP 800-38D) with an initialisation vector of any length.
struct Gcm<C> {
    cipher: C,
    hash: GHash,
}

type Block = aes::cipher::generic_array::GenericArray<u8, aes::cipher::consts::U16>;

impl<C> Gcm<C>
where
    C: KeyInit + BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    fn new(key: &[u8]) -> Option<Self> {
        let cipher = C::new_from_slice(key).ok()?;
        let mut hash_key = Block::default();
        cipher.encrypt_block(&mut hash_key);
        let hash = GHash::new(&hash_key);
        Some(Self { cipher, hash })
    }

    /// The counter block before the first one.
    fn counter(&self, iv: &[u8]) -> Block {
        let mut block = Block::default();
        if iv.len() == 12 {
            block[..12].copy_from_slice(iv);
            block[15] = 1;
            return block;
        }
        let mut hash = self.hash.clone();
        hash.update_padded(iv);
        block[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
        hash.update(&[block]);
        hash.finalize()
    }

    /// The keystream is laid over the bytes, from the block behind `counter`.
    fn cover(&self, counter: &Block, bytes: &mut [u8]) {
        let mut counter = *counter;
        for piece in bytes.chunks_mut(BLOCK_BYTES * 8) {
            let mut blocks = [Block::default(); 8];
            for block in &mut blocks {
                increment(&mut counter, 32);
                *block = counter;
            }
            self.cipher.encrypt_blocks(&mut blocks);
            for (byte, key) in piece.iter_mut().zip(blocks.iter().flatten()) {
                *byte ^= key;
            }
        }
    }

    fn tag(&self, counter: &Block, aad: &[u8], bytes: &[u8]) -> Block {
        let mut hash = self.hash.clone();
        hash.update_padded(aad);
        hash.update_padded(bytes);
        let mut lengths = Block::default();
        lengths[..8].copy_from_slice(&(aad.len() as u64 * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
        hash.update(&[lengths]);
        let mut tag = *counter;
        self.cipher.encrypt_block(&mut tag);
        for (byte, other) in tag.iter_mut().zip(hash.finalize()) {
            *byte ^= other;
        }
        tag
    }
}

/// Counts on in the last bits of a block.
fn increment(block: &mut Block, bits: u32) {
    let value = u128::from_be_bytes((*block).into());
    let mask = if bits == 128 {
        u128::MAX
    } else {
        (1 << bits) - 1
    };
    let next = (value & !mask) | (value.wrapping_add(1) & mask);
    *block = next.to_be_bytes().into();
}

fn gcm<C>(
    encrypt: bool,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    tag_bytes: usize,
    data: &[u8],
) -> Option<Value>
where
    C: KeyInit + BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let gcm = Gcm::<C>::new(key)?;
    let counter = gcm.counter(iv);
    if encrypt {
        let Some(mut out) = zeros(data.len() + tag_bytes) else {
            return Some(Value::OutOfMemory);
        };
        let (text, tag) = out.split_at_mut(data.len());
        text.copy_from_slice(data);
        gcm.cover(&counter, text);
        tag.copy_from_slice(&gcm.tag(&counter, aad, text)[..tag_bytes]);
        return Some(Value::Bytes(out));
    }
    let (text, tag) = data.split_at_checked(data.len().checked_sub(tag_bytes)?)?;
    let is_right = gcm.tag(&counter, aad, text)[..tag_bytes].ct_eq(tag);
    if !bool::from(is_right) {
        return None;
    }
    let Some(mut out) = copy(text) else {
        return Some(Value::OutOfMemory);
    };
    gcm.cover(&counter, &mut out);
    Some(Value::Bytes(out))
}

pub(crate) fn aes_gcm(arguments: &Arguments<'_>) -> Option<Value> {
    let encrypt = arguments.is_true(0)?;
    let (key, iv, aad) = (
        arguments.bytes(1)?,
        arguments.bytes(2)?,
        arguments.bytes(3)?,
    );
    let tag_bytes = arguments
        .size(4)
        .filter(|bytes| matches!(bytes, 4 | 8 | 12..=16))?;
    let data = arguments.bytes(5)?;
    if iv.is_empty() {
        return None;
    }
    with_aes!(key, C => gcm::<C>(encrypt, key, iv, aad, tag_bytes, data))
}

// === CBC ===

fn cbc_encrypt<C: KeyInit + BlockCipher + BlockEncryptMut>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
    pad: bool,
) -> Option<Vec<u8>> {
    let mode = cbc::Encryptor::<C>::new_from_slices(key, iv).ok()?;
    if !pad && !data.len().is_multiple_of(BLOCK_BYTES) {
        return None;
    }
    let mut out = zeros(data.len() + BLOCK_BYTES)?;
    let length = if pad {
        mode.encrypt_padded_b2b_mut::<Pkcs7>(data, &mut out)
            .ok()?
            .len()
    } else {
        mode.encrypt_padded_b2b_mut::<NoPadding>(data, &mut out)
            .ok()?
            .len()
    };
    out.truncate(length);
    Some(out)
}

fn cbc_decrypt<C>(key: &[u8], iv: &[u8], data: &[u8], pad: bool) -> Option<Vec<u8>>
where
    C: KeyInit + BlockCipher + BlockDecrypt,
{
    let mode = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
    let mut out = zeros(data.len())?;
    let length = if pad {
        mode.decrypt_padded_b2b_mut::<Pkcs7>(data, &mut out)
            .ok()?
            .len()
    } else {
        mode.decrypt_padded_b2b_mut::<NoPadding>(data, &mut out)
            .ok()?
            .len()
    };
    out.truncate(length);
    Some(out)
}

pub(crate) fn aes_cbc(arguments: &Arguments<'_>) -> Option<Value> {
    let (key, iv, data) = (
        arguments.bytes(1)?,
        arguments.bytes(2)?,
        arguments.bytes(3)?,
    );
    let pad = arguments.is_true(4).unwrap_or(true);
    let out = if arguments.is_true(0)? {
        with_aes!(key, C => cbc_encrypt::<C>(key, iv, data, pad))
    } else {
        with_aes!(key, C => cbc_decrypt::<C>(key, iv, data, pad))
    };
    out.map(Value::Bytes)
}

// === CTR ===

fn ctr<C>(key: &[u8], mut counter: Block, bits: u32, bytes: &mut [u8]) -> Option<()>
where
    C: KeyInit + BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let cipher = C::new_from_slice(key).ok()?;
    for piece in bytes.chunks_mut(BLOCK_BYTES * 8) {
        let mut blocks = [Block::default(); 8];
        for block in &mut blocks {
            *block = counter;
            increment(&mut counter, bits);
        }
        cipher.encrypt_blocks(&mut blocks);
        for (byte, key) in piece.iter_mut().zip(blocks.iter().flatten()) {
            *byte ^= key;
        }
    }
    Some(())
}

pub(crate) fn aes_ctr(arguments: &Arguments<'_>) -> Option<Value> {
    let (key, counter, data) = (
        arguments.bytes(0)?,
        arguments.bytes(1)?,
        arguments.bytes(3)?,
    );
    let counter: [u8; BLOCK_BYTES] = counter.try_into().ok()?;
    let bits = u32::try_from(arguments.size(2)?)
        .ok()
        .filter(|bits| (1..=128).contains(bits))?;
    // Each counter is used once.
    if bits < 64 && data.len().div_ceil(BLOCK_BYTES) as u64 > 1 << bits {
        return None;
    }
    let Some(mut out) = copy(data) else {
        return Some(Value::OutOfMemory);
    };
    with_aes!(key, C => ctr::<C>(key, counter.into(), bits, &mut out)?);
    Some(Value::Bytes(out))
}

// === key wrapping ===

pub(crate) fn aes_kw(arguments: &Arguments<'_>) -> Option<Value> {
    let (wrap, key, data) = (
        arguments.is_true(0)?,
        arguments.bytes(1)?,
        arguments.bytes(2)?,
    );
    if !data.len().is_multiple_of(8) || data.len() < if wrap { 16 } else { 24 } {
        return None;
    }
    let mut out = zeros(if wrap { data.len() + 8 } else { data.len() - 8 })?;
    with_aes!(key, C => {
        let kek = ::aes_kw::Kek::<C>::try_from(key).ok()?;
        let done = if wrap { kek.wrap(data, &mut out) } else { kek.unwrap(data, &mut out) };
        done.ok()?;
    });
    Some(Value::Bytes(out))
}
