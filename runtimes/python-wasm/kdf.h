//! Keys from passwords: PBKDF2 (RFC 8018) and scrypt (RFC 7914), over the digests that CPython brings.

#ifndef SERVERLEDGE_KDF_H
#define SERVERLEDGE_KDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kdf_bytes {
    const uint8_t *bytes;
    size_t length;
};

/* Of the digests those that have blocks and a length at the end: md5, sha1, and sha2. */
bool kdf_has_digest(const char *name);
/* PBKDF2 with HMAC. False if there is no memory. */
bool kdf_pbkdf2(const char *digest, struct kdf_bytes password, struct kdf_bytes salt, uint32_t iterations, uint8_t *key, size_t length);
/* scrypt with the cost n, a power of two, blocks of 128 r bytes, and p of them. False if there is no memory. */
bool kdf_scrypt(struct kdf_bytes password, struct kdf_bytes salt, uint32_t n, uint32_t r, uint32_t p, uint8_t *key, size_t length);

#endif
