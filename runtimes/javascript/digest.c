//! SHA-1 and SHA-2 (FIPS 180-4). SHA-256 works on the upper halves of SHA-512's constants, which are the same numbers.

#include "digest.h"

#include <string.h>

/* The fractions of the cube roots of the first 80 primes. */
static const uint64_t round_constants[80] = {
    0x428a2f98d728ae22ull, 0x7137449123ef65cdull, 0xb5c0fbcfec4d3b2full, 0xe9b5dba58189dbbcull,
    0x3956c25bf348b538ull, 0x59f111f1b605d019ull, 0x923f82a4af194f9bull, 0xab1c5ed5da6d8118ull,
    0xd807aa98a3030242ull, 0x12835b0145706fbeull, 0x243185be4ee4b28cull, 0x550c7dc3d5ffb4e2ull,
    0x72be5d74f27b896full, 0x80deb1fe3b1696b1ull, 0x9bdc06a725c71235ull, 0xc19bf174cf692694ull,
    0xe49b69c19ef14ad2ull, 0xefbe4786384f25e3ull, 0x0fc19dc68b8cd5b5ull, 0x240ca1cc77ac9c65ull,
    0x2de92c6f592b0275ull, 0x4a7484aa6ea6e483ull, 0x5cb0a9dcbd41fbd4ull, 0x76f988da831153b5ull,
    0x983e5152ee66dfabull, 0xa831c66d2db43210ull, 0xb00327c898fb213full, 0xbf597fc7beef0ee4ull,
    0xc6e00bf33da88fc2ull, 0xd5a79147930aa725ull, 0x06ca6351e003826full, 0x142929670a0e6e70ull,
    0x27b70a8546d22ffcull, 0x2e1b21385c26c926ull, 0x4d2c6dfc5ac42aedull, 0x53380d139d95b3dfull,
    0x650a73548baf63deull, 0x766a0abb3c77b2a8ull, 0x81c2c92e47edaee6ull, 0x92722c851482353bull,
    0xa2bfe8a14cf10364ull, 0xa81a664bbc423001ull, 0xc24b8b70d0f89791ull, 0xc76c51a30654be30ull,
    0xd192e819d6ef5218ull, 0xd69906245565a910ull, 0xf40e35855771202aull, 0x106aa07032bbd1b8ull,
    0x19a4c116b8d2d0c8ull, 0x1e376c085141ab53ull, 0x2748774cdf8eeb99ull, 0x34b0bcb5e19b48a8ull,
    0x391c0cb3c5c95a63ull, 0x4ed8aa4ae3418acbull, 0x5b9cca4f7763e373ull, 0x682e6ff3d6b2b8a3ull,
    0x748f82ee5defb2fcull, 0x78a5636f43172f60ull, 0x84c87814a1f0ab72ull, 0x8cc702081a6439ecull,
    0x90befffa23631e28ull, 0xa4506cebde82bde9ull, 0xbef9a3f7b2c67915ull, 0xc67178f2e372532bull,
    0xca273eceea26619cull, 0xd186b8c721c0c207ull, 0xeada7dd6cde0eb1eull, 0xf57d4f7fee6ed178ull,
    0x06f067aa72176fbaull, 0x0a637dc5a2c898a6ull, 0x113f9804bef90daeull, 0x1b710b35131c471bull,
    0x28db77f523047d84ull, 0x32caab7b40c72493ull, 0x3c9ebe0a15c9bebcull, 0x431d67c49c100d4cull,
    0x4cc5d4becb3e42b6ull, 0x597f299cfc657e2aull, 0x5fcb6fab3ad6faecull, 0x6c44198c4a475817ull,
};

/* The fractions of the square roots of the first eight primes, and of the next eight. */
static const uint64_t start_512[8] = {
    0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
    0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull,
};
static const uint64_t start_384[8] = {
    0xcbbb9d5dc1059ed8ull, 0x629a292a367cd507ull, 0x9159015a3070dd17ull, 0x152fecd8f70e5939ull,
    0x67332667ffc00b31ull, 0x8eb44a8768581511ull, 0xdb0c2e0d64f98fa7ull, 0x47b5481dbefa4fa4ull,
};

static uint32_t rotate_right_32(uint32_t value, int by) { return value >> by | value << (32 - by); }
static uint64_t rotate_right_64(uint64_t value, int by) { return value >> by | value << (64 - by); }
static uint32_t rotate_left_32(uint32_t value, int by) { return value << by | value >> (32 - by); }

static uint64_t read_big_endian(const uint8_t *bytes, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value = value << 8 | bytes[i];
    return value;
}

static void write_big_endian(uint8_t *bytes, uint64_t value, size_t width) {
    for (size_t i = 0; i < width; i++) bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

static void block_sha1(uint64_t state[8], const uint8_t *block) {
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = (uint32_t)state[0], b = (uint32_t)state[1], c = (uint32_t)state[2], d = (uint32_t)state[3],
                    e = (uint32_t)state[4];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)read_big_endian(block + 4 * i, 4);
    for (int i = 16; i < 80; i++) w[i] = rotate_left_32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mixed = i < 20 ? ((b & c) | (~b & d)) : i < 40 || i >= 60 ? b ^ c ^ d : ((b & c) | (b & d) | (c & d));
        uint32_t next = rotate_left_32(a, 5) + mixed + e + constants[i / 20] + w[i];
        e = d, d = c, c = rotate_left_32(b, 30), b = a, a = next;
    }
    state[0] = (uint32_t)state[0] + a, state[1] = (uint32_t)state[1] + b, state[2] = (uint32_t)state[2] + c;
    state[3] = (uint32_t)state[3] + d, state[4] = (uint32_t)state[4] + e;
}

static void block_sha256(uint64_t state[8], const uint8_t *block) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)read_big_endian(block + 4 * i, 4);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate_right_32(w[i - 15], 7) ^ rotate_right_32(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate_right_32(w[i - 2], 17) ^ rotate_right_32(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 8; i++) v[i] = (uint32_t)state[i];
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate_right_32(v[4], 6) ^ rotate_right_32(v[4], 11) ^ rotate_right_32(v[4], 25);
        uint32_t first = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + (uint32_t)(round_constants[i] >> 32) + w[i];
        uint32_t s0 = rotate_right_32(v[0], 2) ^ rotate_right_32(v[0], 13) ^ rotate_right_32(v[0], 22);
        uint32_t second = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first, v[0] = first + second;
    }
    for (int i = 0; i < 8; i++) state[i] = (uint32_t)state[i] + v[i];
}

static void block_sha512(uint64_t state[8], const uint8_t *block) {
    uint64_t w[80], v[8];
    for (int i = 0; i < 16; i++) w[i] = read_big_endian(block + 8 * i, 8);
    for (int i = 16; i < 80; i++) {
        uint64_t s0 = rotate_right_64(w[i - 15], 1) ^ rotate_right_64(w[i - 15], 8) ^ w[i - 15] >> 7;
        uint64_t s1 = rotate_right_64(w[i - 2], 19) ^ rotate_right_64(w[i - 2], 61) ^ w[i - 2] >> 6;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint64_t s1 = rotate_right_64(v[4], 14) ^ rotate_right_64(v[4], 18) ^ rotate_right_64(v[4], 41);
        uint64_t first = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
        uint64_t s0 = rotate_right_64(v[0], 28) ^ rotate_right_64(v[0], 34) ^ rotate_right_64(v[0], 39);
        uint64_t second = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first, v[0] = first + second;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

struct algorithm {
    const char *name;
    void (*block)(uint64_t state[8], const uint8_t *block);
    size_t block_bytes;
    size_t word_bytes;
    size_t digest_bytes;
};

static const struct algorithm algorithms[] = {
    {"SHA-1", block_sha1, 64, 4, 20},
    {"SHA-256", block_sha256, 64, 4, 32},
    {"SHA-384", block_sha512, 128, 8, 48},
    {"SHA-512", block_sha512, 128, 8, 64},
};

static void begin(const struct algorithm *chosen, uint64_t state[8]) {
    static const uint64_t start_sha1[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(state, chosen->digest_bytes == 48 ? start_384 : start_512, 8 * sizeof *state);
    if (chosen->digest_bytes == 20) memcpy(state, start_sha1, sizeof start_sha1);
    if (chosen->digest_bytes == 32)
        for (int i = 0; i < 8; i++) state[i] >>= 32;
}

size_t digest(const char *name, const uint8_t *bytes, size_t length, uint8_t out[DIGEST_BYTES_MAX]) {
    const struct algorithm *chosen = NULL;
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(algorithms[i].name, name) == 0) chosen = &algorithms[i];
    if (chosen == NULL) return 0;
    uint64_t state[8];
    uint8_t last[256] = {0};
    size_t at = 0;
    begin(chosen, state);
    for (; length - at >= chosen->block_bytes; at += chosen->block_bytes) chosen->block(state, bytes + at);
    /* The rest, one bit, zeros, and the length in bits at the end of one block or of two. */
    size_t rest = length - at, blocks = rest + 1 + 2 * chosen->word_bytes > chosen->block_bytes ? 2 : 1;
    if (rest > 0) memcpy(last, bytes + at, rest);
    last[rest] = 0x80;
    write_big_endian(last + blocks * chosen->block_bytes - 8, (uint64_t)length * 8, 8);
    for (size_t i = 0; i < blocks; i++) chosen->block(state, last + i * chosen->block_bytes);
    for (size_t i = 0; i < chosen->digest_bytes; i++)
        out[i] = (uint8_t)(state[i / chosen->word_bytes] >> (8 * (chosen->word_bytes - 1 - i % chosen->word_bytes)));
    return chosen->digest_bytes;
}
