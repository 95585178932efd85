//! Calls another function, from C: a WASI command that imports `serverledge::call`.
//!
//! Params on stdin, {"function": "...", "params": ...}; the result of that function on stdout. Its error becomes ours:
//! the error object on stderr, exit code 1. The node has checked that the params are JSON, so the reader below only
//! finds its way.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what is returned: bit 63 marks an error object, bits 0 to 31 are the length of the reply. */
__attribute__((import_module("serverledge"), import_name("call"))) uint64_t serverledge_call(
    const char *name, size_t name_length, const char *params, size_t params_length, char *reply, size_t reply_max);

#define REPLY_IS_ERROR (UINT64_C(1) << 63)
/* Room for most replies; one that is longer is kept by the host until it is asked for. */
#define REPLY_BYTES 1024

_Noreturn static void fail(const char *message) {
    fputs("call-c: ", stderr);
    fputs(message, stderr);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void *room(void *old, size_t length) {
    void *memory = realloc(old, length);
    if (memory == NULL) fail("out of memory");
    return memory;
}

/* Everything from stdin, with a NUL behind it. */
static char *read_input(void) {
    size_t length = 0, capacity = 4096;
    char *input = room(NULL, capacity);
    for (size_t got; (got = fread(input + length, 1, capacity - length - 1, stdin)) > 0;) {
        length += got;
        if (capacity - length < 2) input = room(input, capacity *= 2);
    }
    input[length] = '\0';
    return input;
}

/* === finding the way through JSON === */

struct text {
    const char *start;
    size_t length;
};

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

static const char *end_of_string(const char *at) {
    for (at++; *at != '"' && *at != '\0'; at++)
        if (*at == '\\' && at[1] != '\0') at++;
    return *at == '"' ? at + 1 : at;
}

/* Where the value that begins here ends. */
static const char *end_of_value(const char *at) {
    if (*at == '"') return end_of_string(at);
    if (*at != '{' && *at != '[') return at + strcspn(at, ",}] \t\r\n");
    for (size_t depth = 0; *at != '\0';) {
        if (*at == '"') {
            at = end_of_string(at);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
        if (depth == 0) break;
    }
    return at;
}

/* The value of a member of the object, as it is written; no start if there is none. */
static struct text member(const char *object, const char *name) {
    struct text found = {NULL, 0};
    const char *at = skip_space(object);
    if (*at != '{') return found;
    do {
        const char *key = skip_space(at + 1);
        if (*key != '"') break;
        const char *key_end = end_of_string(key);
        const char *value = skip_space(skip_space(key_end) + 1), *value_end = end_of_value(value);
        if ((size_t)(key_end - key) == strlen(name) + 2 && memcmp(key + 1, name, strlen(name)) == 0)
            found = (struct text){value, (size_t)(value_end - value)};
        at = skip_space(value_end);
    } while (*at == ',');
    return found;
}

int main(void) {
    char *input = read_input();
    struct text name = member(input, "function"), params = member(input, "params");
    if (name.start == NULL || *name.start != '"' || memchr(name.start, '\\', name.length) != NULL)
        fail("params: function must be a plain text");
    if (params.start == NULL) params = (struct text){"{}", 2};

    char *reply = room(NULL, REPLY_BYTES);
    uint64_t outcome =
        serverledge_call(name.start + 1, name.length - 2, params.start, params.length, reply, REPLY_BYTES);
    size_t length = (size_t)(outcome & UINT32_MAX);
    if (length > REPLY_BYTES) {
        reply = room(reply, length);
        /* No name: the reply that is kept. */
        outcome = serverledge_call(name.start, 0, params.start, 0, reply, length);
    }
    int is_error = (outcome & REPLY_IS_ERROR) != 0;
    if (fwrite(reply, 1, length, is_error ? stderr : stdout) != length) fail("failed to write the reply");
    return is_error ? EXIT_FAILURE : EXIT_SUCCESS;
}
