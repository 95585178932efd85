//! The JavaScript guest: QuickJS, our prelude and one user's script in a module that Serverledge runs as a reactor.
//!
//! `wizer-initialize` runs once, at deploy: it reads the script from stdin, evaluates it and keeps its handler; the
//! memory as it is then becomes the function's module. Each invocation is a fresh instance of that, so
//! `serverledge_handle` leaves everything behind when it returns: nothing is freed, nothing is collected.
//! docs/javascript.md says what scripts are given.

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "host.h"
#include "library.h"
#include "memory.h"
#include "native.h"
#include "prelude.h"
#include "stack.h"

#define EXPORT(name) __attribute__((export_name(name)))
/* Bit 31 of a result's length marks an error object. */
#define RESULT_IS_ERROR 0x80000000u
/* Memory in use at which the first collection of an invocation starts. Most end before. */
#define COLLECT_AT_BYTES (24u << 20)

void __wasm_call_ctors(void);

static JSRuntime *runtime;
static JSContext *context;

/* What the prelude and the user's script have left for invocations. */
static JSValue handler, handler_context, describe, describe_result, adopt, run_timer, log_uncaught, never_settles;
static bool context_first;
/* Of the global object's handlers of rejections, if the file names one; undefined if not. */
static JSValue rejected = JS_UNDEFINED, rejection_handled = JS_UNDEFINED;

/* === rejections that nobody handles === */

static struct {
    JSValue promise, reason;
} *unhandled;
static size_t unhandled_count, unhandled_capacity;

static void track_rejection(JSContext *of, JSValueConst promise, JSValueConst reason, bool handled, void *opaque) {
    (void)opaque;
    if (handled) {
        for (size_t i = 0; i < unhandled_count; i++) {
            if (JS_VALUE_GET_PTR(unhandled[i].promise) != JS_VALUE_GET_PTR(promise)) continue;
            JS_FreeValue(of, unhandled[i].promise);
            JS_FreeValue(of, unhandled[i].reason);
            unhandled[i] = unhandled[--unhandled_count];
            return;
        }
        if (JS_IsFunction(of, rejection_handled)) {
            JSValue rejection[2] = {promise, reason};
            JSValue done = JS_Call(of, rejection_handled, JS_UNDEFINED, 2, rejection);
            if (JS_IsException(done)) JS_FreeValue(of, JS_GetException(of));
            JS_FreeValue(of, done);
        }
        return;
    }
    if (unhandled_count == unhandled_capacity) {
        size_t capacity = unhandled_capacity == 0 ? 8 : unhandled_capacity * 2;
        void *larger = realloc(unhandled, capacity * sizeof *unhandled);
        /* Then this one goes unnoticed. */
        if (larger == NULL) return;
        unhandled = larger;
        unhandled_capacity = capacity;
    }
    unhandled[unhandled_count].promise = JS_DupValue(of, promise);
    unhandled[unhandled_count++].reason = JS_DupValue(of, reason);
}

/* === running to the end === */

enum outcome { FULFILLED, REJECTED, NEVER_SETTLES };

/* What the deploy does with errors that belong to nothing in particular. */
static void only_log(JSValue thrown) {
    JSValue done = JS_Call(context, log_uncaught, JS_UNDEFINED, 1, &thrown);
    if (JS_IsException(done)) JS_FreeValue(context, JS_GetException(context));
    JS_FreeValue(context, done);
    JS_FreeValue(context, thrown);
}

/* Runs all microtasks. False if one threw: its exception is in `thrown`. */
static bool run_jobs(JSValue *thrown) {
    JSContext *of;
    int ran;
    while ((ran = JS_ExecutePendingJob(runtime, &of)) > 0) {}
    if (ran == 0) {
        engine_end_job(runtime);
        return true;
    }
    *thrown = JS_GetException(of);
    return false;
}

/* Whether the file has a handler that answers for a rejection: a promise and its reason. */
static bool is_answered_for(JSValue *rejection) {
    if (!JS_IsFunction(context, rejected)) return false;
    JSValue answer = JS_Call(context, rejected, JS_UNDEFINED, 2, rejection);
    if (JS_IsException(answer)) JS_FreeValue(context, JS_GetException(context));
    return JS_IsBool(answer) && JS_ToBool(context, answer);
}

/* Runs microtasks and timers until the promise is settled, and puts its result or its reason into its place. An
   exception that nobody catches ends an invocation: it might wait for ever for what has failed. */
static enum outcome settle(JSValue *value) {
    JSValue promise = *value;
    for (;;) {
        bool ran = run_jobs(value);
        JSPromiseStateEnum state = JS_PromiseState(context, promise);
        if (state != JS_PROMISE_PENDING) {
            *value = JS_PromiseResult(context, promise);
            return state == JS_PROMISE_FULFILLED ? FULFILLED : REJECTED;
        }
        if (!ran) {
            if (host_invoked) return REJECTED;
            only_log(*value);
            continue;
        }
        if (unhandled_count > 0) {
            unhandled_count--;
            JSValue last[2] = {unhandled[unhandled_count].promise, unhandled[unhandled_count].reason};
            if (is_answered_for(last)) continue;
            *value = last[1];
            if (host_invoked) return REJECTED;
            only_log(*value);
            continue;
        }
        JSValue more = JS_Call(context, run_timer, JS_UNDEFINED, 0, NULL);
        if (JS_IsException(more)) {
            *value = JS_GetException(context);
            if (host_invoked) return REJECTED;
            only_log(*value);
        } else if (!JS_ToBool(context, more)) {
            return NEVER_SETTLES;
        }
    }
}

/* === errors === */

static const char out_of_memory[] = "{\"error\":\"InternalError\",\"message\":\"out of memory\",\"stack\":\"\"}";

/* What was thrown as the text of an error object. It is never NULL. */
static const char *told(JSValueConst describer, JSValue thrown, size_t *length) {
    /* Without memory for an error, QuickJS throws null. */
    bool sayable = !memory_ran_out || !JS_IsNull(thrown);
    JSValue text = sayable ? JS_Call(context, describer, JS_UNDEFINED, 1, &thrown) : JS_UNDEFINED;
    const char *bytes = JS_IsString(text) ? JS_ToCStringLen(context, length, text) : NULL;
    if (bytes != NULL) return bytes;
    *length = sizeof out_of_memory - 1;
    return out_of_memory;
}

static const char *told_exception(JSValueConst describer, size_t *length) {
    return told(describer, JS_GetException(context), length);
}

/* An error of ours, which has no stack. */
static JSValue own_error(const char *name, const char *message) {
    JSValue error = JS_NewError(context);
    JS_DefinePropertyValueStr(context, error, "name", JS_NewString(context, name), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(context, error, "message", JS_NewString(context, message), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(context, error, "stack", JS_NewString(context, ""), JS_PROP_C_W_E);
    return error;
}

/* === invocations === */

static uint64_t packed(const char *bytes, size_t length, uint32_t mark) {
    return (uint64_t)(uintptr_t)bytes << 32 | (uint32_t)length | mark;
}

static uint64_t failed(JSValue thrown) {
    size_t length;
    const char *text = told(describe, thrown, &length);
    return packed(text, length, RESULT_IS_ERROR);
}

static uint64_t succeeded(JSValue result) {
    size_t length;
    JSValue text = JS_JSONStringify(context, result, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsUndefined(text)) return packed("null", 4, 0);
    const char *bytes = JS_IsException(text) ? NULL : JS_ToCStringLen(context, &length, text);
    if (bytes != NULL) return packed(bytes, length, 0);
    const char *why = told_exception(describe_result, &length);
    return packed(why, length, RESULT_IS_ERROR);
}

/* A promise for what is none, but has a `then`; an exception if that cannot be found out. */
static JSValue adopted(JSValue result) {
    if (!JS_IsObject(result) || JS_IsPromise(result)) return result;
    return JS_Call(context, adopt, JS_UNDEFINED, 1, &result);
}

static JSValue unresolved_promise(void) {
    JSValue message = JS_Call(context, never_settles, JS_UNDEFINED, 0, NULL);
    const char *text = JS_IsString(message) ? JS_ToCString(context, message) : NULL;
    return own_error("UnresolvedPromise", text != NULL ? text : "");
}

EXPORT("serverledge_alloc") char *serverledge_alloc(size_t length) {
    /* The JSON reader wants a NUL behind the text. */
    return length < SIZE_MAX ? malloc(length + 1) : NULL;
}

static __attribute__((noinline)) uint64_t handle(char *params, size_t length) {
    host_invoked = true;
    params[length] = '\0';
    JSValue arguments[2];
    arguments[context_first] = JS_ParseJSON(context, params, length, "<params>");
    if (JS_IsException(arguments[context_first])) return failed(JS_GetException(context));
    arguments[!context_first] = handler_context;
    JSValue result = adopted(JS_Call(context, handler, JS_UNDEFINED, 2, arguments));
    if (JS_IsException(result)) return failed(JS_GetException(context));
    if (!JS_IsPromise(result)) {
        JSValue thrown;
        while (!run_jobs(&thrown)) only_log(thrown);
        return succeeded(result);
    }
    switch (settle(&result)) {
    case FULFILLED: return succeeded(result);
    case REJECTED: return failed(result);
    default: return failed(unresolved_promise());
    }
}

/* === requests === */

/* Bytes of the length before a head. */
#define LENGTH_BYTES 4

/* Runs what a handler has asked to be waited for. Its failures are the log's: there is a response already. */
static void finish(JSValueConst waited) {
    while (JS_IsPromise(waited)) {
        JSValue value = waited;
        enum outcome outcome = settle(&value);
        if (outcome == FULFILLED) return;
        only_log(outcome == REJECTED ? value : unresolved_promise());
        if (outcome == NEVER_SETTLES || JS_PromiseState(context, waited) != JS_PROMISE_PENDING) return;
    }
}

static uint64_t responded(JSValueConst parts) {
    size_t length;
    char *written = native_response(context, parts, &length);
    return written != NULL ? packed(written, length, 0) : failed(JS_GetException(context));
}

static __attribute__((noinline)) uint64_t respond(char *request, size_t length) {
    host_invoked = true;
    uint32_t head_length = 0;
    if (length >= LENGTH_BYTES) memcpy(&head_length, request, LENGTH_BYTES);
    if (length < LENGTH_BYTES || head_length > length - LENGTH_BYTES)
        return failed(own_error("TypeError", "the request has no head"));
    char *head = request + LENGTH_BYTES, *end = head + head_length;
    JSValue arguments[4];
    arguments[3] = JS_NewUint8ArrayCopy(context, (const uint8_t *)end, length - LENGTH_BYTES - head_length);
    if (JS_IsException(arguments[3]) || !native_request_head(context, head, head_length, arguments))
        return failed(JS_GetException(context));
    JSValue answer = JS_Call(context, handler, JS_UNDEFINED, 4, arguments);
    if (JS_IsException(answer)) return failed(JS_GetException(context));
    switch (settle(&answer)) {
    case FULFILLED: break;
    case REJECTED: return failed(answer);
    default: return failed(unresolved_promise());
    }
    finish(JS_GetPropertyUint32(context, answer, 3));
    return responded(answer);
}

/* The stack has its length from the deploy on. Not every snapshot keeps that. */
EXPORT("serverledge_handle") uint64_t serverledge_handle(char *params, size_t length) {
    set_stack_pointer(STACK_BYTES + PRELUDE_BYTES);
    return handle(params, length);
}

EXPORT("serverledge_fetch") uint64_t serverledge_fetch(char *request, size_t length) {
    set_stack_pointer(STACK_BYTES + PRELUDE_BYTES);
    return respond(request, length);
}

/* === deploy === */

static JSValue member(JSValueConst object, const char *name) {
    JSValue value = JS_GetPropertyStr(context, object, name);
    /* The prelude is ours, and tested. */
    if (JS_IsException(value) || JS_IsUndefined(value)) abort();
    return value;
}

/* FNV-1a with 64 bits. */
static uint64_t hash(const char *bytes, size_t length) {
    uint64_t value = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++) value = (value ^ (uint8_t)bytes[i]) * 0x100000001b3ull;
    return value;
}

/* Modules are named as they are asked for; the prelude knows those that there are. */
static char *keep_name(JSContext *of, const char *importer, const char *name, void *opaque) {
    (void)importer, (void)opaque;
    return js_strdup(of, name);
}

static JSModuleDef *load_module(JSContext *of, const char *name, void *shared) {
    JSValue argument = JS_NewString(of, name);
    JSValue source = JS_Call(of, member(*(JSValue *)shared, "moduleSource"), JS_UNDEFINED, 1, &argument);
    if (JS_IsException(source)) return NULL;
    size_t length;
    const char *text = JS_ToCStringLen(of, &length, source);
    JSValue module = JS_EXCEPTION;
    if (text != NULL) module = JS_Eval(of, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    return JS_IsException(module) ? NULL : JS_VALUE_GET_PTR(module);
}

/* Gives the answer of a deploy that failed, and ends. */
_Noreturn static void refuse(JSValueConst describer, JSValue thrown) {
    size_t length;
    const char *text = told(describer, thrown, &length);
    host_write_line(1, text, length);
    host_exit(1);
}

/* The value of a script without its text, of which every function would keep a copy. */
static JSValue run_without_text(const char *text, size_t length, const char *name) {
    JSValue script = JS_Eval(context, text, length, name, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(script)) return script;
    size_t written;
    uint8_t *bytes = JS_WriteObject(context, &written, script, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
    JS_FreeValue(context, script);
    if (bytes == NULL) return JS_EXCEPTION;
    script = JS_ReadObject(context, bytes, written, JS_READ_OBJ_BYTECODE);
    js_free(context, bytes);
    return JS_IsException(script) ? script : JS_EvalFunction(context, script);
}

/* === optional files of the prelude === */

#define PRELUDE_FILES (sizeof prelude / sizeof *prelude)

static bool is_word(char each) {
    uint8_t byte = (uint8_t)each;
    return (byte | 0x20) - 'a' < 26u || byte - '0' < 10u || byte == '_' || byte == '$' || byte >= 0x80;
}

/* What stands in a JSON string: a letter behind a backslash belongs to the backslash. */
static bool is_escape(const char *input, const char *at) {
    size_t backslashes = 0;
    while (at > input && *--at == '\\') backslashes++;
    return backslashes % 2 == 1;
}

static bool is_quote(const char *input, const char *at) {
    return *at == '\'' || *at == '`' || (*at == '"' && is_escape(input, at));
}

/* Whether a name stands at a place at which a word begins. One that is written as 'name' stands in quotes, of whatever
   kind. */
static bool stands_at(const char *name, size_t length, const char *input, const char *at) {
    bool quoted = *name == '\'';
    if (quoted) name++, length -= 2;
    if (*name != *at || strncmp(at, name, length) != 0 || is_word(at[length])) return false;
    if (!quoted) return true;
    const char *end = at + length;
    return at > input && is_quote(input, at - 1) && is_quote(input, *end == '\\' ? end + 1 : end);
}

/* The optional files of which the input names something, one bit for each. */
static uint64_t named_files(const char *input) {
    uint64_t named = 0;
    for (const char *at = input; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
            continue;
        }
        if (!is_word(*at)) continue;
        for (size_t i = 0; i < sizeof prelude_names / sizeof *prelude_names; i++)
            if (stands_at(prelude_names[i].text, prelude_names[i].length, input, at)) named |= 1ull << prelude_names[i].file;
        while (is_word(at[1])) at++;
    }
    return named;
}

/* One bit for each file that is loaded: whoever uses none of what an optional one gives does not pay for it. */
static uint64_t wanted_files(const char *input) {
    uint64_t wanted = named_files(input);
    /* Each stands behind those that it needs. */
    for (size_t i = PRELUDE_FILES; i-- > 0;) {
        if (!prelude[i].optional) wanted |= 1ull << i;
        if ((wanted >> i & 1) != 0) wanted |= prelude[i].needs;
    }
    return wanted;
}

/* The value of a file of the prelude. Its text is needed once. */
static JSValue load_file(size_t file, const uint8_t *packed) {
    size_t length = prelude[file].length;
    char *text = malloc(length + 1);
    if (text == NULL || !library_unpack(packed, prelude[file].packed, (uint8_t *)text, length)) abort();
    text[length] = '\0';
    JSValue value = run_without_text(text, length, prelude[file].name);
    free(text);
    return value;
}

/* Each file of the prelude is a function, which puts what others need into `shared`. */
static void run_prelude(JSValue shared, const char *input) {
    JSValue arguments[2] = {native_functions(context), shared};
    const uint8_t *packed = prelude_text;
    uint64_t wanted = wanted_files(input);
    for (size_t i = 0; i < PRELUDE_FILES; packed += prelude[i++].packed) {
        if ((wanted >> i & 1) == 0) continue;
        JSValue file = load_file(i, packed);
        JSValue done = JS_IsException(file) ? file : JS_Call(context, file, JS_UNDEFINED, 2, arguments);
        if (JS_IsException(done)) {
            JSValue thrown = JS_GetException(context), stack = JS_GetPropertyStr(context, thrown, "stack");
            const char *text = JS_ToCString(context, thrown), *where = JS_ToCString(context, stack);
            if (text != NULL) host_write_line(2, text, strlen(text));
            if (where != NULL) host_write_line(2, where, strlen(where));
            abort();
        }
        JS_FreeValue(context, file);
        JS_FreeValue(context, done);
    }
    JS_FreeValue(context, arguments[0]);
    /* What they rehearse ends before there is anything of the user's. */
    JSValue thrown;
    if (!run_jobs(&thrown)) abort();
}

static void start_engine(const char *source, size_t length) {
    /* The engine seeds its hash tables by the clock: they differ between functions, but not from deploy to deploy. */
    host_set_deploy_clock(hash(source, length));
    runtime = JS_NewRuntime2(&memory_functions, NULL);
    if (runtime == NULL) abort();
    engine_limit_stack(runtime, SPARE_BYTES + STACK_RESERVE_BYTES);
    JS_SetGCThreshold(runtime, COLLECT_AT_BYTES);
    JS_SetHostPromiseRejectionTracker(runtime, track_rejection, NULL);
    context = JS_NewContext(runtime);
    if (context == NULL || JS_AddIntrinsicDOMException(context) < 0) abort();
    host_set_deploy_clock(0);
    JSValue global = JS_GetGlobalObject(context), math = member(global, "Math");
    JS_DefinePropertyValueStr(context, math, "random", JS_NewCFunction(context, native_math_random, "random", 0),
        JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
    JS_FreeValue(context, math);
    JS_FreeValue(context, global);
}

/* What the prelude has of `shared`, for functions without arguments that are called while a file is loaded. */
static JSValue note_clock, note_random;

static void note(JSValueConst told) {
    JSValue done = JS_Call(context, told, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(done)) JS_FreeValue(context, JS_GetException(context));
    JS_FreeValue(context, done);
}

static void clock_was_read(void) { note(note_clock); }

static void random_was_read(void) { note(note_random); }

/* From now on it is the user's file that reads them. */
static void watch_reads(JSValueConst shared) {
    note_clock = member(shared, "noteClock"), note_random = member(shared, "noteRandom");
    host_deploy_clock_read = clock_was_read;
    native_deploy_random_read = random_was_read;
}

/* One line on stdout, if whoever deploys is to be told something. */
static void tell_warnings(JSValueConst shared) {
    host_deploy_clock_read = NULL;
    native_deploy_random_read = NULL;
    JSValue told = JS_Call(context, member(shared, "takeWarnings"), JS_UNDEFINED, 0, NULL);
    size_t length;
    const char *text = JS_IsString(told) ? JS_ToCStringLen(context, &length, told) : NULL;
    if (text != NULL) host_write_line(1, text, length);
    JS_FreeCString(context, text);
    JS_FreeValue(context, told);
}

static char *input;
static size_t input_length;
static JSValue shared;

/* The engine with the prelude. */
static __attribute__((noinline)) void begin(void) {
    if (prelude_text != (uint8_t *)STACK_BYTES) abort();
    memory_begin();
    input = host_read_stdin(&input_length);
    if (input == NULL) abort();
    start_engine(input, input_length);
    shared = JS_NewObject(context);
    run_prelude(shared, input);
    JS_SetModuleLoaderFunc(runtime, keep_name, load_module, &shared);
    describe = member(shared, "describe"), describe_result = member(shared, "describeResult");
    adopt = member(shared, "adopt"), run_timer = member(shared, "runTimer");
    log_uncaught = member(shared, "logUncaught"), never_settles = member(shared, "neverSettles");
    handler_context = member(shared, "context");
    rejected = JS_GetPropertyStr(context, shared, "rejected");
    rejection_handled = JS_GetPropertyStr(context, shared, "rejectionHandled");
}

/* The user's file. */
static __attribute__((noinline)) void load_input(void) {
    JSValue argument = JS_ParseJSON(context, input, input_length, "<stdin>"), describe_load = member(shared, "describeLoad");
    free(input);
    watch_reads(shared);
    JSValue loaded = JS_Call(context, member(shared, "load"), JS_UNDEFINED, 1, &argument);
    if (JS_IsException(loaded)) refuse(describe_load, JS_GetException(context));
    switch (settle(&loaded)) {
    case FULFILLED: break;
    case REJECTED: refuse(describe_load, loaded);
    default:
        refuse(describe_load, own_error("UnresolvedPromise",
            "the top-level await can never settle: nothing that is under way could do it"));
    }
    JS_FreeValue(context, argument);
    handler = member(loaded, "handler");
    context_first = JS_ToBool(context, member(loaded, "contextFirst"));
    JS_FreeValue(context, JS_Call(context, member(shared, "dropTimers"), JS_UNDEFINED, 0, NULL));
    while (unhandled_count > 0) only_log(unhandled[--unhandled_count].reason);
    tell_warnings(shared);
    engine_end_job(runtime);
    JS_RunGC(runtime);
    engine_make_immortal(runtime);
    JS_SetGCThreshold(runtime, COLLECT_AT_BYTES);
    memory_prepare();
}

/* Keeps nothing on the stack itself, which becomes larger by the place of the prelude's texts, and is left empty: zeros need
   no room in the module. */
EXPORT("wizer-initialize") void initialize(void) {
    __wasm_call_ctors();
    begin();
    set_stack_pointer(STACK_BYTES + PRELUDE_BYTES);
    load_input();
    memset((char *)STACK_RESERVE_BYTES, 0, STACK_BYTES + PRELUDE_BYTES - STACK_RESERVE_BYTES);
}
