//! Implements host.h on WASI preview 1, and the module `serverledge` of docs/guest-abi.md. libc's own access to clocks,
//! randomness and environment goes through here as well: the linker is told so (`--wrap`).

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

void (*host_deploy_read)(enum host_read);

static void note_read(enum host_read kind) {
    if (host_deploy_read != NULL) host_deploy_read(kind);
}

/* === time === */

static uint64_t deploy_clock_ns;

__wasi_errno_t __real___wasi_clock_time_get(__wasi_clockid_t, __wasi_timestamp_t, __wasi_timestamp_t *);
__wasi_errno_t __real___wasi_poll_oneoff(const __wasi_subscription_t *, __wasi_event_t *, __wasi_size_t, __wasi_size_t *);

/* No finer than milliseconds: a function has no use for more, a spy on its neighbours has. */
__wasi_errno_t __wrap___wasi_clock_time_get(__wasi_clockid_t clock, __wasi_timestamp_t precision, __wasi_timestamp_t *time) {
    if (!host_invoked) {
        note_read(HOST_READ_CLOCK);
        *time = deploy_clock_ns;
        return 0;
    }
    __wasi_errno_t error = __real___wasi_clock_time_get(clock, NANOSECONDS_OF_MS, time);
    *time -= *time % NANOSECONDS_OF_MS;
    (void)precision;
    return error;
}

__wasi_errno_t __wrap___wasi_clock_res_get(__wasi_clockid_t clock, __wasi_timestamp_t *resolution) {
    (void)clock;
    *resolution = NANOSECONDS_OF_MS;
    return 0;
}

/* Waits for a clock; at deploy, time is only moved forward. */
static __wasi_errno_t wait_for_clock(__wasi_subscription_t wait, __wasi_event_t *event, __wasi_size_t *written) {
    __wasi_subscription_clock_t *clock = &wait.u.u.clock;
    if ((clock->flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) != 0) {
        __wasi_timestamp_t now;
        __wasi_errno_t error = __wrap___wasi_clock_time_get(clock->id, 0, &now);
        if (error != 0) return error;
        clock->timeout = clock->timeout > now ? clock->timeout - now : 0;
        clock->flags = 0;
    }
    memset(event, 0, sizeof *event);
    event->userdata = wait.userdata;
    *written = 1;
    if (host_invoked) return __real___wasi_poll_oneoff(&wait, event, 1, written);
    deploy_clock_ns += clock->timeout;
    return 0;
}

__wasi_errno_t __wrap___wasi_poll_oneoff(
    const __wasi_subscription_t *waits, __wasi_event_t *events, __wasi_size_t count, __wasi_size_t *written) {
    if (count == 1 && waits->u.tag == __WASI_EVENTTYPE_CLOCK) return wait_for_clock(*waits, events, written);
    return host_invoked ? __real___wasi_poll_oneoff(waits, events, count, written) : __WASI_ERRNO_NOTSUP;
}

/* === randomness === */

__wasi_errno_t __real___wasi_random_get(uint8_t *, __wasi_size_t);

/* splitmix64 (Steele, Lea, Flood 2014), for what has to look random at deploy and be the same each time. */
static uint64_t deploy_random(void) {
    static uint64_t state;
    uint64_t mixed = state += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

__wasi_errno_t __wrap___wasi_random_get(uint8_t *bytes, __wasi_size_t length) {
    if (!host_invoked) {
        note_read(HOST_READ_RANDOM);
        for (__wasi_size_t i = 0; i < length; i++) bytes[i] = (uint8_t)deploy_random();
        return 0;
    }
    /* There is no going on without: a predictable key is worse than a trap. */
    if (__real___wasi_random_get(bytes, length) != 0) abort();
    return 0;
}

/* === streams === */

#define STDIN 0
#define STDOUT 1
#define STDERR 2

__wasi_errno_t __real___wasi_fd_write(__wasi_fd_t, const __wasi_ciovec_t *, size_t, __wasi_size_t *);
__wasi_errno_t __real___wasi_fd_close(__wasi_fd_t);

/* stdout is the way in which the deploy answers: what a function writes there goes to the log. */
__wasi_errno_t __wrap___wasi_fd_write(
    __wasi_fd_t descriptor, const __wasi_ciovec_t *pieces, size_t count, __wasi_size_t *written) {
    return __real___wasi_fd_write(descriptor == STDOUT ? STDERR : descriptor, pieces, count, written);
}

/* The streams stay open: they are the log's and the deploy's. */
__wasi_errno_t __wrap___wasi_fd_close(__wasi_fd_t descriptor) {
    return descriptor <= STDERR ? 0 : __real___wasi_fd_close(descriptor);
}

void host_write(int descriptor, const char *text, size_t length) {
    for (size_t done = 0; done < length;) {
        __wasi_ciovec_t piece = {(const uint8_t *)text + done, length - done};
        __wasi_size_t written = 0;
        if (__real___wasi_fd_write((__wasi_fd_t)descriptor, &piece, 1, &written) != 0 || written == 0) return;
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
        if (__wasi_fd_read(STDIN, &piece, 1, &got) != 0 || got == 0) {
            bytes[used] = '\0';
            *length = used;
            return bytes;
        }
        used += got;
    }
    free(bytes);
    return NULL;
}

void host_exit(uint32_t code) { __wasi_proc_exit(code); }

/* === environment === */

__wasi_errno_t __real___wasi_environ_sizes_get(__wasi_size_t *, __wasi_size_t *);

/* libc reads the environment once, which is at deploy. */
__wasi_errno_t __wrap___wasi_environ_sizes_get(__wasi_size_t *count, __wasi_size_t *bytes) {
    if (host_invoked) return __real___wasi_environ_sizes_get(count, bytes);
    *count = *bytes = 0;
    return 0;
}

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

/* === other functions, requests, stores === */

/* Asks for the reply that the host has kept. */
typedef uint64_t ask_again(char *reply, size_t reply_max);

/* The reply whose outcome is known, of which so far only as much is there as there was room for. */
static void complete(struct host_reply *reply, uint64_t outcome, ask_again *again) {
    reply->length = (size_t)(outcome & 0xffffffff);
    if (reply->length > REPLY_BYTES) {
        free(reply->bytes);
        reply->bytes = malloc(reply->length);
        if (reply->bytes == NULL) return;
        outcome = again(reply->bytes, reply->length);
        size_t length = (size_t)(outcome & 0xffffffff);
        if (length < reply->length) reply->length = length;
    }
    reply->is_error = (outcome & REPLY_IS_ERROR) != 0;
}

static uint64_t call_again(char *reply, size_t reply_max) { return serverledge_call("", 0, "", 0, reply, reply_max); }

static uint64_t send_again(char *reply, size_t reply_max) { return serverledge_send("", 0, reply, reply_max); }

static uint64_t kv_again(char *reply, size_t reply_max) { return serverledge_kv("", 0, reply, reply_max); }

struct host_reply host_call(const char *name, size_t name_length, const char *params, size_t params_length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    uint64_t outcome = serverledge_call(name, name_length, params, params_length, reply.bytes, REPLY_BYTES);
    complete(&reply, outcome, call_again);
    return reply;
}

struct host_reply host_send(const char *request, size_t length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    complete(&reply, serverledge_send(request, length, reply.bytes, REPLY_BYTES), send_again);
    return reply;
}

struct host_reply host_kv(const char *request, size_t length) {
    struct host_reply reply = {malloc(REPLY_BYTES), 0, false};
    if (reply.bytes == NULL) return reply;
    complete(&reply, serverledge_kv(request, length, reply.bytes, REPLY_BYTES), kv_again);
    return reply;
}
