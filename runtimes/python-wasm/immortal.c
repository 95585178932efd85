//! Implements immortal.h. An object whose count has a certain value keeps it (PEP 683). A snapshot's objects need no other:
//! what an invocation leaves is never freed. So destructors and callbacks of weak references to them do not run any more.

#include "immortal.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

/* Objects that are immortal by now, and whose references are still to be followed. */
static PyObject **waiting;
static size_t waiting_count, waiting_capacity;

static void keep(PyObject *object) {
    if (object == NULL || _Py_IsImmortal(object)) return;
    if (waiting_count == waiting_capacity) {
        waiting_capacity = waiting_capacity == 0 ? 4096 : 2 * waiting_capacity;
        PyObject **larger = realloc(waiting, waiting_capacity * sizeof *waiting);
        if (larger == NULL) abort();
        waiting = larger;
    }
    object->ob_refcnt = _Py_IMMORTAL_REFCNT;
    waiting[waiting_count++] = object;
}

static int keep_visited(PyObject *object, void *none) {
    keep(object);
    return 0;
}

/* The collector knows nothing of these references. */
static void follow_code(PyCodeObject *code) {
    PyObject *parts[] = {code->co_consts, code->co_names, code->co_exceptiontable, code->co_localsplusnames, code->co_localspluskinds,
        code->co_filename, code->co_name, code->co_qualname, code->co_linetable};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) keep(parts[i]);
}

static void follow(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    keep((PyObject *)type);
    if (PyCode_Check(object)) follow_code((PyCodeObject *)object);
    /* Types of C itself are static: they are not followed, and their parts are tracked. */
    bool is_static = PyType_Check(object) && !(((PyTypeObject *)object)->tp_flags & Py_TPFLAGS_HEAPTYPE);
    if (type->tp_traverse != NULL && PyObject_IS_GC(object) && !is_static) type->tp_traverse(object, keep_visited, NULL);
}

static void follow_all(void) {
    while (waiting_count > 0) follow(waiting[--waiting_count]);
}

/* Those that are immortal already lead to others as well. */
static int keep_tracked(PyObject *object, void *none) {
    /* So that the first to look something up in a type need not write to it. */
    if (PyType_Check(object)) PyUnstable_Type_AssignVersionTag((PyTypeObject *)object);
    keep(object);
    follow(object);
    follow_all();
    return 1;
}

void make_all_immortal(void) {
    PyUnstable_GC_VisitObjects(keep_tracked, NULL);
    free(waiting);
    waiting = NULL;
    waiting_count = waiting_capacity = 0;
}
