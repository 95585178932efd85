//! QuickJS itself, compiled together with the few functions of ours that need its internals.
//!
//! For WASI, QuickJS has no stack limit, and it reads the clock by itself. Both are changed from here. Its source is
//! as it was published but for the larger stack frames that stack-frames.awk gives to some functions.

#include <math.h>
#include <sys/time.h>
#include <time.h>

#include "host.h"
#include "library.h"
#include "memory.h"

/* Time comes from the host, coarse, and is constant while the snapshot is made. */
#define clock_gettime host_clock_gettime
#define gettimeofday host_gettimeofday

/* Functions that give what V8's give, which libc's do not. */
#define acosh library_acosh
#define asinh library_asinh
#define atan2 library_atan2
#define atanh library_atanh
#define cos library_cos
#define cosh library_cosh
#define exp library_exp
#define log library_log
#define log10 library_log10
#define log1p library_log1p
#define log2 library_log2
#define pow library_pow
#define sin library_sin
#define sinh library_sinh
#define tanh library_tanh

/* See stack-frames.awk. The assembly keeps the array from being optimised away. */
#define STACK_FRAME(bytes) char frame_[bytes]; __asm__ volatile("" : : "r"(frame_) : "memory")

#include "quickjs-framed.c"

#include "engine.h"
#include "names.c"

/* === errors === */

static JSValue engine_throw_not(JSContext *context, bool iterated, JSValueConst value, const char *what) {
    struct name name;
    if (!engine_name(context, iterated, &name)) engine_show(context, value, &name);
    return JS_ThrowTypeError(context, "%s is not %s", name.text, what);
}

/* Null or undefined, where an object is taken apart. */
static void engine_throw_destructure(JSContext *context, JSValueConst value) {
    struct name from, is;
    char property[ATOM_GET_STR_BUF_SIZE];
    JSAtom atom = engine_next_property(context);
    engine_show(context, value, &is);
    if (!engine_name(context, true, &from) || from.text[0] == '(') from = is;
    /* Within a pattern, what is taken apart has no name of its own. */
    if (atom != JS_ATOM_NULL && strncmp(from.text, "undefined.", 10) == 0)
        JS_ThrowTypeError(context, "Cannot read properties of %s (reading '%s')", is.text,
            JS_AtomGetStr(context, property, sizeof property, atom));
    else if (atom == JS_ATOM_NULL)
        JS_ThrowTypeError(context, "Cannot destructure '%s' as it is %s.", from.text, is.text);
    else
        JS_ThrowTypeError(context, "Cannot destructure property '%s' of '%s' as it is %s.",
            JS_AtomGetStr(context, property, sizeof property, atom), from.text, is.text);
}

static void engine_throw_class(JSContext *context, JSValueConst function) {
    const char *name = get_func_name(context, function);
    JS_ThrowTypeError(context, "Class constructor %s cannot be invoked without 'new'", name != NULL ? name : "");
    JS_FreeCString(context, name);
}

static void engine_throw_in(JSContext *context, JSValueConst key, JSValueConst value) {
    struct name sought, within;
    engine_show(context, key, &sought);
    engine_show(context, value, &within);
    for (char *at = sought.text; *at != '\0'; at++) if (*at == '"') *at = '\'';
    JS_ThrowTypeError(context, "Cannot use 'in' operator to search for %s in %s", sought.text, within.text);
}

static void engine_throw_extends(JSContext *context, JSValueConst value) {
    struct name name;
    engine_show(context, value, &name);
    JS_ThrowTypeError(context, "Class extends value %s is not a constructor or null", name.text);
}

/* A stack begins with the error itself, as it calls itself when it is looked at first. */
static void engine_begin_stack(JSContext *context, JSValueConst error, DynBuf *text) {
    if (!JS_IsObject(error) || context->rt->in_out_of_memory) return;
    JSValue pending = JS_GetException(context), head = js_error_toString(context, error, 0, NULL);
    size_t length;
    const char *bytes = JS_IsException(head) ? NULL : JS_ToCStringLen(context, &length, head);
    if (bytes == NULL) {
        JS_FreeValue(context, JS_GetException(context));
    } else {
        dbuf_put(text, (const uint8_t *)bytes, length);
        dbuf_putc(text, '\n');
    }
    JS_FreeCString(context, bytes);
    JS_FreeValue(context, head);
    JS_Throw(context, pending);
}

static const int engine_stack_mark = 0;

/* The property `stack`, which is made when somebody looks. */
static void engine_define_stack(JSContext *context, JSValueConst error) {
    JS_DefineAutoInitProperty(context, error, JS_ATOM_stack, JS_AUTOINIT_ID_PROP, (void *)&engine_stack_mark,
        JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
}

static JSValue engine_stack(JSContext *context, JSObject *error) {
    size_t length;
    const char *frames = JS_IsString(error->u.object_data) ? JS_ToCStringLen(context, &length, error->u.object_data) : NULL;
    if (frames == NULL) return JS_UNDEFINED;
    DynBuf text;
    js_dbuf_init(context, &text);
    engine_begin_stack(context, JS_MKPTR(JS_TAG_OBJECT, error), &text);
    dbuf_put(&text, (const uint8_t *)frames, length);
    JS_FreeCString(context, frames);
    while (text.size > 0 && text.buf[text.size - 1] == '\n') text.size--;
    JSValue stack = dbuf_error(&text) ? JS_UNDEFINED : JS_NewStringLen(context, (const char *)text.buf, text.size);
    dbuf_free(&text);
    return stack;
}

/* === weak references === */

void engine_end_job(JSRuntime *runtime) {
    runtime->job++;
    while (runtime->kept_count > 0) JS_FreeValueRT(runtime, runtime->kept[--runtime->kept_count]);
}

/* === what is never freed === */

/* A text that a value is: other objects are in the collector's list. */
static void make_text_immortal(JSValueConst value) {
    if (JS_VALUE_GET_TAG(value) == JS_TAG_STRING) immortal_make(JS_VALUE_GET_PTR(value));
}

static void make_texts_of_object_immortal(const JSObject *object) {
    const JSShapeProperty *property = get_shape_prop(object->shape);
    for (int i = 0; i < object->shape->prop_count; i++) {
        if (property[i].atom != JS_ATOM_NULL && (property[i].flags & JS_PROP_TMASK) == JS_PROP_NORMAL)
            make_text_immortal(object->prop[i].u.value);
    }
    if (object->class_id != JS_CLASS_ARRAY || !object->fast_array) return;
    for (uint32_t i = 0; i < object->u.array.count; i++) make_text_immortal(object->u.array.u.values[i]);
}

static void make_texts_immortal(const JSGCObjectHeader *object) {
    if (JS_GC_TYPE(object) == JS_GC_OBJ_TYPE_JS_OBJECT) make_texts_of_object_immortal((const JSObject *)object);
    if (JS_GC_TYPE(object) == JS_GC_OBJ_TYPE_VAR_REF && ((const JSVarRef *)object)->is_detached)
        make_text_immortal(*((const JSVarRef *)object)->pvalue);
    if (JS_GC_TYPE(object) != JS_GC_OBJ_TYPE_FUNCTION_BYTECODE) return;
    const JSFunctionBytecode *function = (const JSFunctionBytecode *)object;
    for (int i = 0; i < function->cpool_count; i++) make_text_immortal(function->cpool[i]);
}

/* Memory of a buffer from which on it is freed when nobody refers to it any more. */
#define LARGE_BUFFER_BYTES (64 * 1024)

/* Whether it is a large buffer or a view of one, of which a call may need the memory. */
static bool is_large_buffer(const JSGCObjectHeader *of) {
    const JSObject *object = (const JSObject *)of;
    if (JS_GC_TYPE(of) != JS_GC_OBJ_TYPE_JS_OBJECT) return false;
    if (object->class_id >= JS_CLASS_UINT8C_ARRAY && object->class_id <= JS_CLASS_DATAVIEW)
        object = object->class_id == JS_CLASS_DATAVIEW ? object->u.typed_array->buffer : object->u.array.u1.typed_array->buffer;
    return (object->class_id == JS_CLASS_ARRAY_BUFFER || object->class_id == JS_CLASS_SHARED_ARRAY_BUFFER)
        && object->u.array_buffer->byte_length > LARGE_BUFFER_BYTES;
}

void engine_make_immortal(JSRuntime *runtime) {
    struct list_head *each;
    list_for_each(each, &runtime->gc_obj_list) {
        const JSGCObjectHeader *object = list_entry(each, JSGCObjectHeader, link);
        if (is_large_buffer(object)) continue;
        immortal_make(object);
        make_texts_immortal(object);
    }
    for (int i = 0; i < runtime->atom_size; i++)
        if (!atom_is_free(runtime->atom_array[i])) immortal_make(runtime->atom_array[i]);
}

/* === what the rest of the guest needs === */

void engine_limit_stack(JSRuntime *runtime, uintptr_t lowest) { runtime->stack_limit = lowest; }

/* The state must not be zero. */
void engine_seed_random(JSContext *context, uint64_t seed) { context->random_state = seed != 0 ? seed : 1; }

JSValue engine_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments) {
    return js_math_random(context, self, count, arguments);
}
