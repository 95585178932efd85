//! The functions that the prelude gets from C: log, time, randomness, text, digests, environment, calls, requests and
//! compiling.
//!
//! They are called by the prelude only, which checks its own callers' arguments: views come as Uint8Array, texts as
//! strings.

#include "native.h"

#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "engine.h"
#include "host.h"

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

/* encode(text) is its UTF-8. */
NATIVE(native_encode) {
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, arguments[0]);
    if (text == NULL) return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(context, (const uint8_t *)text, length);
    JS_FreeCString(context, text);
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

/* decode(bytes, fatal, last) is [text, bytes read]; undefined if `fatal` and the bytes are not UTF-8. */
NATIVE(native_decode) {
    size_t length, read, written = 0;
    const uint8_t *bytes = JS_GetUint8Array(context, &length, arguments[0]);
    bool fatal = JS_ToBool(context, arguments[1]), last = JS_ToBool(context, arguments[2]);
    if (bytes == NULL && JS_HasException(context)) return JS_EXCEPTION;
    for (read = 0; read < length && bytes[read] < 0x80; read++) {}
    JSValue text;
    if (read == length) {
        text = JS_NewStringLen(context, (const char *)bytes, length);
    } else {
        uint16_t *units = malloc(length * sizeof *units);
        if (units == NULL) return JS_ThrowOutOfMemory(context);
        bool good = decode_all(bytes, length, fatal, last, units, &read, &written);
        text = good ? JS_NewStringUTF16(context, units, written) : JS_UNDEFINED;
        free(units);
    }
    if (!JS_IsString(text)) return text;
    JSValue pair = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, pair, 0, text, JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, pair, 1, JS_NewInt64(context, (int64_t)read), JS_PROP_C_W_E);
    return pair;
}

/* digest(name, bytes) is an ArrayBuffer; undefined if there is no such function. */
NATIVE(native_digest) {
    uint8_t out[DIGEST_BYTES_MAX];
    size_t length;
    const uint8_t *bytes = JS_GetUint8Array(context, &length, arguments[1]);
    const char *name = JS_ToCString(context, arguments[0]);
    if (name == NULL) return JS_EXCEPTION;
    size_t made = digest(name, bytes, bytes == NULL ? 0 : length, out);
    JS_FreeCString(context, name);
    return made == 0 ? JS_UNDEFINED : JS_NewArrayBufferCopy(context, out, made);
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

static JSValue head_and_body(JSContext *context, bool is_error, JSValue head, JSValue body) {
    JSValue parts = JS_NewArray(context);
    JS_DefinePropertyValueUint32(context, parts, 0, JS_NewBool(context, is_error), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, parts, 1, head, JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(context, parts, 2, body, JS_PROP_C_W_E);
    return parts;
}

/* The reply to a request in parts: an error is JSON alone. */
static JSValue reply_parts(JSContext *context, const struct host_reply *reply) {
    if (reply->is_error) {
        JSValue error = JS_ParseJSON(context, reply->bytes, reply->length, "serverledge:reply");
        return JS_IsException(error) ? error : head_and_body(context, true, error, JS_UNDEFINED);
    }
    uint32_t head_length = 0;
    if (reply->length >= LENGTH_BYTES) memcpy(&head_length, reply->bytes, LENGTH_BYTES);
    if (reply->length < LENGTH_BYTES || head_length > reply->length - LENGTH_BYTES)
        return JS_ThrowTypeError(context, "the reply has no head");
    char *head = reply->bytes + LENGTH_BYTES, *end = head + head_length;
    size_t body_length = reply->length - LENGTH_BYTES - head_length;
    JSValue body = JS_NewUint8ArrayCopy(context, (const uint8_t *)end, body_length);
    if (JS_IsException(body)) return body;
    /* The JSON reader wants a NUL behind the text. */
    *end = '\0';
    JSValue value = JS_ParseJSON(context, head, head_length, "serverledge:reply");
    return JS_IsException(value) ? value : head_and_body(context, false, value, body);
}

/* send(head, body) is [whether it is an error, head, body]: heads are JSON on the way, bodies Uint8Arrays. */
NATIVE(native_send) {
    size_t head_length, body_length;
    const uint8_t *body = JS_GetUint8Array(context, &body_length, arguments[1]);
    if (body == NULL && JS_HasException(context)) return JS_EXCEPTION;
    const char *head = JS_ToCStringLen(context, &head_length, arguments[0]);
    if (head == NULL) return JS_EXCEPTION;
    size_t length = LENGTH_BYTES + head_length + body_length;
    char *request = malloc(length);
    if (request == NULL) return JS_ThrowOutOfMemory(context);
    uint32_t head_bytes = (uint32_t)head_length;
    memcpy(request, &head_bytes, LENGTH_BYTES);
    memcpy(request + LENGTH_BYTES, head, head_length);
    if (body_length > 0) memcpy(request + LENGTH_BYTES + head_length, body, body_length);
    JS_FreeCString(context, head);
    struct host_reply reply = host_send(request, length);
    free(request);
    if (reply.bytes == NULL) return JS_ThrowOutOfMemory(context);
    JSValue parts = reply_parts(context, &reply);
    free(reply.bytes);
    return parts;
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
    JS_CFUNC_DEF("digest", 2, native_digest),
    JS_CFUNC_DEF("environment", 1, native_environment),
    JS_CFUNC_DEF("functionName", 0, native_function_name),
    JS_CFUNC_DEF("promise", 1, native_promise),
    JS_CFUNC_DEF("call", 2, native_call),
    JS_CFUNC_DEF("send", 2, native_send),
    JS_CFUNC_DEF("compile", 3, native_compile),
    JS_CFUNC_DEF("check", 2, native_check),
    JS_CFUNC_DEF("compileModule", 2, native_compile_module),
};

JSValue native_functions(JSContext *context) {
    JSValue object = JS_NewObject(context);
    JS_SetPropertyFunctionList(context, object, functions, sizeof functions / sizeof *functions);
    return object;
}
