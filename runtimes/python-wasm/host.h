//! The world outside of the interpreter: clocks, randomness, environment, streams, other functions, requests and stores,
//! through WASI preview 1 and `serverledge`.

#ifndef SERVERLEDGE_HOST_H
#define SERVERLEDGE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this is an invocation. Before the first one, at deploy, nothing outside is looked at: the snapshot must
   depend on stdin only. */
extern bool host_invoked;

/* The kinds of things that a deploy must not depend on. */
enum host_read { HOST_READ_CLOCK, HOST_READ_RANDOM };
/* Called when one of them is read before there is an invocation; may be NULL. */
extern void (*host_deploy_read)(enum host_read);

/* The text, as it is. */
void host_write(int descriptor, const char *text, size_t length);
/* All of stdin with a NUL behind it; NULL if there is no memory. */
char *host_read_stdin(size_t *length);
_Noreturn void host_exit(uint32_t code);

/* NUL-terminated NAME=VALUE strings, their number in `count`; they are never freed. NULL if there are none. */
char **host_environment(size_t *count);
/* The name of the function, empty if it is not told; never freed. */
const char *host_function_name(void);

/* A reply. `bytes` is malloc'ed; NULL if there is no memory. */
struct host_reply {
    char *bytes;
    size_t length;
    bool is_error;
};
/* Another function's. */
struct host_reply host_call(const char *name, size_t name_length, const char *params, size_t params_length);
/* That of a host outside, in the form of docs/guest-abi.md, as the request is. */
struct host_reply host_send(const char *request, size_t length);
/* That of the key-value stores, in the same way. */
struct host_reply host_kv(const char *request, size_t length);

#endif
