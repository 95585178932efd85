//! Implements host.h on WASI preview 1, and the module `serverledge` of docs/guest-abi.md.

#include "host.h"

#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define NANOSECONDS_OF_MS 1000000ull
/* Room for a reply before its length is known. */
#define REPLY_BYTES 4096
#define REPLY_IS_ERROR (1ull << 63)

__attribute__((import_module("serverledge"), import_name("call"))) uint64_t serverledge_call(
    const char *name, size_t name_length, const char *params, size_t params_length, char *reply, size_t reply_max);

__attribute__((import_module("serverledge"), import_name("send"))) uint64_t serverledge_send(
    const char *request, size_t request_length, char *reply, size_t reply_max);

__attribute__((import_module("serverledge"), import_name("kv"))) uint64_t serverledge_kv(
    const char *request, size_t request_length, char *reply, size_t reply_max);

bool host_invoked;

void (*host_deploy_clock_read)(void);

static uint64_t deploy_clock_ns;

void host_set_deploy_clock(uint64_t microseconds) { deploy_clock_ns = microseconds * 1000; }

/* === time === */

/* No finer than milliseconds: a function has no use for more, a spy on its neighbours has. */
static uint64_t coarse_ns(__wasi_clockid_t clock) {
    __wasi_timestamp_t now = 0;
    if (!host_invoked) return deploy_clock_ns;
    if (__wasi_clock_time_get(clock, NANOSECONDS_OF_MS, &now) != 0) return 0;
    return now - now % NANOSECONDS_OF_MS;
}

/* Told before it is answered. */
static void note_read(void) {
    if (!host_invoked && host_deploy_clock_read != NULL) host_deploy_clock_read();
}

int host_clock_gettime(clockid_t clock, struct timespec *time) {
    note_read();
    uint64_t now = coarse_ns(clock == CLOCK_REALTIME ? __WASI_CLOCKID_REALTIME : __WASI_CLOCKID_MONOTONIC);
    time->tv_sec = (time_t)(now / 1000000000);
    time->tv_nsec = (long)(now % 1000000000);
    return 0;
}

int host_gettimeofday(struct timeval *time, void *zone) {
    (void)zone;
    note_read();
    uint64_t now = coarse_ns(__WASI_CLOCKID_REALTIME);
    time->tv_sec = (time_t)(now / 1000000000);
    time->tv_usec = (suseconds_t)(now % 1000000000 / 1000);
    return 0;
}

double host_now_ms(void) { return (double)(coarse_ns(__WASI_CLOCKID_REALTIME) / NANOSECONDS_OF_MS); }

double host_elapsed_ms(void) { return (double)(coarse_ns(__WASI_CLOCKID_MONOTONIC) / NANOSECONDS_OF_MS); }

void host_sleep_ms(double duration) {
    if (!(duration > 0)) return;
    uint64_t nanoseconds = (uint64_t)(duration * (double)NANOSECONDS_OF_MS);
    if (!host_invoked) {
        deploy_clock_ns += nanoseconds;
        return;
    }
    __wasi_subscription_t subscription = {0};
    subscription.u.tag = __WASI_EVENTTYPE_CLOCK;
    subscription.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    subscription.u.u.clock.timeout = nanoseconds;
    __wasi_event_t event;
    __wasi_size_t count = 0;
    (void)__wasi_poll_oneoff(&subscription, &event, 1, &count);
}

/* === randomness === */

/* splitmix64 (Steele, Lea, Flood 2014), for what has to look random at deploy and be the same each time. */
static uint64_t deploy_random(void) {
    static uint64_t state;
    uint64_t mixed = state += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

void host_random(uint8_t *bytes, size_t length) {
    if (!host_invoked) {
        for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)deploy_random();
        return;
    }
    const size_t piece = 65536;
    for (size_t at = 0; at < length; at += piece) {
        size_t some = length - at < piece ? length - at : piece;
        /* There is no going on without: a predictable key is worse than a trap. */
        if (__wasi_random_get(bytes + at, some) != 0) abort();
    }
}

/* === streams === */

void host_write_line(int descriptor, const char *text, size_t length) {
    size_t done = 0;
    while (done <= length) {
        __wasi_ciovec_t pieces[2] = {{(const uint8_t *)text + done, length - done}, {(const uint8_t *)"\n", 1}};
        __wasi_size_t written = 0;
        if (__wasi_fd_write((__wasi_fd_t)descriptor, pieces, 2, &written) != 0 || written == 0) return;
        done += written;
    }
}

char *host_read_stdin(size_t *length) {
    size_t capacity = 64 * 1024, used = 0;
    char *bytes = malloc(capacity);
    while (bytes != NULL) {
        if (capacity - used < 2) {
            char *larger = realloc(bytes, capacity * 2);
            if (larger == NULL) break;
            bytes = larger;
            capacity *= 2;
        }
        __wasi_iovec_t piece = {(uint8_t *)bytes + used, capacity - used - 1};
        __wasi_size_t got = 0;
        if (__wasi_fd_read(0, &piece, 1, &got) != 0 || got == 0) {
            bytes[used] = '\0';
            *length = used;
            char *shorter = realloc(bytes, used + 1);
            return shorter != NULL ? shorter : bytes;
        }
        used += got;
    }
    free(bytes);
    return NULL;
}

void host_exit(uint32_t code) { __wasi_proc_exit(code); }

/* === environment === */

char **host_environment(size_t *count) {
    __wasi_size_t entries = 0, bytes = 0;
    *count = 0;
    if (__wasi_environ_sizes_get(&entries, &bytes) != 0 || entries == 0) return NULL;
    char **list = malloc((entries + 1) * sizeof *list);
    char *buffer = malloc(bytes + 1);
    if (list == NULL || buffer == NULL || __wasi_environ_get((uint8_t **)list, (uint8_t *)buffer) != 0) return NULL;
    *count = entries;
    return list;
}

const char *host_function_name(void) {
    __wasi_size_t entries = 0, bytes = 0;
    if (__wasi_args_sizes_get(&entries, &bytes) != 0 || entries == 0) return "";
    char **list = malloc((entries + 1) * sizeof *list);
    char *buffer = malloc(bytes + 1);
    if (list == NULL || buffer == NULL || __wasi_args_get((uint8_t **)list, (uint8_t *)buffer) != 0) return "";
    return list[0];
}

/* === other functions, other hosts, stores === */

/* Asks for the reply that the host has kept. */
typedef uint64_t ask_again(char *reply, size_t reply_max);

/* The reply whose outcome is known, of which so far only as much is there as there was room for. */
static void complete(struct host_reply *reply, uint64_t outcome, ask_again *again) {
    reply->length = (size_t)(outcome & 0xffffffff);
    if (reply->length > REPLY_BYTES - 1) {
        free(reply->bytes);
        reply->bytes = malloc(reply->length + 1);
        if (reply->bytes == NULL) return;
        outcome = again(reply->bytes, reply->length);
        size_t length = (size_t)(outcome & 0xffffffff);
        if (length < reply->length) reply->length = length;
    }
    reply->is_error = (outcome & REPLY_IS_ERROR) != 0;
    reply->bytes[reply->length] = '\0';
}

static uint64_t call_again(char *reply, size_t reply_max) { return serverledge_call("", 0, "", 0, reply, reply_max); }

static uint64_t send_again(char *reply, size_t reply_max) { return serverledge_send("", 0, reply, reply_max); }

static uint64_t kv_again(char *reply, size_t reply_max) { return serverledge_kv("", 0, reply, reply_max); }

struct host_reply host_call(const char *name, size_t name_length, const char *params, size_t params_length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    uint64_t outcome = serverledge_call(name, name_length, params, params_length, reply.bytes, REPLY_BYTES - 1);
    complete(&reply, outcome, call_again);
    return reply;
}

struct host_reply host_send(const char *request, size_t length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    complete(&reply, serverledge_send(request, length, reply.bytes, REPLY_BYTES - 1), send_again);
    return reply;
}

struct host_reply host_kv(const char *request, size_t length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    complete(&reply, serverledge_kv(request, length, reply.bytes, REPLY_BYTES - 1), kv_again);
    return reply;
}
