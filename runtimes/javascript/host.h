//! The world outside of the engine: clocks, randomness, environment, streams, other functions, other hosts and stores,
//! through WASI preview 1 and `serverledge`.

#ifndef SERVERLEDGE_HOST_H
#define SERVERLEDGE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Whether this is an invocation. Before the first one, at deploy, nothing outside is looked at: the snapshot must
   depend on the source only. */
extern bool host_invoked;

/* Called when the clock is read before there is an invocation; may be NULL. */
extern void (*host_deploy_clock_read)(void);

/* What QuickJS reads its time from, see engine.c. */
int host_clock_gettime(clockid_t clock, struct timespec *time);
int host_gettimeofday(struct timeval *time, void *zone);

/* Milliseconds of the wall clock since 1970, whole ones. */
double host_now_ms(void);
/* Milliseconds of a clock that never goes back, whole ones. */
double host_elapsed_ms(void);
/* Waits; at deploy, time is only moved forward. */
void host_sleep_ms(double duration);
/* Sets the constant clock of the deploy, in microseconds. */
void host_set_deploy_clock(uint64_t microseconds);

/* Random bytes of the system; at deploy, of a fixed sequence. */
void host_random(uint8_t *bytes, size_t length);

/* The text and a line feed. */
void host_write_line(int descriptor, const char *text, size_t length);
/* All of stdin with a NUL behind it; NULL if there is no memory. */
char *host_read_stdin(size_t *length);
_Noreturn void host_exit(uint32_t code);

/* NUL-terminated NAME=VALUE strings, their number in `count`; they are never freed. NULL if there are none. */
char **host_environment(size_t *count);
/* The name of the function, empty if it is not told; never freed. */
const char *host_function_name(void);

/* A reply, with a NUL behind it. `bytes` is malloc'ed; NULL if there is no memory. */
struct host_reply {
    char *bytes;
    size_t length;
    bool is_error;
};
/* Another function's. */
struct host_reply host_call(const char *name, size_t name_length, const char *params, size_t params_length);
/* Another host's, in the form of docs/guest-abi.md, as the request is. */
struct host_reply host_send(const char *request, size_t length);
/* That of the key-value stores, in the form of docs/guest-abi.md, as the request is. */
struct host_reply host_kv(const char *request, size_t length);

#endif
