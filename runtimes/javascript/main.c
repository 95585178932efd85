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
#include "memory.h"
#include "native.h"
#include "prelude.h"

#define EXPORT(name) __attribute__((export_name(name)))
/* Bit 31 of a result's length marks an error object. */
#define RESULT_IS_ERROR 0x80000000u
/* Of the shadow stack, which begins at address 0: what C functions may use that ask for no permission. */
#define STACK_RESERVE_BYTES (16 * 1024)
/* Memory in use at which the first collection of an invocation starts. Most end before. */
#define COLLECT_AT_BYTES (24u << 20)

void __wasm_call_ctors(void);

static JSRuntime *runtime;
static JSContext *context;

/* What the prelude and the user's script have left for invocations. */
static JSValue handler, handler_context, describe, describe_result, adopt, run_timer, log_uncaught, never_settles;
static bool context_first;

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
            *value = unhandled[--unhandled_count].reason;
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

static uint64_t never_settled(void) {
    JSValue message = JS_Call(context, never_settles, JS_UNDEFINED, 0, NULL);
    const char *text = JS_IsString(message) ? JS_ToCString(context, message) : NULL;
    return failed(own_error("UnresolvedPromise", text != NULL ? text : ""));
}

EXPORT("serverledge_alloc") char *serverledge_alloc(size_t length) {
    /* The JSON reader wants a NUL behind the text. */
    return length < SIZE_MAX ? malloc(length + 1) : NULL;
}

EXPORT("serverledge_handle") uint64_t serverledge_handle(char *params, size_t length) {
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
    default: return never_settled();
    }
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

/* Names of which a file of the prelude gives all. Whoever names none of them does not pay for them. */
static const char *const fetch_names[] = {"fetch", "Headers", "Request", "Response"};

static bool is_wanted(const char *file, const char *input) {
    if (strcmp(file, "serverledge:prelude/fetch.js") != 0) return true;
    for (size_t i = 0; i < sizeof fetch_names / sizeof *fetch_names; i++)
        if (strstr(input, fetch_names[i]) != NULL) return true;
    return false;
}

/* Each file of the prelude is a function, which puts what others need into `shared`. Its text is needed once. */
static void run_prelude(JSValue shared, const char *input) {
    JSValue arguments[2] = {native_functions(context), shared};
    char *text = prelude_text;
    for (size_t i = 0; i < sizeof prelude / sizeof *prelude; i++) {
        const char *own = text;
        text += prelude[i].length + 1;
        if (!is_wanted(prelude[i].name, input)) continue;
        JSValue file = run_without_text(own, prelude[i].length, prelude[i].name);
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
    /* Zeros need no room in the module. */
    memset(prelude_text, 0, sizeof prelude_text);
    memory_spare(prelude_text, sizeof prelude_text);
}

static void start_engine(const char *source, size_t length) {
    /* The engine seeds its hash tables by the clock: they differ between functions, but not from deploy to deploy. */
    host_set_deploy_clock(hash(source, length));
    runtime = JS_NewRuntime2(&memory_functions, NULL);
    if (runtime == NULL) abort();
    engine_limit_stack(runtime, STACK_RESERVE_BYTES);
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

EXPORT("wizer-initialize") void initialize(void) {
    static JSValue shared;
    size_t length;
    __wasm_call_ctors();
    char *input = host_read_stdin(&length);
    if (input == NULL) abort();
    start_engine(input, length);
    shared = JS_NewObject(context);
    run_prelude(shared, input);
    JS_SetModuleLoaderFunc(runtime, keep_name, load_module, &shared);
    describe = member(shared, "describe"), describe_result = member(shared, "describeResult");
    adopt = member(shared, "adopt"), run_timer = member(shared, "runTimer");
    log_uncaught = member(shared, "logUncaught"), never_settles = member(shared, "neverSettles");
    handler_context = member(shared, "context");

    JSValue argument = JS_ParseJSON(context, input, length, "<stdin>"), describe_load = member(shared, "describeLoad");
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
    JS_SetGCThreshold(runtime, COLLECT_AT_BYTES);
    memory_prepare();
}
