//! Functions of the prelude in the place of functions in C, and signatures of functions in C.

#ifndef SERVERLEDGE_BUILTIN_H
#define SERVERLEDGE_BUILTIN_H

#include <Python.h>

/* (function, module, name): a built-in function that calls this function. As an attribute of a class it is no method. */
PyObject *builtin_function(PyObject *self, PyObject *arguments);

/* Has `__text_signature__` of functions and types in C ask the prelude, as there are no docstrings in which they stand. */
int builtin_add_signatures(void);

#endif
