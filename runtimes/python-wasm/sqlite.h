//! SQLite's randomness: that of the deploy is not that of invocations.

#ifndef SERVERLEDGE_SQLITE_H
#define SERVERLEDGE_SQLITE_H

#include <Python.h>

/* Initializes the module `_sqlite3`. */
PyObject *sqlite_module(void);

/* Has an invocation draw numbers of its own, if the module is in use. */
void sqlite_forget_randomness(void);

#endif
