//! The Python guest: CPython, our prelude and one user's files in a module that Serverledge runs as a reactor.
//!
//! `wizer-initialize` runs once, at deploy: it reads the files from stdin, imports the handler's and keeps the handler; the
//! memory as it is then becomes the function's module. Each invocation is a fresh instance of that, so
//! `serverledge_handle` leaves everything behind when it returns. docs/python.md says what functions are given.

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "immortal.h"
#include "memory.h"
#include "native.h"
#include "sqlite.h"
#include "stack.h"
#include "boot.h"

#define STACK_RESERVE_BYTES 4096
#define EXPORT(name) __attribute__((export_name(name)))
/* Bit 31 of a result's length marks an error object. */
#define RESULT_IS_ERROR 0x80000000u

void __wasm_call_ctors(void);
void __wasilibc_reset_preopens(void);
PyMODINIT_FUNC PyInit_zlib(void);
PyMODINIT_FUNC PyInit__bz2(void);
PyMODINIT_FUNC PyInit__lzma(void);

/* The prelude's function for invocations. */
static PyObject *handle_text;

static const char out_of_memory[] = "{\"error\":\"MemoryError\",\"message\":\"out of memory\",\"stack\":\"\"}";

/* === invocations === */

EXPORT("serverledge_alloc") char *serverledge_alloc(size_t length) { return malloc(length > 0 ? length : 1); }

static uint64_t packed(const char *bytes, size_t length, uint32_t mark) {
    return (uint64_t)(uintptr_t)bytes << 32 | (uint32_t)length | mark;
}

/* The prelude answers with the text of a result, or with that of an error object in a tuple. */
static uint64_t answered(PyObject *answer) {
    uint32_t mark = 0;
    if (answer != NULL && PyTuple_Check(answer)) {
        answer = PyTuple_GET_ITEM(answer, 0);
        mark = RESULT_IS_ERROR;
    }
    if (answer == NULL || !PyBytes_Check(answer)) return packed(out_of_memory, sizeof out_of_memory - 1, RESULT_IS_ERROR);
    return packed(PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer), mark);
}

static __attribute__((noinline)) uint64_t handle(char *params, size_t length) {
    host_invoked = true;
    sqlite_forget_randomness();
    PyObject *text = PyUnicode_DecodeUTF8(params, (Py_ssize_t)length, "replace");
    return answered(text == NULL ? NULL : PyObject_CallOneArg(handle_text, text));
}

/* The stack has its length from the deploy on. Not every snapshot keeps that. */
EXPORT("serverledge_handle") uint64_t serverledge_handle(char *params, size_t length) {
    set_stack_pointer(STACK_BYTES);
    return handle(params, length);
}

/* === deploy === */

/* The interpreter could not do what it can always do. */
_Noreturn static void broken(const char *what) {
    static const char begin[] = "{\"error\":\"MemoryError\",\"message\":\"the interpreter does not start: ", end[] = "\",\"stack\":\"\",\"file\":null}\n";
    if (Py_IsInitialized() && PyErr_Occurred()) PyErr_Print();
    host_write(1, begin, sizeof begin - 1);
    host_write(1, what, strlen(what));
    host_write(1, end, sizeof end - 1);
    host_exit(1);
}

static void check(PyStatus status, const char *what) {
    if (PyStatus_Exception(status)) broken(status.err_msg != NULL ? status.err_msg : what);
}

/* FNV-1a with 64 bits. */
static uint64_t hash(const char *bytes, size_t length) {
    uint64_t value = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++) value = (value ^ (uint8_t)bytes[i]) * 0x100000001b3ull;
    return value;
}

/* Nothing of the machine's: no files, no environment, no signals. Hashes differ between functions, but not from deploy to
   deploy. */
static void start_python(uint64_t seed) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    check(Py_PreInitialize(&before), "its configuration");
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.use_hash_seed = 1;
    /* With 0 there would be none. */
    config.hash_seed = (uint32_t)(seed ^ seed >> 32) | 1;
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.pathconfig_warnings = 0;
    config.write_bytecode = 0;
    config.module_search_paths_set = 1;
    PyConfig_SetString(&config, &config.executable, L"");
    PyConfig_SetString(&config, &config.prefix, L"/usr");
    PyConfig_SetString(&config, &config.exec_prefix, L"/usr");
    PyConfig_SetString(&config, &config.base_prefix, L"/usr");
    PyConfig_SetString(&config, &config.base_exec_prefix, L"/usr");
    PyConfig_SetString(&config, &config.stdlib_dir, L"/usr/lib/python3.13");
    static const struct _inittab added[] = {
        {"zlib", PyInit_zlib}, {"_bz2", PyInit__bz2}, {"_lzma", PyInit__lzma}, {"_sqlite3", sqlite_module}, {"_serverledge", PyInit__serverledge}, {0},
    };
    if (PyImport_ExtendInittab((struct _inittab *)added) < 0) broken("its modules");
    PyImport_FrozenModules = boot_modules;
    check(Py_InitializeFromConfig(&config), "its start");
    PyConfig_Clear(&config);
}

static void write_line(PyObject *text) {
    host_write(1, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    host_write(1, "\n", 1);
}

static char *input;
static size_t input_length;

/* The interpreter with the prelude. */
static __attribute__((noinline)) void begin(void) {
    input = host_read_stdin(&input_length);
    if (input == NULL) broken("its input");
    start_python(hash(input, input_length));
    PyObject *importing = PyImport_ImportModule("_serverledge_importing");
    if (importing == NULL) broken("its library");
    Py_DECREF(importing);
}

/* The user's files. The prelude answers with None, with what is to be said, or with an error object in a tuple. */
static __attribute__((noinline)) void load_input(void) {
    PyObject *prelude = PyImport_ImportModule("_serverledge_load");
    if (prelude == NULL) broken("its prelude");
    PyObject *answer = PyObject_CallMethod(prelude, "load", "N", PyUnicode_DecodeUTF8(input, (Py_ssize_t)input_length, "replace"));
    free(input);
    if (answer == NULL) broken("its prelude");
    if (PyTuple_Check(answer)) {
        write_line(PyTuple_GET_ITEM(answer, 0));
        host_exit(1);
    }
    if (PyBytes_Check(answer)) write_line(answer);
    Py_DECREF(answer);
    handle_text = PyObject_GetAttrString(prelude, "handle");
    Py_DECREF(prelude);
    __wasilibc_reset_preopens();
#ifndef NO_IMMORTAL
    make_all_immortal();
#endif
#ifndef NO_SETTLE
    memory_settle();
#endif
}

/* Leaves the stack empty: zeros need no room in the module. */
EXPORT("wizer-initialize") void initialize(void) {
    __wasm_call_ctors();
    begin();
    load_input();
    volatile char *bottom = (char *)STACK_RESERVE_BYTES;
    for (uintptr_t end = stack_pointer() - STACK_RESERVE_BYTES; (uintptr_t)bottom < end; bottom++) *bottom = 0;
}
