//! The functions that the prelude gets from C: log, time, randomness, text, URLs and headers, environment, calls,
//! requests, the library in Rust and compiling.
//!
//! They are called by the prelude only, which checks its own callers' arguments: views come as Uint8Array, texts as
//! strings.

#include "native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"
#include "host.h"
#include "library.h"
#include "stack.h"

#define NATIVE(name) \
    static JSValue name(JSContext *context, JSValueConst self __attribute__((unused)), \
        int count __attribute__((unused)), JSValueConst *arguments __attribute__((unused)))

/* === log, time, randomness === */

/* log(text): a line on stderr. */
NATIVE(native_log) {
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    host_write_line(2, text, length);
    JS_FreeCString(context, text);
    return JS_UNDEFINED;
}

/* Whether this is an invocation, or still the deploy. */
NATIVE(native_invoked) { return JS_NewBool(context, host_invoked); }

NATIVE(native_now) { return JS_NewFloat64(context, host_now_ms()); }

NATIVE(native_elapsed) { return JS_NewFloat64(context, host_elapsed_ms()); }

/* sleep(milliseconds) */
NATIVE(native_sleep) {
    double duration;
    if (JS_ToFloat64(context, &duration, arguments[0]) < 0) return JS_EXCEPTION;
    host_sleep_ms(duration);
    return JS_UNDEFINED;
}

void (*native_deploy_random_read)(void);

JSValue native_math_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments) {
    static bool seeded;
    if (!host_invoked && native_deploy_random_read != NULL) native_deploy_random_read();
    if (host_invoked && !seeded) {
        uint64_t seed;
        host_random((uint8_t *)&seed, sizeof seed);
        engine_seed_random(context, seed);
        seeded = true;
    }
    return engine_random(context, self, count, arguments);
}

/* randomFill(bytes) */
NATIVE(native_random_fill) {
    size_t length;
    uint8_t *bytes = JS_GetUint8Array(context, &length, arguments[0]);
    if (bytes == NULL) return JS_EXCEPTION;
    host_random(bytes, length);
    return JS_UNDEFINED;
}

/* === text === */

/* encode(text) is its UTF-8, with U+FFFD for half of a surrogate pair. */
NATIVE(native_encode) {
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(context, (const uint8_t *)text, length);
    JS_FreeCString(context, text);
    uint8_t *at = JS_IsException(bytes) ? NULL : JS_GetUint8Array(context, &length, bytes), *end = at + length;
    /* What is neither half begins so only up to U+D7FF. */
    while (at != NULL && (at = memchr(at, 0xED, (size_t)(end - at))) != NULL) {
        if (at[1] >= 0xA0) memcpy(at, "\xEF\xBF\xBD", 3);
        at += 3;
    }
    return bytes;
}

/* One character at `at`, as the Encoding Standard reads it: how many bytes it takes, the character or -1 in
   `character`. 0 bytes say that the text ends within it. */
static size_t decode_one(const uint8_t *bytes, size_t length, size_t at, int32_t *character) {
    uint8_t first = bytes[at], lower = 0x80, upper = 0xBF;
    size_t more = first >= 0xC2 && first <= 0xDF   ? 1
                  : first >= 0xE0 && first <= 0xEF ? 2
                  : first >= 0xF0 && first <= 0xF4 ? 3
                                                   : 0;
    *character = first < 0x80 ? first : -1;
    if (more == 0) return 1;
    if (first == 0xE0) lower = 0xA0;
    if (first == 0xED) upper = 0x9F;
    if (first == 0xF0) lower = 0x90;
    if (first == 0xF4) upper = 0x8F;
    int32_t value = first & (0x3F >> more);
    for (size_t i = 1; i <= more; i++) {
        if (at + i == length) return 0;
        uint8_t byte = bytes[at + i];
        if (byte < lower || byte > upper) return i;
        lower = 0x80, upper = 0xBF;
        value = value << 6 | (byte & 0x3F);
    }
    *character = value;
    return more + 1;
}

/* The text of UTF-8 bytes as UTF-16, in `units`, with how many bytes were read and units written; false if `fatal` and
   wrong. */
static bool decode_all(const uint8_t *bytes, size_t length, bool fatal, bool last, uint16_t *units, size_t *read,
    size_t *written) {
    size_t at = 0, out = 0;
    while (at < length) {
        int32_t character;
        size_t taken = decode_one(bytes, length, at, &character);
        if (taken == 0) {
            if (!last) break;
            taken = length - at;
        }
        if (character < 0) {
            if (fatal) return false;
            character = 0xFFFD;
        }
        if (character >= 0x10000) {
            units[out++] = (uint16_t)(0xD800 + ((character - 0x10000) >> 10));
            units[out++] = (uint16_t)(0xDC00 + (character & 0x3FF));
        } else {
            units[out++] = (uint16_t)character;
        }
        at += taken;
    }
    *read = at;
    *written = out;
    return true;
}

/* A string of UTF-8 bytes, with how many of them were read; undefined if `fatal` and the bytes are not UTF-8. */
static JSValue text_of(JSContext *context, const uint8_t *bytes, size_t length, bool fatal, bool last, size_t *read) {
    size_t at = 0, written = 0;
    while (at < length && bytes[at] < 0x80) at++;
    *read = at;
    if (at == length) return JS_NewStringLen(context, (const char *)bytes, length);
    uint16_t *units = malloc(length * sizeof *units);
    if (units == NULL) return JS_ThrowOutOfMemory(context);
    bool good = decode_all(bytes, length, fatal, last, units, read, &written);
    JSValue text = good ? JS_NewStringUTF16(context, units, written) : JS_UNDEFINED;
    free(units);
    return text;
}

/* text(bytes, fatal) is the text of UTF-8, without a byte order mark unless it is `fatal`; then it is undefined if the
   bytes are not UTF-8. */
NATIVE(native_text) {
    size_t length, read;
    const uint8_t *bytes = JS_GetUint8Array(context, &length, arguments[0]);
    if (bytes == NULL && JS_HasException(context)) return JS_EXCEPTION;
    bool fatal = JS_ToBool(context, arguments[1]);
    size_t mark = !fatal && length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    return text_of(context, length == 0 ? (const uint8_t *)"" : bytes + mark, length - mark, fatal, true, &read);
}

/* decode(bytes, fatal, last) is [text, bytes read]; undefined if `fatal` and the bytes are not UTF-8. */
NATIVE(native_decode) {
    size_t length, read;
    const uint8_t *bytes = JS_GetUint8Array(context, &length, arguments[0]);
    bool fatal = JS_ToBool(context, arguments[1]), last = JS_ToBool(context, arguments[2]);
    if (bytes == NULL && JS_HasException(context)) return JS_EXCEPTION;
    JSValue text = text_of(context, bytes, length, fatal, last, &read);
    if (!JS_IsString(text)) return text;
    JSValue pair = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, pair, 0, text, JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, pair, 1, JS_NewInt64(context, (int64_t)read), JS_PROP_C_W_E);
    return pair;
}

/* === what most requests have === */

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static bool is_lower(uint8_t byte) { return byte >= 'a' && byte <= 'z'; }

/* Where a decimal number of at most that value ends, which is written without more zeros than it needs; 0 if there is
   none. */
static size_t number_end(const uint8_t *text, size_t length, size_t at, uint32_t max, uint32_t *value) {
    size_t begin = at;
    for (*value = 0; at < length && is_digit(text[at]); at++) {
        *value = *value * 10 + (text[at] - '0');
        if (*value > max || (at > begin && text[begin] == '0')) return 0;
    }
    return at > begin ? at : 0;
}

/* Whether it is an IPv4 address as it is written: of four numbers. */
static bool is_address(const uint8_t *text, size_t at, size_t end) {
    uint32_t value;
    for (int number = 0; number < 4; number++) {
        at = number_end(text, end, at, 255, &value);
        if (at == 0 || (number < 3 && (at == end || text[at++] != '.'))) return false;
    }
    return at == end;
}

/* Where a host of labels in lower case, or an address of four numbers, ends; 0 if it is another one. */
static size_t host_end(const uint8_t *text, size_t length, size_t begin) {
    size_t at = begin, label = begin;
    for (;; at++) {
        uint8_t byte = at < length ? text[at] : '/';
        if (is_lower(byte) || is_digit(byte) || byte == '-' || byte == '_') continue;
        if (at == label || (at - label >= 4 && memcmp(text + label, "xn--", 4) == 0)) return 0;
        if (byte != '.') break;
        label = at + 1;
    }
    /* A name whose last label may be a number is an address, or none. */
    return !is_digit(text[label]) || is_address(text, begin, at) ? at : 0;
}

enum part { PATH, QUERY, FRAGMENT };

/* Whether a character is written as itself. */
static bool stays(uint8_t byte, enum part part) {
    if (byte <= ' ' || byte > '~' || byte == '"' || byte == '<' || byte == '>') return false;
    if (part == QUERY) return byte != '\'';
    if (part == FRAGMENT) return byte != '`';
    return byte != '`' && byte != '{' && byte != '}' && byte != '^' && byte != '|' && byte != '\\';
}

/* Whether what begins here may be a segment of dots, which would be left out. */
static bool may_be_dots(const uint8_t *text, size_t length, size_t at) {
    if (at == length) return false;
    if (text[at] == '%') return length - at > 2 && text[at + 1] == '2' && (text[at + 2] | 0x20) == 'e';
    return text[at] == '.' && (at + 1 == length || memchr("./?#%", text[at + 1], 5) != NULL);
}

static bool is_written(const uint8_t *text, size_t length, size_t at) {
    enum part part = PATH;
    for (; at < length; at++) {
        if (text[at] == '#' && part != FRAGMENT) part = FRAGMENT;
        else if (text[at] == '?' && part == PATH) part = QUERY;
        else if (!stays(text[at], part)) return false;
        else if (part == PATH && text[at] == '/' && may_be_dots(text, length, at + 1)) return false;
    }
    return true;
}

/* Where the parts of a URL begin; what is not there has no length. */
struct url_parts {
    size_t host, port, path, query, fragment;
};

/* Of a URL of http or https which is written as the URL Standard would write it, or of which only the path is missing.
   False if it is another one, or if it takes more to know. */
static bool written_url(const uint8_t *text, size_t length, struct url_parts *parts) {
    size_t host = length > 8 && memcmp(text, "https://", 8) == 0 ? 8
                  : length > 7 && memcmp(text, "http://", 7) == 0 ? 7
                                                                    : 0;
    size_t at = host == 0 ? 0 : host_end(text, length, host);
    if (at == 0) return false;
    *parts = (struct url_parts){.host = host, .port = at};
    if (at < length && text[at] == ':') {
        uint32_t port;
        at = number_end(text, length, at + 1, 65535, &port);
        if (at == 0 || port == 0 || port == (host == 8 ? 443 : 80)) return false;
    }
    if (at < length && (text[at] != '/' || !is_written(text, length, at))) return false;
    const uint8_t *fragment = memchr(text + at, '#', length - at);
    parts->path = at, parts->fragment = fragment == NULL ? length : (size_t)(fragment - text);
    const uint8_t *query = memchr(text + at, '?', parts->fragment - at);
    parts->query = query == NULL ? parts->fragment : (size_t)(query - text);
    return true;
}

/* urlPath(text): where the path of a URL of http or https begins which is written as the URL Standard would write it;
   the length if only the path is missing; 0 if it is another one, or if it takes more to know. */
NATIVE(native_url_path) {
    size_t length;
    struct url_parts parts;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    size_t path = written_url((const uint8_t *)text, length, &parts) ? parts.path : 0;
    JS_FreeCString(context, text);
    return JS_NewInt32(context, (int32_t)path);
}

/* urlPart(text, number) of a URL that is written so, as the members of URL have them, in the order of `part_of`. */
NATIVE(native_url_part) {
    enum part_of { ORIGIN, PROTOCOL, HOST, HOSTNAME, PORT, PATHNAME, SEARCH, HASH };
    size_t length;
    int32_t number;
    struct url_parts at;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL || JS_ToInt32(context, &number, arguments[1]) < 0) return JS_EXCEPTION;
    JSValue part = JS_UNDEFINED;
    if (written_url((const uint8_t *)text, length, &at)) {
        const size_t ends[][2] = {
            [ORIGIN] = {0, at.path}, [PROTOCOL] = {0, at.host - 2}, [HOST] = {at.host, at.path},
            [HOSTNAME] = {at.host, at.port}, [PORT] = {at.port + (at.port < at.path), at.path},
            [PATHNAME] = {at.path, at.query}, [SEARCH] = {at.query, at.fragment}, [HASH] = {at.fragment, length},
        };
        size_t begin = ends[number][0], part_length = ends[number][1] - begin;
        /* A question mark or a number sign alone. */
        if (number >= SEARCH && part_length == 1) part_length = 0;
        part = JS_NewStringLen(context, text + begin, part_length);
    }
    JS_FreeCString(context, text);
    return part;
}

/* headerName(text) in lower case; undefined if it is no token (RFC 9110). */
NATIVE(native_header_name) {
    size_t length, capitals = 0;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    bool good = length > 0;
    for (size_t i = 0; i < length && good; i++) {
        uint8_t byte = (uint8_t)text[i];
        bool is_capital = byte >= 'A' && byte <= 'Z';
        capitals += is_capital;
        good = is_capital || is_lower(byte) || is_digit(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
    }
    JSValue name = JS_UNDEFINED;
    if (good && capitals == 0) name = JS_DupValue(context, arguments[0]);
    else if (good) {
        char *lower = malloc(length);
        for (size_t i = 0; i < length && lower != NULL; i++)
            lower[i] = (char)(text[i] | (text[i] >= 'A' && text[i] <= 'Z' ? 0x20 : 0));
        name = lower == NULL ? JS_ThrowOutOfMemory(context) : JS_NewStringLen(context, lower, length);
        free(lower);
    }
    JS_FreeCString(context, text);
    return name;
}

static bool is_http_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

/* headerValue(text) without white space around it; undefined if there is something in it other than ASCII, or a NUL or
   the end of a line. */
NATIVE(native_header_value) {
    size_t length, begin = 0;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    size_t end = length;
    while (begin < end && is_http_space(text[begin])) begin++;
    while (begin < end && is_http_space(text[end - 1])) end--;
    bool good = true;
    for (size_t i = begin; i < end && good; i++)
        good = (uint8_t)text[i] < 0x80 && text[i] != '\0' && text[i] != '\r' && text[i] != '\n';
    JSValue value = JS_UNDEFINED;
    if (good && end - begin == length) value = JS_DupValue(context, arguments[0]);
    else if (good) value = JS_NewStringLen(context, text + begin, end - begin);
    JS_FreeCString(context, text);
    return value;
}

/* === environment and calls === */

/* environment(into) sets a property for each variable. */
NATIVE(native_environment) {
    size_t entries;
    char **list = host_environment(&entries);
    for (size_t i = 0; i < entries; i++) {
        char *equals = strchr(list[i], '=');
        if (equals == NULL) continue;
        *equals = '\0';
        JSValue value = JS_NewString(context, equals + 1);
        if (JS_DefinePropertyValueStr(context, arguments[0], list[i], value, JS_PROP_C_W_E) < 0) return JS_EXCEPTION;
    }
    return JS_UNDEFINED;
}

/* promise(value) is [its state, its result or its reason]. */
NATIVE(native_promise) {
    static const char *const states[] = {"pending", "fulfilled", "rejected"};
    JSPromiseStateEnum state = JS_PromiseState(context, arguments[0]);
    if (state < JS_PROMISE_PENDING || state > JS_PROMISE_REJECTED) state = JS_PROMISE_PENDING;
    JSValue pair = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, pair, 0, JS_NewString(context, states[state]), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, pair, 1, JS_PromiseResult(context, arguments[0]), JS_PROP_C_W_E);
    return pair;
}

NATIVE(native_function_name) { return JS_NewString(context, host_function_name()); }

/* call(name, params) is [whether it is an error, reply]: both texts are JSON on the way. */
NATIVE(native_call) {
    size_t name_length, params_length;
    const char *name = JS_ToCStringLen(context, &name_length, arguments[0]);
    const char *params = JS_ToCStringLen(context, &params_length, arguments[1]);
    if (name == NULL || params == NULL) return JS_EXCEPTION;
    struct host_reply reply = host_call(name, name_length, params, params_length);
    JS_FreeCString(context, name);
    JS_FreeCString(context, params);
    if (reply.bytes == NULL) return JS_ThrowOutOfMemory(context);
    JSValue value = JS_ParseJSON(context, reply.bytes, reply.length, "serverledge:reply");
    free(reply.bytes);
    if (JS_IsException(value)) return value;
    JSValue pair = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, pair, 0, JS_NewBool(context, reply.is_error), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, pair, 1, value, JS_PROP_C_W_E);
    return pair;
}

/* Bytes of the length before a head. */
#define LENGTH_BYTES 4
/* The least room for a request. */
#define REQUEST_BYTES 512
/* Up to here there is room for more than was asked for. */
#define SMALL_REQUEST_BYTES (64 * 1024)

/* What is sent: the head's length, the head and the body; malloc'ed. Once there is no memory, `bytes` is NULL. */
struct request {
    char *bytes;
    size_t length, room;
};

static struct request begin_request(void) {
    return (struct request){malloc(REQUEST_BYTES), LENGTH_BYTES, REQUEST_BYTES};
}

static void put(struct request *request, const void *bytes, size_t length) {
    if (request->bytes == NULL) return;
    if (request->room - request->length < length) {
        size_t needed = request->length + length;
        /* A body is the last that comes. */
        request->room = needed < SMALL_REQUEST_BYTES ? needed * 2 : needed;
        char *larger = realloc(request->bytes, request->room);
        if (larger == NULL) free(request->bytes);
        request->bytes = larger;
        if (larger == NULL) return;
    }
    if (length > 0) memcpy(request->bytes + request->length, bytes, length);
    request->length += length;
}

static void put_text(struct request *request, const char *text) { put(request, text, strlen(text)); }

/* A string in JSON; false if something was thrown. */
static bool put_quoted(JSContext *context, struct request *request, JSValueConst value) {
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, value);
    if (text == NULL) return false;
    put_text(request, "\"");
    size_t plain = 0;
    for (size_t at = 0; at < length; at++) {
        uint8_t byte = (uint8_t)text[at];
        if (byte >= ' ' && byte != '"' && byte != '\\') continue;
        char escaped[8];
        snprintf(escaped, sizeof escaped, byte < ' ' ? "\\u%04x" : "\\%c", byte);
        put(request, text + plain, at - plain);
        put_text(request, escaped);
        plain = at + 1;
    }
    put(request, text + plain, length - plain);
    put_text(request, "\"");
    JS_FreeCString(context, text);
    return true;
}

/* Writes the head's length and appends the body; false if something was thrown. */
static bool put_body(JSContext *context, struct request *request, JSValueConst body_bytes) {
    size_t body_length;
    const uint8_t *body = JS_GetUint8Array(context, &body_length, body_bytes);
    if (body == NULL && JS_HasException(context)) return false;
    uint32_t head_length = (uint32_t)(request->length - LENGTH_BYTES);
    put(request, body, body_length);
    if (request->bytes != NULL) memcpy(request->bytes, &head_length, LENGTH_BYTES);
    return true;
}

/* Asks the host, if all of the request was written, and frees the request; false if something was thrown. */
static bool ask(JSContext *context, bool is_whole, struct request *request,
    struct host_reply (*host)(const char *request, size_t length), struct host_reply *reply) {
    *reply = (struct host_reply){NULL, 0, false};
    if (is_whole && request->bytes != NULL) *reply = host(request->bytes, request->length);
    free(request->bytes);
    if (is_whole && reply->bytes == NULL) JS_ThrowOutOfMemory(context);
    return reply->bytes != NULL;
}

/* [true, the error]: that is JSON alone. */
static JSValue reply_error(JSContext *context, const struct host_reply *reply) {
    JSValue error = JS_ParseJSON(context, reply->bytes, reply->length, "serverledge:reply");
    if (JS_IsException(error)) return error;
    JSValue parts[2] = {JS_TRUE, error};
    return JS_NewArrayFrom(context, 2, parts);
}

/* The head of a reply, and what follows it; false if something was thrown. */
static bool head_of(JSContext *context, const struct host_reply *reply, char **head, size_t *length) {
    uint32_t head_length = 0;
    if (reply->length >= LENGTH_BYTES) memcpy(&head_length, reply->bytes, LENGTH_BYTES);
    if (reply->length < LENGTH_BYTES || head_length > reply->length - LENGTH_BYTES) {
        JS_ThrowTypeError(context, "the reply has no head");
        return false;
    }
    *head = reply->bytes + LENGTH_BYTES, *length = head_length;
    return true;
}

static JSValue body_of(JSContext *context, const struct host_reply *reply, const char *end) {
    return JS_NewUint8ArrayCopy(context, (const uint8_t *)end, (size_t)(reply->bytes + reply->length - end));
}

/* Where a list in JSON ends, behind its bracket. */
static size_t list_end(const char *text, size_t length) {
    bool in_string = false;
    int depth = 0;
    for (size_t at = 0; at < length; at++) {
        if (text[at] == '"') in_string = !in_string;
        else if (in_string) at += text[at] == '\\';
        else if (text[at] == '[') depth++;
        else if (text[at] == ']' && --depth == 0) return at + 1;
    }
    return 0;
}

/* Of a head that is `{"status":200,"headers":[…]}` in these bytes: the status, and where the headers are. 0 if it is
   written in another way. */
static int plain_status(const char *head, size_t length, const char **headers, size_t *headers_length) {
    static const char begin[] = "{\"status\":", middle[] = ",\"headers\":[";
    const size_t digits = 3, before = sizeof begin - 1 + digits, list = before + sizeof middle - 2;
    if (length < list + 3 || memcmp(head, begin, sizeof begin - 1) != 0) return 0;
    if (memcmp(head + before, middle, sizeof middle - 1) != 0 || head[length - 1] != '}') return 0;
    if (list_end(head + list, length - list) != length - 1 - list) return 0;
    int status = 0;
    for (size_t at = before - digits; at < before; at++) {
        if (!is_digit((uint8_t)head[at])) return 0;
        status = status * 10 + (head[at] - '0');
    }
    *headers = head + list, *headers_length = length - 1 - list;
    return status;
}

/* Of a head that is `{"method":"GET","url":"…","headers":[…]}` in these bytes: where its parts begin and end. */
static bool plain_request(const char *head, size_t length, const char *parts[3], size_t lengths[3]) {
    static const char *const before[] = {"{\"method\":\"", "\",\"url\":\"", "\",\"headers\":"};
    const char *at = head, *end = head + length;
    for (int part = 0; part < 3; part++) {
        size_t begin = strlen(before[part]);
        if ((size_t)(end - at) < begin || memcmp(at, before[part], begin) != 0) return false;
        parts[part] = at += begin;
        while (part < 2 && at < end && *at != '"' && *at != '\\') at++;
        lengths[part] = (size_t)(at - parts[part]);
    }
    lengths[2] = list_end(at, (size_t)(end - at));
    return lengths[2] > 0 && at + lengths[2] == end - 1 && end[-1] == '}';
}

bool native_request_head(JSContext *context, char *head, size_t length, JSValue parts[3]) {
    const char *texts[3];
    size_t lengths[3];
    if (plain_request(head, length, texts, lengths)) {
        for (int part = 0; part < 3; part++) parts[part] = JS_NewStringLen(context, texts[part], lengths[part]);
    } else {
        static const char *const names[] = {"method", "url", "headers"};
        /* The JSON reader wants a NUL behind the text. */
        head[length] = '\0';
        JSValue value = JS_ParseJSON(context, head, length, "<request>");
        if (JS_IsException(value)) return false;
        for (int part = 0; part < 3; part++) parts[part] = JS_GetPropertyStr(context, value, names[part]);
        JS_FreeValue(context, value);
    }
    return !JS_HasException(context);
}

/* Whether a name in lower case stands in a text. */
static bool mentions(const char *text, size_t length, const char *name) {
    size_t name_length = strlen(name);
    for (size_t at = 0; at + name_length <= length; at++) {
        if ((text[at] | 0x20) == name[0] && strncasecmp(text + at, name, name_length) == 0) return true;
    }
    return false;
}

static JSValue response_of(JSContext *context, const struct host_reply *reply) {
    char *head;
    size_t length, headers_length;
    if (!head_of(context, reply, &head, &length)) return JS_EXCEPTION;
    const char *end = head + length, *text;
    JSValue body = body_of(context, reply, end), status, headers;
    if (JS_IsException(body)) return body;
    int number = plain_status(head, length, &text, &headers_length);
    bool may_be_packed = number == 0 || mentions(text, headers_length, "content-encoding");
    if (number > 0) {
        status = JS_NewInt32(context, number), headers = JS_NewStringLen(context, text, headers_length);
    } else {
        head[length] = '\0';
        JSValue value = JS_ParseJSON(context, head, length, "serverledge:reply");
        if (JS_IsException(value)) return value;
        status = JS_GetPropertyStr(context, value, "status"), headers = JS_GetPropertyStr(context, value, "headers");
        JS_FreeValue(context, value);
    }
    JSValue parts[5] = {JS_FALSE, status, headers, body, JS_NewBool(context, may_be_packed)};
    return JS_NewArrayFrom(context, 5, parts);
}

/* The name and the value of each pair, as a member of a head; false if something was thrown. */
static bool put_headers(JSContext *context, struct request *request, JSValueConst pairs) {
    int64_t count = 0;
    if (JS_GetLength(context, pairs, &count) < 0) return false;
    put_text(request, ",\"headers\":[");
    for (int64_t at = 0; at < count; at++) {
        JSValue pair = JS_GetPropertyInt64(context, pairs, at);
        for (uint32_t part = 0; part < 2; part++) {
            JSValue text = JS_GetPropertyUint32(context, pair, part);
            put_text(request, part == 1 ? "," : at == 0 ? "[" : ",[");
            bool good = put_quoted(context, request, text);
            JS_FreeValue(context, text);
            if (!good) return false;
        }
        put_text(request, "]");
        JS_FreeValue(context, pair);
    }
    put_text(request, "]");
    return true;
}

char *native_response(JSContext *context, JSValueConst parts, size_t *length) {
    struct request written = begin_request();
    JSValue status = JS_GetPropertyUint32(context, parts, 0), pairs = JS_GetPropertyUint32(context, parts, 1);
    JSValue body = JS_GetPropertyUint32(context, parts, 2);
    put_text(&written, "{\"status\":");
    /* A number: without quotes. */
    const char *number = JS_ToCString(context, status);
    put_text(&written, number == NULL ? "" : number);
    bool good = number != NULL && put_headers(context, &written, pairs);
    put_text(&written, "}");
    good = good && put_body(context, &written, body);
    if (good && written.bytes == NULL) JS_ThrowOutOfMemory(context);
    *length = written.length;
    return good ? written.bytes : NULL;
}

/* send(method, url, pairs of headers, body) is [true, error], or [false, status, headers, body, whether it may be
   packed]. The headers are a list of pairs, mostly as its JSON: few look at them. Bodies are Uint8Arrays. */
NATIVE(native_send) {
    struct request request = begin_request();
    struct host_reply reply;
    put_text(&request, "{\"method\":");
    bool good = put_quoted(context, &request, arguments[0]);
    put_text(&request, ",\"url\":");
    good = good && put_quoted(context, &request, arguments[1]) && put_headers(context, &request, arguments[2]);
    put_text(&request, "}");
    good = good && put_body(context, &request, arguments[3]);
    if (!ask(context, good, &request, host_send, &reply)) return JS_EXCEPTION;
    JSValue parts = reply.is_error ? reply_error(context, &reply) : response_of(context, &reply);
    free(reply.bytes);
    return parts;
}

/* kv(head, value, as text) is [true, error], or [false, head, value]: heads are JSON, and a value is a Uint8Array or a
   text, which is undefined if the value is not UTF-8. */
NATIVE(native_kv) {
    struct request request = begin_request();
    struct host_reply reply;
    size_t length, read;
    char *head;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    put(&request, text, length);
    JS_FreeCString(context, text);
    bool good = text != NULL && put_body(context, &request, arguments[1]);
    if (!ask(context, good, &request, host_kv, &reply)) return JS_EXCEPTION;
    JSValue parts = JS_EXCEPTION;
    if (reply.is_error) {
        parts = reply_error(context, &reply);
    } else if (head_of(context, &reply, &head, &length)) {
        const uint8_t *end = (const uint8_t *)head + length;
        JSValue value = JS_ToBool(context, arguments[2])
            ? text_of(context, end, reply.length - LENGTH_BYTES - length, true, true, &read)
            : body_of(context, &reply, (const char *)end);
        JSValue all[3] = {JS_FALSE, JS_NewStringLen(context, head, length), value};
        if (!JS_IsException(all[1]) && !JS_IsException(value)) parts = JS_NewArrayFrom(context, 3, all);
    }
    free(reply.bytes);
    return parts;
}

/* === the library === */

/* Stacks for operations: what all but a few need (6 KiB were measured), and what making a compressor does (72 KiB). */
#define LIBRARY_STACK_BYTES (16 * 1024)
#define LARGE_STACK_BYTES (128 * 1024)

static JSClassID handle_class;

static void free_handle(JSRuntime *runtime, JSValueConst handle) {
    (void)runtime;
    void *of = JS_GetOpaque(handle, handle_class);
    if (of != NULL) library_free(of);
}

static const JSClassDef handle_definition = {"Handle", .finalizer = free_handle};

static const struct {
    library_operation *run;
    bool is_large;
} operations[] = {
#define LIBRARY_ENTRY(name, native, arguments, large) {library_##name, large},
    LIBRARY_OPERATIONS(LIBRARY_ENTRY)
#undef LIBRARY_ENTRY
};

enum {
#define LIBRARY_NUMBER_AS(name, native, arguments, large) OPERATION_##name,
    LIBRARY_OPERATIONS(LIBRARY_NUMBER_AS)
#undef LIBRARY_NUMBER_AS
};

/* A text is malloc'ed, for JS_FreeCString; false if something was thrown. */
static bool argument_of(JSContext *context, JSValueConst value, struct library_argument *argument, const char **text) {
    *argument = (struct library_argument){.kind = LIBRARY_NOTHING};
    if (JS_IsString(value)) {
        argument->kind = LIBRARY_BYTES_OF;
        argument->bytes = *text = JS_ToCStringLen(context, &argument->length, value);
        return *text != NULL;
    }
    if (JS_IsNumber(value) || JS_IsBool(value)) {
        argument->kind = LIBRARY_NUMBER_OF;
        return JS_ToFloat64(context, &argument->number, value) == 0;
    }
    if (JS_GetClassID(value) == handle_class) {
        argument->kind = LIBRARY_HANDLE_OF;
        argument->bytes = JS_GetOpaque(value, handle_class);
    } else if (JS_IsObject(value)) {
        argument->kind = LIBRARY_BYTES_OF;
        argument->bytes = JS_GetUint8Array(context, &argument->length, value);
        return argument->bytes != NULL || !JS_HasException(context);
    }
    return true;
}

/* Runs an operation on a stack that is malloc'ed, if there is too little of this one. */
static uint32_t run_operation(int operation, const struct library_argument *arguments, size_t count,
    struct library_answer *answer) {
    uintptr_t before = stack_pointer();
    size_t needed = operations[operation].is_large ? LARGE_STACK_BYTES : LIBRARY_STACK_BYTES;
    if (before >= SPARE_BYTES + needed) return operations[operation].run(arguments, count, answer);
    char *stack = malloc(needed);
    if (stack == NULL) return LIBRARY_OUT_OF_MEMORY;
    set_stack_pointer(((uintptr_t)stack + needed) & ~(uintptr_t)15);
    uint32_t result = operations[operation].run(arguments, count, answer);
    set_stack_pointer(before);
    free(stack);
    return result;
}

static void *resize_bytes(JSRuntime *runtime, void *opaque, void *bytes, size_t size) {
    (void)runtime, (void)opaque;
    if (size > 0) return realloc(bytes, size);
    free(bytes);
    return NULL;
}

static JSValue value_of(JSContext *context, uint32_t result, const struct library_answer *answer, bool as_buffer) {
    switch (result) {
    case LIBRARY_NULL: return JS_NULL;
    case LIBRARY_FALSE: case LIBRARY_TRUE: return JS_NewBool(context, result == LIBRARY_TRUE);
    case LIBRARY_NUMBER: return JS_NewFloat64(context, answer->number);
    case LIBRARY_BYTES:
        if (as_buffer) return JS_NewArrayBuffer(context, answer->bytes, answer->length, 0, resize_bytes, NULL, false);
        return JS_NewUint8Array(context, answer->bytes, answer->length, resize_bytes, NULL, false);
#ifdef SERVERLEDGE_INTL
    case LIBRARY_TEXT: {
        JSValue text = JS_NewStringLen(context, answer->length > 0 ? answer->bytes : "", answer->length);
        free(answer->bytes);
        return text;
    }
#endif
    case LIBRARY_HANDLE: {
        JSValue handle = JS_NewObjectClass(context, (int)handle_class);
        if (JS_IsException(handle)) library_free(answer->bytes);
        else JS_SetOpaque(handle, answer->bytes);
        return handle;
    }
    case LIBRARY_FAULT: return JS_ThrowTypeError(context, "%.*s", (int)answer->length, (const char *)answer->bytes);
    case LIBRARY_OUT_OF_MEMORY: return JS_ThrowOutOfMemory(context);
    default: return JS_UNDEFINED;
    }
}

/* Every operation: its bytes come as a Uint8Array, a digest as an ArrayBuffer. */
static JSValue native_operation(JSContext *context, JSValueConst self, int count, JSValueConst *arguments, int operation) {
    struct library_argument given[LIBRARY_ARGUMENTS_MAX];
    const char *texts[LIBRARY_ARGUMENTS_MAX] = {NULL};
    struct library_answer answer = {NULL, 0, 0};
    bool good = true;
    int used = count < LIBRARY_ARGUMENTS_MAX ? count : LIBRARY_ARGUMENTS_MAX;
    for (int i = 0; i < used && good; i++) good = argument_of(context, arguments[i], &given[i], &texts[i]);
    JSValue value = JS_EXCEPTION;
    if (good) {
        uint32_t result = run_operation(operation, given, (size_t)used, &answer);
        value = value_of(context, result, &answer, operation == OPERATION_digest);
    }
    for (int i = 0; i < used; i++) JS_FreeCString(context, texts[i]);
    return value;
}

/* === compiling === */

/* compile(source, file, line): the value of a script, whose first line has that number. */
NATIVE(native_compile) {
    size_t length;
    JSEvalOptions options = {.version = JS_EVAL_OPTIONS_VERSION, .eval_flags = JS_EVAL_TYPE_GLOBAL};
    const char *source = JS_ToCStringLen(context, &length, arguments[0]);
    options.filename = JS_ToCString(context, arguments[1]);
    JSValue value = JS_EXCEPTION;
    if (source != NULL && options.filename != NULL && JS_ToInt32(context, &options.line_num, arguments[2]) == 0)
        value = JS_Eval2(context, source, length, &options);
    JS_FreeCString(context, source);
    JS_FreeCString(context, options.filename);
    return value;
}

/* check(source, file) throws if it is no script. */
NATIVE(native_check) {
    size_t length;
    const char *source = JS_ToCStringLen(context, &length, arguments[0]);
    const char *file = JS_ToCString(context, arguments[1]);
    JSValue script = JS_EXCEPTION;
    if (source != NULL && file != NULL)
        script = JS_Eval(context, source, length, file, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    JS_FreeCString(context, source);
    JS_FreeCString(context, file);
    if (JS_IsException(script)) return script;
    JS_FreeValue(context, script);
    return JS_UNDEFINED;
}

/* compileModule(source, file) throws if the module cannot be; else it runs it: [promise of its end, its exports]. */
NATIVE(native_compile_module) {
    size_t length;
    const char *source = JS_ToCStringLen(context, &length, arguments[0]);
    const char *file = JS_ToCString(context, arguments[1]);
    JSValue module = JS_EXCEPTION;
    if (source != NULL && file != NULL)
        module = JS_Eval(context, source, length, file, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    JS_FreeCString(context, source);
    JS_FreeCString(context, file);
    if (JS_IsException(module)) return module;
    JSModuleDef *definition = JS_VALUE_GET_PTR(module);
    JSValue promise = JS_EvalFunction(context, module);
    if (JS_IsException(promise)) return promise;
    JSValue pair = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, pair, 0, promise, JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, pair, 1, JS_GetModuleNamespace(context, definition), JS_PROP_C_W_E);
    return pair;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("log", 1, native_log),
    JS_CFUNC_DEF("invoked", 0, native_invoked),
    JS_CFUNC_DEF("now", 0, native_now),
    JS_CFUNC_DEF("elapsed", 0, native_elapsed),
    JS_CFUNC_DEF("sleep", 1, native_sleep),
    JS_CFUNC_DEF("randomFill", 1, native_random_fill),
    JS_CFUNC_DEF("encode", 1, native_encode),
    JS_CFUNC_DEF("decode", 3, native_decode),
    JS_CFUNC_DEF("text", 2, native_text),
    JS_CFUNC_DEF("urlPath", 1, native_url_path),
    JS_CFUNC_DEF("urlPart", 2, native_url_part),
    JS_CFUNC_DEF("headerName", 1, native_header_name),
    JS_CFUNC_DEF("headerValue", 1, native_header_value),
    JS_CFUNC_DEF("environment", 1, native_environment),
    JS_CFUNC_DEF("functionName", 0, native_function_name),
    JS_CFUNC_DEF("promise", 1, native_promise),
    JS_CFUNC_DEF("call", 2, native_call),
    JS_CFUNC_DEF("send", 4, native_send),
    JS_CFUNC_DEF("kv", 3, native_kv),
    JS_CFUNC_DEF("compile", 3, native_compile),
    JS_CFUNC_DEF("check", 2, native_check),
    JS_CFUNC_DEF("compileModule", 2, native_compile_module),
#define LIBRARY_FUNCTION(name, native, arguments, large) \
    JS_CFUNC_MAGIC_DEF(native, arguments, native_operation, OPERATION_##name),
    LIBRARY_OPERATIONS(LIBRARY_FUNCTION)
#undef LIBRARY_FUNCTION
};

JSValue native_functions(JSContext *context) {
    JSRuntime *runtime = JS_GetRuntime(context);
    JS_NewClassID(runtime, &handle_class);
    if (JS_NewClass(runtime, handle_class, &handle_definition) < 0) return JS_ThrowOutOfMemory(context);
    JSValue object = JS_NewObject(context);
    JS_SetPropertyFunctionList(context, object, functions, sizeof functions / sizeof *functions);
    return object;
}
