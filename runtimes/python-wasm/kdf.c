//! Implements kdf.h.

#include "kdf.h"

#include <stdlib.h>
#include <string.h>

#include "internal/Hacl_Hash_MD5.h"
#include "internal/Hacl_Hash_SHA1.h"
#include "internal/Hacl_Hash_SHA2.h"

#define BLOCK_BYTES_MAX 128
#define DIGEST_BYTES_MAX 64

/* === digests === */

union state {
    uint32_t words[8];
    uint64_t long_words[8];
};

/* The functions of a digest: `last` is given the bytes before, and finishes. */
struct digest {
    const char *name;
    uint32_t block_bytes, bytes;
    void (*init)(union state *);
    void (*blocks)(union state *, uint8_t *bytes, uint32_t count);
    void (*last)(union state *, uint64_t before, uint8_t *bytes, uint32_t length, uint8_t *out);
};

#define FUNCTIONS_OF_MD(digest, prefix) \
    static void digest##_init(union state *state) { prefix##_init(state->words); } \
    static void digest##_blocks(union state *state, uint8_t *bytes, uint32_t count) { prefix##_update_multi(state->words, bytes, count); } \
    static void digest##_last(union state *state, uint64_t before, uint8_t *bytes, uint32_t length, uint8_t *out) { \
        prefix##_update_last(state->words, before, bytes, length); \
        prefix##_finish(state->words, out); \
    }

#define FUNCTIONS_OF_SHA2(digest, family, block, state_words, total) \
    static void digest##_init(union state *state) { Hacl_Hash_SHA2_##digest##_init(state->state_words); } \
    static void digest##_blocks(union state *state, uint8_t *bytes, uint32_t count) { \
        Hacl_Hash_SHA2_##family##_update_nblocks(count * block, bytes, state->state_words); \
    } \
    static void digest##_last(union state *state, uint64_t before, uint8_t *bytes, uint32_t length, uint8_t *out) { \
        Hacl_Hash_SHA2_##digest##_update_last(total(before + length), length, bytes, state->state_words); \
        Hacl_Hash_SHA2_##digest##_finish(state->state_words, out); \
    }

FUNCTIONS_OF_MD(md5, Hacl_Hash_MD5)
FUNCTIONS_OF_MD(sha1, Hacl_Hash_SHA1)
FUNCTIONS_OF_SHA2(sha224, sha256, 64, words, )
FUNCTIONS_OF_SHA2(sha256, sha256, 64, words, )
FUNCTIONS_OF_SHA2(sha384, sha512, 128, long_words, FStar_UInt128_uint64_to_uint128)
FUNCTIONS_OF_SHA2(sha512, sha512, 128, long_words, FStar_UInt128_uint64_to_uint128)

static const struct digest digests[] = {
    {"md5", 64, 16, md5_init, md5_blocks, md5_last},
    {"sha1", 64, 20, sha1_init, sha1_blocks, sha1_last},
    {"sha224", 64, 28, sha224_init, sha224_blocks, sha224_last},
    {"sha256", 64, 32, sha256_init, sha256_blocks, sha256_last},
    {"sha384", 128, 48, sha384_init, sha384_blocks, sha384_last},
    {"sha512", 128, 64, sha512_init, sha512_blocks, sha512_last},
};

static const struct digest *digest_named(const char *name) {
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (strcmp(digests[i].name, name) == 0) return &digests[i];
    return NULL;
}

bool kdf_has_digest(const char *name) { return digest_named(name) != NULL; }

/* Goes on from a state that has seen `before` bytes, which are whole blocks. */
static void finish(const struct digest *digest, union state state, uint64_t before, const uint8_t *bytes, size_t length, uint8_t *out) {
    size_t count = length / digest->block_bytes, whole = count * digest->block_bytes;
    /* HACL* does not write to what it is given. */
    if (count > 0) digest->blocks(&state, (uint8_t *)bytes, (uint32_t)count);
    digest->last(&state, before + whole, (uint8_t *)bytes + whole, (uint32_t)(length - whole), out);
}

/* === HMAC (RFC 2104) === */

/* The states behind the key, from which each message goes on. */
struct hmac {
    const struct digest *digest;
    union state inner, outer;
};

static void hmac_begin(struct hmac *hmac, const struct digest *digest, struct kdf_bytes key) {
    uint8_t block[BLOCK_BYTES_MAX] = {0};
    hmac->digest = digest;
    if (key.length > digest->block_bytes) {
        union state state;
        digest->init(&state);
        finish(digest, state, 0, key.bytes, key.length, block);
    } else if (key.length > 0) {
        memcpy(block, key.bytes, key.length);
    }
    for (uint32_t i = 0; i < digest->block_bytes; i++) block[i] ^= 0x36;
    digest->init(&hmac->inner);
    digest->blocks(&hmac->inner, block, 1);
    for (uint32_t i = 0; i < digest->block_bytes; i++) block[i] ^= 0x36 ^ 0x5c;
    digest->init(&hmac->outer);
    digest->blocks(&hmac->outer, block, 1);
}

static void hmac_of(const struct hmac *hmac, const uint8_t *message, size_t length, uint8_t *out) {
    const struct digest *digest = hmac->digest;
    uint8_t inner[DIGEST_BYTES_MAX];
    finish(digest, hmac->inner, digest->block_bytes, message, length, inner);
    finish(digest, hmac->outer, digest->block_bytes, inner, digest->bytes, out);
}

/* === PBKDF2 (RFC 8018, 5.2) === */

bool kdf_pbkdf2(const char *name, struct kdf_bytes password, struct kdf_bytes salt, uint32_t iterations, uint8_t *key, size_t length) {
    const struct digest *digest = digest_named(name);
    struct hmac hmac;
    uint8_t *first = malloc(salt.length + 4), each[DIGEST_BYTES_MAX], sum[DIGEST_BYTES_MAX];
    if (first == NULL) return false;
    if (salt.length > 0) memcpy(first, salt.bytes, salt.length);
    hmac_begin(&hmac, digest, password);
    for (uint32_t block = 1; length > 0; block++) {
        for (int i = 0; i < 4; i++) first[salt.length + i] = (uint8_t)(block >> (24 - 8 * i));
        hmac_of(&hmac, first, salt.length + 4, each);
        memcpy(sum, each, digest->bytes);
        for (uint32_t round = 1; round < iterations; round++) {
            hmac_of(&hmac, each, digest->bytes, each);
            for (uint32_t i = 0; i < digest->bytes; i++) sum[i] ^= each[i];
        }
        size_t taken = length < digest->bytes ? length : digest->bytes;
        memcpy(key, sum, taken);
        key += taken;
        length -= taken;
    }
    free(first);
    return true;
}

/* === scrypt (RFC 7914) === */

#define SALSA_WORDS 16
#define SALSA_BYTES 64

static uint32_t rotated(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void quarter(uint32_t *x, int a, int b, int c, int d) {
    x[b] ^= rotated(x[a] + x[d], 7);
    x[c] ^= rotated(x[b] + x[a], 9);
    x[d] ^= rotated(x[c] + x[b], 13);
    x[a] ^= rotated(x[d] + x[c], 18);
}

/* Salsa20/8. Words are little-endian in memory, as WebAssembly's are. */
static void salsa(uint32_t *block) {
    uint32_t x[SALSA_WORDS];
    memcpy(x, block, sizeof x);
    for (int round = 0; round < 8; round += 2) {
        quarter(x, 0, 4, 8, 12), quarter(x, 5, 9, 13, 1), quarter(x, 10, 14, 2, 6), quarter(x, 15, 3, 7, 11);
        quarter(x, 0, 1, 2, 3), quarter(x, 5, 6, 7, 4), quarter(x, 10, 11, 8, 9), quarter(x, 15, 12, 13, 14);
    }
    for (int i = 0; i < SALSA_WORDS; i++) block[i] += x[i];
}

static void add(uint32_t *to, const uint32_t *words, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] ^= words[i];
}

/* scryptBlockMix: even blocks of the result are its first half, odd ones its second. */
static void mix_block(uint32_t *out, const uint32_t *in, uint32_t r) {
    uint32_t x[SALSA_WORDS];
    memcpy(x, in + (2 * r - 1) * SALSA_WORDS, sizeof x);
    for (uint32_t i = 0; i < 2 * r; i++) {
        add(x, in + i * SALSA_WORDS, SALSA_WORDS);
        salsa(x);
        memcpy(out + (i / 2 + (i % 2) * r) * SALSA_WORDS, x, sizeof x);
    }
}

/* scryptROMix. `table` has room for n blocks, `other` for one. */
static void mix(uint32_t *block, uint32_t *other, uint32_t *table, uint32_t n, uint32_t r) {
    size_t words = 2 * (size_t)r * SALSA_WORDS;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(table + i * words, block, words * sizeof *block);
        mix_block(other, block, r);
        memcpy(block, other, words * sizeof *block);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t chosen = block[words - SALSA_WORDS] & (n - 1);
        add(block, table + chosen * words, words);
        mix_block(other, block, r);
        memcpy(block, other, words * sizeof *block);
    }
}

bool kdf_scrypt(struct kdf_bytes password, struct kdf_bytes salt, uint32_t n, uint32_t r, uint32_t p, uint8_t *key, size_t length) {
    size_t bytes = 2 * (size_t)r * SALSA_BYTES;
    uint32_t *blocks = malloc(bytes * p), *other = malloc(bytes), *table = malloc(bytes * n);
    bool done = blocks != NULL && other != NULL && table != NULL && kdf_pbkdf2("sha256", password, salt, 1, (uint8_t *)blocks, bytes * p);
    if (done) {
        for (uint32_t i = 0; i < p; i++) mix(blocks + i * (bytes / sizeof *blocks), other, table, n, r);
        done = kdf_pbkdf2("sha256", password, (struct kdf_bytes){(uint8_t *)blocks, bytes * p}, 1, key, length);
    }
    free(blocks), free(other), free(table);
    return done;
}
