//! The functions that the prelude gets from C: log, time, randomness, text, environment, calls, requests, the
//! library in Rust and compiling.
//!
//! They are called by the prelude only, which checks its own callers' arguments: views come as Uint8Array, texts as
//! strings.

#include "native.h"

#include <stdlib.h>
#include <string.h>

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

/* The head's length, the head and the body, malloc'ed; NULL if something was thrown. */
static char *request_of(JSContext *context, JSValueConst head_text, JSValueConst body_bytes, size_t *length) {
    size_t head_length, body_length;
    const char *head = JS_ToCStringLen(context, &head_length, head_text);
    if (head == NULL) return NULL;
    const uint8_t *body = JS_GetUint8Array(context, &body_length, body_bytes);
    char *request = NULL;
    if (body == NULL && JS_HasException(context)) goto end;
    *length = LENGTH_BYTES + head_length + body_length;
    request = malloc(*length);
    if (request == NULL) {
        JS_ThrowOutOfMemory(context);
        goto end;
    }
    uint32_t head_bytes = (uint32_t)head_length;
    memcpy(request, &head_bytes, LENGTH_BYTES);
    memcpy(request + LENGTH_BYTES, head, head_length);
    if (body_length > 0) memcpy(request + LENGTH_BYTES + head_length, body, body_length);
end:
    JS_FreeCString(context, head);
    return request;
}

static JSValue ask(JSContext *context, JSValueConst *arguments, struct host_reply (*host)(const char *request, size_t length)) {
    size_t length;
    char *request = request_of(context, arguments[0], arguments[1], &length);
    if (request == NULL) return JS_EXCEPTION;
    struct host_reply reply = host(request, length);
    free(request);
    if (reply.bytes == NULL) return JS_ThrowOutOfMemory(context);
    JSValue parts = reply_parts(context, &reply);
    free(reply.bytes);
    return parts;
}

/* send(head, body) is [whether it is an error, head, body]: heads are JSON on the way, bodies Uint8Arrays. */
NATIVE(native_send) { return ask(context, arguments, host_send); }

/* kv(head, body) as `send`, but of the key-value stores. */
NATIVE(native_kv) { return ask(context, arguments, host_kv); }

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
    JS_CFUNC_DEF("environment", 1, native_environment),
    JS_CFUNC_DEF("functionName", 0, native_function_name),
    JS_CFUNC_DEF("promise", 1, native_promise),
    JS_CFUNC_DEF("call", 2, native_call),
    JS_CFUNC_DEF("send", 2, native_send),
    JS_CFUNC_DEF("kv", 2, native_kv),
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
