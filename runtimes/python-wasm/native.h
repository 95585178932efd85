//! The built-in module `_serverledge`, which the prelude gets from C.

#ifndef SERVERLEDGE_NATIVE_H
#define SERVERLEDGE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyMODINIT_FUNC PyInit__serverledge(void);

#endif
