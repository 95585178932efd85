//! Implements native.h.

#include "native.h"

#include <marshal.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "host.h"
#include "kdf.h"
#include "library.h"

/* === Python's library === */

static const struct library_file *file_named(PyObject *name) {
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text != NULL) return strlen(text) == (size_t)length ? library_find(text) : NULL;
    PyErr_Clear();
    return NULL;
}

PyDoc_STRVAR(is_package_doc, "Whether this module of the library is a package; None if there is no such module.");
static PyObject *is_package(PyObject *self, PyObject *name) {
    const struct library_file *file = file_named(name);
    if (file == NULL) Py_RETURN_NONE;
    return PyBool_FromLong(file->is_package);
}

PyDoc_STRVAR(code_doc, "The code of this module of the library; None if there is no such module.");
static PyObject *code(PyObject *self, PyObject *name) {
    const struct library_file *file = file_named(name);
    if (file == NULL) Py_RETURN_NONE;
    char *bytes = library_unpack(file);
    if (bytes == NULL) return PyErr_NoMemory();
    PyObject *found = PyMarshal_ReadObjectFromString(bytes, file->length);
    free(bytes);
    return found;
}

PyDoc_STRVAR(data_doc, "The bytes of this file of the library; None if there is no such file.");
static PyObject *data(PyObject *self, PyObject *name) {
    const struct library_file *file = file_named(name);
    if (file == NULL) Py_RETURN_NONE;
    char *bytes = library_unpack(file);
    if (bytes == NULL) return PyErr_NoMemory();
    PyObject *found = PyBytes_FromStringAndSize(bytes, file->length);
    free(bytes);
    return found;
}

PyDoc_STRVAR(names_doc, "The names of all modules and files of the library; those of files have a slash.");
static PyObject *names(PyObject *self, PyObject *none) {
    PyObject *list = PyList_New(library_count);
    for (uint32_t i = 0; list != NULL && i < library_count; i++) {
        PyObject *name = PyUnicode_FromString(library_files[i].name);
        if (name == NULL) Py_CLEAR(list);
        else PyList_SET_ITEM(list, i, name);
    }
    return list;
}

/* === the invocation === */

PyDoc_STRVAR(invoked_doc, "Whether this is an invocation, and not the deploy.");
static PyObject *invoked(PyObject *self, PyObject *none) { return PyBool_FromLong(host_invoked); }

PyDoc_STRVAR(environment_doc, "The variables of this invocation, as bytes.");
static PyObject *environment(PyObject *self, PyObject *none) {
    size_t count;
    char **list = host_environment(&count);
    PyObject *found = PyDict_New();
    for (size_t i = 0; found != NULL && i < count; i++) {
        const char *equals = strchr(list[i], '=');
        if (equals == NULL) continue;
        PyObject *name = PyBytes_FromStringAndSize(list[i], equals - list[i]), *value = PyBytes_FromString(equals + 1);
        if (name == NULL || value == NULL || PyDict_SetItem(found, name, value) < 0) Py_CLEAR(found);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return found;
}

/* What the handler is told, and the variables that tell it. Containers tell the same (docs/container-protocol.md). */
static const struct {
    const char *key, *variable;
    bool is_number, is_always_there;
} facts[] = {
    {"invocation_id", "SERVERLEDGE_INVOCATION_ID", false, true},
    {"deadline_ms", "SERVERLEDGE_DEADLINE_MS", true, true},
    {"memory_mb", "SERVERLEDGE_MEMORY_MB", true, true},
    {"traceparent", "TRACEPARENT", false, false},
    {"tracestate", "TRACESTATE", false, false},
};

/* The value of a variable; NULL if it is not there. */
static const char *variable(const char *name, char **list, size_t count) {
    size_t length = strlen(name);
    for (size_t i = count; i-- > 0;)
        if (strncmp(list[i], name, length) == 0 && list[i][length] == '=') return list[i] + length + 1;
    return NULL;
}

static PyObject *text(const char *value) { return PyUnicode_DecodeUTF8(value, strlen(value), "replace"); }

/* Takes over the value. */
static bool tell(PyObject *told, const char *key, PyObject *value) {
    bool is_told = value != NULL && PyDict_SetItemString(told, key, value) == 0;
    Py_XDECREF(value);
    return is_told;
}

PyDoc_STRVAR(context_doc, "What the handler is told about its invocation.");
static PyObject *context(PyObject *self, PyObject *none) {
    size_t count;
    char **list = host_environment(&count);
    PyObject *told = PyDict_New();
    bool is_whole = told != NULL && tell(told, "function", text(host_function_name()));
    for (size_t i = 0; is_whole && i < sizeof facts / sizeof *facts; i++) {
        const char *value = variable(facts[i].variable, list, count);
        if (value == NULL && !facts[i].is_always_there) continue;
        if (value == NULL) value = "";
        is_whole = tell(told, facts[i].key, facts[i].is_number ? PyLong_FromUnsignedLongLong(strtoull(value, NULL, 10)) : text(value));
    }
    if (!is_whole) Py_CLEAR(told);
    return told;
}

PyDoc_STRVAR(log_doc, "Writes bytes to the log.");
static PyObject *log_bytes(PyObject *self, PyObject *given) {
    Py_buffer bytes;
    if (PyObject_GetBuffer(given, &bytes, PyBUF_SIMPLE) < 0) return NULL;
    host_write(2, bytes.buf, bytes.len);
    PyObject *length = PyLong_FromSsize_t(bytes.len);
    PyBuffer_Release(&bytes);
    return length;
}

/* (bytes, whether it is an error) */
static PyObject *replied(struct host_reply reply) {
    if (reply.bytes == NULL) return PyErr_NoMemory();
    PyObject *pair = Py_BuildValue("y#O", reply.bytes, (Py_ssize_t)reply.length, reply.is_error ? Py_True : Py_False);
    free(reply.bytes);
    return pair;
}

PyDoc_STRVAR(call_doc, "Calls another function: its name and its params, as bytes. A pair: its answer, and whether that is an error.");
static PyObject *call(PyObject *self, PyObject *arguments) {
    const char *name, *params;
    Py_ssize_t name_length, params_length;
    if (!PyArg_ParseTuple(arguments, "y#y#", &name, &name_length, &params, &params_length)) return NULL;
    return replied(host_call(name, name_length, params, params_length));
}

/* What has one argument, the request, and answers with a pair. */
static PyObject *asked(PyObject *given, struct host_reply (*ask)(const char *request, size_t length)) {
    Py_buffer request;
    if (PyObject_GetBuffer(given, &request, PyBUF_SIMPLE) < 0) return NULL;
    struct host_reply reply = ask(request.buf, request.len);
    PyBuffer_Release(&request);
    return replied(reply);
}

PyDoc_STRVAR(send_doc, "Sends a request to a host outside. A pair: its answer, and whether that is an error.");
static PyObject *send_request(PyObject *self, PyObject *request) { return asked(request, host_send); }

PyDoc_STRVAR(kv_doc, "Asks the key-value stores. A pair: their answer, and whether that is an error.");
static PyObject *kv(PyObject *self, PyObject *request) { return asked(request, host_kv); }

/* === what a deploy reads === */

static PyObject *watcher;

/* Told as whether it was the clock. What goes wrong there changes nothing, nor what the interpreter was about to say. */
static void tell_watcher(enum host_read kind) {
    if (watcher == NULL) return;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *told = watcher, *raised = PyErr_GetRaisedException();
    watcher = NULL;
    PyObject *done = PyObject_CallOneArg(told, kind == HOST_READ_CLOCK ? Py_True : Py_False);
    Py_XDECREF(done);
    PyErr_SetRaisedException(raised);
    watcher = told;
    PyGILState_Release(state);
}

PyDoc_STRVAR(watch_doc, "Has a function called when the deploy reads the clock or randomness; None ends that.");
static PyObject *watch(PyObject *self, PyObject *function) {
    Py_XSETREF(watcher, function == Py_None ? NULL : Py_NewRef(function));
    host_deploy_read = watcher == NULL ? NULL : tell_watcher;
    Py_RETURN_NONE;
}

/* === keys from passwords === */

/* What a key is made of, and its length. */
struct derivation {
    Py_buffer password, salt;
    Py_ssize_t length;
};

static struct kdf_bytes bytes_of(const Py_buffer *buffer) { return (struct kdf_bytes){buffer->buf, (size_t)buffer->len}; }

/* The key, whose buffers are released; an error if there was no memory. */
static PyObject *derived(struct derivation *given, PyObject *key, bool done) {
    PyBuffer_Release(&given->password);
    PyBuffer_Release(&given->salt);
    if (key != NULL && done) return key;
    Py_XDECREF(key);
    return PyErr_NoMemory();
}

PyDoc_STRVAR(pbkdf2_doc, "PBKDF2: digest, password, salt, iterations, length. None if the digest is not one of those in C.");
static PyObject *pbkdf2(PyObject *self, PyObject *arguments) {
    struct derivation given;
    const char *digest;
    unsigned int iterations;
    if (!PyArg_ParseTuple(arguments, "sy*y*In", &digest, &given.password, &given.salt, &iterations, &given.length)) return NULL;
    if (!kdf_has_digest(digest)) return derived(&given, Py_NewRef(Py_None), true);
    PyObject *key = PyBytes_FromStringAndSize(NULL, given.length);
    bool done = key != NULL && kdf_pbkdf2(digest, bytes_of(&given.password), bytes_of(&given.salt), iterations,
                                          (uint8_t *)PyBytes_AS_STRING(key), (size_t)given.length);
    return derived(&given, key, done);
}

PyDoc_STRVAR(scrypt_doc, "scrypt: password, salt, n, r, p, length.");
static PyObject *scrypt(PyObject *self, PyObject *arguments) {
    struct derivation given;
    unsigned int n, r, p;
    if (!PyArg_ParseTuple(arguments, "y*y*IIIn", &given.password, &given.salt, &n, &r, &p, &given.length)) return NULL;
    PyObject *key = PyBytes_FromStringAndSize(NULL, given.length);
    bool done = key != NULL && kdf_scrypt(bytes_of(&given.password), bytes_of(&given.salt), n, r, p,
                                          (uint8_t *)PyBytes_AS_STRING(key), (size_t)given.length);
    return derived(&given, key, done);
}

/* === the module === */

PyDoc_STRVAR(builtin_doc, "A built-in function that calls this function: the function, and the names of module and function.");

static PyMethodDef functions[] = {
    {"is_package", is_package, METH_O, is_package_doc},
    {"code", code, METH_O, code_doc},
    {"data", data, METH_O, data_doc},
    {"names", names, METH_NOARGS, names_doc},
    {"invoked", invoked, METH_NOARGS, invoked_doc},
    {"environment", environment, METH_NOARGS, environment_doc},
    {"context", context, METH_NOARGS, context_doc},
    {"log", log_bytes, METH_O, log_doc},
    {"call", call, METH_VARARGS, call_doc},
    {"send", send_request, METH_O, send_doc},
    {"kv", kv, METH_O, kv_doc},
    {"watch", watch, METH_O, watch_doc},
    {"pbkdf2", pbkdf2, METH_VARARGS, pbkdf2_doc},
    {"scrypt", scrypt, METH_VARARGS, scrypt_doc},
    {"builtin", builtin_function, METH_VARARGS, builtin_doc},
    {0},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_serverledge", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__serverledge(void) { return builtin_add_signatures() < 0 ? NULL : PyModule_Create(&module); }
