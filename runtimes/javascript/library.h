//! The library in Rust: operations on bytes and numbers, each with the arguments of a JavaScript call.

#ifndef SERVERLEDGE_LIBRARY_H
#define SERVERLEDGE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum library_kind { LIBRARY_NOTHING, LIBRARY_BYTES_OF, LIBRARY_NUMBER_OF, LIBRARY_HANDLE_OF };

/* Texts are their UTF-8, booleans are numbers. */
struct library_argument {
    uint32_t kind;
    const void *bytes;
    size_t length;
    double number;
};

enum library_result {
    LIBRARY_UNDEFINED,
    LIBRARY_NULL,
    LIBRARY_FALSE,
    LIBRARY_TRUE,
    LIBRARY_NUMBER,
    /* `bytes` is malloc'ed, or NULL if there are none. */
    LIBRARY_BYTES,
    /* `bytes` is a handle, for library_free. */
    LIBRARY_HANDLE,
    /* `bytes` is the message of a TypeError, not to be freed. */
    LIBRARY_FAULT,
    LIBRARY_OUT_OF_MEMORY,
    /* As LIBRARY_BYTES, for a string. The second engine's. */
    LIBRARY_TEXT,
};

struct library_answer {
    void *bytes;
    size_t length;
    double number;
};

typedef uint32_t library_operation(const struct library_argument *arguments, size_t count, struct library_answer *answer);

/* What the second engine has besides: languages. */
#ifdef SERVERLEDGE_INTL
#define LIBRARY_LANGUAGES(X) \
    X(intl_ask, "intlAsk", 3, true) \
    X(intl_call, "intlCall", 5, true) \
    X(intl_make, "intlMake", 3, true)
#else
#define LIBRARY_LANGUAGES(X)
#endif

/* Each with its name, that of the native function, its number of arguments, and whether it needs a large stack. */
#define LIBRARY_OPERATIONS(X) \
    X(aes_cbc, "aesCbc", 5, false) \
    X(aes_ctr, "aesCtr", 4, false) \
    X(aes_gcm, "aesGcm", 6, false) \
    X(aes_kw, "aesKw", 3, false) \
    X(bcrypt, "bcrypt", 3, false) \
    X(compressor, "compressor", 2, true) \
    X(crc32, "crc32", 2, false) \
    X(decompressor, "decompressor", 1, false) \
    X(deflate, "deflate", 3, true) \
    X(digest, "digest", 2, false) \
    X(ec_derive, "ecDerive", 3, false) \
    X(ec_point, "ecPoint", 2, false) \
    X(ec_public, "ecPublic", 2, false) \
    X(ec_sign, "ecSign", 3, false) \
    X(ec_verify, "ecVerify", 4, false) \
    X(ed_public, "edPublic", 1, false) \
    X(ed_sign, "edSign", 2, false) \
    X(ed_verify, "edVerify", 3, false) \
    X(hasher, "hasher", 2, false) \
    X(hasher_copy, "hasherCopy", 1, false) \
    X(hasher_digest, "hasherDigest", 1, false) \
    X(hasher_update, "hasherUpdate", 2, false) \
    X(hkdf, "hkdf", 5, false) \
    X(hmac, "hmac", 3, false) \
    X(inflate, "inflate", 3, false) \
    X(pbkdf2, "pbkdf2", 5, false) \
    X(push, "push", 4, false) \
    X(rsa_decrypt, "rsaDecrypt", 8, false) \
    X(rsa_encrypt, "rsaEncrypt", 5, false) \
    X(rsa_generate, "rsaGenerate", 2, false) \
    X(rsa_sign, "rsaSign", 9, false) \
    X(rsa_verify, "rsaVerify", 7, false) \
    X(scrypt, "scrypt", 6, false) \
    X(timing_safe_equal, "timingSafeEqual", 2, false) \
    X(x_derive, "xDerive", 2, false) \
    LIBRARY_LANGUAGES(X)

#define LIBRARY_ARGUMENTS_MAX 9

#define LIBRARY_DECLARE(name, native, arguments, large) library_operation library_##name;
LIBRARY_OPERATIONS(LIBRARY_DECLARE)
#undef LIBRARY_DECLARE

/* Lets go of a handle. */
void library_free(void *handle);

/* Inflates DEFLATE alone to exactly so many bytes; false if it is anything else. */
bool library_unpack(const uint8_t *from, size_t length, uint8_t *to, size_t size);

/* === mathematical functions === */

double library_acosh(double x);
double library_asinh(double x);
double library_atan2(double y, double x);
double library_atanh(double x);
double library_cos(double x);
double library_cosh(double x);
double library_exp(double x);
double library_hypot(const double *values, size_t count);
double library_log(double x);
double library_log10(double x);
double library_log1p(double x);
double library_log2(double x);
double library_pow(double x, double y);
double library_sin(double x);
double library_sinh(double x);
double library_tanh(double x);

#endif
