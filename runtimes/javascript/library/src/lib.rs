//! The part of the JavaScript guest that is Rust: cryptography, compression and mathematical functions, and with the feature
//! `intl` languages.
//!
//! The guest's C calls an operation with the arguments of a JavaScript call, and makes a value of its answer
//! (`../library.h`). Wrong arguments are answered with "undefined": a trap would end the invocation.

#![no_std]

extern crate alloc;

mod abi;
mod ciphers;
mod compression;
mod curves;
mod hashes;
#[cfg(feature = "intl")]
mod languages;
mod numbers;
mod powers;
mod rsa_keys;

use abi::operations;

operations! {
    library_aes_cbc = ciphers::aes_cbc;
    library_aes_ctr = ciphers::aes_ctr;
    library_aes_gcm = ciphers::aes_gcm;
    library_aes_kw = ciphers::aes_kw;
    library_bcrypt = hashes::bcrypt;
    library_compressor = compression::compressor;
    library_crc32 = compression::crc32;
    library_decompressor = compression::decompressor;
    library_deflate = compression::deflate;
    library_digest = hashes::digest;
    library_ec_derive = curves::ec_derive;
    library_ec_point = curves::ec_point;
    library_ec_public = curves::ec_public;
    library_ec_sign = curves::ec_sign;
    library_ec_verify = curves::ec_verify;
    library_ed_public = curves::ed_public;
    library_ed_sign = curves::ed_sign;
    library_ed_verify = curves::ed_verify;
    library_hasher = hashes::hasher;
    library_hasher_copy = hashes::hasher_copy;
    library_hasher_digest = hashes::hasher_digest;
    library_hasher_update = hashes::hasher_update;
    library_hkdf = hashes::hkdf;
    library_hmac = hashes::hmac;
    library_inflate = compression::inflate;
    library_pbkdf2 = hashes::pbkdf2;
    library_push = compression::push;
    library_rsa_decrypt = rsa_keys::decrypt;
    library_rsa_encrypt = rsa_keys::encrypt;
    library_rsa_generate = rsa_keys::generate;
    library_rsa_sign = rsa_keys::sign;
    library_rsa_verify = rsa_keys::verify;
    library_scrypt = hashes::scrypt;
    library_timing_safe_equal = hashes::timing_safe_equal;
    library_x_derive = curves::x_derive;
}

#[cfg(feature = "intl")]
operations! {
    library_intl_ask = languages::ask;
    library_intl_call = languages::call;
    library_intl_make = languages::make;
}
