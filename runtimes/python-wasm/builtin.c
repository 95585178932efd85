//! Implements builtin.h.

#include "builtin.h"

#include <string.h>

/* === functions === */

static const char attribute[] = "__wrapped__";

/* `self` is a module that belongs to the one function, and has it as an attribute. */
static PyObject *call_function(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *function = PyDict_GetItemString(PyModule_GetDict(self), attribute);
    if (function == NULL) return PyErr_Format(PyExc_SystemError, "a function of the runtime is gone");
    return PyObject_Vectorcall(function, arguments, count, keywords);
}

PyObject *builtin_function(PyObject *self, PyObject *arguments) {
    PyObject *function, *module_name;
    const char *name;
    if (!PyArg_ParseTuple(arguments, "OUs", &function, &module_name, &name)) return NULL;
    /* As long-lived as the function, which is as the interpreter. */
    PyMethodDef *method = PyMem_RawCalloc(1, sizeof *method + strlen(name) + 1);
    PyObject *module = PyModule_NewObject(module_name), *made = NULL;
    if (method == NULL || module == NULL || PyModule_AddObjectRef(module, attribute, function) < 0) goto end;
    char *copy = (char *)(method + 1);
    method->ml_name = strcpy(copy, name);
    method->ml_meth = (PyCFunction)(void (*)(void))call_function;
    method->ml_flags = METH_FASTCALL | METH_KEYWORDS;
    made = PyCFunction_NewEx(method, module, module_name);
end:
    if (made == NULL) PyMem_RawFree(method);
    Py_XDECREF(module);
    return made;
}

/* === signatures === */

#define KINDS 5
/* CPython's header with it is for CPython itself. */
extern PyTypeObject _PyMethodWrapper_Type;
static getter originals[KINDS];

/* What the prelude knows, or else CPython: that is None, or what any function with as many arguments has. */
static PyObject *signature_of(PyObject *object, int kind, void *closure) {
    PyObject *prelude = PyImport_ImportModule("_serverledge_signatures");
    PyObject *found = prelude == NULL ? NULL : PyObject_CallMethod(prelude, "find", "O", object);
    Py_XDECREF(prelude);
    if (found == NULL) PyErr_Clear();
    if (found != NULL && found != Py_None) return found;
    return originals[kind](object, closure);
}

static PyObject *of_function(PyObject *object, void *closure) { return signature_of(object, 0, closure); }
static PyObject *of_method(PyObject *object, void *closure) { return signature_of(object, 1, closure); }
static PyObject *of_slot(PyObject *object, void *closure) { return signature_of(object, 2, closure); }
static PyObject *of_bound_slot(PyObject *object, void *closure) { return signature_of(object, 3, closure); }
static PyObject *of_type(PyObject *object, void *closure) { return signature_of(object, 4, closure); }

int builtin_add_signatures(void) {
    static const getter ours[KINDS] = {of_function, of_method, of_slot, of_bound_slot, of_type};
    PyTypeObject *const types[KINDS] = {&PyCFunction_Type, &PyMethodDescr_Type, &PyWrapperDescr_Type, &_PyMethodWrapper_Type, &PyType_Type};
    for (int i = 0; i < KINDS; i++) {
        PyGetSetDef *each = types[i]->tp_getset;
        while (each->name != NULL && strcmp(each->name, "__text_signature__") != 0) each++;
        if (each->name == NULL) return -1;
        originals[i] = each->get;
        each->get = ours[i];
    }
    return 0;
}
