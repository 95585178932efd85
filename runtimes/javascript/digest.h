//! The hash functions of `crypto.subtle.digest`.

#ifndef SERVERLEDGE_DIGEST_H
#define SERVERLEDGE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES_MAX 64

/* Writes the digest of the bytes and returns its length; 0 if no function has that name (SHA-1, SHA-256, SHA-384,
   SHA-512). */
size_t digest(const char *name, const uint8_t *bytes, size_t length, uint8_t out[DIGEST_BYTES_MAX]);

#endif
